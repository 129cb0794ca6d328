//! The JSON lines source, against files as they come.

mod events;
mod messages;
mod oracle;
