//! A table in the lowering: filters and computed columns over what it stands on, which become one map.

use std::collections::{BTreeMap, BTreeSet};

use millpond_columns::types::{ColumnType, Schema};
use millpond_error::{Origin, Result};

use super::anchor::Anchor;
use super::carry::Carrying;
use super::reduce::{self, Grouping, Reduction};
use crate::eval::{MapStage, Root};
use crate::expr::Expr;
use crate::terms::{self, TermId, Terms};
use crate::typing::RowScope;

/// The columns of a table as terms over its anchor.
#[derive(Clone)]
pub(crate) struct Pipeline {
    /// The number of the anchor.
    pub(super) anchor: usize,
    /// The columns of the anchor.
    pub(super) anchor_schema: Schema,
    pub(super) terms: Terms,
    pub(super) predicates: Vec<Root>,
    pub(super) columns: Vec<(String, Root)>,
    /// What identifies a row, if the table knows: computed only where an operation takes it up into the columns.
    pub(super) identity: Vec<Root>,
    /// The table's columns, or what a keyed operator reads of them.
    pub(super) schema: Schema,
}

impl Pipeline {
    /// The terms of the columns.
    pub(super) fn column_terms(&self) -> Vec<TermId> {
        self.columns.iter().map(|(_, root)| root.term).collect()
    }

    /// What each column is that can be an error, as the program writes it, and where; of others nothing.
    pub(super) fn written(&self) -> Vec<(String, Option<Origin>)> {
        let written = |root: &Root| match self.terms.is_fallible(root.term) {
            true => (self.terms.to_notation(root.term, &self.anchor_schema), root.origin.clone()),
            false => Default::default(),
        };
        self.columns.iter().map(|(_, root)| written(root)).collect()
    }

    /// A term over the table's columns, which have this schema.
    pub(super) fn term(
        &mut self,
        schema: &Schema,
        make: impl FnOnce(&mut Terms, &mut RowScope<'_>) -> Result<TermId>,
    ) -> Result<TermId> {
        let columns = self.column_terms();
        make(&mut self.terms, &mut RowScope { schema, columns: &columns, in_reducer: false })
    }

    pub(super) fn reduction(
        &mut self,
        schema: &Schema,
        grouping: &Grouping<'_>,
        outputs: &[(String, Expr)],
        errors: &mut Carrying,
    ) -> Result<Reduction> {
        let columns = self.column_terms();
        let written = self.written();
        reduce::reduction(&mut self.terms, schema, (&columns, &written), grouping, outputs, errors)
    }

    /// Makes these terms its columns; `written` is where those are written that are no columns yet.
    pub(super) fn project(&mut self, columns: Vec<(String, TermId)>, written: Option<&Origin>) {
        let types = columns.iter().map(|(name, term)| {
            let ty = self.terms.ty(*term).column().expect("keys and arguments have types");
            (name.clone(), ty)
        });
        self.schema = Schema::new(types);
        let root = |term| Root { term, origin: self.origin(term, written) };
        self.columns = columns.iter().map(|(name, term)| (name.clone(), root(*term))).collect();
    }

    /// The same rows, without columns, with just what their predicates and these terms need; and these terms.
    pub(super) fn part(&self, needed: impl Iterator<Item = TermId>) -> (Pipeline, Vec<TermId>) {
        let roots: Vec<TermId> = self.predicates.iter().map(|root| root.term).chain(needed).collect();
        let (terms, roots) = self.terms.part(&roots);
        let (predicates, needed) = roots.split_at(self.predicates.len());
        let moved = |(root, term): (&Root, &TermId)| Root { term: *term, origin: root.origin.clone() };
        let rows = Pipeline {
            anchor: self.anchor,
            anchor_schema: self.anchor_schema.clone(),
            predicates: self.predicates.iter().zip(predicates).map(moved).collect(),
            terms,
            columns: Vec::new(),
            identity: Vec::new(),
            schema: Schema::new(Vec::<(String, ColumnType)>::new()),
        };
        (rows, needed.to_vec())
    }

    /// Says that the column at this position has the type of its term.
    pub(super) fn retype(&mut self, position: usize) {
        let ty = self.terms.ty(self.columns[position].1.term).column().expect("columns have types");
        let types = self.schema.columns().iter().enumerate();
        self.schema = Schema::new(types.map(|(i, c)| (c.name.clone(), if i == position { ty } else { c.ty })));
    }

    /// Leaves just the columns at these positions, in this order.
    pub(super) fn narrow(&mut self, positions: &[usize]) {
        let types = self.schema.columns();
        self.schema = Schema::new(positions.iter().map(|&i| (types[i].name.clone(), types[i].ty)));
        self.columns = positions.iter().map(|&i| self.columns[i].clone()).collect();
    }

    /// The position of the column that is this term, added at the end if there is none.
    pub(super) fn column_of(&mut self, term: TermId, named: impl FnOnce() -> (&'static str, Option<Origin>)) -> usize {
        let known = self.columns.iter().position(|(_, root)| root.term == term);
        known.unwrap_or_else(|| {
            let (name, origin) = named();
            let ty = self.terms.ty(term).column().expect("a time has a type");
            self.insert_column(self.columns.len(), name, ty, Root { term, origin });
            self.columns.len() - 1
        })
    }

    /// Adds a column at `position`.
    pub(super) fn insert_column(&mut self, position: usize, name: &str, ty: ColumnType, root: Root) {
        let columns = self.schema.columns().iter().map(|column| (column.name.clone(), column.ty));
        let mut columns: Vec<_> = columns.collect();
        columns.insert(position, (name.to_owned(), ty));
        self.schema = Schema::new(columns);
        self.columns.insert(position, (name.to_owned(), root));
    }

    /// The place of a column that is passed on is where it was computed.
    pub(super) fn origin(&self, term: TermId, written: Option<&Origin>) -> Option<Origin> {
        let passed = self.columns.iter().find(|(_, root)| root.term == term);
        passed.map_or_else(|| written.cloned(), |(_, root)| root.origin.clone())
    }

    pub(super) fn roots(&self) -> Vec<TermId> {
        let columns = self.columns.iter().map(|(_, root)| root.term);
        self.predicates.iter().map(|root| root.term).chain(columns).collect()
    }

    /// The columns of the anchor that it needs.
    pub(super) fn inputs(&self) -> Vec<usize> {
        self.terms.inputs(&self.roots())
    }

    /// Those that these columns of the table need; `None` stands for all.
    pub(super) fn inputs_of(&self, columns: Option<&BTreeSet<usize>>) -> Vec<usize> {
        let Some(columns) = columns else { return self.inputs() };
        let predicates = self.predicates.iter().map(|root| root.term);
        let roots: Vec<TermId> = predicates.chain(columns.iter().map(|at| self.columns[*at].1.term)).collect();
        self.terms.inputs(&roots)
    }

    /// The stage, over those columns of the anchor that are used at all.
    pub(super) fn stage(&self, anchor: &Anchor) -> MapStage {
        let used: BTreeMap<usize, usize> =
            anchor.outputs().into_iter().enumerate().map(|(new, old)| (old, new)).collect();
        let terms::Compacted { terms, roots } = self.terms.compact(&self.roots(), |input| used[&input]);
        let mut roots = roots.into_iter();
        let mut moved = |root: &Root| {
            let term = roots.next().expect("each root is moved");
            Root { term, origin: root.origin.clone() }
        };
        let predicates = self.predicates.iter().map(&mut moved).collect();
        let outputs = self.columns.iter().map(|(name, root)| (name.clone(), moved(root))).collect();
        MapStage::new(anchor.used_schema(), terms, predicates, outputs)
    }
}
