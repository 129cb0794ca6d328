//! What is wrong with a row, and how a user is told.

use std::ops::Range;

use millpond_plan::time;
use millpond_plan::types::Type;

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
pub struct Told {
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

impl Told {
    /// A sentence about a row as a whole.
    pub fn row(reason: impl Into<String>) -> Self {
        Told { column: None, value: None, reason: reason.into(), hint: None, to_end: false, is_final: false }
    }

    /// A row with a byte, here, that is no UTF-8.
    pub fn not_utf8(row: &[u8], at: usize) -> Self {
        let hint = Some("convert the file to UTF-8".to_owned());
        // A character may be cut in the middle.
        let is_final = std::str::from_utf8(row).is_err_and(|error| error.error_len().is_some());
        let byte = row.get(at).copied().unwrap_or_default();
        Told { hint, is_final, ..Told::row(format!("not UTF-8: byte 0x{byte:02x}")) }
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
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

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

/// Says of a point in time or duration, spelled as it should be, that it is outside the range of its type, and what helps.
pub(crate) fn outside(ty: Type, value: &[u8]) -> Option<(String, String)> {
    if !time::is_outside(ty, value) {
        return None;
    }
    let (least, greatest) = (time::text(ty, i64::MIN), time::text(ty, i64::MAX));
    let reason = format!("is outside the range of {}, which is {least} to {greatest}", ty.name());
    Some((reason, "a str column takes it".to_owned()))
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
