//! Saved state: disks, blobs, the manifest and the commit protocol. It knows names and bytes, never columns.
//!
//! Start reading at [`StateDir`], whose module carries the argument why no crash loses or doubles a row.
//! - [`disk`]: the few operations that state and result files need, and what each promises about power loss.
//! - [`local`], [`simulated`], [`faulty`]: a real directory, one that can lose power at any step, one that fails.
//! - [`manifest`]: what one checkpoint consists of, and its bytes.
//! - [`checkpoint`]: writing one: blobs from many threads, then the commit; `compact` says what is copied out of old
//!   blobs.
//! - `names`, `reader`: what the files of a state are called, and reading them.
//! - [`scratch`]: files for what memory has no room for, of which nothing is left.
//! - [`state`]: opening, the lock, the logical run, the finished mark, collection of unused files.

pub mod checkpoint;
mod compact;
pub mod disk;
pub mod faulty;
mod finished;
pub mod local;
mod lock;
pub mod manifest;
mod map;
mod names;
mod open_state;
mod reader;
pub mod scratch;
pub mod simulated;
pub mod state;

pub use checkpoint::{BlobWriter, Checkpoint, CheckpointShare};
pub use disk::{Disk, DiskFile};
pub use faulty::{Failure, Fault, FaultyDisk, Operations};
pub use local::LocalDisk;
pub use manifest::{
    ArrangementRecord, BlobRange, DAMAGE_HINT, LogicalRun, Manifest, Moves, PartRecord, SegmentRecord, SinkRecord,
    StepRecord,
};
pub use names::plan_name;
pub use reader::StateReader;
pub use scratch::{Extent, Scratch, ScratchFile};
pub use simulated::SimulatedDisk;
pub use state::StateDir;
