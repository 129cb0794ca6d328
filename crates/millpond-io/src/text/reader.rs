//! One file, read from where reading ended and cut into pieces of whole rows.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;

use memchr::memchr_iter;
use millpond_columns::types::Schema;
use millpond_error::{Error, Result};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::cut::Cut;
use super::format::{Format, Start};
use super::left_out::{self, LeftOut};
use super::metadata::{Describe, FileMetadata};
use super::problem::thousands;
use super::waiting::{Waiting, count_lines};
use crate::files::compare::{ToRead, open_found};
use crate::files::content::{BLOCK_BYTES, BlockHasher, read_at};
use crate::files::table::FileRecord;

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
    /// Bytes of one row at which reading stops with an error, or leaves it out.
    pub row_bytes: usize,
    /// Whether a row that cannot be read is left out.
    pub leave_out: bool,
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
    /// A row that was read before, and is to be taken back; or one that was left out, with its newline, and is now
    /// read.
    pub retract: Option<Range<usize>>,
    /// The start of the last line, if it has no newline and is read.
    pub last_row: Option<usize>,
    /// The number of bytes in the buffer.
    pub length: usize,
    /// A row over the limit, instead of a text.
    pub too_long: Option<TooLong>,
}

/// A row over the limit, which was passed over, up to its end or that of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TooLong {
    /// Its place in the file.
    pub start: u64,
    pub bytes: u64,
    /// The lines that it is in.
    pub lines: u64,
    /// The quote that is open at the end of the file.
    pub open_quote: Option<u64>,
}

/// How far a file was read; known when its last piece is handed out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reached {
    pub read_to: u64,
    /// The start of the last line, if it has no newline and was read, or of a row with an open quote that was left out.
    pub last_row_start: u64,
    /// What is left, and waits for the rest.
    pub waiting: Option<Waiting>,
}

/// Reads one file.
#[derive(Debug)]
pub(crate) struct FileReader<F: Format> {
    file: Arc<OpenFile<F>>,
    format: F,
    row_bytes: usize,
    leave_out: bool,
    lines_wait: bool,
    size: u64,
    /// Whether the file goes on behind `size`.
    goes_on: bool,
    /// The byte to read next.
    next: u64,
    hasher: BlockHasher,
    cutter: F::Cutter,
    /// What follows the rows that were handed out, and its position in the file.
    rest: Vec<u8>,
    rest_offset: u64,
    /// Whether the rest may hold whole rows.
    rest_is_new: bool,
    /// What to take back, by its position in the file.
    retract: Option<Range<u64>>,
    reached: Option<Reached>,
}

impl<F: Format> OpenFile<F> {
    /// The physical line (from 1) that the byte at `offset` is in. Counts from the nearest place below that is known.
    pub(crate) fn line_at(&self, offset: u64) -> Result<u64> {
        let mut known = self.lines.lock();
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
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// Holds these bytes of a file.
    pub(crate) fn fill<F: Format>(&mut self, file: &OpenFile<F>, offset: u64, length: usize) -> Result<()> {
        self.length = 0;
        self.append(file, offset, length)
    }

    /// Drops bytes at the start.
    fn drop(&mut self, gone: usize) {
        self.bytes.copy_within(gone..self.length, 0);
        self.length -= gone;
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
    pub(crate) fn open(index: usize, task: &ToRead, reading: &Reading<F>) -> Result<Self> {
        let path = task.found.path.clone();
        let file = open_found(&task.found)?;
        let size = task.found.stamp.size;
        let known = task.known.unwrap_or_default();
        let (layout, rows_start, mut reached) = match reading.format.start(&file, &path, size, reading)? {
            Start::Rows(layout, start) => (Some(layout), start, None),
            Start::Nothing { waiting: None } if !reading.lines_wait => {
                (None, 0, Some(Reached { read_to: size, ..Reached::default() }))
            }
            Start::Nothing { waiting } => (None, 0, Some(Reached { waiting, ..Reached::default() })),
        };
        let owner = || Ok(file.metadata()?.uid());
        let metadata = reading.describe.as_ref().map(|describe| describe.describe(&task.found, owner)).transpose()?;
        let mut file = OpenFile { index, path, file, layout, metadata, lines: Mutex::new(Vec::new()) };
        let mut data_start = rows_start.max(known.last_row_start);
        let mut retract = (known.last_rows > 0).then_some(known.last_row_start..known.read_to);
        match left_out::look_again(&file, &known, size, reading)? {
            None => {}
            Some(LeftOut::Row) => retract = Some(known.last_row_start..known.read_to),
            Some(LeftOut::NoRow) => data_start = known.read_to,
            Some(LeftOut::Waits(waiting)) => {
                let FileRecord { read_to, last_row_start, .. } = known;
                reached = Some(Reached { read_to, last_row_start, waiting: Some(waiting) });
                file.layout = None;
            }
        }
        let file = Arc::new(file);
        let first_block = task.blocks.len().min((data_start / BLOCK_BYTES as u64) as usize);
        let offset = (first_block * BLOCK_BYTES) as u64;
        Ok(FileReader {
            file,
            format: reading.format.clone(),
            row_bytes: reading.row_bytes,
            leave_out: reading.leave_out,
            lines_wait: reading.lines_wait,
            size,
            goes_on: task.goes_on,
            next: offset,
            hasher: BlockHasher::new(first_block),
            cutter: reading.format.cutter((data_start - offset) as usize),
            rest: Vec::new(),
            rest_offset: offset,
            rest_is_new: false,
            retract,
            reached,
        })
    }

    /// The file.
    pub(crate) fn file(&self) -> &Arc<OpenFile<F>> {
        &self.file
    }

    /// How far the file was read, when it is at its end.
    pub(crate) fn reached(&self) -> Option<Reached> {
        self.reached.clone().filter(|_| self.next >= self.size)
    }

    /// The byte to read next.
    pub(crate) fn position(&self) -> u64 {
        self.next
    }

    /// Takes out the number and hash of each block that was read to its end.
    pub(crate) fn take_hashes(&mut self) -> impl Iterator<Item = (usize, u128)> {
        self.hasher.take()
    }

    /// Reads the next piece: usually [`PIECE_BYTES`], more if a row is longer. `None` at the end of the file.
    pub(crate) fn next_piece(&mut self, buffer: &mut Buffer) -> Result<Option<Piece<F>>> {
        let mut at_end = self.next >= self.size;
        if at_end && !self.rest_is_new {
            self.reached.get_or_insert(Reached { read_to: self.size, last_row_start: self.size, ..Reached::default() });
            return Ok(None);
        }
        buffer.set(&self.rest);
        let text_start = self.cutter.row_start();
        if std::mem::take(&mut self.rest_is_new) {
            self.cutter.advance(buffer.bytes(), at_end);
        }
        while self.cutter.row_start() == text_start {
            if buffer.length.saturating_sub(text_start) > self.row_bytes {
                if !self.leave_out || self.file.layout.is_none() {
                    return Err(self.too_long()?);
                }
                return self.leave_out_row(buffer);
            }
            if at_end {
                break;
            }
            at_end = self.read_on(buffer)?;
            if self.file.layout.is_some() {
                self.cutter.advance(buffer.bytes(), at_end);
            }
        }
        let mut text_end = self.cutter.row_start();
        let mut last_row = None;
        let offset = self.rest_offset;
        if at_end && self.file.layout.is_none() {
            (self.rest, text_end) = (Vec::new(), text_start);
        } else if at_end {
            let reached = self.reach_end(offset, text_end, &buffer.bytes()[text_end..])?;
            let is_left_out = buffer.bytes().ends_with(b"\n");
            last_row = (reached.last_row_start < reached.read_to && !is_left_out).then_some(text_end);
            text_end = (reached.read_to - offset) as usize;
            self.reached.get_or_insert(reached);
        } else {
            self.rest.clear();
            self.rest.extend_from_slice(&buffer.bytes()[text_end..]);
            self.rest_offset += text_end as u64;
            self.cutter.shift(text_end);
        }
        Ok(Some(Piece {
            text: text_start.min(text_end)..text_end,
            retract: self.take_retract(offset),
            last_row,
            length: buffer.length,
            ..self.empty_piece(offset)
        }))
    }

    fn empty_piece(&self, offset: u64) -> Piece<F> {
        let file = self.file.clone();
        Piece { file, text: 0..0, offset, retract: None, last_row: None, length: 0, too_long: None }
    }

    /// The row to take back, as a place in a buffer that starts here.
    fn take_retract(&mut self, offset: u64) -> Option<Range<usize>> {
        self.retract.take().map(|row| (row.start - offset) as usize..(row.end - offset) as usize)
    }

    /// Appends the next bytes of the file to the buffer; whether they are the last.
    fn read_on(&mut self, buffer: &mut Buffer) -> Result<bool> {
        let length = (self.size - self.next).min(PIECE_BYTES as u64) as usize;
        let start = buffer.length;
        buffer.append(&self.file, self.next, length)?;
        self.hasher.update(&buffer.bytes()[start..]);
        self.next += length as u64;
        let at_end = self.next >= self.size;
        if at_end {
            self.hasher.end();
        }
        Ok(at_end)
    }

    /// Leaves out the row at the start of the text, which is over the limit, up to its end or that of the file. Keeps
    /// nothing of it.
    fn leave_out_row(&mut self, buffer: &mut Buffer) -> Result<Option<Piece<F>>> {
        let mut offset = self.rest_offset;
        let row_start = self.cutter.row_start();
        if let Some(retract) = self.take_retract(offset) {
            // First, what was read of the row is taken back.
            self.rest.clear();
            self.rest.extend_from_slice(buffer.bytes());
            self.rest_is_new = true;
            let (text, retract, length) = (row_start..row_start, Some(retract), buffer.length);
            return Ok(Some(Piece { text, retract, length, ..self.empty_piece(offset) }));
        }
        let start = offset + row_start as u64;
        let mut newlines = memchr_iter(b'\n', &buffer.bytes()[row_start..]).count() as u64;
        while self.next < self.size {
            let gone = self.cutter.pass_over();
            buffer.drop(gone);
            offset += gone as u64;
            let known = buffer.length;
            let at_end = self.read_on(buffer)?;
            let end = self.cutter.first_row_end(buffer.bytes(), at_end);
            newlines += memchr_iter(b'\n', &buffer.bytes()[known..end.unwrap_or(buffer.length)]).count() as u64;
            let Some(end) = end else { continue };
            self.rest.clear();
            self.rest.extend_from_slice(&buffer.bytes()[end..]);
            self.rest_offset = offset + end as u64;
            self.rest_is_new = true;
            self.cutter = self.format.cutter(0);
            let too_long = TooLong { start, bytes: self.rest_offset - start, lines: newlines, open_quote: None };
            return Ok(Some(Piece { too_long: Some(too_long), ..self.empty_piece(start) }));
        }
        let bytes = self.size - start;
        let open_quote = self.cutter.open_quote().map(|open| offset.wrapping_add_signed(open));
        let is_line = buffer.bytes().ends_with(b"\n");
        if open_quote.is_some() && is_line && !self.goes_on {
            self.reached = Some(Reached { read_to: self.size, last_row_start: self.size, ..Reached::default() });
            let too_long = TooLong { start, bytes, lines: newlines, open_quote };
            return Ok(Some(Piece { too_long: Some(too_long), ..self.empty_piece(start) }));
        }
        let (line, lines) = (self.file.line_at(start)?, newlines + u64::from(!is_line));
        let open_quote = open_quote.map(|open| self.file.line_at(open)).transpose()?;
        let waiting = Some(Waiting { line, lines, bytes, open_quote, ..Waiting::default() });
        self.reached = Some(Reached { read_to: start, last_row_start: start, waiting });
        Ok(None)
    }

    /// What the end of the file means for its last row, which starts at `row_start` in the buffer, and may not be
    /// whole.
    fn reach_end(&self, offset: u64, row_start: usize, row: &[u8]) -> Result<Reached> {
        let row_start = offset + row_start as u64;
        let open_quote = self.cutter.open_quote();
        let open_quote = open_quote.map(|open| self.file.line_at(offset.wrapping_add_signed(open))).transpose()?;
        // Lines that stand in a quote which may have been opened by mistake are whole, and are taken for what they are.
        let is_whole = row_start >= self.size || !self.lines_wait && (open_quote.is_none() || row.ends_with(b"\n"));
        if is_whole {
            return Ok(Reached { read_to: self.size, last_row_start: row_start, waiting: None });
        }
        let (line, lines) = (self.file.line_at(row_start)?, count_lines(row));
        let waiting = Some(Waiting { line, lines, bytes: row.len() as u64, open_quote, ..Waiting::default() });
        Ok(Reached { read_to: row_start, last_row_start: row_start, waiting })
    }

    /// The row under way is over the limit.
    #[cold]
    fn too_long(&self) -> Result<Error> {
        let line = self.file.line_at(self.rest_offset + self.cutter.row_start() as u64)?;
        let limit = thousands(self.row_bytes);
        let error = Error::input(format!("{}:{line}: a row of more than {limit} bytes", self.file.path.display()));
        Ok(match self.cutter.open_quote() {
            None => error,
            Some(open) => {
                let line = self.file.line_at(self.rest_offset.wrapping_add_signed(open))?;
                error.with_hint(format!("a quote that opens in line {line} is not closed"))
            }
        })
    }
}
