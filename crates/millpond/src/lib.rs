//! Incremental data processing: write a pipeline once, each run processes only what is new.
