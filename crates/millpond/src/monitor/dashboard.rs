//! The numbers of a run as text for people: a page that is drawn again and again, or one line.

use std::collections::VecDeque;
use std::fmt::Write;
use std::time::{Duration, Instant};

use console::{measure_text_width, truncate_str};
use indicatif::{HumanBytes, HumanCount};

use super::snapshot::{RunSnapshot, Snapshot};

/// Rates are of about so long.
const WINDOW: Duration = Duration::from_secs(5);
/// A name takes no more columns.
const NAME_COLUMNS: usize = 32;

/// How fast rows go by: of the last seconds.
#[derive(Debug, Default)]
pub(super) struct Rates {
    seen: VecDeque<(Instant, Counts)>,
}

/// Rows by source, step and output.
#[derive(Clone, Debug, Default)]
struct Counts {
    sources: Vec<u64>,
    steps: Vec<u64>,
    outputs: Vec<u64>,
}

impl Rates {
    /// Takes note of the numbers at `now`.
    pub(super) fn see(&mut self, seen: &Snapshot, now: Instant) {
        let counts = Counts {
            sources: seen.sources.iter().map(|source| source.rows_read).collect(),
            steps: seen.steps.iter().map(|step| step.rows_in).collect(),
            outputs: seen.outputs.iter().map(|output| output.rows_written).collect(),
        };
        self.seen.push_back((now, counts));
        while self.seen.get(1).is_some_and(|(at, _)| now.duration_since(*at) >= WINDOW) {
            self.seen.pop_front();
        }
    }

    /// By how much a number of `kind` grows in a second.
    fn of(&self, numbers: fn(&Counts) -> &Vec<u64>, index: usize) -> u64 {
        let (Some((since, before)), Some((now, after))) = (self.seen.front(), self.seen.back()) else { return 0 };
        let seconds = now.duration_since(*since).as_secs_f64();
        let get = |counts: &Counts| numbers(counts).get(index).copied().unwrap_or(0);
        if seconds > 0.0 { (get(after).saturating_sub(get(before)) as f64 / seconds).round() as u64 } else { 0 }
    }

    fn sum(&self, numbers: fn(&Counts) -> &Vec<u64>) -> u64 {
        let length = self.seen.back().map_or(0, |(_, counts)| numbers(counts).len());
        (0..length).map(|index| self.of(numbers, index)).sum()
    }
}

/// A page of at most `height` lines and `width` columns.
pub(super) fn page(seen: &Snapshot, rates: &Rates, steps: bool, height: usize, width: usize) -> String {
    let mut rows: Vec<[String; 6]> = Vec::new();
    for (index, source) in seen.sources.iter().enumerate() {
        let mut more = vec![format!("{}", HumanBytes(source.bytes_read))];
        if source.files_read > 0 {
            more.push(format!("{} read", counted(source.files_read, "file")));
        }
        if source.rows_rejected > 0 {
            more.push(format!("{} rejected", HumanCount(source.rows_rejected)));
        }
        if source.bytes_waiting > 0 {
            more.push(format!("{} waiting", HumanBytes(source.bytes_waiting)));
        }
        if steps {
            let state = format!("state {}, {}", counted(source.state_rows, "row"), HumanBytes(source.state_bytes));
            more = vec![state + "; " + &more.join(", ")];
        }
        rows.push([
            "source".to_owned(),
            name(&source.name),
            counted(source.rows_read, "row"),
            format!("{}/s", HumanCount(rates.of(|counts| &counts.sources, index))),
            String::new(),
            more.join(", "),
        ]);
    }
    for (index, step) in seen.steps.iter().enumerate().filter(|_| steps) {
        let windows = match (step.late_rows, step.windows_closed) {
            (0, 0) => String::new(),
            (late, closed) => format!("; {} late, {} closed", counted(late, "row"), counted(closed, "window")),
        };
        rows.push([
            "step".to_owned(),
            name(&step.name),
            format!("{} in", HumanCount(step.rows_in)),
            format!("{}/s", HumanCount(rates.of(|counts| &counts.steps, index))),
            format!("{} out", HumanCount(step.rows_out)),
            format!(
                "state {}, {}; busy {:.1} s{windows}",
                counted(step.state_rows, "row"),
                HumanBytes(step.state_bytes),
                step.busy_s
            ),
        ]);
    }
    for (index, output) in seen.outputs.iter().enumerate() {
        rows.push([
            "output".to_owned(),
            name(&output.name),
            counted(output.current_rows.unwrap_or(output.rows_written), "row"),
            match output.current_rows {
                Some(_) => "present".to_owned(),
                None => format!("{}/s", HumanCount(rates.of(|counts| &counts.outputs, index))),
            },
            String::new(),
            String::new(),
        ]);
    }
    let head = format!("millpond: running for {}; {}", duration(seen.run.elapsed_s), state(seen));
    let lines = [head].into_iter().chain(aligned(&rows)).map(|line| truncate_str(&line, width, "…").into_owned());
    let mut lines: Vec<String> = lines.collect();
    if lines.len() > height.max(1) {
        let left = lines.len() + 1 - height.max(1);
        lines.truncate(height.max(1) - 1);
        lines.push(truncate_str(&format!("… and {left} more"), width, "…").into_owned());
    }
    lines.join("\n")
}

/// One line that says how it goes.
pub(super) fn line(seen: &Snapshot, rates: &Rates) -> String {
    format!(
        "millpond: {} read ({}/s), {} written ({}/s); {}",
        counted(seen.sum_sources(|source| source.rows_read), "row"),
        HumanCount(rates.sum(|counts| &counts.sources)),
        counted(seen.rows_written(), "row"),
        HumanCount(rates.sum(|counts| &counts.outputs)),
        state(seen),
    )
}

/// Epochs, lag, state and what is saved of it.
fn state(seen: &Snapshot) -> String {
    let RunSnapshot { epochs, lag_s, last_epoch_s, .. } = &seen.run;
    let mut text = counted(*epochs, "epoch");
    let _ = write!(text, ", the last took {last_epoch_s:.3} s; lag {lag_s:.1} s");
    let _ = write!(text, "; state {}", HumanBytes(seen.state_bytes()));
    if let Some(last) = &seen.run.last_checkpoint {
        let now_ms = seen.run.started_ms as f64 + seen.run.elapsed_s * 1000.0;
        let age_s = (now_ms - last.committed_ms as f64).max(0.0) / 1000.0;
        let _ = write!(text, ", saved {age_s:.1} s ago in {:.3} s", last.duration_s);
    }
    text
}

/// The cells of each row in columns: names to the left, numbers to the right.
fn aligned(rows: &[[String; 6]]) -> impl Iterator<Item = String> {
    let widths: Vec<usize> =
        (0..6).map(|column| rows.iter().map(|row| measure_text_width(&row[column])).max().unwrap_or(0)).collect();
    rows.iter().map(move |row| {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate().filter(|(_, (_, width))| **width > 0) {
            let space = " ".repeat(width - measure_text_width(cell));
            let gap = if column > 0 { "  " } else { "" };
            let _ = match column {
                0 | 1 | 5 => write!(line, "{gap}{cell}{space}"),
                _ => write!(line, "{gap}{space}{cell}"),
            };
        }
        line.trim_end().to_owned()
    })
}

/// A name as a terminal may show it: nothing that moves the cursor.
fn name(text: &str) -> String {
    let plain: String = text.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    let width = measure_text_width(&plain);
    if width <= NAME_COLUMNS {
        return plain;
    }
    // The end of a path says more than its start.
    let mut end: &str = &plain;
    while measure_text_width(end) >= NAME_COLUMNS {
        let mut chars = end.chars();
        chars.next();
        end = chars.as_str();
    }
    format!("…{end}")
}

fn duration(seconds: f64) -> String {
    let seconds = seconds as u64;
    format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// `1,234 rows`.
fn counted(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", HumanCount(number))
}

#[cfg(test)]
mod tests {
    use super::super::snapshot::{CheckpointSnapshot, SinkSnapshot, SourceSnapshot, StepSnapshot};
    use super::*;

    fn seen(rows: u64) -> Snapshot {
        let last = CheckpointSnapshot { epoch: 8, committed_ms: 10_000, duration_s: 0.012, bytes: 100 };
        Snapshot {
            run: RunSnapshot {
                started_ms: 5_000,
                elapsed_s: 5.5,
                processes: 1,
                workers: 2,
                streaming: true,
                epoch: Some(8),
                epochs: 4,
                last_epoch_s: 0.0021,
                lag_s: 0.25,
                memory_limit: None,
                spilled_bytes: 0,
                checkpoints: 1,
                checkpoint_bytes: 100,
                last_checkpoint: Some(last),
            },
            sources: vec![SourceSnapshot {
                name: "visits\u{1b}[2J".into(),
                kind: "csv".into(),
                files_new: 2,
                files_changed: 0,
                files_unchanged: 0,
                files_read: 2,
                rows_read: rows,
                rows_rejected: 3,
                bytes_read: 4096,
                bytes_waiting: 0,
                state_rows: 2,
                state_bytes: 1024,
                state_segments: 1,
            }],
            steps: vec![StepSnapshot {
                name: "visits/reduce".into(),
                kind: "reduce".into(),
                rows_in: rows,
                rows_out: 12,
                busy_s: 0.5,
                late_rows: 4,
                windows_closed: 1,
                state_rows: 10,
                state_bytes: 2048,
                state_segments: 1,
            }],
            outputs: vec![SinkSnapshot {
                name: "r.csv".into(),
                kind: "csv".into(),
                rows_written: 12,
                current_rows: None,
            }],
        }
    }

    fn rates() -> Rates {
        let (mut rates, start) = (Rates::default(), Instant::now());
        for second in 0..20 {
            rates.see(&seen(second * 1000), start + Duration::from_secs(second));
        }
        rates
    }

    #[test]
    fn a_page_shows_all_in_columns_and_nothing_that_moves_the_cursor() {
        let lines = "\
            millpond: running for 0:00:05; 4 epochs, the last took 0.002 s; lag 0.2 s; state 3.00 KiB, saved 0.5 s ago in 0.012 s\n\
            source  visits?[2J     19,000 rows  1,000/s          state 2 rows, 1.00 KiB; 4.00 KiB, 2 files read, 3 rejected\n\
            step    visits/reduce    19,000 in  1,000/s  12 out  state 10 rows, 2.00 KiB; busy 0.5 s; 4 rows late, 1 window closed\n\
            output  r.csv              12 rows      0/s";
        assert_eq!(page(&seen(19_000), &rates(), true, 24, 200), lines);
        let without: Vec<_> = lines.lines().filter(|line| !line.starts_with("step")).map(|line| &line[..10]).collect();
        let short = page(&seen(19_000), &rates(), false, 24, 200);
        assert_eq!(short.lines().map(|line| &line[..10]).collect::<Vec<_>>(), without);
    }

    #[test]
    fn a_page_fits_the_terminal() {
        let text = page(&seen(19_000), &rates(), true, 3, 30);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines.iter().all(|line| measure_text_width(line) <= 30), "{text}");
        assert_eq!(lines[2], "… and 2 more");
        assert_eq!(page(&seen(1), &rates(), true, 0, 0).lines().count(), 1);
    }

    #[test]
    fn a_line_says_how_it_goes() {
        assert_eq!(
            line(&seen(19_000), &rates()),
            "millpond: 19,000 rows read (1,000/s), 12 rows written (0/s); 4 epochs, the last took 0.002 s; lag 0.2 s; \
             state 3.00 KiB, saved 0.5 s ago in 0.012 s"
        );
    }

    #[test]
    fn a_long_name_keeps_its_end() {
        let long = name(&format!("{}/result.csv", "folder/".repeat(20)));
        assert!(long.starts_with('…') && long.ends_with("/result.csv") && measure_text_width(&long) <= NAME_COLUMNS);
    }
}
