//! A place where a table goes.

use std::any::Any;
use std::borrow::Cow;
use std::sync::Arc;

use millpond_error::Origin;

use super::Table;

/// A place where a table goes.
#[derive(Clone, Debug)]
pub struct SinkDecl {
    /// What is written.
    pub table: Table,
    /// The name that its position is found by.
    pub name: String,
    /// The kind of connector, such as `csv`.
    pub kind: Cow<'static, str>,
    /// Settings that must stay as they are, so that what it got in earlier runs and what it gets later are one history.
    pub description: serde_json::Value,
    /// Whether it writes the present table, which must then be kept.
    pub keeps_table: bool,
    /// The place in the program.
    pub origin: Origin,
    /// What writes it; opaque to the plan.
    pub connector: Arc<dyn Any + Send + Sync>,
}
