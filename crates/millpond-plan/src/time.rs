//! Points in time and durations as text: ISO 8601, to the nanosecond.
//!
//! All are a number of nanoseconds in 64 bits: since 1970-01-01T00:00:00 (in UTC, or on a clock whose zone is not
//! known), or of a duration. So points lie between the years 1677 and 2262. The calendar is the proleptic Gregorian
//! one; there are no leap seconds.
//!
//! - A point without a zone reads `2026-11-22T10:00:00.123456789`; one of UTC ends in `Z`. A space may stand for the
//!   `T`, `t` and `z` may be small, seconds and fraction may be missing, and so may the whole time of day; for UTC, an
//!   offset such as `+05:30` may stand for the `Z`, and one of them must be there.
//! - A duration reads `P1DT2H3M4.5S`, each part of which may be missing; weeks (`P2W`) are read, too. A sign may stand
//!   before.
//!
//! A fraction is written with 3, 6 or 9 digits, if there is one; up to 9 are read.

use millpond_columns::types::Type;

/// The most bytes that [`write()`] takes.
pub const TIME_BYTES: usize = 32;

/// Nanoseconds in a second.
pub const SECOND_NS: i64 = 1_000_000_000;
/// Nanoseconds in a minute.
pub const MINUTE_NS: i64 = 60 * SECOND_NS;
/// Nanoseconds in an hour.
pub const HOUR_NS: i64 = 60 * MINUTE_NS;
/// Nanoseconds in a day.
pub const DAY_NS: i64 = 24 * HOUR_NS;

/// The value of type `ty` that `text` spells, in nanoseconds; `None` if it spells none, or one outside 64 bits.
pub fn read(ty: Type, text: &[u8]) -> Option<i64> {
    match ty {
        Type::DateTimeNaive => point(text, false),
        Type::DateTimeUtc => point(text, true),
        Type::Duration => duration(text),
        _ => None,
    }
}

/// Whether `text` spells a value of type `ty` outside 64 bits of nanoseconds.
pub fn is_outside(ty: Type, text: &[u8]) -> bool {
    let spelled = match ty {
        Type::DateTimeNaive => wide_point(text, false),
        Type::DateTimeUtc => wide_point(text, true),
        Type::Duration => wide_duration(text),
        _ => None,
    };
    spelled.is_some_and(|value| i64::try_from(value).is_err())
}

/// Writes a value of type `ty` to the start of `out`, [`TIME_BYTES`] long; returns how long it is.
pub fn write(ty: Type, value: i64, out: &mut [u8]) -> usize {
    let mut out = Out { bytes: out, at: 0 };
    match ty {
        Type::Duration => write_duration(value, &mut out),
        _ => {
            write_point(value, &mut out);
            if ty == Type::DateTimeUtc {
                out.byte(b'Z');
            }
        }
    }
    out.at
}

/// What [`write()`] writes.
pub fn text(ty: Type, value: i64) -> String {
    let mut bytes = [0; TIME_BYTES];
    let length = write(ty, value, &mut bytes);
    bytes[..length].iter().map(|byte| char::from(*byte)).collect()
}

/// A text that is read from its start.
struct In<'a>(&'a [u8]);

impl In<'_> {
    fn skip(&mut self, byte: u8) -> bool {
        let found = self.0.first() == Some(&byte);
        if found {
            self.0 = &self.0[1..];
        }
        found
    }

    /// A number of exactly so many digits.
    fn digits(&mut self, count: usize) -> Option<i64> {
        let (digits, rest) = self.0.split_at_checked(count)?;
        let mut value = 0;
        for digit in digits {
            value = 10 * value + i64::from(digit.is_ascii_digit().then(|| digit - b'0')?);
        }
        self.0 = rest;
        Some(value)
    }

    /// The nanoseconds of up to nine digits behind a point.
    fn fraction(&mut self) -> Option<i64> {
        let count = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if !(1..=9).contains(&count) {
            return None;
        }
        Some(self.digits(count)? * 10_i64.pow(9 - count as u32))
    }
}

fn point(text: &[u8], utc: bool) -> Option<i64> {
    wide_point(text, utc)?.try_into().ok()
}

/// The same, without the limits of 64 bits.
fn wide_point(text: &[u8], utc: bool) -> Option<i128> {
    let mut text = In(text);
    let year = text.digits(4)?;
    let month = text.skip(b'-').then(|| text.digits(2))??;
    let day = text.skip(b'-').then(|| text.digits(2))??;
    if !(1..=12).contains(&month) || !(1..=days_of_month(year, month)).contains(&day) {
        return None;
    }
    let mut nanoseconds = 0;
    if text.skip(b'T') || text.skip(b' ') || text.skip(b't') {
        let hour = text.digits(2)?;
        let minute = text.skip(b':').then(|| text.digits(2))??;
        let mut second = 0;
        if text.skip(b':') {
            second = text.digits(2)?;
            if text.skip(b'.') {
                nanoseconds = text.fraction()?;
            }
        }
        if hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        nanoseconds += hour * HOUR_NS + minute * MINUTE_NS + second * SECOND_NS;
    }
    if utc && !text.skip(b'Z') && !text.skip(b'z') {
        let sign = if text.skip(b'-') { -1 } else { text.skip(b'+').then_some(1)? };
        let hours = text.digits(2)?;
        let colon = text.skip(b':');
        let minutes = if colon || !text.0.is_empty() { text.digits(2)? } else { 0 };
        if hours > 23 || minutes > 59 {
            return None;
        }
        nanoseconds -= sign * (hours * HOUR_NS + minutes * MINUTE_NS);
    }
    if !text.0.is_empty() {
        return None;
    }
    Some(i128::from(days_before(year, month, day)) * i128::from(DAY_NS) + i128::from(nanoseconds))
}

fn duration(text: &[u8]) -> Option<i64> {
    wide_duration(text)?.try_into().ok()
}

/// The same, without the limits of 64 bits.
fn wide_duration(text: &[u8]) -> Option<i128> {
    const PARTS: [(u8, i64); 5] =
        [(b'W', 7 * DAY_NS), (b'D', DAY_NS), (b'H', HOUR_NS), (b'M', MINUTE_NS), (b'S', SECOND_NS)];
    const FIRST_OF_TIME: usize = 2;
    let mut text = In(text);
    let sign = if text.skip(b'-') { -1 } else { 1 };
    if sign == 1 {
        text.skip(b'+');
    }
    if !text.skip(b'P') {
        return None;
    }
    let (mut total, mut next, mut in_time, mut empty) = (0_i128, 0, false, true);
    while !text.0.is_empty() {
        if !in_time && text.skip(b'T') {
            (next, in_time) = (FIRST_OF_TIME, true);
        }
        let count = text.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if !(1..=19).contains(&count) {
            return None;
        }
        let number = text.0[..count].iter().fold(0_i128, |number, digit| 10 * number + i128::from(digit - b'0'));
        text.0 = &text.0[count..];
        let fraction = if text.skip(b'.') { Some(text.fraction()?) } else { None };
        let last = if in_time { PARTS.len() } else { FIRST_OF_TIME };
        let part = (next..last).find(|part| text.skip(PARTS[*part].0))?;
        if fraction.is_some() && part + 1 < PARTS.len() {
            return None;
        }
        total += number * i128::from(PARTS[part].1) + i128::from(fraction.unwrap_or(0));
        (next, empty) = (part + 1, false);
    }
    (!empty).then_some(sign * total)
}

/// Bytes that are written from the start.
struct Out<'a> {
    bytes: &'a mut [u8],
    at: usize,
}

impl Out<'_> {
    fn byte(&mut self, byte: u8) {
        self.bytes[self.at] = byte;
        self.at += 1;
    }

    fn digits(&mut self, mut value: u64, count: usize) {
        for place in (self.at..self.at + count).rev() {
            self.bytes[place] = b'0' + (value % 10) as u8;
            value /= 10;
        }
        self.at += count;
    }

    fn number(&mut self, value: u64) {
        self.digits(value, value.checked_ilog10().unwrap_or(0) as usize + 1);
    }

    fn fraction(&mut self, nanoseconds: u64) {
        let (value, digits) = match nanoseconds {
            0 => return,
            n if n % 1_000_000 == 0 => (n / 1_000_000, 3),
            n if n % 1_000 == 0 => (n / 1_000, 6),
            n => (n, 9),
        };
        self.byte(b'.');
        self.digits(value, digits);
    }
}

fn write_point(value: i64, out: &mut Out<'_>) {
    let (year, month, day) = date(value.div_euclid(DAY_NS));
    let time = value.rem_euclid(DAY_NS) as u64;
    let seconds = time / SECOND_NS as u64;
    out.digits(year as u64, 4);
    for (mark, number) in [
        (b'-', month as u64),
        (b'-', day as u64),
        (b'T', seconds / 3600),
        (b':', seconds / 60 % 60),
        (b':', seconds % 60),
    ] {
        out.byte(mark);
        out.digits(number, 2);
    }
    out.fraction(time % SECOND_NS as u64);
}

fn write_duration(value: i64, out: &mut Out<'_>) {
    if value < 0 {
        out.byte(b'-');
    }
    out.byte(b'P');
    let value = value.unsigned_abs();
    let (days, time) = (value / DAY_NS as u64, value % DAY_NS as u64);
    if days > 0 {
        out.number(days);
        out.byte(b'D');
    }
    if time == 0 && days > 0 {
        return;
    }
    out.byte(b'T');
    let (seconds, fraction) = (time / SECOND_NS as u64, time % SECOND_NS as u64);
    for (number, mark) in [(seconds / 3600, b'H'), (seconds / 60 % 60, b'M')] {
        if number > 0 {
            out.number(number);
            out.byte(mark);
        }
    }
    if seconds % 60 > 0 || fraction > 0 || time == 0 {
        out.number(seconds % 60);
        out.fraction(fraction);
        out.byte(b'S');
    }
}

fn days_of_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// The days from 1970-01-01 to this date (H. Hinnant, *chrono-compatible low-level date algorithms*: years begin in
/// March, so that the leap day is the last).
fn days_before(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// Year, month and day so many days after 1970-01-01; the same source.
pub(crate) fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(ty: Type, spelled: &str, value: Option<i64>) {
        assert_eq!(read(ty, spelled.as_bytes()), value, "{spelled:?}");
    }

    #[test]
    fn points_are_read_in_all_their_forms() {
        const NOON: i64 = 1795348800 * SECOND_NS;
        for spelled in ["2026-11-22T12:00", "2026-11-22 12:00:00", "2026-11-22T12:00:00.0"] {
            check(Type::DateTimeNaive, spelled, Some(NOON));
            check(Type::DateTimeUtc, spelled, None);
            check(Type::DateTimeUtc, &format!("{spelled}Z"), Some(NOON));
            check(Type::DateTimeUtc, &format!("{spelled}+05:30"), Some(NOON - 5 * HOUR_NS - 30 * MINUTE_NS));
            check(Type::DateTimeUtc, &format!("{spelled}-0130"), Some(NOON + 90 * MINUTE_NS));
            check(Type::DateTimeUtc, &format!("{spelled}+02"), Some(NOON - 2 * HOUR_NS));
            check(Type::DateTimeNaive, &format!("{spelled}Z"), None);
        }
        check(Type::DateTimeNaive, "2026-11-22t12:00", Some(NOON));
        check(Type::DateTimeUtc, "2026-11-22t12:00:00z", Some(NOON));
        check(Type::DateTimeNaive, "2026-11-22", Some(NOON - 12 * HOUR_NS));
        check(Type::DateTimeNaive, "2026-11-22T12:00:00.123456789", Some(NOON + 123_456_789));
        check(Type::DateTimeNaive, "1969-12-31T23:59:59.9", Some(-100_000_000));
    }

    #[test]
    fn what_is_no_point_is_not_read() {
        for spelled in [
            "",
            "2026",
            "2026-13-01",
            "2026-00-01",
            "2026-02-29",
            "1900-02-29",
            "2026-04-31",
            "2026-01-00",
            "2026-1-1",
            "2026-01-01T24:00",
            "2026-01-01T00:60",
            "2026-01-01T00:00:60",
            "2026-01-01T",
            "2026-01-01T00",
            "2026-01-01T00:00:00.",
            "2026-01-01T00:00:00.1234567890",
            "2026-01-01T00:00 ",
            " 2026-01-01",
            "2263-01-01",
            "1677-01-01",
            "+026-01-01",
        ] {
            check(Type::DateTimeNaive, spelled, None);
            check(Type::DateTimeUtc, &format!("{spelled}Z"), None);
        }
        check(Type::DateTimeUtc, "2026-01-01T00:00+24:00", None);
        check(Type::DateTimeUtc, "2026-01-01T00:00+1", None);
        check(Type::DateTimeUtc, "2026-01-01T00:00+01:", None);
    }

    #[test]
    fn durations_are_read_in_all_their_forms() {
        check(Type::Duration, "PT5M", Some(5 * MINUTE_NS));
        check(Type::Duration, "-P1DT2H3M4.5S", Some(-(DAY_NS + 2 * HOUR_NS + 3 * MINUTE_NS + 4_500_000_000)));
        check(Type::Duration, "+P2W", Some(14 * DAY_NS));
        check(Type::Duration, "PT0S", Some(0));
        check(Type::Duration, "PT90M", Some(90 * MINUTE_NS));
        check(Type::Duration, "-PT9223372036.854775808S", Some(i64::MIN));
        for spelled in [
            "",
            "P",
            "PT",
            "P1",
            "P1M",
            "P1Y",
            "P1DT",
            "PT1M1H",
            "PT1.5H",
            "PT1.S",
            "T1S",
            "P1S",
            "P1DT1D",
            "--P1D",
            "PT9223372036.854775808S",
            "PT99999999999999999999S",
            "5",
            "P 1D",
        ] {
            check(Type::Duration, spelled, None);
        }
    }

    #[test]
    fn what_is_spelled_well_may_be_outside_of_64_bits() {
        for (ty, spelled, outside) in [
            (Type::DateTimeNaive, "9999-12-31", true),
            (Type::DateTimeNaive, "0001-01-01T00:00:00", true),
            (Type::DateTimeNaive, "2262-04-11T23:47:16.854775807", false),
            (Type::DateTimeNaive, "2262-04-11T23:47:16.854775808", true),
            (Type::DateTimeNaive, "9999-12-32", false),
            (Type::DateTimeUtc, "9999-12-31T23:59:59Z", true),
            (Type::DateTimeUtc, "9999-12-31T23:59:59", false),
            (Type::Duration, "P106752D", true),
            (Type::Duration, "-P9999999W", true),
            (Type::Duration, "P1D", false),
            (Type::Duration, "P106752", false),
            (Type::Int, "9999-12-31", false),
        ] {
            assert_eq!(is_outside(ty, spelled.as_bytes()), outside, "{spelled:?}");
        }
    }

    #[test]
    fn values_are_written_briefly() {
        assert_eq!(text(Type::DateTimeNaive, 0), "1970-01-01T00:00:00");
        assert_eq!(text(Type::DateTimeUtc, -1), "1969-12-31T23:59:59.999999999Z");
        assert_eq!(text(Type::DateTimeUtc, 951786123 * SECOND_NS + 5_000_000), "2000-02-29T01:02:03.005Z");
        assert_eq!(text(Type::Duration, 0), "PT0S");
        assert_eq!(text(Type::Duration, DAY_NS), "P1D");
        assert_eq!(text(Type::Duration, 90 * MINUTE_NS), "PT1H30M");
        assert_eq!(text(Type::Duration, -1500), "-PT0.000001500S");
        for ty in [Type::DateTimeNaive, Type::DateTimeUtc, Type::Duration] {
            for value in [i64::MIN, i64::MAX] {
                assert!(text(ty, value).len() <= TIME_BYTES);
                assert_eq!(read(ty, text(ty, value).as_bytes()), Some(value));
            }
        }
    }

    #[test]
    fn each_day_follows_the_one_before() {
        let (mut year, mut month, mut day) = (1600, 1, 1);
        let first = days_before(year, month, day);
        for days in first..first + 366 * 800 {
            assert_eq!((date(days), days_before(year, month, day)), ((year, month, day), days));
            day += 1;
            if day > days_of_month(year, month) {
                (month, day) = (month + 1, 1);
            }
            if month > 12 {
                (year, month) = (year + 1, 1);
            }
        }
        assert_eq!(days_before(1970, 1, 1), 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5000))]

        #[test]
        fn what_is_written_is_read_back(value: i64, scale in 0_u32..18) {
            let value = value / 10_i64.pow(scale);
            for ty in [Type::DateTimeNaive, Type::DateTimeUtc, Type::Duration] {
                prop_assert_eq!(read(ty, text(ty, value).as_bytes()), Some(value));
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[-+PTZ0-9:. WDHMS]{0,32}") {
            for ty in [Type::DateTimeNaive, Type::DateTimeUtc, Type::Duration] {
                if let Some(value) = read(ty, text.as_bytes()) {
                    prop_assert_eq!(read(ty, super::text(ty, value).as_bytes()), Some(value));
                }
            }
        }
    }
}
