//! One error type for every crate, with kinds by what the caller can do.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

#[cfg(debug_assertions)]
mod places;

/// The result of anything in Millpond that can fail.
pub type Result<T> = std::result::Result<T, Error>;

/// What the caller can do about an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Fix the program or its options, then run again.
    Invalid,
    /// Input rows could not be read as the schema says; the message names file, line and reason.
    Input,
    /// Saved bytes are damaged, or of a newer version; restore or reset them.
    Data,
    /// Another process owns the state; stop one of the two.
    Locked,
    /// The saved state belongs to another program; choose rebuild, refuse or reset.
    Changed,
    /// The disk, store or server failed; the run stopped and can be started again.
    Unavailable,
    /// The user asked the run to stop (Ctrl-C or a signal).
    Interrupted,
}

impl ErrorKind {
    /// The kind in one word, as reports and other languages name it.
    pub fn name(self) -> &'static str {
        match self {
            ErrorKind::Invalid => "invalid",
            ErrorKind::Input => "input",
            ErrorKind::Data => "data",
            ErrorKind::Locked => "locked",
            ErrorKind::Changed => "changed",
            ErrorKind::Unavailable => "unavailable",
            ErrorKind::Interrupted => "interrupted",
        }
    }

    /// The exit code of a program that ends with an error of this kind.
    pub fn exit_code(self) -> i32 {
        match self {
            ErrorKind::Invalid => 2,
            ErrorKind::Input => 3,
            ErrorKind::Data => 4,
            ErrorKind::Locked => 5,
            ErrorKind::Changed => 6,
            ErrorKind::Unavailable => 7,
            ErrorKind::Interrupted => 130,
        }
    }
}

/// A place in the user's program.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// Path of the source file, as the language reports it.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
}

impl Origin {
    /// The place of the caller, for builder functions marked `#[track_caller]`.
    #[track_caller]
    pub fn caller() -> Self {
        let place = std::panic::Location::caller();
        Origin { file: place.file().to_owned(), line: place.line() }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// What went wrong, in a sentence that shows the value.
#[derive(Clone, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    hint: Option<String>,
    origin: Option<Origin>,
    cause: Option<Cause>,
}

/// What an error has come from, such as an exception of a program in another language; equal to itself only.
#[derive(Clone, Debug)]
struct Cause(Arc<dyn std::error::Error + Send + Sync>);

impl PartialEq for Cause {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Cause {}

macro_rules! constructors {
    ($($(#[$doc:meta])* $name:ident => $kind:ident),* $(,)?) => {
        impl Error {
            $($(#[$doc])*
            #[track_caller]
            pub fn $name(message: impl Into<String>) -> Self {
                Error::new(ErrorKind::$kind, message)
            })*
        }
    };
}

constructors! {
    /// See [`ErrorKind::Invalid`].
    invalid => Invalid,
    /// See [`ErrorKind::Input`].
    input => Input,
    /// See [`ErrorKind::Data`].
    data => Data,
    /// See [`ErrorKind::Locked`].
    locked => Locked,
    /// See [`ErrorKind::Changed`].
    changed => Changed,
    /// See [`ErrorKind::Unavailable`].
    unavailable => Unavailable,
    /// See [`ErrorKind::Interrupted`].
    interrupted => Interrupted,
}

impl Error {
    /// An error of `kind`; `message` is a sentence without a period, in lower case.
    #[track_caller]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        #[cfg(debug_assertions)]
        places::reached(std::panic::Location::caller());
        Error { kind, message: message.into(), hint: None, origin: None, cause: None }
    }

    /// The error of a panic, which is a defect of Millpond: what it ended, and the reason that it gave.
    #[must_use]
    #[track_caller]
    pub fn of_panic(what: &str, panic: &(dyn Any + Send)) -> Self {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let reason = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("unknown reason");
        Error::unavailable(format!("{what} failed: {reason}")).with_hint(
            "a panic is a defect of millpond, or of a source or sink of your own; the last checkpoint is whole",
        )
    }

    /// Adds the next step that the user could take, shown on a line of its own.
    #[must_use]
    #[track_caller]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        #[cfg(debug_assertions)]
        places::reached(std::panic::Location::caller());
        self.hint = Some(hint.into());
        self
    }

    /// Adds what the error has come from.
    #[must_use]
    pub fn caused_by(mut self, cause: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.cause = Some(Cause(Arc::new(cause)));
        self
    }

    /// Adds the place in the user's program, unless one is known already.
    #[must_use]
    pub fn at(mut self, origin: &Origin) -> Self {
        self.origin.get_or_insert_with(|| origin.clone());
        self
    }

    /// Puts `context: ` before the message.
    #[must_use]
    pub fn context(mut self, context: impl fmt::Display) -> Self {
        self.message = format!("{context}: {}", self.message);
        self
    }

    /// What the caller can do.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The sentence, without origin and hint.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The place in the user's program, where one is to blame.
    pub fn origin(&self) -> Option<&Origin> {
        self.origin.as_ref()
    }

    /// The next step that the user could take.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

/// As for people: a program whose `main` returns an error shows it like this.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(origin) = &self.origin {
            write!(f, "{origin}: ")?;
        }
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.as_ref().map(|cause| cause.0.as_ref() as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_shows_place_sentence_and_hint() {
        let place = Origin { file: "visits.py".into(), line: 7 };
        let error = Error::invalid("no column \"user\"").with_hint("did you mean \"user_id\"?").at(&place);
        assert_eq!(error.to_string(), "visits.py:7: no column \"user\"\nhint: did you mean \"user_id\"?");
    }

    #[test]
    fn a_panic_is_an_error_that_tells_its_reason() {
        let panics: [(fn(), &str); 3] = [
            (|| panic!("row {} is gone", 7), "row 7 is gone"),
            (|| panic!("a row is gone"), "a row is gone"),
            (|| std::panic::panic_any(7), "unknown reason"),
        ];
        for (panics, reason) in panics {
            let panic = std::panic::catch_unwind(panics).unwrap_err();
            let error = Error::of_panic("reading input", &*panic);
            let text = format!(
                "reading input failed: {reason}\n\
                 hint: a panic is a defect of millpond, or of a source or sink of your own; the last checkpoint is whole"
            );
            assert_eq!((error.kind(), error.to_string()), (ErrorKind::Unavailable, text));
        }
    }

    #[test]
    fn an_error_leads_to_its_cause() {
        use std::error::Error as _;
        let error = Error::invalid("a function failed").caused_by("x".parse::<i32>().unwrap_err());
        assert!(error.source().unwrap().is::<std::num::ParseIntError>());
        assert_eq!(error, error.clone());
    }
}
