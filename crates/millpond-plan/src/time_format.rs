//! How points in time are written as text and read from it, in the words of `strftime` and `strptime`.
//!
//! The words are a subset of Python's, with its results: names are English, and `%f` is written with 6 digits and read
//! from 1 to 9. `%3f`, `%6f` and `%9f` write so many. `%:z` is an offset with a colon. `-`, `_`, `0`, `^` and `#` after
//! the `%` mean what they mean in C: no padding, spaces, zeros, upper case, and the other case.

use std::fmt::Write;

use jiff::Timestamp;
use jiff::fmt::StdFmtWrite;
use jiff::fmt::strtime::BrokenDownTime;
use jiff::tz::Offset;
use millpond_columns::dialect::quoted;
use millpond_columns::types::Type;
use millpond_error::{Error, Result};
use serde::{Deserialize, Serialize};

/// The words that take a flag, and those that do not.
const FLAGGED: &str = "aAbBhdeHIjklmMpPSYuwGVUW";
const PLAIN: &str = "%ntTRFDfyZz";
/// Longer than any format in use, and short enough that the texts of a batch fit into a column.
const MOST_BYTES: usize = 1_000;

/// A format of points in time, cut into parts once.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct TimeFormat {
    text: String,
    parts: std::result::Result<Vec<Part>, String>,
    has_zone: bool,
    /// The format with the offset in each of its forms; of the last, `Z`, nothing but its place is left.
    forms: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Part {
    /// Literal text and words that are written as jiff does.
    Jiff(String),
    /// `%y`: jiff writes that of 1969 to 2068 only.
    YearOfCentury,
}

impl From<String> for TimeFormat {
    fn from(text: String) -> Self {
        TimeFormat::new(&text)
    }
}

impl From<TimeFormat> for String {
    fn from(format: TimeFormat) -> Self {
        format.text
    }
}

impl TimeFormat {
    /// The format as written. A wrong one is an error of the type check of the expression that has it.
    pub fn new(text: &str) -> Self {
        let (parts, has_zone) = match parts(text) {
            Ok((parts, has_zone)) => (Ok(parts), has_zone),
            Err(reason) => (Err(reason), false),
        };
        let forms = if has_zone {
            ["%z", "%:z", "%:::z", "Z"].map(|zone| with_zone(text, zone)).into()
        } else {
            vec![text.into()]
        };
        TimeFormat { text: text.into(), parts, has_zone, forms }
    }

    /// Whether it holds an offset from UTC, so that what it reads is a `DateTimeUtc`.
    pub fn has_zone(&self) -> bool {
        self.has_zone
    }

    /// The format as written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether points of type `ty` can be written so.
    pub(crate) fn check_writes(&self, ty: Type) -> Result<()> {
        self.sample(ty).map(|_| ()).map_err(|reason| self.wrong("write", ty, &reason))
    }

    /// Whether points can be read so: what it writes of one must have a date, and a time without gaps.
    pub(crate) fn check_reads(&self) -> Result<()> {
        let ty = self.ty();
        let read = || {
            let text = self.sample(ty)?;
            let tm = BrokenDownTime::parse(&self.text, &text).map_err(|error| error.to_string())?;
            tm.to_datetime().map_err(|error| error.to_string())
        };
        read().map(|_| ()).map_err(|reason| self.wrong("read", ty, &reason))
    }

    /// The type of what is read.
    pub(crate) fn ty(&self) -> Type {
        if self.has_zone { Type::DateTimeUtc } else { Type::DateTimeNaive }
    }

    /// A point written, all of whose numbers have as many digits as they can have.
    fn sample(&self, ty: Type) -> std::result::Result<String, String> {
        let mut text = String::new();
        self.parts.as_ref().map_err(String::clone)?;
        self.try_write(ty, 974_985_255_123_456_789, &mut text).map(|()| text)
    }

    fn wrong(&self, verb: &str, ty: Type, reason: &str) -> Error {
        Error::invalid(format!("the format {} cannot {verb} a {ty}: {reason}", quoted(&self.text)))
    }

    /// Appends a point, which is so many nanoseconds after 1970.
    pub(crate) fn write(&self, ty: Type, ns: i64, out: &mut impl Write) {
        self.try_write(ty, ns, out).expect("a format that was checked writes every point");
    }

    fn try_write(&self, ty: Type, ns: i64, out: &mut impl Write) -> std::result::Result<(), String> {
        let timestamp = timestamp(ns);
        let tm = match ty {
            Type::DateTimeUtc => BrokenDownTime::from(timestamp),
            _ => BrokenDownTime::from(Offset::UTC.to_datetime(timestamp)),
        };
        for part in self.parts.iter().flatten() {
            match part {
                Part::Jiff(format) => tm.format(format, StdFmtWrite(&mut *out)).map_err(|error| error.to_string())?,
                Part::YearOfCentury => {
                    let year = tm.year().map_or(0, |year| year.rem_euclid(100));
                    write!(out, "{year:02}").map_err(|error| error.to_string())?;
                }
            }
        }
        Ok(())
    }

    /// The point that a text spells, in nanoseconds after 1970.
    pub(crate) fn read(&self, text: &str) -> Option<i64> {
        self.point(text)?
    }

    /// Whether a text spells a point outside 64 bits of nanoseconds.
    pub(crate) fn is_outside(&self, text: &str) -> bool {
        self.point(text) == Some(None)
    }

    /// The same as [`TimeFormat::read`], where a point outside 64 bits of nanoseconds is there, and nothing.
    fn point(&self, text: &str) -> Option<Option<i64>> {
        self.forms.iter().enumerate().find_map(|(form, format)| {
            let tm = BrokenDownTime::parse(format, text).ok()?;
            let has_offset = self.has_zone && form + 1 < self.forms.len();
            let offset = if has_offset { tm.offset()? } else { Offset::UTC };
            let timestamp = offset.to_timestamp(tm.to_datetime().ok()?).ok();
            Some(timestamp.and_then(|timestamp| i64::try_from(timestamp.as_nanosecond()).ok()))
        })
    }
}

/// A format with `zone` in the place of each offset.
fn with_zone(text: &str, zone: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find('%') {
        let (before, word) = rest.split_at(at);
        out.push_str(before);
        match word.strip_prefix("%z").or_else(|| word.strip_prefix("%:z")) {
            Some(behind) => {
                out.push_str(zone);
                rest = behind;
            }
            None => {
                let length = word.chars().take(2).map(char::len_utf8).sum();
                out.push_str(&word[..length]);
                rest = &word[length..];
            }
        }
    }
    out + rest
}

/// The instant so many nanoseconds after 1970.
pub(crate) fn timestamp(ns: i64) -> Timestamp {
    Timestamp::from_nanosecond(ns.into()).expect("64 bits of nanoseconds are within the years -9999 to 9999")
}

/// The parts of a format, and whether an offset is one of them.
fn parts(text: &str) -> std::result::Result<(Vec<Part>, bool), String> {
    if text.len() > MOST_BYTES {
        return Err(format!("it is longer than {MOST_BYTES} bytes"));
    }
    let (mut parts, mut jiff, mut has_zone) = (Vec::new(), String::new(), false);
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        jiff.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let one_of = |rest: &str, words: &str| rest.starts_with(|c: char| words.contains(c));
        let flagged = rest.strip_prefix(['-', '_', '0', '^', '#']).is_some_and(|word| one_of(word, FLAGGED));
        let len = if one_of(rest, FLAGGED) || one_of(rest, PLAIN) {
            1
        } else if flagged || ["3f", "6f", "9f", ":z"].iter().any(|word| rest.starts_with(word)) {
            2
        } else {
            let word: String = rest.chars().take(1).collect();
            return Err(format!("%{word} is none of the words that it may have"));
        };
        let word = &rest[..len];
        has_zone |= word.ends_with('z');
        match word {
            "f" => jiff.push_str("%6f"),
            "y" | "D" => {
                jiff.push_str(if word == "D" { "%m/%d/" } else { "" });
                parts.extend([Part::Jiff(std::mem::take(&mut jiff)), Part::YearOfCentury]);
            }
            _ => jiff.extend(["%", word]),
        }
        rest = &rest[len..];
    }
    jiff.push_str(rest);
    parts.push(Part::Jiff(jiff));
    Ok((parts, has_zone))
}
