//! Descriptions of tables, as JSON: everything that the rows of a table depend on, as the program says it.
//!
//! Two programs may share the state of a step if its descriptions are equal. So whatever the layout of a state depends on
//! is either described, or follows from a description alone: outputs are described without their order, and reducers
//! are laid out in the order of the outputs' names.
//!
//! Of a source only the columns count that are read: what a schema says beside them changes no row.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::behavior::Behavior;
use crate::expr::{Expr, ExprKind, Literal, column_text};
use crate::session::SessionGap;
use crate::table::{Operation, SinkDecl, SourceDecl, Table};
use crate::types::Schema;
use crate::window::WindowLength;

/// The positions of the columns that are read of each source, by its place in memory.
pub(crate) type ReadColumns = HashMap<*const SourceDecl, BTreeSet<usize>>;

/// Describes tables.
#[derive(Clone, Copy)]
pub(crate) struct Describe<'a> {
    /// What is read of the sources.
    pub read: &'a ReadColumns,
    /// The name of a table that is a step, where it is enough to name it: what it is, is said by itself.
    pub step: &'a dyn Fn(&Table) -> Option<String>,
}

/// The description of a table and of all before it, of whose sources these columns are read.
pub(crate) fn describe(table: &Table, read: &ReadColumns) -> Value {
    Describe { read, step: &|_| None }.table(table, false)
}

/// What a source is, of which these columns are read.
pub(crate) fn source(source: &SourceDecl, read: &BTreeSet<usize>) -> Value {
    // Rows that replace others are kept whole.
    let keeps_rows = source.description["primary_key"].as_array().is_some_and(|key| !key.is_empty());
    let columns = source.schema.columns().iter().enumerate();
    let columns: Map<String, Value> = columns
        .filter(|(at, _)| keeps_rows || read.contains(at))
        .map(|(_, column)| (column.name.clone(), Value::from(column.ty.to_string())))
        .collect();
    let mut settings = source.description.clone();
    for of_columns in settings.as_object_mut().into_iter().flatten().filter_map(|(_, setting)| setting.as_object_mut())
    {
        of_columns.retain(|column, _| columns.contains_key(column));
    }
    json!({
        "operator": "source",
        "kind": source.kind,
        "columns": columns,
        "append_only": source.append_only,
        "settings": settings,
    })
}

/// What an output gets: all that makes what it got before and what it gets now one history.
pub(crate) fn output(sink: &SinkDecl, step: &dyn Fn(&Table) -> Option<String>) -> Value {
    let mut fields = json!({ "operator": "output", "kind": sink.kind });
    if let Some(settings) = sink.description.as_object() {
        settings.iter().for_each(|(name, value)| fields[name] = value.clone());
    }
    if !sink.keeps_table {
        fields["columns"] = json!(columns(sink.table.schema()));
        fields["input"] = Describe { read: &ReadColumns::new(), step }.table(&sink.table, false);
    }
    fields
}

impl Describe<'_> {
    /// What identifies a row is described where it matters: a program that says so for later keeps its state.
    fn table(&self, table: &Table, identified: bool) -> Value {
        if let Some(step) = (self.step)(table) {
            return json!({ "operator": "step", "step": step });
        }
        self.operation(table, identified)
    }

    fn operation(&self, table: &Table, identified: bool) -> Value {
        match table.operation() {
            Operation::Source(declared) => {
                source(declared, self.read.get(&Arc::as_ptr(declared)).unwrap_or(&BTreeSet::new()))
            }
            Operation::Select { input, columns, keeps_others } => json!({
                "operator": if *keeps_others { "with_columns" } else { "select" },
                "outputs": expressions(columns),
                "input": self.table(input, identified),
            }),
            Operation::Filter { input, predicate } => json!({
                "operator": "filter",
                "predicate": predicate.to_string(),
                "input": self.table(input, identified),
            }),
            Operation::Identify { input, .. } if !identified => self.table(input, false),
            Operation::Identify { input, columns } => json!({
                "operator": "with_id_from",
                "columns": columns.iter().map(Expr::to_string).collect::<Vec<_>>(),
                "input": self.table(input, false),
            }),
            Operation::Combine { inputs, combination } => json!({
                "operator": combination.name(),
                "inputs": inputs.iter().map(|input| self.table(input, true)).collect::<Vec<_>>(),
            }),
            Operation::Group { input, keys, outputs } => json!({
                "operator": "reduce",
                "keys": keys.iter().map(key).collect::<Vec<_>>(),
                "outputs": expressions(outputs),
                "input": self.table(input, false),
            }),
            Operation::Session { input, time, gap, instance, behavior, outputs } => {
                let mut fields = json!({
                    "operator": "session",
                    "time": time.to_string(),
                    "instance": instance.iter().map(Expr::to_string).collect::<Vec<_>>(),
                    "outputs": expressions(outputs),
                    "input": self.table(input, false),
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
                "inputs": inputs.iter().map(|input| self.table(input, false)).collect::<Vec<_>>(),
            }),
            Operation::Flatten { input, column } => json!({
                "operator": "flatten",
                "column": column,
                "input": self.table(input, false),
            }),
            Operation::Sliding { input, window, outputs } => {
                let mut fields = json!({
                    "operator": window.name(),
                    "time": window.time.to_string(),
                    "hop": number(&window.hop),
                    "instance": window.instance.iter().map(Expr::to_string).collect::<Vec<_>>(),
                    "outputs": expressions(outputs),
                    "input": self.table(input, false),
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
}

/// The description of a kept table. Whole rows are kept, so the order of columns is described.
pub(crate) fn keep(table: &Table, read: &ReadColumns) -> Value {
    json!({ "operator": "keep", "schema": columns(table.schema()), "input": describe(table, read) })
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
