//! The program that made a saved state, made again from its plan, and what the present one may change of it.

use std::collections::{HashMap, HashSet};

use millpond_error::{Error, Result};
use millpond_plan::physical::{PhysicalPlan, Step};
use millpond_plan::{CLOCK, OnError, SavedPlan, difference, lower, without_unread};
use millpond_store::{Manifest, StateDir, plan_name};
use serde_json::Value;

use super::outputs::{Output, dead_letters_description};

/// The steps and the outputs of a program, as far as another one must have them.
struct Program {
    steps: Vec<Step>,
    /// Their descriptions, by name.
    outputs: HashMap<String, Value>,
}

/// Checks that a state belongs to this program, and gives its steps the names that they have in it.
///
/// # Errors
///
/// `Changed`, with all differences, if it is another program's.
pub(super) fn check(
    plan: &PhysicalPlan,
    outputs: &[Output],
    manifest: &mut Manifest,
    directory: &StateDir,
) -> Result<()> {
    // The first manifest has no plan, and nothing that a program could have changed.
    let Some(name) = &manifest.plan else { return Ok(()) };
    // Equal programs have equal plans; what an older Millpond made of one is not what this one makes.
    if *name == plan_name(plan.program.bytes()) && manifest.engine == env!("CARGO_PKG_VERSION") {
        return Ok(());
    }
    let disk = directory.disk();
    let bytes = directory.plan()?.unwrap_or_default();
    let mut saved = Program::of(&SavedPlan::from_bytes(&bytes[..]), &disk.path(name))?;
    for sink in &manifest.sinks {
        saved.outputs.entry(sink.name.clone()).or_insert_with(dead_letters_description);
    }
    rename_steps(plan, &mut saved, manifest);
    compare(plan, outputs, &saved, &disk.path(""))
}

impl Program {
    /// The program of a plan that is kept at `path`.
    fn of(saved: &SavedPlan, path: &str) -> Result<Program> {
        // What is kept does not depend on what happens to errors.
        let plan = lower(saved.sinks(path)?, OnError::default())?;
        let outputs = plan.sinks.iter().map(|sink| (sink.name.clone(), sink.description.clone())).collect();
        Ok(Program { steps: steps(&plan).cloned().collect(), outputs })
    }
}

fn steps(plan: &PhysicalPlan) -> impl Iterator<Item = &Step> {
    plan.nodes.iter().filter_map(|node| node.step.as_ref())
}

/// Gives saved steps the names that this program has for them, where that is certain: every step of one side is one of
/// the other, found by name and description or, where it has another name, by a description that no other step has. So
/// a program may be put in another order, and its tables may get names.
fn rename_steps(plan: &PhysicalPlan, saved: &mut Program, manifest: &mut Manifest) {
    let steps: Vec<&Step> = steps(plan).collect();
    let is = |saved: &Step, step: &Step| without_unread(&saved.description, &step.description) == step.description;
    let same_name = |saved: &Step| steps.iter().find(|step| step.name == saved.name).copied();
    let mut names = HashMap::new();
    for before in &saved.steps {
        let mut alike = steps.iter().filter(|step| is(before, step));
        let step = match (same_name(before), alike.next(), alike.next()) {
            (Some(step), ..) if is(before, step) => step,
            (_, Some(step), None) if saved.steps.iter().filter(|other| is(other, step)).count() == 1 => step,
            _ => return,
        };
        names.insert(before.name.clone(), step.name.clone());
    }
    let found: HashSet<&String> = names.values().collect();
    if found.len() != names.len() || names.len() != steps.len() || names.iter().all(|(saved, now)| saved == now) {
        return;
    }
    let records = manifest.steps.iter_mut().map(|step| &mut step.name);
    for name in records.chain(saved.steps.iter_mut().map(|step| &mut step.name)) {
        if let Some(now) = names.get(name) {
            name.clone_from(now);
        }
    }
    // Outputs are described by the names of the steps before them.
    let operators = saved.outputs.values_mut().filter_map(Value::as_array_mut).flatten();
    for operator in operators.filter(|operator| operator["operator"] == "step") {
        if let Some(now) = operator["step"].as_str().and_then(|saved| names.get(saved)) {
            operator["step"] = Value::from(now.as_str());
        }
    }
}

/// Refuses a state that another program made, with what differs.
fn compare(plan: &PhysicalPlan, outputs: &[Output], saved: &Program, path: &str) -> Result<()> {
    let mut differences = Vec::new();
    for step in steps(plan) {
        match saved.steps.iter().find(|saved| saved.name == step.name) {
            None => differences.push(format!("step \"{}\" is new", step.name)),
            Some(saved) => differences.extend(
                difference(&without_unread(&saved.description, &step.description), &step.description)
                    .into_iter()
                    .map(|sentence| format!("step \"{}\": {sentence}", step.name)),
            ),
        }
    }
    for saved in &saved.steps {
        if !steps(plan).any(|step| step.name == saved.name) {
            differences.push(format!("step \"{}\" is gone", saved.name));
        }
    }
    differences.extend(outputs.iter().flat_map(|output| output.differences(saved.outputs.get(&output.name))));
    if differences.is_empty() {
        return Ok(());
    }
    let list: String = differences.iter().map(|sentence| format!("\n  {sentence}")).collect();
    let hint = if differences.iter().any(|sentence| sentence.ends_with(CLOCK)) {
        "a program with saved state takes no value from the clock: compare with a time of the data, or leave the choice to \
         whoever reads the result; or give each run another state directory, to compute everything anew"
    } else {
        "run the program as it was, or give it another state directory (or remove this one) to compute everything anew"
    };
    let logs = outputs.iter().filter(|output| output.goes_on()).filter_map(|output| output.path.as_deref());
    let logs: Vec<String> = logs.filter(|log| log.exists()).map(|log| log.display().to_string()).collect();
    let hint = match logs.as_slice() {
        [] => hint.to_owned(),
        logs => format!("{hint}; then move {} away as well", logs.join(", ")),
    };
    Err(Error::changed(format!("the state in {path} belongs to another program:{list}")).with_hint(hint))
}
