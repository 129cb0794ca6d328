//! Computed columns, row by row.

use std::collections::{BTreeMap, BTreeSet};

use millpond_columns::types::{Schema, Type};
use millpond_error::{Origin, Result};
use serde_json::{Value, json};

use super::describe::{Described, expressions};
use super::lower::Lowering;
use super::pipeline::Pipeline;
use super::saved::{Call, Saver};
use super::{Operation, Table};
use crate::diagnostics;
use crate::eval::Root;
use crate::expr::{Expr, col, if_else};
use crate::literal::Literal;
use crate::typing;

#[derive(Debug)]
struct Select {
    columns: Vec<(String, Expr)>,
    as_written: Written,
}

/// How the columns are said. What a program does not name it need not have, nor its state.
#[derive(Debug)]
enum Written {
    /// These and no others.
    Columns,
    /// These, beside the input's others.
    With,
    /// All, of which these get other names.
    Renamed(Vec<(String, String)>),
    /// All but these.
    Without(Vec<String>),
}

impl Table {
    /// These columns and no others.
    pub fn select(&self, columns: Vec<(String, Expr)>, origin: &Origin) -> Result<Table> {
        let columns = self.bind_all(columns).map_err(|error| error.at(origin))?;
        self.selected(columns, Written::Columns, origin)
    }

    /// All columns of this table; those named in `columns` are replaced in their place, or added at the end.
    pub fn with_columns(&self, columns: Vec<(String, Expr)>, origin: &Origin) -> Result<Table> {
        let names = columns.iter().map(|(name, _)| name.as_str());
        diagnostics::unique("with_columns", names).map_err(|error| error.at(origin))?;
        let columns = self.bind_all(columns).map_err(|error| error.at(origin))?;
        self.selected(columns, Written::With, origin)
    }

    /// All columns but these.
    pub fn without(&self, names: &[String], origin: &Origin) -> Result<Table> {
        diagnostics::known("without", self.schema(), names).map_err(|error| error.at(origin))?;
        let kept = self.schema().columns().iter().filter(|column| !names.contains(&column.name));
        let columns: Vec<_> = kept.map(|column| (column.name.clone(), col(&column.name))).collect();
        self.selected(columns, Written::Without(names.to_vec()), origin)
    }

    /// The same columns in the same places; each pair is the name of a column and the name that it gets.
    pub fn rename(&self, names: &[(String, String)], origin: &Origin) -> Result<Table> {
        let old: Vec<String> = names.iter().map(|(old, _)| old.clone()).collect();
        diagnostics::known("rename", self.schema(), &old).map_err(|error| error.at(origin))?;
        let renamed = |name: &String| {
            let new = names.iter().find(|(old, _)| old == name);
            new.map_or_else(|| name.clone(), |(_, new)| new.clone())
        };
        let columns = self.schema().columns().iter();
        let columns: Vec<_> = columns.map(|column| (renamed(&column.name), col(&column.name))).collect();
        diagnostics::unique("rename", columns.iter().map(|(name, _)| name.as_str()))
            .map_err(|error| error.at(origin))?;
        self.selected(columns, Written::Renamed(names.to_vec()), origin)
    }

    /// The same columns, these cast to other types as [`Expr::cast`] does it.
    pub fn cast_to_types(&self, types: &[(String, Type)], origin: &Origin) -> Result<Table> {
        let names: Vec<String> = types.iter().map(|(name, _)| name.clone()).collect();
        diagnostics::known("cast_to_types", self.schema(), &names).map_err(|error| error.at(origin))?;
        let casts = types.iter().map(|(name, ty)| (name.clone(), col(name).cast(*ty).at(origin.clone())));
        self.with_columns(casts.collect(), origin)
    }

    fn selected(&self, columns: Vec<(String, Expr)>, as_written: Written, origin: &Origin) -> Result<Table> {
        let select = Select { columns, as_written };
        let schema = typing::select(self.schema(), &select.all(self.schema())).map_err(|error| error.at(origin))?;
        Ok(self.row_by_row(select, schema, origin))
    }
}

impl Select {
    /// All columns that it gives, of an input with this schema.
    fn all(&self, schema: &Schema) -> Vec<(String, Expr)> {
        match self.as_written {
            Written::With => all_columns(schema, &self.columns),
            _ => self.columns.clone(),
        }
    }
}

impl Operation for Select {
    fn describe(&self, of: &Described<'_>) -> Option<Value> {
        let input = of.inputs[0];
        let outputs = || expressions(&self.columns);
        Some(match &self.as_written {
            Written::Columns => json!({ "operator": "select", "outputs": outputs(), "input": input }),
            Written::With => json!({ "operator": "with_columns", "outputs": outputs(), "input": input }),
            Written::Renamed(names) => {
                let names: BTreeMap<&String, &String> = names.iter().map(|(old, new)| (old, new)).collect();
                json!({ "operator": "rename", "names": names, "input": input })
            }
            Written::Without(names) => {
                let names: BTreeSet<&String> = names.iter().collect();
                json!({ "operator": "without", "columns": names, "input": input })
            }
        })
    }

    fn asks_identity(&self, identified: bool) -> bool {
        identified
    }

    fn save(&self, saver: &mut Saver) -> (&'static str, Value) {
        match &self.as_written {
            Written::Columns => ("select", json!({ "columns": saver.named(&self.columns) })),
            Written::With => ("with_columns", json!({ "columns": saver.named(&self.columns) })),
            Written::Renamed(names) => ("rename", json!({ "names": names })),
            Written::Without(names) => ("without", json!({ "columns": names })),
        }
    }

    fn lower(&self, table: &Table, lowering: &mut Lowering) -> Result<Pipeline> {
        let input = &table.inputs()[0];
        let mut rows = lowering.pipeline(input)?;
        let columns = self.all(input.schema());
        let mut selected = Vec::with_capacity(columns.len());
        for (name, expr) in columns {
            let term = rows.term(input.schema(), |terms, scope| typing::term(terms, scope, &expr))?;
            selected.push((name, Root { term, origin: rows.origin(term, expr.origin()) }));
        }
        lowering.tap_columns(table, "select", &rows, &selected);
        Ok(Pipeline { columns: selected, schema: table.schema().clone(), ..rows })
    }
}

/// The table of a saved `select`.
pub(super) fn load(call: &Call<'_>) -> Result<Table> {
    call.this()?.select(call.named("columns")?, &call.origin)
}

/// The table of a saved `with_columns`.
pub(super) fn load_with_columns(call: &Call<'_>) -> Result<Table> {
    call.this()?.with_columns(call.named("columns")?, &call.origin)
}

/// The table of a saved `rename`.
pub(super) fn load_rename(call: &Call<'_>) -> Result<Table> {
    call.this()?.rename(&call.value::<Vec<(String, String)>>("names")?, &call.origin)
}

/// The table of a saved `without`.
pub(super) fn load_without(call: &Call<'_>) -> Result<Table> {
    call.this()?.without(&call.value::<Vec<String>>("columns")?, &call.origin)
}

/// What `with_columns` selects: the columns of `schema`, with those of `columns` in their place or at the end.
fn all_columns(schema: &Schema, columns: &[(String, Expr)]) -> Vec<(String, Expr)> {
    let kept = schema.columns().iter().map(|kept| {
        let new = columns.iter().find(|(name, _)| *name == kept.name);
        new.cloned().unwrap_or_else(|| (kept.name.clone(), col(&kept.name)))
    });
    let added = columns.iter().filter(|(name, _)| schema.index_of(name).is_none()).cloned();
    kept.chain(added).collect()
}

/// The tables that become one of this schema, with JSON's null as none in columns that hold nulls there.
pub(super) fn json_or_none(inputs: Vec<Table>, schema: &Schema, origin: &Origin) -> Result<Vec<Table>> {
    let optional = |name: &str| schema.index_of(name).is_some_and(|at| schema.columns()[at].ty.optional);
    let with_none = |table: Table| {
        let columns = table.schema().columns().iter();
        let json = columns.filter(|column| column.ty == Type::Json.required() && optional(&column.name));
        // A branch that may be none makes the value optional.
        let columns: Vec<_> =
            json.map(|column| (column.name.clone(), if_else(true, col(&column.name), Literal::None))).collect();
        if columns.is_empty() { Ok(table) } else { table.with_columns(columns, origin) }
    };
    inputs.into_iter().map(with_none).collect()
}
