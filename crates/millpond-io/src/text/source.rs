//! The source of text files: lists files, compares them with the table of files, and reads what is new.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Instant;

use millpond_engine::arrangement::{Arrangement, SavedArrangement};
use millpond_engine::changes::Epoch;
use millpond_engine::hash::HashSeed;
use millpond_error::{Error, Result};
use millpond_store::DAMAGE_HINT;
use parking_lot::Mutex;

use super::format::Format;
use super::input::{FileInput, Finished, Metadata};
use super::metadata::{Describe, FileMetadata, LastRow, LastRows, Owners, last_rows};
use super::options::{FileOptions, OnError};
use super::problem::plural;
use super::reader::Reading;
use super::share::FilePieceReader;
use super::waiting::Waiting;
use crate::files::compare::{Known, ToRead, compare};
use crate::files::content::BLOCK_BYTES;
use crate::files::list::{FileSystem, Look};
use crate::files::table::{FileRecord, FileTable, file_table};
use crate::files::watch::Watch;
use crate::source::{EpochInput, Next, PieceReader, Reject, Source, SourceCounts};
use crate::wakeup::Wakeup;

const TABLE_OF_FILES: &str = "files";
const LAST_ROWS: &str = "last rows";
/// A run that goes on for ever keeps so many notices for its end.
const MOST_NOTICES: usize = 100;
/// So many files with something that waits are named each.
const MOST_WAITING: usize = 10;

/// A file, a directory or a glob of files of one text format. Reads what is new since the saved position, and that is
/// the end, or goes on watching.
pub struct FileSource<F: Format> {
    options: FileOptions,
    format: F,
    table: FileTable,
    /// Of a source with a column `_metadata`.
    metadata: Option<KnownMetadata>,
    /// The hashes of the blocks of files that were read in this run, where it goes on watching them.
    blocks: HashMap<String, Vec<u128>>,
    /// Whether the files were listed; a static source does so once.
    listed: bool,
    watch: Option<Watch>,
    look: Arc<dyn Look>,
    /// The time at which the files were looked at last.
    seen_ns: i64,
    input: Option<Arc<FileInput<F>>>,
    /// Bytes that were seen and left for later epochs.
    bytes_waiting: u64,
    /// The files that are read to their end next, since one of their rows is longer than what one epoch takes.
    read_whole: BTreeSet<String>,
    /// Of a source that goes on: by file, the row over several lines at its end that has no end yet.
    unended: HashMap<String, Unended>,
    counts: SourceCounts,
    /// What a run that goes on for ever has said already.
    told: BTreeSet<String>,
    rejects: Mutex<Vec<Reject>>,
}

impl<F: Format> FileSource<F> {
    /// A source that has read nothing yet. `seed` is the hash seed of the state.
    pub(crate) fn of(options: FileOptions, format: F, seed: HashSeed) -> Self {
        let table = file_table(seed);
        let known = || KnownMetadata { last_rows: last_rows(seed), owners: Arc::default() };
        let metadata = options.metadata.then(known);
        FileSource {
            options,
            format,
            table,
            metadata,
            blocks: HashMap::new(),
            listed: false,
            watch: None,
            look: Arc::new(FileSystem),
            seen_ns: 0,
            input: None,
            bytes_waiting: 0,
            read_whole: BTreeSet::new(),
            unended: HashMap::new(),
            counts: SourceCounts::default(),
            told: BTreeSet::new(),
            rejects: Mutex::default(),
        }
    }

    /// What is known of the files.
    pub fn table(&self) -> &FileTable {
        &self.table
    }

    fn check(&self) -> Result<()> {
        self.format.check(&self.options.schema)?;
        self.options.check()
    }

    /// Whether a last line without a newline waits for the rest: a file that is watched may be in the middle of a
    /// write.
    fn lines_wait(&self) -> bool {
        self.options.append_only || self.options.streaming.is_some()
    }

    /// Lists the files, and returns those that hold something to read.
    fn look(&mut self) -> Result<Vec<ToRead>> {
        let (seen_ns, listing) = self.look.look(&self.options.path)?;
        self.seen_ns = seen_ns;
        let known = Known { records: self.table.values(), blocks: &self.blocks, lines_wait: self.lines_wait() };
        let comparison = compare(&self.options.path, listing.files, known, self.seen_ns)?;
        self.counts.files_unchanged = comparison.unchanged + comparison.waiting.len() as u64;
        for task in &comparison.to_read {
            let number = match task.known {
                None => &mut self.counts.files_new,
                Some(known) if known.stamp.size != task.found.stamp.size => &mut self.counts.files_changed,
                // What waits in it is looked at again.
                Some(_) => &mut self.counts.files_unchanged,
            };
            *number += 1;
        }
        if self.options.streaming.is_none() {
            self.counts.notices.extend(listing.notices);
            self.counts.notices.extend(listing.left_out);
            let waiting = comparison.waiting.iter().map(|left| left.look());
            self.note_waiting(waiting.collect::<Result<Vec<_>>>()?);
        } else {
            listing.left_out.into_iter().for_each(|notice| self.note_once(notice.clone(), || notice));
        }
        // Nothing of these is to be read, so nothing has to be waited for.
        self.table.update(all_known(comparison.restamped))?;
        Ok(comparison.to_read)
    }

    /// Leaves about as many bytes to read as one epoch takes; returns how many more there are. A file is read as if it
    /// had been seen while it was shorter.
    fn limit(&self, to_read: &mut Vec<ToRead>, epoch_bytes: u64) -> u64 {
        // A row that is no longer than it may be always fits, so each epoch gets ahead.
        let mut room = epoch_bytes.max((self.options.row_bytes + BLOCK_BYTES) as u64);
        for index in 0..to_read.len() {
            let read_to = to_read[index].known.map_or(0, |known| known.read_to);
            let ToRead { found, goes_on, .. } = &mut to_read[index];
            let left = found.stamp.size - read_to;
            if left > room && !self.read_whole.contains(&found.key) {
                found.stamp.size = read_to + room;
                *goes_on = true;
                let behind = to_read[index + 1..].iter();
                let behind = behind.map(|task| task.found.stamp.size - task.known.map_or(0, |known| known.read_to));
                let waiting = left - room + behind.sum::<u64>();
                to_read.truncate(index + usize::from(room > 0));
                return waiting;
            }
            room = room.saturating_sub(left);
        }
        0
    }

    /// The position of the column `_metadata` among `columns`.
    fn metadata_at(&self, columns: &[usize]) -> Option<usize> {
        columns.iter().position(|column| *column == self.options.schema.len())
    }

    fn reading(&self, columns: &[usize], describe: Option<Describe>) -> Reading<F> {
        Reading {
            schema: self.options.schema.clone(),
            columns: columns.iter().copied().filter(|column| *column < self.options.schema.len()).collect(),
            format: self.format.clone(),
            row_bytes: self.options.row_bytes,
            leave_out: self.options.on_error != OnError::Fail,
            lines_wait: self.lines_wait(),
            describe,
        }
    }

    /// The input of the next epoch.
    fn read(&mut self, to_read: Vec<ToRead>, columns: &[usize]) -> Option<Arc<dyn EpochInput>> {
        if to_read.is_empty() {
            return None;
        }
        let known = self.metadata.as_ref();
        let owners = known.map(|known| known.owners.clone());
        let metadata =
            Metadata { at: self.metadata_at(columns), last_rows: known.map_or(Vec::new(), |known| known.of(&to_read)) };
        let reading = self.reading(columns, owners.map(|owners| Describe::Look { seen_ns: self.seen_ns, owners }));
        // Nearly always there is none, and then no path is spelled.
        if !self.unended.is_empty() {
            for task in &to_read {
                if let Some(unended) = self.unended.get_mut(&task.found.path.display().to_string()) {
                    unended.is_read_again = true;
                }
            }
        }
        let input = Arc::new(FileInput::new(reading, self.options.on_error.clone(), to_read, metadata));
        self.input = Some(input.clone());
        Some(input)
    }

    /// Counts what waits at the ends of files, and says so.
    fn note_waiting(&mut self, waiting: Vec<(String, Waiting)>) {
        self.counts.unfinished_lines += waiting.len() as u64;
        let named = waiting.iter().take(MOST_WAITING).map(|(file, left)| left.notice(file));
        self.counts.notices.extend(named);
        if waiting.len() > MOST_WAITING {
            let more = plural(waiting.len() - MOST_WAITING, "more file");
            self.counts.notices.push(format!("the last lines of {more} wait, too"));
        }
    }

    /// Takes note of the rows over several lines that have no end. Such a row may be in the middle of its write; it may
    /// also be that nothing will close its quote, and that all that follows in the file waits for ever.
    fn note_unended(&mut self, waiting: &[(String, Waiting)]) {
        let before = std::mem::take(&mut self.unended);
        let (read, kept) = before.into_iter().partition::<HashMap<_, _>, _>(|(_, unended)| unended.is_read_again);
        self.unended = kept;
        for (file, left) in waiting.iter().filter(|(_, left)| left.open_quote.is_some() && left.lines > 1) {
            let same = read.get(file).filter(|unended| unended.line == left.line);
            let since = same.map_or_else(Instant::now, |unended| unended.since);
            let unended = Unended { line: left.line, bytes: left.bytes, since, is_read_again: false };
            self.unended.insert(file.clone(), unended);
            // Once more whenever it has become eight times as long.
            self.note_once(format!("{file}:{}:{}", left.line, left.lines.ilog(8)), || left.notice(file));
        }
        self.counts.unended_bytes = self.unended.values().map(|unended| unended.bytes).sum();
        self.counts.unended_since = self.unended.values().map(|unended| unended.since).min();
    }

    /// Says which columns files do not have.
    fn note_lacking(&mut self, lacking: BTreeMap<String, Vec<String>>) {
        for (column, files) in lacking {
            let more = match files.len() - 1 {
                0 => String::new(),
                more => format!(" and in {}", plural(more, "more file")),
            };
            let notice = || format!("{}: no column {column:?} in the header: it is null there{more}", files[0]);
            self.note_once(format!("no column {column}"), notice);
        }
    }

    /// Says something that need not be said again in this run.
    fn note_once(&mut self, key: String, notice: impl FnOnce() -> String) {
        if self.told.len() < MOST_NOTICES && self.told.insert(key) {
            self.counts.notices.push(notice());
        }
    }
}

impl<F: Format> Source for FileSource<F> {
    fn arrangements(&mut self) -> Vec<(&'static str, &mut Arrangement)> {
        let last_rows = self.metadata.as_mut().map(|known| (LAST_ROWS, known.last_rows.arrangement()));
        [(TABLE_OF_FILES, self.table.arrangement())].into_iter().chain(last_rows).collect()
    }

    fn open(&mut self, saved: Vec<(String, SavedArrangement)>) -> Result<()> {
        for (name, saved) in saved {
            match (name.as_str(), &mut self.metadata) {
                (TABLE_OF_FILES, _) => self.table.open(saved)?,
                (LAST_ROWS, Some(known)) => known.last_rows.open(saved)?,
                _ => {
                    let what = format!("a {} source has no arrangement {name:?}", F::NAME);
                    return Err(Error::data(what).with_hint(DAMAGE_HINT));
                }
            }
        }
        Ok(())
    }

    fn look_by(&mut self, look: Arc<dyn Look>) {
        self.look = look;
    }

    fn is_endless(&self) -> bool {
        self.options.streaming.is_some()
    }

    fn watch(&mut self, wakeup: &Wakeup) -> Result<()> {
        if self.options.streaming.is_some() {
            self.check()?;
            self.watch = Some(Watch::start(&self.options.path, wakeup));
        }
        Ok(())
    }

    fn next_epoch(&mut self, columns: &[usize]) -> Result<Next> {
        let Some(streaming) = self.options.streaming else {
            if std::mem::replace(&mut self.listed, true) {
                return Ok(Next::End);
            }
            self.check()?;
            let to_read = self.look()?;
            return Ok(self.read(to_read, columns).map_or(Next::End, Next::Input));
        };
        let Some(mut watch) = self.watch.take() else {
            return Err(Error::unavailable("the source does not watch its files"));
        };
        let mut input = None;
        if watch.due() <= Instant::now() {
            let began = watch.begin_look();
            let mut to_read = self.look()?;
            self.bytes_waiting = self.limit(&mut to_read, streaming.epoch_bytes);
            self.read_whole.clear();
            input = self.read(to_read, columns);
            watch.end_look(began, streaming.commit_every, self.bytes_waiting > 0);
        }
        let later = Next::Later(watch.due());
        self.watch = Some(watch);
        Ok(input.map_or(later, Next::Input))
    }

    fn finish_epoch(&mut self, _epoch: Epoch) -> Result<()> {
        let Some(input) = &self.input else { return Ok(()) };
        let Finished { records, blocks, waiting, read_whole, left_out, lacking, last_rows } =
            input.finish(self.seen_ns)?;
        self.table.update(all_known(records))?;
        if let Some(known) = &mut self.metadata {
            let rows = last_rows.into_iter().map(|(name, object)| (name, object.map(LastRow)));
            known.last_rows.update(rows.collect())?;
        }
        let rejected = input.rows_rejected();
        let rejects = input.take_rejects();
        self.counts.rows_read += input.rows_read();
        self.counts.rows_rejected += rejected;
        if self.options.on_error == OnError::Skip {
            let first = rejects.first().map(|first| format!("; the first: {first}")).unwrap_or_default();
            if rejected > 0 && self.counts.notices.len() < MOST_NOTICES {
                self.counts.notices.push(format!("{} left out{first}", plural(rejected as usize, "row")));
            }
        } else {
            self.rejects.get_mut().extend(rejects);
        }
        self.input = None;
        self.read_whole.extend(read_whole);
        self.note_lacking(lacking);
        left_out.into_iter().for_each(|notice| self.note_once(notice.clone(), || notice));
        if self.options.streaming.is_some() {
            self.blocks.extend(blocks);
            self.note_unended(&waiting);
        } else {
            self.note_waiting(waiting);
        }
        Ok(())
    }

    fn piece_reader(&self, columns: &[usize]) -> Option<Arc<dyn PieceReader>> {
        let reading = self.reading(columns, None);
        Some(Arc::new(FilePieceReader::new(reading, self.options.on_error.clone(), self.metadata_at(columns))))
    }

    fn counts(&self) -> SourceCounts {
        let mut counts = self.counts.clone();
        if let Some(input) = &self.input {
            counts.rows_read += input.rows_read();
            counts.rows_rejected += input.rows_rejected();
        }
        counts
    }

    fn bytes_waiting(&self) -> u64 {
        self.bytes_waiting
    }

    fn take_rejects(&self) -> Vec<Reject> {
        std::mem::take(&mut *self.rejects.lock())
    }
}

/// A row over several lines that has no end yet.
struct Unended {
    /// Where it starts.
    line: u64,
    bytes: u64,
    since: Instant,
    /// Whether the epoch under way reads its file.
    is_read_again: bool,
}

/// Records to be known of files from now on.
fn all_known(records: Vec<(String, FileRecord)>) -> Vec<(String, Option<FileRecord>)> {
    records.into_iter().map(|(name, record)| (name, Some(record))).collect()
}

/// What a source with a column `_metadata` knows beside the table of files.
struct KnownMetadata {
    last_rows: LastRows,
    owners: Arc<Owners>,
}

impl KnownMetadata {
    fn of(&self, to_read: &[ToRead]) -> Vec<Option<FileMetadata>> {
        let last_row =
            |task: &ToRead| self.last_rows.values().get(&task.found.key).map(|LastRow(object)| object.clone());
        to_read.iter().map(last_row).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use millpond_error::ErrorKind;

    use super::super::input::Scratch;
    use super::*;
    use crate::csv::{CsvSource, Streaming};
    use crate::testing::Play;

    /// A piece whose thread has panicked is not taken for read, and nobody waits for it.
    #[test]
    fn a_panic_in_a_thread_that_reads_ends_the_epoch() {
        let mut play = Play::new("user: str");
        play.write("a.csv", "user\nann\n");
        let mut source = CsvSource::new(play.options.clone(), HashSeed(1));
        source.next_epoch(&[0]).unwrap();
        let input = source.input.clone().unwrap();
        let panic = catch_unwind(AssertUnwindSafe(|| {
            let _taken = input.take(&mut Scratch::default()).unwrap();
            panic!("a row is gone");
        }));
        assert!(panic.is_err());
        let lost = input.next().unwrap_err();
        let message = "a thread that read input was lost";
        assert_eq!((lost.kind(), lost.message()), (ErrorKind::Unavailable, message));
        assert_eq!(source.finish_epoch(Epoch(2)).unwrap_err(), lost);
        assert!(source.table().values().is_empty());
    }

    #[test]
    fn a_source_is_opened_by_its_own_state_and_watched_before_it_is_read() {
        let mut play = Play::new("user: str");
        play.options.streaming = Some(Streaming::default());
        let mut source = CsvSource::new(play.options.clone(), HashSeed(1));
        let error = source.next_epoch(&[0]).err().unwrap();
        let message = "the source does not watch its files";
        assert_eq!((error.kind(), error.message()), (ErrorKind::Unavailable, message));
        for name in ["position", LAST_ROWS] {
            let error = source.open(vec![(name.to_owned(), SavedArrangement::default())]).unwrap_err();
            let text = format!("a CSV source has no arrangement {name:?}\nhint: {DAMAGE_HINT}");
            assert_eq!((error.kind(), error.to_string()), (ErrorKind::Data, text));
        }
    }
}
