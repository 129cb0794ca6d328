//! What functions of points in time and durations give.

use super::*;
use crate::functions::{TimeFunction, TimePart, TimeUnit};
use crate::time::{DAY_NS, HOUR_NS, SECOND_NS, read};

fn naive(text: &str) -> Expr {
    lit(Literal::DateTimeNaive(read(Type::DateTimeNaive, text.as_bytes()).unwrap()))
}

fn duration(ns: i64) -> Expr {
    lit(Literal::Duration(ns))
}

#[test]
fn parts_are_those_of_the_calendar_before_1970_too() {
    let parts = |text: &str, expected: [i64; 10]| {
        use TimePart::*;
        let all = [Year, Month, Day, Weekday, Hour, Minute, Second, Millisecond, Microsecond, Nanosecond];
        for (part, expected) in all.into_iter().zip(expected) {
            check(naive(text).dt().call(TimeFunction::Part(part), []), &expected.to_string());
        }
    };
    parts("2026-11-22T10:11:12.013014015", [2026, 11, 22, 6, 10, 11, 12, 13, 13_014, 13_014_015]);
    parts("1969-12-31T23:59:59.999999999", [1969, 12, 31, 2, 23, 59, 59, 999, 999_999, 999_999_999]);
    parts("1970-01-01", [1970, 1, 1, 3, 0, 0, 0, 0, 0, 0]);
    parts("2000-02-29T00:00:01", [2000, 2, 29, 1, 0, 0, 1, 0, 0, 0]);
}

#[test]
fn whole_units_cut_off_towards_zero() {
    check(duration(90 * 60 * SECOND_NS).dt().hours(), "1");
    check(duration(-90 * 60 * SECOND_NS).dt().hours(), "-1");
    check(duration(-90 * 60 * SECOND_NS).dt().minutes(), "-90");
    check(duration(1 - 7 * DAY_NS).dt().weeks(), "0");
    check(duration(1_999_999).dt().milliseconds(), "1");
    check(duration(i64::MIN).dt().nanoseconds(), "-9223372036854775808");
}

#[test]
fn timestamps_count_from_1970() {
    check(naive("1970-01-02").dt().timestamp(TimeUnit::Seconds), "86400.0");
    check(naive("1969-12-31T23:59:59.5").dt().timestamp(TimeUnit::Milliseconds), "-500.0");
    check(naive("1970-01-01T00:00:00.000000001").dt().timestamp_ns(), "1");
    check(lit(-1).dt().from_timestamp(TimeUnit::Seconds), "DateTimeNaive(\"1969-12-31T23:59:59\")");
    check(lit(1.5).dt().utc_from_timestamp(TimeUnit::Hours), "DateTimeUtc(\"1970-01-01T01:30:00Z\")");
    check(lit(0.3).dt().from_timestamp(TimeUnit::Seconds), "DateTimeNaive(\"1970-01-01T00:00:00.300\")");
    for beyond in [lit(i64::MAX), lit(1e300), lit(f64::NAN), lit(f64::NEG_INFINITY)] {
        let point = beyond.dt().from_timestamp(TimeUnit::Seconds);
        check(point, "the DateTimeNaive is outside 64 bits of nanoseconds, the years 1677 to 2262");
    }
}

#[test]
fn points_are_floored_and_rounded_to_multiples_from_1970() {
    let point = naive("2026-11-22T10:30:00");
    check(point.dt().floor(duration(HOUR_NS)), "DateTimeNaive(\"2026-11-22T10:00:00\")");
    check(point.dt().round(duration(HOUR_NS)), "DateTimeNaive(\"2026-11-22T11:00:00\")");
    check(point.dt().floor(duration(-HOUR_NS)), "DateTimeNaive(\"2026-11-22T10:00:00\")");
    check(naive("1969-12-31T23:59").dt().floor(duration(DAY_NS)), "DateTimeNaive(\"1969-12-31T00:00:00\")");
    check(naive("1969-12-31T12:00").dt().round(duration(DAY_NS)), "DateTimeNaive(\"1970-01-01T00:00:00\")");
    check(point.dt().round(duration(0)), "division by zero");
    let last = lit(Literal::DateTimeUtc(i64::MAX));
    check(
        last.dt().round(duration(DAY_NS)),
        "the DateTimeUtc is outside 64 bits of nanoseconds, the years 1677 to 2262",
    );
    let first = lit(Literal::DateTimeUtc(i64::MIN));
    check(
        first.dt().floor(duration(DAY_NS)),
        "the DateTimeUtc is outside 64 bits of nanoseconds, the years 1677 to 2262",
    );
    check(first.dt().floor(duration(i64::MIN)), "DateTimeUtc(\"1677-09-21T00:12:43.145224192Z\")");
}

fn utc(text: &str) -> Expr {
    lit(Literal::DateTimeUtc(read(Type::DateTimeUtc, text.as_bytes()).unwrap()))
}

#[test]
fn points_are_written_in_the_words_of_strftime() {
    let point = naive("1901-02-03T04:05:06.007008009");
    let write = |format: &str, expected: &str| check(point.dt().strftime(format), &format!("{expected:?}"));
    write("%Y-%m-%d %H:%M:%S.%f", "1901-02-03 04:05:06.007008");
    write("%3f %6f %9f", "007 007008 007008009");
    write("%y%%%D", "01%02/03/01");
    write("%-d.%-m. %^a %A %j", "3.2. SUN Sunday 034");
    write("né %I%p", "né 04AM");
    write("", "");
    check(utc("2026-11-22T10:00:00Z").dt().strftime("%T%z %:z %Z"), "\"10:00:00+0000 +00:00 UTC\"");
}

#[test]
fn points_are_read_in_the_words_of_strptime() {
    let read = |text: &str, format: &str, expected: &str| check(lit(text).dt().strptime(format), expected);
    read("22/Nov/2026:10:40:00", "%d/%b/%Y:%H:%M:%S", "DateTimeNaive(\"2026-11-22T10:40:00\")");
    read("22/nov/2026:10:40:00 -0130", "%d/%b/%Y:%T %z", "DateTimeUtc(\"2026-11-22T12:10:00Z\")");
    read("2026-11-22T10:40+01:00", "%FT%R%:z", "DateTimeUtc(\"2026-11-22T09:40:00Z\")");
    read("2026-326 1.25", "%Y-%j %H.%M", "DateTimeNaive(\"2026-11-22T01:25:00\")");
    read("2026-11-22 0:00:00.000000001", "%F %T.%f", "DateTimeNaive(\"2026-11-22T00:00:00.000000001\")");
    for (text, format) in
        [("2026-11-22x", "%F"), ("2026-11-2", "%F %H"), ("2026-02-29", "%F"), ("Mon 2026-11-22", "%a %F"), ("", "%F")]
    {
        read(text, format, "the text is not DateTimeNaive");
    }
    for (text, format) in [("1600-01-01", "%F"), ("31.12.9999", "%d.%m.%Y")] {
        read(text, format, "the DateTimeNaive is outside 64 bits of nanoseconds, the years 1677 to 2262");
    }
}

/// An offset is read in all forms that Python reads.
#[test]
fn offsets_are_read_with_and_without_a_colon() {
    let read = |text: &str, format: &str, expected: &str| check(lit(text).dt().strptime(format), expected);
    for format in ["%FT%T%z", "%FT%T%:z"] {
        for (zone, time) in [("Z", "10"), ("-0400", "14"), ("-04:00", "14"), ("+0000", "10"), ("+01:00", "09")] {
            read(&format!("2026-11-22T10:00:00{zone}"), format, &format!("DateTimeUtc(\"2026-11-22T{time}:00:00Z\")"));
        }
        for zone in ["", "-4", "z", "UTC", "-04:0"] {
            read(&format!("2026-11-22T10:00:00{zone}"), format, "the text is not DateTimeUtc");
        }
    }
    // Hours alone, as several databases write an offset.
    read("2026-11-22 10:00:00+03", "%F %T%z", "DateTimeUtc(\"2026-11-22T07:00:00Z\")");
    read("2026-11-22 10:00:00-11", "%F %T%z", "DateTimeUtc(\"2026-11-22T21:00:00Z\")");
    read("Z 2026-11-22 %z", "%z %F %%z", "DateTimeUtc(\"2026-11-22T00:00:00Z\")");
    let beyond = "the DateTimeUtc is outside 64 bits of nanoseconds, the years 1677 to 2262";
    read("9999-12-31T23:59:59Z", "%FT%T%z", beyond);
}

#[test]
fn clocks_of_a_zone_are_set_forward_and_back() {
    let to_utc = |text: &str, expected: &str| {
        check(naive(text).dt().to_utc("Europe/Berlin"), &format!("DateTimeUtc(\"{expected}\")"));
    };
    to_utc("2026-03-29T01:59:59", "2026-03-29T00:59:59Z");
    to_utc("2026-03-29T02:30:00", "2026-03-29T01:30:00Z");
    to_utc("2026-03-29T03:00:00", "2026-03-29T01:00:00Z");
    to_utc("2026-10-25T02:30:00", "2026-10-25T00:30:00Z");
    let berlin = utc("2026-10-25T01:30:00Z").dt().to_naive_in_timezone("Europe/Berlin");
    check(berlin, "DateTimeNaive(\"2026-10-25T02:30:00\")");
    let night = naive("2026-03-29T01:30:00");
    let later = night.dt().add_duration_in_timezone(duration(HOUR_NS), "Europe/Berlin");
    check(later.clone(), "DateTimeNaive(\"2026-03-29T03:30:00\")");
    check(later.dt().subtract_duration_in_timezone(duration(HOUR_NS), "Europe/Berlin"), &night.to_string());
    check(later.dt().subtract_date_time_in_timezone(night, "Europe/Berlin"), &duration(HOUR_NS).to_string());
    let beyond = "the DateTimeUtc is outside 64 bits of nanoseconds, the years 1677 to 2262";
    check(lit(Literal::DateTimeNaive(i64::MAX)).dt().to_utc("America/New_York"), beyond);
}
