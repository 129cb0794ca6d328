//! Error values on their way through a plan.
//!
//! Whether a column can hold errors is known before a row is read (`terms/fallible.rs`), and only such columns are
//! *carried* between nodes in a form of their own; all others cost nothing:
//!
//! - a column without nulls becomes one with nulls, where a null is an error;
//! - beside a column with nulls stands a *lane*, a column of `bool` where a null is an error.
//!
//! A carried error has no code: all errors of a column are one value, so that a row that is removed cancels the one
//! that was added, whoever made it. What went wrong is known where it arose, a [`Place`]. A plan knows which places the
//! errors of a column may come from (its [`Lineage`]), and the first error of each place is noted, so that a run which
//! ends for a carried error can say what it was.

use std::collections::{BTreeSet, HashMap};
use std::fmt;

use millpond_columns::dialect::hint;
use millpond_error::{Error, Origin};
use parking_lot::Mutex;

/// A column of the program in which errors arise: a number of [`Places`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Place(u32);

/// Some places: a number of [`Places`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Lineage(u32);

/// Where errors arise in a plan, and what the first of each place was.
#[derive(Default)]
pub(crate) struct Places {
    places: Vec<Arises>,
    lineages: Vec<Vec<Place>>,
    first: Mutex<HashMap<Place, Error>>,
}

/// A column, an argument or a key that can be an error by itself.
#[derive(PartialEq)]
struct Arises {
    /// How messages call it: `column "share"`.
    what: String,
    /// The expression, as the program writes it.
    written: String,
    origin: Option<Origin>,
    ends: Option<End>,
}

/// What is not written for an error in a run that goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The cell of an output.
    Cell,
    /// The row.
    Row,
}

impl Places {
    /// A place; the same for all that is written in one place.
    pub(crate) fn add(&mut self, what: String, written: String, origin: Option<Origin>) -> Place {
        self.place(Arises { what, written, origin, ends: None })
    }

    /// A place where errors end, and something is not written for them.
    pub(crate) fn add_end(&mut self, end: End, what: String, written: String, origin: Option<Origin>) -> Place {
        self.place(Arises { what, written, origin, ends: Some(end) })
    }

    fn place(&mut self, place: Arises) -> Place {
        let known = self.places.iter().position(|known| *known == place);
        let number = known.unwrap_or_else(|| {
            self.places.push(place);
            self.places.len() - 1
        });
        Place(u32::try_from(number).expect("a program has fewer than 2^32 columns"))
    }

    /// These places, and all of these lineages.
    pub(crate) fn lineage(
        &mut self,
        places: impl IntoIterator<Item = Place>,
        lineages: impl IntoIterator<Item = Lineage>,
    ) -> Lineage {
        let mut all: BTreeSet<Place> = places.into_iter().collect();
        lineages.into_iter().for_each(|lineage| all.extend(&self.lineages[lineage.0 as usize]));
        let places: Vec<Place> = all.into_iter().collect();
        let known = self.lineages.iter().position(|lineage| *lineage == places);
        let number = known.unwrap_or_else(|| {
            self.lineages.push(places);
            self.lineages.len() - 1
        });
        Lineage(u32::try_from(number).expect("a program has fewer than 2^32 columns"))
    }

    /// How messages call a place.
    pub(crate) fn what(&self, place: Place) -> &str {
        &self.places[place.0 as usize].what
    }

    /// Where the program wrote what a place is.
    pub(crate) fn origin(&self, place: Place) -> Option<&Origin> {
        self.places[place.0 as usize].origin.as_ref()
    }

    /// Takes note of the error of a place, if it is its first.
    pub(crate) fn note(&self, place: Place, error: impl FnOnce() -> Error) {
        if !self.first.lock().contains_key(&place) {
            // It may ask for another place.
            let error = error();
            self.first.lock().entry(place).or_insert(error);
        }
    }

    /// The first error of each place where errors end, in the order of the program.
    pub(crate) fn ended(&self) -> Vec<(End, Error)> {
        let mut noted: Vec<(Place, Error)> =
            self.first.lock().iter().map(|(place, error)| (*place, error.clone())).collect();
        noted.sort_unstable_by_key(|(place, _)| *place);
        let end = |(place, error): (Place, Error)| Some((self.places[place.0 as usize].ends?, error));
        noted.into_iter().filter_map(end).collect()
    }

    /// Why there is a carried error in `what`: the first error of a place that it may come from. An error that an
    /// earlier run left in the state, or another process made, is not noted here; then, what can fail.
    pub(crate) fn why(&self, what: &str, from: Lineage) -> Error {
        let places = &self.lineages[from.0 as usize];
        let first = self.first.lock();
        let (message, advice, origin) = match places.iter().find_map(|place| first.get(place)) {
            Some(noted) => {
                let message = format!("{what} holds an error value; the first was {}", noted.message());
                (message, noted.hint(), noted.origin())
            }
            None => {
                let arises: Vec<&Arises> = places.iter().map(|place| &self.places[place.0 as usize]).collect();
                let written: Vec<&str> = arises.iter().map(|arises| arises.written.as_str()).collect();
                let message = format!("{what} holds an error value that was made before, of {}", written.join(" or "));
                let advice = hint(
                    "RunOptions::terminate_on_error(false) lets such cells be, .fill_error(...) gives them a value",
                    "pw.run(terminate_on_error=False) lets such cells be, pw.fill_error(..., None) makes null of them",
                );
                (message, Some(advice), arises.iter().find_map(|arises| arises.origin.as_ref()))
            }
        };
        let mut error = Error::input(message);
        if let Some(advice) = advice {
            error = error.with_hint(advice);
        }
        match origin {
            Some(origin) => error.at(origin),
            None => error,
        }
    }
}

/// Plans are compared and printed; what happened in a run is no part of them.
impl fmt::Debug for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} places", self.places.len())
    }
}
