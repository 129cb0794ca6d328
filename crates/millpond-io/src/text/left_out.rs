//! A row with an open quote that was left out, to the end of its file: a second look at it when the file has grown.
//!
//! It may have been half of a record, cut behind a newline inside its quotes. If it has its end by now, and is a good
//! row, it is read. Otherwise it stays left out, and what follows is read from where the file ended.

use millpond_error::Result;

use super::cut::Cut;
use super::format::Format;
use super::reader::{OpenFile, Reading};
use super::rows::Rows;
use super::waiting::{Waiting, count_lines};
use crate::files::content::read_at;
use crate::files::table::FileRecord;

/// So many bytes are read at a time.
const AT_ONCE: u64 = if cfg!(test) { 37 } else { 256 << 10 };

/// What a row that was left out is now.
pub(crate) enum LeftOut {
    /// A good row.
    Row,
    /// Nothing that can be read.
    NoRow,
    /// The file ends in the middle of its last line: there is more to come.
    Waits(Waiting),
}

/// Looks again at the row that was left out at the end of a file, if there is one.
pub(crate) fn look_again<F: Format>(
    file: &OpenFile<F>,
    known: &FileRecord,
    size: u64,
    reading: &Reading<F>,
) -> Result<Option<LeftOut>> {
    let Some(layout) = &file.layout else { return Ok(None) };
    let FileRecord { last_row_start: start, read_to, .. } = *known;
    if start >= read_to || size <= read_to || byte_at(file, read_to - 1)? != b'\n' {
        return Ok(None);
    }
    let mut text = Vec::new();
    let mut cutter = reading.format.cutter(0);
    let end = loop {
        let at = start + text.len() as u64;
        if at >= size {
            break None;
        }
        let known = text.len();
        text.resize(known + (size - at).min(AT_ONCE) as usize, 0);
        read_at(&file.file, &file.path, &mut text[known..], at)?;
        let end = cutter.first_row_end(&text, start + text.len() as u64 >= size);
        if end.unwrap_or(text.len()) > reading.row_bytes {
            return Ok(Some(LeftOut::NoRow));
        }
        if end.is_some() {
            break end;
        }
    };
    let is_open = end.is_none() && cutter.open_quote().is_some();
    if is_open && text.ends_with(b"\n") {
        return Ok(Some(LeftOut::NoRow));
    }
    text.truncate(end.unwrap_or(text.len()));
    let columns: Vec<_> = reading.columns.iter().map(|column| reading.schema.columns()[*column].clone()).collect();
    let (mut rows, mut scratch) = (Rows::new(&columns), F::Scratch::default());
    let wrong = reading.format.parse(&text, layout, true, &mut scratch, &mut rows);
    let told = wrong.first().map(|problem| reading.format.explain(problem, &text, layout, &columns));
    Ok(Some(match told {
        None if end.is_some() || !reading.lines_wait => LeftOut::Row,
        Some(_) if end.is_some() => LeftOut::NoRow,
        told => LeftOut::Waits(Waiting {
            line: file.line_at(start)?,
            bytes: text.len() as u64,
            lines: count_lines(&text),
            open_quote: if is_open { Some(open_line(file, start, &cutter)?) } else { None },
            is_final: told.as_ref().is_some_and(|told| told.is_final),
            reason: told.filter(|_| !is_open).map(|told| told.sentence()),
        }),
    }))
}

/// The line of the quote that is open in a row that starts at `start`.
fn open_line<F: Format>(file: &OpenFile<F>, start: u64, cutter: &F::Cutter) -> Result<u64> {
    file.line_at(start.saturating_add_signed(cutter.open_quote().unwrap_or_default()))
}

fn byte_at<F: Format>(file: &OpenFile<F>, at: u64) -> Result<u8> {
    let mut byte = [0];
    read_at(&file.file, &file.path, &mut byte, at)?;
    Ok(byte[0])
}
