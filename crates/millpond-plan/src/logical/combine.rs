//! What identifies a row, and which tables may be combined by it.

use std::fmt;
use std::sync::Arc;

use millpond_columns::dialect::hint;
use millpond_columns::types::{ColumnType, Schema, Type};
use millpond_error::{Error, Origin, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::anchor::{Anchor, Keyed, KeyedOutput, Results};
use super::carry::{self, Carrying, uncarried};
use super::describe::Described;
use super::lower::Lowering;
use super::pipeline::Pipeline;
use super::saved::{Call, Saver};
use super::select::json_or_none;
use super::{Operation, Table};
use crate::diagnostics;
use crate::errors::Lineage;
use crate::eval::Root;
use crate::expr::{Expr, col};
use crate::notation::code;
use crate::physical::{Explanation, Inputs, KeyedSpec};
use crate::terms::{Op, Terms};
use crate::typing::{self, RowScope};

/// How rows of one identity become one. In each table that gives cells, an identity has at most one row at the end of
/// each epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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

/// The parameters of a `Combine` node, which has a port for each table. The rows of a port are its identity, then, of a
/// table that gives cells, the columns of `row`.
///
/// It combines the rows of several tables that have one identity into at most one row; its output: the identity
/// columns, then the others.
#[derive(Clone, Debug)]
pub struct CombineSpec {
    /// Which rows it gives.
    pub combination: Combination,
    /// How many columns the identity has: the key.
    pub key: usize,
    /// The other columns of the output, and of the tables that give cells; those that the second table lacks are null
    /// in it.
    pub row: Schema,
    /// Positions in `row`, ascending, of what the second table says where it has the row.
    pub updated: Vec<usize>,
    /// The place in the program, for errors in the data.
    pub origin: Origin,
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

impl Table {
    /// The rows of this table whose identity `other` has not.
    pub fn difference(&self, other: &Table, origin: &Origin) -> Result<Table> {
        Ok(self.combine(std::slice::from_ref(other), Combination::Difference, origin)?.into_part_of(self))
    }

    /// The rows of this table whose identity all of `others` have.
    pub fn intersect(&self, others: &[Table], origin: &Origin) -> Result<Table> {
        Ok(self.combine(others, Combination::Intersect, origin)?.into_part_of(self))
    }

    /// The rows of `other`, and those of this table whose identity it has not. Both have the same columns, in any
    /// order.
    pub fn update_rows(&self, other: &Table, origin: &Origin) -> Result<Table> {
        self.combine(std::slice::from_ref(other), Combination::UpdateRows, origin)
    }

    /// The rows of this table, with the cells of `other` where that has the identity. All columns of `other` are
    /// columns of this table.
    pub fn update_cells(&self, other: &Table, origin: &Origin) -> Result<Table> {
        self.combine(std::slice::from_ref(other), Combination::UpdateCells, origin)
    }

    fn combine(&self, others: &[Table], combination: Combination, origin: &Origin) -> Result<Table> {
        let inputs: Vec<Table> = std::iter::once(self).chain(others).cloned().collect();
        let described: Vec<_> = inputs
            .iter()
            .map(|table| Input { schema: table.schema(), identity: table.identity(), origin: table.origin() })
            .collect();
        let Checked { schema, identity } = check(combination, &described).map_err(|error| error.at(origin))?;
        let inputs = json_or_none(inputs, &schema, origin)?;
        let append_only = combination == Combination::Intersect && inputs.iter().all(Table::append_only);
        Ok(Table::new(combination, inputs, schema, Some(identity), append_only, origin))
    }
}

impl Operation for Combination {
    fn describe(&self, of: &Described<'_>) -> Option<Value> {
        Some(json!({ "operator": self.name(), "inputs": of.inputs }))
    }

    fn asks_identity(&self, _: bool) -> bool {
        true
    }

    fn keeps_state(&self) -> bool {
        true
    }

    fn save(&self, _: &mut Saver) -> (&'static str, Value) {
        ("combine", json!({ "rows": self }))
    }

    /// The other columns are laid out in the order of their names, since that of the outputs of a select is not
    /// described. A column that is the identity, or a part of it, in every table that gives it is not kept twice.
    fn lower(&self, table: &Table, lowering: &mut Lowering) -> Result<Pipeline> {
        lowering.pipeline_on(table, |lowering| {
            let mut inputs = Vec::with_capacity(table.inputs().len());
            for input in table.inputs() {
                inputs.push(lowering.pipeline(input)?);
            }
            let giving = if self.updates() { 2 } else { 1 };
            let identity = named_types(table.identity().expect("a combination has an identity"));
            let key = identity.len();
            let mut columns = named_types(table.schema());
            columns.sort_unstable_by(|a, b| a.0.cmp(&b.0));
            columns.retain(|(name, _)| part_of_identity(&inputs[..giving], name).is_none());
            let place = |name: &str| {
                let column = columns.iter().position(|(other, _)| other == name).map(|column| key + column);
                column.or_else(|| part_of_identity(&inputs[..giving], name)).expect("it is one or the other")
            };
            let places: Vec<usize> = table.schema().columns().iter().map(|column| place(&column.name)).collect();
            let second = table.inputs()[1].schema();
            let carried = lowering.errors.carry_by_name(&mut inputs[..giving], &mut columns);
            let of_second =
                |name: &str| carried.iter().find(|carried| carried.lane_is(name)).map(|carried| &carried.name);
            let updates =
                |name: &str| self.updates() && second.index_of(of_second(name).map_or(name, String::as_str)).is_some();
            let updated: Vec<usize> = (0..columns.len()).filter(|&column| updates(&columns[column].0)).collect();
            let mut outputs: Vec<(String, ColumnType)> = identity.iter().chain(&columns).cloned().collect();
            // That another table's identity may be null makes no cell null that comes from this one.
            let kept = |name: &str| carried.iter().any(|carried| carried.name == name);
            let declared = places.iter().zip(table.schema().columns()).filter(|(_, column)| !kept(&column.name));
            declared.for_each(|(place, column)| outputs[*place].1 = column.ty);
            for (number, rows) in inputs.iter_mut().enumerate() {
                let given = |&column: &usize| number == 0 || number < giving && updated.contains(&column);
                let given = (0..columns.len()).filter(|column| number < giving && given(column));
                let names: Vec<&String> = given.map(|column| &columns[column].0).collect();
                lowering.place_identity(table, rows);
                rows.identified(&identity, &names);
            }
            let spec = CombineSpec {
                combination: *self,
                key,
                row: Schema::new(columns.iter().cloned()),
                updated,
                origin: table.origin().clone(),
            };
            let schema = Schema::new(outputs);
            let results = Results::plain(&schema);
            let mut results = Results {
                columns: places.iter().map(|place| results.columns[*place].clone()).collect(),
                identity: results.columns[..key].to_vec(),
                ..results
            };
            for (column, declared) in results.columns.iter_mut().zip(table.schema().columns()) {
                if let Some(carried) = carried.iter().find(|carried| carried.name == declared.name) {
                    let mark = outputs_at(&schema, carried.mark());
                    let mark = results.terms.input(mark, schema.columns()[mark].ty);
                    column.term = uncarried(&mut results.terms, column.term, mark, declared.ty, carried.from);
                }
            }
            let keys = vec![(0..key).collect(); inputs.len()];
            let (spec, output) = (Arc::new(spec), KeyedOutput::by_key(key));
            let keyed = Keyed { spec, keys, expands: None, clock: None, output };
            Ok(Anchor { schema, results, ..lowering.keyed(self.name(), table, inputs, keyed) })
        })
    }
}

/// The table of a saved combination.
pub(super) fn load(call: &Call<'_>) -> Result<Table> {
    let (table, origin) = (call.this()?, &call.origin);
    match call.value("rows")? {
        Combination::Difference => table.difference(call.other()?, origin),
        Combination::Intersect => table.intersect(call.others(), origin),
        Combination::UpdateRows => table.update_rows(call.other()?, origin),
        Combination::UpdateCells => table.update_cells(call.other()?, origin),
    }
}

/// A column that is carried, and the name of its lane, if it has one.
struct ByName {
    name: String,
    lane: Option<String>,
    from: Lineage,
}

impl ByName {
    fn lane_is(&self, name: &str) -> bool {
        self.lane.as_deref() == Some(name)
    }

    /// The name of the column that is null for an error.
    fn mark(&self) -> &str {
        self.lane.as_ref().unwrap_or(&self.name)
    }
}

impl Carrying {
    /// Makes those of `columns` fit to be carried that can be errors in one of these tables, and adds their lanes.
    fn carry_by_name(&mut self, tables: &mut [Pipeline], columns: &mut Vec<(String, ColumnType)>) -> Vec<ByName> {
        let mut carried = Vec::new();
        for at in 0..columns.len() {
            let (name, ty) = columns[at].clone();
            let place = |rows: &Pipeline| rows.columns.iter().position(|(other, _)| *other == name);
            let can_fail =
                |rows: &Pipeline| place(rows).is_some_and(|at| rows.terms.is_fallible(rows.columns[at].1.term));
            if !tables.iter().any(can_fail) {
                continue;
            }
            let taken = |lane: &str| columns.iter().any(|(name, _)| name == lane);
            let mut lane = carry::lane(&name);
            while taken(&lane) {
                lane = carry::lane(&lane);
            }
            let lane = ty.optional.then_some(lane);
            let mut lineages = Vec::new();
            for rows in tables.iter_mut() {
                if let Some(position) = place(rows) {
                    lineages.extend(self.carry_column(rows, position, lane.as_deref()));
                }
            }
            columns[at].1.optional = true;
            columns.extend(lane.iter().map(|lane| (lane.clone(), Type::Bool.optional())));
            carried.push(ByName { name, lane, from: self.places.lineage([], lineages) });
        }
        carried
    }
}

impl Lowering {
    /// Leaves out the rows whose identity is an error, unless that ends the run; the error log has them.
    fn place_identity(&mut self, table: &Table, rows: &mut Pipeline) {
        let identity: Vec<(String, Root)> =
            rows.identity.iter().map(|root| ("the identity".to_owned(), root.clone())).collect();
        self.tap(table, "identity", rows, &identity);
        let mut sound = Vec::new();
        for (_, root) in &identity {
            let ty = rows.terms.ty(root.term);
            self.errors.keep_sound(rows, "the identity", [root.clone()]);
            let term =
                if rows.terms.is_fallible(root.term) { rows.terms.add(Op::Sound(root.term), ty) } else { root.term };
            sound.push(Root { term, ..root.clone() });
        }
        rows.identity = sound;
    }
}

/// Where the column of this name is.
fn outputs_at(schema: &Schema, name: &str) -> usize {
    schema.columns().iter().rposition(|column| column.name == name).expect("the column is carried")
}

impl KeyedSpec for CombineSpec {
    fn name(&self) -> &'static str {
        self.combination.name()
    }

    fn explain(&self, inputs: &Inputs<'_>) -> Explanation {
        let key: Vec<usize> = (0..self.key).collect();
        let lines = vec![
            format!("identity: {}", inputs.names(0, &key)),
            "state: the rows of all tables, by identity".to_owned(),
        ];
        Explanation { what: self.name().to_owned(), lines, ..Explanation::default() }
    }

    fn why_not_append_only(&self) -> &'static str {
        match self.combination {
            Combination::Difference => "a row goes when another table gets its identity",
            _ => "a row may be replaced",
        }
    }
}

impl fmt::Display for CombineSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key {:?}: {}", (0..self.key).collect::<Vec<_>>(), self.row)?;
        if self.updated.is_empty() { Ok(()) } else { write!(f, " updated {:?}", self.updated) }
    }
}

/// Where in the identity a column stands, if it does so in each of these tables that has it.
fn part_of_identity(tables: &[Pipeline], name: &str) -> Option<usize> {
    let mut parts = tables.iter().filter_map(|rows| {
        let (_, column) = rows.columns.iter().find(|(other, _)| other == name)?;
        Some(rows.identity.iter().position(|part| part.term == column.term))
    });
    let first = parts.next()??;
    parts.all(|part| part == Some(first)).then_some(first)
}

fn named_types(schema: &Schema) -> Vec<(String, ColumnType)> {
    schema.columns().iter().map(|column| (column.name.clone(), column.ty)).collect()
}

impl Pipeline {
    /// Makes it the identity, then these columns.
    fn identified(&mut self, identity: &[(String, ColumnType)], names: &[&String]) {
        let identity = identity.iter().map(|(name, _)| name.clone()).zip(self.identity.clone());
        let column = |name: &&String| self.columns.iter().find(|(other, _)| other == *name).cloned();
        let columns: Vec<_> = identity.chain(names.iter().filter_map(column)).collect();
        let types = columns.iter().map(|(name, root)| {
            let ty = self.terms.ty(root.term).column().expect("columns and identities have types");
            (name.clone(), ty)
        });
        self.schema = Schema::new(types);
        self.columns = columns;
    }
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
