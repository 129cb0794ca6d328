//! What connects a plan to the outside: sources and sinks, of this crate or your own.
//!
//! A source or sink of your own is a type with the trait [`Source`] or [`Sink`]; [`source`] and [`sink`] put it into a
//! program. A run makes it anew each time and, with saved state, hands it the position that the last checkpoint saved.

use std::sync::Arc;

use millpond_error::Origin;
use millpond_plan::{self as plan, SinkDecl, SourceDecl};

pub use millpond_engine::arrangement::{Arrangement, ArrangementSchema, SavedArrangement};
pub use millpond_engine::changes::{Changes, Diffs, Epoch};
pub use millpond_engine::hash::HashSeed;
use millpond_error::Result;
pub use millpond_io::sink::{LogicalRun, Prepared, Sink};
pub use millpond_io::source::{EpochInput, Next, Source, SourceCounts, Wakeup};
use millpond_plan::Schema;

use crate::run::Output;
use crate::table::Table;

/// Makes a source at the start of a run; kept, opaque, in the plan's declaration.
pub struct SourceConnector {
    /// Checks what can be checked before any state is touched.
    pub check: Box<dyn Fn() -> Result<()> + Send + Sync>,
    /// Makes the source; the seed hashes the keys of its arrangements.
    pub make: Box<dyn Fn(HashSeed) -> Result<Box<dyn Source>> + Send + Sync>,
    /// Where rejected rows go, if anywhere.
    pub dead_letter: Option<Arc<SinkConnector>>,
}

/// Makes a sink at the start of a run; kept, opaque, in the plan's declaration.
pub struct SinkConnector {
    /// The name under which its position is kept in the state.
    pub name: String,
    /// Its settings, for messages.
    pub description: serde_json::Value,
    /// Checks what can be checked before any state is touched.
    pub check: Box<dyn Fn() -> Result<()> + Send + Sync>,
    /// Makes the sink.
    pub make: Box<dyn Fn() -> Result<Box<dyn Sink>> + Send + Sync>,
}

/// A table that a source of your own feeds. `name` finds its position in the state; `append_only` promises that it never
/// removes a row.
#[track_caller]
pub fn source(
    name: &str,
    schema: Schema,
    append_only: bool,
    make: impl Fn(HashSeed) -> Result<Box<dyn Source>> + Send + Sync + 'static,
) -> Table {
    let connector = SourceConnector { check: Box::new(|| Ok(())), make: Box::new(make), dead_letter: None };
    Table::from(plan::Table::source(SourceDecl {
        name: Some(name.to_owned()),
        kind: "source",
        schema,
        append_only,
        description: serde_json::Value::Null,
        origin: Origin::caller(),
        connector: Arc::new(connector),
    }))
}

/// Hands a table's changes to a sink of your own.
#[track_caller]
pub fn sink(table: &Table, name: &str, make: impl Fn() -> Result<Box<dyn Sink>> + Send + Sync + 'static) -> Output {
    let origin = Origin::caller();
    let connector = SinkConnector {
        name: name.to_owned(),
        description: serde_json::Value::Null,
        check: Box::new(|| Ok(())),
        make: Box::new(make),
    };
    Output(table.plan().map(|table| SinkDecl {
        table: table.clone(),
        name: Some(name.to_owned()),
        kind: "sink",
        description: serde_json::Value::Null,
        keeps_table: false,
        origin,
        connector: Arc::new(connector),
    }))
}
