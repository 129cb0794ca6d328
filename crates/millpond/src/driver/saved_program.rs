//! The program that made a saved state, made again from its plan, and what the present one may change of it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsStr;

use millpond_columns::dialect::{hint, quoted};
use millpond_error::{Error, Result};
use millpond_plan::physical::{PhysicalPlan, Step};
use millpond_plan::{CLOCK, Difference, SavedPlan, difference, without_unread};
use millpond_store::{Manifest, StateDir, plan_name};
use serde_json::Value;

use super::outputs::{Output, dead_letters_description};
use crate::summary::counted;

/// The steps and the outputs of a program, as far as another one must have them.
struct Program {
    steps: Vec<Step>,
    /// Their descriptions, by name.
    outputs: BTreeMap<String, Value>,
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
    /// Whether an output writes a log of all runs that this program did not write.
    fn lacks_log(&self, output: &Output) -> bool {
        output.appends() && !self.outputs.contains_key(&output.name)
    }

    /// The outputs that the program has no more and that were as this one is.
    fn gone_alike<'a>(&'a self, output: &'a Output, outputs: &'a [Output]) -> impl Iterator<Item = &'a String> {
        let alike = self.outputs.iter().filter(|(_, description)| **description == output.description);
        alike.map(|(name, _)| name).filter(|name| !outputs.iter().any(|output| output.name == **name))
    }

    /// The program of a plan that is kept at `path`.
    fn of(saved: &SavedPlan, path: &str) -> Result<Program> {
        let plan = saved.lower(path)?;
        let outputs = plan.sinks.iter().map(|sink| (sink.name.clone(), sink.description.clone())).collect();
        Ok(Program { steps: steps(&plan).cloned().collect(), outputs })
    }
}

fn steps(plan: &PhysicalPlan) -> impl Iterator<Item = &Step> {
    plan.nodes.iter().filter_map(|node| node.step.as_ref())
}

/// For each step of before, the one that it is now: found by name or, where it has another name, where only one on each
/// side is alike.
fn found<'a>(before: &[Step], now: &[&'a Step], alike: impl Fn(&Step, &Step) -> bool) -> Vec<Option<&'a Step>> {
    let found = |step: &Step| {
        let mut like = now.iter().filter(|now| alike(step, now));
        match (now.iter().find(|now| now.name == step.name), like.next(), like.next()) {
            (Some(now), ..) if alike(step, now) => Some(*now),
            (_, Some(now), None) if before.iter().filter(|other| alike(other, now)).count() == 1 => Some(*now),
            _ => None,
        }
    };
    before.iter().map(found).collect()
}

/// Gives what operators of this kind name in descriptions its new name.
fn rename_in<'a>(
    descriptions: impl Iterator<Item = &'a mut Value>,
    (operator, field): (&str, &str),
    names: &HashMap<String, String>,
) {
    for description in descriptions.filter_map(Value::as_array_mut).flatten().filter(|it| it["operator"] == operator) {
        if let Some(now) = description[field].as_str().and_then(|name| names.get(name)) {
            description[field] = Value::from(now.as_str());
        }
    }
}

/// Gives saved sources, wherever steps are described by them, the names that this program has for them.
fn rename_sources(plan: &PhysicalPlan, saved: &mut Program) {
    let is_source = |step: &Step| step.description[0]["operator"] == "source" && step.description[1].is_null();
    let now: Vec<&Step> = steps(plan).filter(|step| is_source(step)).collect();
    let before: Vec<Step> = saved.steps.iter().filter(|step| is_source(step)).cloned().collect();
    let alike = |before: &Step, now: &Step| {
        let mut before = before.description.clone();
        before[0]["name"].clone_from(&now.description[0]["name"]);
        without_unread(&before, &now.description) == now.description
    };
    let found = before.iter().zip(found(&before, &now, alike));
    let names = found.filter_map(|(before, now)| Some((before.name.clone(), now?.name.clone()))).collect();
    let descriptions = saved.steps.iter_mut().map(|step| &mut step.description).chain(saved.outputs.values_mut());
    rename_in(descriptions, ("source", "name"), &names);
}

/// Gives saved steps the names that this program has for them, where that is certain: every step of one side is one of
/// the other. So a program may be put in another order, and its tables may get names.
fn rename_steps(plan: &PhysicalPlan, saved: &mut Program, manifest: &mut Manifest) {
    let steps: Vec<&Step> = steps(plan).collect();
    let is = |saved: &Step, step: &Step| without_unread(&saved.description, &step.description) == step.description;
    let found = saved.steps.iter().zip(found(&saved.steps, &steps, is));
    let names: Option<HashMap<String, String>> =
        found.map(|(saved, now)| Some((saved.name.clone(), now?.name.clone()))).collect();
    let Some(names) = names else { return };
    let distinct: HashSet<&String> = names.values().collect();
    if distinct.len() != names.len() || names.len() != steps.len() || names.iter().all(|(saved, now)| saved == now) {
        return;
    }
    let records = manifest.steps.iter_mut().map(|step| &mut step.name);
    for name in records.chain(saved.steps.iter_mut().map(|step| &mut step.name)) {
        if let Some(now) = names.get(name) {
            name.clone_from(now);
        }
    }
    // Outputs are described by the names of the steps before them.
    rename_in(saved.outputs.values_mut(), ("step", "step"), &names);
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
    for output in outputs.iter().filter(|output| saved.lacks_log(output)) {
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
        let mut differ = difference(&without_unread(&saved.description, &step.description), &step.description);
        // Its own first.
        differ.sort_by_key(|it| !it.place.is_empty());
        said.extend(differ.iter().filter(|it| it.place.is_empty()).map(|own| own.what.clone()));
        let new = |it: &&Difference| it.place.is_empty() || said.insert(it.what.clone());
        let new: Vec<String> = differ.iter().filter(new).map(|it| format!("step \"{}\": {it}", step.name)).collect();
        behind += u64::from(new.is_empty() && !differ.is_empty());
        differences.extend(new);
    }
    if behind > 0 {
        differences.push(format!("and {} made of what differs", counted(behind, "step")));
    }
    for saved in &saved.steps {
        if !steps(plan).any(|step| step.name == saved.name) {
            differences.push(format!("step \"{}\" is gone", saved.name));
        }
    }
    for output in outputs {
        differences.extend(output.differences(saved.outputs.get(&output.name)));
        let gone = saved.gone_alike(output, outputs).next().filter(|_| saved.lacks_log(output));
        differences.extend(gone.map(|name| {
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
