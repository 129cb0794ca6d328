//! The outputs of a program as a run sees them: its sinks, in the order of the plan, then those for rejected rows.

use std::ops::Deref;
use std::sync::Arc;

use millpond_error::{Error, Result};
use millpond_plan::physical::PhysicalPlan;
use millpond_plan::{Difference, difference};
use serde_json::{Value, json};

use crate::declare::{SinkConnector, SourceConnector};

/// A sink of a run.
pub(super) struct Output {
    connector: Arc<SinkConnector>,
    /// What must be the same in the next run.
    pub description: Value,
}

impl Deref for Output {
    type Target = SinkConnector;

    fn deref(&self) -> &SinkConnector {
        &self.connector
    }
}

impl Output {
    /// Those of a plan, and those for the rejected rows of its sources.
    pub(super) fn of(plan: &PhysicalPlan, sources: &[Arc<SourceConnector>]) -> Result<Vec<Output>> {
        let mut outputs = Vec::with_capacity(plan.sinks.len());
        for sink in &plan.sinks {
            let what = format!("the sink of kind {:?} has a connector of another kind than a run takes", sink.kind);
            let foreign = |_| Error::invalid(what).with_hint("make it by millpond::connector").at(&sink.origin);
            let connector = sink.connector.clone().downcast().map_err(foreign)?;
            outputs.push(Output { connector, description: sink.description.clone() });
        }
        let dead_letters = sources.iter().filter_map(|source| source.dead_letter.clone());
        outputs.extend(dead_letters.map(|connector| Output { connector, description: dead_letters_description() }));
        Ok(outputs)
    }

    /// The error of two outputs that the saved state could not tell apart.
    pub(super) fn twin_of(&self, other: &Output) -> Error {
        let message = format!("two outputs are named \"{}\": the other one is declared at {}", self.name, other.origin);
        Error::invalid(message).with_hint("give each output a file and a name of its own").at(&self.origin)
    }

    /// Whether it writes a log of all runs.
    pub(super) fn appends(&self) -> bool {
        self.own()["mode"] == "append"
    }

    /// Whether it goes on with a file of the runs before: a program that computes everything anew needs another one.
    pub(super) fn goes_on(&self) -> bool {
        self.appends() || self.own()["operator"] == "dead letters"
    }

    /// The description of what it does itself.
    fn own(&self) -> &Value {
        self.description.as_array().and_then(|operators| operators.last()).unwrap_or(&Value::Null)
    }

    /// Why what an earlier run wrote and what this one would write are not one log, if they are not; `saved` describes
    /// what the earlier one wrote.
    pub(super) fn differences(&self, saved: Option<&Value>) -> Vec<String> {
        let sentences = match saved {
            Some(saved) => difference(saved, &self.description).iter().map(Difference::to_string).collect(),
            None if self.appends() => {
                vec!["it is new, and a log of all runs would lack those before".to_owned()]
            }
            None => Vec::new(),
        };
        sentences.into_iter().map(|sentence| format!("output \"{}\": {sentence}", self.name)).collect()
    }
}

/// What an output for rejected rows is described by: no plan has it.
pub(super) fn dead_letters_description() -> Value {
    json!([{ "operator": "dead letters" }])
}
