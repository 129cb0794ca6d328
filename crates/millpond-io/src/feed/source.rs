//! The source of rows that a program hands over.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::sync::Arc;
use std::time::Duration;

use millpond_columns::types::Schema;
use millpond_engine::arrangement::{Arrangement, SavedArrangement};
use millpond_engine::changes::{Changes, Epoch};
use millpond_engine::hash::HashSeed;
use millpond_error::{Error, Result};
use millpond_store::DAMAGE_HINT;
use parking_lot::Mutex;

use super::position::Position;
use super::present::{Present, Step};
use super::queue::{Commit, Feed, Taken};
use crate::source::{EpochInput, Next, Source, SourceCounts};
use crate::wakeup::Wakeup;

const POSITION: &str = "position";
const ROWS: &str = "rows";
/// Seconds that a function of the program may take to return once the run is told to end.
const GRACE: &str = "MILLPOND_GRACE_S";
const DEFAULT_GRACE: Duration = Duration::from_secs(5);

/// How long a run that is told to end waits for a function of the program that does not return: five seconds, or what
/// `MILLPOND_GRACE_S` says.
///
/// # Errors
/// `Invalid`, if that is no number of seconds.
pub fn grace() -> Result<Duration> {
    grace_of(std::env::var_os(GRACE).as_deref())
}

fn grace_of(text: Option<&OsStr>) -> Result<Duration> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(DEFAULT_GRACE) };
    let seconds = text.to_str().and_then(|text| text.trim().parse().ok());
    seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).ok_or_else(|| {
        Error::invalid(format!("{GRACE}: {text:?} is not a number of seconds")).with_hint(format!("such as {GRACE}=10"))
    })
}

/// What a feed takes.
#[derive(Clone, Debug)]
pub struct FeedOptions {
    /// The columns.
    pub schema: Schema,
    /// The columns of the primary key, by position; a row replaces the one with its key. Without them, rows add up.
    pub key: Vec<usize>,
    /// Whether rows may be taken away; with a primary key they always may.
    pub removals: bool,
    /// Whether commits carry positions. Then nothing but a commit ends an epoch, however many rows it has.
    pub positions: bool,
    /// How long a row may wait for a commit before it counts without one; for ever, without it.
    pub autocommit: Option<Duration>,
}

impl FeedOptions {
    /// Whether no row is ever removed.
    pub fn is_append_only(&self) -> bool {
        self.key.is_empty() && !self.removals
    }
}

/// What hands rows over, on a thread of its own.
pub trait Feeder: Send + Sync {
    /// Starts, and returns at once. `position` is that of the last commit which counts, if there is one. When all rows
    /// are handed over, or that has failed, the feeder calls [`Feed::end`].
    fn start(&self, feed: Feed, position: Option<&str>) -> Result<()>;

    /// The run is over: the feeder shall end soon. Called once after `start`, also if the feeder has ended.
    fn stop(&self);

    /// The feeder has not ended in time ([`grace`]) after `stop`, and is left behind.
    fn leave(&self) {}
}

/// Rows that a [`Feeder`] hands over; each of its commits is an epoch.
pub struct FeedSource {
    options: Arc<FeedOptions>,
    feeder: Arc<dyn Feeder>,
    is_saved: bool,
    /// Once it is watched.
    feed: Option<Feed>,
    position: Position,
    present: Option<Present>,
    under_way: Option<UnderWay>,
    rows_read: u64,
}

/// The epoch that is being read.
struct UnderWay {
    rows: usize,
    position: Option<String>,
    step: Option<Step>,
}

impl FeedSource {
    /// A source that has read nothing yet. `seed` is the hash seed of the state.
    pub fn new(options: FeedOptions, feeder: Arc<dyn Feeder>, seed: HashSeed) -> Self {
        let present = (!options.key.is_empty()).then(|| Present::new(&options.schema, &options.key, seed));
        FeedSource {
            options: Arc::new(options),
            feeder,
            is_saved: false,
            feed: None,
            position: Position::new(seed),
            present,
            under_way: None,
            rows_read: 0,
        }
    }

    /// The input of an epoch of these rows, if they change anything.
    fn begin(&mut self, commit: Commit, columns: &[usize]) -> Result<Option<Arc<dyn EpochInput>>> {
        let Commit { chunks, rows, bytes, position } = commit;
        let (chunks, step) = match &self.present {
            Some(present) if rows > 0 => {
                let step = present.step(&chunks)?;
                (vec![step.changes.clone()], Some(step))
            }
            _ => (chunks, None),
        };
        self.under_way = Some(UnderWay { rows, position, step });
        let chunks: VecDeque<Changes> =
            chunks.into_iter().filter(|chunk| !chunk.is_empty()).map(|chunk| project(&chunk, columns)).collect();
        if chunks.is_empty() {
            self.take_up()?;
            return Ok(None);
        }
        Ok(Some(Arc::new(FeedInput { chunks: Mutex::new(chunks), bytes: bytes as u64 })))
    }

    /// Moves on behind the epoch that is done.
    fn take_up(&mut self) -> Result<()> {
        let Some(UnderWay { rows, position, step }) = self.under_way.take() else { return Ok(()) };
        self.rows_read += rows as u64;
        if let (Some(present), Some(step)) = (&mut self.present, step) {
            present.finish(step)?;
        }
        position.map_or(Ok(()), |position| self.position.set(position))
    }
}

impl Source for FeedSource {
    fn arrangements(&mut self) -> Vec<(&'static str, &mut Arrangement)> {
        let rows = self.present.as_mut().map(|present| (ROWS, present.arrangement()));
        [(POSITION, self.position.arrangement())].into_iter().chain(rows).collect()
    }

    fn expect_commits(&mut self) {
        self.is_saved = true;
    }

    fn open(&mut self, saved: Vec<(String, SavedArrangement)>) -> Result<()> {
        for (name, saved) in saved {
            match (name.as_str(), &mut self.present) {
                (POSITION, _) => self.position.open(saved)?,
                (ROWS, Some(present)) => present.open(saved)?,
                _ => {
                    let what = format!("a source of the program has no arrangement {name:?}");
                    return Err(Error::data(what).with_hint(DAMAGE_HINT));
                }
            }
        }
        Ok(())
    }

    fn is_endless(&self) -> bool {
        true
    }

    fn watch(&mut self, wakeup: &Wakeup) -> Result<()> {
        let feed = Feed::new(self.options.clone(), wakeup.clone(), self.is_saved);
        self.feeder.start(feed.clone(), self.position.text())?;
        self.feed = Some(feed);
        Ok(())
    }

    fn next_epoch(&mut self, columns: &[usize]) -> Result<Next> {
        loop {
            let Some(feed) = &self.feed else {
                return Err(Error::unavailable("the source was not started"));
            };
            match feed.take()? {
                Taken::Later(at) => return Ok(Next::Later(at)),
                Taken::End => return Ok(Next::End),
                Taken::Commit(commit) => {
                    if let Some(input) = self.begin(commit, columns)? {
                        return Ok(Next::Input(input));
                    }
                }
            }
        }
    }

    fn finish_epoch(&mut self, _epoch: Epoch) -> Result<()> {
        self.take_up()
    }

    fn counts(&self) -> SourceCounts {
        SourceCounts { rows_read: self.rows_read, ..SourceCounts::default() }
    }

    fn bytes_waiting(&self) -> u64 {
        self.feed.as_ref().map_or(0, Feed::bytes_waiting)
    }
}

impl Drop for FeedSource {
    fn drop(&mut self) {
        if let Some(feed) = &self.feed {
            feed.stop();
            self.feeder.stop();
            if !feed.wait_for_end(grace().unwrap_or(DEFAULT_GRACE)) {
                self.feeder.leave();
            }
        }
    }
}

/// One epoch's rows, in chunks.
struct FeedInput {
    chunks: Mutex<VecDeque<Changes>>,
    bytes: u64,
}

impl EpochInput for FeedInput {
    fn next(&self) -> Result<Option<Changes>> {
        Ok(self.chunks.lock().pop_front())
    }

    fn size_hint(&self) -> u64 {
        self.bytes
    }
}

fn project(changes: &Changes, columns: &[usize]) -> Changes {
    let columns = columns.iter().map(|column| changes.columns[*column].clone()).collect();
    Changes { columns, rows: changes.rows, diffs: changes.diffs.clone() }
}

#[cfg(test)]
mod tests {
    use millpond_error::ErrorKind;

    use super::*;

    #[test]
    fn how_long_a_function_may_take_is_a_number_of_seconds() {
        for (text, seconds) in [("", 5.0), (" 0.5 ", 0.5), ("10", 10.0)] {
            assert_eq!(grace_of(Some(text.as_ref())).unwrap(), Duration::from_secs_f64(seconds));
        }
        for text in ["soon", "-1", "inf", "nan"] {
            let error = grace_of(Some(text.as_ref())).unwrap_err();
            let text =
                format!("MILLPOND_GRACE_S: \"{text}\" is not a number of seconds\nhint: such as MILLPOND_GRACE_S=10");
            assert_eq!((error.kind(), error.to_string()), (ErrorKind::Invalid, text));
        }
    }
}
