//! Tuples and lists, as bytes whose order is that of the values, and as text.

use std::cmp::Ordering;

use arrow_array::Array;
use millpond_columns::packed::{
    Reader, flatten, is_whole, lists, put_bool, put_bytes, put_end, put_float, put_int, put_null, put_packed,
};
use millpond_columns::{ColumnBuilder, ColumnType, Type};
use proptest::prelude::*;

use crate::text_codec;

/// A value, in the simplest form that can be compared.
#[derive(Clone, Debug)]
enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Bytes(Vec<u8>),
    Many(Vec<Value>),
}

impl Value {
    fn compare(&self, other: &Value) -> Ordering {
        match (self, other) {
            (Value::Null, Value::Null) => Ordering::Equal,
            (Value::Null, _) => Ordering::Less,
            (_, Value::Null) => Ordering::Greater,
            (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
            (Value::Int(a), Value::Int(b)) => a.cmp(b),
            (Value::Float(a), Value::Float(b)) => a.partial_cmp(b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan())),
            (Value::Bytes(a), Value::Bytes(b)) => a.cmp(b),
            (Value::Many(a), Value::Many(b)) => {
                let orders = a.iter().zip(b).map(|(a, b)| a.compare(b));
                orders.into_iter().find(|order| order.is_ne()).unwrap_or(a.len().cmp(&b.len()))
            }
            _ => unreachable!("values of one type"),
        }
    }

    fn put(&self, ty: Type, out: &mut Vec<u8>) {
        match self {
            Value::Null => put_null(out),
            Value::Bool(value) => put_bool(*value, out),
            Value::Int(value) => put_int(*value, out),
            Value::Float(value) => put_float(*value, out),
            Value::Bytes(value) => put_bytes(value, out),
            Value::Many(_) => put_packed(&self.packed(ty), out),
        }
    }

    fn packed(&self, ty: Type) -> Vec<u8> {
        let (Value::Many(values), Some(types)) = (self, ty.elements()) else { unreachable!("a tuple or a list") };
        let mut out = Vec::new();
        values.iter().zip(types.iter().cycle()).for_each(|(value, element)| value.put(element.ty, &mut out));
        if matches!(ty, Type::List(_)) {
            put_end(&mut out);
        }
        out
    }
}

fn types() -> impl Strategy<Value = Type> {
    let leaf = prop::sample::select(vec![
        Type::Bool,
        Type::Int,
        Type::Float,
        Type::Str,
        Type::Bytes,
        Type::DateTimeUtc,
        Type::Duration,
    ]);
    let optional = |ty: Type, optional: bool| ColumnType { ty, optional };
    leaf.prop_recursive(3, 8, 3, move |inner| {
        let element = (inner, any::<bool>()).prop_map(move |(ty, may)| optional(ty, may));
        prop_oneof![prop::collection::vec(element.clone(), 0..4).prop_map(Type::tuple), element.prop_map(Type::list),]
    })
}

fn value(ty: Type) -> BoxedStrategy<Value> {
    match ty {
        Type::Tuple(types) => types.iter().map(|ty| element(*ty)).collect::<Vec<_>>().prop_map(Value::Many).boxed(),
        Type::List(ty) => prop::collection::vec(element(*ty), 0..4).prop_map(Value::Many).boxed(),
        Type::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
        Type::Float => {
            let some = prop::sample::select(vec![0.0, -0.0, f64::NAN, -f64::NAN, f64::INFINITY, f64::NEG_INFINITY]);
            prop_oneof![some, any::<f64>(), (-3..3).prop_map(f64::from)].prop_map(Value::Float).boxed()
        }
        Type::Str => "[\0a\u{1}é]{0,3}".prop_map(|text| Value::Bytes(text.into_bytes())).boxed(),
        Type::Bytes => {
            let byte = prop::sample::select(vec![0, 1, 2, 254, 255]);
            prop::collection::vec(byte, 0..4).prop_map(Value::Bytes).boxed()
        }
        _ => prop_oneof![any::<i64>(), -3..3_i64].prop_map(Value::Int).boxed(),
    }
}

fn element(ty: ColumnType) -> BoxedStrategy<Value> {
    match ty.optional {
        true => prop_oneof![Just(Value::Null), value(ty.ty)].boxed(),
        false => value(ty.ty),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// Pairs, lists of which hold much alike, so that many differ late or not at all.
    #[test]
    fn bytes_are_ordered_as_the_values_are(
        (ty, values) in types().prop_filter("made of values", |ty| ty.elements().is_some())
            .prop_flat_map(|ty| (Just(ty), prop::collection::vec(value(ty), 2..6))),
    ) {
        for a in &values {
            for b in &values {
                prop_assert_eq!(a.packed(ty).cmp(&b.packed(ty)), a.compare(b), "{:?} {:?}", a, b);
            }
            let packed = a.packed(ty);
            prop_assert!(is_whole(ty, &packed));
            prop_assert!(packed.is_empty() || !is_whole(ty, &packed[..packed.len() - 1]));
            let (mut text, mut back) = (Vec::new(), Vec::new());
            text_codec::write(ty, &packed, &mut text).unwrap();
            prop_assert!(text_codec::read(ty, &text, &mut back), "{}", String::from_utf8_lossy(&text));
            prop_assert_eq!(&back, &packed);
            prop_assert_eq!(ty.name().parse(), Ok(ty));
        }
    }

    /// Lists of a column are taken apart into the same column.
    #[test]
    fn lists_come_apart_as_they_were(
        (ty, values) in types().prop_flat_map(|ty| (Just(ty), prop::collection::vec(element(ty.optional()), 0..8))),
    ) {
        let (mut cells, mut packed) = (ColumnBuilder::new(ty), Vec::new());
        values.iter().for_each(|value| value.put(ty, &mut packed));
        let mut reader = Reader::new(&packed);
        values.iter().for_each(|_| assert_eq!(cells.push_next(&mut reader), Some(true)));
        let column = cells.finish();
        let middle = values.len() as u32 / 2;
        let offsets = [0, middle, middle, values.len() as u32];
        let (elements, found) = flatten(&lists(&column, ty, &offsets).unwrap(), ty.optional()).unwrap();
        prop_assert_eq!(elements.to_data(), column.to_data());
        prop_assert_eq!(found, offsets);
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(ty in types(), bytes: Vec<u8>) {
        if ty.elements().is_some() && is_whole(ty, &bytes) {
            prop_assert!(bytes.is_empty() || !text_codec::text(ty, &bytes).is_empty());
        }
        let mut cells = ColumnBuilder::new(ty);
        let mut reader = Reader::new(&bytes);
        while cells.push_next(&mut reader) == Some(true) {}
        cells.append_nulls(1);
        drop(cells.try_finish());
    }
}
