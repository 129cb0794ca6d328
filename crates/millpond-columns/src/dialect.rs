//! The language of the program, and what messages say in it.

use std::sync::atomic::{AtomicU8, Ordering};

/// Whose way of writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notation {
    /// The plan's: it stands in saved descriptions, and is the same for programs of every language.
    Plan,
    /// That of Rust programs.
    Rust,
    /// That of Python programs.
    Python,
}

/// Whether the program of this process is written in Python.
static PROGRAM: AtomicU8 = AtomicU8::new(Notation::Rust as u8);

impl Notation {
    /// That of the program that runs in this process: Rust, unless a front end has said otherwise.
    pub fn of_program() -> Notation {
        if PROGRAM.load(Ordering::Relaxed) == Notation::Python as u8 { Notation::Python } else { Notation::Rust }
    }

    /// Says that programs of this process are written so; a front end does it before it makes anything.
    pub fn speak(self) {
        PROGRAM.store(self as u8, Ordering::Relaxed);
    }

    /// One of two texts that say the same, each in the notation of its language.
    pub fn choose<'a>(self, rust: &'a str, python: &'a str) -> &'a str {
        if self == Notation::Python { python } else { rust }
    }

    /// The name of a function of the package: `pw.coalesce`, `coalesce`.
    pub fn function(self, name: &str) -> String {
        if self == Notation::Python { format!("pw.{name}") } else { name.to_owned() }
    }

    /// The name of a reducer: `pw.reducers.max`, `max`.
    pub fn reducer(self, name: &str) -> String {
        if self == Notation::Python { format!("pw.reducers.{name}") } else { name.to_owned() }
    }
}

/// What a hint says in the program's language.
pub fn hint<'a>(rust: &'a str, python: &'a str) -> &'a str {
    Notation::of_program().choose(rust, python)
}

/// How a program writes a duration.
pub fn duration() -> &'static str {
    hint(
        "a duration is such as std::time::Duration::from_secs(300)",
        "a duration is such as datetime.timedelta(minutes=5)",
    )
}

/// Text in double quotes, with JSON's escapes.
pub fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
