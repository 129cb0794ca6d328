//! Functions of points in time and durations; [`Expr::dt`](crate::Expr::dt) calls them.

use std::sync::Arc;

use millpond_columns::dialect::{Notation, quoted};
use millpond_columns::types::Type;
use millpond_error::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::time::{DAY_NS, HOUR_NS, MINUTE_NS, SECOND_NS};
use crate::time_format::TimeFormat;
use crate::zone::Zone;

/// What a method of [`Dt`](crate::Dt) computes. The first operand is the subject, the others are the arguments.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeFunction {
    /// `a.dt.hour()` and its like: a part of a point in time.
    Part(TimePart),
    /// `a.dt.hours()` and its like: how many whole units a duration has.
    Whole(TimeUnit),
    /// `a.dt.timestamp(unit)`: the units since 1970, a `float`; without a unit nanoseconds, an `int`.
    Timestamp(Option<TimeUnit>),
    /// `a.dt.from_timestamp(unit)`, `a.dt.utc_from_timestamp(unit)`: the point so many units after 1970.
    FromTimestamp {
        /// What the number counts.
        unit: TimeUnit,
        /// Whether the point is one of UTC.
        utc: bool,
    },
    /// `a.dt.floor(duration)`
    Floor,
    /// `a.dt.round(duration)`
    Round,
    /// `a.dt.strftime(format)`
    Strftime(Arc<TimeFormat>),
    /// `a.dt.strptime(format)`
    Strptime {
        /// How a point is read.
        format: Arc<TimeFormat>,
        /// Whether the program expects an offset in the format, if it says so.
        contains_timezone: Option<bool>,
    },
    /// `a.dt.to_utc(zone)`
    ToUtc(Arc<Zone>),
    /// `a.dt.to_naive_in_timezone(zone)`
    ToNaive(Arc<Zone>),
}

/// A part of a point in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimePart {
    /// The year of the calendar.
    Year,
    /// 1 to 12.
    Month,
    /// The day of the month, from 1.
    Day,
    /// 0 for Monday to 6 for Sunday.
    Weekday,
    /// 0 to 23.
    Hour,
    /// 0 to 59.
    Minute,
    /// 0 to 59.
    Second,
    /// Whole milliseconds since the last full second.
    Millisecond,
    /// Whole microseconds since the last full second.
    Microsecond,
    /// Nanoseconds since the last full second.
    Nanosecond,
}

/// A unit of time that always has the same length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "each is its name")]
pub enum TimeUnit {
    Nanoseconds,
    Microseconds,
    Milliseconds,
    Seconds,
    Minutes,
    Hours,
    Days,
    Weeks,
}

impl TimeUnit {
    /// All units, the shortest first.
    pub const ALL: [TimeUnit; 8] = {
        use TimeUnit::*;
        [Nanoseconds, Microseconds, Milliseconds, Seconds, Minutes, Hours, Days, Weeks]
    };

    /// Its length in nanoseconds.
    pub fn ns(self) -> i64 {
        match self {
            TimeUnit::Nanoseconds => 1,
            TimeUnit::Microseconds => 1_000,
            TimeUnit::Milliseconds => 1_000_000,
            TimeUnit::Seconds => SECOND_NS,
            TimeUnit::Minutes => MINUTE_NS,
            TimeUnit::Hours => HOUR_NS,
            TimeUnit::Days => DAY_NS,
            TimeUnit::Weeks => 7 * DAY_NS,
        }
    }

    /// How it is written: `"ns"`, `"us"`, `"ms"`, `"s"`, `"m"`, `"h"`, `"D"` or `"W"`.
    pub fn symbol(self) -> &'static str {
        match self {
            TimeUnit::Nanoseconds => "ns",
            TimeUnit::Microseconds => "us",
            TimeUnit::Milliseconds => "ms",
            TimeUnit::Seconds => "s",
            TimeUnit::Minutes => "m",
            TimeUnit::Hours => "h",
            TimeUnit::Days => "D",
            TimeUnit::Weeks => "W",
        }
    }
}

impl TimeFunction {
    /// The functions that have no options.
    pub const PLAIN: [TimeFunction; 20] = {
        use TimeFunction::{Floor, Part, Round, Whole};
        use TimePart::*;
        use TimeUnit::*;
        [
            Part(Year),
            Part(Month),
            Part(Day),
            Part(Weekday),
            Part(Hour),
            Part(Minute),
            Part(Second),
            Part(Millisecond),
            Part(Microsecond),
            Part(Nanosecond),
            Whole(Nanoseconds),
            Whole(Microseconds),
            Whole(Milliseconds),
            Whole(Seconds),
            Whole(Minutes),
            Whole(Hours),
            Whole(Days),
            Whole(Weeks),
            Floor,
            Round,
        ]
    };

    /// The name of its method in Python.
    pub fn name(&self) -> &'static str {
        match self {
            TimeFunction::Part(part) => match part {
                TimePart::Year => "year",
                TimePart::Month => "month",
                TimePart::Day => "day",
                TimePart::Weekday => "weekday",
                TimePart::Hour => "hour",
                TimePart::Minute => "minute",
                TimePart::Second => "second",
                TimePart::Millisecond => "millisecond",
                TimePart::Microsecond => "microsecond",
                TimePart::Nanosecond => "nanosecond",
            },
            TimeFunction::Whole(unit) => match unit {
                TimeUnit::Nanoseconds => "nanoseconds",
                TimeUnit::Microseconds => "microseconds",
                TimeUnit::Milliseconds => "milliseconds",
                TimeUnit::Seconds => "seconds",
                TimeUnit::Minutes => "minutes",
                TimeUnit::Hours => "hours",
                TimeUnit::Days => "days",
                TimeUnit::Weeks => "weeks",
            },
            TimeFunction::Timestamp(_) => "timestamp",
            TimeFunction::FromTimestamp { utc: false, .. } => "from_timestamp",
            TimeFunction::FromTimestamp { utc: true, .. } => "utc_from_timestamp",
            TimeFunction::Floor => "floor",
            TimeFunction::Round => "round",
            TimeFunction::Strftime(_) => "strftime",
            TimeFunction::Strptime { .. } => "strptime",
            TimeFunction::ToUtc(_) => "to_utc",
            TimeFunction::ToNaive(_) => "to_naive_in_timezone",
        }
    }

    /// The types that each operand may have.
    pub(crate) fn operands(&self) -> &'static [&'static [Type]] {
        use Type::{DateTimeNaive, DateTimeUtc, Duration, Float, Int, Str};
        match self {
            TimeFunction::Part(_) | TimeFunction::Timestamp(_) | TimeFunction::Strftime(_) => {
                &[&[DateTimeNaive, DateTimeUtc]]
            }
            TimeFunction::Strptime { .. } => &[&[Str]],
            TimeFunction::ToUtc(_) => &[&[DateTimeNaive]],
            TimeFunction::ToNaive(_) => &[&[DateTimeUtc]],
            TimeFunction::Whole(_) => &[&[Duration]],
            TimeFunction::FromTimestamp { .. } => &[&[Int, Float]],
            TimeFunction::Floor | TimeFunction::Round => &[&[DateTimeNaive, DateTimeUtc], &[Duration]],
        }
    }

    /// The type of the result, for a subject of this type.
    pub(crate) fn ty(&self, subject: Type) -> Type {
        match self {
            TimeFunction::Part(_) | TimeFunction::Whole(_) | TimeFunction::Timestamp(None) => Type::Int,
            TimeFunction::Timestamp(Some(_)) => Type::Float,
            TimeFunction::FromTimestamp { utc: false, .. } => Type::DateTimeNaive,
            TimeFunction::FromTimestamp { utc: true, .. } => Type::DateTimeUtc,
            TimeFunction::Floor | TimeFunction::Round => subject,
            TimeFunction::Strftime(_) => Type::Str,
            TimeFunction::Strptime { format, .. } => format.ty(),
            TimeFunction::ToUtc(_) => Type::DateTimeUtc,
            TimeFunction::ToNaive(_) => Type::DateTimeNaive,
        }
    }

    /// Whether its format or zone is right for a subject of this type.
    pub(crate) fn check(&self, subject: Type) -> Result<()> {
        match self {
            TimeFunction::Strftime(format) => format.check_writes(subject),
            TimeFunction::Strptime { format, contains_timezone } => {
                format.check_reads()?;
                let has_zone = format.has_zone();
                if contains_timezone.is_some_and(|expected| expected != has_zone) {
                    let (text, has) = (quoted(format.text()), if has_zone { "an" } else { "no" });
                    let error =
                        format!("the format {text} has {has} offset from UTC, but contains_timezone says otherwise");
                    return Err(
                        Error::invalid(error).with_hint("%z reads an offset such as +0100, %:z one such as +01:00")
                    );
                }
                Ok(())
            }
            TimeFunction::ToUtc(zone) | TimeFunction::ToNaive(zone) => zone.check(),
            _ => Ok(()),
        }
    }

    /// What stands after the arguments in the text of a call.
    pub(crate) fn options(&self, notation: Notation) -> Vec<String> {
        match self {
            TimeFunction::Timestamp(Some(unit)) | TimeFunction::FromTimestamp { unit, .. } => {
                vec![match notation {
                    Notation::Rust => format!("TimeUnit::{unit:?}"),
                    _ => format!("unit=\"{}\"", unit.symbol()),
                }]
            }
            TimeFunction::Strftime(format) | TimeFunction::Strptime { format, .. } => vec![quoted(format.text())],
            TimeFunction::ToUtc(zone) | TimeFunction::ToNaive(zone) => vec![quoted(zone.name())],
            _ => Vec::new(),
        }
    }
}
