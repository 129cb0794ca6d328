//! Evaluation.
use arrow_array::{ArrayRef, BooleanArray};
use millpond_error::{Error, Result};

/// Filters and computed columns of consecutive table operations, fused: what a stateless node of the plan does.
#[derive(Clone, Debug)]
pub struct MapStage {}

/// What a [`MapStage`] makes of a batch.
#[derive(Clone, Debug)]
pub struct Mapped {
    /// The output columns, each `rows` long.
    pub columns: Vec<ArrayRef>,
    /// The number of rows that were kept.
    pub rows: usize,
    /// Which rows of the input were kept, without nulls; `None` if all were.
    pub selection: Option<BooleanArray>,
}

impl MapStage {
    /// Evaluates the stage over the columns of a batch of `rows` rows.
    ///
    /// # Errors
    ///
    /// An `Input` error if a cell of the output, or of a predicate, is an error value.
    pub fn apply(&self, _columns: &[ArrayRef], _rows: usize) -> Result<Mapped> {
        Err(Error::invalid("unfinished"))
    }
}
