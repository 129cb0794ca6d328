//! The CSV directory source.
