//! Tuples, lists and JSON, one rule at a time, and elements of random lists against those of a `Vec`.

use arrow_array::Int64Array;
use millpond_columns::packed;
use proptest::prelude::*;

use super::*;
use crate::expr::{Expr, col, lit};
use crate::methods::make_tuple;
use crate::text_codec;

fn json(text: &str) -> Expr {
    stored(Type::Json, text)
}

fn stored(ty: Type, text: &str) -> Expr {
    let mut bytes = Vec::new();
    assert!(text_codec::read(ty, text.as_bytes(), &mut bytes), "{text}");
    lit(Literal::Stored(ty, bytes.into()))
}

#[test]
fn elements_are_counted_from_both_ends() {
    let pair = || make_tuple([lit(1), lit("a")]);
    check(pair().item(0), "1");
    check(pair().item(-1), "\"a\"");
    check(pair().cast(Type::Str), "\"[1,\\\"a\\\"]\"");
    let list = |key: i64| stored(Type::list(Type::Int), "[7,8,9]").get(key, -1);
    check(list(0), "7");
    check(list(-3), "7");
    check(list(3), "-1");
    check(list(-4), "-1");
    check(list(i64::MIN), "-1");
    check(stored(Type::list(Type::Int), "[]").item(0), "there is no such element");
    check(stored(Type::list(Type::Int.optional()), "[null]").get(0, -1), "None");
    check(stored(Type::list(Type::list(Type::Str)), "[[],[\"x\\u0000y\",\"z\"]]").item(1).item(0), "\"x\\u0000y\"");
}

#[test]
fn json_is_taken_apart_by_name_and_number() {
    let event = || json("{\"a\": [1, 2.5, \"x\\n\"], \"b\\\"\": true, \"n\": null}");
    check(event().item("a").item(0).as_int(), "1");
    check(event().item("a").item(1).as_int(), "None");
    check(event().item("a").item(1).as_float(), "2.5");
    check(event().item("a").item(0).as_float(), "1.0");
    check(event().item("a").item(-1).as_str(), "\"x\\n\"");
    check(event().item("b\"").as_bool(), "True");
    check(event().item("n"), "json(null)");
    check(event().item("x"), "there is no such element");
    check(event().get("x", NONE), "None");
    check(event().get("n", NONE).get("deeper", NONE).as_int(), "None");
    check(json("[1e400, 123456789012345678901]").item(1), "json(123456789012345678901)");
    check(json("123456789012345678901").as_int(), "the int is outside 64 bits");
    check(json("-123456789012345678901").as_int(), "the int is outside 64 bits");
    check(json("123456789012345678901").as_float(), "1.2345678901234568e+20");
    check(json("1e400").as_float(), "the float is too large");
    check(json("-1e400").as_float(), "the float is too large");
    check(json("1e-400").as_float(), "0.0");
    for value in ["\"1e400\"", "true", "null", "[1e400]"] {
        check(json(value).as_float(), "None");
        check(json(value).as_int(), "None");
    }
    check(json("1e400").as_int(), "None");
}

#[test]
fn equal_values_are_equal_however_they_are_spelled() {
    check(json("{\"a\":1,\"b\":[]}").eq(json(" {\"b\": [ ], \"a\": 1}")), "True");
    check(json("1").eq(json("1.0")), "False");
    check(make_tuple([lit(1), lit("b")]).lt(make_tuple([lit(1), lit("c")])), "True");
    check(make_tuple([lit(0.0)]).eq(make_tuple([lit(-0.0)])), "True");
    check(lit(&b"a\0"[..]).lt(&b"b"[..]), "True");
}

#[test]
fn casts_read_text() {
    check(lit("[1, 2]").cast(Type::list(Type::Int)).item(1), "2");
    check(lit("[1, x]").cast(Type::list(Type::Int)), "the text is not list[int]");
    check(lit("{\"a\":1.50}").cast(Type::Json).cast(Type::Str), "\"{\\\"a\\\":1.5}\"");
    check(
        json("[[1],[\"Infinity\",null]]").cast(Type::list(Type::list(Type::Float.optional()))).item(1).item(0),
        "inf",
    );
    check(lit("é").cast(Type::Bytes), "b\"\\xc3\\xa9\"");
    check(lit(&b"\xc3\xa9"[..]).cast(Type::Str), "\"é\"");
    check(lit(&b"\xff"[..]).cast(Type::Str), "the bytes are not UTF-8");
}

proptest! {
    #[test]
    fn elements_of_random_lists_are_those_of_a_vec(
        rows in prop::collection::vec((prop::collection::vec(-9..9_i64, 0..4), -5..5_i64, any::<bool>()), 1..12),
    ) {
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.iter().flat_map(|row| row.0.clone())));
        let mut ends = vec![0];
        rows.iter().for_each(|row| ends.push(ends.last().unwrap() + row.0.len() as u32));
        let lists = packed::lists(&numbers, Type::Int, &ends).unwrap();
        let nulls = arrow_buffer::NullBuffer::from_iter(rows.iter().map(|row| row.2));
        let (starts, bytes) = types::byte_values(&lists).unwrap();
        let lists = Type::Bytes.byte_array(starts.to_vec(), bytes.to_vec(), Some(nulls)).unwrap();
        let keys: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.1)));
        let schema = Schema::new([("lists", Type::list(Type::Int).optional()), ("keys", Type::Int.required())]);
        let shown = |expr: Expr| {
            let stage = stage(&schema, &[], &[expr]).unwrap();
            let mapped = stage.apply(&[lists.clone(), keys.clone()], rows.len(), None).unwrap();
            (0..rows.len()).map(|row| value(&mapped.columns[0], Type::Int, row)).collect::<Vec<_>>()
        };
        let expected = |default: Literal| {
            let of_row = |(list, key, valid): &(Vec<i64>, i64, bool)| {
                let place = if *key < 0 { key + list.len() as i64 } else { *key };
                let found = usize::try_from(place).ok().and_then(|place| list.get(place));
                if *valid { found.map_or(default.clone(), |found| Literal::Int(*found)) } else { NONE }
            };
            rows.iter().map(of_row).collect::<Vec<_>>()
        };
        prop_assert_eq!(shown(col("lists").get(col("keys"), NONE)), expected(NONE));
        prop_assert_eq!(shown(col("lists").get(col("keys"), 77)), expected(Literal::Int(77)));
        prop_assert_eq!(shown(col("lists").item(col("keys")).fill_error(55)), expected(Literal::Int(55)));
        let second = shown(make_tuple([col("keys"), col("lists").get(0, NONE)]).item(0));
        prop_assert_eq!(second, rows.iter().map(|row| Literal::Int(row.1)).collect::<Vec<_>>());
    }
}
