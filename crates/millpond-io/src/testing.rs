//! What the tests of sources share.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use millpond_columns::types::{ColumnType, Schema, Type, int_values};
use millpond_engine::arrangement::{Arrangement, BlobRange, SavedArrangement, SavedSegment};
use millpond_engine::changes::{Changes, Epoch};
use millpond_engine::hash::HashSeed;
use millpond_error::Result;

use crate::csv::{CsvSource, CsvSourceOptions};
use crate::jsonlines::{JsonLinesSource, JsonLinesSourceOptions};
use crate::source::{EpochInput, Reject, Source, SourceCounts};
use crate::wakeup::Wakeup;

/// Saved positions, as a checkpoint would hold them.
pub(crate) type Saved = Vec<(String, SavedArrangement)>;

/// A cell as text.
pub(crate) fn cell(column: &ArrayRef, row: usize) -> String {
    if column.is_null(row) {
        return "null".into();
    }
    match column.data_type() {
        DataType::Float64 => format!("{:?}", column.as_primitive::<Float64Type>().value(row)),
        DataType::Boolean => column.as_boolean().value(row).to_string(),
        DataType::Utf8 => column.as_string::<i32>().value(row).to_owned(),
        DataType::Binary => column.as_binary::<i32>().value(row).escape_ascii().to_string(),
        arrow => {
            let (ty, values) = (Type::of_ints(arrow).unwrap(), int_values(column).unwrap());
            if ty == Type::Int { values[row].to_string() } else { millpond_plan::time::text(ty, values[row]) }
        }
    }
}

/// What a checkpoint would save of an arrangement.
pub(crate) fn save_arrangement(name: &str, arrangement: &Arrangement) -> SavedArrangement {
    let segments = arrangement.entries().iter().zip(0..).map(|(entry, number)| {
        let bytes = entry.segment.bytes().clone();
        // Places tell segments apart.
        let place = BlobRange { blob: format!("{name}-{number}"), offset: 0, length: bytes.len() as u64 };
        SavedSegment {
            name: name.to_owned(),
            bytes,
            checksum: entry.segment.checksum(),
            range: entry.range,
            level: entry.level,
            place,
        }
    });
    SavedArrangement { segments: segments.collect() }
}

/// What a checkpoint would save of a source.
pub(crate) fn save(source: &mut dyn Source) -> Saved {
    let arrangements = source.arrangements().into_iter();
    arrangements.map(|(name, arrangement)| (name.to_owned(), save_arrangement(name, arrangement))).collect()
}

/// A schema from `name: type` pairs; `?` behind a type makes it optional.
pub(crate) fn schema(text: &str) -> Schema {
    let columns = text.split(", ").map(|column| {
        let (name, ty) = column.split_once(": ").unwrap();
        let optional = ty.ends_with('?');
        let ty = ty.trim_end_matches('?').parse().unwrap_or(Type::Str);
        (name, ColumnType { ty, optional })
    });
    Schema::new(columns)
}

/// Rows with their multiplicities.
pub(crate) type Bag = BTreeMap<Vec<String>, i64>;

/// What one run of a source gave.
#[derive(Debug)]
pub(crate) struct Ran {
    pub rows: Bag,
    pub counts: SourceCounts,
    pub rejects: Vec<Reject>,
}

/// The options of a source of files.
pub(crate) trait Options: Clone {
    fn new(path: &str, schema: Schema) -> Self;
    fn source(self, seed: HashSeed) -> Box<dyn Source>;
}

impl Options for CsvSourceOptions {
    fn new(path: &str, schema: Schema) -> Self {
        CsvSourceOptions::new(path, schema)
    }

    fn source(self, seed: HashSeed) -> Box<dyn Source> {
        Box::new(CsvSource::new(self, seed))
    }
}

impl Options for JsonLinesSourceOptions {
    fn new(path: &str, schema: Schema) -> Self {
        JsonLinesSourceOptions::new(path, schema)
    }

    fn source(self, seed: HashSeed) -> Box<dyn Source> {
        Box::new(JsonLinesSource::new(self, seed))
    }
}

/// A directory of files, read run after run.
pub(crate) struct Play<O = CsvSourceOptions> {
    pub directory: tempfile::TempDir,
    pub options: O,
    pub columns: Vec<usize>,
    pub threads: usize,
    pub saved: Saved,
}

impl Play {
    /// Of CSV files.
    pub(crate) fn new(columns: &str) -> Self {
        Play::of(columns)
    }
}

impl Play<JsonLinesSourceOptions> {
    /// Of JSON lines.
    pub(crate) fn json_lines(columns: &str) -> Self {
        Play::of(columns)
    }
}

impl<O: Options> Play<O> {
    fn of(columns: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("logs");
        fs::create_dir(&root).unwrap();
        let schema = schema(columns);
        let columns = (0..schema.len()).collect();
        let options = O::new(root.to_str().unwrap(), schema);
        Play { directory, options, columns, threads: 1, saved: Vec::new() }
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.directory.path().join("logs").join(file)
    }

    pub(crate) fn write(&mut self, file: &str, text: impl AsRef<[u8]>) -> &mut Self {
        fs::create_dir_all(self.path(file).parent().unwrap()).unwrap();
        fs::write(self.path(file), text).unwrap();
        self
    }

    pub(crate) fn append(&mut self, file: &str, text: impl AsRef<[u8]>) -> &mut Self {
        let mut all = fs::read(self.path(file)).unwrap_or_default();
        all.extend_from_slice(text.as_ref());
        // Written in place, as an appending program would.
        fs::write(self.path(file), all).unwrap();
        self
    }

    /// One run. After an error nothing is saved.
    pub(crate) fn run(&mut self) -> Result<Ran> {
        let mut source = self.options.clone().source(HashSeed(7));
        if !self.saved.is_empty() {
            source.open(self.saved.clone())?;
        }
        // A run that would go on watching ends here when there is nothing more.
        source.watch(&Wakeup::default())?;
        let mut rows = Bag::new();
        while let Some(input) = source.next_epoch(&self.columns)?.into_input() {
            for changes in drain(&input, self.threads)? {
                add(&changes, &mut rows);
            }
            source.finish_epoch(Epoch(2))?;
        }
        self.saved = save(&mut *source);
        let (counts, rejects) = (self.shorten_counts(source.counts()), source.take_rejects());
        Ok(Ran { rows, counts, rejects })
    }

    fn shorten_counts(&self, mut counts: SourceCounts) -> SourceCounts {
        counts.notices = counts.notices.iter().map(|notice| self.shorten(notice)).collect();
        counts
    }

    /// A message without the path of the temporary directory.
    pub(crate) fn shorten(&self, message: &str) -> String {
        message.replace(&format!("{}/", self.directory.path().display()), "")
    }
}

fn drain(input: &Arc<dyn EpochInput>, threads: usize) -> Result<Vec<Changes>> {
    let one = || {
        let mut all = Vec::new();
        while let Some(changes) = input.next()? {
            all.push(changes);
        }
        Ok(all)
    };
    if threads == 1 {
        return one();
    }
    let parts = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(one)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Result<Vec<_>>>()
    });
    Ok(parts?.into_iter().flatten().collect())
}

/// Adds changes to a bag.
pub(crate) fn add(changes: &Changes, bag: &mut Bag) {
    for row in 0..changes.rows {
        let cells: Vec<String> = changes.columns.iter().map(|column| cell(column, row)).collect();
        let count = bag.entry(cells.clone()).or_default();
        *count += changes.diffs.get(row);
        if *count == 0 {
            bag.remove(&cells);
        }
    }
}

/// Adds a bag to another.
pub(crate) fn add_bag(bag: &mut Bag, more: Bag) {
    for (row, count) in more {
        let sum = bag.entry(row.clone()).or_default();
        *sum += count;
        if *sum == 0 {
            bag.remove(&row);
        }
    }
}
