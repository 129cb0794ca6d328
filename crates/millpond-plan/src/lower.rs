//! Lowering.
use crate::physical::PhysicalPlan;
use crate::table::SinkDecl;
use millpond_error::{Error, Result};

/// Makes the plan that the engine runs of what a program writes.
pub fn lower(_sinks: Vec<SinkDecl>) -> Result<PhysicalPlan> {
    Err(Error::invalid("unfinished"))
}
