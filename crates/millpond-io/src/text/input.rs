//! The files of one epoch as a queue of pieces, read and parsed by several threads.
//!
//! Large files are read, hashed and cut under the queue's lock, since where a row ends may depend on the quotes before
//! it; small ones are handed out whole, several at once. Parsing happens outside the lock.
//!
//! Pieces are numbered as they are handed out, in the order of files and lines. When one fails, no more are handed out,
//! and every thread waits for the pieces before it: so the error that is returned does not depend on chance.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicU64, Ordering};

use millpond_columns::types::Column;
use millpond_engine::changes::Changes;
use millpond_engine::wire::MISFIT_HINT;
use millpond_error::{Error, Result};
use parking_lot::{Condvar, Mutex, MutexGuard};

use super::format::Format;
use super::metadata::FileMetadata;
use super::options::OnError;
use super::problem::{OPEN_QUOTE, Problem, RowMessage, plural, thousands};
use super::reader::{Buffer, FileReader, Piece, Reached, Reading, TooLong};
use super::rows::Rows;
use super::share::{FileResult, SharedFile, SharedPiece, SharedPlace, SharedResult, halves};
use super::waiting::{Waiting, count_lines};
use crate::files::compare::{ToRead, hash_last_block};
use crate::files::content::{BLOCK_BYTES, block_count, hash_of_blocks, read_at};
use crate::files::table::FileRecord;
use crate::source::{EpochInput, Progress, Reject};

/// A file up to this size is small; small files are handed out together up to this size and number.
const SMALL_BYTES: u64 = BLOCK_BYTES as u64;
const SMALL_FILES: usize = 256;

/// One epoch's files.
pub(crate) struct FileInput<F: Format> {
    reading: Reading<F>,
    on_error: OnError,
    /// The columns that are used.
    columns: Vec<Column>,
    metadata: Metadata,
    tasks: Vec<ToRead>,
    outcomes: Vec<Mutex<Outcome>>,
    queue: Mutex<Queue<F>>,
    piece_done: Condvar,
    pool: Mutex<Vec<Scratch<F::Scratch>>>,
    rows_read: AtomicU64,
    rows_rejected: AtomicU64,
    bytes_read: AtomicU64,
    files_read: AtomicU64,
    rejects: Mutex<Vec<(usize, u64, Reject)>>,
    /// What of each file was left out up to its end: file, and a sentence.
    left_out: Mutex<Vec<(usize, String)>>,
}

struct Queue<F: Format> {
    next_file: usize,
    reader: Option<FileReader<F>>,
    next_piece: u64,
    under_way: BTreeSet<u64>,
    failed: Option<(u64, Error)>,
    exhausted: bool,
}

/// What came out of one file.
#[derive(Debug, Default)]
struct Outcome {
    /// The hashes of blocks, by number.
    blocks: Vec<u128>,
    rows: u64,
    /// The rows read from a last line without a newline.
    last_rows: u64,
    /// What the column `_metadata` holds.
    metadata: Option<FileMetadata>,
    reached: Option<Reached>,
    /// The last line without a newline, if it cannot be read as a row.
    waiting: Option<Waiting>,
    /// The columns that it does not have.
    lacking: Vec<String>,
}

#[derive(Default)]
pub(crate) struct Scratch<S> {
    pub buffer: Buffer,
    parsing: S,
}

pub(crate) enum Work<F: Format> {
    Piece(Piece<F>),
    Files(Range<usize>),
}

/// Says that a piece is done, even when its thread panics.
pub(super) struct UnderWay<'a, F: Format> {
    input: &'a FileInput<F>,
    number: u64,
}

impl<F: Format> Drop for UnderWay<'_, F> {
    fn drop(&mut self) {
        let mut queue = lock(&self.input.queue);
        queue.under_way.remove(&self.number);
        if std::thread::panicking() {
            queue.fail(self.number, Error::unavailable("a thread that read input was lost"));
        }
        self.input.piece_done.notify_all();
    }
}

impl<F: Format> Queue<F> {
    fn new() -> Self {
        let under_way = BTreeSet::new();
        Queue { next_file: 0, reader: None, next_piece: 0, under_way, failed: None, exhausted: false }
    }

    fn fail(&mut self, number: u64, error: Error) {
        if self.failed.as_ref().is_none_or(|(first, _)| number < *first) {
            self.failed = Some((number, error));
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock()
}

impl<F: Format> FileInput<F> {
    pub(crate) fn new(reading: Reading<F>, on_error: OnError, tasks: Vec<ToRead>, metadata: Metadata) -> Self {
        let columns = reading.columns.iter().map(|column| reading.schema.columns()[*column].clone()).collect();
        let outcomes = tasks.iter().map(|task| {
            let mut blocks = task.blocks.clone();
            blocks.resize(block_count(task.found.stamp.size), 0);
            Mutex::new(Outcome { blocks, ..Outcome::default() })
        });
        FileInput {
            outcomes: outcomes.collect(),
            reading,
            on_error,
            columns,
            metadata,
            tasks,
            queue: Mutex::new(Queue::new()),
            piece_done: Condvar::new(),
            pool: Mutex::default(),
            rows_read: AtomicU64::new(0),
            rows_rejected: AtomicU64::new(0),
            bytes_read: AtomicU64::new(0),
            files_read: AtomicU64::new(0),
            rejects: Mutex::default(),
            left_out: Mutex::default(),
        }
    }

    fn bytes_to_read(task: &ToRead) -> u64 {
        task.found.stamp.size - (task.blocks.len() * BLOCK_BYTES) as u64
    }

    /// The next piece, with its number; `None` at the end.
    pub(super) fn take(&self, scratch: &mut Scratch<F::Scratch>) -> Result<Option<(Work<F>, UnderWay<'_, F>)>> {
        let mut queue = lock(&self.queue);
        if queue.failed.is_some() {
            return Err(self.first_error(queue));
        }
        let work = self.take_work(&mut queue, scratch);
        let number = queue.next_piece;
        queue.next_piece += 1;
        match work {
            Ok(Some(work)) => {
                queue.under_way.insert(number);
                Ok(Some((work, UnderWay { input: self, number })))
            }
            Ok(None) => {
                queue.exhausted = true;
                Ok(None)
            }
            Err(error) => {
                queue.fail(number, error);
                Err(self.first_error(queue))
            }
        }
    }

    fn take_work(&self, queue: &mut Queue<F>, scratch: &mut Scratch<F::Scratch>) -> Result<Option<Work<F>>> {
        loop {
            if let Some(reader) = &mut queue.reader {
                let piece = self.next_piece(reader, &mut scratch.buffer)?;
                if let Some(reached) = reader.reached() {
                    lock(&self.outcomes[reader.file().index]).reached = Some(reached);
                    self.files_read.fetch_add(1, Ordering::Relaxed);
                    queue.reader = None;
                }
                if let Some(piece) = piece {
                    return Ok(Some(Work::Piece(piece)));
                }
            }
            let first = queue.next_file;
            let mut total = 0;
            for task in self.tasks[first..].iter().take(SMALL_FILES) {
                total += Self::bytes_to_read(task);
                if total > SMALL_BYTES {
                    break;
                }
                queue.next_file += 1;
            }
            if queue.next_file > first {
                return Ok(Some(Work::Files(first..queue.next_file)));
            }
            let Some(task) = self.tasks.get(first) else { return Ok(None) };
            queue.reader = Some(FileReader::open(first, task, &self.reading)?);
            queue.next_file += 1;
        }
    }

    /// The next piece of a file; takes up the hashes of its blocks.
    fn next_piece(&self, reader: &mut FileReader<F>, buffer: &mut Buffer) -> Result<Option<Piece<F>>> {
        let before = reader.position();
        let piece = reader.next_piece(buffer)?;
        self.bytes_read.fetch_add(reader.position() - before, Ordering::Relaxed);
        let index = reader.file().index;
        for (block, hash) in reader.take_hashes() {
            lock(&self.outcomes[index]).blocks[block] = hash;
        }
        Ok(piece)
    }

    /// The first error in the order of pieces, when all pieces before it are done.
    fn first_error(&self, mut queue: MutexGuard<'_, Queue<F>>) -> Error {
        loop {
            let (number, error) = queue.failed.as_ref().expect("this is asked where reading has failed");
            if queue.under_way.iter().next().is_none_or(|first| first > number) {
                return error.clone();
            }
            self.piece_done.wait(&mut queue);
        }
    }

    pub(crate) fn work(&self, work: Work<F>, scratch: &mut Scratch<F::Scratch>) -> Result<Changes> {
        let Scratch { buffer, parsing } = scratch;
        let mut rows = Rows::new(&self.columns);
        match work {
            Work::Piece(piece) => self.parse(&piece, buffer, parsing, &mut rows)?,
            Work::Files(files) => {
                for index in files {
                    let mut reader = FileReader::open(index, &self.tasks[index], &self.reading)?;
                    while let Some(piece) = self.next_piece(&mut reader, buffer)? {
                        self.parse(&piece, buffer, parsing, &mut rows)?;
                    }
                    lock(&self.outcomes[index]).reached = reader.reached();
                    self.files_read.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        Ok(rows.finish(self.metadata.at))
    }

    fn parse(&self, piece: &Piece<F>, buffer: &Buffer, parsing: &mut F::Scratch, rows: &mut Rows) -> Result<()> {
        if let Some(row) = piece.too_long {
            return self.leave_out(piece, row);
        }
        let format = &self.reading.format;
        let stop = self.on_error == OnError::Fail;
        let bytes = buffer.bytes();
        let mut start = piece.text.start;
        let mut known_rows = 0;
        let (mut count, mut problems, mut text_end) = (0, Vec::new(), start);
        if let Some(layout) = &piece.file.layout {
            if let Some(row) = &piece.retract {
                match line_end_behind(&bytes[row.clone()], &bytes[row.end..]) {
                    // Of what was read, nothing ends with a newline: this was left out, for a quote that was open.
                    _ if bytes[row.clone()].ends_with(b"\n") => {
                        self.take_back(piece, layout, row.clone(), bytes, parsing)?;
                    }
                    // The last line only got its newline: it is the same row.
                    Some(newline) => (start, known_rows) = (row.end + newline, 1),
                    None => {
                        let row = &bytes[row.clone()];
                        rows.retract(|rows| format.parse(row, layout, stop, parsing, rows).is_empty());
                        if let Some(Some(known)) = self.metadata.last_rows.get(piece.file.index) {
                            rows.describe(known);
                        }
                    }
                }
            }
            let before = rows.good();
            let last = piece.last_row.unwrap_or(piece.text.end);
            problems = format.parse(&bytes[start..last], layout, stop, parsing, rows);
            let whole = rows.good();
            let mut waiting = None;
            if last < piece.text.end && (problems.is_empty() || !stop) {
                // What is wrong with a line that is not whole is no reason to leave it out, or to end if more of it may help.
                let text = &bytes[last..piece.text.end];
                let wrong = format.parse(text, layout, stop, parsing, rows);
                waiting = wrong.first().map(|problem| self.wait_for(piece, layout, last, text, problem)).transpose()?;
            }
            piece.file.metadata.iter().for_each(|metadata| rows.describe(metadata));
            count = (rows.good() - before) as u64;
            let mut outcome = lock(&self.outcomes[piece.file.index]);
            outcome.rows += count + known_rows;
            outcome.lacking = F::lacking(layout).to_vec();
            if piece.last_row.is_some() {
                outcome.last_rows = (rows.good() - whole) as u64;
                outcome.metadata = piece.file.metadata.clone();
                outcome.waiting = waiting;
            }
            text_end = last;
        }
        self.rows_read.fetch_add(count, Ordering::Relaxed);
        match &piece.file.layout {
            Some(layout) if !problems.is_empty() => {
                self.reject(piece, layout, start, &bytes[start..text_end], &problems)
            }
            _ => Ok(()),
        }
    }

    /// A last line that cannot be read as it is, and starts at `start` in the buffer. An error, if bad rows are one and
    /// nothing that may follow makes this one good.
    #[cold]
    fn wait_for(
        &self,
        piece: &Piece<F>,
        layout: &F::Layout,
        start: usize,
        text: &[u8],
        problem: &Problem<F::RowError>,
    ) -> Result<Waiting> {
        let told = self.reading.format.explain(problem, text, layout, &self.columns);
        if told.is_final && self.on_error == OnError::Fail {
            let line = piece.file.line_at(piece.offset + start as u64 + u64::from(problem.place))?;
            return Err(error_of(&piece.file.path.display().to_string(), line, told));
        }
        let line = piece.file.line_at(piece.offset + start as u64)?;
        Ok(Waiting {
            line,
            bytes: text.len() as u64,
            lines: count_lines(text),
            open_quote: None,
            reason: Some(told.sentence()),
            is_final: told.is_final,
        })
    }

    /// Takes back the dead letter of a row that was left out, and is now read.
    #[cold]
    fn take_back(
        &self,
        piece: &Piece<F>,
        layout: &F::Layout,
        row: Range<usize>,
        bytes: &[u8],
        parsing: &mut F::Scratch,
    ) -> Result<()> {
        if !matches!(self.on_error, OnError::DeadLetter(_)) {
            return Ok(());
        }
        let (offset, text) = (piece.offset + row.start as u64, &bytes[row]);
        let problems = self.reading.format.parse(text, layout, false, parsing, &mut Rows::new(&self.columns));
        let mut rejects = Vec::with_capacity(problems.len());
        for problem in &problems {
            let (at, reject, _) = self.rejected(piece, layout, offset, text, problem)?;
            rejects.push((piece.file.index, at, Reject { is_taken_back: true, ..reject }));
        }
        self.keep_rejects(rejects);
        Ok(())
    }

    /// A row of `text` that is left out, with the place whose line is named, and whether that is up to the end of the
    /// file.
    fn rejected(
        &self,
        piece: &Piece<F>,
        layout: &F::Layout,
        offset: u64,
        text: &[u8],
        problem: &Problem<F::RowError>,
    ) -> Result<(u64, Reject, bool)> {
        let told = self.reading.format.explain(problem, text, layout, &self.columns);
        let RowMessage { column, value, mut reason, to_end, .. } = told;
        let at = offset + u64::from(problem.place);
        let line = piece.file.line_at(at)?;
        let row = &text[problem.row.start as usize..problem.row.end as usize];
        if to_end {
            let (lines, bytes) = (plural(count_lines(row) as usize, "line"), plural(row.len(), "byte"));
            reason = to_the_end(&reason, &lines, &bytes);
        }
        let (file, row) = (piece.file.path.display().to_string(), String::from_utf8_lossy(row).into_owned());
        Ok((at, Reject { file, line, column, value, reason, row, is_taken_back: false }, to_end))
    }

    #[cold]
    fn reject(
        &self,
        piece: &Piece<F>,
        layout: &F::Layout,
        start: usize,
        text: &[u8],
        problems: &[Problem<F::RowError>],
    ) -> Result<()> {
        let offset = piece.offset + start as u64;
        if self.on_error == OnError::Fail {
            let Some(problem) = problems.first() else { return Ok(()) };
            let line = piece.file.line_at(offset + u64::from(problem.place))?;
            let told = self.reading.format.explain(problem, text, layout, &self.columns);
            return Err(error_of(&piece.file.path.display().to_string(), line, told));
        }
        self.rows_rejected.fetch_add(problems.len() as u64, Ordering::Relaxed);
        // Skipped rows are only counted, apart from the first of each file for the notice.
        let wanted = if self.on_error == OnError::Skip { 1 } else { problems.len() };
        let mut rejects = Vec::with_capacity(wanted);
        for (number, problem) in problems.iter().enumerate() {
            // Only the last row of a text may go on to the end of its file.
            if number >= wanted && number + 1 < problems.len() {
                continue;
            }
            let (at, reject, to_end) = self.rejected(piece, layout, offset, text, problem)?;
            if to_end {
                let notice = format!("{}:{}: {}", reject.file, reject.line, reject.reason);
                lock(&self.left_out).push((piece.file.index, notice));
            }
            if number < wanted || to_end {
                rejects.push((piece.file.index, at, reject));
            }
        }
        self.keep_rejects(rejects);
        Ok(())
    }

    /// Leaves out a row over the limit.
    #[cold]
    fn leave_out(&self, piece: &Piece<F>, row: TooLong) -> Result<()> {
        // Dead letters hold its start.
        const MOST_BYTES: u64 = 64 << 10;
        let TooLong { start, bytes, lines, open_quote } = row;
        let file = piece.file.path.display().to_string();
        let at = open_quote.unwrap_or(start);
        let line = piece.file.line_at(at)?;
        let (lines, length) = (plural(lines as usize, "line"), plural(bytes as usize, "byte"));
        let reason = match open_quote {
            Some(_) => {
                let reason = to_the_end(OPEN_QUOTE, &lines, &length);
                lock(&self.left_out).push((piece.file.index, format!("{file}:{line}: {reason}")));
                reason
            }
            None => format!("a row of more than {} bytes: {lines} ({length})", thousands(self.reading.row_bytes)),
        };
        let mut text = vec![0; bytes.min(MOST_BYTES) as usize];
        read_at(&piece.file.file, &piece.file.path, &mut text, start)?;
        let row = String::from_utf8_lossy(&text).into_owned();
        self.rows_rejected.fetch_add(1, Ordering::Relaxed);
        let reject = Reject { file, line, column: None, value: None, reason, row, is_taken_back: false };
        self.keep_rejects(vec![(piece.file.index, at, reject)]);
        Ok(())
    }

    /// What came out of all files of this input, for the process that owns them, which hashed the blocks of a piece
    /// itself.
    pub(crate) fn shared_result(&self, is_piece: bool) -> SharedResult {
        let files = self.tasks.iter().zip(&self.outcomes).enumerate().map(|(index, (task, outcome))| {
            let outcome = lock(outcome);
            let read = if is_piece { 0..0 } else { task.blocks.len()..outcome.blocks.len() };
            FileResult {
                index,
                first_block: read.start,
                blocks: outcome.blocks[read].iter().copied().map(halves).collect(),
                rows: outcome.rows,
                last_rows: Some(outcome.last_rows),
                metadata: outcome.metadata.as_deref().map(str::to_owned),
                reached: outcome.reached.clone().map(|at| (at.read_to, at.last_row_start, at.waiting)),
                waiting: outcome.waiting.clone(),
                lacking: outcome.lacking.clone(),
            }
        });
        SharedResult {
            number: 0,
            files: files.collect(),
            rows_read: self.rows_read(),
            rows_rejected: self.rows_rejected(),
            rejects: std::mem::take(&mut *lock(&self.rejects)),
            left_out: std::mem::take(&mut *lock(&self.left_out)),
        }
    }

    /// A piece for another process, with its number.
    fn share(&self, number: u64, work: &Work<F>) -> Result<SharedPiece> {
        let file = |index: usize, metadata| {
            let last_row = self.metadata.last_rows.get(index).and_then(Option::as_ref);
            (index, SharedFile::of(&self.tasks[index], metadata, last_row))
        };
        match work {
            Work::Piece(piece) => {
                let files = vec![file(piece.file.index, piece.file.metadata.clone())];
                Ok(SharedPiece { number, files, place: Some(SharedPlace::of(piece)) })
            }
            Work::Files(files) => {
                let described = |index: usize| {
                    let found = &self.tasks[index].found;
                    let owner = || Ok(std::fs::metadata(&found.path)?.uid());
                    let describe = self.reading.describe.as_ref();
                    let metadata = describe.map(|describe| describe.describe(found, owner)).transpose()?;
                    Ok(file(index, metadata))
                };
                Ok(SharedPiece { number, files: files.clone().map(described).collect::<Result<_>>()?, place: None })
            }
        }
    }

    /// Takes up what came out of a piece in another process.
    fn take_up(&self, result: SharedResult) -> Result<()> {
        for file in result.files {
            let Some((task, outcome)) = self.tasks.get(file.index).zip(self.outcomes.get(file.index)) else {
                return Err(misfit(&format!("names file {} of {}", file.index, self.tasks.len())));
            };
            let mut outcome = lock(outcome);
            let (first, count, known) = (file.first_block, file.blocks.len(), outcome.blocks.len());
            let Some(blocks) = outcome.blocks.get_mut(first..first.saturating_add(count)) else {
                let path = task.found.path.display();
                let blocks = plural(count, "block");
                return Err(misfit(&format!(
                    "has hashes of {blocks} from number {first} of {path}, which has {known}"
                )));
            };
            blocks.iter_mut().zip(file.hashes()).for_each(|(block, hash)| *block = hash);
            outcome.rows += file.rows;
            outcome.last_rows = file.last_rows.unwrap_or(outcome.last_rows);
            outcome.metadata = file.metadata.as_deref().map(FileMetadata::from).or(outcome.metadata.take());
            outcome.reached = file.reached().or(outcome.reached.take());
            outcome.waiting = file.waiting.or(outcome.waiting.take());
            outcome.lacking = file.lacking;
        }
        self.rows_read.fetch_add(result.rows_read, Ordering::Relaxed);
        self.rows_rejected.fetch_add(result.rows_rejected, Ordering::Relaxed);
        self.keep_rejects(result.rejects);
        lock(&self.left_out).extend(result.left_out);
        Ok(())
    }

    fn keep_rejects(&self, rejects: Vec<(usize, u64, Reject)>) {
        let mut all = lock(&self.rejects);
        all.extend(rejects);
        if self.on_error == OnError::Skip && all.len() > 1 {
            all.sort_by_key(|(index, at, _)| (*index, *at));
            all.truncate(1);
        }
    }

    /// Takes out the rejected rows, in the order of files and lines.
    pub(crate) fn take_rejects(&self) -> Vec<Reject> {
        let mut rejects = std::mem::take(&mut *lock(&self.rejects));
        rejects.sort_by_key(|(index, at, _)| (*index, *at));
        rejects.into_iter().map(|(_, _, reject)| reject).collect()
    }

    pub(crate) fn rows_read(&self) -> u64 {
        self.rows_read.load(Ordering::Relaxed)
    }

    pub(crate) fn rows_rejected(&self) -> u64 {
        self.rows_rejected.load(Ordering::Relaxed)
    }

    /// What is known of each file after all was read, and the last lines that wait; an error if not all was read.
    pub(crate) fn finish(&self, seen_ns: i64) -> Result<Finished> {
        {
            let queue = lock(&self.queue);
            if let Some((_, error)) = &queue.failed {
                return Err(error.clone());
            }
            if !queue.exhausted || !queue.under_way.is_empty() {
                return Err(Error::unavailable("the input of the epoch was not read to its end"));
            }
        }
        let mut records = Vec::with_capacity(self.tasks.len());
        let mut blocks = Vec::with_capacity(self.tasks.len());
        let (mut waiting, mut read_whole, mut last_rows) = (Vec::new(), Vec::new(), Vec::new());
        let mut lacking: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (task, outcome) in self.tasks.iter().zip(&self.outcomes) {
            let mut outcome = lock(outcome);
            let Some(mut reached) = outcome.reached.take() else {
                let what = format!("no process has read {} to its end", task.found.path.display());
                return Err(Error::unavailable(what).with_hint(MISFIT_HINT));
            };
            let file = || task.found.path.display().to_string();
            let is_too_long = |left: &Waiting| left.bytes > self.reading.row_bytes as u64;
            if task.goes_on && reached.waiting.take_if(|left| is_too_long(left)).is_some() {
                read_whole.push(task.found.key.clone());
            }
            if let Some(unread) = outcome.waiting.take() {
                reached = Reached { read_to: reached.last_row_start, waiting: Some(unread), ..reached };
            }
            waiting.extend(reached.waiting.take().map(|left| (file(), left)));
            for column in std::mem::take(&mut outcome.lacking) {
                lacking.entry(column).or_default().push(file());
            }
            if reached.read_to < task.found.stamp.size {
                outcome.cut_to(reached.read_to, task)?;
            }
            records.push((task.found.key.clone(), outcome.record(task, &reached, seen_ns)));
            blocks.push((task.found.key.clone(), std::mem::take(&mut outcome.blocks)));
            let metadata = outcome.metadata.take().filter(|_| outcome.last_rows > 0);
            last_rows.push((task.found.key.clone(), metadata));
        }
        let mut left_out = std::mem::take(&mut *lock(&self.left_out));
        left_out.sort();
        let left_out = left_out.into_iter().map(|(_, notice)| notice).collect();
        Ok(Finished { records, blocks, waiting, read_whole, left_out, lacking, last_rows })
    }
}

/// What is known after all was read.
#[derive(Default)]
pub(crate) struct Finished {
    pub records: Vec<(String, FileRecord)>,
    /// The hashes of the blocks of each file.
    pub blocks: Vec<(String, Vec<u128>)>,
    /// What is left at the ends of files and waits for the rest.
    pub waiting: Vec<(String, Waiting)>,
    /// The files in which a row over the limit goes on behind what was read of them.
    pub read_whole: Vec<String>,
    /// What was left out up to the ends of files: a sentence each.
    pub left_out: Vec<String>,
    /// The files that do not have a column which is read.
    pub lacking: BTreeMap<String, Vec<String>>,
    /// What the last row of each file was read with that may be taken back.
    pub last_rows: Vec<(String, Option<FileMetadata>)>,
}

/// The column `_metadata` of an epoch.
#[derive(Debug, Default)]
pub(crate) struct Metadata {
    /// Its position among the columns that are used, if it is one of them.
    pub at: Option<usize>,
    /// What the last row of each file was read with, of those that may be taken back.
    pub last_rows: Vec<Option<FileMetadata>>,
}

/// The length of the line end that follows a row which the end of the file had ended. A `\r` at the end of that row was
/// the first half of its line end; with another one behind it, it is part of the last field.
fn line_end_behind(row: &[u8], text: &[u8]) -> Option<usize> {
    match text {
        [b'\n', ..] => Some(1),
        [b'\r', b'\n', ..] if !row.ends_with(b"\r") => Some(2),
        _ => None,
    }
}

impl Outcome {
    /// Leaves out the blocks behind the first `length` bytes, and hashes what remains of the last one.
    fn cut_to(&mut self, length: u64, task: &ToRead) -> Result<()> {
        self.blocks.truncate(block_count(length));
        if !length.is_multiple_of(BLOCK_BYTES as u64)
            && let Some(last) = self.blocks.last_mut()
        {
            let file = crate::files::compare::open_found(&task.found)?;
            *last = hash_last_block(&file, &task.found.path, length)?;
        }
        Ok(())
    }

    fn record(&self, task: &ToRead, reached: &Reached, seen_ns: i64) -> FileRecord {
        let known = task.known.unwrap_or_default();
        FileRecord {
            stamp: task.found.stamp,
            seen_ns,
            read_to: reached.read_to,
            rows: known.rows - known.last_rows + self.rows,
            last_row_start: reached.last_row_start.min(reached.read_to),
            last_rows: self.last_rows,
            hash: hash_of_blocks(&self.blocks),
        }
    }
}

/// The error of what another process says of a piece that it was asked to read.
fn misfit(what: &str) -> Error {
    Error::unavailable(format!("what came back of a piece of input {what}")).with_hint(MISFIT_HINT)
}

/// Why the rest of a file is left out, and how much that is.
fn to_the_end(reason: &str, lines: &str, bytes: &str) -> String {
    format!("{reason}: {lines} ({bytes}) up to the end of the file are left out")
}

/// An error that names file, line, column and reason.
fn error_of(file: &str, line: u64, told: RowMessage) -> Error {
    let error = Error::input(format!("{file}:{line}: {}", told.sentence()));
    match told.hint {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

impl<F: Format> EpochInput for FileInput<F> {
    fn next(&self) -> Result<Option<Changes>> {
        let mut scratch = lock(&self.pool).pop().unwrap_or_default();
        loop {
            let Some((work, under_way)) = self.take(&mut scratch)? else { return Ok(None) };
            let result = self.work(work, &mut scratch);
            if let Err(error) = &result {
                lock(&self.queue).fail(under_way.number, error.clone());
            }
            drop(under_way);
            match result {
                Err(_) => return Err(self.first_error(lock(&self.queue))),
                Ok(changes) if changes.is_empty() => {}
                Ok(changes) => {
                    lock(&self.pool).push(scratch);
                    return Ok(Some(changes));
                }
            }
        }
    }

    fn size_hint(&self) -> u64 {
        self.tasks.iter().map(Self::bytes_to_read).sum()
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn hand_out(&self) -> Option<(u64, Vec<u8>)> {
        let mut scratch = lock(&self.pool).pop().unwrap_or_default();
        let mut queue = lock(&self.queue);
        if queue.failed.is_some() {
            return None;
        }
        let work = self.take_work(&mut queue, &mut scratch);
        let number = queue.next_piece;
        queue.next_piece += 1;
        let shared = match work {
            Ok(Some(work)) => {
                queue.under_way.insert(number);
                self.share(number, &work)
                    .map(|piece| serde_json::to_vec(&piece).expect("plain data always has a JSON form"))
            }
            Ok(None) => {
                queue.exhausted = true;
                return None;
            }
            Err(error) => Err(error),
        };
        match shared {
            Ok(bytes) => {
                drop(queue);
                lock(&self.pool).push(scratch);
                Some((number, bytes))
            }
            Err(error) => {
                queue.under_way.remove(&number);
                queue.fail(number, error);
                None
            }
        }
    }

    fn hand_in(&self, result: &[u8]) -> Result<u64> {
        let result: SharedResult =
            serde_json::from_slice(result).map_err(|error| misfit(&format!("cannot be understood: {error}")))?;
        let number = result.number;
        if !lock(&self.queue).under_way.contains(&number) {
            return Err(misfit(&format!("is of piece {number}, which is not under way")));
        }
        self.take_up(result)?;
        lock(&self.queue).under_way.remove(&number);
        self.piece_done.notify_all();
        Ok(number)
    }

    fn give_up(&self, piece: u64, error: Error) {
        let mut queue = lock(&self.queue);
        queue.fail(piece, error);
        queue.under_way.remove(&piece);
        self.piece_done.notify_all();
    }

    fn progress(&self) -> Progress {
        Progress {
            files_read: self.files_read.load(Ordering::Relaxed),
            rows_read: self.rows_read(),
            rows_rejected: self.rows_rejected(),
            bytes_read: self.bytes_read.load(Ordering::Relaxed),
        }
    }
}
