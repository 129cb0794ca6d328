//! A source of rows written into the program: for tests and examples.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, BinaryArray, BooleanArray, Float64Array, Int64Array, StringArray};
use millpond_columns::types::{ColumnType, Schema, Type};
use millpond_engine::arrangement::{Arrangement, ArrangementSchema, SavedArrangement};
use millpond_engine::changes::{Changes, Diffs, Epoch};
use millpond_engine::hash::{HashSeed, KeyRange, hash_columns};
use millpond_engine::keyed::KeyedRows;
use millpond_error::{Error, Result};
use millpond_plan::{json, text_codec, time};
use millpond_store::DAMAGE_HINT;
use parking_lot::Mutex;

use crate::source::{EpochInput, Next, Source, SourceCounts};

/// The column of a table's labels.
pub const LABEL: &str = "__id__";
const POSITION: &str = "position";
/// The most that a row of a table says of equal ones: so the sums of no table leave 64 bits.
const MOST_AT_ONCE: u64 = 1_000_000_000;

/// Rows in memory, epoch by epoch. Its position is the number of epochs delivered: with saved state, a second run with
/// more epochs delivers only the further ones.
#[derive(Debug)]
pub struct TableSource {
    schema: Schema,
    epochs: Vec<TimedChanges>,
    /// The number of epochs that are done, and what of it is in the arrangement.
    done: usize,
    position: Arrangement,
    under_way: Option<Arc<TableInput>>,
    rows_read: u64,
}

/// What comes in an epoch.
#[derive(Clone, Debug)]
pub struct TimedChanges {
    /// The time that the program says, if it says one; ascending.
    pub time: Option<i64>,
    /// The changes.
    pub changes: Changes,
}

impl TableSource {
    /// A source of these epochs; the columns are those of the schema.
    pub fn new(schema: Schema, epochs: Vec<TimedChanges>) -> Self {
        let position = Arrangement::new(position_schema(), KeyRange::ALL);
        TableSource { schema, epochs, done: 0, position, under_way: None, rows_read: 0 }
    }

    /// Reads a table such as
    ///
    /// ```text
    ///       | user | time | __time__ | __diff__
    ///     1 | ada  | 10   | 2        | 1
    ///     2 | bob  | 20   | 4        | -1
    /// ```
    ///
    /// Cells are separated by `|` if the header has one, otherwise by white space. Outer `|` and lines of `-` are
    /// passed over; a first column without a name holds labels, which become a column [`LABEL`] of text if each row has
    /// one. There is one epoch for each `__time__`, ascending, and one for all rows if there is no such column;
    /// `__diff__` is how often a row is added, at most a billion times. Empty cells and `None` are null. The types are
    /// the narrowest of int, float, bool and str that all cells of the column have, or those of `schema`.
    pub fn from_markdown(text: &str, schema: Option<Schema>) -> Result<Self> {
        let table = Grid::parse(text)?;
        let (mut times, mut diffs) = (vec![None; table.rows.len()], vec![1; table.rows.len()]);
        let mut columns = Vec::new();
        for (field, name) in table.header.iter().enumerate() {
            match name.as_str() {
                "" => {}
                "__time__" => times = table.ints(field)?.into_iter().map(Some).collect(),
                "__diff__" => diffs = table.diffs(field)?,
                _ => columns.push((name.clone(), field)),
            }
        }
        let mut types: Vec<(String, ColumnType)> = match schema {
            Some(schema) => schema.columns().iter().map(|column| (column.name.clone(), column.ty)).collect(),
            None => columns.iter().map(|(name, field)| (name.clone(), table.infer(*field))).collect(),
        };
        if let Some(labels) = table.labels() {
            columns.push((LABEL.to_owned(), labels));
            types.push((LABEL.to_owned(), Type::Str.required()));
        }
        let schema = Schema::new(types);
        let mut epochs: BTreeMap<Option<i64>, Vec<usize>> = BTreeMap::new();
        for (row, time) in times.iter().enumerate() {
            if diffs[row] != 0 {
                epochs.entry(*time).or_default().push(row);
            }
        }
        let epochs = epochs.into_iter().map(|(time, rows)| {
            let columns = schema.columns().iter().map(|column| {
                let field = columns.iter().find(|(name, _)| *name == column.name);
                let missing = || {
                    let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
                    let (name, names) = (&column.name, names.join(", "));
                    Error::invalid(format!("the table has no column {name:?}; it has {names}"))
                };
                let field = field.ok_or_else(missing)?;
                table.column(field.1, column.ty, &rows)
            });
            let diffs: Vec<i64> = rows.iter().map(|row| diffs[*row]).collect();
            let changes = Changes::new(columns.collect::<Result<_>>()?, diffs.into());
            Ok(TimedChanges { time, changes })
        });
        let epochs = epochs.collect::<Result<_>>()?;
        Ok(TableSource::new(schema, epochs))
    }

    /// The columns.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Whether no epoch removes a row.
    pub fn append_only(&self) -> bool {
        self.epochs.iter().all(|epoch| epoch.changes.diffs.insert_only())
    }

    /// The changes, epoch by epoch.
    pub fn into_epochs(self) -> Vec<TimedChanges> {
        self.epochs
    }

    fn set_done(&mut self, done: usize) -> Result<()> {
        let old = std::mem::replace(&mut self.done, done);
        let cells = if old == 0 { vec![done as i64] } else { vec![old as i64, done as i64] };
        let diffs = if old == 0 { Diffs::Ones } else { Diffs::Each(vec![-1, 1].into()) };
        let offsets = vec![0, cells.len() as u32];
        let key: ArrayRef = Arc::new(StringArray::from(vec!["epochs"]));
        let hashes = hash_columns(HashSeed(0), std::slice::from_ref(&key), 1);
        let rows: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(cells))];
        let mut builder = self.position.builder();
        builder.append(&KeyedRows { hashes, keys: vec![key], offsets, rows, diffs });
        self.position.insert(builder.finish()?);
        self.position.maintain(32)
    }
}

fn position_schema() -> ArrangementSchema {
    ArrangementSchema { key: vec![Type::Str.required()], row: vec![Type::Int.required()] }
}

impl Source for TableSource {
    fn arrangements(&mut self) -> Vec<(&'static str, &mut Arrangement)> {
        vec![(POSITION, &mut self.position)]
    }

    fn open(&mut self, saved: Vec<(String, SavedArrangement)>) -> Result<()> {
        for (name, saved) in saved {
            if name != POSITION {
                return Err(Error::data(format!("a table source has no arrangement {name:?}")).with_hint(DAMAGE_HINT));
            }
            self.position = Arrangement::open(position_schema(), KeyRange::ALL, saved)?;
            let done = &mut self.done;
            self.position.scan(&mut |chunk| {
                let values = chunk.rows[0].as_primitive::<Int64Type>().values();
                *done = values.first().map_or(0, |value| *value as usize);
                Ok(())
            })?;
        }
        Ok(())
    }

    fn next_time(&self) -> Option<i64> {
        self.epochs.get(self.done)?.time
    }

    fn next_epoch(&mut self, columns: &[usize]) -> Result<Next> {
        let Some(TimedChanges { changes, .. }) = self.epochs.get(self.done) else { return Ok(Next::End) };
        let columns = columns.iter().map(|column| changes.columns[*column].clone()).collect();
        let changes = Changes { columns, ..changes.clone() };
        let input = Arc::new(TableInput { changes: Mutex::new(Some(changes)), taken: AtomicBool::new(false) });
        self.under_way = Some(input.clone());
        Ok(Next::Input(input))
    }

    fn finish_epoch(&mut self, _epoch: Epoch) -> Result<()> {
        let Some(input) = self.under_way.take() else { return Ok(()) };
        if !input.taken.load(Ordering::Acquire) {
            return Err(Error::unavailable("the input of the epoch was not read to its end"));
        }
        self.rows_read += self.epochs[self.done].changes.rows as u64;
        self.set_done(self.done + 1)
    }

    fn counts(&self) -> SourceCounts {
        SourceCounts { rows_read: self.rows_read, ..SourceCounts::default() }
    }
}

/// One epoch's rows, handed out at once.
#[derive(Debug)]
struct TableInput {
    changes: Mutex<Option<Changes>>,
    taken: AtomicBool,
}

impl EpochInput for TableInput {
    fn next(&self) -> Result<Option<Changes>> {
        self.taken.store(true, Ordering::Release);
        Ok(self.changes.lock().take())
    }

    fn size_hint(&self) -> u64 {
        let changes = self.changes.lock();
        let columns = changes.iter().flat_map(|changes| &changes.columns);
        columns.map(|column| column.get_array_memory_size() as u64).sum()
    }
}

/// The cells of a table as text; `None` is a null. The last cell of a row is its label, which the header does not name.
struct Grid {
    header: Vec<String>,
    rows: Vec<Vec<Option<String>>>,
}

impl Grid {
    fn parse(text: &str) -> Result<Self> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let ruler = |line: &&str| line.contains("--") && line.chars().all(|c| matches!(c, '-' | '|' | ':' | '+' | ' '));
        let mut lines = lines.filter(|line| !ruler(line));
        let header = lines.next().ok_or_else(|| Error::invalid("the table has no header"))?;
        let outer = Outer { start: header.starts_with('|'), end: header.ends_with('|') };
        let bars = header.contains('|');
        let header: Vec<String> = cells(header, bars).into_iter().map(str::to_owned).collect();
        let mut rows = Vec::new();
        for line in lines {
            let mut row = if bars { outer.cells(line, header.len()) } else { cells(line, bars) };
            // `| a | b` in the header, `1 | x | y` below it: the outer bar of the header was a column of labels.
            let labelled = row.len() == header.len() + 1;
            let unnamed = header.iter().position(String::is_empty).and_then(|field| row.get(field));
            let label = if labelled { row.remove(0) } else { unnamed.copied().unwrap_or_default() };
            if row.len() != header.len() {
                let (found, wanted) = (row.len(), header.len());
                return Err(Error::invalid(format!("{found} cells where the header has {wanted}: {line:?}")));
            }
            row.push(label);
            let null = |cell: &str| matches!(cell, "" | "None");
            rows.push(row.into_iter().map(|cell| (!null(cell)).then(|| cell.to_owned())).collect());
        }
        Ok(Grid { header, rows })
    }

    /// The field of the labels, if each row has one.
    fn labels(&self) -> Option<usize> {
        let field = self.header.len();
        let all = !self.rows.is_empty() && self.rows.iter().all(|row| row[field].is_some());
        all.then_some(field)
    }

    /// The narrowest type that all cells have.
    fn infer(&self, field: usize) -> ColumnType {
        let cells = || self.rows.iter().filter_map(|row| row[field].as_deref());
        let all = |ty: Type| cells().all(|cell| read(ty, cell));
        let ty = [Type::Int, Type::Float, Type::Bool].into_iter().find(|ty| cells().next().is_some() && all(*ty));
        ColumnType { ty: ty.unwrap_or(Type::Str), optional: self.rows.iter().any(|row| row[field].is_none()) }
    }

    fn ints(&self, field: usize) -> Result<Vec<i64>> {
        let name = &self.header[field];
        let cells = self.rows.iter().map(|row| row[field].as_deref().unwrap_or_default());
        cells.map(|cell| cell.parse().map_err(|_| Error::invalid(format!("{name}: {cell:?} is not an int")))).collect()
    }

    fn diffs(&self, field: usize) -> Result<Vec<i64>> {
        let diffs = self.ints(field)?;
        match diffs.iter().find(|diff| diff.unsigned_abs() > MOST_AT_ONCE) {
            None => Ok(diffs),
            Some(diff) => Err(Error::invalid(format!("__diff__: {diff} is more than {MOST_AT_ONCE} rows at once"))
                .with_hint("__diff__ is 1 for a row that is added and -1 for one that is removed")),
        }
    }

    fn column(&self, field: usize, ty: ColumnType, rows: &[usize]) -> Result<ArrayRef> {
        let cells = || rows.iter().map(|row| self.rows[*row][field].as_deref());
        for cell in cells() {
            let good = cell.map_or(ty.optional, |cell| read(ty.ty, cell));
            if !good {
                let (name, cell) = (&self.header[field], cell.unwrap_or("None"));
                return Err(Error::invalid(format!("{name}: {cell:?} is not of type {ty}")));
            }
        }
        Ok(match ty.ty {
            Type::Int => Arc::new(Int64Array::from_iter(cells().map(|cell| cell?.parse::<i64>().ok()))),
            Type::Float => Arc::new(Float64Array::from_iter(cells().map(|cell| cell?.parse::<f64>().ok()))),
            Type::Bool => {
                Arc::new(BooleanArray::from_iter(cells().map(|cell| cell?.to_lowercase().parse::<bool>().ok())))
            }
            Type::DateTimeNaive | Type::DateTimeUtc | Type::Duration => {
                let ints = Int64Array::from_iter(cells().map(|cell| time::read(ty.ty, cell?.as_bytes())));
                ty.ty.int_array(ints.values().clone(), arrow_array::Array::nulls(&ints).cloned())
            }
            Type::Str => Arc::new(StringArray::from_iter(cells())),
            Type::Bytes | Type::Json | Type::Tuple(_) | Type::List(_) => {
                let value =
                    |cell| stored(ty.ty, cell).filter(|value| !(ty == Type::Json.optional() && value == json::NULL));
                Arc::new(BinaryArray::from_iter(cells().map(|cell| value(cell?))))
            }
        })
    }
}

/// Whether a cell can be read as a value of a type.
fn read(ty: Type, cell: &str) -> bool {
    match ty {
        Type::Int => cell.parse::<i64>().is_ok(),
        Type::Float => cell.parse::<f64>().is_ok(),
        Type::Bool => cell.to_lowercase().parse::<bool>().is_ok(),
        Type::DateTimeNaive | Type::DateTimeUtc | Type::Duration => time::read(ty, cell.as_bytes()).is_some(),
        Type::Str => true,
        Type::Bytes | Type::Json | Type::Tuple(_) | Type::List(_) => stored(ty, cell).is_some(),
    }
}

/// How a cell is stored whose text is spelled otherwise.
fn stored(ty: Type, cell: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    text_codec::read(ty, cell.as_bytes(), &mut bytes).then_some(bytes)
}

/// The cells of a line. Outer bars are no cells of their own, but an empty first cell without a bar before it is one.
fn cells(line: &str, bars: bool) -> Vec<&str> {
    if !bars {
        return line.split_whitespace().collect();
    }
    let line = line.strip_prefix('|').unwrap_or(line);
    let line = line.strip_suffix('|').unwrap_or(line);
    line.split('|').map(str::trim).collect()
}

/// Whether the header begins and ends with a bar.
struct Outer {
    start: bool,
    end: bool,
}

impl Outer {
    /// The cells of a row below a header of so many names: a bar at its end is an outer one, or stands before an empty
    /// cell.
    fn cells<'a>(&self, line: &'a str, names: usize) -> Vec<&'a str> {
        let count = names + usize::from(self.start && !line.starts_with('|'));
        let ends = [(true, self.end), (true, !self.end), (false, self.end), (false, !self.end)];
        let split = |(start, end): (bool, bool)| {
            let line = line.strip_prefix('|').filter(|_| start).unwrap_or(line);
            let line = line.strip_suffix('|').filter(|_| end).unwrap_or(line);
            line.split('|').map(str::trim).collect::<Vec<_>>()
        };
        ends.into_iter().map(split).find(|cells| cells.len() == count).unwrap_or_else(|| cells(line, true))
    }
}

#[cfg(test)]
mod tests {
    use millpond_engine::wire::MISFIT_HINT;
    use millpond_error::ErrorKind;

    use super::*;

    #[track_caller]
    fn check_cells(header: &str, row: &str, expect: &[&str]) {
        let outer = Outer { start: header.starts_with('|'), end: header.ends_with('|') };
        assert_eq!(outer.cells(row, cells(header, true).len()), expect);
    }

    #[test]
    fn a_bar_at_the_end_may_stand_before_an_empty_cell() {
        check_cells("a | b", "3 |", &["3", ""]);
        check_cells("a | b", "| 3", &["", "3"]);
        check_cells("a | b", "|", &["", ""]);
        check_cells("a | b", "1 | 2 |", &["1", "2"]);
        check_cells("a | b", "| 1 | 2 |", &["1", "2"]);
        check_cells("| a | b |", "| 3 | |", &["3", ""]);
        check_cells("| a | b |", "| | |", &["", ""]);
        // The first column has no name: it holds labels.
        check_cells("| a | b", "1 | x | y", &["1", "x", "y"]);
        check_cells("| a | b", "1 | x |", &["1", "x", ""]);
        check_cells("| a | b |", "1 | x | |", &["1", "x", ""]);
    }

    /// Shows the epochs of a table, rows separated by `;`, each with its diff.
    fn show(source: &mut TableSource) -> Vec<String> {
        let columns: Vec<usize> = (0..source.schema().len()).collect();
        let mut epochs = Vec::new();
        while let Some(input) = source.next_epoch(&columns).unwrap().into_input() {
            let changes = input.next().unwrap().unwrap();
            assert!(input.next().unwrap().is_none());
            let rows = (0..changes.rows).map(|row| {
                let cells = changes.columns.iter().map(|column| crate::testing::cell(column, row));
                format!("{} x{}", cells.collect::<Vec<_>>().join(","), changes.diffs.get(row))
            });
            epochs.push(rows.collect::<Vec<_>>().join("; "));
            source.finish_epoch(Epoch(2)).unwrap();
        }
        epochs
    }

    #[track_caller]
    fn check(text: &str, schema: &str, epochs: &[&str]) {
        let mut source = TableSource::from_markdown(text, None).unwrap();
        assert_eq!(source.schema().to_string(), schema);
        assert_eq!(show(&mut source), epochs);
    }

    #[test]
    fn a_table_with_labels_times_and_diffs() {
        let text = "
              | user | at | __time__ | __diff__
            1 | ada  | 10 | 4        | 1
            2 | bob  | 20 | 2        | 1
            3 | bob  | 20 | 4        | -1
        ";
        check(text, "user: str, at: int, __id__: str", &["bob,20,2 x1", "ada,10,1 x1; bob,20,3 x-1"]);
        assert!(!TableSource::from_markdown(text, None).unwrap().append_only());
    }

    /// Broke once: the sums of such numbers went round, and nothing said so.
    #[test]
    fn a_diff_beyond_a_billion_is_refused() {
        let table = |diff: &str| TableSource::from_markdown(&format!("a | __diff__\n1 | {diff}\n1 | 1"), None);
        for diff in ["1000000001", "-1000000001", "9223372036854775807", "-9223372036854775808"] {
            let error = table(diff).unwrap_err();
            assert_eq!(error.message(), format!("__diff__: {diff} is more than 1000000000 rows at once"));
        }
        assert_eq!(show(&mut table("-1000000000").unwrap()), ["1 x-1000000000; 1 x1"]);
    }

    #[test]
    fn types_are_inferred_and_empty_cells_are_null() {
        let text = "| a | b | c | d |\n|---|---|---|---|\n| 1 | 1.5 | True | x |\n|  | 2 | false | None |";
        check(text, "a: int?, b: float, c: bool, d: str?", &["1,1.5,true,x x1; null,2.0,false,null x1"]);
    }

    #[test]
    fn cells_may_stand_between_white_space() {
        check("user at\n---- --\nada  1\nbob  2", "user: str, at: int", &["ada,1 x1; bob,2 x1"]);
    }

    #[test]
    fn a_row_of_another_length_is_refused() {
        let error = TableSource::from_markdown("a | b\n1 | 2 | 3 | 4", None).unwrap_err();
        assert_eq!(error.message(), "4 cells where the header has 2: \"1 | 2 | 3 | 4\"");
    }

    #[track_caller]
    fn refused(text: &str, columns: &[&str], message: &str) {
        let schema = Schema::new(columns.iter().map(|column| (*column, Type::Int.required())));
        let error = TableSource::from_markdown(text, (!columns.is_empty()).then_some(schema)).unwrap_err();
        assert_eq!((error.kind(), error.message()), (ErrorKind::Invalid, message));
    }

    #[test]
    fn a_given_schema_is_checked() {
        refused("a\n1\nx", &["a"], "a: \"x\" is not of type Type::Int");
        refused("a | b\n1 |", &["a", "b"], "b: \"None\" is not of type Type::Int");
        refused("a\n1", &["a", "b"], "the table has no column \"b\"; it has a");
    }

    #[test]
    fn a_table_has_a_header_and_whole_times_and_diffs() {
        refused("", &[], "the table has no header");
        refused("\n|---|---|\n", &[], "the table has no header");
        refused("a __time__\n1 noon", &[], "__time__: \"noon\" is not an int");
        refused("a | __diff__\n1 |", &[], "__diff__: \"\" is not an int");
    }

    #[test]
    fn a_position_of_another_source_is_damage() {
        let mut source = TableSource::from_markdown("a\n1", None).unwrap();
        let error = source.open(vec![("files".to_owned(), SavedArrangement::default())]).unwrap_err();
        let text = format!("a table source has no arrangement \"files\"\nhint: {DAMAGE_HINT}");
        assert_eq!((error.kind(), error.to_string()), (ErrorKind::Data, text));
    }

    #[test]
    fn an_epoch_that_was_not_read_does_not_count() {
        let mut source = TableSource::from_markdown("a\n1", None).unwrap();
        let input = source.next_epoch(&[0]).unwrap().into_input().unwrap();
        let error = source.finish_epoch(Epoch(2)).unwrap_err();
        let message = "the input of the epoch was not read to its end";
        assert_eq!((error.kind(), error.message()), (ErrorKind::Unavailable, message));
        // It is one piece, which no other process reads.
        let error = input.hand_in(b"").unwrap_err();
        let text = format!("this input has no pieces for other processes\nhint: {MISFIT_HINT}");
        assert_eq!((error.kind(), error.to_string()), (ErrorKind::Unavailable, text));
        assert_eq!(show(&mut source), ["1 x1"]);
    }

    #[test]
    fn a_second_run_delivers_only_further_epochs() {
        let rows = ["a __time__", "1 2", "2 4", "3 6"];
        let mut first = TableSource::from_markdown(&rows[..3].join("\n"), None).unwrap();
        assert_eq!(show(&mut first), ["1 x1", "2 x1"]);
        let saved = crate::testing::save(&mut first);
        let mut second = TableSource::from_markdown(&rows.join("\n"), None).unwrap();
        second.open(saved).unwrap();
        assert_eq!(show(&mut second), ["3 x1"]);
    }
}
