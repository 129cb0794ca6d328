//! JSON lines as a format of text files.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use memchr::memchr;
use millpond_columns::types::{Column, Schema};
use millpond_engine::hash::HashSeed;
use millpond_error::{Error, Result};

use super::columns::{Batch, append_values};
use super::options::JsonLinesSourceOptions;
use super::paths::Paths;
use super::problem::{RowError, RowExplainer};
use super::scan::{Span, Spans};
use crate::files::content::read_at;
use crate::text::cut::LineCutter;
use crate::text::format::{BOM, Format, Start, refuse_binary};
use crate::text::problem::{Problem, RowMessage};
use crate::text::reader::Reading;
use crate::text::rows::Rows;
use crate::text::source::FileSource;

/// A batch has about this many values, which fit the cache.
const BATCH_VALUES: usize = 1 << 15;

/// A file, a directory or a glob of JSON lines, read once: what is new since the saved position.
pub type JsonLinesSource = FileSource<JsonLines>;

/// JSON lines, with the paths of some columns.
#[derive(Clone, Debug)]
pub struct JsonLines {
    pub(super) field_paths: Arc<[(String, String)]>,
    pub(super) row_bytes: usize,
    /// Whether `NaN`, `Infinity` and `-Infinity` are values.
    pub(super) allow_nan: bool,
}

impl JsonLinesSource {
    /// A source that has read nothing yet. `seed` is the hash seed of the state.
    pub fn new(options: JsonLinesSourceOptions, seed: HashSeed) -> Self {
        let (files, format) = options.split();
        FileSource::of(files, format, seed)
    }
}

impl JsonLines {
    fn paths<'a>(&self, columns: impl Iterator<Item = &'a Column>) -> Result<Paths> {
        let pointer = |name: &str| self.field_paths.iter().find(|(column, _)| column == name).map(|(_, path)| &**path);
        Paths::new(columns.map(|column| (&*column.name, pointer(&column.name))))
    }

    /// Scans rows from `at` on, until there are enough for a batch; returns where the next one starts.
    fn scan(
        &self,
        at: &mut usize,
        text: &[u8],
        valid: bool,
        paths: &Paths,
        spans: &mut Spans,
    ) -> Option<Problem<RowError>> {
        let most = (BATCH_VALUES / paths.slots().max(1)).clamp(64, 4096);
        while *at < text.len() && spans.rows() < most {
            let start = *at;
            let newline = memchr(b'\n', &text[start..]);
            let line_end = newline.map_or(text.len(), |newline| start + newline);
            *at = newline.map_or(text.len(), |_| line_end + 1);
            let end = if text[start..line_end].ends_with(b"\r") { line_end - 1 } else { line_end };
            let wrong = if is_blank(&text[start..end]) {
                continue;
            } else if end - start > self.row_bytes {
                Some(RowError::TooLong)
            } else if let (false, Err(error)) = (valid, std::str::from_utf8(&text[start..end])) {
                Some(RowError::NotUtf8 { at: (start + error.valid_up_to()) as u32 })
            } else {
                spans.scan(&text[..end], start, paths, self.allow_nan).err().map(RowError::NotJson)
            };
            if let Some(wrong) = wrong {
                return Some(Problem::of_row(start, end, wrong));
            }
        }
        None
    }
}

impl Format for JsonLines {
    const NAME: &'static str = "JSON lines";
    type Layout = Paths;
    type Cutter = LineCutter;
    type Scratch = Spans;
    type RowError = RowError;

    fn check(&self, schema: &Schema) -> Result<()> {
        for (i, (column, _)) in self.field_paths.iter().enumerate() {
            if schema.index_of(column).is_none() {
                let names: Vec<_> = schema.columns().iter().map(|column| format!("{:?}", column.name)).collect();
                return Err(Error::invalid(format!("json_field_paths: there is no column {column:?} in the schema"))
                    .with_hint(format!("the schema has {}", names.join(", "))));
            }
            if self.field_paths[..i].iter().any(|(before, _)| before == column) {
                return Err(Error::invalid(format!("json_field_paths: {column}: there are two paths")));
            }
        }
        self.paths(schema.columns().iter()).map(drop)
    }

    fn start(&self, file: &File, path: &Path, size: u64, reading: &Reading<Self>) -> Result<Start<Paths>> {
        let mut text = [0; 8];
        let text = &mut text[..size.min(8) as usize];
        read_at(file, path, text, 0)?;
        refuse_binary(text, path)?;
        let paths = self.paths(reading.columns.iter().map(|column| &reading.schema.columns()[*column]))?;
        Ok(Start::Rows(paths, if text.starts_with(BOM) { BOM.len() as u64 } else { 0 }))
    }

    fn cutter(&self, start: usize) -> LineCutter {
        LineCutter::new(start)
    }

    fn parse(
        &self,
        text: &[u8],
        paths: &Paths,
        stop: bool,
        spans: &mut Spans,
        rows: &mut Rows,
    ) -> Vec<Problem<RowError>> {
        let valid = text.is_ascii() || std::str::from_utf8(text).is_ok();
        let mut problems = Vec::new();
        let mut at = 0;
        while at < text.len() && (problems.is_empty() || !stop) {
            let (first, known) = (at == 0, problems.len());
            spans.clear();
            while let Some(problem) = self.scan(&mut at, text, valid, paths, spans) {
                problems.push(problem);
                if stop {
                    break;
                }
            }
            if first {
                rows.reserve(spans.rows() * (text.len() / at.max(1) + 1));
            }
            append(Batch { text, spans, slots: paths.slots(), null_is_value: false }, rows, &mut problems);
            problems[known..].sort_by_key(|problem| problem.row.start);
        }
        problems
    }

    fn explain(&self, problem: &Problem<RowError>, text: &[u8], paths: &Paths, columns: &[Column]) -> RowMessage {
        let line = Span { start: problem.row.start, end: problem.row.end };
        RowExplainer { text, line, paths, columns, row_limit: self.row_bytes }.explain(problem.wrong)
    }
}

fn is_blank(line: &[u8]) -> bool {
    line.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r'))
}

/// Appends a batch, column by column.
fn append(batch: Batch<'_>, rows: &mut Rows, problems: &mut Vec<Problem<RowError>>) {
    let mut wrong = Vec::new();
    for (slot, column) in rows.columns().iter_mut().enumerate() {
        append_values(column, batch, slot, |row, span| wrong.push((row, slot, span)));
    }
    wrong.sort_unstable_by_key(|(row, slot, _)| (*row, *slot));
    wrong.dedup_by_key(|(row, ..)| *row);
    for (row, slot, value) in &wrong {
        let line = batch.spans.lines[*row];
        let wrong = RowError::Value { slot: *slot as u32, start: value.start, end: value.end };
        problems.push(Problem::of_row(line.start as usize, line.end as usize, wrong));
    }
    rows.add(batch.spans.rows(), wrong.iter().map(|(row, ..)| *row));
}
