//! `Expr`: an expression of the plan.

use millpond_columns::types::{ColumnType, Type};
use millpond_plan::notation::{code, spoken};
use millpond_plan::{
    BinaryOp, BoolWords, Expr, ExprKind, Literal, Reducer, TextFunction, TimeFormat, TimeFunction, TimeUnit, UnaryOp,
    text_codec,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyFloat, PyInt, PyString};

use crate::errors::{Place, origin};

/// An expression, with the line that wrote it.
#[pyclass(frozen, name = "Expr", module = "millpond._native")]
pub struct PyExpr(pub Expr);

fn at(place: Place, expr: Expr) -> PyExpr {
    PyExpr(expr.at(origin(place)))
}

#[pymethods]
impl PyExpr {
    #[staticmethod]
    fn column(name: String, place: Place) -> Self {
        at(place, millpond_plan::col(name))
    }

    /// A column of one side of a join: `left` or `right`.
    #[staticmethod]
    fn side_column(is_left: bool, name: String, place: Place) -> Self {
        at(place, if is_left { millpond_plan::left(name) } else { millpond_plan::right(name) })
    }

    /// Whether a column in it is of some table or side, and not of the table at hand.
    fn names_tables(&self) -> bool {
        self.0.names_tables()
    }

    #[staticmethod]
    fn literal(value: &Bound<'_, PyAny>, place: Place) -> PyResult<Self> {
        Ok(at(place, millpond_plan::lit(to_literal(value)?)))
    }

    #[staticmethod]
    fn if_else(condition: &PyExpr, then: &PyExpr, otherwise: &PyExpr, place: Place) -> Self {
        at(place, millpond_plan::if_else(&condition.0, &then.0, &otherwise.0))
    }

    #[staticmethod]
    fn coalesce(values: Vec<PyRef<'_, PyExpr>>, place: Place) -> Self {
        at(place, millpond_plan::coalesce(values.iter().map(|value| &value.0)))
    }

    fn unary(&self, operator: &str, place: Place) -> PyResult<Self> {
        Ok(at(place, Expr::unary(unary_op(operator)?, self.0.clone())))
    }

    fn binary(&self, operator: &str, other: &PyExpr, place: Place) -> PyResult<Self> {
        Ok(at(place, Expr::binary(binary_op(operator)?, self.0.clone(), other.0.clone())))
    }

    fn cast(&self, ty: &str, place: Place) -> PyResult<Self> {
        Ok(at(place, self.0.cast(to_type(ty)?)))
    }

    fn fill_error(&self, replacement: &PyExpr, place: Place) -> Self {
        at(place, self.0.fill_error(&replacement.0))
    }

    fn text(&self, function: &str, arguments: Vec<PyRef<'_, PyExpr>>, place: Place) -> PyResult<Self> {
        let function = text_function(function)?;
        Ok(at(place, self.0.str().call(function, arguments.iter().map(|argument| argument.0.clone()))))
    }

    fn parse_int(&self, optional: bool, place: Place) -> Self {
        at(place, self.0.str().call(TextFunction::ParseInt { optional }, []))
    }

    fn parse_float(&self, optional: bool, place: Place) -> Self {
        at(place, self.0.str().call(TextFunction::ParseFloat { optional }, []))
    }

    fn parse_bool(&self, true_values: Vec<String>, false_values: Vec<String>, optional: bool, place: Place) -> Self {
        let words = BoolWords::new(true_values, false_values).into();
        at(place, self.0.str().call(TextFunction::ParseBool { words, optional }, []))
    }

    fn time(&self, function: &str, arguments: Vec<PyRef<'_, PyExpr>>, place: Place) -> PyResult<Self> {
        let found = TimeFunction::PLAIN.into_iter().find(|plain| plain.name() == function);
        let function = found.ok_or_else(|| unknown("function of time", function))?;
        Ok(at(place, self.0.dt().call(function, arguments.iter().map(|argument| argument.0.clone()))))
    }

    fn timestamp(&self, unit: Option<&str>, place: Place) -> PyResult<Self> {
        let unit = unit.map(to_unit).transpose()?;
        Ok(at(place, self.0.dt().call(TimeFunction::Timestamp(unit), [])))
    }

    #[pyo3(name = "from_timestamp")]
    fn point_at(&self, unit: &str, utc: bool, place: Place) -> PyResult<Self> {
        Ok(at(place, self.0.dt().call(TimeFunction::FromTimestamp { unit: to_unit(unit)?, utc }, [])))
    }

    fn strftime(&self, format: &str, place: Place) -> Self {
        at(place, self.0.dt().strftime(format))
    }

    fn strptime(&self, format: &str, contains_timezone: Option<bool>, place: Place) -> Self {
        let format = TimeFormat::new(format).into();
        at(place, self.0.dt().call(TimeFunction::Strptime { format, contains_timezone }, []))
    }

    fn to_utc(&self, zone: &str, place: Place) -> Self {
        at(place, self.0.dt().to_utc(zone))
    }

    fn to_naive_in_timezone(&self, zone: &str, place: Place) -> Self {
        at(place, self.0.dt().to_naive_in_timezone(zone))
    }

    #[staticmethod]
    fn make_tuple(elements: Vec<PyRef<'_, PyExpr>>, place: Place) -> Self {
        at(place, millpond_plan::make_tuple(elements.iter().map(|element| &element.0)))
    }

    /// An element; without a default it must be there.
    fn get(&self, key: &PyExpr, default: Option<&PyExpr>, place: Place) -> Self {
        let default = default.map(|default| default.0.clone());
        at(place, Expr::new(ExprKind::Get(self.0.clone(), key.0.clone(), default)))
    }

    fn json_as(&self, ty: &str, place: Place) -> PyResult<Self> {
        Ok(at(place, Expr::new(ExprKind::JsonAs(self.0.clone(), to_type(ty)?))))
    }

    #[staticmethod]
    fn reducer(name: &str, arguments: Vec<PyRef<'_, PyExpr>>, skip_nones: bool, place: Place) -> PyResult<Self> {
        let arguments = arguments.iter().map(|argument| argument.0.clone());
        let reducer = to_reducer(name)?;
        Ok(at(place, Expr::reducer(if skip_nones { reducer.skipping_nones() } else { reducer }, arguments)))
    }

    fn __str__(&self) -> String {
        spoken(&self.0)
    }

    /// As it can be pasted into the program.
    fn code(&self) -> String {
        code(&self.0)
    }
}

/// How the program spells a type that the engine calls so.
#[pyfunction]
pub(crate) fn spell_type(name: &str, optional: bool) -> PyResult<String> {
    Ok(ColumnType { ty: to_type(name)?, optional }.to_string())
}

/// A type by its name.
pub(crate) fn to_type(name: &str) -> PyResult<Type> {
    name.parse().map_err(PyValueError::new_err)
}

/// A Python value as a literal; the package has checked that it is one, and makes a pair of the type and the
/// nanoseconds of a point in time or a duration, or of the type and the text of JSON.
pub(crate) fn to_literal(value: &Bound<'_, PyAny>) -> PyResult<Literal> {
    Ok(if value.is_none() {
        Literal::None
    } else if value.is_instance_of::<PyBool>() {
        Literal::Bool(value.extract()?)
    } else if value.is_instance_of::<PyInt>() {
        Literal::Int(value.extract()?)
    } else if value.is_instance_of::<PyFloat>() {
        Literal::Float(value.extract()?)
    } else if let Ok((ty, value)) = value.extract::<(String, i64)>() {
        Literal::of_int(to_type(&ty)?, value)
    } else if let Ok((ty, text)) = value.extract::<(String, String)>() {
        let (ty, mut stored) = (to_type(&ty)?, Vec::new());
        if !text_codec::read_json(ty, text.as_bytes(), &mut stored) {
            return Err(PyValueError::new_err(format!("{text:?} is not the JSON of a {ty}")));
        }
        Literal::Stored(ty, stored.into())
    } else if let Ok(bytes) = value.cast::<PyBytes>() {
        Literal::from(bytes.as_bytes())
    } else {
        Literal::from(value.cast::<PyString>()?.extract::<String>()?)
    })
}

/// A function of text that has no options, by its name.
fn text_function(name: &str) -> PyResult<TextFunction> {
    let function = TextFunction::PLAIN.into_iter().find(|function| function.name() == name);
    function.ok_or_else(|| unknown("function of text", name))
}

/// A unit of time by its symbol.
fn to_unit(symbol: &str) -> PyResult<TimeUnit> {
    TimeUnit::ALL.into_iter().find(|unit| unit.symbol() == symbol).ok_or_else(|| unknown("unit of time", symbol))
}

fn unary_op(symbol: &str) -> PyResult<UnaryOp> {
    Ok(match symbol {
        "-" => UnaryOp::Neg,
        "abs" => UnaryOp::Abs,
        "~" => UnaryOp::Not,
        "is_none" => UnaryOp::IsNone,
        "is_not_none" => UnaryOp::IsNotNone,
        "unwrap" => UnaryOp::Unwrap,
        _ => return Err(unknown("operator", symbol)),
    })
}

fn binary_op(symbol: &str) -> PyResult<BinaryOp> {
    use BinaryOp::*;
    [Add, Sub, Mul, Div, FloorDiv, Mod, Pow, Eq, Ne, Lt, Le, Gt, Ge, And, Or, Xor]
        .into_iter()
        .find(|op| op.symbol() == symbol)
        .ok_or_else(|| unknown("operator", symbol))
}

fn to_reducer(name: &str) -> PyResult<Reducer> {
    Reducer::ALL.into_iter().find(|reducer| reducer.name() == name).ok_or_else(|| unknown("reducer", name))
}

fn unknown(what: &str, name: &str) -> PyErr {
    PyValueError::new_err(format!("no {what} {name:?}"))
}
