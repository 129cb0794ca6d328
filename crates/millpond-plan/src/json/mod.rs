//! JSON values as text in one form, so that equal values have equal bytes.
//!
//! This *canonical* text has no white space. An object's fields stand in the order of their names, as written, each
//! once (the last of several stays, as in Python). Strings have no escape that JSON does not ask for. A number without
//! a fraction and an exponent is an int and keeps its digits; any other is written as Python writes the nearest float,
//! if that is the same number, and otherwise with all its digits and an exponent: `1e400`. So no number loses a digit,
//! `1` and `1.0` are two values, `1.0` and `10e-1` one.

pub mod string;

use std::ops::Range;

use millpond_columns::types::Type;
use string::{plain_bytes, unescape};

use crate::python_repr;

/// The deepest nesting of arrays and objects.
pub const MAX_DEPTH: usize = 128;

/// The canonical text of JSON's `null`.
pub const NULL: &[u8] = b"null";

/// Reads JSON text, value by value.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    text: &'a [u8],
    at: usize,
}

/// What a value is, or how it starts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Token<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number, as it is written.
    Number(&'a [u8]),
    /// The inside of a string, with its escapes.
    String(&'a [u8]),
    /// `[`; [`Reader::element`] goes on.
    Array,
    /// `{`; [`Reader::field`] goes on.
    Object,
}

impl<'a> Reader<'a> {
    /// A reader at the start of `text`.
    pub fn new(text: &'a [u8]) -> Self {
        Reader { text, at: 0 }
    }

    /// Whether only white space is left.
    pub fn is_at_end(&mut self) -> bool {
        self.space();
        self.at == self.text.len()
    }

    /// The next value; nothing if there is none.
    pub fn value(&mut self) -> Option<Token<'a>> {
        self.space();
        Some(match self.peek() {
            b'"' => Token::String(self.string()?),
            b'[' => {
                self.at += 1;
                Token::Array
            }
            b'{' => {
                self.at += 1;
                Token::Object
            }
            b'-' | b'0'..=b'9' => Token::Number(self.number()?),
            b't' => self.word(b"true", Token::Bool(true))?,
            b'f' => self.word(b"false", Token::Bool(false))?,
            b'n' => self.word(NULL, Token::Null)?,
            _ => return None,
        })
    }

    /// Whether an array has another element, which is next; `first` before the first one. Nothing if neither stands
    /// there.
    pub fn element(&mut self, first: bool) -> Option<bool> {
        self.more(first, b']')
    }

    /// The inside of the name of an object's next field, whose value is next; `Some(None)` at the end of the object.
    pub fn field(&mut self, first: bool) -> Option<Option<&'a [u8]>> {
        if !self.more(first, b'}')? {
            return Some(None);
        }
        self.space();
        if self.peek() != b'"' {
            return None;
        }
        let name = self.string()?;
        self.space();
        if self.peek() != b':' {
            return None;
        }
        self.at += 1;
        Some(Some(name))
    }

    /// Passes over the next value; returns its text.
    pub fn skip(&mut self) -> Option<&'a [u8]> {
        self.space();
        let start = self.at;
        self.pass(MAX_DEPTH)?;
        Some(&self.text[start..self.at])
    }

    fn pass(&mut self, depth: usize) -> Option<()> {
        let mut first = true;
        match self.value()? {
            Token::Array => {
                let depth = depth.checked_sub(1)?;
                while self.element(std::mem::take(&mut first))? {
                    self.pass(depth)?;
                }
            }
            Token::Object => {
                let depth = depth.checked_sub(1)?;
                while self.field(std::mem::take(&mut first))?.is_some() {
                    self.pass(depth)?;
                }
            }
            _ => {}
        }
        Some(())
    }

    fn more(&mut self, first: bool, end: u8) -> Option<bool> {
        self.space();
        let next = self.peek();
        if next == end {
            self.at += 1;
            return Some(false);
        }
        if first {
            return Some(true);
        }
        self.at += 1;
        (next == b',').then_some(true)
    }

    fn peek(&self) -> u8 {
        self.text.get(self.at).copied().unwrap_or(0)
    }

    fn space(&mut self) {
        while matches!(self.peek(), b' ' | b'\t' | b'\r' | b'\n') {
            self.at += 1;
        }
    }

    fn word(&mut self, word: &[u8], token: Token<'a>) -> Option<Token<'a>> {
        let found = self.text[self.at..].starts_with(word);
        self.at += word.len();
        found.then_some(token)
    }

    fn string(&mut self) -> Option<&'a [u8]> {
        self.at += 1;
        let start = self.at;
        loop {
            self.at += plain_bytes(&self.text[self.at..]);
            match self.peek() {
                b'"' => break,
                b'\\' => match self.text.get(self.at + 1)? {
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.at += 2,
                    b'u' => {
                        let digits = self.text.get(self.at + 2..self.at + 6)?;
                        if !digits.iter().all(u8::is_ascii_hexdigit) {
                            return None;
                        }
                        self.at += 6;
                    }
                    _ => return None,
                },
                _ => return None,
            }
        }
        self.at += 1;
        Some(&self.text[start..self.at - 1])
    }

    fn number(&mut self) -> Option<&'a [u8]> {
        let start = self.at;
        self.at += usize::from(self.peek() == b'-');
        if self.peek() == b'0' {
            self.at += 1
        } else {
            self.digits()?
        }
        if self.peek() == b'.' {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), b'e' | b'E') {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), b'+' | b'-'));
            self.digits()?;
        }
        Some(&self.text[start..self.at])
    }

    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while self.peek().is_ascii_digit() {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }
}

/// Appends the canonical text of a JSON text; `false`, and nothing is appended, if it is none.
pub fn canonical(text: &[u8], out: &mut Vec<u8>) -> bool {
    let mut reader = Reader::new(text);
    let before = out.len();
    let good = read_canonical(&mut reader, out) && reader.is_at_end();
    if !good {
        out.truncate(before);
    }
    good
}

/// Appends the canonical text of the next value; `false` if there is none, and what was appended means nothing.
pub fn read_canonical(reader: &mut Reader<'_>, out: &mut Vec<u8>) -> bool {
    Canonical { fields: Vec::new() }.value(reader, out, MAX_DEPTH).is_some()
}

struct Canonical {
    /// For each field of the objects that are open: where its name and the whole of it stand in the output.
    fields: Vec<(Range<usize>, Range<usize>)>,
}

impl Canonical {
    fn value(&mut self, reader: &mut Reader<'_>, out: &mut Vec<u8>, depth: usize) -> Option<()> {
        let mut first = true;
        match reader.value()? {
            Token::Null => out.extend_from_slice(NULL),
            Token::Bool(true) => out.extend_from_slice(b"true"),
            Token::Bool(false) => out.extend_from_slice(b"false"),
            Token::Number(text) => number(text, out)?,
            Token::String(inside) => string(inside, out)?,
            Token::Array => {
                let depth = depth.checked_sub(1)?;
                out.push(b'[');
                while reader.element(first)? {
                    if !std::mem::take(&mut first) {
                        out.push(b',');
                    }
                    self.value(reader, out, depth)?;
                }
                out.push(b']');
            }
            Token::Object => {
                let depth = depth.checked_sub(1)?;
                out.push(b'{');
                let (known, start) = (self.fields.len(), out.len());
                while let Some(name) = reader.field(std::mem::take(&mut first))? {
                    let at = out.len();
                    string(name, out)?;
                    let name = at..out.len();
                    out.push(b':');
                    self.value(reader, out, depth)?;
                    self.fields.push((name, at..out.len()));
                    out.push(b',');
                }
                self.sort(known, start, out);
                if out.last() == Some(&b',') {
                    out.pop();
                }
                out.push(b'}');
            }
        }
        Some(())
    }

    /// Puts the fields of one object, which stand in `out` from `start` on, in order.
    fn sort(&mut self, known: usize, start: usize, out: &mut Vec<u8>) {
        let fields = &mut self.fields[known..];
        if !fields.is_sorted_by(|(a, _), (b, _)| out[a.clone()] < out[b.clone()]) {
            fields.sort_by(|(a, _), (b, _)| out[a.clone()].cmp(&out[b.clone()]));
            let mut sorted = Vec::with_capacity(out.len() - start);
            for (i, (name, field)) in fields.iter().enumerate() {
                let last = fields.get(i + 1).is_none_or(|(next, _)| out[next.clone()] != out[name.clone()]);
                if last {
                    sorted.extend_from_slice(&out[field.clone()]);
                    sorted.push(b',');
                }
            }
            out.truncate(start);
            out.extend_from_slice(&sorted);
        }
        self.fields.truncate(known);
    }
}

/// Appends a string, of the inside of another spelling of it.
fn string(inside: &[u8], out: &mut Vec<u8>) -> Option<()> {
    if memchr::memchr(b'\\', inside).is_none() {
        std::str::from_utf8(inside).ok()?;
        out.push(b'"');
        out.extend_from_slice(inside);
        out.push(b'"');
        return Some(());
    }
    let mut text = Vec::with_capacity(inside.len());
    if !unescape(inside, &mut text) {
        return None;
    }
    write_string(std::str::from_utf8(&text).ok()?, out);
    Some(())
}

/// Appends a text as a string in quotes.
pub fn write_string(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("a buffer in memory takes any text");
}

fn number(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    if is_int(text) {
        out.extend_from_slice(if text == b"-0" { b"0" } else { text });
        return Some(());
    }
    let text = std::str::from_utf8(text).ok()?;
    let exact = Decimal::of(text)?;
    let float: f64 = text.parse().ok()?;
    if exact.digits.is_empty() {
        out.extend_from_slice(b"0.0");
    } else if float.is_finite() && Decimal::of(&format!("{float:e}")) == Some(exact.clone()) {
        out.extend_from_slice(python_repr::float(float).as_bytes());
    } else {
        let (first, rest) = exact.digits.split_at(1);
        let sign = if exact.negative { "-" } else { "" };
        let point = if rest.is_empty() { "" } else { "." };
        out.extend_from_slice(format!("{sign}{first}{point}{rest}e{}", exact.exponent).as_bytes());
    }
    Some(())
}

fn is_int(number: &[u8]) -> bool {
    !number.iter().any(|byte| matches!(byte, b'.' | b'e' | b'E'))
}

/// A number: `digits`, which neither start nor end with 0, after the first of which stands a point, times a power of
/// ten.
#[derive(Clone, Debug, PartialEq)]
struct Decimal {
    negative: bool,
    digits: String,
    exponent: i64,
}

impl Decimal {
    fn of(number: &str) -> Option<Decimal> {
        let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
        let mut exponent: i64 = exponent.parse().ok()?;
        let negative = mantissa.starts_with('-');
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let whole = whole.trim_start_matches(['-', '0']);
        let mut digits = format!("{whole}{fraction}");
        exponent = exponent.checked_add(whole.len() as i64 - 1)?;
        if whole.is_empty() {
            let zeros = digits.len() - digits.trim_start_matches('0').len();
            digits.drain(..zeros);
            exponent = exponent.checked_sub(zeros as i64)?;
        }
        digits.truncate(digits.trim_end_matches('0').len());
        Some(Decimal { negative, digits, exponent })
    }
}

/// The value of an object's field; `name` is spelled as in canonical text, in quotes.
pub fn field<'a>(value: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut reader = Reader::new(value);
    let mut first = true;
    if reader.value()? != Token::Object {
        return None;
    }
    let inside = name.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    while let Some(found) = reader.field(std::mem::take(&mut first))? {
        let value = reader.skip()?;
        if found == inside {
            return Some(value);
        }
    }
    None
}

/// The elements of an array; nothing if the value is none.
pub fn elements(value: &[u8]) -> Option<impl Iterator<Item = &[u8]>> {
    let mut reader = Reader::new(value);
    let mut first = true;
    if reader.value()? != Token::Array {
        return None;
    }
    Some(std::iter::from_fn(move || if reader.element(std::mem::take(&mut first))? { reader.skip() } else { None }))
}

/// The int that the value is.
pub fn as_int(value: &[u8]) -> Option<i64> {
    std::str::from_utf8(value).ok().filter(|_| is_int(value))?.parse().ok()
}

/// The float that is nearest to the number that the value is.
pub fn as_float(value: &[u8]) -> Option<f64> {
    match Reader::new(value).value()? {
        Token::Number(text) => std::str::from_utf8(text).ok()?.parse().ok().filter(|float: &f64| float.is_finite()),
        _ => None,
    }
}

/// Whether the value is an int outside 64 bits or, as a `float`, a number that is too large for one.
pub fn is_outside(value: &[u8], ty: Type) -> bool {
    let number = matches!(Reader::new(value).value(), Some(Token::Number(_)));
    match ty {
        Type::Int => number && is_int(value) && as_int(value).is_none(),
        Type::Float => number && as_float(value).is_none(),
        _ => false,
    }
}

/// The bool that the value is.
pub fn as_bool(value: &[u8]) -> Option<bool> {
    match value {
        b"true" => Some(true),
        b"false" => Some(false),
        _ => None,
    }
}

/// Appends the text of the string that the value is; `false` if it is none.
pub fn as_str(value: &[u8], out: &mut Vec<u8>) -> bool {
    match value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")) {
        Some(inside) => unescape(inside, out),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Option<&str>) {
        let mut out = b"before".to_vec();
        assert_eq!(canonical(text.as_bytes(), &mut out), expect.is_some(), "{text}");
        assert_eq!(String::from_utf8(out).unwrap(), format!("before{}", expect.unwrap_or_default()), "{text}");
    }

    #[test]
    fn fields_are_sorted_and_the_last_of_a_name_stays() {
        check(r#" { "b" : 1 , "a":[ ] ,"b":{"z":0,"\u0061":null}}"#, Some(r#"{"a":[],"b":{"a":null,"z":0}}"#));
        check("{ }", Some("{}"));
        check(r#""\u00e9\/\n\ud83d\ude00""#, Some("\"é/\\n😀\""));
    }

    #[test]
    fn numbers_are_exact() {
        check("123456789012345678901234567890", Some("123456789012345678901234567890"));
        check("[-0,-0.0,0e9]", Some("[0,0.0,0.0]"));
        check("[1.50,15E-1,0.015e2]", Some("[1.5,1.5,1.5]"));
        check("[100.0,1e2,1e22,1e-7]", Some("[100.0,100.0,1e+22,1e-07]"));
        check("0.1000000000000000055511151231257827", Some("1.000000000000000055511151231257827e-1"));
        check("[1e400,-12.5e-400]", Some("[1e400,-1.25e-399]"));
        check("9007199254740993.0", Some("9.007199254740993e15"));
    }

    #[test]
    fn what_is_no_json() {
        let texts =
            ["", "[", "[1,]", "{\"a\"}", "{1:2}", "01", "+1", "1.", "nul", "'a'", r#""\x""#, r#""\ud800""#, "1 2"];
        texts.into_iter().for_each(|text| check(text, None));
        check(&"[".repeat(200), None);
        check(
            &format!("{}{}", "[".repeat(128), "]".repeat(128)),
            Some(&format!("{}{}", "[".repeat(128), "]".repeat(128))),
        );
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<i32>().prop_map(|n| Value::from(f64::from(n) / 8.0)),
            "[a-c\"\\\\\n é]{0,4}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 20, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec(("[a-c\"\n]{0,2}", inner), 0..4).prop_map(|fields| fields.into_iter().collect()),
            ]
        })
    }

    proptest! {
        /// However a value is spelled, its text is one, and stands for the value.
        #[test]
        fn spellings_of_a_value_have_one_text(value in values()) {
            let mut out = Vec::new();
            for text in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
                let mut one = Vec::new();
                prop_assert!(canonical(text.as_bytes(), &mut one));
                prop_assert!(out.is_empty() || out == one);
                out = one;
            }
            let mut again = Vec::new();
            prop_assert!(canonical(&out, &mut again));
            prop_assert_eq!(&again, &out);
            let back: Value = serde_json::from_slice(&out).unwrap();
            prop_assert_eq!(back.to_string().replace("-0.0", "0.0"), value.to_string().replace("-0.0", "0.0"));
            if let Value::Object(fields) = &value {
                for (name, value) in fields {
                    let mut quoted = Vec::new();
                    write_string(name, &mut quoted);
                    let (found, mut expect) = (field(&out, &quoted), Vec::new());
                    canonical(value.to_string().as_bytes(), &mut expect);
                    prop_assert_eq!(found, Some(&expect[..]));
                }
            }
        }
    }
}
