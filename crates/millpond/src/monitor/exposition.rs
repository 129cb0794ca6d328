//! The numbers of a run in the text format of Prometheus, version 0.0.4.
//!
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>

use std::fmt::{Display, Write};

use super::snapshot::Snapshot;

/// What the format is called in HTTP.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// One line for each number of `snapshot`, all names with their units.
pub(super) fn text(snapshot: &Snapshot) -> String {
    let mut page = Page(String::new());
    let run = &snapshot.run;
    let started_s = run.started_ms as f64 / 1000.0;
    page.gauge("start_time_seconds", "When the run began, since the UNIX epoch.", started_s);
    page.gauge("processes", "Processes that run the program together.", run.processes);
    page.gauge("workers", "Worker threads of all processes.", run.workers);
    page.gauge("epoch", "The epoch done last; 0 before the first.", run.epoch.unwrap_or(0));
    page.counter("epochs_total", "Epochs done.", run.epochs);
    page.gauge("last_epoch_duration_seconds", "Time that the last epoch took.", run.last_epoch_s);
    page.gauge("lag_seconds", "Time since the oldest input that is not done was seen; 0 if there is none.", run.lag_s);
    if let Some(limit) = run.memory_limit {
        page.gauge("memory_limit_bytes", "Memory that the process may take.", limit);
    }
    page.counter("spilled_bytes_total", "Bytes that memory had no room for, in scratch files.", run.spilled_bytes);
    page.counter("checkpoints_total", "Checkpoints committed.", run.checkpoints);
    page.counter("checkpoint_written_bytes_total", "Bytes of state that checkpoints wrote.", run.checkpoint_bytes);
    if let Some(last) = &run.last_checkpoint {
        page.gauge("last_checkpoint_epoch", "The epoch that the last checkpoint saves.", last.epoch);
        let committed_s = last.committed_ms as f64 / 1000.0;
        page.gauge("last_checkpoint_time_seconds", "When it was committed, since the UNIX epoch.", committed_s);
        page.gauge("last_checkpoint_duration_seconds", "Time from its begin to its commit.", last.duration_s);
        page.gauge("last_checkpoint_bytes", "Bytes of state that it wrote.", last.bytes);
    }

    let sources = |number: fn(&super::SourceSnapshot) -> u64| {
        snapshot.sources.iter().map(move |source| (source.name.as_str(), source.kind.as_str(), number(source)))
    };
    page.each(COUNTER, "source_files_new_total", "Files seen for the first time.", "source", sources(|s| s.files_new));
    page.each(
        COUNTER,
        "source_files_changed_total",
        "Files seen to have grown.",
        "source",
        sources(|s| s.files_changed),
    );
    page.each(GAUGE, "source_files_unchanged", "Files found as before.", "source", sources(|s| s.files_unchanged));
    page.each(COUNTER, "source_files_read_total", "Files read to their end.", "source", sources(|s| s.files_read));
    page.each(COUNTER, "source_rows_total", "Rows read.", "source", sources(|s| s.rows_read));
    page.each(COUNTER, "source_rejected_rows_total", "Rows left out.", "source", sources(|s| s.rows_rejected));
    page.each(COUNTER, "source_read_bytes_total", "Bytes read.", "source", sources(|s| s.bytes_read));
    page.each(GAUGE, "source_waiting_bytes", "Bytes seen and not read yet.", "source", sources(|s| s.bytes_waiting));
    page.each(GAUGE, "source_state_rows", "Rows of the state.", "source", sources(|s| s.state_rows));
    page.each(GAUGE, "source_state_bytes", "Bytes of the state.", "source", sources(|s| s.state_bytes));
    page.each(GAUGE, "source_state_segments", "Sorted segments of the state.", "source", sources(|s| s.state_segments));

    let steps = |number: fn(&super::StepSnapshot) -> f64| {
        snapshot.steps.iter().map(move |step| (step.name.as_str(), step.kind.as_str(), number(step)))
    };
    page.each(COUNTER, "step_input_rows_total", "Changes taken in.", "step", steps(|s| s.rows_in as f64));
    page.each(COUNTER, "step_output_rows_total", "Changes handed on.", "step", steps(|s| s.rows_out as f64));
    page.each(COUNTER, "step_busy_seconds_total", "Time spent, of all workers.", "step", steps(|s| s.busy_s));
    page.each(COUNTER, "step_late_rows_total", "Rows ignored as late.", "step", steps(|s| s.late_rows as f64));
    page.each(COUNTER, "step_closed_windows_total", "Windows closed.", "step", steps(|s| s.windows_closed as f64));
    page.each(GAUGE, "step_state_rows", "Rows of the state.", "step", steps(|s| s.state_rows as f64));
    page.each(GAUGE, "step_state_bytes", "Bytes of the state.", "step", steps(|s| s.state_bytes as f64));
    page.each(
        GAUGE,
        "step_state_segments",
        "Sorted segments of the state.",
        "step",
        steps(|s| s.state_segments as f64),
    );

    let outputs = snapshot.outputs.iter().map(|s| (s.name.as_str(), s.kind.as_str(), s.rows_written));
    page.each(COUNTER, "output_rows_total", "Rows written.", "output", outputs);
    let present = snapshot.outputs.iter().filter_map(|s| Some((s.name.as_str(), s.kind.as_str(), s.current_rows?)));
    page.each(GAUGE, "output_current_rows", "Rows of the present table.", "output", present);
    page.0
}

const COUNTER: &str = "counter";
const GAUGE: &str = "gauge";

struct Page(String);

impl Page {
    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.head(GAUGE, name, help);
        self.line(format_args!("millpond_{name} {value}"));
    }

    fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.head(COUNTER, name, help);
        self.line(format_args!("millpond_{name} {value}"));
    }

    /// One number for each thing of the kind that `label` names, with its own name and kind.
    fn each<'a, N: Display>(
        &mut self,
        ty: &str,
        name: &str,
        help: &str,
        label: &str,
        numbers: impl Iterator<Item = (&'a str, &'a str, N)>,
    ) {
        self.head(ty, name, help);
        for (thing, kind, value) in numbers {
            let (thing, kind) = (escaped(thing), escaped(kind));
            self.line(format_args!("millpond_{name}{{{label}=\"{thing}\",kind=\"{kind}\"}} {value}"));
        }
    }

    fn head(&mut self, ty: &str, name: &str, help: &str) {
        self.line(format_args!("# HELP millpond_{name} {help}"));
        self.line(format_args!("# TYPE millpond_{name} {ty}"));
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        let _ = writeln!(self.0, "{line}");
    }
}

/// The value of a label, as it stands between quotes.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_of_a_label_may_hold_anything() {
        assert_eq!(escaped("a \"b\"\\\n"), "a \\\"b\\\"\\\\\\n");
    }
}
