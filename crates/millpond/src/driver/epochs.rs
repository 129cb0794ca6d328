//! Who says what time it is: epochs follow the wall clock where it moves forward, and move on by themselves where not.

use std::time::{SystemTime, UNIX_EPOCH};

use millpond_engine::Epoch;

/// Assigns epochs: even milliseconds since the UNIX epoch, each greater than all before, across runs too.
#[derive(Debug)]
pub(crate) struct EpochClock {
    last: Epoch,
    now_ms: fn() -> u64,
}

impl EpochClock {
    /// A clock whose epochs all come after `last`.
    pub(crate) fn after(last: Epoch) -> Self {
        EpochClock { last, now_ms: wall_clock_ms }
    }

    /// A clock that counts 2, 4, 6, ...: results that are the same in every run.
    pub(crate) fn counting() -> Self {
        EpochClock { last: Epoch(0), now_ms: || 0 }
    }

    /// The next epoch.
    pub(crate) fn next(&mut self) -> Epoch {
        let now = (self.now_ms)() & !1;
        self.last = Epoch(now.max(self.last.0 + 2));
        self.last
    }

    /// The epoch assigned last.
    pub(crate) fn last(&self) -> Epoch {
        self.last
    }
}

fn wall_clock_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_are_even_and_increase_though_the_clock_stands_or_goes_back() {
        let mut clock = EpochClock { last: Epoch(0), now_ms: || 1001 };
        assert_eq!([clock.next(), clock.next(), clock.next()], [Epoch(1000), Epoch(1002), Epoch(1004)]);
    }

    #[test]
    fn epochs_follow_the_clock() {
        let mut clock = EpochClock::after(Epoch(4));
        assert!(clock.next() > Epoch(1_700_000_000_000));
        assert_eq!(clock.last().0 % 2, 0);
    }
}
