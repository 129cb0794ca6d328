//! What tables stand on in the lowering: sources, keyed operators, concats and flattens.

use std::collections::BTreeSet;
use std::sync::Arc;

use millpond_columns::types::Schema;
use serde_json::json;

use super::pipeline::Pipeline;
use super::{Table, describe};
use crate::declare::SourceDecl;
use crate::eval::{MapStage, Root};
use crate::physical::{Consolidate, KeyedSpec, Step};
use crate::terms::{Op, TermId, Terms};
use crate::typing;

/// A node of the plan that is more than a map, with the rows that it reads.
pub(crate) struct Anchor {
    pub(super) operator: AnchorOperator,
    /// The rows of each of its ports.
    pub(super) inputs: Vec<Pipeline>,
    /// Its output, unpruned.
    pub(super) schema: Schema,
    pub(super) append_only: bool,
    pub(super) step: Step,
    /// Columns of the output that are needed, for one without a key.
    pub(super) used: BTreeSet<usize>,
    /// What its table makes of the output.
    pub(super) results: Results,
}

pub(super) enum AnchorOperator {
    Source(Arc<SourceDecl>),
    /// `cancels`: a row that one input removes may be a row that another one adds.
    Concat {
        cancels: bool,
    },
    /// `column` of its rows is lists, whose elements it gives; `cancels`: as of a concat.
    Flatten {
        column: usize,
        cancels: bool,
    },
    Keyed(Keyed),
}

/// An operator that keeps state by key.
pub(super) struct Keyed {
    pub(super) spec: Arc<dyn KeyedSpec>,
    /// The key columns of each port.
    pub(super) keys: Vec<Vec<usize>>,
    /// The first of the two columns of port 0, from the int of which to that of the other each row is repeated before.
    pub(super) expands: Option<usize>,
    /// The column of port 0, before rows are repeated, whose greatest value is the watermark.
    pub(super) clock: Option<usize>,
    /// Where changes that cancel may be in the output.
    pub(super) output: KeyedOutput,
}

/// How the changes of one key come out of a keyed operator.
pub(super) struct KeyedOutput {
    /// How many columns the key has, which are the first of the output.
    pub(super) keys: usize,
    /// Results, each of which tells the last column of the key.
    pub(super) tells_last: Vec<TermId>,
    /// Whether they may be in several batches.
    pub(super) scatters: bool,
}

impl KeyedOutput {
    /// All changes of a key in one batch.
    pub(super) fn by_key(keys: usize) -> Self {
        KeyedOutput { keys, tells_last: Vec::new(), scatters: false }
    }
}

/// The columns of a table as terms over the output of what it stands on, and what identifies its rows.
#[derive(Clone, Default)]
pub(super) struct Results {
    pub(super) terms: Terms,
    pub(super) columns: Vec<Root>,
    pub(super) identity: Vec<Root>,
}

impl Results {
    /// The columns as they are.
    pub(super) fn plain(schema: &Schema) -> Self {
        let mut terms = Terms::default();
        let columns = typing::input_terms(&mut terms, schema);
        let columns = columns.into_iter().map(|term| Root { term, origin: None }).collect();
        Results { terms, columns, identity: Vec::new() }
    }
}

impl Anchor {
    /// An anchor whose output is the table.
    pub(super) fn new(operator: AnchorOperator, inputs: Vec<Pipeline>, table: &Table, step: Step) -> Self {
        let (schema, append_only, results) =
            (table.schema().clone(), table.append_only(), Results::plain(table.schema()));
        Anchor { operator, inputs, schema, append_only, step, used: BTreeSet::new(), results }
    }

    /// Whether it gives only the columns that are needed of it. What a keyed operator keeps never depends on who reads
    /// it.
    pub(super) fn is_pruned(&self) -> bool {
        !matches!(self.operator, AnchorOperator::Keyed(_))
    }

    /// Whether it has a state of its own, a position included.
    pub(super) fn keeps_state(&self) -> bool {
        matches!(self.operator, AnchorOperator::Source(_) | AnchorOperator::Keyed(_))
    }

    /// Which columns of its inputs it needs, if these columns of its output are needed; `None` stands for all.
    pub(super) fn needs(&self, output: &BTreeSet<usize>) -> Option<BTreeSet<usize>> {
        match self.operator {
            AnchorOperator::Source(_) | AnchorOperator::Concat { .. } => Some(output.clone()),
            AnchorOperator::Flatten { column, .. } => Some(output.iter().copied().chain([column]).collect()),
            AnchorOperator::Keyed(_) => None,
        }
    }

    /// Its step, now that it is known who reads it.
    pub(super) fn described_step(&self) -> Step {
        match &self.operator {
            AnchorOperator::Source(source) => Step {
                description: json!([describe::source(source, &self.step.name, &self.used)]),
                ..self.step.clone()
            },
            _ => self.step.clone(),
        }
    }

    /// Positions of the columns that its node gives.
    pub(super) fn outputs(&self) -> Vec<usize> {
        if self.is_pruned() { self.used.iter().copied().collect() } else { (0..self.schema.len()).collect() }
    }

    pub(super) fn used_schema(&self) -> Schema {
        let columns = self.schema.columns();
        Schema::new(self.outputs().into_iter().map(|i| (columns[i].name.clone(), columns[i].ty)))
    }

    /// Whether a row that it removes may be one that it adds elsewhere in the same epoch, once columns are left out.
    pub(super) fn cancels(&self) -> bool {
        match self.operator {
            AnchorOperator::Source(_) => !self.append_only,
            AnchorOperator::Concat { cancels } | AnchorOperator::Flatten { cancels, .. } => cancels,
            AnchorOperator::Keyed(_) => !self.append_only,
        }
    }

    /// Whether it adds up what comes in one epoch itself.
    pub(super) fn adds_up(&self) -> bool {
        match self.operator {
            AnchorOperator::Source(_) => false,
            AnchorOperator::Concat { cancels } | AnchorOperator::Flatten { cancels, .. } => cancels,
            AnchorOperator::Keyed(_) => true,
        }
    }

    /// How rows that cancel after this stage are brought together.
    pub(super) fn consolidate(&self, rows: &Pipeline, stage: &MapStage) -> Consolidate {
        if !self.cancels() {
            return Consolidate::No;
        }
        let AnchorOperator::Keyed(Keyed { output, .. }) = &self.operator else {
            // A source gives only what is used of its rows, which may be the same of two.
            let thins = matches!(self.operator, AnchorOperator::Source(_)) && self.used.len() < self.schema.len();
            return if stage.keeps(0..self.used.len()) && !thins { Consolidate::No } else { Consolidate::ByRow };
        };
        // A null that stands for an error tells nothing, but a loosened column has none unless the run ends for it.
        let strict = |term| match rows.terms.op(term) {
            Op::Loosened(inner) => *inner,
            _ => term,
        };
        let told = rows.columns.iter().any(|(_, root)| output.tells_last.contains(&strict(root.term)));
        let before_last = output.keys - usize::from(!output.tells_last.is_empty());
        if stage.keeps(0..self.schema.len()) {
            Consolidate::No
        } else if output.scatters {
            Consolidate::ByRow
        } else if stage.keeps(0..output.keys) || told && stage.keeps(0..before_last) {
            Consolidate::InBatch
        } else {
            Consolidate::ByRow
        }
    }
}
