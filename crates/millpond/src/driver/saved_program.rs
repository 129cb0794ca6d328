//! The program that made a saved state, made again from its plan, and what the present one may change of it.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;

use millpond_columns::dialect::{hint, quoted};
use millpond_error::{Error, Result};
use millpond_plan::physical::{PhysicalPlan, Step};
use millpond_plan::{CLOCK, OnError, SavedPlan, difference, lower, without_unread};
use millpond_store::{Manifest, StateDir, plan_name};
use serde_json::Value;

use super::outputs::{Output, dead_letters_description};
use crate::summary::counted;

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
    rename_sources(plan, &mut saved);
    rename_steps(plan, &mut saved, manifest);
    rename_outputs(outputs, &mut saved, manifest);
    compare(plan, outputs, &saved, &disk.path(""))
}

impl Program {
    /// The outputs that the program has no more and that were as this one is.
    fn gone_alike<'a>(&'a self, output: &'a Output, outputs: &'a [Output]) -> impl Iterator<Item = &'a String> {
        let alike = self.outputs.iter().filter(|(_, description)| **description == output.description);
        alike.map(|(name, _)| name).filter(|name| !outputs.iter().any(|output| output.name == **name))
    }

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

/// Gives saved sources, wherever steps are described by them, the names that this program has for them: found by name,
/// or else where only one on each side is alike.
fn rename_sources(plan: &PhysicalPlan, saved: &mut Program) {
    let is_source = |step: &&Step| step.description[0]["operator"] == "source" && step.description[1].is_null();
    let now: Vec<&Step> = steps(plan).filter(is_source).collect();
    let before: Vec<&Step> = saved.steps.iter().filter(is_source).collect();
    let alike = |before: &Step, now: &Step| {
        let mut before = before.description.clone();
        before[0]["name"].clone_from(&now.description[0]["name"]);
        without_unread(&before, &now.description) == now.description
    };
    let mut names = HashMap::new();
    for source in &before {
        if now.iter().any(|now| now.name == source.name && alike(source, now)) {
            continue;
        }
        let mut like = now.iter().filter(|now| alike(source, now));
        if let (Some(now), None) = (like.next(), like.next())
            && before.iter().filter(|other| alike(other, now)).count() == 1
        {
            names.insert(source.name.clone(), now.name.clone());
        }
    }
    let descriptions = saved.steps.iter_mut().map(|step| &mut step.description).chain(saved.outputs.values_mut());
    let operators = descriptions.filter_map(Value::as_array_mut).flatten();
    for operator in operators.filter(|operator| operator["operator"] == "source") {
        if let Some(now) = operator["name"].as_str().and_then(|name| names.get(name)) {
            operator["name"] = Value::from(now.as_str());
        }
    }
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

/// Gives the saved log of all runs the name that this program has for it, where one that is gone and one that is new
/// are alike and write a file of one name: a log may get a name, or another one.
fn rename_outputs(outputs: &[Output], saved: &mut Program, manifest: &mut Manifest) {
    let of_file = |name: &str, output: &Output| {
        let record = manifest.sink(name).and_then(|sink| sink.position["file"].as_str());
        let file = output.path.as_deref().and_then(|path| path.file_name());
        record.is_some() && record.map(OsStr::new) == file
    };
    let mut names = HashMap::new();
    for output in outputs.iter().filter(|output| output.appends() && !saved.outputs.contains_key(&output.name)) {
        let mut alike = saved.gone_alike(output, outputs).filter(|name| of_file(name, output));
        if let (Some(name), None) = (alike.next(), alike.next())
            && names.insert(name.clone(), output.name.clone()).is_some()
        {
            return;
        }
    }
    for (name, now) in names {
        manifest.sinks.iter_mut().filter(|sink| sink.name == name).for_each(|sink| sink.name.clone_from(&now));
        if let Some(description) = saved.outputs.remove(&name) {
            saved.outputs.insert(now, description);
        }
    }
}

/// Refuses a state that another program made, with what differs.
fn compare(plan: &PhysicalPlan, outputs: &[Output], saved: &Program, path: &str) -> Result<()> {
    let mut differences = Vec::new();
    // What differs in a step differs in all that are made of it.
    let (mut said, mut behind) = (HashSet::new(), 0);
    for step in steps(plan) {
        let Some(saved) = saved.steps.iter().find(|saved| saved.name == step.name) else {
            differences.push(format!("step \"{}\" is new", step.name));
            continue;
        };
        let sentences = difference(&without_unread(&saved.description, &step.description), &step.description);
        let differs = !sentences.is_empty();
        let (own, inherited): (Vec<_>, Vec<_>) =
            sentences.into_iter().partition(|sentence| cause(sentence) == sentence);
        said.extend(own.iter().cloned());
        let new: Vec<String> =
            inherited.into_iter().filter(|sentence| said.insert(cause(sentence).to_owned())).collect();
        behind += u64::from(differs && own.is_empty() && new.is_empty());
        differences.extend(own.iter().chain(&new).map(|sentence| format!("step \"{}\": {sentence}", step.name)));
    }
    if behind > 0 && !differences.is_empty() {
        differences.push(format!("and {} made of what differs", counted(behind, "step")));
    }
    for saved in &saved.steps {
        if !steps(plan).any(|step| step.name == saved.name) {
            differences.push(format!("step \"{}\" is gone", saved.name));
        }
    }
    for output in outputs {
        let own = output.differences(saved.outputs.get(&output.name));
        let alike = saved.gone_alike(output, outputs).next().filter(|_| output.appends() && !own.is_empty());
        differences.extend(own);
        differences.extend(alike.filter(|_| !saved.outputs.contains_key(&output.name)).map(|name| {
            let named = hint(".name(NAME)", "name=NAME").replace("NAME", &quoted(name));
            format!("  if it goes on with the log of {name:?}, which is gone, rename that file and say {named}")
        }));
    }
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

/// What a sentence says of the operator that differs, wherever before the step that is.
fn cause(sentence: &str) -> &str {
    let behind = |sentence: &'_ str| -> Option<usize> {
        let before = sentence.strip_prefix("the ").or_else(|| sentence.strip_prefix("in table "))?;
        let end = before.find([':', ','])?;
        let is_place = before[..end].ends_with(" before it") || sentence.starts_with("in table ");
        is_place.then(|| sentence.len() - before.len() + end + 2)
    };
    let mut cause = sentence;
    while let Some(start) = behind(cause).filter(|start| cause.is_char_boundary(*start)) {
        cause = &cause[start..];
    }
    cause
}
