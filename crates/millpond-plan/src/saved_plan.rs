//! A program as bytes; `logical/saved.rs` writes and reads them.

use std::sync::Arc;

/// A program as bytes: a line with the version of the format, then one line of JSON. Equal programs have equal bytes.
///
/// ```
/// use std::sync::Arc;
///
/// use millpond_columns::types::{Schema, Type};
/// use millpond_error::Origin;
/// use millpond_plan::{SavedPlan, SinkDecl, SourceDecl, Table, col};
///
/// let origin = Origin::caller();
/// let schema = Schema::new([("pages", Type::Int.required())]);
/// let visits = Table::source(SourceDecl {
///     name: Some("visits".to_owned()),
///     kind: "csv".into(),
///     schema,
///     append_only: true,
///     description: serde_json::Value::Null,
///     origin: origin.clone(),
///     connector: Arc::new(()),
/// });
/// let table = visits?.filter(col("pages").gt(3), &origin)?;
/// let sink = SinkDecl {
///     table,
///     name: "long visits".to_owned(),
///     kind: "csv".into(),
///     description: serde_json::Value::Null,
///     keeps_table: false,
///     origin,
///     connector: Arc::new(()),
/// };
/// let saved = SavedPlan::of(&[sink]);
/// let sinks = saved.sinks("the plan")?;
/// assert_eq!(sinks[0].table.schema().to_string(), "pages: int");
/// assert_eq!(SavedPlan::of(&sinks), saved);
/// # Ok::<(), millpond_error::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SavedPlan(Arc<[u8]>);

impl SavedPlan {
    /// The plan of these bytes, which are looked at when tables are made of it.
    pub fn from_bytes(bytes: impl Into<Arc<[u8]>>) -> SavedPlan {
        SavedPlan(bytes.into())
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}
