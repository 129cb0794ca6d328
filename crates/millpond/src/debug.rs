//! Small tables written into a program, and their results in memory: for tests, examples and first steps.

use std::sync::Arc;

use millpond_error::{Origin, Result};
use millpond_io::debug::{LABEL, TableSource};
use millpond_io::sink::{CollectSink, Collected, Sink};
use millpond_io::source::Source;
use millpond_plan::{self as plan, Schema, SinkDecl, SourceDecl, lower};
use serde_json::Value;

use crate::cluster::Cluster;
use crate::connector::{SinkConnector, SourceConnector};
use crate::driver::{EpochClock, run_from};
use crate::run::RunOptions;
use crate::stop::Stop;
use crate::table::Table;

/// All changes of a table, by epoch.
#[derive(Clone, Debug)]
pub struct Changelog {
    /// The columns.
    pub schema: Schema,
    /// Batches in ascending order of epochs. The first epoch of a source is 2, the next 4, and so on.
    pub batches: Vec<Collected>,
}

/// A table from text: a header line, an optional line of dashes, and a line for each row, with cells apart by `|` or
/// white space. The columns `__time__` and `__diff__`, where there, say in which epoch a row comes and whether it is
/// added (1) or removed (-1). Without a schema, types are found from the cells. A first column without a name holds labels,
/// which [identify](Table::with_id_from) the rows.
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
        forgetful: None,
        path: None,
    };
    let labelled = schema.index_of(LABEL).is_some();
    let table = plan::Table::source(SourceDecl {
        name: None,
        kind: "table",
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

/// Runs a table alone, in this process and without saved state, and returns all its changes. `stop` stops it, as that of
/// [`RunOptions`] does.
///
/// # Errors
/// As for [`run`](crate::run()).
pub fn collect(table: &plan::Table, workers: Option<usize>, stop: Stop) -> Result<Changelog> {
    let collected = CollectSink::new();
    let shared = collected.clone();
    let connector = SinkConnector {
        name: "collect".to_owned(),
        path: None,
        origin: table.origin().clone(),
        check: Box::new(|| Ok(())),
        make: Box::new(move || Ok(Box::new(shared.clone()) as Box<dyn Sink>)),
    };
    let sink = SinkDecl {
        table: table.clone(),
        name: None,
        kind: "collect",
        description: Value::Null,
        keeps_table: false,
        origin: table.origin().clone(),
        connector: Arc::new(connector),
    };
    let options =
        RunOptions { workers, stop, summary: false, cluster: Some(Cluster::alone()), ..RunOptions::default() };
    run_from(lower(vec![sink])?, &options, |_| EpochClock::counting())?;
    Ok(Changelog { schema: table.schema().clone(), batches: collected.take() })
}
