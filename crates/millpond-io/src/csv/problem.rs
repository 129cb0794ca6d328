//! What is wrong with a row, and how a user is told.

use std::ops::Range;

use millpond_plan::types::{Column, Type};

/// A row that cannot be read, as positions in the text of its piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// The bytes of the row, without its line end.
    pub row: Range<u32>,
    /// What is wrong.
    pub wrong: Wrong,
}

/// What is wrong with a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// It has another number of fields than the header.
    Fields { found: u32 },
    /// A quote opens here and is never closed.
    Unclosed { at: u32 },
    /// It is not UTF-8; the first wrong byte is here.
    NotUtf8 { at: u32 },
    /// A field is over the limit.
    TooLong { field: u32, bytes: u32 },
    /// A field is not of the type of its column: `slot` in the list of columns that are read.
    Value { slot: u32, start: u32, end: u32 },
}

/// A problem in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub column: Option<String>,
    pub value: Option<String>,
    pub reason: String,
    pub hint: Option<String>,
}

/// What is needed to put a problem into words.
pub(crate) struct Teller<'a> {
    pub text: &'a [u8],
    /// The names in the header.
    pub header: &'a [String],
    /// The columns that are read, by slot.
    pub columns: &'a [Column],
    /// What a quoted field stands for.
    pub unquote: &'a dyn Fn(&[u8]) -> Vec<u8>,
    pub field_limit: usize,
}

impl Problem {
    pub fn of_row(start: usize, end: usize, wrong: Wrong) -> Self {
        Problem { row: start as u32..end as u32, wrong }
    }

    /// The position whose line a message names.
    pub fn place(&self) -> u32 {
        match self.wrong {
            Wrong::Unclosed { at } => at,
            _ => self.row.start,
        }
    }

    pub fn tell(&self, teller: &Teller<'_>) -> Told {
        let told = |reason: String, hint: Option<&str>| Told {
            column: None,
            value: None,
            reason,
            hint: hint.map(str::to_owned),
        };
        match self.wrong {
            Wrong::Fields { found } => {
                let fields = teller.header.len();
                let hint = (found == 1).then_some("is the delimiter right?");
                told(format!("{} where the header has {}", plural(found as usize, "field"), thousands(fields)), hint)
            }
            Wrong::Unclosed { .. } => told("a quote opens here and is never closed".into(), None),
            Wrong::NotUtf8 { at } => {
                let byte = teller.text[at as usize];
                told(format!("not UTF-8: byte 0x{byte:02x}"), Some("convert the file to UTF-8"))
            }
            Wrong::TooLong { field, bytes } => {
                let reason = format!(
                    "a field of {} bytes is over the limit of {}",
                    thousands(bytes as usize),
                    thousands(teller.field_limit)
                );
                Told { column: teller.header.get(field as usize).cloned(), ..told(reason, None) }
            }
            Wrong::Value { slot, start, end } => {
                let column = &teller.columns[slot as usize];
                let value = (teller.unquote)(&teller.text[start as usize..end as usize]);
                let value = String::from_utf8_lossy(&value).into_owned();
                let (reason, hint) = not_of_type(&value, column);
                Told { column: Some(column.name.clone()), value: Some(value), reason, hint }
            }
        }
    }
}

fn not_of_type(value: &str, column: &Column) -> (String, Option<String>) {
    let ty = column.ty.ty;
    let article = if ty == Type::Int { "an" } else { "a" };
    if value.is_empty() {
        let hint = (!column.ty.optional).then(|| format!("an optional column ({ty}?) reads an empty field as null"));
        return (format!("the empty field is not {article} {ty}"), hint);
    }
    let digits = value.strip_prefix(['+', '-']).unwrap_or(value);
    if ty == Type::Int && digits.bytes().all(|b| b.is_ascii_digit()) && !digits.is_empty() {
        return (format!("{} is outside the 64-bit range of int", shown(value)), None);
    }
    let hint = (value.trim() != value).then(|| "there is white space around the value".to_owned());
    (format!("{} is not {article} {ty}", shown(value)), hint)
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
