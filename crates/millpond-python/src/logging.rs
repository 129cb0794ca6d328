//! What the engine's `tracing` events say, for Python's `logging`.
//!
//! An event never waits for the interpreter: it is put into a queue, wherever it comes from. The thread that waits for
//! a run has the interpreter now and then anyway, to handle signals, and then hands the queue on to the package, which
//! knows the logger `millpond`. Where the program has not loaded `logging`, or the logger takes nothing, no event is
//! even made.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::{Debug, Write};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::{Mutex, MutexGuard};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};

/// More events than these are not kept for a program that does not come to take them.
const MOST_LINES: usize = 10_000;
/// The levels of `logging` for those of `tracing`, from errors to traces.
const LEVELS: [(Level, u8); 5] =
    [(Level::ERROR, 40), (Level::WARN, 30), (Level::INFO, 20), (Level::DEBUG, 10), (Level::TRACE, 5)];

/// How many of `LEVELS` are wanted.
static WANTED: AtomicUsize = AtomicUsize::new(0);
static QUEUE: Mutex<Queue> = Mutex::new(Queue { lines: Vec::new(), dropped: 0 });
static SPANS: Mutex<Option<HashMap<u64, Span>>> = Mutex::new(None);
static NEXT_SPAN: AtomicU64 = AtomicU64::new(1);

thread_local! {
    /// The spans that the thread is in.
    static INSIDE: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

struct Queue {
    lines: Vec<Line>,
    dropped: usize,
}

/// One event.
struct Line {
    level: u8,
    text: String,
    /// Such as `run:epoch{epoch=4}`.
    spans: String,
    created_s: f64,
    file: &'static str,
    line: u32,
    thread: String,
}

struct Span {
    text: String,
    holders: usize,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock()
}

/// Makes the bridge the place where events go; called once.
pub(crate) fn install() {
    // Someone else is there already only if the module is loaded twice.
    let _ = tracing::subscriber::set_global_default(Bridge);
}

/// Asks the package which events are wanted from now on.
pub(crate) fn begin(py: Python<'_>) -> PyResult<()> {
    let loaded: Bound<'_, PyDict> = py.import("sys")?.getattr("modules")?.cast_into()?;
    let wanted = match loaded.contains("logging")? {
        false => 0,
        true => {
            let lowest: u8 = py.import("millpond._logging")?.getattr("lowest")?.call0()?.extract()?;
            LEVELS.iter().filter(|(_, level)| *level >= lowest).count()
        }
    };
    if WANTED.swap(wanted, Ordering::Relaxed) != wanted {
        tracing::callsite::rebuild_interest_cache();
    }
    Ok(())
}

/// Hands on what has come up since the last call.
pub(crate) fn hand_on(py: Python<'_>) -> PyResult<()> {
    let Queue { lines, dropped } = std::mem::replace(&mut *lock(&QUEUE), Queue { lines: Vec::new(), dropped: 0 });
    if lines.is_empty() {
        return Ok(());
    }
    let emit = py.import("millpond._logging")?.getattr("emit")?;
    for line in lines {
        emit.call1((line.level, line.text, line.created_s, line.file, line.line, line.thread, line.spans))?;
    }
    if dropped > 0 {
        let text = format!("{dropped} more messages were dropped");
        emit.call1((30, text, now_s(), file!(), line!(), "millpond", ""))?;
    }
    Ok(())
}

fn now_s() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// Takes events and spans of this workspace's crates.
struct Bridge;

impl Subscriber for Bridge {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.enabled(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let wanted = LEVELS[..WANTED.load(Ordering::Relaxed)].last();
        wanted.is_some_and(|(lowest, _)| metadata.level() <= lowest) && metadata.target().starts_with("millpond")
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        let wanted = LEVELS[..WANTED.load(Ordering::Relaxed)].last();
        Some(wanted.map_or(LevelFilter::OFF, |(lowest, _)| LevelFilter::from_level(*lowest)))
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let id = NEXT_SPAN.fetch_add(1, Ordering::Relaxed);
        let mut fields = Text::default();
        span.record(&mut fields);
        let name = span.metadata().name();
        let text = if fields.0.is_empty() { name.to_owned() } else { format!("{name}{{{}}}", fields.0) };
        lock(&SPANS).get_or_insert_default().insert(id, Span { text, holders: 1 });
        Id::from_u64(id)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let metadata = event.metadata();
        let Some((_, level)) = LEVELS.iter().find(|(level, _)| level == metadata.level()) else { return };
        let mut text = Text::default();
        event.record(&mut text);
        let spans = INSIDE.with_borrow(|inside| {
            let spans = lock(&SPANS);
            let texts = inside.iter().filter_map(|id| Some(spans.as_ref()?.get(id)?.text.as_str()));
            texts.collect::<Vec<_>>().join(":")
        });
        let line = Line {
            level: *level,
            text: text.0,
            spans,
            created_s: now_s(),
            file: metadata.file().unwrap_or_default(),
            line: metadata.line().unwrap_or_default(),
            thread: std::thread::current().name().unwrap_or_default().to_owned(),
        };
        let mut queue = lock(&QUEUE);
        if queue.lines.len() < MOST_LINES { queue.lines.push(line) } else { queue.dropped += 1 }
    }

    fn enter(&self, span: &Id) {
        INSIDE.with_borrow_mut(|inside| inside.push(span.into_u64()));
    }

    fn exit(&self, span: &Id) {
        INSIDE.with_borrow_mut(|inside| {
            if let Some(at) = inside.iter().rposition(|id| *id == span.into_u64()) {
                inside.remove(at);
            }
        });
    }

    fn clone_span(&self, id: &Id) -> Id {
        if let Some(span) = lock(&SPANS).get_or_insert_default().get_mut(&id.into_u64()) {
            span.holders += 1;
        }
        id.clone()
    }

    fn try_close(&self, id: Id) -> bool {
        let mut spans = lock(&SPANS);
        let spans = spans.get_or_insert_default();
        let Some(span) = spans.get_mut(&id.into_u64()) else { return false };
        span.holders -= 1;
        if span.holders > 0 {
            return false;
        }
        spans.remove(&id.into_u64());
        true
    }
}

/// The message, then the fields: `epoch done epoch=4 rows=7`.
#[derive(Default)]
struct Text(String);

impl Text {
    fn add(&mut self, field: &Field, value: std::fmt::Arguments<'_>) {
        let space = if self.0.is_empty() { "" } else { " " };
        let _ = match field.name() {
            "message" => write!(self.0, "{space}{value}"),
            name => write!(self.0, "{space}{name}={value}"),
        };
    }
}

impl Visit for Text {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.add(field, format_args!("{value:?}"));
    }
}
