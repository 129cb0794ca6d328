//! Threads and connections that the system does not give any more.

use std::fmt::Display;

use millpond_error::Error;

/// The error of a request to the system for a thread or for another handle of a connection.
pub(crate) fn lacking(what: &str, reason: impl Display) -> Error {
    Error::unavailable(format!("{what}: {reason}"))
        .with_hint("the limits of threads and of open files (ulimit -u, ulimit -n) may be too low")
}

#[cfg(test)]
mod tests {
    use millpond_error::ErrorKind;

    use super::*;

    #[test]
    fn what_the_system_does_not_give_is_named_with_its_reason() {
        let error = lacking("no thread to save the state", std::io::Error::from_raw_os_error(11));
        let text = "no thread to save the state: Resource temporarily unavailable (os error 11)\n\
                    hint: the limits of threads and of open files (ulimit -u, ulimit -n) may be too low";
        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Unavailable, text));
    }
}
