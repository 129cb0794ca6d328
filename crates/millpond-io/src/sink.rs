//! Where results go.

use millpond_engine::changes::{Changes, Epoch};
use millpond_error::Result;
use millpond_plan::types::Schema;

/// What a user sees as one run: it goes on over crashes until an attempt finishes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogicalRun {
    /// Whether the last attempt did not finish, so that this one continues its run.
    pub continues: bool,
}

/// Where results go. `write` is called by many threads at once.
pub trait Sink: Send + Sync {
    /// Recovers what was committed (`saved` is the position of the newest checkpoint) and gets ready; `run.continues`
    /// says that the last logical run did not finish.
    fn open(&mut self, schema: &Schema, saved: Option<&serde_json::Value>, run: LogicalRun) -> Result<()>;

    /// Writes changes of an epoch.
    fn write(&self, epoch: Epoch, changes: &Changes) -> Result<()>;

    /// Writes rows of the present table (snapshot mode only), between `prepare` calls.
    fn write_snapshot(&self, changes: &Changes) -> Result<()>;

    /// Makes everything written durable and visible, before the manifest is committed; returns the position to save.
    fn prepare(&self) -> Result<serde_json::Value>;

    /// Rows written so far in this process.
    fn rows_written(&self) -> u64;
}
