//! A source of rows written into the program, for tests.
