//! The commit protocol under power loss, failing disks and damage, with a small program that has everything that a
//! real one has: batches of input, runs of state that are merged, a result file that is appended over all runs and one
//! that holds the changes of one logical run.
//!
//! - `program`: the program, and the session (several runs of it) that all tests use.
//! - `broken`: disks that break one promise each; the checker must notice every one of them.
//! - `power`, `faults`, `damage`: the tests.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod broken;
mod damage;
mod faults;
mod power;
mod program;
