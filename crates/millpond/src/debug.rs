//! Small tables written into a program, and their results in memory: for tests, examples and first steps.

use std::sync::Arc;

use millpond_columns::{Schema, dialect};
use millpond_engine::hash::HashSeed;
use millpond_error::{Error, Origin, Result};
use millpond_io::debug::{LABEL, TableSource};
pub use millpond_io::sink::HeadOrder;
use millpond_io::sink::{CollectSink, Collected, HeadSink, Sink};
use millpond_io::source::Source;
use millpond_plan::{self as plan, SinkDecl, SourceDecl, lower};
use serde_json::Value;

use crate::cluster::Cluster;
use crate::declare::{SinkConnector, SourceConnector};
use crate::driver::{EpochClock, run_from};
use crate::options::RunOptions;
use crate::table::Table;

/// All changes of a table, by epoch.
#[derive(Clone, Debug)]
pub struct Changelog {
    /// The columns.
    pub schema: Schema,
    /// Batches in ascending order of epochs: of tables that say it the times, of an odd one the next; else 2, 4, and so
    /// on.
    pub batches: Vec<Collected>,
}

/// A table from text: a header line, an optional line of dashes, and a line for each row, with cells apart by `|` or
/// white space. The columns `__time__` and `__diff__`, where there, say in which epoch a row comes and whether it is
/// added (1) or removed (-1). Tables that are computed together come in the order of their times; one without times
/// comes with the first of the others. Without a schema, types are found from the cells. A first column without a name
/// holds labels, which [identify](Table::with_id_from) the rows.
///
/// ```
/// let visits = millpond::debug::table_from_markdown("user | time\nann  | 1\nbob  | 2");
/// assert_eq!(visits.schema().unwrap().to_string(), "user: str, time: int");
/// ```
#[track_caller]
#[must_use]
pub fn table_from_markdown(text: &str) -> Table {
    let origin = Origin::caller();
    Table::from(markdown(text, None, &origin))
}

/// As [`table_from_markdown`], for fronts that carry their own origins.
///
/// # Errors
/// `Invalid`, naming the line of `text` that cannot be read.
pub fn markdown(text: &str, schema: Option<Schema>, origin: &Origin) -> Result<plan::Table> {
    let table = TableSource::from_markdown(text, schema).map_err(|error| error.at(origin))?;
    let (schema, append_only) = (table.schema().clone(), table.append_only());
    let epochs = table.into_epochs();
    let columns = schema.clone();
    let connector = SourceConnector {
        check: Box::new(|| Ok(())),
        make: Box::new(move |_| Ok(Box::new(TableSource::new(columns.clone(), epochs.clone())) as Box<dyn Source>)),
        dead_letter: None,
        not_resumable: None,
        path: None,
    };
    let labelled = schema.index_of(LABEL).is_some();
    let table = plan::Table::source(SourceDecl {
        name: None,
        kind: "table".into(),
        schema,
        append_only,
        description: Value::Null,
        origin: origin.clone(),
        connector: Arc::new(connector),
    })?;
    if labelled {
        table.with_id_from(vec![plan::col(LABEL)], origin)?.without(&[LABEL.to_owned()], origin)
    } else {
        Ok(table)
    }
}

/// Runs a table alone, in this process and without saved state, and returns all its changes. Of the options count the
/// number of workers, what stops it, and whether it ends for an error value.
///
/// # Errors
/// As for [`run`](crate::run()); `Invalid`, if a source of files is followed and so never ends.
pub fn collect(table: &plan::Table, options: &RunOptions) -> Result<Changelog> {
    let collected = CollectSink::new();
    run_into(table, collected.clone(), options)?;
    Ok(Changelog { schema: table.schema().clone(), batches: collected.take() })
}

/// As [`collect`], but no more than the first `most`: the smallest rows with nulls first, or the first changes, by
/// epoch. Of a table of files, memory hangs on `most` alone, as long as no row is removed again.
///
/// # Errors
/// As for [`collect`].
pub fn head(table: &plan::Table, most: usize, order: HeadOrder, options: &RunOptions) -> Result<Changelog> {
    // Where a row that was kept is removed, all are needed after all, and only files can be read again.
    let again = table.sources().iter().all(|source| source.kind != "feed");
    if order == HeadOrder::Changes || again {
        let sink = HeadSink::new(most, order);
        run_into(table, sink.clone(), options)?;
        if let Some(batches) = sink.take()? {
            return Ok(Changelog { schema: table.schema().clone(), batches });
        }
    }
    collect(table, options)
}

fn run_into(table: &plan::Table, sink: impl Sink + Clone + 'static, options: &RunOptions) -> Result<()> {
    ends(table)?;
    let connector = SinkConnector {
        name: "collect".to_owned(),
        path: None,
        origin: table.origin().clone(),
        check: Box::new(|| Ok(())),
        make: Box::new(move || Ok(Box::new(sink.clone()) as Box<dyn Sink>)),
    };
    let sink = SinkDecl {
        table: table.clone(),
        name: connector.name.clone(),
        kind: "collect".into(),
        description: Value::Null,
        keeps_table: false,
        origin: table.origin().clone(),
        connector: Arc::new(connector),
    };
    let (workers, stop, on_error) = (options.workers, options.stop.clone(), options.on_error());
    let options =
        RunOptions { workers, stop, summary: false, cluster: Some(Cluster::alone()), ..RunOptions::default() };
    run_from(lower(vec![sink], on_error)?, &options, |_| EpochClock::counting()).map(drop)
}

/// Refuses a table over files that are followed. A table that the program feeds ends when the program says so.
fn ends(table: &plan::Table) -> Result<()> {
    if table.sources().is_empty() {
        let error = Error::invalid("an error log tells of what a program writes, and nothing is written beside it");
        let hint = dialect::hint("run(...) it beside the outputs", "write it beside the outputs, and pw.run(...) both");
        return Err(error.with_hint(hint).at(table.origin()));
    }
    for source in table.sources().into_iter().filter(|source| source.kind != "feed") {
        let connector = source.connector.downcast_ref::<SourceConnector>();
        let Some(connector) = connector.filter(|connector| connector.not_resumable.is_none()) else { continue };
        if (connector.make)(HashSeed(0))?.is_endless() {
            let error = Error::invalid("this table is never complete: its files are followed as they grow");
            let hint = dialect::hint("read it without .streaming(...)", "read it with mode=\"static\"");
            return Err(error.with_hint(hint).at(&source.origin));
        }
    }
    Ok(())
}
