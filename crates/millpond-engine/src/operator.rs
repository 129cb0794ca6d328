//! The contract of stateful operators: pure functions from changes to changes, with arrangements for memory.

use millpond_error::Result;
use serde::{Deserialize, Serialize};

use crate::arrangement::{Arrangement, SavedArrangement};
use crate::changes::{Changes, Epoch};
use crate::keyed::KeyedChanges;

/// What holds for a whole step.
#[derive(Clone, Copy, Debug, Default)]
pub struct StepContext {
    /// The epoch.
    pub epoch: Epoch,
    /// The greatest time that any worker saw in this epoch, as an instant, for a node with a clock; `None` where it has
    /// not moved.
    pub watermark: Option<i64>,
}

/// The changes of one range of hashes in one epoch, at each port. They are routed by the port's own key, so what has
/// equal keys is in one bucket.
#[derive(Clone, Debug)]
pub struct Bucket {
    ports: Vec<Option<KeyedChanges>>,
}

impl Bucket {
    /// A bucket of these changes, port by port; one of them has some.
    pub fn new(ports: Vec<Option<KeyedChanges>>) -> Self {
        debug_assert!(ports.iter().any(Option::is_some), "a bucket has rows");
        Bucket { ports }
    }

    /// The changes at a port, once; `None` if it has none.
    pub fn take(&mut self, port: usize) -> Option<KeyedChanges> {
        self.ports[port].take()
    }

    /// The changes at the port of an operator that has one.
    pub fn only(mut self) -> KeyedChanges {
        debug_assert_eq!(self.ports.len(), 1, "the operator has one port");
        self.ports.pop().flatten().expect("a bucket has rows")
    }

    /// The number of rows at all ports.
    pub fn rows(&self) -> usize {
        self.ports.iter().flatten().map(KeyedChanges::rows).sum()
    }
}

/// The changes of an epoch, bucket by bucket: ascending, disjoint ranges of hashes, those without rows left out. There
/// are a fixed number of them, so that one fits the cache unless the epoch is very large or its keys are few.
pub trait Buckets {
    /// The next bucket.
    ///
    /// # Errors
    ///
    /// If what waits for it cannot be read.
    fn next(&mut self) -> Result<Option<Bucket>>;
}

/// Buckets that are at hand.
pub fn buckets(buckets: impl IntoIterator<Item = Bucket>) -> impl Buckets {
    struct AtHand<I>(I);

    impl<I: Iterator<Item = Bucket>> Buckets for AtHand<I> {
        fn next(&mut self) -> Result<Option<Bucket>> {
            Ok(self.0.next())
        }
    }

    AtHand(buckets.into_iter())
}

/// Takes the changes that an operator makes, batch by batch. An error ends the step: they can't be taken, or the run is
/// over.
pub type Emit<'a> = dyn FnMut(Changes) -> Result<()> + 'a;

/// What an operator counts beside the rows that go in and out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorCounters {
    /// Rows that were ignored because they came too late; one for each window that it would have been in.
    pub late_rows: u64,
    /// Windows whose state was freed.
    pub windows_closed: u64,
}

impl std::ops::AddAssign for OperatorCounters {
    fn add_assign(&mut self, more: Self) {
        self.late_rows += more.late_rows;
        self.windows_closed += more.windows_closed;
    }
}

/// How an operator takes rows of one key that are too many for one step: sorted, in several steps of one epoch.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pieces {
    /// The column that they are sorted by first, at the only port.
    pub first: Option<usize>,
    /// Whether what it emits need not be brought together over these steps, as long as no row is removed.
    pub scatters: bool,
}

/// One worker's share of a stateful operator: the keys of one contiguous range of hashes.
pub trait Operator: Send {
    /// Opens the saved arrangements of this operator, by name, cut to this worker's key range. Called at most once,
    /// before the first step; not called when there is no saved state.
    fn open(&mut self, saved: Vec<(String, SavedArrangement)>) -> Result<()>;

    /// Applies one epoch's input and hands the output changes to `emit`, batch by batch: net changes only, and all
    /// changes of one key in one batch, unless the spec says that they scatter. Rows inside a bucket are in no
    /// particular order. Bad data (an overflowing sum) is an `Input` error that ends the run; so is state that could
    /// not be read.
    fn step(&mut self, context: &StepContext, input: &mut dyn Buckets, emit: &mut Emit<'_>) -> Result<()>;

    /// Hands the sum of all changes emitted so far to `emit`. Called only between epochs.
    fn snapshot(&self, emit: &mut Emit<'_>) -> Result<()>;

    /// What a checkpoint saves, by name. The names and schemas are fixed when the operator is made.
    fn arrangements(&mut self) -> Vec<(&'static str, &mut Arrangement)>;

    /// How it takes rows of one key that are too many for one step.
    fn pieces(&self) -> Pieces {
        Pieces::default()
    }

    /// What it has counted since it was asked last.
    fn take_counters(&mut self) -> OperatorCounters {
        OperatorCounters::default()
    }
}
