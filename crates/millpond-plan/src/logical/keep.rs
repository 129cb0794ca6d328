//! The present table, kept for a sink that writes it whole.

use std::fmt;

use crate::physical::{Explanation, Inputs, KeyedSpec};

/// Keeps the present table (every row with its multiplicity), and passes the changes on, consolidated. The key is the
/// whole row.
#[derive(Clone, Copy, Debug)]
pub struct KeepSpec;

impl KeyedSpec for KeepSpec {
    fn name(&self) -> &'static str {
        "keep"
    }

    fn explain(&self, _: &Inputs<'_>) -> Explanation {
        let lines = vec!["state: the present rows".to_owned()];
        Explanation { what: "the present table".to_owned(), lines, ..Explanation::default() }
    }
}

impl fmt::Display for KeepSpec {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }
}
