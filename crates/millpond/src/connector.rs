//! What connects a plan to the outside: sources and sinks, of this crate or your own.
//!
//! A source of your own is a type with the trait [`Source`], and [`source`] puts it into a program; simpler is one that
//! [hands rows over](crate::feed). Where results go to a queue, a database or a function, a [`Subscriber`] takes them
//! from [`subscribe`], after their commit. What can be cut back to what was committed, such as a file, is a [`Sink`],
//! which [`sink`] puts into a program. A run makes sources and sinks anew each time and, with saved state, hands them
//! the position that the last checkpoint saved.

use std::sync::Arc;

use millpond_columns::types::Schema;
pub use millpond_engine::arrangement::{Arrangement, ArrangementSchema, SavedArrangement};
pub use millpond_engine::batches::Batches;
pub use millpond_engine::changes::{Changes, Diffs, Epoch};
pub use millpond_engine::hash::HashSeed;
use millpond_error::Origin;
use millpond_error::Result;
pub use millpond_io::sink::{Delivery, EpochChanges, LogicalRun, Outbox, Prepared, Sink, Subscriber};
pub use millpond_io::source::{EpochInput, Next, Progress, Source, SourceCounts};
pub use millpond_io::wakeup::Wakeup;
use millpond_plan::{self as plan, SourceDecl};

pub use crate::declare::{SinkConnector, SourceConnector, declare_sink, declare_subscription};
use crate::output::Output;
use crate::table::Table;

/// A table that a source of your own feeds. `name` finds its position in the state; `append_only` promises that it
/// never removes a row.
///
/// ```
/// use std::sync::{Arc, Mutex};
///
/// use millpond::arrow::array::Int64Array;
/// use millpond::connector::*;
/// use millpond::{Result, RunOptions, Schema, Type, count, run};
///
/// /// Ten numbers an epoch. It saves no position, so it is for runs without saved state.
/// struct Numbers {
///     upto: i64,
///     at: i64,
/// }
///
/// impl Source for Numbers {
///     fn arrangements(&mut self) -> Vec<(&'static str, &mut Arrangement)> {
///         Vec::new()
///     }
///
///     fn open(&mut self, _saved: Vec<(String, SavedArrangement)>) -> Result<()> {
///         Ok(())
///     }
///
///     fn next_epoch(&mut self, columns: &[usize]) -> Result<Next> {
///         if self.at >= self.upto {
///             return Ok(Next::End);
///         }
///         let numbers = Arc::new(Int64Array::from_iter_values(self.at..self.at + 10));
///         let columns = columns.iter().map(|_| numbers.clone() as _).collect();
///         Ok(Next::Input(Arc::new(Piece(Mutex::new(Some(Changes::inserts(columns, 10)))))))
///     }
///
///     fn finish_epoch(&mut self, _epoch: Epoch) -> Result<()> {
///         self.at += 10;
///         Ok(())
///     }
///
///     fn counts(&self) -> SourceCounts {
///         SourceCounts { rows_read: self.at as u64, ..SourceCounts::default() }
///     }
/// }
///
/// /// What the workers share of an epoch: here one piece, for the first that asks.
/// struct Piece(Mutex<Option<Changes>>);
///
/// impl EpochInput for Piece {
///     fn next(&self) -> Result<Option<Changes>> {
///         Ok(self.0.lock().unwrap().take())
///     }
///
///     fn size_hint(&self) -> u64 {
///         80
///     }
/// }
///
/// let schema = Schema::new([("number", Type::Int.required())]);
/// let numbers = source("numbers", schema, true, |_seed| Ok(Box::new(Numbers { upto: 30, at: 0 })));
/// let output = subscribe(&numbers.reduce([("count", count())]), "print", |_, changes: &Batches| {
///     println!("{} changes", changes.rows());
///     Ok(())
/// });
/// assert_eq!(run([output], &RunOptions::default().quiet()).unwrap().rows_read, 30);
/// ```
#[track_caller]
pub fn source(
    name: &str,
    schema: Schema,
    append_only: bool,
    make: impl Fn(HashSeed) -> Result<Box<dyn Source>> + Send + Sync + 'static,
) -> Table {
    let connector = SourceConnector {
        check: Box::new(|| Ok(())),
        make: Box::new(make),
        dead_letter: None,
        not_resumable: None,
        path: None,
    };
    Table::from(plan::Table::source(SourceDecl {
        name: Some(name.to_owned()),
        kind: "source".into(),
        schema,
        append_only,
        description: serde_json::Value::Null,
        origin: Origin::caller(),
        connector: Arc::new(connector),
    }))
}

/// Hands a table's changes to a function of yours, or to a [`Subscriber`], epoch by epoch.
///
/// If the run saves its state, an epoch is delivered after the commit that holds it. What may not have been delivered
/// before a crash is delivered by the next run, under the same epochs and before anything new; so a receiver that
/// passes over the epochs it has gets each change once. [`Output::delivery`] with [`Delivery::AtOnce`] does not wait.
///
/// ```
/// use millpond::connector::{Batches, Epoch, subscribe};
/// use millpond::{RunOptions, debug, run};
///
/// let visits = debug::table_from_markdown("user | pages\nann | 3\nbob | 4");
/// let output = subscribe(&visits, "print", |epoch: Epoch, changes: &Batches| {
///     println!("{}: {} changes", epoch.0, changes.rows());
///     Ok(())
/// });
/// run([output], &RunOptions::default().quiet()).unwrap();
/// ```
///
/// A receiver that keeps the epoch with the rows, in one transaction, gets each change once whatever happens to either
/// of the two:
///
/// ```
/// # use std::sync::{Arc, Mutex};
/// # use millpond::connector::*;
/// # use millpond::{Backend, Result, RunOptions, debug, run};
/// /// Stands for a database with a table of rows and a table with one number, the last epoch.
/// #[derive(Default)]
/// struct Database {
///     rows: i64,
///     last: u64,
/// }
///
/// struct Insert(Arc<Mutex<Database>>);
///
/// impl Subscriber for Insert {
///     fn on_epoch(&self, epoch: Epoch, changes: &Batches) -> Result<()> {
///         let mut database = self.0.lock().unwrap(); // begin a transaction
///         if epoch.0 > database.last {
///             for changes in changes {
///                 let changes = changes?;
///                 database.rows += (0..changes.rows).map(|row| changes.diffs.get(row)).sum::<i64>();
///             }
///             database.last = epoch.0;
///         }
///         Ok(()) // commit it
///     }
/// }
///
/// let database = Arc::new(Mutex::new(Database::default()));
/// let visits = debug::table_from_markdown("user | pages\nann | 3\nbob | 4");
/// run([subscribe(&visits, "database", Insert(database.clone()))], &RunOptions::default().quiet()).unwrap();
/// assert_eq!(database.lock().unwrap().rows, 2);
/// ```
#[track_caller]
pub fn subscribe(table: &Table, name: &str, subscriber: impl Subscriber + 'static) -> Output {
    Output::subscription(table, name, Arc::new(subscriber), Origin::caller())
}

/// Hands a table's changes to a sink of your own: one that can be cut back to what a checkpoint says of it.
///
/// ```
/// use std::fs::{File, OpenOptions};
/// use std::io::{Seek, SeekFrom, Write};
/// use std::sync::Mutex;
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// use millpond::connector::*;
/// use millpond::{Backend, Error, Result, RunOptions, Schema, run};
/// use serde_json::Value;
///
/// /// Appends a line for each batch of changes: its epoch, and the rows that it adds less those that it removes.
/// struct Sums {
///     file: Mutex<File>,
///     lines: AtomicU64,
/// }
///
/// fn failed(error: std::io::Error) -> Error {
///     Error::unavailable("sums.txt cannot be written").caused_by(error)
/// }
///
/// impl Sink for Sums {
///     fn open(&mut self, _schema: &Schema, saved: Option<&Value>, _run: LogicalRun) -> Result<()> {
///         // What a run wrote that was cut off before its commit is written again.
///         let file = self.file.get_mut().unwrap();
///         file.set_len(saved.and_then(Value::as_u64).unwrap_or(0)).map_err(failed)?;
///         file.seek(SeekFrom::End(0)).map(drop).map_err(failed)
///     }
///
///     fn write(&self, epoch: Epoch, changes: &Changes) -> Result<()> {
///         let sum: i64 = (0..changes.rows).map(|row| changes.diffs.get(row)).sum();
///         self.lines.fetch_add(1, Ordering::Relaxed);
///         writeln!(self.file.lock().unwrap(), "{} {sum}", epoch.0).map_err(failed)
///     }
///
///     fn write_snapshot(&self, _changes: &Changes) -> Result<()> {
///         Ok(()) // never asked for: `needs_snapshot` is false
///     }
///
///     fn prepare(&self) -> Result<Prepared> {
///         self.file.lock().unwrap().sync_data().map_err(failed)?;
///         Ok(Prepared::durable(self.position()))
///     }
///
///     fn position(&self) -> Value {
///         self.file.lock().unwrap().stream_position().unwrap().into()
///     }
///
///     fn rows_written(&self) -> u64 {
///         self.lines.load(Ordering::Relaxed)
///     }
/// }
///
/// # let folder = std::env::temp_dir().join(format!("millpond-sums-{}", std::process::id()));
/// # std::fs::create_dir_all(folder.join("logs")).unwrap();
/// # std::fs::write(folder.join("logs/a.csv"), "user\nann\nbob\n").unwrap();
/// # let (logs, path, state) = (folder.join("logs"), folder.join("sums.txt"), folder.join("state"));
/// let visits = millpond::csv::read(logs.to_str().unwrap(), [("user", millpond::Type::Str)]).name("visits").table();
/// let text = path.clone();
/// let output = sink(&visits, "sums", move || {
///     let file = OpenOptions::new().create(true).write(true).truncate(false).open(&path).map_err(failed)?;
///     Ok(Box::new(Sums { file: Mutex::new(file), lines: AtomicU64::new(0) }))
/// });
/// run([output], &RunOptions::default().quiet().state(Backend::filesystem(state).unwrap())).unwrap();
/// assert!(std::fs::read_to_string(text).unwrap().ends_with(" 2\n"));
/// # std::fs::remove_dir_all(folder).unwrap();
/// ```
#[track_caller]
pub fn sink(table: &Table, name: &str, make: impl Fn() -> Result<Box<dyn Sink>> + Send + Sync + 'static) -> Output {
    let origin = Origin::caller();
    Output::from(table.plan().map(|table| declare_sink(table, name, &origin, make)))
}
