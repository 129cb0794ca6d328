//! From tables to the plan that runs.
//!
//! Every table stands on a *base*: the source, keyed operator (group, session, window, combination), concat or flatten nearest to it, with the
//! selects and filters between them fused into one [`MapStage`]. So a plan is bases, and a map wherever a base or a sink reads what
//! is not just another base's output. Equal maps of one base are one node.
//!
//! - *Pruning.* A column that nothing needs is not computed, and a source reads only the columns that the maps on it need,
//!   through any concat or flatten.
//!   What a keyed operator keeps never depends on who reads it: its state must be the same in every program that
//!   describes it alike.
//! - *Names and descriptions* are made of the tables as written, so no rewriting changes them.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use millpond_columns::dialect::{hint, quoted};
use millpond_columns::types::{ColumnType, Schema, Type};
use millpond_error::{Error, Origin, Result};
use serde_json::{Value, json};

use crate::behavior::{Lifecycle, Shown};
use crate::deep::deep_of;
use crate::describe::{self, ReadColumns, describe};
use crate::eval::{MapStage, Root};
use crate::physical::{
    CombineSpec, Consolidate, Form, Node, NodeId, OperatorSpec, PhysicalPlan, ReduceSpec, ReducerCall, SessionSpec,
    Step, WindowSpec,
};
use crate::reduce::{self, Grouping, Reduction};
use crate::table::{Operation, SinkDecl, SourceDecl, Table, all_columns};
use crate::terms::{self, TermId, Terms};
use crate::typing::{self, RowScope};
use crate::window::SlidingWindow;

mod combine;
mod flatten;

/// Makes the plan that the engine runs of what a program writes.
///
/// # Errors
///
/// An `Invalid` error if two sources have the same name.
pub fn lower(sinks: Vec<SinkDecl>) -> Result<PhysicalPlan> {
    let mut lowering = Lowering { names: source_names(&sinks)?, ..Lowering::default() };
    let written = sinks.iter().map(|sink| lowering.fuse(&sink.table)).collect::<Result<Vec<_>>>()?;
    // While columns are where the tables have them.
    let read: Vec<ReadColumns> = written.iter().map(|fused| lowering.read_columns([fused])).collect();
    let outputs: Vec<_> = sinks.iter().map(|sink| lowering.describe_output(sink)).collect();
    for fused in &written {
        lowering.use_columns(fused);
    }
    lowering.prune();
    let mut plan = Emission::new(&lowering);
    for base in 0..lowering.bases.len() {
        plan.base(base);
    }
    for (index, ((sink, fused), read)) in sinks.iter().zip(&written).zip(&read).enumerate() {
        plan.sink(index, sink, fused, read);
    }
    let Emission { nodes, sources, .. } = plan;
    let described = sinks.into_iter().zip(outputs).map(|(sink, description)| SinkDecl { description, ..sink });
    Ok(PhysicalPlan { nodes, sources, sinks: described.collect() })
}

/// The columns of a table as terms over its base.
struct Pipeline {
    /// Position in [`Lowering::bases`].
    base: usize,
    terms: Terms,
    predicates: Vec<Root>,
    columns: Vec<(String, Root)>,
    /// What identifies a row, if the table knows: computed only where an operation takes it up into the columns.
    identity: Vec<Root>,
    /// The table's columns, or what a keyed operator reads of them.
    schema: Schema,
}

/// A source, a keyed operator, a concat or a flatten.
struct Anchor {
    operator: AnchorOperator,
    /// Its output, unpruned.
    schema: Schema,
    append_only: bool,
    step: Step,
    /// Columns of the output that are needed, for one without a key.
    used: BTreeSet<usize>,
}

enum AnchorOperator {
    Source(Arc<SourceDecl>),
    /// `cancels`: a row that one input removes may be a row that another one adds.
    Concat {
        inputs: Vec<Pipeline>,
        cancels: bool,
    },
    /// `column` of `rows` is lists, whose elements it gives; `cancels`: as of a concat.
    Flatten {
        rows: Pipeline,
        column: usize,
        cancels: bool,
    },
    /// `expands`: the last key of `rows` is the first of two columns that say where a row belongs.
    Group {
        rows: Pipeline,
        expands: bool,
        spec: ReduceSpec,
        reduction: Reduction,
        /// The column of `rows` with the time, if its windows come and go by it.
        time: usize,
    },
    Session {
        rows: Pipeline,
        spec: SessionSpec,
        reduction: Reduction,
    },
    /// `places`: where each column of the table is in the output.
    Combine {
        inputs: Vec<Pipeline>,
        spec: CombineSpec,
        places: Vec<usize>,
    },
}

/// Bases found so far, each after those that it reads.
#[derive(Default)]
struct Lowering {
    bases: Vec<Anchor>,
    /// Tables of the bases, in the same order.
    tables: Vec<Table>,
    /// Names of sources, by their place in memory.
    names: HashMap<*const SourceDecl, String>,
    /// How many unnamed steps have this path.
    twins: HashMap<String, usize>,
    /// How many tables are being fused, each for the one before.
    levels: u32,
}

impl Lowering {
    /// The table over its base, whose needed columns are not marked yet.
    fn fuse(&mut self, table: &Table) -> Result<Pipeline> {
        self.levels += 1;
        let fused = deep_of(self.levels, || self.fused(table));
        self.levels -= 1;
        fused
    }

    fn fused(&mut self, table: &Table) -> Result<Pipeline> {
        match table.operation() {
            Operation::Source(_) | Operation::Concat { .. } | Operation::Flatten { .. } => {
                let base = self.base_of(table)?;
                let mut terms = Terms::default();
                let columns = typing::input_terms(&mut terms, table.schema());
                let names = table.schema().columns().iter().map(|column| column.name.clone());
                let columns = names.zip(columns).map(|(name, term)| (name, Root { term, origin: None })).collect();
                let (predicates, identity) = (Vec::new(), Vec::new());
                Ok(Pipeline { base, terms, predicates, columns, identity, schema: table.schema().clone() })
            }
            Operation::Combine { .. } => {
                let base = self.base_of(table)?;
                Ok(self.combined(base, table))
            }
            Operation::Group { outputs, .. }
            | Operation::Session { outputs, .. }
            | Operation::Sliding { outputs, .. } => {
                let base = self.base_of(table)?;
                let reduction = self.bases[base].reduction();
                let roots = outputs
                    .iter()
                    .zip(&reduction.outputs)
                    .map(|((name, expr), term)| (name.clone(), Root { term: *term, origin: expr.origin().cloned() }));
                let identity = reduction.identity.iter().map(|(_, term)| Root { term: *term, origin: None });
                let (columns, identity, terms) = (roots.collect(), identity.collect(), reduction.results.clone());
                let (predicates, schema) = (Vec::new(), table.schema().clone());
                Ok(Pipeline { base, terms, predicates, columns, identity, schema })
            }
            Operation::Select { input, columns, keeps_others } => {
                let mut fused = self.fuse(input)?;
                let columns = if *keeps_others { all_columns(input.schema(), columns) } else { columns.clone() };
                let mut selected = Vec::with_capacity(columns.len());
                for (name, expr) in columns {
                    let term = fused.term(input.schema(), |terms, scope| typing::term(terms, scope, &expr))?;
                    selected.push((name, Root { term, origin: fused.origin(term, expr.origin()) }));
                }
                Ok(Pipeline { columns: selected, schema: table.schema().clone(), ..fused })
            }
            Operation::Filter { input, predicate } => {
                let mut fused = self.fuse(input)?;
                let term = fused.term(input.schema(), |terms, scope| typing::predicate(terms, scope, predicate))?;
                fused.predicates.push(Root { term, origin: predicate.origin().cloned() });
                Ok(fused)
            }
            Operation::Identify { input, columns } => {
                let mut fused = self.fuse(input)?;
                let mut identity = Vec::with_capacity(columns.len());
                for expr in columns {
                    let term = fused.term(input.schema(), |terms, scope| typing::term(terms, scope, expr))?;
                    identity.push(Root { term, origin: fused.origin(term, expr.origin()) });
                }
                Ok(Pipeline { identity, ..fused })
            }
        }
    }

    /// The base that a source or keyed table is; equal tables made by two calls are two bases.
    fn base_of(&mut self, table: &Table) -> Result<usize> {
        if let Some(known) = self.tables.iter().position(|known| known.same_as(table)) {
            return Ok(known);
        }
        let base = match table.operation() {
            Operation::Source(source) => self.source(source),
            Operation::Group { input, keys, outputs } => self.group(table, input, keys, outputs)?,
            Operation::Session { input, time, gap, instance, behavior, outputs } => {
                let (instance, behavior) = (instance.as_ref(), behavior.as_ref());
                let grouping = Grouping::Session { time, gap, instance, behavior };
                self.session(table, input, &grouping, outputs)?
            }
            Operation::Sliding { input, window, outputs } => self.sliding(table, input, window, outputs)?,
            Operation::Concat { inputs } => self.concat(table, inputs)?,
            Operation::Flatten { input, column } => self.flatten(table, input, column)?,
            Operation::Combine { inputs, combination } => self.combine(table, inputs, *combination)?,
            Operation::Select { .. } | Operation::Filter { .. } | Operation::Identify { .. } => {
                unreachable!("it stands on a base, it is none")
            }
        };
        self.bases.push(base);
        self.tables.push(table.clone());
        Ok(self.bases.len() - 1)
    }

    fn source(&mut self, source: &Arc<SourceDecl>) -> Anchor {
        let name = self.names[&Arc::as_ptr(source)].clone();
        Anchor {
            operator: AnchorOperator::Source(source.clone()),
            schema: source.schema.clone(),
            append_only: source.append_only,
            // Described when all are known that read it.
            step: Step { name, description: Value::Null },
            used: BTreeSet::new(),
        }
    }

    fn concat(&mut self, table: &Table, inputs: &[Table]) -> Result<Anchor> {
        let names: Vec<&String> = table.schema().columns().iter().map(|column| &column.name).collect();
        let mut fused = Vec::with_capacity(inputs.len());
        for input in inputs {
            let mut rows = self.fuse(input)?;
            let position = |name: &&String| input.schema().index_of(name).expect("the tables have the same columns");
            let columns: Vec<usize> = names.iter().map(position).collect();
            rows.narrow(&columns);
            fused.push(rows);
        }
        let cancels = fused.iter().any(|rows| self.bases[rows.base].cancels());
        let step = self.stateless_step(fused[0].base, "concat");
        let (schema, append_only) = (table.schema().clone(), table.append_only());
        let operator = AnchorOperator::Concat { inputs: fused, cancels };
        Ok(Anchor { operator, schema, append_only, step, used: BTreeSet::new() })
    }

    /// Leaves the columns of concats and flattens out that nothing needs, once all that read them are known: the last first.
    fn prune(&mut self) {
        for position in (0..self.bases.len()).rev() {
            let base = &mut self.bases[position];
            let used: Vec<usize> = base.used.iter().copied().collect();
            let inputs = match &mut base.operator {
                AnchorOperator::Concat { inputs, .. } => inputs.as_mut_slice(),
                AnchorOperator::Flatten { rows, .. } => std::slice::from_mut(rows),
                _ => continue,
            };
            inputs.iter_mut().for_each(|rows| rows.narrow(&used));
            let read: Vec<(usize, Vec<usize>)> = inputs.iter().map(|rows| (rows.base, rows.inputs())).collect();
            read.into_iter().for_each(|(base, columns)| self.bases[base].used.extend(columns));
        }
    }

    fn group(
        &mut self,
        table: &Table,
        input: &Table,
        keys: &[(String, crate::Expr)],
        outputs: &[(String, crate::Expr)],
    ) -> Result<Anchor> {
        let mut rows = self.fuse(input)?;
        let reduction = rows.reduction(input.schema(), &Grouping::Keys(keys), outputs)?;
        let reducers = self.rows(&mut rows, &reduction);
        let spec = ReduceSpec { key: (0..reduction.keys.len()).collect(), reducers, form: form(input) };
        let (step, schema) = (self.step(&[&rows], "reduce", table), reduction.reduced.clone());
        let operator = AnchorOperator::Group { rows, expands: false, spec, reduction, time: 0 };
        Ok(Anchor { operator, schema, append_only: false, step, used: BTreeSet::new() })
    }

    fn sliding(
        &mut self,
        table: &Table,
        input: &Table,
        window: &SlidingWindow,
        outputs: &[(String, crate::Expr)],
    ) -> Result<Anchor> {
        let mut rows = self.fuse(input)?;
        let reduction = rows.reduction(input.schema(), &Grouping::Sliding(window), outputs)?;
        let numbers = reduction.windows.as_ref().expect("a window has numbers");
        let origin = window.time.origin();
        rows.predicates.extend(numbers.predicate.map(|term| Root { term, origin: origin.cloned() }));
        let reducers = self.rows(&mut rows, &reduction);
        let spec = ReduceSpec { key: (0..reduction.keys.len()).collect(), reducers, form: form(input) };
        let time = match reduction.lifecycle {
            Some(_) => rows.column_of(numbers.time, || ("time", origin.cloned())),
            None => 0,
        };
        let mut clock = time;
        if let Some(term) = numbers.last {
            clock += usize::from(time >= spec.key.len());
            let ty = Type::Int.required();
            rows.insert_column(spec.key.len(), "last window", ty, Root { term, origin: origin.cloned() });
        }
        self.use_columns(&rows);
        let (step, schema) = (self.step(&[&rows], window.name(), table), reduction.reduced.clone());
        let (expands, append_only) = (numbers.last.is_some(), table.append_only());
        let operator = AnchorOperator::Group { rows, expands, spec, reduction, time: clock };
        Ok(Anchor { operator, schema, append_only, step, used: BTreeSet::new() })
    }

    fn session(
        &mut self,
        table: &Table,
        input: &Table,
        grouping: &Grouping<'_>,
        outputs: &[(String, crate::Expr)],
    ) -> Result<Anchor> {
        let mut rows = self.fuse(input)?;
        let reduction = rows.reduction(input.schema(), grouping, outputs)?;
        let reducers = self.rows(&mut rows, &reduction);
        let instance: Vec<usize> = (0..reduction.keys.len()).collect();
        let gap = reduction.gap.clone().expect("sessions have a gap");
        let floats = reduction.floats;
        let spec = SessionSpec { time: instance.len(), instance, floats, gap, reducers, form: form(input) };
        let (step, schema) = (self.step(&[&rows], "session", table), reduction.reduced.clone());
        let append_only = table.append_only();
        let operator = AnchorOperator::Session { rows, spec, reduction };
        Ok(Anchor { operator, schema, append_only, step, used: BTreeSet::new() })
    }

    /// Narrows `rows` to what a keyed operator reads: the keys, the time, then the reducers' arguments, each once.
    fn rows(&mut self, rows: &mut Pipeline, reduction: &Reduction) -> Vec<ReducerCall> {
        let names = self.bases[rows.base].schema.clone();
        let text = |terms: &Terms, term: TermId| terms.text(term, &names);
        let mut columns = reduction.keys.clone();
        columns.extend(reduction.time.map(|time| (text(&rows.terms, time), time)));
        let mut reducers = Vec::with_capacity(reduction.reducers.len());
        for (kind, arguments) in &reduction.reducers {
            let mut column = |argument: &TermId| {
                columns.iter().position(|(_, term)| term == argument).unwrap_or_else(|| {
                    columns.push((text(&rows.terms, *argument), *argument));
                    columns.len() - 1
                })
            };
            let columns = arguments.iter().map(&mut column).collect();
            reducers.push(ReducerCall { kind: *kind, columns });
        }
        let types = columns.iter().map(|(name, term)| {
            let ty = rows.terms.ty(*term).column().expect("keys and arguments have types");
            (name.clone(), ty)
        });
        rows.schema = Schema::new(types);
        let root = |term| Root { term, origin: rows.origin(term, None) };
        rows.columns = columns.iter().map(|(name, term)| (name.clone(), root(*term))).collect();
        self.use_columns(rows);
        reducers
    }

    /// Marks the columns of a base that `fused` needs.
    fn use_columns(&mut self, fused: &Pipeline) {
        self.bases[fused.base].used.extend(fused.inputs());
    }

    /// The name and description of a keyed table that reads these rows.
    fn step(&mut self, rows: &[&Pipeline], operator: &str, table: &Table) -> Step {
        let description = describe(table, &self.read_columns(rows.iter().copied()));
        Step { description, ..self.stateless_step(rows[0].base, operator) }
    }

    /// The name of a table over `base` that has no state.
    fn stateless_step(&mut self, base: usize, operator: &str) -> Step {
        let path = format!("{}/{operator}", self.bases[base].step.name);
        Step { name: ordinal(&mut self.twins, path), description: Value::Null }
    }

    /// The columns of sources that these rows need, whatever else of the program needs. Each base is looked at once, after
    /// all that read it.
    fn read_columns<'a>(&self, rows: impl IntoIterator<Item = &'a Pipeline>) -> ReadColumns {
        let mut needed: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
        let need =
            |needed: &mut BTreeMap<usize, BTreeSet<usize>>, fused: &Pipeline, columns: Option<&BTreeSet<usize>>| {
                needed.entry(fused.base).or_default().extend(fused.inputs_of(columns));
            };
        rows.into_iter().for_each(|fused| need(&mut needed, fused, None));
        let mut read = ReadColumns::new();
        while let Some((base, mut columns)) = needed.pop_last() {
            match &self.bases[base].operator {
                AnchorOperator::Source(source) => {
                    read.insert(Arc::as_ptr(source), columns);
                }
                AnchorOperator::Concat { inputs, .. } => {
                    inputs.iter().for_each(|fused| need(&mut needed, fused, Some(&columns)));
                }
                AnchorOperator::Flatten { rows, column, .. } => {
                    columns.insert(*column);
                    need(&mut needed, rows, Some(&columns));
                }
                AnchorOperator::Group { rows, .. } | AnchorOperator::Session { rows, .. } => {
                    need(&mut needed, rows, None)
                }
                AnchorOperator::Combine { inputs, .. } => {
                    inputs.iter().for_each(|fused| need(&mut needed, fused, None))
                }
            }
        }
        read
    }

    /// What an output gets. The steps before it are only named, since they are described themselves.
    fn describe_output(&self, sink: &SinkDecl) -> Value {
        let step = |table: &Table| {
            let base = &self.bases[self.tables.iter().position(|known| known.same_as(table))?];
            base.keeps_state().then(|| base.step.name.clone())
        };
        describe::output(sink, &step)
    }
}

impl Pipeline {
    /// A term over the table's columns, which have this schema.
    fn term(
        &mut self,
        schema: &Schema,
        make: impl FnOnce(&mut Terms, &mut RowScope<'_>) -> Result<TermId>,
    ) -> Result<TermId> {
        let columns: Vec<TermId> = self.columns.iter().map(|(_, root)| root.term).collect();
        make(&mut self.terms, &mut RowScope { schema, columns: &columns, in_reducer: false })
    }

    fn reduction(
        &mut self,
        schema: &Schema,
        grouping: &Grouping<'_>,
        outputs: &[(String, crate::Expr)],
    ) -> Result<Reduction> {
        let columns: Vec<TermId> = self.columns.iter().map(|(_, root)| root.term).collect();
        reduce::reduction(&mut self.terms, schema, &columns, grouping, outputs)
    }

    /// Leaves just the columns at these positions, in this order.
    fn narrow(&mut self, positions: &[usize]) {
        let types = self.schema.columns();
        self.schema = Schema::new(positions.iter().map(|&i| (types[i].name.clone(), types[i].ty)));
        self.columns = positions.iter().map(|&i| self.columns[i].clone()).collect();
    }

    /// The position of the column that is this term, added at the end if there is none.
    fn column_of(&mut self, term: TermId, named: impl FnOnce() -> (&'static str, Option<Origin>)) -> usize {
        let known = self.columns.iter().position(|(_, root)| root.term == term);
        known.unwrap_or_else(|| {
            let (name, origin) = named();
            let ty = self.terms.ty(term).column().expect("a time has a type");
            self.insert_column(self.columns.len(), name, ty, Root { term, origin });
            self.columns.len() - 1
        })
    }

    /// Adds a column at `position`.
    fn insert_column(&mut self, position: usize, name: &str, ty: ColumnType, root: Root) {
        let columns = self.schema.columns().iter().map(|column| (column.name.clone(), column.ty));
        let mut columns: Vec<_> = columns.collect();
        columns.insert(position, (name.to_owned(), ty));
        self.schema = Schema::new(columns);
        self.columns.insert(position, (name.to_owned(), root));
    }

    /// The place of a column that is passed on is where it was computed.
    fn origin(&self, term: TermId, written: Option<&Origin>) -> Option<Origin> {
        let passed = self.columns.iter().find(|(_, root)| root.term == term);
        passed.map_or_else(|| written.cloned(), |(_, root)| root.origin.clone())
    }

    fn roots(&self) -> Vec<TermId> {
        let columns = self.columns.iter().map(|(_, root)| root.term);
        self.predicates.iter().map(|root| root.term).chain(columns).collect()
    }

    /// The columns of the base that it needs.
    fn inputs(&self) -> Vec<usize> {
        self.terms.inputs(&self.roots())
    }

    /// Those that these columns of the table need; `None` stands for all.
    fn inputs_of(&self, columns: Option<&BTreeSet<usize>>) -> Vec<usize> {
        let Some(columns) = columns else { return self.inputs() };
        let predicates = self.predicates.iter().map(|root| root.term);
        let roots: Vec<TermId> = predicates.chain(columns.iter().map(|at| self.columns[*at].1.term)).collect();
        self.terms.inputs(&roots)
    }

    /// The stage, over those columns of the base that are used at all.
    fn stage(&self, base: &Anchor) -> MapStage {
        let used: BTreeMap<usize, usize> =
            base.outputs().into_iter().enumerate().map(|(new, old)| (old, new)).collect();
        let terms::Compacted { terms, roots } = self.terms.compact(&self.roots(), |input| used[&input]);
        let mut roots = roots.into_iter();
        let mut moved = |root: &Root| {
            let term = roots.next().expect("each root is moved");
            Root { term, origin: root.origin.clone() }
        };
        let predicates = self.predicates.iter().map(&mut moved).collect();
        let outputs = self.columns.iter().map(|(name, root)| (name.clone(), moved(root))).collect();
        MapStage::new(base.used_schema(), terms, predicates, outputs)
    }
}

impl Anchor {
    fn reduction(&self) -> &Reduction {
        match &self.operator {
            AnchorOperator::Group { reduction, .. } | AnchorOperator::Session { reduction, .. } => reduction,
            AnchorOperator::Source(_)
            | AnchorOperator::Concat { .. }
            | AnchorOperator::Flatten { .. }
            | AnchorOperator::Combine { .. } => unreachable!("it does not reduce"),
        }
    }

    /// Whether the changes of one key may be in several batches: the sessions of an instance are shown and over one by
    /// one, and apart from those that change.
    fn scatters(&self) -> bool {
        let AnchorOperator::Session { reduction, .. } = &self.operator else { return false };
        let delays = |lifecycle: &Lifecycle| matches!(lifecycle.shown, Shown::AfterStart(_));
        reduction.lifecycle.as_ref().is_some_and(|lifecycle| delays(lifecycle) || !lifecycle.keep_results)
    }

    /// Whether it has a state of its own, a position included.
    fn keeps_state(&self) -> bool {
        !matches!(self.operator, AnchorOperator::Concat { .. } | AnchorOperator::Flatten { .. })
    }

    /// Its step, now that it is known who reads it.
    fn described_step(&self) -> Step {
        match &self.operator {
            AnchorOperator::Source(source) => {
                Step { description: json!([describe::source(source, &self.used)]), ..self.step.clone() }
            }
            _ => self.step.clone(),
        }
    }

    /// Positions of the columns that its node gives.
    fn outputs(&self) -> Vec<usize> {
        match self.operator {
            AnchorOperator::Source(_) | AnchorOperator::Concat { .. } | AnchorOperator::Flatten { .. } => {
                self.used.iter().copied().collect()
            }
            AnchorOperator::Group { .. } | AnchorOperator::Session { .. } | AnchorOperator::Combine { .. } => {
                (0..self.schema.len()).collect()
            }
        }
    }

    fn used_schema(&self) -> Schema {
        let columns = self.schema.columns();
        Schema::new(self.outputs().into_iter().map(|i| (columns[i].name.clone(), columns[i].ty)))
    }

    /// Whether a row that it removes may be one that it adds elsewhere in the same epoch, once columns are left out.
    fn cancels(&self) -> bool {
        match self.operator {
            AnchorOperator::Source(_) => false,
            AnchorOperator::Concat { cancels, .. } | AnchorOperator::Flatten { cancels, .. } => cancels,
            AnchorOperator::Group { .. } | AnchorOperator::Session { .. } | AnchorOperator::Combine { .. } => {
                !self.append_only
            }
        }
    }

    /// How rows that cancel after this stage are brought together.
    fn consolidate(&self, fused: &Pipeline, stage: &MapStage) -> Consolidate {
        let (keys, windows) = match &self.operator {
            _ if !self.cancels() => return Consolidate::No,
            AnchorOperator::Source(_) => return Consolidate::No,
            AnchorOperator::Concat { .. } | AnchorOperator::Flatten { .. } => {
                return if stage.keeps(0..self.used.len()) { Consolidate::No } else { Consolidate::ByRow };
            }
            AnchorOperator::Group { spec, reduction, .. } => (spec.key.len(), reduction.windows.as_ref()),
            AnchorOperator::Session { spec, .. } => (spec.instance.len(), None),
            AnchorOperator::Combine { spec, .. } => (spec.key.len(), None),
        };
        // The start or end of a window tells its number, which is the last key.
        let numbers = keys - usize::from(windows.is_some());
        let bound = |term| windows.is_some_and(|windows| windows.bounds.contains(&term));
        let bounded = fused.columns.iter().any(|(_, root)| bound(root.term));
        if stage.keeps(0..self.schema.len()) {
            Consolidate::No
        } else if self.scatters() {
            Consolidate::ByRow
        } else if stage.keeps(0..numbers) && (numbers == keys || stage.keeps([numbers]) || bounded) {
            Consolidate::InBatch
        } else {
            Consolidate::ByRow
        }
    }
}

/// Nodes written so far.
struct Emission<'a> {
    lowering: &'a Lowering,
    nodes: Vec<Node>,
    sources: Vec<Arc<SourceDecl>>,
    /// The node of each base.
    places: Vec<NodeId>,
    /// Nodes that keep a table.
    kept: Vec<(Table, NodeId)>,
    twins: HashMap<String, usize>,
}

impl<'a> Emission<'a> {
    fn new(lowering: &'a Lowering) -> Self {
        let (nodes, sources, places) = (Vec::new(), Vec::new(), Vec::new());
        Emission { lowering, nodes, sources, places, kept: Vec::new(), twins: HashMap::new() }
    }

    fn base(&mut self, position: usize) {
        let base = &self.lowering.bases[position];
        let operator = match &base.operator {
            AnchorOperator::Source(source) => {
                self.sources.push(source.clone());
                OperatorSpec::Source { index: self.sources.len() - 1, columns: base.outputs() }
            }
            AnchorOperator::Concat { inputs, cancels } => {
                let inputs = inputs.iter().map(|rows| self.map(rows)).collect();
                OperatorSpec::Union { inputs, consolidate: by_row(*cancels) }
            }
            AnchorOperator::Flatten { rows, column, cancels } => {
                let column = base.used.range(..column).count();
                OperatorSpec::Flatten { input: self.map(rows), column, consolidate: by_row(*cancels) }
            }
            AnchorOperator::Group { rows, expands, spec, reduction, time } => {
                let clock = self.map(rows);
                let input = if *expands { self.expand(clock, spec.key.len() - 1) } else { clock };
                let spec = spec.clone();
                match (&reduction.lifecycle, &reduction.windows) {
                    (Some(lifecycle), Some(numbers)) => {
                        let windows = WindowSpec::Numbered { spec, spans: numbers.spans.clone() };
                        OperatorSpec::Windowed { input, windows, clock, time: *time, lifecycle: lifecycle.clone() }
                    }
                    _ => OperatorSpec::Reduce { input, spec },
                }
            }
            AnchorOperator::Session { rows, spec, reduction } => {
                let (input, spec) = (self.map(rows), spec.clone());
                match &reduction.lifecycle {
                    Some(lifecycle) => {
                        let (clock, time, lifecycle) = (input, spec.time, lifecycle.clone());
                        OperatorSpec::Windowed { input, windows: WindowSpec::Session(spec), clock, time, lifecycle }
                    }
                    None => OperatorSpec::Session { input, spec },
                }
            }
            AnchorOperator::Combine { inputs, spec, .. } => {
                OperatorSpec::Combine { input: self.union(inputs), spec: spec.clone() }
            }
        };
        let (append_only, step) = (base.append_only, base.keeps_state().then(|| base.described_step()));
        let node = self.push(Node { operator, schema: base.used_schema(), append_only, step });
        self.places.push(node);
    }

    /// The node that gives the columns of `fused`: a map, or the base if there is nothing to do.
    fn map(&mut self, fused: &Pipeline) -> NodeId {
        let base = &self.lowering.bases[fused.base];
        let (input, stage) = (self.places[fused.base], fused.stage(base));
        if stage.is_identity() {
            return input;
        }
        let same = |node: &Node| match &node.operator {
            OperatorSpec::Map { input: other, stage: known, .. } => *other == input && **known == stage,
            _ => false,
        };
        if let Some(known) = self.nodes.iter().position(same) {
            return NodeId(known);
        }
        let consolidate = base.consolidate(fused, &stage);
        let operator = OperatorSpec::Map { input, stage: Arc::new(stage), consolidate };
        self.push(Node { operator, schema: fused.schema.clone(), append_only: base.append_only, step: None })
    }

    /// The node that gives the rows of all, which have one schema.
    fn union(&mut self, tables: &[Pipeline]) -> NodeId {
        let inputs: Vec<NodeId> = tables.iter().map(|rows| self.map(rows)).collect();
        let append_only = inputs.iter().all(|input| self.nodes[input.0].append_only);
        let schema = tables.first().map(|rows| rows.schema.clone()).unwrap_or_default();
        let operator = OperatorSpec::Union { inputs, consolidate: Consolidate::No };
        self.push(Node { operator, schema, append_only, step: None })
    }

    /// The node that puts each row into all of its windows: from the number in column `first` to that in the next.
    fn expand(&mut self, input: NodeId, first: usize) -> NodeId {
        let Node { schema, append_only, .. } = &self.nodes[input.0];
        let columns = schema.columns().iter().enumerate().filter(|(i, _)| *i != first + 1);
        let schema = Schema::new(columns.map(|(_, column)| (column.name.clone(), column.ty)));
        let append_only = *append_only;
        self.push(Node { operator: OperatorSpec::Expand { input, first }, schema, append_only, step: None })
    }

    fn sink(&mut self, index: usize, sink: &SinkDecl, fused: &Pipeline, read: &ReadColumns) {
        let mut input = self.map(fused);
        if sink.keeps_table {
            input = self.keep(&sink.table, fused, input, read);
        }
        let append_only = self.nodes[input.0].append_only;
        let operator = OperatorSpec::Sink { input, index };
        self.push(Node { operator, schema: sink.table.schema().clone(), append_only, step: None });
    }

    /// The node that keeps a table; one for each table.
    fn keep(&mut self, table: &Table, fused: &Pipeline, input: NodeId, read: &ReadColumns) -> NodeId {
        if let Some((_, node)) = self.kept.iter().find(|(kept, _)| kept.same_as(table)) {
            return *node;
        }
        let base = &self.lowering.bases[fused.base].step;
        let name = ordinal(&mut self.twins, format!("{}/keep", base.name));
        let step = Step { name, description: describe::keep(table, read) };
        let (schema, append_only) = (table.schema().clone(), self.nodes[input.0].append_only);
        let node = Node { operator: OperatorSpec::Keep { input }, schema, append_only, step: Some(step) };
        let node = self.push(node);
        self.kept.push((table.clone(), node));
        node
    }

    fn push(&mut self, node: Node) -> NodeId {
        self.nodes.push(node);
        NodeId(self.nodes.len() - 1)
    }
}

fn by_row(cancels: bool) -> Consolidate {
    if cancels { Consolidate::ByRow } else { Consolidate::No }
}

fn form(input: &Table) -> Form {
    if input.append_only() { Form::AppendOnly } else { Form::Full }
}

/// `path-0` for the first of its path, `path-1` for its twin, and so on.
fn ordinal(twins: &mut HashMap<String, usize>, path: String) -> String {
    let count = twins.entry(path.clone()).or_default();
    *count += 1;
    format!("{path}-{}", *count - 1)
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

/// The names of all sources that the sinks read: the user's, or the kind with an ordinal that no user's name has.
fn source_names(sinks: &[SinkDecl]) -> Result<HashMap<*const SourceDecl, String>> {
    let sources = sources_of(sinks);
    let mut given = HashSet::new();
    for source in &sources {
        if let Some(name) = &source.name
            && !given.insert(name.clone())
        {
            let error = Error::invalid(format!("two sources are named {}", quoted(name)));
            let own = hint(".name(NAME)", "name=NAME").replace("NAME", &quoted(&format!("{name}-2")));
            let hint = format!("saved state is found by name: give each its own, such as {own}");
            return Err(error.with_hint(hint).at(&source.origin));
        }
    }
    let mut twins = HashMap::new();
    let mut name = |source: &SourceDecl| match &source.name {
        Some(name) => name.clone(),
        None => loop {
            let name = ordinal(&mut twins, source.kind.to_owned());
            if !given.contains(&name) {
                break name;
            }
        },
    };
    Ok(sources.into_iter().map(|source| (Arc::as_ptr(source), name(source))).collect())
}

#[cfg(test)]
mod tests;
