//! A plan as text for people: what a program does, step by step, what it keeps, and why.

use std::fmt::Write;
use std::sync::Arc;

use millpond_columns::types::{Column, Schema};
use millpond_error::{Origin, Result};

use crate::logical::{OnError, SinkDecl, Table, lower};
use crate::notation::Speller;
use crate::physical::{Consolidate, Explanation, Node, OperatorSpec, PhysicalPlan, Sink};

/// The plan as text, in the language of the program: a paragraph for each node but sinks, each after those that it
/// reads.
///
/// A node has a number, what it does, the name of its state if it keeps one, its key, its columns, which of them can be
/// errors by what, and whether its output is append-only, or why it is not. The text is for people, and may change.
pub fn explain(plan: &PhysicalPlan) -> String {
    text(plan, None)
}

/// The same of a plan that was read from a saved state, without places in the program and with its outputs; `kept` says
/// of a step, by its name, what the state has of it.
pub fn explain_saved(plan: &PhysicalPlan, kept: &dyn Fn(&str) -> String) -> String {
    let mut out = text(plan, Some(kept));
    for node in &plan.nodes {
        if let OperatorSpec::Sink { index } = node.operator {
            let Sink { name, kind, .. } = &plan.sinks[index];
            let of = node.ports.iter().map(|port| (port.node.0 + 1).to_string()).collect::<Vec<_>>().join(" and ");
            // Writing to a text cannot fail.
            let _ = writeln!(out, "output {name:?}: {kind} of {of}");
        }
    }
    out
}

fn text(plan: &PhysicalPlan, kept: Option<&dyn Fn(&str) -> String>) -> String {
    let mut out = String::new();
    for (number, node) in (1..).zip(&plan.nodes) {
        if matches!(node.operator, OperatorSpec::Sink { .. }) {
            continue;
        }
        let (does, mut lines) = Explainer { plan, node, places: kept.is_none() }.explained();
        let saved = node.step.as_ref().map(|step| format!(", saved as {:?}", step.name)).unwrap_or_default();
        lines.extend(node.step.iter().filter_map(|step| Some(kept?(&step.name))));
        // Writing to a text cannot fail.
        let _ = writeln!(out, "{number}. {does}{saved}");
        for line in lines {
            let _ = writeln!(out, "   {line}");
        }
    }
    out
}

impl Table {
    /// What a program that writes this table does, as [`explain()`] says it.
    ///
    /// # Errors
    /// `Invalid` if such a program cannot run.
    pub fn explain(&self, origin: &Origin) -> Result<String> {
        let table = SinkDecl {
            table: self.clone(),
            name: String::new(),
            kind: "explain".into(),
            description: serde_json::Value::Null,
            keeps_table: false,
            origin: origin.clone(),
            connector: Arc::new(()),
        };
        Ok(explain(&lower(vec![table], OnError::default())?))
    }
}

/// Says of a node of a plan what it is.
struct Explainer<'a> {
    plan: &'a PhysicalPlan,
    node: &'a Node,
    /// Whether it says where in the program a source is made.
    places: bool,
}

impl Explainer<'_> {
    /// What it does, and the lines below that.
    fn explained(&self) -> (String, Vec<String>) {
        let Explanation { what, more, mut lines } = self.operator();
        let ports: Vec<String> = self.node.ports.iter().map(|port| (port.node.0 + 1).to_string()).collect();
        let of = if ports.is_empty() { String::new() } else { format!(" of {}", ports.join(" and ")) };
        lines.push(match self.node.append_only {
            true => "append-only".to_owned(),
            false => format!("not append-only: {}", self.why_not_append_only()),
        });
        (format!("{what}{of}{more}"), lines)
    }

    fn operator(&self) -> Explanation {
        let Node { operator, schema, .. } = self.node;
        let inputs = self.plan.inputs(self.node);
        let mut lines = Vec::new();
        let what = match operator {
            OperatorSpec::Source { index, .. } => {
                let source = &self.plan.sources[*index];
                lines.push(columns(schema));
                let place = if self.places { format!(", made at {}", source.origin) } else { String::new() };
                format!("source: {}{place}", source.kind)
            }
            OperatorSpec::Map { stage, consolidate } => {
                let speller = Speller::of_program();
                let predicates = stage.predicate_texts(speller);
                if !predicates.is_empty() {
                    lines.push(format!("keeps rows where {}", predicates.join(" and ")));
                }
                lines.push(format!("columns: {}", stage.output_texts(speller).join(", ")));
                let fallible = stage.fallible_texts(speller).into_iter().map(|(name, fails)| match fails {
                    Some(fails) => format!("{name}, by {fails}"),
                    None => name,
                });
                let fallible: Vec<String> = fallible.collect();
                if !fallible.is_empty() {
                    lines.push(format!("fallible: {}", fallible.join("; ")));
                }
                lines.extend(consolidation(*consolidate));
                "map".to_owned()
            }
            OperatorSpec::Union { consolidate } => {
                lines.push(columns(schema));
                lines.extend(consolidation(*consolidate));
                "all rows".to_owned()
            }
            OperatorSpec::Expand { first } => {
                let [from, to] = [*first, first + 1].map(|at| inputs.name(0, at));
                lines.push(format!("repeats a row for each window from {from} to {to}"));
                "windows".to_owned()
            }
            OperatorSpec::Flatten { column, consolidate } => {
                lines.push(format!("repeats a row for each element of {}", inputs.name(0, *column)));
                lines.extend(consolidation(*consolidate));
                "flatten".to_owned()
            }
            OperatorSpec::Keyed(spec) => return spec.explain(&inputs),
            OperatorSpec::Sink { index } => self.plan.sinks[*index].kind.clone().into_owned(),
        };
        Explanation { what, lines, more: String::new() }
    }

    fn why_not_append_only(&self) -> String {
        if let Some(input) = self.node.inputs().find(|input| !self.plan.nodes[input.0].append_only) {
            return format!("{} is not", input.0 + 1);
        }
        match &self.node.operator {
            OperatorSpec::Source { .. } => "the source may remove rows",
            OperatorSpec::Keyed(spec) => spec.why_not_append_only(),
            _ => "a row may be replaced",
        }
        .to_owned()
    }
}

/// `columns: user: str, visits: int`, with types as the program writes them.
fn columns(schema: &Schema) -> String {
    let column = |column: &Column| format!("{}: {}", Speller::of_program().column(&column.name), column.ty);
    match schema.columns() {
        [] => "columns: none".to_owned(),
        all => format!("columns: {}", all.iter().map(column).collect::<Vec<_>>().join(", ")),
    }
}

fn consolidation(consolidate: Consolidate) -> Option<String> {
    match consolidate {
        Consolidate::No => None,
        Consolidate::InBatch => Some("rows that cancel are dropped, batch by batch".to_owned()),
        Consolidate::ByRow => Some("rows that cancel are brought together by their hash, and dropped".to_owned()),
    }
}
