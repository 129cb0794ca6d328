//! Changes that are kept for later, batch by batch: in memory, or in a scratch file when that has no more room.

use std::sync::Arc;

use millpond_columns::types::Schema;
use millpond_error::{Error, Result};
use millpond_store::{Extent, ScratchFile};

use crate::changes::Changes;
use crate::memory::{Memory, Reserved};
use crate::wire::{read_changes, write_changes};

/// Changes in the order in which they came. Iterate over them as often as you like:
///
/// ```
/// # use millpond_engine::batches::Batches;
/// # fn count(changes: &Batches) -> millpond_error::Result<usize> {
/// let mut rows = 0;
/// for changes in changes {
///     rows += changes?.rows;
/// }
/// # Ok(rows)
/// # }
/// # assert_eq!(count(&Batches::default()).unwrap(), 0);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Batches {
    batches: Vec<Batch>,
    rows: usize,
    place: Option<Place>,
    /// The scratch file, if one was needed.
    file: Option<Arc<ScratchFile>>,
}

#[derive(Clone, Debug)]
enum Batch {
    /// In memory, which counts as taken as long as a clone is there.
    Here {
        changes: Changes,
        _reserved: Option<Arc<Reserved>>,
    },
    There(Extent),
}

/// Where batches are kept.
#[derive(Clone, Debug)]
struct Place {
    memory: Arc<Memory>,
    schema: Schema,
}

impl Batches {
    /// No changes; they will have these columns, and count as memory of this.
    pub fn new(schema: &Schema, memory: Arc<Memory>) -> Self {
        Batches { place: Some(Place { memory, schema: schema.clone() }), ..Batches::default() }
    }

    /// Adds a batch.
    ///
    /// # Errors
    /// `Unavailable`, if memory has no room for it and no scratch file can be written.
    pub fn push(&mut self, changes: Changes) -> Result<()> {
        self.rows += changes.rows;
        let Some(Place { memory, .. }) = &self.place else {
            self.batches.push(Batch::Here { changes, _reserved: None });
            return Ok(());
        };
        let bytes = changes.bytes();
        if memory.may_wait(bytes) {
            let mut reserved = memory.waiting();
            reserved.set(bytes);
            self.batches.push(Batch::Here { changes, _reserved: Some(Arc::new(reserved)) });
            return Ok(());
        }
        let file = match &self.file {
            Some(file) => file,
            None => self.file.insert(Arc::new(memory.scratch_file()?)),
        };
        self.batches.push(Batch::There(spill(&changes, file, memory)?));
        Ok(())
    }

    /// The number of rows of all batches.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The batches; reading one from a scratch file may fail.
    pub fn iter(&self) -> impl Iterator<Item = Result<Changes>> + '_ {
        self.batches.iter().map(|batch| match (batch, &self.file, &self.place) {
            (Batch::Here { changes, .. }, ..) => Ok(changes.clone()),
            (Batch::There(extent), Some(file), Some(place)) => read_spilled(file, *extent, &place.schema),
            (Batch::There(_), ..) => Err(damaged()),
        })
    }
}

/// Writes changes to a scratch file, for [`read_spilled`].
pub(crate) fn spill(changes: &Changes, file: &ScratchFile, memory: &Memory) -> Result<Extent> {
    let mut bytes = Vec::with_capacity(changes.bytes() + 64);
    write_changes(changes, &mut bytes);
    memory.append(file, &bytes)
}

/// Reads changes of this schema that were spilled.
pub(crate) fn read_spilled(file: &ScratchFile, place: Extent, schema: &Schema) -> Result<Changes> {
    read_changes(&file.read(place)?, schema).map_err(|_| damaged())
}

/// What was written to a scratch file is not there any more.
fn damaged() -> Error {
    Error::unavailable("a scratch file does not hold what was written to it")
        .with_hint("check the disk that it is on: MILLPOND_SCRATCH names another directory")
}

impl<'a> IntoIterator for &'a Batches {
    type Item = Result<Changes>;
    type IntoIter = Box<dyn Iterator<Item = Result<Changes>> + 'a>;

    fn into_iter(self) -> Self::IntoIter {
        Box::new(self.iter())
    }
}

impl From<Vec<Changes>> for Batches {
    fn from(changes: Vec<Changes>) -> Self {
        let rows = changes.iter().map(|changes| changes.rows).sum();
        let batches = changes.into_iter().map(|changes| Batch::Here { changes, _reserved: None }).collect();
        Batches { batches, rows, ..Batches::default() }
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::Int64Array;
    use millpond_columns::types::Type;
    use millpond_columns::view::ints;
    use millpond_store::Scratch;

    use super::*;

    #[test]
    fn what_does_not_fit_memory_is_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let memory = Arc::new(Memory::new(8192, 1, Scratch::new(directory.path())));
        let schema = Schema::new([("n", Type::Int.required())]);
        let mut batches = Batches::new(&schema, memory.clone());
        for from in (0..1000).step_by(100) {
            let column = Arc::new(Int64Array::from_iter_values(from..from + 100));
            batches.push(Changes::inserts(vec![column], 100)).unwrap();
        }
        assert!(memory.spilled() > 4000, "{} bytes", memory.spilled());
        for batches in [batches.clone(), batches] {
            let numbers: Vec<i64> =
                batches.iter().flat_map(|batch| ints(&batch.unwrap().columns[0]).to_vec()).collect();
            assert_eq!((batches.rows(), numbers), (1000, (0..1000).collect()));
        }
        assert!(memory.may_wait(3000), "nothing is taken any more");
    }

    #[test]
    fn what_a_scratch_file_does_not_give_back_is_an_error() {
        let schema = Schema::new([("n", Type::Int.required()), ("m", Type::Str.required())]);
        let mut batches = Batches::new(&schema, Arc::new(Memory::tiny(0, 1)));
        let column = Arc::new(Int64Array::from(vec![1, 2, 3]));
        batches.push(Changes::inserts(vec![column], 3)).unwrap();
        let error = batches.iter().next().unwrap().unwrap_err();
        assert_eq!(error.to_string(), damaged().to_string());
    }
}
