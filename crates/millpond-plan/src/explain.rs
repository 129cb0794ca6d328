//! A plan as text for people: what a program does, step by step, what it keeps, and why.

use std::fmt::Write;
use std::sync::Arc;

use millpond_columns::types::{Column, Schema, Type};
use millpond_error::{Origin, Result};

use crate::behavior::{Lifecycle, Shown};
use crate::combine::Combination;
use crate::literal::Literal;
use crate::lower::lower;
use crate::notation::Speller;
use crate::physical::{
    CombineSpec, Consolidate, Form, Node, NodeId, OperatorSpec, PhysicalPlan, ReduceSpec, ReducerCall, SessionSpec,
    WindowSpec,
};
use crate::session::Gap;
use crate::table::{SinkDecl, Table};
use crate::time;

/// The plan as text, in the language of the program: a paragraph for each node but sinks, each after those that it reads.
///
/// A node has a number, what it does, the name of its state if it keeps one, its key, its columns, and whether its output is
/// append-only, or why it is not. The text is for people, and may change.
pub fn explain(plan: &PhysicalPlan) -> String {
    let mut out = String::new();
    for (number, node) in (1..).zip(&plan.nodes) {
        if matches!(node.operator, OperatorSpec::Sink { .. }) {
            continue;
        }
        let (does, lines) = Explainer { plan, node }.explained();
        let saved = node.step.as_ref().map(|step| format!(", saved as {:?}", step.name)).unwrap_or_default();
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
            name: None,
            kind: "explain",
            description: serde_json::Value::Null,
            keeps_table: false,
            origin: origin.clone(),
            connector: Arc::new(()),
        };
        Ok(explain(&lower(vec![table])?))
    }
}

/// Says of a node of a plan what it is.
struct Explainer<'a> {
    plan: &'a PhysicalPlan,
    node: &'a Node,
}

impl Explainer<'_> {
    /// What it does, and the lines below that.
    fn explained(&self) -> (String, Vec<String>) {
        let mut lines = Vec::new();
        let does = self.operator(&mut lines);
        lines.push(match self.node.append_only {
            true => "append-only".to_owned(),
            false => format!("not append-only: {}", self.why_not_append_only()),
        });
        (does, lines)
    }

    fn operator(&self, lines: &mut Vec<String>) -> String {
        let Node { operator, schema, .. } = self.node;
        let input = operator.inputs().first().map(|input| input.0 + 1).unwrap_or_default();
        match operator {
            OperatorSpec::Source { index, .. } => {
                let source = &self.plan.sources[*index];
                lines.push(columns(schema));
                format!("source: {}, made at {}", source.kind, source.origin)
            }
            OperatorSpec::Map { stage, consolidate, .. } => {
                let speller = Speller::of_program();
                let predicates = stage.predicate_texts(speller);
                if !predicates.is_empty() {
                    lines.push(format!("keeps rows where {}", predicates.join(" and ")));
                }
                lines.push(format!("columns: {}", stage.output_texts(speller).join(", ")));
                lines.extend(consolidation(*consolidate));
                format!("map of {input}")
            }
            OperatorSpec::Union { inputs, consolidate } => {
                lines.push(columns(schema));
                lines.extend(consolidation(*consolidate));
                let inputs: Vec<String> = inputs.iter().map(|input| (input.0 + 1).to_string()).collect();
                format!("all rows of {}", inputs.join(" and "))
            }
            OperatorSpec::Expand { first, .. } => {
                let [from, to] = [*first, first + 1].map(|at| self.input_name(at));
                lines.push(format!("repeats a row for each window from {from} to {to}"));
                format!("windows of {input}")
            }
            OperatorSpec::Flatten { column, consolidate, .. } => {
                lines.push(format!("repeats a row for each element of {}", self.input_name(*column)));
                lines.extend(consolidation(*consolidate));
                format!("flatten of {input}")
            }
            OperatorSpec::Reduce { spec, .. } => {
                self.reduce(spec, lines);
                format!("reduce of {input}")
            }
            OperatorSpec::Session { spec, .. } => {
                self.session(spec, lines);
                format!("sessions of {input}")
            }
            OperatorSpec::Windowed { windows, clock, time, lifecycle, .. } => {
                let (does, time_type) = match windows {
                    WindowSpec::Numbered { spec, .. } => {
                        self.reduce(spec, lines);
                        ("windows", self.schema(*clock).columns()[*time].ty.ty)
                    }
                    WindowSpec::Session(spec) => {
                        self.session(spec, lines);
                        ("sessions", self.input_schema().columns()[spec.time].ty.ty)
                    }
                };
                lines.push(format!("watermark: the greatest {} of {}", self.name(*clock, *time), clock.0 + 1));
                lines.extend(shown(lifecycle, time_type));
                format!("{does} of {input}, shown and closed by a watermark")
            }
            OperatorSpec::Combine { spec, .. } => {
                let CombineSpec { combination, key, .. } = spec;
                lines.push(format!("identity: {}", self.input_names(key)));
                lines.push("state: the rows of all tables, by identity".to_owned());
                format!("{} of the tables in {input}", combination.name())
            }
            OperatorSpec::Keep { .. } => {
                lines.push("state: the present rows".to_owned());
                format!("the present table of {input}")
            }
            OperatorSpec::Sink { index, .. } => format!("{} of {input}", self.plan.sinks[*index].kind),
        }
    }

    fn reduce(&self, ReduceSpec { key, reducers, form }: &ReduceSpec, lines: &mut Vec<String>) {
        lines.push(match key.as_slice() {
            [] => "key: none, all rows are one group".to_owned(),
            key => format!("key: {}", self.input_names(key)),
        });
        self.reducers(reducers, *form, lines);
    }

    fn session(&self, spec: &SessionSpec, lines: &mut Vec<String>) {
        let SessionSpec { instance, time, gap, reducers, form, .. } = spec;
        if !instance.is_empty() {
            lines.push(format!("key: {}", self.input_names(instance)));
        }
        let ty = self.input_schema().columns()[*time].ty.ty;
        let gap = match gap {
            Gap::Most(gap) => format!("no more than {} apart", length(&Literal::Int(*gap), ty)),
            Gap::MostFloat(gap) => format!("no more than {} apart", length(&Literal::Float(*gap), ty)),
            Gap::Where(predicate) => format!("where {}", predicate.output_texts(Speller::of_program()).join(", ")),
        };
        lines.push(format!("time: {}, neighbours {gap}", self.input_name(*time)));
        self.reducers(reducers, *form, lines);
    }

    fn reducers(&self, reducers: &[ReducerCall], form: Form, lines: &mut Vec<String>) {
        let call =
            |reducer: &ReducerCall| reducer.kind.call(reducer.columns.iter().map(|column| self.input_name(*column)));
        if !reducers.is_empty() {
            lines.push(format!("computes: {}", reducers.iter().map(call).collect::<Vec<_>>().join(", ")));
        }
        lines.push(match form {
            Form::AppendOnly => "state: what the results need, since no row is ever removed".to_owned(),
            Form::Full => "state: also what results need when rows are removed".to_owned(),
        });
    }

    fn why_not_append_only(&self) -> String {
        let inputs = self.node.operator.inputs();
        if let Some(input) = inputs.iter().find(|input| !self.plan.nodes[input.0].append_only) {
            return format!("{} is not", input.0 + 1);
        }
        match &self.node.operator {
            OperatorSpec::Source { .. } => "the source may remove rows",
            OperatorSpec::Reduce { .. } => "the row of a group that changes is replaced",
            OperatorSpec::Session { .. } => "the row of a session that changes is replaced",
            OperatorSpec::Windowed { .. } => "the row of a window that changes is replaced",
            OperatorSpec::Combine { spec, .. } if spec.combination == Combination::Difference => {
                "a row goes when another table gets its identity"
            }
            _ => "a row may be replaced",
        }
        .to_owned()
    }

    fn schema(&self, node: NodeId) -> &Schema {
        &self.plan.nodes[node.0].schema
    }

    fn name(&self, node: NodeId, column: usize) -> String {
        Speller::of_program().column(&self.schema(node).columns()[column].name)
    }

    /// The columns that the node reads.
    fn input_schema(&self) -> &Schema {
        self.schema(self.node.operator.inputs()[0])
    }

    fn input_name(&self, column: usize) -> String {
        self.name(self.node.operator.inputs()[0], column)
    }

    fn input_names(&self, columns: &[usize]) -> String {
        columns.iter().map(|column| self.input_name(*column)).collect::<Vec<_>>().join(", ")
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

/// When windows are shown and over.
fn shown(lifecycle: &Lifecycle, time: Type) -> Vec<String> {
    let mut lines = vec![match &lifecycle.shown {
        Shown::AtOnce => "shown from the first row on".to_owned(),
        Shown::AfterStart(delay) => format!("shown {} after the start", length(delay, time)),
        Shown::AtClose => "shown once, when closed".to_owned(),
    }];
    lines.extend(lifecycle.cutoff.as_ref().map(|cutoff| {
        let kept = if lifecycle.keep_results { "its row stays" } else { "its row is removed" };
        format!("closed {} after the end; {kept}", length(cutoff, time))
    }));
    lines
}

/// A length along times of this type.
fn length(value: &Literal, of: Type) -> String {
    match value.as_int() {
        Some(ns) if of.is_point() => time::text(Type::Duration, ns),
        _ => value.to_string(),
    }
}
