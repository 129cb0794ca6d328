//! CSV as a format of text files.

use std::fs::File;
use std::path::Path;

use millpond_engine::hash::HashSeed;
use millpond_error::{Error, Result};
use millpond_plan::types::{Column, Schema};

use super::cut::Cutter;
use super::dialect::Dialect;
use super::header::{self, Header};
use super::options::{CsvSourceOptions, Limits};
use super::parser::{Layout, Parser};
use super::problem::{Teller, Wrong};
use super::split::Spans;
use crate::text::format::{Format, Start};
use crate::text::problem::{Problem, Told};
use crate::text::reader::Reading;
use crate::text::rows::Rows;
use crate::text::source::FileSource;

/// A file, a directory or a glob of CSV files, read once: what is new since the saved position.
pub type CsvSource = FileSource<Csv>;

/// CSV with a header, in one dialect.
#[derive(Clone, Copy, Debug)]
pub struct Csv {
    pub(super) dialect: Dialect,
    pub(super) limits: Limits,
}

impl CsvSource {
    /// A source that has read nothing yet. `seed` is the hash seed of the state.
    pub fn new(options: CsvSourceOptions, seed: HashSeed) -> Self {
        let (files, format) = options.split();
        FileSource::of(files, format, seed)
    }
}

impl Csv {
    fn layout(&self, header: Header, path: &Path, reading: &Reading<Self>) -> Result<Layout> {
        let positions = header.positions(&reading.schema, &self.limits, &path.display().to_string())?;
        let positions = reading.columns.iter().map(|column| positions[*column]).collect();
        Ok(Layout { names: header.names, positions })
    }
}

impl Format for Csv {
    const NAME: &'static str = "CSV";
    type Layout = Layout;
    type Cutter = Cutter;
    type Scratch = Spans;
    type Wrong = Wrong;

    fn check(&self, _: &Schema) -> Result<()> {
        let Dialect { delimiter, quote, escape } = self.dialect;
        let bytes = [("delimiter", Some(delimiter)), ("quote", quote), ("escape", escape)];
        for (name, byte) in bytes {
            let Some(byte) = byte else { continue };
            if !byte.is_ascii() || matches!(byte, b'\n' | b'\r' | 0) {
                let shown = (byte as char).escape_default();
                return Err(Error::invalid(format!(
                    "{name} \"{shown}\" is not a single ASCII character that fits in a line"
                )));
            }
        }
        for (name, byte) in &bytes[1..] {
            if *byte == Some(delimiter) {
                let shown = (delimiter as char).escape_default();
                return Err(Error::invalid(format!("delimiter and {name} are both \"{shown}\"")));
            }
        }
        Ok(())
    }

    fn start(&self, file: &File, path: &Path, size: u64, reading: &Reading<Self>) -> Result<Start<Layout>> {
        Ok(match header::read(file, path, size, &self.dialect, &self.limits)? {
            header::Start::Whole(header) => {
                let end = header.end;
                Start::Rows(self.layout(header, path, reading)?, end)
            }
            header::Start::Unfinished(header) => {
                if !reading.lines_wait {
                    self.layout(header, path, reading)?;
                }
                Start::Nothing { unfinished: true }
            }
            header::Start::Nothing => Start::Nothing { unfinished: false },
        })
    }

    fn cutter(&self, start: usize) -> Cutter {
        Cutter::new(self.dialect, start)
    }

    fn is_blank(&self, line: &[u8]) -> bool {
        matches!(line, b"" | b"\r")
    }

    fn parse(
        &self,
        text: &[u8],
        layout: &Layout,
        stop: bool,
        spans: &mut Spans,
        rows: &mut Rows,
    ) -> Vec<Problem<Wrong>> {
        Parser { dialect: self.dialect, limits: self.limits, stop, layout, spans }.parse(text, rows)
    }

    fn tell(&self, problem: &Problem<Wrong>, text: &[u8], layout: &Layout, columns: &[Column]) -> Told {
        let (dialect, field_limit) = (self.dialect, self.limits.field_bytes);
        Teller { text, header: &layout.names, columns, dialect, field_limit }.tell(problem.wrong)
    }
}
