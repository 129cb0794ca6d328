//! Rows that a program hands over, for fronts that bring their own feeder.

use std::sync::Arc;

use millpond_error::{Error, Origin, Result};
use millpond_io::feed::{FeedOptions, FeedSource, Feeder};
use millpond_io::source::Source;
use millpond_plan::{self as plan, SourceDecl};
use serde_json::json;

use crate::connector::SourceConnector;

/// The table that `feeder` feeds. `forgetful` says why a run cannot save state, where commits carry no positions.
///
/// # Errors
/// `Invalid`, if two columns have one name.
pub fn source(
    options: FeedOptions,
    feeder: Arc<dyn Feeder>,
    name: Option<String>,
    forgetful: Option<Error>,
    origin: &Origin,
) -> Result<plan::Table> {
    let schema = options.schema.clone();
    let append_only = options.is_append_only();
    let key: Vec<&str> = options.key.iter().map(|column| schema.columns()[*column].name.as_str()).collect();
    let description = json!({ "primary_key": key });
    let connector = SourceConnector {
        check: Box::new(|| Ok(())),
        make: Box::new(move |seed| {
            Ok(Box::new(FeedSource::new(options.clone(), feeder.clone(), seed)) as Box<dyn Source>)
        }),
        dead_letter: None,
        forgetful: forgetful.map(|error| error.at(origin)),
    };
    plan::Table::source(SourceDecl {
        name,
        kind: "feed",
        schema,
        append_only,
        description,
        origin: origin.clone(),
        connector: Arc::new(connector),
    })
}
