//! Python bindings of Millpond: the module `millpond._native`, which only the package `millpond` itself imports.
//!
//! The package checks arguments, knows the user's lines and reads well; this crate passes on. Expressions and tables
//! are those of `millpond-plan`; reading, writing and running are those of `millpond`.
//!
//! - [`expr`] and [`table`]: building a program;
//! - [`io`]: its sources and sinks; [`subscribe`]: changes handed to Python functions; [`feed`]: rows taken from them;
//! - [`run`]: running it; [`stops`]: what asks it to end, [`calls`]: which function of the program it waits for;
//!   [`rows`]: results as Python values;
//! - [`logging`]: what the engine says, for Python's `logging`;
//! - [`errors`]: errors as Python exceptions.

// The list above is for readers of the code: no item of this crate is public.
#![allow(rustdoc::private_intra_doc_links)]

mod calls;
mod errors;
mod expr;
mod feed;
mod interrupt;
mod io;
mod logging;
mod rows;
mod run;
mod stops;
mod subscribe;
mod table;

use pyo3::prelude::*;

/// The module `millpond._native`.
#[pymodule]
mod _native {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::expr::{PyExpr, spell_type};
    #[pymodule_export]
    use crate::feed::{PyFeed, read_feed};
    #[pymodule_export]
    use crate::io::{PySink, error_log, markdown, read_csv, read_json_lines, write_csv, write_json_lines};
    #[pymodule_export]
    use crate::rows::json_text;
    #[pymodule_export]
    use crate::run::{explain_state, run};
    #[pymodule_export]
    use crate::stops::Signals;
    #[pymodule_export]
    use crate::subscribe::subscribe;
    #[pymodule_export]
    use crate::table::{PyBehavior, PyTable};

    /// Called when the module is loaded.
    #[pymodule_init]
    fn init(_module: &Bound<'_, PyModule>) -> PyResult<()> {
        millpond_columns::Notation::Python.speak();
        crate::logging::install();
        Ok(())
    }

    /// The version of the package.
    #[pymodule_export]
    #[expect(non_upper_case_globals, reason = "the name that Python expects")]
    const __version__: &str = env!("CARGO_PKG_VERSION");
}
