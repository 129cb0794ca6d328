//! Since when a source has had something to read that is not done: what a run is behind.

use std::collections::VecDeque;
use std::time::Instant;

/// More than so many marks are not kept; the last one then stands for what comes after it, too.
const MOST_MARKS: usize = 256;

/// Remembers when the input up to a number of bytes was first seen.
#[derive(Debug, Default)]
pub(super) struct Lag {
    /// Bytes handed to epochs since the run began.
    handed: u64,
    /// Those of epochs that are done.
    done: u64,
    /// Bytes that were there, and when that was seen first; both ascend.
    marks: VecDeque<(u64, Instant)>,
}

impl Lag {
    /// The source has given `input` bytes to an epoch, if it has one, and has `waiting` more.
    pub(super) fn see(&mut self, input: Option<u64>, waiting: u64, now: Instant) {
        // An input whose size is not known is something to do, too.
        self.handed += input.map_or(0, |bytes| bytes.max(1));
        let seen = self.handed + waiting;
        let mut since = now;
        while let Some((_, at)) = self.marks.pop_back_if(|(upto, _)| *upto > seen) {
            since = at;
        }
        if self.marks.back().map_or(self.done, |(upto, _)| *upto) >= seen {
            return;
        }
        let is_full = self.marks.len() == MOST_MARKS;
        match self.marks.back_mut() {
            Some(last) if is_full => last.0 = seen,
            _ => self.marks.push_back((seen, since)),
        }
    }

    /// All input that was handed out is done.
    pub(super) fn finish(&mut self) {
        self.done = self.handed;
        while self.marks.pop_front_if(|(upto, _)| *upto <= self.done).is_some() {}
    }

    /// When the oldest input that is not done was seen.
    pub(super) fn since(&self) -> Option<Instant> {
        self.marks.front().map(|(_, at)| *at)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn input_in_one_piece_counts_until_it_is_done() {
        let start = Instant::now();
        let mut lag = Lag::default();
        lag.see(None, 0, start);
        assert_eq!(lag.since(), None);
        lag.see(Some(0), 0, start);
        assert_eq!(lag.since(), Some(start));
        lag.finish();
        assert_eq!(lag.since(), None);
        lag.see(None, 0, start);
        assert_eq!(lag.since(), None, "nothing is new");
    }

    #[test]
    fn a_backlog_that_grows_is_as_old_as_its_oldest_part() {
        let start = Instant::now();
        let at = |s: u64| start + Duration::from_secs(3600 + s);
        let (first, second) = (at(0), at(1));
        let mut lag = Lag::default();
        lag.see(Some(10), 20, first);
        lag.finish();
        assert_eq!(lag.since(), Some(first), "20 bytes of the first look wait");
        lag.see(Some(10), 30, second);
        lag.finish();
        assert_eq!(lag.since(), Some(first), "10 bytes of the first look wait");
        lag.see(Some(10), 20, at(2));
        lag.finish();
        assert_eq!(lag.since(), Some(second));
        lag.see(Some(20), 0, at(3));
        lag.finish();
        assert_eq!(lag.since(), None);
    }

    #[test]
    fn input_that_goes_away_is_waited_for_no_longer() {
        let start = Instant::now();
        let mut lag = Lag::default();
        lag.see(Some(10), 50, start);
        lag.see(None, 5, start);
        lag.finish();
        assert_eq!(lag.since(), Some(start));
        lag.see(Some(5), 0, start);
        lag.finish();
        assert_eq!(lag.since(), None);
    }

    #[test]
    fn many_marks_take_bounded_room() {
        let start = Instant::now();
        let mut lag = Lag::default();
        for waiting in 0..10 * MOST_MARKS as u64 {
            lag.see(Some(1), 2 * waiting, start);
        }
        assert_eq!(lag.marks.len(), MOST_MARKS);
        lag.see(Some(u64::from(u32::MAX)), 0, start);
        lag.finish();
        assert_eq!(lag.since(), None);
    }
}
