//! Literals that look as if a program had made them from the clock: they differ from run to run, though nobody changed
//! it.

use std::time::{SystemTime, UNIX_EPOCH};

use millpond_columns::types::Type;

use crate::time;

/// How far from now, in seconds, a moment may be that a program computes of the clock, such as "a year ago".
const NEAR_S: f64 = 2.0 * 366.0 * 86_400.0;

/// Whether two texts of a program differ only in literals, each of which is a moment not far from now, and all of which
/// have moved the same way.
pub(super) fn differs(saved: &str, now: &str) -> bool {
    let present = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
    differs_at(saved, now, present)
}

fn differs_at(saved: &str, now: &str, present_s: f64) -> bool {
    let (saved, now) = (pieces(saved), pieces(now));
    let mut moved = 0;
    for (a, b) in saved.iter().zip(&now) {
        if a != b {
            let later = moments(a, b).any(|(a, b)| a < b && [a, b].iter().all(|at| (at - present_s).abs() < NEAR_S));
            if !later {
                return false;
            }
            moved += 1;
        }
    }
    saved.len() == now.len() && moved > 0
}

/// A text cut into literals and what is between them.
fn pieces(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c == '"' || c.is_ascii_digit()) {
        let (before, literal) = rest.split_at(start);
        let end = if literal.starts_with('"') {
            let mut escaped = false;
            let closes = |(at, c): (usize, char)| {
                let closes = at > 0 && c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                closes.then_some(at + 1)
            };
            literal.char_indices().find_map(closes).unwrap_or(literal.len())
        } else if before.ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            // Of a name, such as `t2`.
            literal.find(|c: char| !c.is_ascii_digit()).unwrap_or(literal.len())
        } else {
            let is_number = |c: char| c.is_ascii_digit() || matches!(c, '.' | 'e');
            literal.find(|c: char| !is_number(c)).unwrap_or(literal.len())
        };
        let (literal, after) = literal.split_at(end);
        pieces.extend([before, literal]);
        rest = after;
    }
    pieces.push(rest);
    pieces
}

/// What two literals may mean as moments, in seconds since 1970: text of a date or a time, or a number of one of the
/// units in which programs count.
fn moments(a: &str, b: &str) -> impl Iterator<Item = (f64, f64)> {
    let texts = text_moment(a).zip(text_moment(b));
    let numbers = a.parse::<f64>().ok().zip(b.parse::<f64>().ok());
    let units = [1.0, 1e3, 1e6, 1e9];
    texts.into_iter().chain(numbers.into_iter().flat_map(move |(a, b)| units.map(|unit| (a / unit, b / unit))))
}

fn text_moment(literal: &str) -> Option<f64> {
    let text = literal.strip_prefix('"')?.strip_suffix('"')?;
    let day = format!("{text}T00:00:00");
    let read = |ty, text: &str| time::read(ty, text.as_bytes());
    let ns = read(Type::DateTimeNaive, text)
        .or_else(|| read(Type::DateTimeUtc, text))
        .or_else(|| read(Type::DateTimeNaive, &day))?;
    Some(ns as f64 / 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-03-01T00:00:00Z.
    const PRESENT_S: f64 = 1_772_323_200.0;

    #[track_caller]
    fn check(saved: &str, now: &str, expected: bool) {
        assert_eq!(differs_at(saved, now, PRESENT_S), expected, "{saved} and {now}");
    }

    #[test]
    fn moments_of_all_spellings_are_seen() {
        check("t > 1772319600", "t > 1772323200", true);
        check("t > 1772319600123", "t > 1772323200456", true);
        check("t > 1772319600.25", "t > 1772323200.5", true);
        check("t > DateTimeNaive(\"2026-02-28T23:00:00\")", "t > DateTimeNaive(\"2026-03-01T00:00:00.5\")", true);
        check("t > DateTimeUtc(\"2026-02-28T23:00:00Z\")", "t > DateTimeUtc(\"2026-03-01T00:00:00Z\")", true);
        check("day == \"2026-02-28\"", "day == \"2026-03-01\"", true);
        check("(t > 1769731200) & (t < 1772319600)", "(t > 1769734800) & (t < 1772323200)", true);
    }

    #[test]
    fn other_changes_are_not() {
        check("t > 300", "t > 600", false);
        check("day >= 20512", "day >= 20513", false);
        check("t > 1772319600", "u > 1772323200", false);
        check("t > 1772323200", "t > 1772319600", false);
        check("t2 > 1", "t3 > 1", false);
        check("t > DateTimeNaive(\"2016-02-28T23:00:00\")", "t > DateTimeNaive(\"2017-03-01T00:00:00\")", false);
        check("name == \"ann\"", "name == \"bob\"", false);
        check("t > 1772319600", "t > 1772319600", false);
        check("(t > 1772319600) & (n > 1)", "(t > 1772323200) & (n > 2)", false);
        check("Duration(\"PT10M\")", "Duration(\"PT15M\")", false);
    }
}
