//! The types of tuples, lists and JSON: made, taken apart and read.

use millpond_columns::types::{ColumnType, MAX_DEPTH, Schema, Type, one_of};
use millpond_error::{Error, Result};

use crate::diagnostics::{self, subject};
use crate::expr::col;
use crate::literal::Literal;
use crate::notation::{self, code, spoken};
use crate::terms::{Op, TermId, TermType, Terms};
use crate::typing::{self, Operand, give_type, unify};

/// The term of a tuple.
pub(crate) fn tuple(terms: &mut Terms, operands: &[Operand<'_>]) -> Result<TermId> {
    let types = operands.iter().map(|(expr, term)| {
        terms.ty(*term).column().ok_or_else(|| {
            Error::invalid(format!("{} in a tuple has no type: it is always None", subject(expr)))
                .with_hint(typing::typed_none_hint())
        })
    });
    let types: Vec<ColumnType> = types.collect::<Result<_>>()?;
    let elements = operands.iter().map(|(_, term)| *term).collect();
    let ty = Type::tuple(types);
    check_depth(ty)?;
    Ok(terms.add(Op::Tuple(elements), TermType::new(ty, false)))
}

/// Refuses a type that is too deep to be saved and read back.
pub(crate) fn check_depth(ty: Type) -> Result<()> {
    if ty.depth() <= MAX_DEPTH {
        return Ok(());
    }
    let (deep, most) = (ty.depth(), MAX_DEPTH);
    Err(Error::invalid(format!("tuples and lists are {deep} deep one in another, but {most} at most are possible")))
}

/// The term of an element.
pub(crate) fn get(
    terms: &mut Terms,
    (expr, from): Operand<'_>,
    (key, position): Operand<'_>,
    default: Option<Operand<'_>>,
) -> Result<TermId> {
    let (ty, key_type) = (terms.ty(from), terms.ty(position));
    let key_fits = match ty.ty {
        Some(Type::Tuple(elements)) => return tuple_element(terms, (expr, from), elements, (key, position), default),
        Some(Type::List(_)) => key_type.ty == Some(Type::Int),
        Some(Type::Json) => matches!(key_type.ty, Some(Type::Int | Type::Str)),
        _ => {
            let error = Error::invalid(format!("{} is {ty}, which has no elements", subject(expr)));
            return Err(error.with_hint("tuples, lists and JSON values have elements"));
        }
    };
    if !key_fits {
        let needed = one_of(if ty.ty == Some(Type::Json) { &[Type::Int, Type::Str] } else { &[Type::Int] });
        let message = format!("{} is {key_type}, but an element of {ty} is asked for by {needed}", subject(key));
        return Err(Error::invalid(message));
    }
    let element = match ty.ty {
        Some(Type::List(element)) => TermType::new(element.ty, element.optional),
        _ => TermType::new(Type::Json, false),
    };
    let optional = ty.optional || key_type.optional;
    let Some((default_expr, default)) = default else {
        let result = TermType { optional: element.optional || optional, ..element };
        return Ok(terms.add(Op::Get(from, position, None), result));
    };
    // Stands for the element, so that both are brought to one type.
    let found = terms.add(Op::Get(from, position, None), element);
    let (_, default, common) = unify_default(terms, (expr, found), (default_expr, default))?;
    let result = TermType { optional: common.optional || optional, ..common };
    Ok(terms.add(Op::Get(from, position, Some(default)), result))
}

/// An element and its default brought to one type, where the element's type stays.
fn unify_default(
    terms: &mut Terms,
    (expr, found): Operand<'_>,
    (default_expr, default): Operand<'_>,
) -> Result<(TermId, TermId, TermType)> {
    let both = unify(terms, "get", (expr, found), (default_expr, default));
    both.ok().filter(|(element, ..)| *element == found).ok_or_else(|| {
        let (element, given) = (terms.ty(found), terms.ty(default));
        let (of, default) = (subject(expr), spoken(default_expr));
        Error::invalid(format!("the elements of {of} are {element}, but the default {default} is {given}"))
    })
}

fn tuple_element(
    terms: &mut Terms,
    (expr, from): Operand<'_>,
    elements: &'static [ColumnType],
    (key, position): Operand<'_>,
    default: Option<Operand<'_>>,
) -> Result<TermId> {
    let ty = terms.ty(from);
    let Op::Literal(Literal::Int(number)) = *terms.op(position) else {
        let message = format!("{} is no number that is known from the start", subject(key));
        return Err(Error::invalid(format!("{message}, but the elements of {ty} differ in type"))
            .with_hint(format!("write the number of the element: {}", code(&expr.item(0)))));
    };
    let counted = if number < 0 { number.checked_add(elements.len() as i64) } else { Some(number) };
    let place = counted.and_then(|place| usize::try_from(place).ok()).filter(|place| *place < elements.len());
    match (place, default) {
        (Some(place), _) => {
            let element = elements[place];
            let result = TermType::new(element.ty, element.optional || ty.optional);
            Ok(terms.add(Op::Element(from, place), result))
        }
        (None, Some((_, default))) if terms.ty(default).ty.is_some() => Ok(default),
        (None, _) => Err(Error::invalid(format!("{} is {ty}, which has no element {number}", subject(expr)))),
    }
}

/// The term of the list of a value's elements, and their type.
pub(crate) fn elements(terms: &mut Terms, (expr, a): Operand<'_>) -> Result<(TermId, ColumnType)> {
    let ty = terms.ty(a);
    let element = match ty.ty {
        Some(Type::List(element)) => return Ok((a, *element)),
        Some(Type::Json) => Some(Type::Json.required()),
        Some(Type::Str) => Some(Type::Str.required()),
        Some(Type::Tuple([first, others @ ..])) => {
            others.iter().try_fold(*first, |common, other| common.common(*other))
        }
        _ => None,
    };
    let Some(element) = element else {
        let problem = match ty.ty {
            Some(Type::Tuple([_, ..])) => "whose elements are not of one type",
            _ => "which has no elements",
        };
        let error = Error::invalid(format!("{} is {ty}, {problem}", subject(expr)));
        return Err(error.with_hint("flatten takes a list, a tuple of one type, a JSON array or text"));
    };
    Ok((terms.add(Op::Elements(a), TermType::new(Type::list(element), ty.optional)), element))
}

/// The schema of a table whose column of this name becomes its elements.
pub(crate) fn flattened(schema: &Schema, column: &str) -> Result<Schema> {
    diagnostics::known("flatten", schema, &[column.to_owned()])?;
    let mut terms = Terms::default();
    let columns = schema.columns().iter().map(|c| {
        let ty = if c.name == column {
            let term = terms.input(0, c.ty);
            elements(&mut terms, (&col(column), term))?.1
        } else {
            c.ty
        };
        Ok((c.name.clone(), ty))
    });
    Ok(Schema::new(columns.collect::<Result<Vec<_>>>()?))
}

/// The term of the value that a JSON value is.
pub(crate) fn json_as(terms: &mut Terms, (expr, a): Operand<'_>, to: Type) -> Result<TermId> {
    let a = give_type(terms, a, Type::Json);
    let ty = terms.ty(a);
    if ty.ty != Some(Type::Json) {
        let (name, json) = (to.name(), Type::Json);
        let error = Error::invalid(format!("{} is {ty}, but as_{name}() needs {json}", subject(expr)));
        let castable = ty.ty.is_some_and(|ty| typing::castable(ty, to));
        return Err(if castable { error.with_hint(notation::cast(expr, to)) } else { error });
    }
    Ok(terms.add(Op::JsonAs(a), TermType::new(to, true)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::{Expr, lit};
    use crate::methods::make_tuple;
    use crate::typing;

    #[track_caller]
    fn check(expr: Expr, expect: &str) {
        let pair = Type::tuple([Type::Int.required(), Type::Str.optional()]);
        let schema = Schema::new([
            ("i", Type::Int.required()),
            ("s", Type::Str.required()),
            ("pair", pair.required()),
            ("ints", Type::list(Type::Int).required()),
            ("json", Type::Json.required()),
            ("json_opt", Type::Json.optional()),
            ("bytes", Type::Bytes.required()),
        ]);
        let found = match typing::select(&schema, &[("x".to_owned(), expr)]) {
            Ok(schema) => schema.to_string(),
            Err(error) => error.message().to_owned(),
        };
        assert_eq!(found, expect);
    }

    #[track_caller]
    fn check_flatten(ty: ColumnType, expect: &str) {
        let found = match flattened(&Schema::new([("i", Type::Int.required()), ("x", ty)]), "x") {
            Ok(schema) => schema.to_string(),
            Err(error) => error.message().to_owned(),
        };
        assert_eq!(found, expect);
    }

    #[test]
    fn a_flattened_column_is_of_the_type_of_its_elements() {
        check_flatten(Type::list(Type::Float.optional()).optional(), "i: int, x: float?");
        check_flatten(Type::tuple([Type::Int.required(), Type::Int.optional()]).required(), "i: int, x: int?");
        check_flatten(Type::Json.optional(), "i: int, x: json");
        check_flatten(Type::Str.required(), "i: int, x: str");
        let mixed = Type::tuple([Type::Int, Type::Float]).required();
        check_flatten(
            mixed,
            "column \"x\" is Type::tuple([Type::Int, Type::Float]), whose elements are not of one type",
        );
        check_flatten(Type::Bytes.optional(), "column \"x\" is Type::Bytes.optional(), which has no elements");
        check_flatten(Type::tuple([Type::Int; 0]).required(), "column \"x\" is Type::tuple([]), which has no elements");
    }

    const NONE: Literal = Literal::None;

    #[test]
    fn elements_have_their_types() {
        check(col("pair").item(0), "x: int");
        check(col("pair").item(-1), "x: str?");
        check(col("pair").get(2, "none"), "x: str");
        check(col("ints").item(col("i")), "x: int");
        check(col("ints").get(0, NONE), "x: int?");
        check(col("json").item("a").item(0), "x: json");
        check(col("json").get("a", NONE), "x: json?");
        check(col("json_opt").item(0).as_float(), "x: float?");
        check(make_tuple([col("i"), col("json_opt")]), "x: tuple[int, json?]");
        check(make_tuple([col("pair")]).item(0).item(1), "x: str?");
    }

    #[test]
    fn what_has_no_elements_is_refused_with_its_type() {
        check(col("i").item(0), "column \"i\" is Type::Int, which has no elements");
        check(
            col("pair").item(2),
            "column \"pair\" is Type::tuple([Type::Int.required(), Type::Str.optional()]), which has no element 2",
        );
        check(
            col("pair").item(col("i")),
            "column \"i\" is no number that is known from the start, but the elements of Type::tuple([Type::Int.required(), Type::Str.optional()]) differ in type",
        );
        check(
            col("ints").item("a"),
            "the value \"a\" is Type::Str, but an element of Type::list(Type::Int) is asked for by Type::Int",
        );
        check(
            col("ints").get(0, "a"),
            "the elements of column \"ints\" are Type::Int, but the default \"a\" is Type::Str",
        );
        check(col("s").as_int(), "column \"s\" is Type::Str, but as_int() needs Type::Json");
        check(make_tuple([lit(NONE)]), "the value None in a tuple has no type: it is always None");
    }

    #[test]
    fn casts_go_through_text() {
        check(col("pair").cast(Type::Str), "x: str");
        check(col("json").cast(Type::list(Type::Int)), "x: list[int]");
        check(col("bytes").cast(Type::Str), "x: str");
        check(col("json").cast(Type::Int), "column \"json\" is Type::Json, which cannot be cast to Type::Int");
        check(col("i").cast(Type::Json), "column \"i\" is Type::Int, which cannot be cast to Type::Json");
        check(col("bytes").cast(Type::Json), "column \"bytes\" is Type::Bytes, which cannot be cast to Type::Json");
    }

    #[test]
    fn json_has_no_order() {
        check(col("json").eq(col("json_opt")), "x: bool");
        check(
            col("json").lt(col("json")),
            "column \"json\" is Type::Json, and \"json\" is Type::Json: cannot apply < to Type::Json and Type::Json",
        );
        check(col("pair").lt(make_tuple([col("i"), col("s")])), "x: bool");
        check(
            col("pair").eq(col("ints")),
            "column \"pair\" is Type::tuple([Type::Int.required(), Type::Str.optional()]), but \"ints\" is Type::list(Type::Int): cannot apply == to Type::tuple([Type::Int.required(), Type::Str.optional()]) and Type::list(Type::Int)",
        );
    }
}
