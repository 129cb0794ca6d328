//! What a program says of an external table that it reads.

use std::any::Any;
use std::borrow::Cow;
use std::sync::Arc;

use millpond_columns::types::Schema;
use millpond_error::Origin;

/// An external table that the program reads.
#[derive(Clone, Debug)]
pub struct SourceDecl {
    /// The user's name for it.
    pub name: Option<String>,
    /// The kind of connector, such as `csv`.
    pub kind: Cow<'static, str>,
    /// Its columns, as declared.
    pub schema: Schema,
    /// Whether it never removes a row.
    pub append_only: bool,
    /// Settings that the meaning of its rows depends on. They are part of the description of every step after it. One
    /// that is an object says something of each column, and counts for those that are read.
    pub description: serde_json::Value,
    /// The place in the program.
    pub origin: Origin,
    /// What reads it; opaque to the plan.
    pub connector: Arc<dyn Any + Send + Sync>,
}
