//! CSV as a format of text files.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use millpond_columns::types::{Column, Schema};
use millpond_engine::hash::HashSeed;
use millpond_error::{Error, Result};

use super::cut::Cutter;
use super::dialect::Dialect;
use super::header::{self, Header, Unfinished};
use super::options::{CsvSourceOptions, Limits};
use super::parser::{Layout, Parser};
use super::problem::{RowError, RowExplainer};
use super::split::Spans;
use crate::text::format::{Format, Start};
use crate::text::problem::{Problem, RowMessage};
use crate::text::reader::Reading;
use crate::text::rows::Rows;
use crate::text::source::FileSource;
use crate::text::waiting::Waiting;

/// A file, a directory or a glob of CSV files, read once: what is new since the saved position.
pub type CsvSource = FileSource<Csv>;

/// CSV with a header, in one dialect.
#[derive(Clone, Debug)]
pub struct Csv {
    pub(super) dialect: Dialect,
    pub(super) limits: Limits,
    /// What a field reads that is null, beside the empty one.
    pub(super) null_values: Arc<[Box<[u8]>]>,
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
        let columns = reading.schema.columns();
        let is_only = |(column, position): (&Column, &Option<usize>)| column.ty.optional && position.is_some();
        let blank_is_row = header.names.len() == 1 && columns.iter().zip(&positions).any(is_only);
        let positions: Vec<_> = reading.columns.iter().map(|column| positions[*column]).collect();
        let lacking = reading.columns.iter().zip(&positions).filter(|(_, position)| position.is_none());
        let lacking = lacking.map(|(column, _)| columns[*column].name.clone()).collect();
        Ok(Layout { names: header.names, positions, lacking, blank_is_row })
    }
}

impl Csv {
    /// What of a header that ends with the file waits for the rest.
    fn waiting(&self, unfinished: Unfinished, path: &Path, reading: &Reading<Self>) -> Result<Option<Waiting>> {
        let Unfinished { header, line, bytes, lines, open_quote, ends_line } = unfinished;
        let waiting = Waiting { line, bytes, lines, open_quote, ..Waiting::default() };
        if reading.lines_wait {
            return Ok(Some(waiting));
        }
        match header.and_then(|header| self.layout(header, path, reading)) {
            Ok(_) => Ok(None),
            Err(error) if ends_line => Err(error),
            Err(error) => {
                let place = format!("{}:{line}: ", path.display());
                let reason = error.message();
                Ok(Some(Waiting { reason: Some(reason.strip_prefix(&place).unwrap_or(reason).to_owned()), ..waiting }))
            }
        }
    }
}

impl Format for Csv {
    const NAME: &'static str = "CSV";
    type Layout = Layout;
    type Cutter = Cutter;
    type Scratch = Spans;
    type RowError = RowError;

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
        if let Some(value) = self.null_values.iter().find(|value| value.contains(&b'\n') || value.contains(&b'\r')) {
            let value = String::from_utf8_lossy(value);
            return Err(Error::invalid(format!(
                "null_values: {value:?} holds a line break, which no field without quotes does"
            )));
        }
        Ok(())
    }

    fn start(&self, file: &File, path: &Path, size: u64, reading: &Reading<Self>) -> Result<Start<Layout>> {
        Ok(match header::read(file, path, size, &self.dialect, &self.limits)? {
            header::Start::Whole(header) => {
                let end = header.end;
                Start::Rows(self.layout(header, path, reading)?, end)
            }
            header::Start::Unfinished(unfinished) => {
                Start::Nothing { waiting: self.waiting(unfinished, path, reading)? }
            }
            header::Start::Nothing => Start::Nothing { waiting: None },
        })
    }

    fn lacking(layout: &Layout) -> &[String] {
        &layout.lacking
    }

    fn cutter(&self, start: usize) -> Cutter {
        Cutter::new(self.dialect, start)
    }

    fn parse(
        &self,
        text: &[u8],
        layout: &Layout,
        stop: bool,
        spans: &mut Spans,
        rows: &mut Rows,
    ) -> Vec<Problem<RowError>> {
        let Csv { dialect, limits, ref null_values } = *self;
        Parser { dialect, limits, stop, layout, null_values, spans }.parse(text, rows)
    }

    fn explain(&self, problem: &Problem<RowError>, text: &[u8], layout: &Layout, columns: &[Column]) -> RowMessage {
        let (dialect, field_limit) = (self.dialect, self.limits.field_bytes);
        let (row, has_null_values) = (problem.row.clone(), !self.null_values.is_empty());
        RowExplainer { text, row, header: &layout.names, columns, dialect, field_limit, has_null_values }
            .explain(problem.wrong)
    }
}
