//! What a saved state is the state of, as text for people: the program of its plan, and what is kept for each step.

use std::fmt::Write;

use indicatif::HumanBytes;
use millpond_error::{Error, Result};
use millpond_plan::{SavedPlan, explain_saved};
use millpond_store::{Manifest, StateDir};

use crate::options::Backend;
use crate::summary::counted;

impl Backend {
    /// What the program that saved this state does, as [`Table::explain`](crate::Table::explain) says it, and what is
    /// kept for each step: without the program, and while it runs. The text may change with the version.
    ///
    /// ```
    /// use millpond::{Backend, RunOptions, Type, count, csv, run};
    ///
    /// let folder = tempfile::tempdir()?;
    /// let path = |name: &str| folder.path().join(name).display().to_string();
    /// std::fs::write(path("visits.csv"), "user\nann\nbob\nann\n")?;
    /// let state = Backend::filesystem(path("state"))?;
    /// let visits = csv::read(path("visits.csv"), [("user", Type::Str)]).table();
    /// let per_user = visits.groupby(["user"]).reduce([("visits", count())]).named("per user");
    /// run([csv::write(&per_user, path("per_user.csv"))], &RunOptions::default().quiet().state(state.clone()))?;
    ///
    /// let text = state.explain()?;
    /// assert!(text.starts_with("checkpoint 2 of run 1"), "{text}");
    /// assert!(text.contains("saved as \"per user\""), "{text}");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// `Invalid`, if there is no state; `Data`, if it is damaged, or of another version.
    pub fn explain(&self) -> Result<String> {
        let disk = self.as_disk();
        if let Some(path) = self.path().filter(|path| path.is_file()) {
            let what = format!("{} is a file, not the directory of a saved state", path.display());
            return Err(Error::invalid(what));
        }
        let Some((manifest, plan)) = StateDir::look(&*disk)? else {
            return Err(Error::invalid(format!("there is no saved state in {}", disk.path(""))));
        };
        let Manifest { generation, run, engine, .. } = &manifest;
        let head = format!("checkpoint {generation} of run {}, written by Millpond {engine}\n", run.number);
        let (Some(name), Some(plan)) = (&manifest.plan, plan) else {
            return Ok(format!("{head}nothing is saved yet\n"));
        };
        let plan = SavedPlan::from_bytes(&plan[..]).lower(&disk.path(name))?;
        Ok(head + &explain_saved(&plan, &|step| kept(&manifest, step)))
    }
}

/// What a manifest has of a step. Rows that cancel each other in different segments are still counted.
fn kept(manifest: &Manifest, step: &str) -> String {
    let mut text = "kept:".to_owned();
    let arrangements = manifest.step(step).map_or(&[][..], |step| &step.arrangements);
    for (number, arrangement) in arrangements.iter().enumerate() {
        let rows: u64 = arrangement.segments.iter().map(|segment| segment.rows).sum();
        let bytes = arrangement.segments.iter().map(|segment| segment.place.length).sum();
        let and = if number == 0 { "" } else { ";" };
        // Writing to a text cannot fail.
        let _ = write!(text, "{and} {}: {}, {}", arrangement.name, counted(rows, "row"), HumanBytes(bytes));
    }
    if arrangements.is_empty() { "kept: nothing".to_owned() } else { text }
}
