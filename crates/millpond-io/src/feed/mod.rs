//! A source of rows that a program hands over, one by one, from a thread of its own.
//!
//! - `rows`: rows on their way into columns, checked against the schema;
//! - [`Feed`]: the queue between the program's thread and the run, with commits and back pressure;
//! - [`FeedSource`]: the source: one commit is one epoch;
//! - `present`: the present rows by primary key, of a source whose rows replace each other;
//! - `position`: where the program was, in its own words.

mod position;
mod present;
mod queue;
mod rows;
mod source;
#[cfg(test)]
mod tests;

pub use queue::Feed;
pub use rows::Cell;
pub use source::{FeedOptions, FeedSource, Feeder, grace};
