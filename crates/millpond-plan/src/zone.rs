//! A time zone of the IANA database, which is built in, so that a program computes the same on every machine.

use std::sync::LazyLock;

use jiff::tz::{Offset, TimeZone, TimeZoneDatabase};
use millpond_columns::dialect::quoted;
use millpond_error::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::time_format::timestamp;

static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// A time zone, found by its name once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Zone {
    name: String,
    rules: Option<TimeZone>,
}

impl std::hash::Hash for Zone {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl From<String> for Zone {
    fn from(name: String) -> Self {
        Zone::new(&name)
    }
}

impl From<Zone> for String {
    fn from(zone: Zone) -> Self {
        zone.name
    }
}

impl Zone {
    /// The zone of a name such as `Europe/Berlin`. An unknown one is an error of the type check of the expression that
    /// has it.
    pub fn new(name: &str) -> Self {
        Zone { name: name.into(), rules: ZONES.get(name).ok() }
    }

    /// The name as written.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn check(&self) -> Result<()> {
        match self.rules {
            Some(_) => Ok(()),
            None => {
                let error = Error::invalid(format!("there is no time zone {}", quoted(&self.name)));
                Err(error.with_hint("names are those of the IANA database, such as \"Europe/Berlin\""))
            }
        }
    }

    fn rules(&self) -> &TimeZone {
        self.rules.as_ref().expect("the type check has looked the zone up")
    }

    /// The instant at which clocks of the zone show a time; both in nanoseconds, `None` beyond 64 bits. Of two instants
    /// the first; a time that clocks skip is read with the offset before the gap, so it is that much later.
    pub(crate) fn to_utc(&self, naive: i64) -> Option<i64> {
        let shown = Offset::UTC.to_datetime(timestamp(naive));
        let instant = self.rules().to_timestamp(shown).ok()?;
        i64::try_from(instant.as_nanosecond()).ok()
    }

    /// What clocks of the zone show at an instant; both in nanoseconds, `None` beyond 64 bits.
    pub(crate) fn to_naive(&self, utc: i64) -> Option<i64> {
        let shown = self.rules().to_datetime(timestamp(utc));
        i64::try_from(Offset::UTC.to_timestamp(shown).ok()?.as_nanosecond()).ok()
    }
}
