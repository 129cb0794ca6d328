//! Types, schemas, expressions, the logical plan and its lowering.
