//! The places of this source that make an error, as tests reach them: `tests/error_places.py` tells which none does.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::panic::Location;
use std::sync::{Mutex, OnceLock, PoisonError};

/// Names the file that a line is added to for each place.
const FILE: &str = "MILLPOND_ERROR_PLACES";

/// The file, and the places that it has.
struct Places {
    file: File,
    known: HashSet<Location<'static>>,
}

/// Notes that this place was reached, if the environment asks for it.
pub(crate) fn reached(place: &'static Location<'static>) {
    static PLACES: OnceLock<Option<Mutex<Places>>> = OnceLock::new();
    let open = || {
        let path = std::env::var_os(FILE)?;
        let file = OpenOptions::new().create(true).append(true).open(path).ok()?;
        Some(Mutex::new(Places { file, known: HashSet::new() }))
    };
    let Some(places) = PLACES.get_or_init(open) else { return };
    let mut places = places.lock().unwrap_or_else(PoisonError::into_inner);
    if places.known.insert(*place) {
        // Whether a test passes does not hang on what is noted about it.
        let _ = places.file.write_all(format!("{}:{}\n", place.file(), place.line()).as_bytes());
    }
}
