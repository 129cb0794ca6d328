//! Where a program was, in its own words: a text, kept in an arrangement.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, StringArray};
use millpond_engine::arrangement::{Arrangement, ArrangementSchema, SavedArrangement};
use millpond_engine::changes::Diffs;
use millpond_engine::hash::{HashSeed, KeyRange, hash_columns};
use millpond_engine::keyed::KeyedRows;
use millpond_error::{Error, Result};
use millpond_plan::types::Type;
use millpond_store::DAMAGE_HINT;

/// The position of a source, if it has said one.
#[derive(Debug)]
pub(super) struct Position {
    seed: HashSeed,
    text: Option<String>,
    arrangement: Arrangement,
}

impl Position {
    pub(super) fn new(seed: HashSeed) -> Self {
        Position { seed, text: None, arrangement: Arrangement::new(schema(), KeyRange::ALL) }
    }

    pub(super) fn open(&mut self, saved: SavedArrangement) -> Result<()> {
        self.arrangement = Arrangement::open(schema(), KeyRange::ALL, saved)?;
        let text = &mut self.text;
        self.arrangement.scan(&mut |chunk| {
            let texts = chunk.rows[0].as_string::<i32>();
            if texts.len() != 1 || text.is_some() {
                let error = Error::data("the saved state holds more than one position of a source");
                return Err(error.with_hint(DAMAGE_HINT));
            }
            *text = Some(texts.value(0).to_owned());
            Ok(())
        })
    }

    pub(super) fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }

    pub(super) fn arrangement(&mut self) -> &mut Arrangement {
        &mut self.arrangement
    }

    /// Moves on.
    pub(super) fn set(&mut self, text: String) -> Result<()> {
        if self.text.as_ref() == Some(&text) {
            return Ok(());
        }
        let mut rows: Vec<(&str, i64)> = self.text.iter().map(|old| (old.as_str(), -1)).collect();
        rows.push((&text, 1));
        rows.sort_unstable();
        let key: ArrayRef = Arc::new(StringArray::from(vec!["position"]));
        let mut builder = self.arrangement.builder();
        builder.append(&KeyedRows {
            hashes: hash_columns(self.seed, std::slice::from_ref(&key), 1),
            keys: vec![key],
            offsets: vec![0, rows.len() as u32],
            rows: vec![Arc::new(StringArray::from_iter_values(rows.iter().map(|(text, _)| text)))],
            diffs: Diffs::Each(rows.iter().map(|(_, diff)| *diff).collect()),
        });
        self.arrangement.insert(builder.finish());
        self.text = Some(text);
        self.arrangement.maintain(32)
    }
}

fn schema() -> ArrangementSchema {
    ArrangementSchema { key: vec![Type::Str.required()], row: vec![Type::Str.required()] }
}
