//! Descriptions of tables, as JSON: everything that the rows of a table depend on, as the program says it.
//!
//! Two programs may share the state of a step if its descriptions are equal. So whatever the layout of a state depends
//! on is either described, or follows from a description alone: outputs are described without their order, and reducers
//! are laid out in the order of the outputs' names.
//!
//! Of a source only the columns count that are read: what a schema says beside them changes no row.

use std::collections::{BTreeSet, HashMap};

use millpond_columns::types::Schema;
use serde_json::{Map, Value, json};

use super::{SinkDecl, Table};
use crate::declare::SourceDecl;
use crate::expr::Expr;
use crate::literal::Literal;
use crate::notation::Speller;

/// What is read of each source, by its place in memory.
pub(super) type ReadColumns = HashMap<*const SourceDecl, Read>;

/// What is read of a source.
#[derive(Default)]
pub(super) struct Read {
    /// The name of its step.
    pub name: String,
    /// The positions of its columns.
    pub columns: BTreeSet<usize>,
}

/// The description of a table and of all before it, of whose sources these columns are read: a list of operators, each
/// after those that it is made of, whose numbers it names. The last is the table's own. Equal operators are one, so the
/// list says the same however the program shares its tables.
pub(super) fn describe(table: &Table, read: &ReadColumns, logged: &[String]) -> Value {
    let mut description = Description::new(read, logged, &|_| None);
    description.add(table, false);
    Value::Array(description.operators)
}

/// The description of a kept table. Whole rows are kept, so the order of columns is described.
pub(super) fn keep(table: &Table, read: &ReadColumns, logged: &[String]) -> Value {
    let mut description = Description::new(read, logged, &|_| None);
    let input = description.add(table, false);
    description.push(json!({ "operator": "keep", "schema": columns(table.schema()), "input": input }));
    Value::Array(description.operators)
}

/// What a source is, and what is read of it. It has a name, since another one may be alike: a step on the one is none
/// on the other.
pub(super) fn source(source: &SourceDecl, name: &str, read: &BTreeSet<usize>) -> Value {
    // Rows that replace others are kept whole.
    let keeps_rows = source.description["primary_key"].as_array().is_some_and(|key| !key.is_empty());
    let columns = source.schema.columns().iter().enumerate();
    let columns: Map<String, Value> = columns
        .filter(|(at, _)| keeps_rows || read.contains(at))
        .map(|(_, column)| (column.name.clone(), Value::from(column.ty.name())))
        .collect();
    let mut settings = source.description.clone();
    for of_columns in settings.as_object_mut().into_iter().flatten().filter_map(|(_, setting)| setting.as_object_mut())
    {
        of_columns.retain(|column, _| columns.contains_key(column));
    }
    json!({
        "operator": "source",
        "name": name,
        "kind": source.kind,
        "columns": columns,
        "append_only": source.append_only,
        "settings": settings,
    })
}

/// What an output gets: all that makes what it got before and what it gets now one history. A table that is a step is
/// only named: what it is, is said by itself.
pub(super) fn output(sink: &SinkDecl, logged: &[String], step: &dyn Fn(&Table) -> Option<String>) -> Value {
    let mut fields = json!({ "operator": "output", "kind": sink.kind });
    if let Some(settings) = sink.description.as_object() {
        settings.iter().for_each(|(name, value)| fields[name] = value.clone());
    }
    let read = ReadColumns::new();
    let mut description = Description::new(&read, logged, step);
    if !sink.keeps_table {
        fields["columns"] = json!(columns(sink.table.schema()));
        fields["input"] = json!(description.add(&sink.table, false));
    }
    description.push(fields);
    Value::Array(description.operators)
}

/// A table, and whether what identifies its rows matters. That is described where it does: a program that says so for
/// later keeps its state.
type Part<'a> = (&'a Table, bool);

/// What an operation describes itself with.
pub(super) struct Described<'a> {
    /// The numbers of its inputs.
    pub inputs: &'a [usize],
    /// Whether what identifies its rows matters.
    pub identified: bool,
    /// What is read of the sources.
    pub read: &'a ReadColumns,
    /// What an error log tells of.
    pub logged: &'a [String],
}

struct Description<'a> {
    /// What is read of the sources.
    read: &'a ReadColumns,
    /// What an error log tells of.
    logged: &'a [String],
    /// The name of a table that is a step, where it is enough to name it.
    step: &'a dyn Fn(&Table) -> Option<String>,
    operators: Vec<Value>,
    /// The number of each operator by its text.
    known: HashMap<String, usize>,
}

impl<'a> Description<'a> {
    fn new(read: &'a ReadColumns, logged: &'a [String], step: &'a dyn Fn(&Table) -> Option<String>) -> Self {
        Description { read, logged, step, operators: Vec::new(), known: HashMap::new() }
    }

    /// The number of a table, which is added with all before it: without recursion, for a program may chain many.
    fn add(&mut self, table: &Table, identified: bool) -> usize {
        let mut numbers: HashMap<(*const (), bool), usize> = HashMap::new();
        let key = |(table, identified): Part<'_>| (table.address(), identified);
        let mut waiting: Vec<Part<'_>> = vec![(table, identified)];
        while let Some(&part) = waiting.last() {
            let step = (self.step)(part.0);
            let parts = if step.is_some() { Vec::new() } else { before(part) };
            let missing = parts.iter().rev().filter(|part| !numbers.contains_key(&key(**part)));
            let mut missing: Vec<Part<'_>> = missing.copied().collect();
            if !missing.is_empty() {
                waiting.append(&mut missing);
                continue;
            }
            let inputs: Vec<usize> = parts.iter().map(|part| numbers[&key(*part)]).collect();
            let described = match step {
                Some(step) => Some(json!({ "operator": "step", "step": step })),
                None => {
                    let of = Described { inputs: &inputs, identified: part.1, read: self.read, logged: self.logged };
                    part.0.operation().describe(&of)
                }
            };
            let number = described.map_or_else(|| inputs[0], |operator| self.push(operator));
            numbers.insert(key(part), number);
            waiting.pop();
        }
        numbers[&key((table, identified))]
    }

    fn push(&mut self, operator: Value) -> usize {
        let next = self.operators.len();
        let number = *self.known.entry(operator.to_string()).or_insert(next);
        if number == next {
            self.operators.push(operator);
        }
        number
    }
}

/// What comes before a table.
fn before((table, identified): Part<'_>) -> Vec<Part<'_>> {
    let asks = table.operation().asks_identity(identified);
    table.inputs().iter().map(|input| (input, asks)).collect()
}

/// Named expressions, whatever their order.
pub(super) fn expressions(named: &[(String, Expr)]) -> Map<String, Value> {
    named.iter().map(|(name, expr)| (name.clone(), Value::from(expr.to_string()))).collect()
}

/// A literal, ints as such.
pub(super) fn number(value: &Literal) -> Value {
    match value {
        Literal::Int(value) => Value::from(*value),
        other => Value::from(other.to_string()),
    }
}

/// `user_id`, or `minute = time // 60`.
pub(super) fn key((name, expr): &(String, Expr)) -> String {
    let (name, text) = (Speller::PLAN.column(name), expr.to_string());
    if name == text { text } else { format!("{name} = {text}") }
}

fn columns(schema: &Schema) -> Vec<String> {
    schema
        .columns()
        .iter()
        .map(|column| format!("{}: {}", Speller::PLAN.column(&column.name), column.ty.name()))
        .collect()
}
