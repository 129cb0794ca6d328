//! Combinations: the rows of all tables become one table of identity, number of the table and other columns, which one
//! keyed operator reads.
//!
//! The other columns are laid out in the order of their names, since that of the outputs of a select is not described.
//! A column that is the identity, or a part of it, in every table that gives it is not kept twice.

use std::collections::BTreeSet;

use millpond_columns::types::{ColumnType, Schema, Type};
use millpond_error::Result;

use super::{Anchor, AnchorOperator, Lowering, Pipeline};
use crate::combine::Combination;
use crate::eval::Root;
use crate::literal::Literal;
use crate::physical::CombineSpec;
use crate::table::Table;
use crate::terms::{TermId, Terms};
use crate::typing;

impl Lowering {
    /// The base that a combination of tables is.
    pub(super) fn combine(&mut self, table: &Table, inputs: &[Table], combination: Combination) -> Result<Anchor> {
        let mut fused = inputs.iter().map(|input| self.fuse(input)).collect::<Result<Vec<_>>>()?;
        let giving = if combination.updates() { 2 } else { 1 };
        let identity = named_types(table.identity().expect("a combination has an identity"));
        let key = identity.len();
        let mut columns = named_types(table.schema());
        columns.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        columns.retain(|(name, _)| part_of_identity(&fused[..giving], name).is_none());
        let place = |name: &str| {
            let column = columns.iter().position(|(other, _)| other == name).map(|column| key + column);
            column.or_else(|| part_of_identity(&fused[..giving], name)).expect("it is one or the other")
        };
        let places: Vec<usize> = table.schema().columns().iter().map(|column| place(&column.name)).collect();
        let updates = |name: &str| combination.updates() && inputs[1].schema().index_of(name).is_some();
        let spec = CombineSpec {
            combination,
            key: (0..key).collect(),
            table: key,
            tables: inputs.len(),
            row: (key + 1..key + 1 + columns.len()).collect(),
            updated: (0..columns.len()).filter(|&column| updates(&columns[column].0)).collect(),
            origin: table.origin().clone(),
        };
        let mut outputs: Vec<(String, ColumnType)> = identity.iter().chain(&columns).cloned().collect();
        // That another table's identity may be null makes no cell null that comes from this one.
        places.iter().zip(table.schema().columns()).for_each(|(place, column)| outputs[*place].1 = column.ty);
        for (number, rows) in fused.iter_mut().enumerate() {
            rows.tag(number, number < giving, &identity, &columns);
        }
        self.bring_together(&mut fused);
        let rows: Vec<&Pipeline> = fused.iter().collect();
        let step = self.step(&rows, combination.name(), table);
        let operator = AnchorOperator::Combine { inputs: fused, spec, places };
        let schema = Schema::new(outputs);
        Ok(Anchor { operator, schema, append_only: table.append_only(), step, used: BTreeSet::new() })
    }

    /// Gives all the same schema, where a column is optional that is so in one of them.
    fn bring_together(&mut self, tables: &mut [Pipeline]) {
        let mut columns = named_types(&tables[0].schema);
        for rows in tables.iter() {
            let types = rows.schema.columns().iter();
            columns.iter_mut().zip(types).for_each(|((_, ty), column)| ty.optional |= column.ty.optional);
        }
        for rows in tables {
            rows.schema = Schema::new(columns.iter().cloned());
            self.use_columns(rows);
        }
    }

    /// A combination of tables over its base.
    pub(super) fn combined(&self, base: usize, table: &Table) -> Pipeline {
        let AnchorOperator::Combine { spec, places, .. } = &self.bases[base].operator else {
            unreachable!("the base of a combination is one")
        };
        let mut terms = Terms::default();
        let outputs = typing::input_terms(&mut terms, &self.bases[base].schema);
        let root = |term: TermId| Root { term, origin: None };
        let names = table.schema().columns().iter().map(|column| column.name.clone());
        Pipeline {
            base,
            terms,
            predicates: Vec::new(),
            columns: names.zip(places).map(|(name, place)| (name, root(outputs[*place]))).collect(),
            identity: outputs[..spec.key.len()].iter().map(|term| root(*term)).collect(),
            schema: table.schema().clone(),
        }
    }
}

/// Where in the identity a column stands, if it does so in each of these tables that has it.
fn part_of_identity(tables: &[Pipeline], name: &str) -> Option<usize> {
    let mut parts = tables.iter().filter_map(|rows| {
        let (_, column) = rows.columns.iter().find(|(other, _)| other == name)?;
        Some(rows.identity.iter().position(|part| part.term == column.term))
    });
    let first = parts.next()??;
    parts.all(|part| part == Some(first)).then_some(first)
}

fn named_types(schema: &Schema) -> Vec<(String, ColumnType)> {
    schema.columns().iter().map(|column| (column.name.clone(), column.ty)).collect()
}

impl Pipeline {
    /// Makes it `identity, number, columns`; where it does not give the columns, they are null.
    fn tag(&mut self, number: usize, gives: bool, identity: &[(String, ColumnType)], columns: &[(String, ColumnType)]) {
        let mut tagged: Vec<(String, Root)> =
            identity.iter().map(|(name, _)| name.clone()).zip(self.identity.clone()).collect();
        let term = typing::literal(&mut self.terms, Literal::Int(number as i64));
        tagged.push(("table".to_owned(), Root { term, origin: None }));
        for (name, ty) in columns {
            let given = self.columns.iter().find(|(other, _)| gives && other == name).map(|(_, root)| root.clone());
            let null = |terms: &mut Terms| Root { term: typing::typed_none(terms, ty.ty), origin: None };
            tagged.push((name.clone(), given.unwrap_or_else(|| null(&mut self.terms))));
        }
        let types = tagged
            .iter()
            .map(|(name, root)| (name.clone(), self.terms.ty(root.term).column().unwrap_or(Type::Int.required())));
        self.schema = Schema::new(types);
        self.columns = tagged;
    }
}
