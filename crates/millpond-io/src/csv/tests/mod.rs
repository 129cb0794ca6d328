//! The CSV source against simple programs, and its messages.

mod events;
mod messages;
mod oracle;
