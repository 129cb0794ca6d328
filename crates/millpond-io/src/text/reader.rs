//! One file, read from where reading ended and cut into pieces of whole rows.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use memchr::memchr_iter;
use millpond_error::{Error, Result};
use millpond_plan::types::Schema;

use super::cut::Cut;
use super::format::{Format, Start};
use super::metadata::{Describe, FileMetadata};
use super::problem::thousands;
use super::waiting::{Waiting, count_lines};
use crate::files::compare::{ToRead, open_found};
use crate::files::content::{BLOCK_BYTES, BlockHasher, read_at};

/// So many bytes are read at a time: they and the columns that come out of them fit a processor's cache.
const PIECE_BYTES: usize = if cfg!(test) { 37 } else { 256 << 10 };

/// How files are read.
#[derive(Clone, Debug)]
pub struct Reading<F> {
    /// The format.
    pub format: F,
    /// All columns of the source.
    pub schema: Schema,
    /// The columns that are used, as positions in the schema.
    pub columns: Vec<usize>,
    /// Bytes of one row at which reading stops with an error.
    pub row_bytes: usize,
    /// Whether a last line without a newline waits for the rest.
    pub lines_wait: bool,
    /// What says of each file what the column `_metadata` holds, where there is one.
    pub describe: Option<Describe>,
}

/// A file under way.
#[derive(Debug)]
pub(crate) struct OpenFile<F: Format> {
    /// The position in the list of files to read.
    pub index: usize,
    pub path: PathBuf,
    pub file: File,
    /// What its start says about its rows; `None` if there is none yet.
    pub layout: Option<F::Layout>,
    /// What the column `_metadata` holds, where there is one.
    pub metadata: Option<FileMetadata>,
    lines: Mutex<Vec<(u64, u64)>>,
}

/// Bytes of a file; grows to what was needed once and is used again.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    length: usize,
}

/// A part of a file.
#[derive(Debug)]
pub(crate) struct Piece<F: Format> {
    pub file: Arc<OpenFile<F>>,
    /// Whole rows, as positions in the buffer.
    pub text: Range<usize>,
    /// The position of the buffer's start in the file.
    pub offset: u64,
    /// A row that was read before, and is to be taken back.
    pub retract: Option<Range<usize>>,
    /// The start of the last line, if it has no newline and is read.
    pub last_row: Option<usize>,
    /// The number of bytes in the buffer.
    pub length: usize,
}

/// How far a file was read; known when its last piece is handed out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reached {
    pub read_to: u64,
    /// The start of the last line, if it has no newline and was read.
    pub last_row_start: u64,
    /// What is left, and waits for the rest.
    pub waiting: Option<Waiting>,
}

/// Reads one file.
#[derive(Debug)]
pub(crate) struct FileReader<F: Format> {
    file: Arc<OpenFile<F>>,
    row_bytes: usize,
    lines_wait: bool,
    size: u64,
    /// The byte to read next.
    next: u64,
    hasher: BlockHasher,
    cutter: F::Cutter,
    /// What follows the rows that were handed out, and its position in the file.
    rest: Vec<u8>,
    rest_offset: u64,
    /// The row to take back, by its position in the file.
    retract: Option<Range<u64>>,
    reached: Option<Reached>,
}

impl<F: Format> OpenFile<F> {
    /// The physical line (from 1) that the byte at `offset` is in. Counts from the nearest place below that is known.
    pub fn line_at(&self, offset: u64) -> Result<u64> {
        let mut known = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let place = known.partition_point(|(at, _)| *at <= offset);
        let (mut at, mut line) = if place == 0 { (0, 1) } else { known[place - 1] };
        let mut buffer = vec![0; (offset - at).min(BLOCK_BYTES as u64) as usize];
        while at < offset {
            let length = (offset - at).min(buffer.len() as u64) as usize;
            read_at(&self.file, &self.path, &mut buffer[..length], at)?;
            line += memchr_iter(b'\n', &buffer[..length]).count() as u64;
            at += length as u64;
        }
        known.insert(place, (offset, line));
        Ok(line)
    }
}

impl Buffer {
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// Holds these bytes of a file.
    pub fn fill<F: Format>(&mut self, file: &OpenFile<F>, offset: u64, length: usize) -> Result<()> {
        self.length = 0;
        self.append(file, offset, length)
    }

    fn set(&mut self, bytes: &[u8]) {
        self.grow(bytes.len());
        self.bytes[..bytes.len()].copy_from_slice(bytes);
        self.length = bytes.len();
    }

    fn grow(&mut self, length: usize) {
        if self.bytes.len() < length {
            self.bytes.resize(length, 0);
        }
    }

    fn append<F: Format>(&mut self, file: &OpenFile<F>, offset: u64, length: usize) -> Result<()> {
        self.grow(self.length + length);
        read_at(&file.file, &file.path, &mut self.bytes[self.length..self.length + length], offset)?;
        self.length += length;
        Ok(())
    }
}

impl<F: Format> FileReader<F> {
    /// Opens a file and reads its start. A file without a row has no text, only blocks.
    pub fn open(index: usize, task: &ToRead, reading: &Reading<F>) -> Result<Self> {
        let path = task.found.path.clone();
        let file = open_found(&task.found)?;
        let size = task.found.stamp.size;
        let known = task.known.unwrap_or_default();
        let (layout, rows_start, reached) = match reading.format.start(&file, &path, size, reading)? {
            Start::Rows(layout, start) => (Some(layout), start, None),
            Start::Nothing { waiting: None } if !reading.lines_wait => {
                (None, 0, Some(Reached { read_to: size, ..Reached::default() }))
            }
            Start::Nothing { waiting } => (None, 0, Some(Reached { waiting, ..Reached::default() })),
        };
        let owner = || Ok(file.metadata()?.uid());
        let metadata = reading.describe.as_ref().map(|describe| describe.describe(&task.found, owner)).transpose()?;
        let file = Arc::new(OpenFile { index, path, file, layout, metadata, lines: Mutex::new(Vec::new()) });
        let data_start = rows_start.max(known.last_row_start);
        let first_block = task.blocks.len().min((data_start / BLOCK_BYTES as u64) as usize);
        let offset = (first_block * BLOCK_BYTES) as u64;
        Ok(FileReader {
            file,
            row_bytes: reading.row_bytes,
            lines_wait: reading.lines_wait,
            size,
            next: offset,
            hasher: BlockHasher::new(first_block),
            cutter: reading.format.cutter((data_start - offset) as usize),
            rest: Vec::new(),
            rest_offset: offset,
            retract: (known.last_rows > 0).then_some(known.last_row_start..known.read_to),
            reached,
        })
    }

    /// The file.
    pub fn file(&self) -> &Arc<OpenFile<F>> {
        &self.file
    }

    /// How far the file was read, when it is at its end.
    pub fn reached(&self) -> Option<Reached> {
        self.reached.clone().filter(|_| self.next >= self.size)
    }

    /// The byte to read next.
    pub fn position(&self) -> u64 {
        self.next
    }

    /// Takes out the number and hash of each block that was read to its end.
    pub fn take_hashes(&mut self) -> impl Iterator<Item = (usize, u128)> {
        self.hasher.take()
    }

    /// Reads the next piece: usually [`PIECE_BYTES`], more if a row is longer. `None` at the end of the file.
    pub fn next_piece(&mut self, buffer: &mut Buffer) -> Result<Option<Piece<F>>> {
        if self.next >= self.size {
            self.reached.get_or_insert(Reached { read_to: self.size, last_row_start: self.size, ..Reached::default() });
            return Ok(None);
        }
        buffer.set(&self.rest);
        let text_start = self.cutter.row_start();
        let mut at_end = false;
        while !at_end && self.cutter.row_start() == text_start {
            let length = (self.size - self.next).min(PIECE_BYTES as u64) as usize;
            let start = buffer.length;
            buffer.append(&self.file, self.next, length)?;
            self.hasher.update(&buffer.bytes()[start..]);
            self.next += length as u64;
            at_end = self.next >= self.size;
            if self.file.layout.is_some() {
                self.cutter.advance(buffer.bytes(), at_end);
            }
            self.check_row(buffer.length)?;
        }
        if at_end {
            self.hasher.end();
        }
        let mut text_end = self.cutter.row_start();
        let mut last_row = None;
        let offset = self.rest_offset;
        if at_end && self.file.layout.is_none() {
            (self.rest, text_end) = (Vec::new(), text_start);
        } else if at_end {
            let reached = self.reach_end(offset, text_end, &buffer.bytes()[text_end..])?;
            last_row = (reached.last_row_start < reached.read_to).then_some(text_end);
            text_end = (reached.read_to - offset) as usize;
            self.reached.get_or_insert(reached);
        } else {
            self.rest.clear();
            self.rest.extend_from_slice(&buffer.bytes()[text_end..]);
            self.rest_offset += text_end as u64;
            self.cutter.shift(text_end);
        }
        let retract = self.retract.take().map(|row| (row.start - offset) as usize..(row.end - offset) as usize);
        Ok(Some(Piece {
            file: self.file.clone(),
            text: text_start.min(text_end)..text_end,
            offset,
            retract,
            last_row,
            length: buffer.length,
        }))
    }

    /// What the end of the file means for its last row, which starts at `row_start` in the buffer, and may not be whole.
    fn reach_end(&self, offset: u64, row_start: usize, row: &[u8]) -> Result<Reached> {
        let row_start = offset + row_start as u64;
        let open_quote = self.cutter.open_quote().map(|open| self.file.line_at(offset + open as u64)).transpose()?;
        // Lines that stand in a quote which may have been opened by mistake are whole, and are taken for what they are.
        let is_whole = row_start >= self.size || !self.lines_wait && (open_quote.is_none() || row.ends_with(b"\n"));
        if is_whole {
            let last_row_start = if open_quote.is_some() { self.size } else { row_start };
            return Ok(Reached { read_to: self.size, last_row_start, waiting: None });
        }
        let (line, lines) = (self.file.line_at(row_start)?, count_lines(row));
        let waiting = Some(Waiting { line, lines, bytes: row.len() as u64, open_quote, reason: None });
        Ok(Reached { read_to: row_start, last_row_start: row_start, waiting })
    }

    fn check_row(&self, end: usize) -> Result<()> {
        let length = end.saturating_sub(self.cutter.row_start());
        if length <= self.row_bytes {
            return Ok(());
        }
        let start = self.rest_offset + self.cutter.row_start() as u64;
        let line = self.file.line_at(start)?;
        let limit = thousands(self.row_bytes);
        let error = Error::input(format!("{}:{line}: a row of more than {limit} bytes", self.file.path.display()));
        Err(match self.cutter.open_quote() {
            None => error,
            Some(open) => {
                let line = self.file.line_at(self.rest_offset + open as u64)?;
                error.with_hint(format!("a quote that opens in line {line} is not closed"))
            }
        })
    }
}
