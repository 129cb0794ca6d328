//! How values are spelled as text, and read back from it, in Python.

use std::fmt::Write;

use millpond_columns::float::canonical;

/// `repr` of a float: the shortest digits that read back to the same number, with `.0` or an exponent.
pub(crate) fn float(value: f64) -> String {
    let mut text = String::new();
    write_float(value, &mut text);
    text
}

/// Writes what [`float`] returns.
pub(crate) fn write_float(value: f64, out: &mut impl Write) {
    let written = if value.is_nan() {
        out.write_str("nan")
    } else if value.is_infinite() {
        out.write_str(if value > 0.0 { "inf" } else { "-inf" })
    } else if value == 0.0 || (1e-4..1e16).contains(&value.abs()) {
        write!(out, "{value:?}")
    } else {
        write_exponent(value, out)
    };
    written.expect("a buffer in memory takes any text");
}

/// Rust writes `1e-5` and `1.5e16`; Python `1e-05` and `1.5e+16`.
fn write_exponent(value: f64, out: &mut impl Write) -> std::fmt::Result {
    let text = format!("{value:e}");
    let (digits, exponent) = text.split_once('e').expect("the format has an exponent");
    let exponent: i32 = exponent.parse().expect("an exponent is a small number");
    let sign = if exponent < 0 { '-' } else { '+' };
    write!(out, "{digits}e{sign}{:02}", exponent.abs())
}

/// `int(text)`: white space around it, a sign, digits with single underscores between them. Python's separators (`\x1c`
/// to `\x1f`) are white space in its texts, but not around its numbers.
pub(crate) fn parse_int(text: &str) -> Option<i64> {
    let text = text.trim();
    text.parse().ok().or_else(|| without_underscores(text)?.parse().ok())
}

/// `float(text)`.
pub(crate) fn parse_float(text: &str) -> Option<f64> {
    let text = text.trim();
    text.parse().ok().or_else(|| without_underscores(text)?.parse().ok()).map(canonical)
}

/// `true` or `false` in any case, or `1` or `0`: as in CSV, since Python's `bool("False")` is true.
pub(crate) fn parse_bool(text: &str) -> Option<bool> {
    let text = trim(text);
    if text == "1" || text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text == "0" || text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

pub(crate) fn trim(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// `character.isspace()`
pub(crate) fn is_space(character: char) -> bool {
    character.is_whitespace() || ('\x1c'..='\x1f').contains(&character)
}

/// The text without its underscores, if there are some and each stands between two digits.
fn without_underscores(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let digit = |i: usize| bytes.get(i).is_some_and(u8::is_ascii_digit);
    let fits = |i: usize| bytes[i] != b'_' || (i > 0 && digit(i - 1) && digit(i + 1));
    (text.contains('_') && (0..bytes.len()).all(fits)).then(|| text.replace('_', ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_read_as_in_python() {
        let spellings = [
            (1.0, "1.0"),
            (-0.0, "-0.0"),
            (0.1, "0.1"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.5e300, "1.5e+300"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (123456789.125, "123456789.125"),
            (f64::NAN, "nan"),
            (f64::NEG_INFINITY, "-inf"),
            (5e-324, "5e-324"),
        ];
        for (value, text) in spellings {
            assert_eq!(float(value), text);
        }
    }

    #[test]
    fn ints_are_read_as_by_python() {
        let readings = [
            ("7", Some(7)),
            (" -7\n", Some(-7)),
            ("+007", Some(7)),
            ("1_000", Some(1000)),
            ("1__0", None),
            ("_1", None),
            ("1_", None),
            ("", None),
            ("1.0", None),
            ("9223372036854775807", Some(i64::MAX)),
            ("9223372036854775808", None),
        ];
        for (text, value) in readings {
            assert_eq!(parse_int(text), value, "{text:?}");
        }
    }

    #[test]
    fn floats_are_read_as_by_python() {
        let readings = [
            ("7", Some(7.0)),
            (" .5 ", Some(0.5)),
            ("1.", Some(1.0)),
            ("1e5", Some(1e5)),
            ("1_0.5", Some(10.5)),
            ("-Infinity", Some(f64::NEG_INFINITY)),
            ("1,5", None),
            (".", None),
            ("e5", None),
            ("in_f", None),
        ];
        for (text, value) in readings {
            assert_eq!(parse_float(text), value, "{text:?}");
        }
        assert!(parse_float("NaN").is_some_and(f64::is_nan));
    }
}
