//! Rows that a program hands over, one by one, from a thread of its own: simpler than a [source](crate::connector) of
//! one's own.
//!
//! ```
//! use std::sync::Arc;
//!
//! use millpond::feed::{Cell, Feed, FeedOptions, Feeder, source};
//! use millpond::{Origin, Result, RunOptions, Schema, Table, Type, connector, run};
//!
//! struct Numbers;
//!
//! impl Feeder for Numbers {
//!     fn start(&self, feed: Feed, _position: Option<&str>) -> Result<()> {
//!         let work = move || {
//!             let push = |number| if feed.push(&[Cell::Int(number)])? { Ok(()) } else { Ok(feed.wait_for_room()) };
//!             feed.end((0..100).try_for_each(push));
//!         };
//!         std::thread::spawn(work);
//!         Ok(())
//!     }
//!
//!     fn stop(&self) {}
//! }
//!
//! let schema = Schema::new([("number", Type::Int.required())]);
//! let options = FeedOptions { schema, key: vec![], removals: false, positions: false, autocommit: None };
//! let numbers = Table::from(source(options, Arc::new(Numbers), None, None, &Origin::caller()));
//! let output = connector::subscribe(&numbers, "print", |_, changes: &connector::Batches| {
//!     println!("{changes:?}");
//!     Ok(())
//! });
//! assert_eq!(run([output], &RunOptions::default().quiet()).unwrap().rows_read, 100);
//! ```

use std::sync::Arc;

use millpond_error::{Error, Origin, Result};
use millpond_io::feed::FeedSource;
pub use millpond_io::feed::{Cell, Feed, FeedOptions, Feeder, grace};
use millpond_io::source::Source;
use millpond_plan::{self as plan, SourceDecl};
use serde_json::json;

use crate::declare::SourceConnector;

/// The table that `feeder` feeds. A primary key identifies its rows. `not_resumable` says why a run cannot save state,
/// where commits carry no positions.
///
/// # Errors
/// `Invalid`, if two columns have one name.
pub fn source(
    options: FeedOptions,
    feeder: Arc<dyn Feeder>,
    name: Option<String>,
    not_resumable: Option<Error>,
    origin: &Origin,
) -> Result<plan::Table> {
    let schema = options.schema.clone();
    let append_only = options.is_append_only();
    let key: Vec<String> = options.key.iter().map(|column| schema.columns()[*column].name.clone()).collect();
    let description = json!({ "primary_key": key });
    let connector = SourceConnector {
        check: Box::new(|| Ok(())),
        make: Box::new(move |seed| {
            Ok(Box::new(FeedSource::new(options.clone(), feeder.clone(), seed)) as Box<dyn Source>)
        }),
        dead_letter: None,
        not_resumable: not_resumable.map(|error| error.at(origin)),
        path: None,
    };
    let table = plan::Table::source(SourceDecl {
        name,
        kind: "feed".into(),
        schema,
        append_only,
        description,
        origin: origin.clone(),
        connector: Arc::new(connector),
    })?;
    if key.is_empty() {
        Ok(table)
    } else {
        table.with_id_from(key.iter().map(|column| plan::col(column)).collect(), origin)
    }
}
