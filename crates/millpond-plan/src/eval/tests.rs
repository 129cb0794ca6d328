use super::*;
use crate::expr::{Expr, coalesce, col, if_else, lit};

#[test]
fn compiles() {
    let _ = (col("a"), lit(1), if_else(true, 1, 2), coalesce([lit(1)]), Expr::from(1i64));
}
