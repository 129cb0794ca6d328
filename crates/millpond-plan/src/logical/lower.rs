//! From tables to the plan that runs.
//!
//! Every table stands on an *anchor*: the source, keyed operator (group, session, window, combination), concat or
//! flatten nearest to it, with the selects and filters between them fused into one [`MapStage`](crate::MapStage). So a
//! plan is anchors, and a map wherever an anchor or a sink reads what is not just another anchor's output. Equal maps
//! of one anchor are one node.
//!
//! - *Pruning.* A column that nothing needs is not computed, and a source reads only the columns that the maps on it
//!   need, through any concat or flatten. What a keyed operator keeps never depends on who reads it: its state must be
//!   the same in every program that describes it alike.
//! - *Names and descriptions* are made of the tables as written, so no rewriting changes them.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use millpond_columns::dialect::{hint, quoted};
use millpond_columns::types::Schema;
use millpond_error::{Error, Result};
use serde_json::Value;

use super::anchor::{Anchor, AnchorOperator, Keyed, Results};
use super::carry::{self, Carrying, OnError};
use super::describe::{self, Read, ReadColumns, describe};
use super::emission::Emission;
use super::pipeline::Pipeline;
use super::{SinkDecl, Table};
use crate::declare::SourceDecl;
use crate::deep::deep_of;
use crate::diagnostics::subject;
use crate::eval::Root;
use crate::expr::Expr;
use crate::notation::spoken;
use crate::physical::{PhysicalPlan, Sink, Step};
use crate::saved_plan::SavedPlan;
use crate::terms::TermId;

/// Makes the plan that the engine runs of what a program writes.
///
/// # Errors
///
/// An `Invalid` error if two sources have the same name.
pub fn lower(sinks: Vec<SinkDecl>, on_error: OnError) -> Result<PhysicalPlan> {
    let given = given_names(&sinks)?;
    let logs: Vec<bool> = sinks.iter().map(|sink| sink.table.holds_error_log()).collect();
    let errors = Carrying { on_error, taps_are_open: logs.contains(&true), ..Carrying::default() };
    let mut lowering = Lowering { names: source_names(&sinks, &given), given, errors, ..Lowering::default() };
    // The error log tells of all that does not read it, whichever side of a join it is on.
    let mut order: Vec<usize> = (0..sinks.len()).collect();
    order.sort_by_key(|sink| logs[*sink]);
    let mut written = vec![None; sinks.len()];
    for sink in order {
        if logs[sink] {
            lowering.tell_of(&sinks[sink].table)?;
        }
        let mut rows = lowering.pipeline(&sinks[sink].table)?;
        lowering.errors.end(&mut rows);
        written[sink] = Some(rows);
    }
    let written: Vec<Pipeline> = written.into_iter().flatten().collect();
    // While columns are where the tables have them.
    let read: Vec<ReadColumns> = written.iter().map(|rows| lowering.read_columns([rows])).collect();
    let described: Vec<Sink> = sinks.iter().map(|sink| lowering.described(sink)).collect();
    for rows in &written {
        lowering.use_columns(rows);
    }
    lowering.prune();
    let places = Arc::new(std::mem::take(&mut lowering.errors.places));
    let mut plan = Emission::new(&lowering.anchors, &lowering.given, (places, &lowering.errors.logged));
    for anchor in 0..lowering.anchors.len() {
        plan.anchor(anchor);
    }
    let inputs = sinks.iter().zip(&written).zip(&read);
    let inputs: Vec<_> = inputs.map(|((sink, rows), read)| (plan.written(sink, rows, read), rows)).collect();
    // Last, so that the other nodes are numbered without holes.
    for (index, (input, rows)) in inputs.into_iter().enumerate() {
        plan.sink(index, input, rows);
    }
    Ok(PhysicalPlan { program: SavedPlan::of(&sinks), ..plan.finish(described) })
}

/// Anchors found so far, each after those that it reads.
#[derive(Default)]
pub(crate) struct Lowering {
    anchors: Vec<Anchor>,
    /// The tables of the anchors, in the same order.
    tables: Vec<Table>,
    /// The number of the anchor that a table is, by its place in memory.
    numbers: HashMap<*const (), usize>,
    /// Names of sources, by their place in memory.
    names: HashMap<*const SourceDecl, String>,
    /// The names that the program gives.
    given: HashSet<String>,
    /// How many unnamed steps have this path.
    twins: HashMap<String, usize>,
    /// How many tables are being lowered, each for the one before.
    levels: u32,
    /// What it knows of error values.
    pub(super) errors: Carrying,
}

impl Lowering {
    /// The table over its anchor, whose needed columns are not marked yet.
    pub(super) fn pipeline(&mut self, table: &Table) -> Result<Pipeline> {
        self.levels += 1;
        let rows = deep_of(self.levels, || table.operation().lower(table, self));
        self.levels -= 1;
        rows
    }

    /// Lowers what a table is made of that holds no error log, which tells of it.
    fn tell_of(&mut self, table: &Table) -> Result<()> {
        let telling = table.with_all_before().into_iter().filter(|table| table.holds_error_log());
        let told = telling.flat_map(Table::inputs).filter(|table| !table.holds_error_log());
        told.into_iter().try_for_each(|table| self.pipeline(table).map(drop))
    }

    /// A table that is an anchor, which `make` makes when it is first asked for; equal tables made by two calls are
    /// two.
    pub(super) fn pipeline_on(
        &mut self,
        table: &Table,
        make: impl FnOnce(&mut Self) -> Result<Anchor>,
    ) -> Result<Pipeline> {
        let anchor = match self.numbers.get(&table.address()) {
            Some(known) => *known,
            None => {
                let anchor = make(self)?;
                self.anchors.push(anchor);
                self.tables.push(table.clone());
                self.numbers.insert(table.address(), self.anchors.len() - 1);
                self.anchors.len() - 1
            }
        };
        let results = self.anchors[anchor].results.clone();
        let names = table.schema().columns().iter().map(|column| column.name.clone());
        Ok(Pipeline {
            anchor,
            anchor_schema: self.anchors[anchor].schema.clone(),
            terms: results.terms,
            predicates: Vec::new(),
            columns: names.zip(results.columns).collect(),
            identity: results.identity,
            schema: table.schema().clone(),
        })
    }

    /// The anchor of a keyed operator over rows that are laid out as it reads them.
    pub(super) fn keyed(&mut self, name: &str, table: &Table, inputs: Vec<Pipeline>, keyed: Keyed) -> Anchor {
        inputs.iter().for_each(|rows| self.use_columns(rows));
        let description = describe(table, &self.read_columns(&inputs), &self.errors.logged);
        let step = match table.name() {
            Some(name) => Step { name: name.to_owned(), description },
            None => Step { description, ..self.stateless_step(&inputs[0], name) },
        };
        Anchor::new(AnchorOperator::Keyed(keyed), inputs, table, step)
    }

    /// The columns that the anchor of these rows gives.
    pub(super) fn output_of(&self, rows: &Pipeline) -> &Schema {
        &self.anchors[rows.anchor].schema
    }

    /// Has the error log look at what an operation on single rows makes of `before`.
    pub(super) fn tap(&mut self, table: &Table, operation: &str, before: &Pipeline, made: &[(String, Root)]) {
        if self.errors.taps_are_open {
            let step = format!("{}/{operation}", self.anchors[before.anchor].step.name);
            self.errors.tap(table, &step, before, made, None);
        }
    }

    /// The same for columns, by their names.
    pub(super) fn tap_columns(&mut self, table: &Table, operation: &str, before: &Pipeline, made: &[(String, Root)]) {
        if self.errors.taps_are_open {
            let made: Vec<_> = made.iter().map(|(name, root)| (carry::column(name), root.clone())).collect();
            self.tap(table, operation, before, &made);
        }
    }

    /// Leaves out the rows whose place in the windows of `table`, made of these terms, is an error, unless that ends
    /// the run; the error log has each once. `time` is what the program says of it.
    pub(super) fn place_rows(
        &mut self,
        table: &Table,
        rows: &mut Pipeline,
        time: &Expr,
        terms: impl IntoIterator<Item = TermId>,
    ) {
        let fallible: Vec<TermId> = terms.into_iter().filter(|term| rows.terms.is_fallible(*term)).collect();
        let mut before = rows.clone();
        for term in fallible {
            let place = [(subject(time), Root { term, origin: time.origin().cloned() })];
            if self.errors.taps_are_open {
                let step = format!("{}/windowby", self.anchors[before.anchor].step.name);
                self.errors.tap(table, &step, &before, &place, Some(&spoken(time)));
            }
            // A row whose first window is an error is told of once.
            before.without_errors_of(term);
            let [(what, root)] = place;
            self.errors.keep_sound(rows, &what, [root]);
        }
    }

    /// Has the error log look at what an operation with state makes of its results.
    pub(super) fn tap_results(&mut self, table: &Table, anchor: &Anchor) {
        if !self.errors.taps_are_open {
            return;
        }
        let Results { terms, columns, .. } = &anchor.results;
        let before = Pipeline {
            anchor: self.anchors.len(),
            anchor_schema: anchor.schema.clone(),
            terms: terms.clone(),
            predicates: Vec::new(),
            columns: Vec::new(),
            identity: Vec::new(),
            schema: Schema::new(Vec::<(String, millpond_columns::types::ColumnType)>::new()),
        };
        let names = table.schema().columns().iter().map(|made| carry::column(&made.name));
        let made: Vec<_> = names.zip(columns.iter().cloned()).collect();
        self.errors.tap(table, &anchor.step.name, &before, &made, None);
    }

    /// Whether a row that is removed from these rows may be one that is added to them in the same epoch.
    pub(super) fn cancels(&self, rows: &Pipeline) -> bool {
        self.anchors[rows.anchor].cancels()
    }

    /// The step of a source, which is described when all are known that read it.
    pub(super) fn source_step(&self, source: &Arc<SourceDecl>) -> Step {
        Step { name: self.names[&Arc::as_ptr(source)].clone(), description: Value::Null }
    }

    /// The name of a table that has no state and stands on nothing.
    pub(super) fn step_of_none(&mut self, operator: &str) -> Step {
        Step { name: ordinal(&mut self.twins, &self.given, operator.to_owned()), description: Value::Null }
    }

    /// The name of a table over these rows that has no state.
    pub(super) fn stateless_step(&mut self, rows: &Pipeline, operator: &str) -> Step {
        let path = format!("{}/{operator}", self.anchors[rows.anchor].step.name);
        Step { name: ordinal(&mut self.twins, &self.given, path), description: Value::Null }
    }

    /// Leaves the columns of concats and flattens out that nothing needs, once all that read them are known: the last
    /// first.
    fn prune(&mut self) {
        for position in (0..self.anchors.len()).rev() {
            let anchor = &mut self.anchors[position];
            if !anchor.is_pruned() {
                continue;
            }
            let used: Vec<usize> = anchor.used.iter().copied().collect();
            anchor.inputs.iter_mut().for_each(|rows| rows.narrow(&used));
            let read: Vec<(usize, Vec<usize>)> =
                anchor.inputs.iter().map(|rows| (rows.anchor, rows.inputs())).collect();
            read.into_iter().for_each(|(anchor, columns)| self.anchors[anchor].used.extend(columns));
        }
    }

    /// Marks the columns of an anchor that these rows need.
    fn use_columns(&mut self, rows: &Pipeline) {
        self.anchors[rows.anchor].used.extend(rows.inputs());
    }

    /// The columns of sources that these rows need, whatever else of the program needs. Each anchor is looked at once,
    /// after all that read it.
    fn read_columns<'a>(&self, rows: impl IntoIterator<Item = &'a Pipeline>) -> ReadColumns {
        let mut needed: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
        for rows in rows {
            needed.entry(rows.anchor).or_default().extend(rows.inputs());
        }
        let mut read = ReadColumns::new();
        while let Some((position, columns)) = needed.pop_last() {
            let anchor = &self.anchors[position];
            if let AnchorOperator::Source(source) = &anchor.operator {
                let name = anchor.step.name.clone();
                read.insert(Arc::as_ptr(source), Read { name, columns });
                continue;
            }
            let columns = anchor.needs(&columns);
            for rows in &anchor.inputs {
                needed.entry(rows.anchor).or_default().extend(rows.inputs_of(columns.as_ref()));
            }
        }
        read
    }

    /// A sink with the whole description of what it gets. The steps before it are only named, since they are described
    /// themselves.
    fn described(&self, sink: &SinkDecl) -> Sink {
        let step = |table: &Table| {
            let anchor = &self.anchors[*self.numbers.get(&table.address())?];
            anchor.keeps_state().then(|| anchor.step.name.clone())
        };
        Sink {
            name: sink.name.clone(),
            kind: sink.kind.clone(),
            description: describe::output(sink, &self.errors.logged, &step),
            origin: sink.origin.clone(),
            connector: sink.connector.clone(),
        }
    }
}

/// `path-0` for the first of its path, `path-1` for its twin, and so on, but for names that the program gives.
pub(super) fn ordinal(twins: &mut HashMap<String, usize>, given: &HashSet<String>, path: String) -> String {
    let count = twins.entry(path.clone()).or_default();
    loop {
        *count += 1;
        let name = format!("{path}-{}", *count - 1);
        if !given.contains(&name) {
            return name;
        }
    }
}

/// The sources that these outputs read, each once, in the order of the program.
pub fn sources(sinks: &[SinkDecl]) -> Vec<Arc<SourceDecl>> {
    sources_of(sinks).into_iter().cloned().collect()
}

fn sources_of(sinks: &[SinkDecl]) -> Vec<&Arc<SourceDecl>> {
    let mut sources: Vec<&Arc<SourceDecl>> = Vec::new();
    for source in sinks.iter().flat_map(|sink| sink.table.sources()) {
        if !sources.iter().any(|known| Arc::ptr_eq(known, source)) {
            sources.push(source);
        }
    }
    sources
}

/// The names of sources and tables that the program gives, each once.
fn given_names(sinks: &[SinkDecl]) -> Result<HashSet<String>> {
    let mut given = HashSet::new();
    let mut seen = HashSet::new();
    for source in sources_of(sinks) {
        if let Some(name) = &source.name
            && !given.insert(name.clone())
        {
            let error = Error::invalid(format!("two sources are named {}", quoted(name)));
            let own = hint(".name(NAME)", "name=NAME").replace("NAME", &quoted(&format!("{name}-2")));
            let hint = format!("saved state is found by name: give each its own, such as {own}");
            return Err(error.with_hint(hint).at(&source.origin));
        }
    }
    for table in sinks.iter().flat_map(|sink| sink.table.with_all_before()) {
        if let Some(name) = table.name().filter(|_| seen.insert(table.address()))
            && !given.insert(name.to_owned())
        {
            let error = Error::invalid(format!("two tables, or a table and a source, are named {}", quoted(name)));
            let own = format!(".named({})", quoted(&format!("{name}-2")));
            let hint = format!("saved state is found by name: give each its own, such as {own}");
            return Err(error.with_hint(hint).at(table.origin()));
        }
    }
    Ok(given)
}

/// The names of all sources that the sinks read: the user's, or the kind with an ordinal that no name of the program
/// has.
fn source_names(sinks: &[SinkDecl], given: &HashSet<String>) -> HashMap<*const SourceDecl, String> {
    let mut twins = HashMap::new();
    let mut name = |source: &SourceDecl| match &source.name {
        Some(name) => name.clone(),
        None => ordinal(&mut twins, given, source.kind.clone().into_owned()),
    };
    sources_of(sinks).into_iter().map(|source| (Arc::as_ptr(source), name(source))).collect()
}
