//! What identifies a row, and which tables may be combined by it.

use millpond_columns::dialect::hint;
use millpond_columns::types::{ColumnType, Schema};
use millpond_error::{Error, Origin, Result};

use crate::diagnostics;
use crate::expr::{Expr, col};
use crate::notation::code;
use crate::terms::Terms;
use crate::typing::{self, RowScope};

/// How rows of one identity become one. In each table that gives cells, an identity has at most one row at the end of
/// each epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Combination {
    /// The rows of the first table whose identity the second has not.
    Difference,
    /// The rows of the first table whose identity all others have.
    Intersect,
    /// The rows of the second table, and those of the first whose identity it has not.
    UpdateRows,
    /// The rows of the first table, with cells of the second where that has the identity.
    UpdateCells,
}

impl Combination {
    /// The name of its method.
    pub fn name(self) -> &'static str {
        match self {
            Combination::Difference => "difference",
            Combination::Intersect => "intersect",
            Combination::UpdateRows => "update_rows",
            Combination::UpdateCells => "update_cells",
        }
    }

    /// Whether the second table gives cells, and not only its identities.
    pub fn updates(self) -> bool {
        matches!(self, Combination::UpdateRows | Combination::UpdateCells)
    }
}

/// A combination of tables that fit.
pub(crate) struct Checked {
    /// The columns of the result.
    pub schema: Schema,
    /// What identifies its rows: the names of the first table, and the types of all.
    pub identity: Schema,
}

/// What is asked of a table that is to be combined with others.
pub(crate) struct Input<'a> {
    pub schema: &'a Schema,
    pub identity: Option<&'a Schema>,
    /// Where the table was made.
    pub origin: &'a Origin,
}

/// The names and types of the values that are to identify a row.
pub(crate) fn identity(schema: &Schema, columns: &[Expr]) -> Result<Schema> {
    if columns.is_empty() {
        return Err(Error::invalid("with_id_from needs a column"));
    }
    let mut terms = Terms::default();
    let inputs = typing::input_terms(&mut terms, schema);
    let mut scope = RowScope { schema, columns: &inputs, in_reducer: false };
    let mut identity = Vec::with_capacity(columns.len());
    for expr in columns {
        let term = typing::term(&mut terms, &mut scope, expr)?;
        let ty = terms.ty(term).column().ok_or_else(|| {
            let error = Error::invalid(format!("{} identifies no row: it is always None", diagnostics::subject(expr)));
            diagnostics::at(error, expr)
        })?;
        let name = expr.column_name().map_or_else(|| expr.to_string(), str::to_owned);
        identity.push((name, ty));
    }
    Ok(Schema::new(identity))
}

/// Checks that the tables fit.
pub(crate) fn check(combination: Combination, tables: &[Input<'_>]) -> Result<Checked> {
    let place = combination.name();
    let [first, second, ..] = tables else {
        return Err(Error::invalid(format!("{place} needs another table")));
    };
    let identity = common_identity(place, tables)?;
    let schema = match combination {
        Combination::Difference | Combination::Intersect => first.schema.clone(),
        Combination::UpdateRows => typing::same_columns(place, &[first.schema, second.schema])?,
        Combination::UpdateCells => updated(place, first.schema, second.schema)?,
    };
    Ok(Checked { schema, identity })
}

/// The identity that the rows of all tables have.
fn common_identity(place: &str, tables: &[Input<'_>]) -> Result<Schema> {
    let mut common: Vec<(String, ColumnType)> = Vec::new();
    for (number, table) in (1..).zip(tables) {
        let Some(found) = table.identity else {
            let made = table.origin;
            let error = Error::invalid(format!(
                "nothing is known to identify the rows of table {number} of the {place}, the one of {made}"
            ));
            return Err(error.with_hint(with_id_from(table)));
        };
        let found = found.columns();
        if number == 1 {
            common = found.iter().map(|column| (column.name.clone(), column.ty)).collect();
        }
        let fits = common.len() == found.len() && common.iter().zip(found).all(|((_, ty), there)| ty.ty == there.ty.ty);
        if !fits {
            let (first, other) = (by(tables[0].identity), by(table.identity));
            let error = Error::invalid(format!(
                "the rows of table 1 of the {place} are identified by {first}, but those of table {number} by {other}"
            ));
            return Err(error.with_hint(with_id_from(table)));
        }
        common.iter_mut().zip(found).for_each(|((_, ty), there)| ty.optional |= there.ty.optional);
    }
    Ok(Schema::new(common))
}

/// The call that says what identifies the rows of a table, for example of its first column.
fn with_id_from(table: &Input<'_>) -> String {
    let first = table.schema.columns().first().map_or("id", |column| column.name.as_str());
    let column = code(&col(first));
    let columns = hint("[COLUMN]", "COLUMN").replace("COLUMN", &column);
    format!("say which columns do, for example with_id_from({columns})")
}

/// `user: str, day: int`
fn by(identity: Option<&Schema>) -> String {
    match identity {
        Some(identity) if !identity.is_empty() => {
            let columns = identity.columns().iter().map(|column| format!("{}: {}", column.name, column.ty));
            columns.collect::<Vec<_>>().join(", ")
        }
        _ => "no column, since there is one row".to_owned(),
    }
}

/// The columns of `schema`, some of whose cells come from a table of the columns `cells`.
fn updated(place: &str, schema: &Schema, cells: &Schema) -> Result<Schema> {
    let mut columns: Vec<(String, ColumnType)> =
        schema.columns().iter().map(|column| (column.name.clone(), column.ty)).collect();
    for column in cells.columns() {
        let Some(position) = schema.index_of(&column.name) else {
            let known = schema.columns().iter().map(|column| column.name.as_str());
            return Err(diagnostics::no_column(&column.name, known).context(format!("table 1 of the {place}")));
        };
        typing::same_type(place, &column.name, &mut columns[position].1, column.ty, 2)?;
    }
    Ok(Schema::new(columns))
}
