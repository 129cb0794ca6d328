//! Changes, runs, arrangements, operators, and the dataflow that drives them.
//!
//! - [`changes`], [`keyed`]: rows with multiplicities, as they flow along the edges and inside an operator.
//! - [`hash`]: key hashes, and the ranges of hashes that workers own.
//! - [`arrangement`]: the saved state of an operator: sorted runs, their file format, reading and merging.
//! - [`operator`]: the contract of stateful operators.

pub mod arrangement;
pub mod changes;
pub mod hash;
pub mod keyed;
pub mod operator;
pub mod accumulate;
mod cells;
pub mod group;
pub mod operators;
pub mod consolidate;
pub mod dataflow;
pub mod route;

pub use changes::{Changes, Diffs, Epoch};
