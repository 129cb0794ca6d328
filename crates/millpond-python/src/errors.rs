//! Errors of the engine as exceptions of the package, and places in a Python program.

use millpond_error::{Error, ErrorKind, Origin};
use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;

/// A place in the Python program: file and line.
pub type Place = (String, u32);

/// The place as the plan knows it.
pub fn origin((file, line): Place) -> Origin {
    Origin { file, line }
}

/// The exception of the error's kind.
pub fn raise(error: Error) -> PyErr {
    let kind = match error.kind() {
        ErrorKind::Interrupted => return PyKeyboardInterrupt::new_err(()),
        ErrorKind::Invalid => "invalid",
        ErrorKind::Input => "input",
        ErrorKind::Data => "data",
        ErrorKind::Locked => "locked",
        ErrorKind::Changed => "changed",
        ErrorKind::Unavailable => "unavailable",
        _ => "error",
    };
    let place = error.origin().map(ToString::to_string);
    Python::attach(|py| {
        let exception = py
            .import("millpond._errors")
            .and_then(|module| module.getattr("from_native"))
            .and_then(|make| make.call1((kind, error.message(), error.hint(), place)));
        match exception {
            Ok(exception) => PyErr::from_value(exception),
            Err(failure) => failure,
        }
    })
}
