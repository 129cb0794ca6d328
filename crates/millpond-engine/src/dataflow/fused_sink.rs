//! The maps and the sink behind a keyed operator, where nothing else reads any of them.
//!
//! A keyed operator makes all changes of an epoch in one go. A fused sink takes each batch as it comes, while the
//! cache holds it, so that no epoch's results wait in memory as a whole.

use std::sync::Arc;

use millpond_error::Result;
use millpond_plan::eval::MapStage;
use millpond_plan::physical::{Consolidate, NodeId, OperatorSpec, PhysicalPlan};

use crate::changes::Changes;
use crate::consolidate::consolidate;
use crate::hash::HashSeed;

/// Stateless maps one after another, up to a sink.
#[derive(Clone, Debug)]
pub(crate) struct FusedSink {
    maps: Vec<(Arc<MapStage>, Consolidate)>,
    /// The index of the sink.
    pub sink: usize,
}

impl FusedSink {
    /// What stands behind `node`, if it is a fused sink.
    pub(crate) fn behind(plan: &PhysicalPlan, mut node: NodeId) -> Option<Self> {
        let mut maps = Vec::new();
        loop {
            let mut readers =
                (0..plan.nodes.len()).filter(|&other| plan.nodes[other].inputs().any(|input| input == node));
            let (Some(reader), None) = (readers.next(), readers.next()) else { return None };
            match &plan.nodes[reader].operator {
                OperatorSpec::Map { consolidate: Consolidate::ByRow, .. } => return None,
                OperatorSpec::Map { stage, consolidate } => maps.push((stage.clone(), *consolidate)),
                OperatorSpec::Sink { index } => return Some(FusedSink { maps, sink: *index }),
                _ => return None,
            }
            node = NodeId(reader);
        }
    }

    /// What the sink gets of these changes.
    pub(crate) fn apply(&self, changes: Changes, seed: HashSeed) -> Result<Changes> {
        self.maps.iter().try_fold(changes, |changes, (stage, mode)| mapped(stage, *mode, changes, seed))
    }
}

/// What a map makes of changes. Rows that cancel and are in one batch are brought together.
pub(crate) fn mapped(stage: &MapStage, mode: Consolidate, changes: Changes, seed: HashSeed) -> Result<Changes> {
    let apply = |changes: &Changes| stage.apply(&changes.columns, changes.rows, changes.diffs.each());
    let (changes, mapped) = match apply(&changes) {
        Ok(mapped) => (changes, mapped),
        // A row that goes in the epoch in which it came is none, whatever is wrong with it.
        Err(_) if !changes.diffs.insert_only() => {
            let net = consolidate(changes, seed)?;
            let mapped = apply(&net)?;
            (net, mapped)
        }
        Err(error) => return Err(error),
    };
    let diffs = match &mapped.selection {
        Some(kept) => changes.diffs.filter(kept),
        None => changes.diffs,
    };
    let changes = Changes { columns: mapped.columns, rows: mapped.rows, diffs };
    let cancels = mode == Consolidate::InBatch && !changes.diffs.insert_only();
    if cancels { consolidate(changes, seed) } else { Ok(changes) }
}
