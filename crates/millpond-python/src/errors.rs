//! Errors of the engine as exceptions of the package, and places in a Python program.

use std::error::Error as _;

use millpond_error::{Error, ErrorKind, Origin};
use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;

/// A place in the Python program: file and line.
pub(crate) type Place = (String, u32);

/// The place as the plan knows it.
pub(crate) fn origin((file, line): Place) -> Origin {
    Origin { file, line }
}

/// The error that an exception of the program's own functions becomes on its way through the engine.
pub(crate) fn raised(exception: PyErr) -> Error {
    Error::invalid("a function of the program has raised an exception").caused_by(exception)
}

/// The exception that the error has come from, or else one of its kind.
pub(crate) fn raise(error: Error) -> PyErr {
    if let Some(exception) = error.source().and_then(|cause| cause.downcast_ref::<PyErr>()) {
        return Python::attach(|py| exception.clone_ref(py));
    }
    if error.kind() == ErrorKind::Interrupted {
        return PyKeyboardInterrupt::new_err(());
    }
    let kind = error.kind().name();
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
