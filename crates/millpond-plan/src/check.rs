//! Checks of names and types, made when a table is.

use millpond_error::{Error, Result};

use crate::expr::Expr;
use crate::types::Schema;

pub(crate) fn unique<'a>(_place: &str, _names: impl Iterator<Item = &'a str>) -> Result<()> {
    Ok(())
}
pub(crate) fn select(_schema: &Schema, _columns: &[(String, Expr)]) -> Result<Schema> {
    Err(Error::invalid("unfinished"))
}
pub(crate) fn filter(_schema: &Schema, _predicate: &Expr) -> Result<()> {
    Err(Error::invalid("unfinished"))
}
pub(crate) fn group(_schema: &Schema, _keys: &[(String, Expr)], _outputs: &[(String, Expr)]) -> Result<Schema> {
    Err(Error::invalid("unfinished"))
}
pub(crate) fn max_gap(_max_gap: &Expr) -> Result<i64> {
    Err(Error::invalid("unfinished"))
}
pub(crate) fn session(
    _schema: &Schema,
    _time: &Expr,
    _instance: Option<&Expr>,
    _outputs: &[(String, Expr)],
) -> Result<Schema> {
    Err(Error::invalid("unfinished"))
}
