//! Who says what time it is: epochs follow the wall clock where it moves forward, and move on by themselves where not.

use std::time::{SystemTime, UNIX_EPOCH};

use millpond_engine::Epoch;

/// Assigns epochs: even milliseconds since the UNIX epoch, each greater than all before, across runs too.
#[derive(Debug)]
pub(crate) struct EpochClock {
    last: Epoch,
    /// What it is now, of the time that the program says, if it does.
    now: fn(Option<i64>) -> u64,
}

impl EpochClock {
    /// A clock whose epochs all come after `last`.
    pub(crate) fn after(last: Epoch) -> Self {
        EpochClock { last, now: |_| wall_clock_ms() }
    }

    /// A clock that shows the times that the program says, and else counts 2, 4, 6, ...: results that are the same in
    /// every run. Of a time that is odd, it shows the next one.
    pub(crate) fn counting() -> Self {
        EpochClock { last: Epoch(0), now: |time| time.map_or(0, |time| time.clamp(0, LAST_TIME) as u64 + 1) }
    }

    /// The next epoch; `time` is the time that the program says of it.
    pub(crate) fn next(&mut self, time: Option<i64>) -> Epoch {
        let now = (self.now)(time) & !1;
        self.last = Epoch(now.max(self.last.0 + 2));
        self.last
    }

    /// The epoch assigned last.
    pub(crate) fn last(&self) -> Epoch {
        self.last
    }
}

/// Epochs may follow it that still are ints.
const LAST_TIME: i64 = i64::MAX / 2;

fn wall_clock_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_are_even_and_increase_though_the_clock_stands_or_goes_back() {
        let mut clock = EpochClock { last: Epoch(0), now: |_| 1001 };
        assert_eq!([(); 3].map(|()| clock.next(Some(7000))), [Epoch(1000), Epoch(1002), Epoch(1004)]);
    }

    #[test]
    fn epochs_follow_the_clock() {
        let mut clock = EpochClock::after(Epoch(4));
        assert!(clock.next(None) > Epoch(1_700_000_000_000));
        assert_eq!(clock.last().0 % 2, 0);
    }

    #[test]
    fn a_counting_clock_shows_the_times_of_the_program() {
        let mut clock = EpochClock::counting();
        let times = [None, Some(-3), Some(8), Some(11), Some(11), None, Some(i64::MAX), None];
        let most = (LAST_TIME as u64 + 1) & !1;
        let epochs = [2, 4, 8, 12, 14, 16, most, most + 2];
        assert_eq!(times.map(|time| clock.next(time).0), epochs);
    }
}
