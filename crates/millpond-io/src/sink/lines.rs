//! Lines on their way to a file: whole batches are formatted in a buffer of the thread, which is handed on when it is
//! full.

use std::cell::Cell;

use millpond_engine::changes::Diffs;
use millpond_error::{Error, Result};

use super::GiveLines;
use super::format::{LineEnd, WriteRows};

/// The ends of lines of one epoch. In a snapshot no row is removed.
pub(super) struct LineEnds {
    pub(super) added: LineEnd,
    pub(super) removed: Option<LineEnd>,
}

/// Lines on their way to a file, in a buffer of this thread.
pub(super) struct Lines<'a> {
    /// Takes whole lines.
    give: &'a mut GiveLines<'a>,
    bytes: Vec<u8>,
    /// Where the next line starts in `bytes`.
    at: usize,
    /// The lines in `bytes`.
    count: u64,
}

/// Lines wait in a buffer of this size, which fits the processor's cache.
const BUFFER_BYTES: usize = 512 << 10;
/// A buffer that a long row has made longer than this is not kept.
const KEPT_BYTES: usize = 4 << 20;
/// Room in the buffer is checked once for so many rows.
const CHUNK_ROWS: usize = 1024;

thread_local! {
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

impl<'a> Lines<'a> {
    pub(super) fn new(give: &'a mut GiveLines<'a>) -> Self {
        let mut bytes = BUFFER.take();
        if bytes.is_empty() {
            bytes = vec![0; BUFFER_BYTES];
        }
        Lines { give, bytes, at: 0, count: 0 }
    }

    pub(super) fn write(&mut self, rows: &impl WriteRows, count: usize, diffs: &Diffs, ends: &LineEnds) -> Result<()> {
        let mut row = 0;
        while row < count {
            let mut until = count.min(row + CHUNK_ROWS);
            while until - row > 1 && rows.bound(row..until) > BUFFER_BYTES {
                until = row + (until - row) / 2;
            }
            self.make_room(rows.bound(row..until))?;
            match diffs {
                Diffs::Ones => {
                    self.at = (row..until).fold(self.at, |at, i| rows.write_line(i, &ends.added, &mut self.bytes, at));
                    self.count += (until - row) as u64;
                }
                Diffs::Each(diffs) => {
                    // A row that is written more than once ends its chunk.
                    until = diffs[row..until]
                        .iter()
                        .position(|diff| diff.unsigned_abs() != 1)
                        .map_or(until, |i| row + i + 1);
                    self.write_chunk(rows, row, &diffs[row..until], ends)?;
                }
            }
            row = until;
        }
        Ok(())
    }

    /// Writes rows from `first` on that come once each, and a last one that may come more often.
    fn write_chunk(&mut self, rows: &impl WriteRows, first: usize, diffs: &[i64], ends: &LineEnds) -> Result<()> {
        let mut start = self.at;
        for (i, diff) in diffs.iter().enumerate() {
            let end = match &ends.removed {
                _ if *diff > 0 => &ends.added,
                Some(removed) => removed,
                None => {
                    return Err(Error::input(format!("a row is in the table {diff} times: it was removed too often")));
                }
            };
            start = self.at;
            self.at = rows.write_line(first + i, end, &mut self.bytes, self.at);
        }
        self.count += diffs.len() as u64;
        match diffs.last() {
            Some(last) => self.repeat(start..self.at, last.unsigned_abs().saturating_sub(1)),
            None => Ok(()),
        }
    }

    /// Writes a line that stands in the buffer so many times more.
    fn repeat(&mut self, mut line: std::ops::Range<usize>, times: u64) -> Result<()> {
        for _ in 0..times {
            if self.at + line.len() > self.bytes.len() {
                self.flush()?;
                self.bytes.copy_within(line.clone(), 0);
                line = 0..line.len();
            } else {
                self.bytes.copy_within(line.clone(), self.at);
            }
            self.at += line.len();
        }
        self.count += times;
        Ok(())
    }

    fn make_room(&mut self, bytes: usize) -> Result<()> {
        if self.at + bytes > self.bytes.len() {
            self.flush()?;
        }
        if bytes > self.bytes.len() {
            self.bytes.resize(bytes, 0);
        }
        Ok(())
    }

    pub(super) fn flush(&mut self) -> Result<()> {
        (self.give)(&self.bytes[..std::mem::take(&mut self.at)], std::mem::take(&mut self.count))
    }
}

impl Drop for Lines<'_> {
    fn drop(&mut self) {
        if self.bytes.len() <= KEPT_BYTES {
            BUFFER.set(std::mem::take(&mut self.bytes));
        }
    }
}
