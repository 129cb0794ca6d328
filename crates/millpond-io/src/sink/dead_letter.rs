//! Input rows that could not be read, as rows for a sink: kept for people to look at.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, StringArray};
use millpond_columns::types::{Schema, Type};
use millpond_engine::changes::Changes;

use crate::source::Reject;

/// The columns of dead letters. Their sink is a [`CsvSink`](super::CsvSink): in mode `Append` with saved state, in
/// mode `Changes` without.
pub fn rejected_schema() -> Schema {
    Schema::new([
        ("file", Type::Str.required()),
        ("line", Type::Int.required()),
        ("column", Type::Str.optional()),
        ("value", Type::Str.optional()),
        ("reason", Type::Str.required()),
        ("row", Type::Str.required()),
    ])
}

/// Rejected rows in the columns of [`rejected_schema`].
pub fn rejected_rows(rejects: &[Reject]) -> Changes {
    let required =
        |text: fn(&Reject) -> &str| -> ArrayRef { Arc::new(StringArray::from_iter_values(rejects.iter().map(text))) };
    let optional =
        |text: fn(&Reject) -> Option<&str>| -> ArrayRef { Arc::new(rejects.iter().map(text).collect::<StringArray>()) };
    let columns = vec![
        required(|reject| &reject.file),
        Arc::new(Int64Array::from_iter_values(rejects.iter().map(|reject| reject.line as i64))),
        optional(|reject| reject.column.as_deref()),
        optional(|reject| reject.value.as_deref()),
        required(|reject| &reject.reason),
        required(|reject| &reject.row),
    ];
    let diffs: Vec<i64> = rejects.iter().map(|reject| if reject.is_taken_back { -1 } else { 1 }).collect();
    Changes::new(columns, diffs.into())
}
