//! One row for each tumbling or sliding window: a reduce whose last key is the window's number.

use std::sync::Arc;

use millpond_columns::types::Type;
use millpond_error::{Origin, Result};
use serde_json::{Value, json};

use super::anchor::{Keyed, KeyedOutput};
use super::behavior::{Behavior, WindowSpec, WindowedSpec};
use super::describe::{self, Described, expressions};
use super::group::ReduceSpec;
use super::lower::Lowering;
use super::pipeline::Pipeline;
use super::reduce::Grouping;
use super::saved::{Call, Saver};
use super::window::{SlidingWindow, WindowLength};
use super::{Operation, Table};
use crate::eval::Root;
use crate::expr::Expr;
use crate::physical::{Form, KeyedSpec};

#[derive(Debug)]
struct Sliding {
    window: SlidingWindow,
    outputs: Vec<(String, Expr)>,
}

impl Table {
    /// One row for each window that holds a row. In `outputs`, the instance expression, [`INSTANCE`](crate::INSTANCE),
    /// [`WINDOW_START`](crate::WINDOW_START) and [`WINDOW_END`](crate::WINDOW_END) are used plainly; every column of
    /// this table stands in a reducer.
    pub fn sliding_reduce(
        &self,
        mut window: SlidingWindow,
        outputs: Vec<(String, Expr)>,
        origin: &Origin,
    ) -> Result<Table> {
        window.behavior = window.behavior.filter(|behavior| !behavior.is_plain());
        let bound = || -> Result<_> {
            let time = self.bind(&window.time)?;
            let instance = window.instance.map(|instance| self.bind(&instance)).transpose()?;
            Ok((SlidingWindow { time, instance, ..window }, self.bind_all(outputs)?))
        };
        let (window, outputs) = bound().map_err(|error| error.at(origin))?;
        let (schema, identity) =
            self.reduced(&Grouping::Sliding(&window), &outputs).map_err(|error| error.at(origin))?;
        let append_only = window.behavior.as_ref().is_some_and(Behavior::is_append_only);
        let operation = Sliding { window, outputs };
        Ok(Table::new(operation, vec![self.clone()], schema, Some(identity), append_only, origin))
    }
}

impl Operation for Sliding {
    fn describe(&self, of: &Described<'_>) -> Option<Value> {
        let Sliding { window, outputs } = self;
        let mut fields = json!({
            "operator": window.name(),
            "time": window.time.to_string(),
            "hop": describe::number(&window.hop),
            "instance": window.instance.iter().map(Expr::to_string).collect::<Vec<_>>(),
            "outputs": expressions(outputs),
            "input": of.inputs[0],
        });
        match &window.length {
            WindowLength::Hops(hops) => fields["ratio"] = json!(hops),
            WindowLength::Duration(duration) => fields["duration"] = describe::number(duration),
        }
        if let Some(origin) = &window.origin {
            fields["origin"] = describe::number(origin);
        }
        window.behavior.iter().for_each(|behavior| behavior.describe(&mut fields));
        Some(fields)
    }

    fn keeps_state(&self) -> bool {
        true
    }

    fn save(&self, saver: &mut Saver) -> (&'static str, Value) {
        let SlidingWindow { time, hop, length, origin, instance, behavior } = &self.window;
        let arguments = json!({
            "time": saver.expr(time),
            "hop": hop,
            "length": length,
            "origin": origin,
            "instance": instance.as_ref().map(|instance| saver.expr(instance)),
            "behavior": behavior,
            "outputs": saver.named(&self.outputs),
        });
        ("window", arguments)
    }

    fn lower(&self, table: &Table, lowering: &mut Lowering) -> Result<Pipeline> {
        lowering.pipeline_on(table, |lowering| {
            let (input, origin) = (&table.inputs()[0], self.window.time.origin());
            let mut rows = lowering.pipeline(input)?;
            let grouping = Grouping::Sliding(&self.window);
            let reduction = rows.reduction(input.schema(), &grouping, &self.outputs, &mut lowering.errors)?;
            let numbers = reduction.windows.as_ref().expect("a window has numbers");
            let first = reduction.keys.last().map(|(_, term)| *term);
            let terms = numbers.predicate.into_iter().chain(first).chain(numbers.last);
            lowering.place_rows(table, &mut rows, &self.window.time, terms);
            if let Some(predicate) = numbers.predicate {
                let root = Root { term: predicate, origin: origin.cloned() };
                let root = lowering.errors.predicate(&mut rows, root);
                rows.predicates.push(root);
            }
            let reducers = lowering.reducer_rows(&mut rows, &reduction, table);
            let key: Vec<usize> = (0..reduction.keys.len()).collect();
            let lifecycle = reduction.lifecycle.clone();
            let mut clock = lifecycle.as_ref().map(|_| rows.column_of(numbers.time, || ("time", origin.cloned())));
            if let Some(term) = numbers.last {
                clock = clock.map(|time| time + usize::from(time >= key.len()));
                let root = Root { term, origin: origin.cloned() };
                rows.insert_column(key.len(), "last window", Type::Int.required(), root);
            }
            let reduce = ReduceSpec { key: key.clone(), reducers, form: Form::of(input.append_only()) };
            let spec: Arc<dyn KeyedSpec> = match lifecycle {
                Some(lifecycle) => {
                    let windows = WindowSpec::Numbered { spec: reduce, spans: numbers.spans.clone() };
                    Arc::new(WindowedSpec { windows, lifecycle })
                }
                None => Arc::new(reduce),
            };
            let expands = numbers.last.map(|_| key.len() - 1);
            let output = KeyedOutput { keys: key.len(), tells_last: numbers.bounds.to_vec(), scatters: false };
            let keyed = Keyed { spec, keys: vec![key], expands, clock, output };
            Ok(lowering.reducing(self.window.name(), table, rows, keyed, &reduction, &self.outputs))
        })
    }
}

/// The table of a saved `window`.
pub(super) fn load(call: &Call<'_>) -> Result<Table> {
    let window = SlidingWindow {
        time: call.expr("time")?,
        hop: call.value("hop")?,
        length: call.value("length")?,
        origin: call.value("origin")?,
        instance: call.optional_expr("instance")?,
        behavior: call.value("behavior")?,
    };
    call.this()?.sliding_reduce(window, call.named("outputs")?, &call.origin)
}
