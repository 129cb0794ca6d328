//! Where a program was, in its own words: a text, kept in an arrangement.

use millpond_engine::arrangement::{Arrangement, SavedArrangement, SavedMap};
use millpond_engine::hash::HashSeed;
use millpond_error::{Error, Result};
use millpond_store::DAMAGE_HINT;

/// What the text is saved under.
const NAME: &str = "position";
const REPEATED: &str = "the saved state holds more than one position of a source";

/// The position of a source, if it has said one.
#[derive(Debug)]
pub(super) struct Position(SavedMap<String>);

impl Position {
    pub(super) fn new(seed: HashSeed) -> Self {
        Position(SavedMap::new(seed, |_, _| REPEATED.to_owned()))
    }

    pub(super) fn open(&mut self, saved: SavedArrangement) -> Result<()> {
        self.0.open(saved)?;
        match self.0.values().len() {
            0 | 1 => Ok(()),
            _ => Err(Error::data(REPEATED).with_hint(DAMAGE_HINT)),
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        self.0.values().get(NAME).map(String::as_str)
    }

    pub(super) fn arrangement(&mut self) -> &mut Arrangement {
        self.0.arrangement()
    }

    /// Moves on.
    pub(super) fn set(&mut self, text: String) -> Result<()> {
        self.0.update(vec![(NAME.to_owned(), Some(text))])
    }
}
