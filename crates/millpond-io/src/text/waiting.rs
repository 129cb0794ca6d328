//! The end of a file that is no whole row yet, or no whole header, and waits for the rest.

use std::fs::File;

use millpond_error::Result;
use serde::{Deserialize, Serialize};

use super::problem::plural;
use crate::files::compare::Rest;
use crate::files::content::read_at;
use crate::files::list::unreadable;

/// The number of physical lines in a text.
pub(crate) fn count_lines(text: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', text).count() as u64 + u64::from(!text.ends_with(b"\n"))
}

/// What waits, from the start of its row to the end of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// The physical line that it starts in.
    pub line: u64,
    /// Its length.
    pub bytes: u64,
    /// The lines that it is in.
    pub lines: u64,
    /// The line of a quote that is open in it.
    pub open_quote: Option<u64>,
    /// Why it cannot be read as it is, where that was tried.
    pub reason: Option<String>,
    /// Whether it stays wrong, whatever follows before its line ends.
    pub is_final: bool,
}

impl Waiting {
    /// A sentence that names file, line and bytes.
    pub fn notice(&self, file: &str) -> String {
        let Waiting { line, bytes, lines, open_quote, reason, is_final } = self;
        let what = match (open_quote, reason) {
            (Some(_), _) => "the last row has no end yet and waits",
            (None, None) => "the last line has no newline yet and waits",
            (None, Some(_)) if *is_final => {
                "the last line cannot be read, and is left out as soon as a newline ends it"
            }
            (None, Some(_)) => "the last line has no newline, cannot be read, and waits for the rest",
        };
        let why = match (open_quote, reason) {
            (Some(line), _) => format!("; a quote that opens in line {line} is not closed"),
            (None, Some(reason)) => format!("; {reason}"),
            (None, None) => String::new(),
        };
        let lines = if *lines > 1 { format!("{}, ", plural(*lines as usize, "line")) } else { String::new() };
        format!("{file}:{line}: {what} ({lines}{}{why})", plural(*bytes as usize, "byte"))
    }
}

impl Rest {
    /// What waits in a file that did not change: the file's name, and the rest.
    pub(crate) fn look(&self) -> Result<(String, Waiting)> {
        const AT_ONCE: u64 = 1 << 20;
        let file = File::open(&self.path).map_err(|error| unreadable(&self.path, &error))?;
        let (mut line, mut lines, mut at) = (1, 0, 0);
        while at < self.size {
            let end = if at < self.start { self.start } else { self.size };
            let mut text = vec![0; (end - at).min(AT_ONCE) as usize];
            read_at(&file, &self.path, &mut text, at)?;
            let newlines = memchr::memchr_iter(b'\n', &text).count() as u64;
            *(if at < self.start { &mut line } else { &mut lines }) += newlines;
            at += text.len() as u64;
        }
        let waiting = Waiting { line, lines: lines + 1, bytes: self.size - self.start, ..Waiting::default() };
        Ok((self.path.display().to_string(), waiting))
    }
}
