//! Changes, runs, arrangements, operators, and the dataflow that drives them.
