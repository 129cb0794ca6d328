//! How bytes, JSON, tuples and lists are spelled as text, and read back from it.
//!
//! In a field of CSV, in a table for tests and in a cast to and from `str`, bytes are base64 and the others JSON. In
//! JSON, bytes are a string of base64, a tuple and a list an array of what [`millpond_columns::types`] says of their
//! elements.

use arrow_array::{Array, ArrayRef};
use base64::prelude::{BASE64_STANDARD, Engine};
use millpond_columns::packed::{self, Mark};
use millpond_columns::types::{ColumnType, Type, byte_values};

use crate::json::string::unescape;
use crate::json::{self, Token};
use crate::time::{self, TIME_BYTES};

/// Appends how a value is stored that is spelled as `text`; `false`, and nothing is appended, if the text spells none.
/// `ty` is one of `bytes`, `json`, tuples and lists.
pub fn read(ty: Type, text: &[u8], out: &mut Vec<u8>) -> bool {
    if ty == Type::Bytes {
        return BASE64_STANDARD.decode(text).map(|bytes| out.extend_from_slice(&bytes)).is_ok();
    }
    read_json(ty, text, out)
}

/// The same for a value as it stands in JSON.
pub fn read_json(ty: Type, text: &[u8], out: &mut Vec<u8>) -> bool {
    let before = out.len();
    let mut reader = json::Reader::new(text);
    let good = match ty {
        Type::Json => json::read_canonical(&mut reader, out),
        Type::Tuple(_) | Type::List(_) => array(ty, &mut reader, out).is_some(),
        _ => match reader.value() {
            Some(Token::String(inside)) => read(ty, inside, out),
            _ => false,
        },
    };
    let good = good && reader.is_at_end();
    if !good {
        out.truncate(before);
    }
    good
}

fn array(ty: Type, reader: &mut json::Reader<'_>, out: &mut Vec<u8>) -> Option<()> {
    if reader.value()? != Token::Array {
        return None;
    }
    let mut first = true;
    match ty {
        Type::Tuple(types) => {
            for ty in types {
                if !reader.element(std::mem::take(&mut first))? {
                    return None;
                }
                element(*ty, reader, out)?;
            }
            if reader.element(first)? {
                return None;
            }
        }
        Type::List(ty) => {
            while reader.element(std::mem::take(&mut first))? {
                element(*ty, reader, out)?;
            }
            packed::put_end(out);
        }
        _ => return None,
    }
    Some(())
}

fn element(ColumnType { ty, optional }: ColumnType, reader: &mut json::Reader<'_>, out: &mut Vec<u8>) -> Option<()> {
    let mut ahead = reader.clone();
    if optional && ahead.value() == Some(Token::Null) {
        *reader = ahead;
        packed::put_null(out);
        return Some(());
    }
    match ty {
        Type::Tuple(_) | Type::List(_) => {
            packed::put_open(out);
            return array(ty, reader, out);
        }
        Type::Json => {
            let mut text = Vec::new();
            json::read_canonical(reader, &mut text).then(|| packed::put_bytes(&text, out))?;
            return Some(());
        }
        _ => {}
    }
    match (ty, reader.value()?) {
        (Type::Bool, Token::Bool(value)) => packed::put_bool(value, out),
        (Type::Int, Token::Number(text)) => packed::put_int(json::as_int(text)?, out),
        (Type::Float, Token::Number(text)) => packed::put_float(json::as_float(text)?, out),
        (Type::Float, Token::String(name)) => packed::put_float(float_of_name(name)?, out),
        (Type::Str, Token::String(inside)) => {
            let mut text = Vec::with_capacity(inside.len());
            unescape(inside, &mut text).then(|| packed::put_bytes(&text, out))?;
        }
        (Type::Bytes, Token::String(inside)) => packed::put_bytes(&BASE64_STANDARD.decode(inside).ok()?, out),
        (ty, Token::String(inside)) if ty.is_time() => packed::put_int(time::read(ty, inside)?, out),
        _ => return None,
    }
    Some(())
}

/// The float that is no number of JSON and has this name there.
pub fn float_of_name(name: &[u8]) -> Option<f64> {
    match name {
        b"NaN" => Some(f64::NAN),
        b"Infinity" => Some(f64::INFINITY),
        b"-Infinity" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

/// Appends how a value is spelled that is stored as `bytes`; nothing if it is not whole. `ty` is one of `bytes`,
/// `json`, tuples and lists.
pub fn write(ty: Type, bytes: &[u8], out: &mut Vec<u8>) -> Option<()> {
    match ty {
        Type::Bytes => out.extend_from_slice(BASE64_STANDARD.encode(bytes).as_bytes()),
        Type::Tuple(_) | Type::List(_) => write_array(ty, &mut packed::Reader::new(bytes), out)?,
        _ => out.extend_from_slice(bytes),
    }
    Some(())
}

/// The same, as text.
pub fn text(ty: Type, bytes: &[u8]) -> String {
    let mut out = Vec::new();
    match write(ty, bytes, &mut out) {
        Some(()) => String::from_utf8_lossy(&out).into_owned(),
        None => format!("a damaged {ty}"),
    }
}

/// A column of type `ty` as a column of how its values are spelled. Nothing if one is not whole, or all are too long
/// for a column.
pub fn column(column: &dyn Array, ty: Type) -> Option<ArrayRef> {
    let (starts, bytes) = byte_values(column)?;
    let mut out = Vec::with_capacity(bytes.len() * 2);
    let mut offsets = Vec::with_capacity(column.len() + 1);
    offsets.push(0);
    for row in 0..column.len() {
        if column.is_valid(row) {
            write(ty, &bytes[starts[row] as usize..starts[row + 1] as usize], &mut out)?;
        }
        offsets.push(i32::try_from(out.len()).ok()?);
    }
    Type::Str.byte_array(offsets, out, column.nulls().cloned()).ok()
}

fn write_array(ty: Type, reader: &mut packed::Reader<'_>, out: &mut Vec<u8>) -> Option<()> {
    out.push(b'[');
    match ty {
        Type::Tuple(types) => {
            for (i, ty) in types.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                let mark = reader.mark()?;
                write_element(ty.ty, mark, reader, out)?;
            }
        }
        Type::List(ty) => {
            let mut first = true;
            loop {
                let mark = reader.mark()?;
                if mark == Mark::End {
                    break;
                }
                if !std::mem::take(&mut first) {
                    out.push(b',');
                }
                write_element(ty.ty, mark, reader, out)?;
            }
        }
        _ => return None,
    }
    out.push(b']');
    Some(())
}

fn write_element(ty: Type, mark: Mark, reader: &mut packed::Reader<'_>, out: &mut Vec<u8>) -> Option<()> {
    match (mark, ty) {
        (Mark::End, _) => return None,
        (Mark::Null, _) => out.extend_from_slice(json::NULL),
        (_, Type::Bool) => out.extend_from_slice(if reader.bool()? { b"true" } else { b"false" }),
        (_, Type::Int) => out.extend_from_slice(itoa::Buffer::new().format(reader.int()?).as_bytes()),
        (_, Type::Float) => match reader.float()? {
            f64::INFINITY => out.extend_from_slice(b"\"Infinity\""),
            f64::NEG_INFINITY => out.extend_from_slice(b"\"-Infinity\""),
            value if value.is_nan() => out.extend_from_slice(b"\"NaN\""),
            value => out.extend_from_slice(crate::python_repr::float(value).as_bytes()),
        },
        (_, Type::DateTimeNaive | Type::DateTimeUtc | Type::Duration) => {
            let mut text = [0; TIME_BYTES];
            let length = time::write(ty, reader.int()?, &mut text);
            out.push(b'"');
            out.extend_from_slice(&text[..length]);
            out.push(b'"');
        }
        (_, Type::Str) => {
            let mut text = Vec::new();
            reader.bytes(&mut text)?;
            json::write_string(std::str::from_utf8(&text).ok()?, out);
        }
        (_, Type::Json) => reader.bytes(out)?,
        (_, Type::Bytes) => {
            let mut bytes = Vec::new();
            reader.bytes(&mut bytes)?;
            out.push(b'"');
            out.extend_from_slice(BASE64_STANDARD.encode(&bytes).as_bytes());
            out.push(b'"');
        }
        (_, Type::Tuple(_) | Type::List(_)) => write_array(ty, reader, out)?,
    }
    Some(())
}

#[cfg(test)]
mod tests;
