//! The contract of stateful operators: pure functions from changes to changes, with arrangements for memory.

use millpond_error::Result;

use crate::arrangement::{Arrangement, SavedArrangement};
use crate::changes::{Changes, Epoch};
use crate::keyed::KeyedChanges;
use crate::operators::Windowed;

/// One worker's share of a stateful operator: the keys of one contiguous range of hashes.
pub trait Operator: Send {
    /// Opens the saved arrangements of this operator, by name, cut to this worker's key range. Called at most once,
    /// before the first step; not called when there is no saved state.
    fn open(&mut self, saved: Vec<(String, SavedArrangement)>) -> Result<()>;

    /// Applies one epoch's input and hands the output changes to `emit`, batch by batch: net changes only, and all
    /// changes of one key in one batch (sessions that are shown late, or forgotten, excepted). `input` yields one entry for
    /// each *bucket*, in ascending, disjoint ranges of hashes (a fixed number of them, so that one fits the cache unless the
    /// epoch is very large or its keys are few); rows inside are in no particular order. Bad data (an overflowing sum) is an
    /// `Input` error that ends the run; so is state that could not be read.
    fn step(
        &mut self,
        epoch: Epoch,
        input: &mut dyn Iterator<Item = KeyedChanges>,
        emit: &mut dyn FnMut(Changes),
    ) -> Result<()>;

    /// Hands the sum of all changes emitted so far to `emit`. Called only between epochs.
    fn snapshot(&self, emit: &mut dyn FnMut(Changes)) -> Result<()>;

    /// What a checkpoint saves, by name. The names and schemas are fixed when the operator is made.
    fn arrangements(&mut self) -> Vec<(&'static str, &mut Arrangement)>;

    /// The operator as one that follows a watermark: before a step, it is told how far time has come.
    fn windowed(&mut self) -> Option<&mut Windowed>;
}
