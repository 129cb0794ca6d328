//! Functions of points in time and durations, and the methods of [`Expr::dt`] that call them.
//!
//! ```
//! use millpond_plan::col;
//!
//! let hour = col("access_time").dt().hour();
//! assert_eq!(hour.to_string(), "access_time.dt.hour()");
//! ```

use crate::expr::{Expr, ExprKind};
use crate::functions::time::{TimeFunction, TimePart, TimeUnit};
use crate::time_format::TimeFormat;
use crate::zone::Zone;

/// The functions of a point in time, a duration or a timestamp; see [`Expr::dt`].
pub struct Dt(Expr);

impl Expr {
    /// The functions of an expression that is a point in time or a duration, or of a number that is a timestamp. A null
    /// gives a null.
    pub fn dt(&self) -> Dt {
        Dt(self.clone())
    }
}

macro_rules! methods {
    ($($(#[$doc:meta])+ $method:ident $function:expr;)*) => {
        impl Dt { $(
            $(#[$doc])+
            #[track_caller]
            pub fn $method(&self) -> Expr {
                self.call($function, [])
            }
        )* }
    };
}

methods! {
    /// The year of a point in time, an `int`.
    year TimeFunction::Part(TimePart::Year);
    /// The month, 1 to 12.
    month TimeFunction::Part(TimePart::Month);
    /// The day of the month, from 1.
    day TimeFunction::Part(TimePart::Day);
    /// The day of the week, 0 for Monday to 6 for Sunday.
    weekday TimeFunction::Part(TimePart::Weekday);
    /// The hour, 0 to 23.
    hour TimeFunction::Part(TimePart::Hour);
    /// The minute, 0 to 59.
    minute TimeFunction::Part(TimePart::Minute);
    /// The second, 0 to 59.
    second TimeFunction::Part(TimePart::Second);
    /// The whole milliseconds since the last full second, 0 to 999.
    millisecond TimeFunction::Part(TimePart::Millisecond);
    /// The whole microseconds since the last full second, 0 to 999,999.
    microsecond TimeFunction::Part(TimePart::Microsecond);
    /// The nanoseconds since the last full second, 0 to 999,999,999.
    nanosecond TimeFunction::Part(TimePart::Nanosecond);
    /// The nanoseconds of a duration, an `int`.
    nanoseconds TimeFunction::Whole(TimeUnit::Nanoseconds);
    /// The whole microseconds of a duration; this and its like cut off towards zero.
    microseconds TimeFunction::Whole(TimeUnit::Microseconds);
    /// The whole milliseconds of a duration.
    milliseconds TimeFunction::Whole(TimeUnit::Milliseconds);
    /// The whole seconds of a duration.
    seconds TimeFunction::Whole(TimeUnit::Seconds);
    /// The whole minutes of a duration.
    minutes TimeFunction::Whole(TimeUnit::Minutes);
    /// The whole hours of a duration.
    hours TimeFunction::Whole(TimeUnit::Hours);
    /// The whole days of a duration, each of 24 hours.
    days TimeFunction::Whole(TimeUnit::Days);
    /// The whole weeks of a duration.
    weeks TimeFunction::Whole(TimeUnit::Weeks);
    /// The nanoseconds from 1970 to a point in time, an `int`.
    timestamp_ns TimeFunction::Timestamp(None);
}

impl Dt {
    /// The units from 1970 to a point in time, a `float`.
    #[track_caller]
    pub fn timestamp(&self, unit: TimeUnit) -> Expr {
        self.call(TimeFunction::Timestamp(Some(unit)), [])
    }

    /// The point without a zone that is so many units after 1970; of a `float`, the nearest nanosecond.
    #[track_caller]
    pub fn from_timestamp(&self, unit: TimeUnit) -> Expr {
        self.call(TimeFunction::FromTimestamp { unit, utc: false }, [])
    }

    /// The point in UTC that is so many units after 1970; of a `float`, the nearest nanosecond.
    #[track_caller]
    pub fn utc_from_timestamp(&self, unit: TimeUnit) -> Expr {
        self.call(TimeFunction::FromTimestamp { unit, utc: true }, [])
    }

    /// The last point that is not later, of those that are a multiple of `duration` from 1970; its sign does not
    /// matter.
    #[track_caller]
    pub fn floor(&self, duration: impl Into<Expr>) -> Expr {
        self.call(TimeFunction::Floor, [duration.into()])
    }

    /// The nearest point of those that are a multiple of `duration` from 1970; the later of two.
    #[track_caller]
    pub fn round(&self, duration: impl Into<Expr>) -> Expr {
        self.call(TimeFunction::Round, [duration.into()])
    }

    /// A point as text, in the words of `strftime`; [`TimeFormat`] says which.
    #[track_caller]
    pub fn strftime(&self, format: &str) -> Expr {
        self.call(TimeFunction::Strftime(TimeFormat::new(format).into()), [])
    }

    /// The point that a text spells: one of UTC if the format has an offset (`%z`), one without a zone otherwise. An
    /// error value for text that does not fit, or of a point outside the years 1677 to 2262.
    #[track_caller]
    pub fn strptime(&self, format: &str) -> Expr {
        let format = TimeFormat::new(format).into();
        self.call(TimeFunction::Strptime { format, contains_timezone: None }, [])
    }

    /// The instant at which clocks of a time zone show a point. Where they show it twice, the first; a point that they
    /// skip is read with the offset before the gap.
    #[track_caller]
    pub fn to_utc(&self, zone: &str) -> Expr {
        self.call(TimeFunction::ToUtc(Zone::new(zone).into()), [])
    }

    /// What clocks of a time zone show at an instant.
    #[track_caller]
    pub fn to_naive_in_timezone(&self, zone: &str) -> Expr {
        self.call(TimeFunction::ToNaive(Zone::new(zone).into()), [])
    }

    /// What clocks of a time zone show so long after they show a point.
    #[track_caller]
    pub fn add_duration_in_timezone(&self, duration: impl Into<Expr>, zone: &str) -> Expr {
        (self.to_utc(zone) + duration.into()).dt().to_naive_in_timezone(zone)
    }

    /// What clocks of a time zone show so long before they show a point.
    #[track_caller]
    pub fn subtract_duration_in_timezone(&self, duration: impl Into<Expr>, zone: &str) -> Expr {
        (self.to_utc(zone) - duration.into()).dt().to_naive_in_timezone(zone)
    }

    /// The duration from `point` to this one, both as clocks of a time zone show them.
    #[track_caller]
    pub fn subtract_date_time_in_timezone(&self, point: impl Into<Expr>, zone: &str) -> Expr {
        self.to_utc(zone) - point.into().dt().to_utc(zone)
    }

    /// `function` with these arguments.
    #[track_caller]
    pub fn call(&self, function: TimeFunction, arguments: impl IntoIterator<Item = Expr>) -> Expr {
        let operands = std::iter::once(self.0.clone()).chain(arguments).collect();
        Expr::new(ExprKind::Time(function, operands))
    }
}
