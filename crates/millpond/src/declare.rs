//! What the declarations of sources and sinks in a plan carry: how each is made at the start of a run.

use std::path::PathBuf;
use std::sync::Arc;

use millpond_engine::hash::HashSeed;
use millpond_error::{Error, Origin, Result};
use millpond_io::sink::{CallbackSink, Delivery, Sink, Subscriber};
use millpond_io::source::Source;
use millpond_plan::{self as plan, SinkDecl};

/// Makes a source at the start of a run; kept, opaque, in the plan's declaration.
pub struct SourceConnector {
    /// Checks what can be checked before any state is touched.
    pub check: Box<dyn Fn() -> Result<()> + Send + Sync>,
    /// Makes the source; the seed hashes the keys of its arrangements.
    pub make: Box<dyn Fn(HashSeed) -> Result<Box<dyn Source>> + Send + Sync>,
    /// Where rejected rows go, if anywhere.
    pub dead_letter: Option<Arc<SinkConnector>>,
    /// Why the source has no place in a run with saved state, if it cannot say where it was.
    pub not_resumable: Option<Error>,
    /// The file, directory or glob that it reads, if it reads files.
    pub path: Option<String>,
}

/// Makes a sink at the start of a run; kept, opaque, in the plan's declaration.
pub struct SinkConnector {
    /// The name under which its position is kept in the state.
    pub name: String,
    /// The file that it writes, if it writes one of the local file system.
    pub path: Option<PathBuf>,
    /// The place in the program.
    pub origin: Origin,
    /// Checks what can be checked before any state is touched.
    pub check: Box<dyn Fn() -> Result<()> + Send + Sync>,
    /// Makes the sink.
    pub make: Box<dyn Fn() -> Result<Box<dyn Sink>> + Send + Sync>,
}

/// The declaration of a subscription, for fronts that carry their own origins.
pub fn declare_subscription(
    table: &plan::Table,
    name: &str,
    origin: &Origin,
    subscriber: Arc<dyn Subscriber>,
    delivery: Delivery,
) -> SinkDecl {
    declare_sink(table, name, origin, move || Ok(Box::new(CallbackSink::new(subscriber.clone(), delivery))))
}

/// The declaration of a sink of your own, for fronts that carry their own origins.
pub fn declare_sink(
    table: &plan::Table,
    name: &str,
    origin: &Origin,
    make: impl Fn() -> Result<Box<dyn Sink>> + Send + Sync + 'static,
) -> SinkDecl {
    let connector = SinkConnector {
        name: name.to_owned(),
        path: None,
        origin: origin.clone(),
        check: Box::new(|| Ok(())),
        make: Box::new(make),
    };
    SinkDecl {
        table: table.clone(),
        name: name.to_owned(),
        kind: "sink".into(),
        description: serde_json::Value::Null,
        keeps_table: false,
        origin: origin.clone(),
        connector: Arc::new(connector),
    }
}
