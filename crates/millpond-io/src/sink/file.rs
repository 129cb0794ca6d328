//! A file of results, in any text format: the changes of a run, the changes of all runs, or the present table.
//!
//! # Why no crash point loses or repeats a row
//!
//! The newest manifest names a length and the hash of the bytes before it: these rows are committed, all others are
//! not.
//!
//! - *A file that does not grow in place* (the first commit of a run in mode `Changes`, the first commit ever in mode
//!   `Append`, every commit in mode `Snapshot`) is written under a temporary name and synced before it gets its own
//!   name by one rename; then the folder is synced; then the manifest is committed. A crash before the rename leaves
//!   the old file; a crash between rename and manifest leaves a whole file that no manifest names: the rerun, which
//!   computes the same rows again, replaces it. A file that is there before the first manifest is somebody else's:
//!   mode `Append` refuses it. So that the two cases differ, a first manifest with length 0 is committed after `open`
//!   and before the first rename.
//! - *A file that grows in place* is synced before the manifest that names the new length. Rows behind the committed
//!   length belong to a run that did not commit them: `open` cuts them off, after checking that the bytes before are
//!   those that were committed.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arrow_array::ArrayRef;
use millpond_columns::types::{Schema, Type};
use millpond_engine::changes::{Changes, Epoch};
use millpond_error::{Error, Result};
use millpond_plan::text_codec;
use millpond_store::Disk;
use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use serde_json::Value;

use super::format::WriteFormat;
use super::lines::{LineEnds, Lines};
use super::log::{Log, Tail};
use super::place::{resolve, temporary};
use super::position::Position;
use super::{Formatter, GiveLines, LogicalRun, Prepared, Sink};

/// What a result file holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WriteMode {
    /// The changes of this logical run, each row with `time` and `diff`.
    #[default]
    Changes,
    /// The changes of all runs since the state was made, each row with `time` and `diff`.
    Append,
    /// The present table, replaced as a whole whenever it changed.
    Snapshot,
}

impl WriteMode {
    /// Its name, as a program says it.
    pub fn name(self) -> &'static str {
        match self {
            WriteMode::Changes => "changes",
            WriteMode::Append => "append",
            WriteMode::Snapshot => "snapshot",
        }
    }

    /// Checks that each column of the file has a name of its own: in a log of changes no column is `time` or `diff`.
    pub fn check(self, schema: &Schema) -> Result<()> {
        let taken = schema.columns().iter().find(|column| matches!(column.name.as_str(), "diff" | "time"));
        match taken {
            Some(column) if self != WriteMode::Snapshot => Err(Error::invalid(format!(
                "a column is called {:?}, and so is one that each change of a log has besides",
                column.name
            ))
            .with_hint("rename the column, or write the present table: mode \"snapshot\"")),
            _ => Ok(()),
        }
    }
}

/// A sink that writes one file.
#[derive(Debug)]
pub struct FileSink<F> {
    disk: Arc<dyn Disk>,
    file: String,
    /// The file as the user named it, for messages.
    label: String,
    rows: FileRows<F>,
    /// What the file starts with.
    header: Vec<u8>,
    state: RwLock<State>,
    /// In mode `Snapshot`: the published file is not the present table.
    stale: AtomicBool,
    rows_written: AtomicU64,
    /// In mode `Snapshot`: how many of them the file holds that is being written.
    present_rows: AtomicU64,
}

/// Rows of a table as lines of a file.
#[derive(Clone, Debug)]
struct FileRows<F> {
    mode: WriteMode,
    format: F,
    /// The types of the columns.
    types: Vec<Type>,
}

#[derive(Debug, Default)]
struct State {
    position: Position,
    /// The file's bytes before the committed length; used where the file grows in place.
    tail: Tail,
    /// Whether rows go to the file itself, behind the committed ones, rather than to a temporary one.
    in_place: bool,
    /// The file that is being written, from the first row on.
    log: Option<Arc<Log>>,
}

impl<F: WriteFormat> FileSink<F> {
    /// A sink for the file `file` directly inside the root of `disk`.
    pub(super) fn of(disk: Arc<dyn Disk>, file: &str, mode: WriteMode, format: F) -> Result<Self> {
        if file.is_empty() || file.contains('/') {
            return Err(Error::invalid(format!("{file:?} is not the name of a file")));
        }
        Ok(FileSink {
            label: disk.path(file),
            disk,
            file: file.to_owned(),
            rows: FileRows { mode, format, types: Vec::new() },
            header: Vec::new(),
            state: RwLock::default(),
            stale: AtomicBool::new(false),
            rows_written: AtomicU64::new(0),
            present_rows: AtomicU64::new(0),
        })
    }

    /// A sink for the file at `path`, on a disk that `disk_at` opens in the folder of the file.
    pub(super) fn of_path(
        path: &Path,
        mode: WriteMode,
        format: F,
        disk_at: impl FnOnce(&Path) -> Result<Arc<dyn Disk>>,
    ) -> Result<Self> {
        let (folder, file) = resolve(path)?;
        let mut sink = FileSink::of(disk_at(&folder)?, &file, mode, format)?;
        sink.label = path.display().to_string();
        Ok(sink)
    }

    fn is_snapshot(&self) -> bool {
        self.rows.mode == WriteMode::Snapshot
    }

    /// Where the next rows go, by what was saved.
    fn recover(&self, saved: Option<&Position>, run: LogicalRun) -> Result<State> {
        let goes_on = match self.rows.mode {
            WriteMode::Changes => run.continues,
            WriteMode::Append => true,
            WriteMode::Snapshot => false,
        };
        if let Some(position) = saved.filter(|position| goes_on && position.is_committed()) {
            return self.reopen(position);
        }
        if self.rows.mode == WriteMode::Append && saved.is_none() && self.disk.length(&self.file)?.unwrap_or(0) > 0 {
            return Err(Error::invalid(format!(
                "{} exists, and no saved state says that it is a change log of this program",
                self.label
            ))
            .with_hint("choose another file, or move this one away; a log over all runs needs saved state"));
        }
        let position = saved.filter(|_| self.is_snapshot()).cloned().unwrap_or_else(|| Position::start(&self.file));
        Ok(State { position, ..State::default() })
    }

    /// Goes on behind the committed rows; what a cut-off run wrote after them is cut away.
    fn reopen(&self, position: &Position) -> Result<State> {
        let label = &self.label;
        let committed = position.length;
        let hint = "put the file back as it was, or remove it together with the saved state to start anew";
        let damaged = |what: String| Err(Error::data(what).with_hint(hint));
        let Some(length) = self.disk.length(&self.file)? else {
            let before = position.file();
            if before != self.file {
                let now = format!("the log was {before} in the run before, and is {label} now, which is not there");
                let hint = format!("rename {before} to {}, or write to the path that it had", self.file);
                return Err(Error::changed(now).with_hint(hint));
            }
            return damaged(format!("{label} is missing, but {committed} bytes of it are committed"));
        };
        if length < committed {
            return damaged(format!("{label} has {length} bytes, but {committed} bytes of it are committed"));
        }
        let tail = match Tail::read(&*self.disk, &self.file, committed)? {
            Some(tail) if position.has_tail(&tail) => tail,
            _ => return damaged(format!("{label} was changed: its bytes before {committed} are not those committed")),
        };
        let log = match length > committed {
            true => Some(Arc::new(Log::open_at(&*self.disk, &self.file, committed, tail.clone())?)),
            false => None,
        };
        if self.disk.length(&temporary(&self.file))?.is_some() {
            self.disk.remove(&temporary(&self.file))?;
        }
        Ok(State { position: position.clone(), tail, in_place: true, log })
    }

    /// Whether the file is the one at `position`.
    fn is_published(&self, position: &Position) -> Result<bool> {
        if !position.is_committed() || self.disk.length(&self.file)? != Some(position.length) {
            return Ok(false);
        }
        let tail = Tail::read(&*self.disk, &self.file, position.length)?;
        Ok(tail.is_some_and(|tail| position.has_tail(&tail)))
    }

    /// Calls `write` with the open file, opening it first if need be.
    fn with_log<T>(&self, write: impl Fn(&Log) -> Result<T>) -> Result<T> {
        loop {
            if let Some(log) = &self.read_state().log {
                return write(log);
            }
            self.start_log(&mut self.write_state())?;
        }
    }

    fn start_log(&self, state: &mut State) -> Result<()> {
        if state.log.is_some() {
            return Ok(());
        }
        let log = if state.in_place {
            Log::open_at(&*self.disk, &self.file, state.position.length, state.tail.clone())?
        } else {
            let log = Log::create(&*self.disk, &temporary(&self.file))?;
            log.append(&self.header)?;
            log
        };
        state.log = Some(Arc::new(log));
        Ok(())
    }

    fn read_state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read()
    }

    fn write_state(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write()
    }
}

impl<F: WriteFormat> FileRows<F> {
    /// Gets ready for rows of `schema`; returns what the file starts with.
    fn open(&mut self, schema: &Schema) -> Result<Vec<u8>> {
        self.mode.check(schema)?;
        self.types = schema.columns().iter().map(|column| column.ty.ty).collect();
        self.format.open(schema, self.mode != WriteMode::Snapshot)
    }

    fn write(&self, changes: &Changes, ends: &LineEnds, give: &mut GiveLines<'_>) -> Result<()> {
        let columns = self.types.iter().zip(&changes.columns);
        let columns = columns.map(|(ty, column)| self.format.escape(spelled(column, *ty)?, *ty));
        let columns: Vec<ArrayRef> = columns.collect::<Result<_>>()?;
        let rows = self.format.rows(&columns)?;
        let mut lines = Lines::new(give);
        lines.write(&rows, changes.rows, &changes.diffs, ends)?;
        lines.flush()
    }
}

impl<F: WriteFormat> Formatter for FileRows<F> {
    fn changes(&self, epoch: Epoch, changes: &Changes, give: &mut GiveLines<'_>) -> Result<()> {
        if self.mode == WriteMode::Snapshot {
            // Only says that the table has changed.
            return give(&[], 0);
        }
        let end = |diff| self.format.end(Some((epoch, diff)), changes.columns.is_empty());
        self.write(changes, &LineEnds { added: end(1), removed: Some(end(-1)) }, give)
    }

    fn snapshot(&self, changes: &Changes, give: &mut GiveLines<'_>) -> Result<()> {
        let added = self.format.end(None, changes.columns.is_empty());
        self.write(changes, &LineEnds { added, removed: None }, give)
    }
}

/// A column as it is written: as text, if it is spelled otherwise than it is stored.
fn spelled(column: &ArrayRef, ty: Type) -> Result<ArrayRef> {
    if !ty.is_binary() {
        return Ok(column.clone());
    }
    text_codec::column(column, ty)
        .ok_or_else(|| Error::invalid(format!("a batch of {ty} values is too long to be written, or damaged")))
}

impl<F: WriteFormat> Sink for FileSink<F> {
    fn open(&mut self, schema: &Schema, saved: Option<&Value>, run: LogicalRun) -> Result<()> {
        self.header = self.rows.open(schema)?;
        let saved = saved.map(|saved| Position::from_saved(saved, &self.label)).transpose()?;
        let state = self.recover(saved.as_ref(), run)?;
        if self.is_snapshot() {
            self.stale.store(!self.is_published(&state.position)?, Ordering::Relaxed);
        }
        *self.write_state() = state;
        Ok(())
    }

    fn write(&self, epoch: Epoch, changes: &Changes) -> Result<()> {
        if changes.is_empty() {
            return Ok(());
        }
        self.rows.changes(epoch, changes, &mut |lines, count| self.write_lines(lines, count))
    }

    fn needs_snapshot(&self) -> bool {
        self.stale.load(Ordering::Relaxed)
    }

    fn write_snapshot(&self, changes: &Changes) -> Result<()> {
        self.rows.snapshot(changes, &mut |lines, count| self.write_lines(lines, count))
    }

    fn formatter(&self, schema: &Schema) -> Result<Option<Box<dyn Formatter>>> {
        let mut rows = self.rows.clone();
        rows.open(schema)?;
        Ok(Some(Box::new(rows)))
    }

    fn write_lines(&self, lines: &[u8], count: u64) -> Result<()> {
        if self.is_snapshot() {
            self.stale.store(true, Ordering::Relaxed);
        }
        if lines.is_empty() {
            return Ok(());
        }
        self.with_log(|log| log.append(lines))?;
        self.rows_written.fetch_add(count, Ordering::Relaxed);
        self.present_rows.fetch_add(count, Ordering::Relaxed);
        Ok(())
    }

    fn finish_epoch(&self, _epoch: Epoch) -> Result<()> {
        // Only a file that grows in place is there for readers before it is committed.
        let state = self.read_state();
        state.log.as_ref().filter(|_| state.in_place).map_or(Ok(()), |log| log.flush().map(drop))
    }

    fn prepare(&self) -> Result<Prepared> {
        let mut state = self.write_state();
        if state.log.is_none() {
            let nothing_new = if self.is_snapshot() { !self.needs_snapshot() } else { state.in_place };
            if nothing_new {
                return Ok(Prepared::durable(state.position.to_value()));
            }
            self.start_log(&mut state)?;
        }
        let log = state.log.clone().expect("the log was started above");
        let (length, tail) = log.flush()?;
        let rows = self.present_rows.swap(0, Ordering::Relaxed);
        let rows = self.is_snapshot().then_some(rows);
        state.position = Position::new(&self.file, length, &tail);
        state.position.rows = rows;
        state.tail = tail;
        let position = state.position.to_value();
        if state.in_place {
            return Ok(match log.is_durable(length) {
                true => Prepared::durable(position),
                false => Prepared::later(position, move || log.sync(length)),
            });
        }
        log.sync(length)?;
        self.disk.rename(&temporary(&self.file), &self.file)?;
        self.disk.sync_folder("")?;
        state.log = None;
        state.in_place = !self.is_snapshot();
        self.stale.store(false, Ordering::Relaxed);
        Ok(Prepared::durable(position))
    }

    fn position(&self) -> Value {
        self.read_state().position.to_value()
    }

    fn rows_written(&self) -> u64 {
        self.rows_written.load(Ordering::Relaxed)
    }

    fn current_rows(&self) -> Option<u64> {
        self.is_snapshot().then(|| self.read_state().position.rows.unwrap_or(0))
    }

    fn identity(&self) -> Option<String> {
        Some(self.disk.path(&self.file))
    }
}

impl<F> Drop for FileSink<F> {
    /// A run that ends before its first `prepare` leaves the file as it was, and nothing beside it.
    fn drop(&mut self) {
        let state = self.state.get_mut();
        if !state.in_place && state.log.take().is_some() {
            // The next run replaces a temporary file that is still there.
            let _ = self.disk.remove(&temporary(&self.file));
        }
    }
}

#[cfg(test)]
mod tests;
