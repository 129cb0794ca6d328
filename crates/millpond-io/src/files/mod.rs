//! Files of a source: listing them, remembering what was read, reading them in pieces.
