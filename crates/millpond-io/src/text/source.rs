//! The source of text files: lists files, compares them with the table of files, and reads what is new.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use millpond_engine::arrangement::{Arrangement, SavedArrangement};
use millpond_engine::changes::Epoch;
use millpond_engine::hash::HashSeed;
use millpond_error::{Error, Result};

use super::format::Format;
use super::input::{FileInput, Finished, Waiting};
use super::options::{FileOptions, OnError};
use super::problem::plural;
use super::reader::Reading;
use crate::files::compare::compare;
use crate::files::list;
use crate::files::table::FileTable;
use crate::source::{Next, Reject, Source, SourceCounts};

const TABLE_OF_FILES: &str = "files";

/// A file, a directory or a glob of files of one text format, read once: what is new since the saved position.
pub struct FileSource<F: Format> {
    options: FileOptions,
    format: F,
    table: FileTable,
    /// Whether the files were listed; a static source does so once.
    listed: bool,
    input: Option<(Arc<FileInput<F>>, i64)>,
    counts: SourceCounts,
    rejects: Mutex<Vec<Reject>>,
}

impl<F: Format> FileSource<F> {
    /// A source that has read nothing yet. `seed` is the hash seed of the state.
    pub(crate) fn of(options: FileOptions, format: F, seed: HashSeed) -> Self {
        let table = FileTable::new(seed);
        FileSource {
            options,
            format,
            table,
            listed: false,
            input: None,
            counts: SourceCounts::default(),
            rejects: Mutex::default(),
        }
    }

    /// What is known of the files.
    pub fn table(&self) -> &FileTable {
        &self.table
    }

    /// Counts last lines that wait, and says so.
    fn note_waiting(&mut self, waiting: &[Waiting]) {
        let Some(first) = waiting.first() else { return };
        self.counts.unfinished_lines += waiting.len() as u64;
        let quote = first.open_quote.map(|line| format!(" (a quote that opens in line {line} is not closed)"));
        let (file, quote) = (&first.file, quote.unwrap_or_default());
        let notice = match waiting.len() - 1 {
            0 => format!("{file}: the last line has no newline yet and waits{quote}"),
            more => {
                format!("{file}{quote} and {} more: the last line has no newline yet and waits", plural(more, "file"))
            }
        };
        self.counts.notices.push(notice);
    }
}

impl<F: Format> Source for FileSource<F> {
    fn arrangements(&mut self) -> Vec<(&'static str, &mut Arrangement)> {
        vec![(TABLE_OF_FILES, self.table.arrangement())]
    }

    fn open(&mut self, saved: Vec<(String, SavedArrangement)>) -> Result<()> {
        for (name, saved) in saved {
            if name != TABLE_OF_FILES {
                return Err(Error::data(format!("a {} source has no arrangement {name:?}", F::NAME)));
            }
            self.table.open(saved)?;
        }
        Ok(())
    }

    fn next_epoch(&mut self, columns: &[usize]) -> Result<Next> {
        if self.listed {
            return Ok(Next::End);
        }
        self.format.check(&self.options.schema)?;
        self.options.check()?;
        // Taken before the files are looked at, so that a change in between is never missed.
        let seen_ns = now_ns();
        let listing = list::list(&self.options.path)?;
        self.counts.notices.extend(listing.notices);
        let known = self.table.records();
        let comparison = compare(&self.options.path, listing.files, known, seen_ns)?;
        let new = comparison.to_read.iter().filter(|task| task.known.is_none()).count() as u64;
        self.counts.files_new += new;
        self.counts.files_changed += comparison.to_read.len() as u64 - new;
        self.counts.files_unchanged += comparison.unchanged;
        self.listed = true;
        let waiting = comparison.waiting.into_iter().map(|file| Waiting { file, open_quote: None });
        self.note_waiting(&waiting.collect::<Vec<_>>());
        // Nothing of these is to be read, so nothing has to be waited for.
        self.table.update(comparison.restamped)?;
        if comparison.to_read.is_empty() {
            return Ok(Next::End);
        }
        let reading = Reading {
            schema: self.options.schema.clone(),
            columns: columns.to_vec(),
            format: self.format.clone(),
            row_bytes: self.options.row_bytes,
            append_only: self.options.append_only,
        };
        let input = Arc::new(FileInput::new(reading, self.options.on_error.clone(), comparison.to_read));
        self.input = Some((input.clone(), seen_ns));
        Ok(Next::Input(input))
    }

    fn finish_epoch(&mut self, _epoch: Epoch) -> Result<()> {
        let Some((input, seen_ns)) = &self.input else { return Ok(()) };
        let Finished { records, waiting } = input.finish(*seen_ns)?;
        self.table.update(records)?;
        let rejected = input.rows_rejected();
        let rejects = input.take_rejects();
        self.counts.rows_read += input.rows_read();
        self.counts.rows_rejected += rejected;
        if self.options.on_error == OnError::Skip {
            let first = rejects.first().map(|first| format!("; the first: {first}")).unwrap_or_default();
            if rejected > 0 {
                self.counts.notices.push(format!("{} left out{first}", plural(rejected as usize, "row")));
            }
        } else {
            self.rejects.get_mut().unwrap_or_else(PoisonError::into_inner).extend(rejects);
        }
        self.input = None;
        self.note_waiting(&waiting);
        Ok(())
    }

    fn counts(&self) -> SourceCounts {
        let mut counts = self.counts.clone();
        if let Some((input, _)) = &self.input {
            counts.rows_read += input.rows_read();
            counts.rows_rejected += input.rows_rejected();
        }
        counts
    }

    fn take_rejects(&self) -> Vec<Reject> {
        std::mem::take(&mut *self.rejects.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn now_ns() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_nanos()).unwrap_or(i64::MAX)
}
