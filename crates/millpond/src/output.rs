//! A result that a run keeps up to date: a file, a subscription, or a sink of the program's own.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use millpond_error::{Error, Origin, Result};
use millpond_io::sink::{Delivery, Subscriber, WriteMode};
use millpond_plan::SinkDecl;
use millpond_store::Disk;

use crate::declare::declare_subscription;
use crate::stop::calling;
use crate::table::Table;
use crate::write::TextFormat;
use millpond_engine::batches::Batches;
use millpond_engine::changes::Epoch;

/// A result that a run keeps up to date: what [`csv::write`](crate::csv::write),
/// [`jsonlines::write`](crate::jsonlines::write), [`connector::subscribe`](crate::connector::subscribe) and
/// [`connector::sink`](crate::connector::sink) make, all of one type, so that they stand in one array. Options by
/// method, then [`run`](crate::run()).
///
/// ```
/// use millpond::connector::{Batches, Epoch, subscribe};
/// use millpond::{RunOptions, csv, debug, jsonlines, run};
///
/// # fn main() -> millpond::Result<()> {
/// # let folder = tempfile::tempdir().unwrap();
/// # std::env::set_current_dir(&folder).unwrap();
/// let visits = debug::table_from_markdown("user | pages\nann | 3\nbob | 4");
/// let print = |epoch: Epoch, changes: &Batches| {
///     println!("{}: {} changes", epoch.0, changes.rows());
///     Ok(())
/// };
/// let outputs = [
///     csv::write(&visits, "visits.csv"),
///     jsonlines::write(&visits, "visits.jsonl").mode(csv::WriteMode::Snapshot),
///     subscribe(&visits, "print", print),
/// ];
/// let summary = run(outputs, &RunOptions::default().quiet())?;
/// assert_eq!((summary.changes_written, summary.current_rows), (4, Some(2)));
/// # Ok(())
/// # }
/// ```
///
/// An option that the output does not have, such as the `mode` of a subscription, is an `Invalid` error of the run.
#[derive(Clone, Debug)]
#[must_use = "nothing is written before a run"]
pub struct Output(Declared);

#[derive(Clone, Debug)]
enum Declared {
    File(FileOutput),
    Subscription(Subscription),
    /// Ready, or wrong.
    Sink(Result<SinkDecl>),
}

/// A result file.
#[derive(Clone, Debug)]
struct FileOutput {
    format: TextFormat,
    table: Table,
    path: String,
    mode: WriteMode,
    name: Option<String>,
    disk: Option<Arc<dyn Disk>>,
    origin: Origin,
}

/// Changes handed to a function.
#[derive(Clone)]
struct Subscription {
    table: Table,
    name: String,
    subscriber: Arc<dyn Subscriber>,
    delivery: Delivery,
    origin: Origin,
}

impl Output {
    pub(crate) fn file(format: TextFormat, table: &Table, path: String, origin: Origin) -> Self {
        let (table, mode) = (table.clone(), WriteMode::Changes);
        Output(Declared::File(FileOutput { format, table, path, mode, name: None, disk: None, origin }))
    }

    pub(crate) fn subscription(table: &Table, name: &str, subscriber: Arc<dyn Subscriber>, origin: Origin) -> Self {
        let (table, name, delivery) = (table.clone(), name.to_owned(), Delivery::default());
        Output(Declared::Subscription(Subscription { table, name, subscriber, delivery, origin }))
    }

    /// Chooses what a file holds.
    pub fn mode(self, mode: WriteMode) -> Self {
        self.of_file("mode", |file| FileOutput { mode, ..file })
    }

    /// Gives the name under which the position of a file is kept in the state; by default it is the path as written.
    pub fn name(self, name: &str) -> Self {
        self.of_file("name", |file| FileOutput { name: Some(name.to_owned()), ..file })
    }

    /// Puts a `'` in front of each text, in a CSV file, that a spreadsheet would take for a formula, since it starts
    /// with `=`, `+`, `-`, `@`, a tab or a line break. The text then reads back with that `'`.
    pub fn escape_formulas(self) -> Self {
        match self.0 {
            Declared::File(file @ FileOutput { format: TextFormat::Csv { .. }, .. }) => {
                Output(Declared::File(FileOutput { format: TextFormat::Csv { escape_formulas: true }, ..file }))
            }
            other => Output(other).refuse("escape_formulas", "CSV files"),
        }
    }

    /// Writes a file, at the root of `disk`, instead of a file of the local file system.
    pub fn disk(self, disk: Arc<dyn Disk>) -> Self {
        self.of_file("disk", |file| FileOutput { disk: Some(disk), ..file })
    }

    /// Chooses when the changes of a subscription are delivered.
    pub fn delivery(self, delivery: Delivery) -> Self {
        match self.0 {
            Declared::Subscription(subscription) => {
                Output(Declared::Subscription(Subscription { delivery, ..subscription }))
            }
            other => Output(other).refuse("delivery", "subscriptions"),
        }
    }

    fn of_file(self, option: &str, change: impl FnOnce(FileOutput) -> FileOutput) -> Self {
        match self.0 {
            Declared::File(file) => Output(Declared::File(change(file))),
            other => Output(other).refuse(option, "result files"),
        }
    }

    fn refuse(self, option: &str, whose: &str) -> Self {
        if let Declared::Sink(Err(_)) = self.0 {
            return self;
        }
        let error = Error::invalid(format!("{option}: this is an option of {whose} only")).with_hint("leave it out");
        Output(Declared::Sink(Err(match &self.0 {
            Declared::File(FileOutput { origin, .. }) | Declared::Subscription(Subscription { origin, .. }) => {
                error.at(origin)
            }
            Declared::Sink(Ok(sink)) => error.at(&sink.origin),
            Declared::Sink(Err(_)) => error,
        })))
    }

    pub(crate) fn declare(self) -> Result<SinkDecl> {
        match self.0 {
            Declared::File(file) => file.declare(),
            Declared::Subscription(Subscription { table, name, subscriber, delivery, origin }) => {
                let subscriber = Arc::new(Called { roles: ["on_epoch", "on_end"].map(role(&name)), subscriber });
                Ok(declare_subscription(table.plan()?, &name, &origin, subscriber, delivery))
            }
            Declared::Sink(sink) => sink,
        }
    }
}

/// A subscriber whose calls are known while they go on.
struct Called {
    /// What each of its functions is there for.
    roles: [String; 2],
    subscriber: Arc<dyn Subscriber>,
}

fn role(name: &str) -> impl Fn(&str) -> String {
    move |function| format!("{function} of {name:?}")
}

impl Subscriber for Called {
    fn on_epoch(&self, epoch: Epoch, changes: &Batches) -> Result<()> {
        calling(&self.roles[0], || self.subscriber.on_epoch(epoch, changes))
    }

    fn on_end(&self) -> Result<()> {
        calling(&self.roles[1], || self.subscriber.on_end())
    }
}

impl FileOutput {
    fn declare(self) -> Result<SinkDecl> {
        let FileOutput { format, table, path, mode, name, disk, origin } = self;
        let table = table.plan()?;
        let Some(disk) = disk else { return format.sink(table, &path, mode, name, &origin) };
        format.check(table.schema(), mode, Path::new(&path)).map_err(|error| error.at(&origin))?;
        let connector = format.disk_sink(disk, &path, mode, &origin);
        Ok(format.declare(table, mode, connector, &origin))
    }
}

impl From<SinkDecl> for Output {
    fn from(sink: SinkDecl) -> Self {
        Output(Declared::Sink(Ok(sink)))
    }
}

impl From<Result<SinkDecl>> for Output {
    fn from(sink: Result<SinkDecl>) -> Self {
        Output(Declared::Sink(sink))
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("name", &self.name).finish_non_exhaustive()
    }
}
