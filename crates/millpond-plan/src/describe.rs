//! Descriptions of tables, as JSON: everything that the rows of a table depend on, as the program says it.
//!
//! Two programs may share the state of a step if its descriptions are equal. So whatever the layout of a state depends on
//! is either described, or follows from a description alone: outputs are described without their order, and reducers
//! are laid out in the order of the outputs' names.

use serde_json::{Map, Value, json};

use crate::behavior::Behavior;
use crate::expr::{Expr, ExprKind, Literal, column_text};
use crate::session::SessionGap;
use crate::table::{Operation, Table};
use crate::types::Schema;
use crate::window::WindowLength;

/// The description of a table and of all before it.
pub(crate) fn describe(table: &Table) -> Value {
    described(table, false)
}

/// What identifies a row is described where it matters: a program that says so for later keeps its state.
fn described(table: &Table, identified: bool) -> Value {
    match table.operation() {
        Operation::Source(source) => json!({
            "operator": "source",
            "kind": source.kind,
            "schema": columns(&source.schema),
            "append_only": source.append_only,
            "settings": source.description,
        }),
        Operation::Select { input, columns, keeps_others } => json!({
            "operator": if *keeps_others { "with_columns" } else { "select" },
            "outputs": expressions(columns),
            "input": described(input, identified),
        }),
        Operation::Filter { input, predicate } => json!({
            "operator": "filter",
            "predicate": predicate.to_string(),
            "input": described(input, identified),
        }),
        Operation::Identify { input, .. } if !identified => describe(input),
        Operation::Identify { input, columns } => json!({
            "operator": "with_id_from",
            "columns": columns.iter().map(Expr::to_string).collect::<Vec<_>>(),
            "input": describe(input),
        }),
        Operation::Combine { inputs, combination } => json!({
            "operator": combination.name(),
            "inputs": inputs.iter().map(|input| described(input, true)).collect::<Vec<_>>(),
        }),
        Operation::Group { input, keys, outputs } => json!({
            "operator": "reduce",
            "keys": keys.iter().map(key).collect::<Vec<_>>(),
            "outputs": expressions(outputs),
            "input": describe(input),
        }),
        Operation::Session { input, time, gap, instance, behavior, outputs } => {
            let mut fields = json!({
                "operator": "session",
                "time": time.to_string(),
                "instance": instance.iter().map(Expr::to_string).collect::<Vec<_>>(),
                "outputs": expressions(outputs),
                "input": describe(input),
            });
            match gap {
                SessionGap::Most(max_gap) => fields["max_gap"] = literal(max_gap),
                SessionGap::Where(predicate) => fields["predicate"] = Value::from(predicate.to_string()),
            }
            describe_behavior(behavior.as_ref(), &mut fields);
            fields
        }
        Operation::Concat { inputs } => json!({
            "operator": "concat",
            "inputs": inputs.iter().map(describe).collect::<Vec<_>>(),
        }),
        Operation::Flatten { input, column } => json!({
            "operator": "flatten",
            "column": column,
            "input": describe(input),
        }),
        Operation::Sliding { input, window, outputs } => {
            let mut fields = json!({
                "operator": window.name(),
                "time": window.time.to_string(),
                "hop": number(&window.hop),
                "instance": window.instance.iter().map(Expr::to_string).collect::<Vec<_>>(),
                "outputs": expressions(outputs),
                "input": describe(input),
            });
            match &window.length {
                WindowLength::Hops(hops) => fields["ratio"] = json!(hops),
                WindowLength::Duration(duration) => fields["duration"] = number(duration),
            }
            if let Some(origin) = &window.origin {
                fields["origin"] = number(origin);
            }
            describe_behavior(window.behavior.as_ref(), &mut fields);
            fields
        }
    }
}

/// The description of a kept table. Whole rows are kept, so the order of columns is described.
pub(crate) fn keep(table: &Table) -> Value {
    json!({ "operator": "keep", "schema": columns(table.schema()), "input": describe(table) })
}

fn expressions(named: &[(String, Expr)]) -> Map<String, Value> {
    named.iter().map(|(name, expr)| (name.clone(), Value::from(expr.to_string()))).collect()
}

fn literal(expr: &Expr) -> Value {
    match expr.kind() {
        ExprKind::Literal(value) => number(value),
        _ => Value::from(expr.to_string()),
    }
}

/// Adds what a behaviour says, each length only if it is given.
fn describe_behavior(behavior: Option<&Behavior>, fields: &mut Value) {
    match behavior {
        None => {}
        Some(Behavior::Common { delay, cutoff, keep_results }) => {
            for (name, length) in [("delay", delay), ("cutoff", cutoff)] {
                if let Some(length) = length {
                    fields[name] = number(length);
                }
            }
            fields["keep_results"] = json!(keep_results);
        }
        Some(Behavior::ExactlyOnce { shift }) => {
            fields["exactly_once"] = json!(true);
            if let Some(shift) = shift {
                fields["shift"] = number(shift);
            }
        }
    }
}

fn number(value: &Literal) -> Value {
    match value {
        Literal::Int(value) => Value::from(*value),
        other => Value::from(other.to_string()),
    }
}

/// `user_id`, or `minute = time // 60`.
fn key((name, expr): &(String, Expr)) -> String {
    let (name, text) = (column_text(name), expr.to_string());
    if name == text { text } else { format!("{name} = {text}") }
}

fn columns(schema: &Schema) -> Vec<String> {
    schema.columns().iter().map(|column| format!("{}: {}", column_text(&column.name), column.ty)).collect()
}
