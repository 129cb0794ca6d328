//! When to look at the files of a source again: soon after a change that the operating system reports, and from time to
//! time anyway, since network and virtual file systems report none.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};

use super::list::{Root, root_of};
use crate::wakeup::Wakeup;

/// The time between two looks at files of which no change was reported, at least.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Looking takes at most this part of the time.
const LOOK_SHARE: u32 = 100;

/// What is known of the files' changes since they were looked at.
#[derive(Debug)]
pub struct Watch {
    changed: Arc<AtomicBool>,
    /// Not before; what comes in between is one epoch.
    next_commit: Instant,
    /// At the latest.
    next_look: Instant,
    /// Ends the reports when it is dropped.
    _reports: Option<RecommendedWatcher>,
}

impl Watch {
    /// Watches a file, a directory with all below it, or the directory of a glob; what cannot be watched is only looked
    /// at from time to time.
    pub fn start(path: &str, wakeup: &Wakeup) -> Self {
        let changed = Arc::new(AtomicBool::new(true));
        let reports = watch(path, changed.clone(), wakeup.clone()).ok();
        let now = Instant::now();
        Watch { changed, next_commit: now, next_look: now, _reports: reports }
    }

    /// When to look at the files, if nothing is reported before.
    pub fn due(&self) -> Instant {
        if self.changed.load(Ordering::Acquire) { self.next_commit } else { self.next_look }
    }

    /// Takes note that the files are about to be looked at; what changes from now on is news.
    pub fn begin_look(&mut self) -> Instant {
        self.changed.store(false, Ordering::Release);
        Instant::now()
    }

    /// Takes note of a look that was begun at `began`. If there is `more` to read than was taken, the next one is due
    /// at once, otherwise after `commit_every` at the earliest.
    pub fn end_look(&mut self, began: Instant, commit_every: Duration, more: bool) {
        if more {
            self.changed.store(true, Ordering::Release);
            self.next_commit = began;
            return;
        }
        self.next_commit = began + commit_every;
        let now = Instant::now();
        self.next_look = self.next_commit.max(now + LOOK_EVERY.max((now - began) * LOOK_SHARE));
    }
}

fn watch(path: &str, changed: Arc<AtomicBool>, wakeup: Wakeup) -> notify::Result<RecommendedWatcher> {
    let report = move |event: notify::Result<notify::Event>| {
        // A queue of reports that has run over is an error, and a reason to look.
        if event.is_ok_and(|event| is_reading(&event.kind)) {
            return;
        }
        changed.store(true, Ordering::Release);
        wakeup.wake();
    };
    let mut watcher = notify::recommended_watcher(report)?;
    let (root, mode) = match root_of(path) {
        // A file may be replaced by another one of its name.
        Ok(Root::File(file)) => (file.parent().unwrap_or(Path::new("")).to_owned(), RecursiveMode::NonRecursive),
        Ok(Root::Directory(directory) | Root::Glob { directory }) => (directory, RecursiveMode::Recursive),
        Err(error) => return Err(notify::Error::generic(error.message())),
    };
    let root = if root.as_os_str().is_empty() { Path::new(".").to_owned() } else { root };
    watcher.watch(&root, mode)?;
    Ok(watcher)
}

/// Whether it is no change: our own reading is reported as well.
fn is_reading(kind: &EventKind) -> bool {
    matches!(kind, EventKind::Access(access) if *access != AccessKind::Close(AccessMode::Write))
}
