//! Files of a source: listing them, remembering what was read of each, finding out what happened to them.
//!
//! Start with [`table`], what is remembered; [`compare`] says what its difference to the present files means.

pub mod compare;
pub mod content;
pub mod list;
pub mod reach;
pub mod table;
pub mod watch;
