//! Changes, segments, arrangements, operators, and the dataflow that drives them.
//!
//! Start reading at [`changes`] and [`operator`]; then [`operators::Session`], the operator that needs the most.
//!
//! - [`changes`], [`keyed`]: rows with multiplicities, as they flow along the edges and inside an operator.
//! - [`hash`]: key hashes, and the ranges of hashes that workers own.
//! - [`route`]: from changes to buckets of rows by owner of the key.
//! - [`epoch_buffer`]: the packets of an epoch, with their keys numbered, in buckets; `frame_of_reference`: a column of
//!   them, kept small.
//! - [`memory`]: how much rows may take, and where those wait that it has no room for; `hot_key`: rows of one key that
//!   are too many for one step; [`batches`]: changes that are kept for later.
//! - [`wire`]: rows as bytes between processes.
//! - [`group`], [`accumulate`], [`sorting`], [`consolidate`]: what operators do with an epoch's rows, in columns;
//!   `sums` and `exact`: sums that hang on nothing but what is added.
//! - [`expand`]: a row for each window that it is in, or for each element of a list; [`instant`]: event times as ints.
//! - [`arrangement`]: the saved state of an operator: sorted segments, their file format, reading and merging; maps
//!   kept in one.
//! - [`operator`], [`operators`]: the contract of stateful operators, and the operators.
//! - [`metrics`]: what the steps count about themselves.
//! - [`dataflow`]: the dataflow of timely that drives operators; [`route`] and [`wire`] are its partitions and
//!   containers.

pub mod accumulate;
pub mod arrangement;
pub mod batches;
pub mod changes;
pub mod consolidate;
pub mod dataflow;
pub mod epoch_buffer;
mod exact;
pub mod expand;
mod frame_of_reference;
pub mod group;
pub mod hash;
mod hot_key;
pub mod instant;
mod interner;
pub mod keyed;
pub mod memory;
pub mod metrics;
pub mod operator;
pub mod operators;
pub mod route;
pub mod sorting;
mod sums;
pub mod wire;

pub use changes::{Changes, Diffs, Epoch};
