//! Python bindings of Millpond.
