//! A plan as bytes, from which it is made again without the program: what the tables of a program are made of, written
//! down as the calls that make them.
//!
//! Reading a plan makes the same calls, so whatever is checked of a program is checked of a saved plan, and the bytes
//! are trusted for nothing. Places in the program are left out, since they change without it: the tables of a plan
//! that was read are said to be made in its file. It has no connectors either, so that it can be lowered, explained and
//! compared, and not run.

use std::collections::HashMap;
use std::sync::Arc;

use millpond_error::{Error, Origin, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{OnError, SinkDecl, Table, loader, lower};
use crate::deep::deep_of;
use crate::expr::{Expr, ExprKind};
use crate::physical::PhysicalPlan;
use crate::saved_plan::SavedPlan;

/// The format that is written; others are refused.
const FORMAT: u32 = 1;
const FIRST_WORDS: &str = "millpond plan ";

/// What its JSON says.
#[derive(Serialize, Deserialize)]
struct Document {
    /// Each after its operands, whose numbers it has; equal ones are one.
    expressions: Vec<ExprKind<usize>>,
    /// Each after those that it is made of.
    tables: Vec<SavedTable>,
    outputs: Vec<SavedOutput>,
}

/// The call that makes a table.
#[derive(Serialize, Deserialize)]
struct SavedTable {
    operation: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    inputs: Vec<usize>,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    arguments: Map<String, Value>,
    /// What the program calls its state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct SavedOutput {
    name: String,
    kind: String,
    table: usize,
    keeps_table: bool,
    settings: Value,
}

impl SavedPlan {
    /// The plan of the program that has these outputs.
    pub fn of(sinks: &[SinkDecl]) -> SavedPlan {
        let mut saver = Saver::default();
        let mut outputs = Vec::with_capacity(sinks.len());
        for sink in sinks {
            outputs.push(SavedOutput {
                name: sink.name.clone(),
                kind: sink.kind.clone().into_owned(),
                table: saver.table(&sink.table),
                keeps_table: sink.keeps_table,
                settings: sink.description.clone(),
            });
        }
        let document = Document { expressions: saver.expressions, tables: saver.tables, outputs };
        let mut bytes = format!("{FIRST_WORDS}{FORMAT}\n").into_bytes();
        serde_json::to_writer(&mut bytes, &document).expect("plain data always has a JSON form");
        bytes.push(b'\n');
        SavedPlan::from_bytes(bytes)
    }

    /// The outputs of the program, with the tables that they write. `path` is where the plan is kept: tables are said
    /// to be made there, each at the line of its number from 1.
    ///
    /// # Errors
    ///
    /// `Data`, which begins with `path`, if it is of another version of the format or no plan, or if this version
    /// refuses what it says.
    pub fn sinks(&self, path: &str) -> Result<Vec<SinkDecl>> {
        let document = self.document(path)?;
        let refused = |error: Error| {
            let error = error.message().to_owned();
            Error::data(format!("{path}: this Millpond ({}) refuses the plan: {error}", env!("CARGO_PKG_VERSION")))
        };
        let expressions = expressions(&document.expressions).map_err(refused)?;
        let mut tables: Vec<Table> = Vec::with_capacity(document.tables.len());
        for (number, table) in (1..).zip(&document.tables) {
            let origin = Origin { file: path.to_owned(), line: number };
            let inputs = table.inputs.iter().map(|input| made_before(&tables, *input)).collect::<Result<_>>();
            let made = inputs.and_then(|inputs| {
                Call { inputs, arguments: &table.arguments, expressions: &expressions, origin }.table(table)
            });
            tables.push(made.map_err(refused)?);
        }
        let sink = |(number, output): (u32, SavedOutput)| {
            Ok(SinkDecl {
                table: made_before(&tables, output.table)?,
                name: output.name,
                kind: output.kind.into(),
                description: output.settings,
                keeps_table: output.keeps_table,
                origin: Origin { file: path.to_owned(), line: number },
                connector: Arc::new(()),
            })
        };
        (1..).zip(document.outputs).map(sink).collect::<Result<_>>().map_err(refused)
    }

    /// The plan that its program runs as, lowered by this version: what is kept does not depend on what happens to
    /// errors.
    ///
    /// # Errors
    ///
    /// As of [`SavedPlan::sinks`].
    pub fn lower(&self, path: &str) -> Result<PhysicalPlan> {
        lower(self.sinks(path)?, OnError::default())
    }

    fn document(&self, path: &str) -> Result<Document> {
        let mut lines = self.bytes().split(|&byte| byte == b'\n');
        let first = std::str::from_utf8(lines.next().unwrap_or_default()).unwrap_or_default();
        let version = first.strip_prefix(FIRST_WORDS).and_then(|version| version.parse::<u32>().ok());
        let own = env!("CARGO_PKG_VERSION");
        match version {
            Some(FORMAT) => {}
            Some(version) => {
                let what = format!("{path} is a plan of format {version}; this Millpond ({own}) reads format {FORMAT}");
                return Err(Error::data(what).with_hint("run the program with the Millpond that wrote the plan"));
            }
            None => return Err(Error::data(format!("{path} is no plan: its first line is not that of one"))),
        }
        serde_json::from_slice(lines.next().unwrap_or_default())
            .map_err(|error| Error::data(format!("{path} is no plan that this Millpond ({own}) reads: {error}")))
    }
}

/// What a plan is written with.
#[derive(Default)]
pub(super) struct Saver {
    expressions: Vec<ExprKind<usize>>,
    /// Their numbers by their text.
    known: HashMap<String, usize>,
    /// The numbers of expressions of the program, by their addresses, which live as long as the tables.
    by_address: HashMap<*const (), usize>,
    tables: Vec<SavedTable>,
    table_numbers: HashMap<*const (), usize>,
}

impl Saver {
    /// The number of an expression.
    pub(super) fn expr(&mut self, expr: &Expr) -> usize {
        if let Some(number) = self.by_address.get(&expr.address()) {
            return *number;
        }
        let kind = deep_of(expr.depth(), || expr.kind().map_parts(&mut |part| Ok(self.expr(part))));
        let kind = kind.expect("numbering fails for none");
        let text = serde_json::to_string(&kind).expect("the columns of a table's expressions are of no other table");
        let number = *self.known.entry(text).or_insert(self.expressions.len());
        if number == self.expressions.len() {
            self.expressions.push(kind);
        }
        self.by_address.insert(expr.address(), number);
        number
    }

    /// The numbers of several.
    pub(super) fn exprs<'a>(&mut self, exprs: impl IntoIterator<Item = &'a Expr>) -> Vec<usize> {
        exprs.into_iter().map(|expr| self.expr(expr)).collect()
    }

    /// The numbers of expressions with their names.
    pub(super) fn named<'a>(&mut self, columns: &'a [(String, Expr)]) -> Vec<(&'a str, usize)> {
        columns.iter().map(|(name, expr)| (name.as_str(), self.expr(expr))).collect()
    }

    /// The number of a table, which is added with all before it: without recursion, for a program may chain many.
    fn table(&mut self, table: &Table) -> usize {
        let mut waiting = vec![table];
        while let Some(&table) = waiting.last() {
            let missing =
                table.inputs().iter().rev().filter(|input| !self.table_numbers.contains_key(&input.address()));
            let before = waiting.len();
            waiting.extend(missing);
            if waiting.len() > before {
                continue;
            }
            waiting.pop();
            if self.table_numbers.contains_key(&table.address()) {
                continue;
            }
            let inputs = table.inputs().iter().map(|input| self.table_numbers[&input.address()]).collect();
            let (operation, arguments) = table.operation().save(self);
            let arguments = match arguments {
                Value::Object(arguments) => arguments,
                _ => Map::new(),
            };
            let (operation, name) = (operation.to_owned(), table.name().map(str::to_owned));
            self.table_numbers.insert(table.address(), self.tables.len());
            self.tables.push(SavedTable { operation, inputs, arguments, name });
        }
        self.table_numbers[&table.address()]
    }
}

/// The expressions of a plan, by their numbers.
fn expressions(saved: &[ExprKind<usize>]) -> Result<Vec<Expr>> {
    let mut expressions: Vec<Expr> = Vec::with_capacity(saved.len());
    for kind in saved {
        let kind = kind.map_parts(&mut |number| made_before(&expressions, *number))?;
        expressions.push(Expr::made(kind, None));
    }
    Ok(expressions)
}

/// The part of this number, which stands before what is made of it.
fn made_before<T: Clone>(known: &[T], number: usize) -> Result<T> {
    let missing = || Error::data("a part does not stand before what is made of it");
    known.get(number).cloned().ok_or_else(missing)
}

/// A call that makes a table, as a plan has it.
pub(super) struct Call<'a> {
    inputs: Vec<Table>,
    arguments: &'a Map<String, Value>,
    expressions: &'a [Expr],
    /// Where the table is said to be made.
    pub origin: Origin,
}

impl Call<'_> {
    fn table(&self, saved: &SavedTable) -> Result<Table> {
        let operation = &saved.operation;
        let load = loader(operation).ok_or_else(|| Error::data(format!("the operation {operation:?} is not known")))?;
        let table = load(self)?;
        saved.name.as_deref().map_or(Ok(table.clone()), |name| table.named(name, &self.origin))
    }

    /// The table whose method it is.
    pub(super) fn this(&self) -> Result<&Table> {
        self.inputs.first().ok_or_else(|| Error::data("a table is made of none"))
    }

    /// The other tables.
    pub(super) fn others(&self) -> &[Table] {
        self.inputs.get(1..).unwrap_or_default()
    }

    /// The one other table.
    pub(super) fn other(&self) -> Result<&Table> {
        self.others().first().ok_or_else(|| Error::data("a table is made of one and not of two"))
    }

    /// A plain argument; one that is left out reads as null.
    pub(super) fn value<T: DeserializeOwned>(&self, name: &str) -> Result<T> {
        let value = self.arguments.get(name).cloned().unwrap_or_default();
        serde_json::from_value(value).map_err(|error| Error::data(format!("the argument {name:?}: {error}")))
    }

    /// An expression.
    pub(super) fn expr(&self, name: &str) -> Result<Expr> {
        self.numbered(self.value(name)?)
    }

    /// An expression that may be left out.
    pub(super) fn optional_expr(&self, name: &str) -> Result<Option<Expr>> {
        self.value::<Option<usize>>(name)?.map(|number| self.numbered(number)).transpose()
    }

    /// Several expressions.
    pub(super) fn exprs(&self, name: &str) -> Result<Vec<Expr>> {
        self.value::<Vec<usize>>(name)?.into_iter().map(|number| self.numbered(number)).collect()
    }

    /// Expressions with their names.
    pub(super) fn named(&self, name: &str) -> Result<Vec<(String, Expr)>> {
        let named = self.value::<Vec<(String, usize)>>(name)?.into_iter();
        named.map(|(name, number)| Ok((name, self.numbered(number)?))).collect()
    }

    /// The expression of this number.
    pub(super) fn numbered(&self, number: usize) -> Result<Expr> {
        made_before(self.expressions, number)
    }
}

/// Expressions as a plan gives them back.
#[cfg(test)]
pub(crate) fn made_again(exprs: &[Expr]) -> Vec<Expr> {
    let mut saver = Saver::default();
    let numbers = saver.exprs(exprs);
    let text = serde_json::to_string(&saver.expressions).expect("no column is of another table");
    let saved: Vec<ExprKind<usize>> = serde_json::from_str(&text).expect("what is written can be read");
    let made = expressions(&saved).expect("parts come first");
    numbers.into_iter().map(|number| made[number].clone()).collect()
}
