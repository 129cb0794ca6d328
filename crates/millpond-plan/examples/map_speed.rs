//! How fast a filter and a computed column are: `cargo run --release -p millpond-plan --example map_speed`.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, StringArray};
use millpond_columns::types::{Schema, Type};
use millpond_error::{Origin, Result};
use millpond_plan::physical::OperatorSpec;
use millpond_plan::{Expr, MapStage, OnError, SinkDecl, SourceDecl, Table, col, if_else, lower};

const ROWS: usize = 10_000_000;
const BATCH: usize = 50_000;

fn main() -> Result<()> {
    let batches: Vec<Vec<ArrayRef>> = (0..ROWS / BATCH).map(|batch| rows(batch * BATCH)).collect();
    let computed = [
        ("filter that keeps 90 %", col("time") % 10, (col("time") % 10).ne(3)),
        ("filter by order, minute", col("time").floordiv(60), col("time").gt(1_000_000)),
        ("filter that keeps all, minute", col("time").floordiv(60), col("time").ge(0)),
        ("difference", col("time") - 5, col("time").gt(1_000_000)),
        ("if_else", if_else(col("user").eq("user17"), 1, col("time") * 2), col("time").ge(0)),
    ];
    for (name, expr, predicate) in computed {
        let stage = stage(predicate, expr)?;
        let mut best = f64::MAX;
        for _ in 0..5 {
            let start = cpu_seconds();
            let mut kept = 0;
            for batch in &batches {
                kept += stage.apply(batch, BATCH, None)?.rows;
            }
            assert!(kept > 0);
            best = best.min(cpu_seconds() - start);
        }
        println!("{best:.3} CPU s for {ROWS} rows: {name}");
    }
    Ok(())
}

/// What this thread has used of a processor so far (Linux).
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|nanoseconds| nanoseconds.parse::<f64>().ok()).unwrap_or_default() / 1e9
}

fn rows(first: usize) -> Vec<ArrayRef> {
    let users = (first..first + BATCH).map(|i| format!("user{}", i * 7919 % 200_000));
    let times = (first..first + BATCH).map(|i| i as i64);
    vec![Arc::new(StringArray::from_iter_values(users)), Arc::new(Int64Array::from_iter_values(times))]
}

/// The stage of `filter(predicate)` and a select of both columns and `computed`.
fn stage(predicate: Expr, computed: Expr) -> Result<Arc<MapStage>> {
    let origin = Origin::caller();
    let schema = Schema::new([("user", Type::Str.required()), ("time", Type::Int.required())]);
    let description = Default::default();
    let connector = Arc::new(());
    let visits = Table::source(SourceDecl {
        name: None,
        kind: "test".into(),
        schema,
        append_only: true,
        description,
        origin: origin.clone(),
        connector: connector.clone(),
    })?;
    let table = visits.filter(predicate, &origin)?.with_columns(vec![("computed".into(), computed)], &origin)?;
    let description = Default::default();
    let sink = SinkDecl {
        table,
        name: String::new(),
        kind: "test".into(),
        description,
        keeps_table: false,
        origin,
        connector,
    };
    let plan = lower(vec![sink], OnError::default())?;
    let stages = plan.nodes.iter().find_map(|node| match &node.operator {
        OperatorSpec::Map { stage, .. } => Some(stage.clone()),
        _ => None,
    });
    Ok(stages.expect("the plan has a map"))
}
