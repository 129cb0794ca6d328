//! What is wrong with a row, and how a user is told.

use std::ops::Range;

use indicatif::HumanCount;
use millpond_columns::dialect::hint;
use millpond_columns::types::{Column, ColumnType, Type};
use millpond_plan::notation::code;
use millpond_plan::{TimeUnit, col, time};

/// A row that cannot be read, as positions in the text of its piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem<W> {
    /// The bytes of the row, without its line end.
    pub row: Range<u32>,
    /// The position whose line a message names.
    pub place: u32,
    /// What is wrong.
    pub wrong: W,
}

/// A problem in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowMessage {
    /// The column, where one is to blame.
    pub column: Option<String>,
    /// The value, where one is to blame.
    pub value: Option<String>,
    /// What is wrong.
    pub reason: String,
    /// What may help.
    pub hint: Option<String>,
    /// Whether nothing behind it can be read, up to the end of the file.
    pub to_end: bool,
    /// Whether the row stays wrong, however its last line goes on.
    pub is_final: bool,
}

impl<W> Problem<W> {
    /// Something is wrong with the row from `start` to `end`.
    pub fn of_row(start: usize, end: usize, wrong: W) -> Self {
        Problem { row: start as u32..end as u32, place: start as u32, wrong }
    }

    /// The same, told with the line that `place` is in.
    pub fn at(self, place: usize) -> Self {
        Problem { place: place as u32, ..self }
    }
}

impl RowMessage {
    /// The column, if one is to blame, and what is wrong.
    pub fn sentence(&self) -> String {
        let column = self.column.as_ref().map(|column| format!("{column}: ")).unwrap_or_default();
        format!("{column}{}", self.reason)
    }

    /// A sentence about a row as a whole.
    pub fn row(reason: impl Into<String>) -> Self {
        RowMessage { column: None, value: None, reason: reason.into(), hint: None, to_end: false, is_final: false }
    }

    /// A row with a byte, here, that is no UTF-8.
    pub fn not_utf8(row: &[u8], at: usize) -> Self {
        let hint = Some("convert the file to UTF-8".to_owned());
        // A character may be cut in the middle.
        let is_final = std::str::from_utf8(row).is_err_and(|error| error.error_len().is_some());
        let byte = row.get(at).copied().unwrap_or_default();
        RowMessage { hint, is_final, ..RowMessage::row(format!("not UTF-8: byte 0x{byte:02x}")) }
    }
}

/// A value in quotes, cut if it is long.
pub(crate) fn shown(value: &str) -> String {
    const MOST: usize = 80;
    if value.chars().count() <= MOST {
        return format!("{value:?}");
    }
    let start: String = value.chars().take(MOST).collect();
    format!("{start:?}… ({} bytes)", thousands(value.len()))
}

/// `1 row`, `2 rows`.
pub(crate) fn plural(count: usize, noun: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{} {noun}{s}", thousands(count))
}

/// A number with a comma between groups of three digits.
pub(crate) fn thousands(number: usize) -> String {
    HumanCount(number as u64).to_string()
}

/// What is wrong with a row that takes the rest of its file into a field.
pub(crate) const OPEN_QUOTE: &str = "a quote opens here and is never closed";

/// What is wrong with a file whose lines end as lines do not, and what helps.
pub(crate) const LONE_RETURN: (&str, &str) = (
    "a carriage return (\\r) that neither stands in quotes nor ends a line with \\n",
    "where the lines of a file end with \\r alone, convert it, such as by tr '\\r' '\\n'",
);

/// So many NUL bytes at the start of a text, and what they come from.
pub(crate) fn nul_bytes(text: &[u8]) -> (String, String) {
    let count = text.iter().take_while(|byte| **byte == 0).count();
    let hint = "a power cut leaves them in a file that was being written, and UTF-16 text is full of them";
    (plural(count, "NUL byte"), hint.to_owned())
}

/// A value of this type, in a sentence.
pub(crate) fn a(ty: Type) -> String {
    match ty {
        Type::Int => "an int".to_owned(),
        Type::Bytes => "bytes in base64".to_owned(),
        Type::Json => "JSON".to_owned(),
        Type::Tuple(_) | Type::List(_) => format!("a {ty}"),
        ty => format!("a {}", ty.name()),
    }
}

/// Says of a point in time or duration, spelled as it should be, that it is outside the range of its type, and what
/// helps.
pub(crate) fn outside(ty: Type, value: &[u8]) -> Option<(String, String)> {
    if !time::is_outside(ty, value) {
        return None;
    }
    let (least, greatest) = (time::text(ty, i64::MIN), time::text(ty, i64::MAX));
    let reason = format!("is outside the range of {}, which is {least} to {greatest}", ty.name());
    Some((reason, "a str column takes it".to_owned()))
}

/// What helps with a value that spells a point in time or a duration in another way: a column of another type, and an
/// expression that converts it. `value` stands in quotes where it is a string of JSON.
pub(crate) fn conversion(value: &str, column: &Column) -> Option<String> {
    let (ty, it) = (column.ty.ty, code(&col(&column.name)));
    let take = |from: Type, code: String| {
        let from = ColumnType { ty: from, optional: column.ty.optional };
        Some(format!("declare the column as {from}, and take {code}"))
    };
    let is_number = value.strip_prefix('-').unwrap_or(value).starts_with(|c: char| c.is_ascii_digit());
    let number = value.parse::<f64>().ok().filter(|number| is_number && number.is_finite());
    if let Some(number) = number {
        let from = if value.contains(['.', 'e', 'E']) { Type::Float } else { Type::Int };
        let is_date = from == Type::Int && value.len() == 8 && (value.starts_with("19") || value.starts_with("20"));
        return match ty {
            Type::DateTimeNaive | Type::DateTimeUtc if is_date => None,
            Type::DateTimeNaive | Type::DateTimeUtc => {
                // What such a number counts is guessed by the year that it would be.
                let unit = match number.abs() {
                    ..1e11 => TimeUnit::Seconds,
                    ..1e14 => TimeUnit::Milliseconds,
                    ..1e17 => TimeUnit::Microseconds,
                    _ => TimeUnit::Nanoseconds,
                };
                let dt = col(&column.name).dt();
                let point = if ty == Type::DateTimeUtc { dt.utc_from_timestamp(unit) } else { dt.from_timestamp(unit) };
                take(from, code(&point))
            }
            Type::Duration if from == Type::Int => {
                let second = hint("std::time::Duration::from_secs(1)", "datetime.timedelta(seconds=1)");
                take(from, format!("{it} * {second} if it counts seconds"))
            }
            _ => None,
        };
    }
    let format = clock(value.trim_matches('"')).filter(|_| ty == Type::Duration)?;
    let rust = "(lit(\"1970-01-01T\") + IT).dt().strptime(\"%Y-%m-%dT%H:%M\") - lit(\"1970-01-01\").dt().strptime(\"%Y-%m-%d\")";
    let python = "(\"1970-01-01T\" + IT).dt.strptime(\"%Y-%m-%dT%H:%M\") - datetime.datetime(1970, 1, 1)";
    take(Type::Str, hint(rust, python).replace("%H:%M", format).replace("IT", &it))
}

/// The format of a duration below a day that is written as clocks show a time: `01:30`, `01:30:00`, `1:30:00.5`.
fn clock(text: &str) -> Option<&'static str> {
    let parts: Vec<&str> = text.split(':').collect();
    let is_number = |part: &&str| !part.is_empty() && part.len() <= 2 && part.bytes().all(|byte| byte.is_ascii_digit());
    let (seconds, fraction) = match parts.get(2) {
        Some(seconds) => seconds.split_once('.').map_or((*seconds, None), |(whole, fraction)| (whole, Some(fraction))),
        None => ("00", None),
    };
    let is_time = (2..=3).contains(&parts.len()) && parts[..2].iter().chain([&seconds]).all(is_number);
    let is_time = is_time && parts[0].parse().is_ok_and(|hour: u8| hour < 24);
    is_time.then_some(match (parts.len(), fraction) {
        (2, _) => "%H:%M",
        (_, None) => "%H:%M:%S",
        (_, Some(_)) => "%H:%M:%S.%f",
    })
}

/// How a value of such a type reads, for types whose spelling a user may not know.
pub(crate) fn type_hint(ty: Type) -> Option<String> {
    Some(match ty {
        Type::DateTimeNaive => "one reads 2026-11-22T10:00:00, without a zone".to_owned(),
        Type::DateTimeUtc => "one reads 2026-11-22T10:00:00Z, or with an offset such as +05:30".to_owned(),
        Type::Duration => "one reads P1DT2H3M4.5S; PT90S is 90 seconds".to_owned(),
        Type::Json => "one reads {\"name\": [1, null]}".to_owned(),
        Type::Tuple(_) | Type::List(_) => "one is written as a JSON array: [1, 2]".to_owned(),
        _ => return None,
    })
}
