//! Sources and sinks: files, CSV, offsets.
