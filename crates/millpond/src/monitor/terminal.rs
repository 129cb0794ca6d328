//! What a run shows on standard error while it goes on: a progress bar, a dashboard, or now and then a line.
//!
//! A thread of its own looks at the numbers and draws; it takes nothing from the run but the moments of a
//! [`Snapshot`](super::Snapshot). Bar and dashboard stay where they are, at the end of the terminal, and leave nothing
//! behind.

use std::io::{IsTerminal, Write};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};
use millpond_error::Result;

use super::dashboard::{self, Rates};
use super::{Monitor, Snapshot};
use crate::lacking::lacking;

/// A run that is done by then shows nothing.
const BAR_AFTER: Duration = Duration::from_millis(200);
const DRAW_EVERY: Duration = Duration::from_millis(100);
const DASHBOARD_EVERY: Duration = Duration::from_millis(500);
/// Of single changes to a bar, several at a time; there are fewer than this lets through.
const HZ: u8 = 100;
/// Without a terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// How much a run shows of itself while it goes on. The names are those of Pathway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Monitoring {
    /// Nothing.
    None,
    /// On a terminal, a progress bar for a run that comes to its end.
    #[default]
    Auto,
    /// On a terminal, as `All`; otherwise nothing.
    AutoAll,
    /// Sources and outputs: of a run that comes to its end a progress bar, of one that goes on a dashboard. Where
    /// standard error is no terminal, one line every five seconds.
    InOut,
    /// As `InOut`, with all steps in the dashboard.
    All,
}

/// What is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Bar,
    Dashboard { steps: bool },
    Lines,
}

impl Monitoring {
    /// Whether a run that goes on can say something on standard error: it is to show something of itself, and no
    /// dashboard stands there.
    pub(super) fn leaves_room(self) -> bool {
        let form = || self.form(true, std::io::stderr().is_terminal());
        self != Monitoring::None && !matches!(form(), Some(Form::Dashboard { .. }))
    }

    /// What to draw of a run that `streams`, or does not, on a `terminal` or anything else.
    fn form(self, streams: bool, terminal: bool) -> Option<Form> {
        match (self, terminal, streams) {
            (Monitoring::None, _, _) | (Monitoring::Auto, true, true) => None,
            (Monitoring::Auto | Monitoring::AutoAll, false, _) => None,
            (Monitoring::InOut | Monitoring::All, false, _) => Some(Form::Lines),
            (_, true, false) => Some(Form::Bar),
            (Monitoring::InOut, true, true) => Some(Form::Dashboard { steps: false }),
            (Monitoring::AutoAll | Monitoring::All, true, true) => Some(Form::Dashboard { steps: true }),
        }
    }
}

/// The thread that draws; it ends, with what it has drawn, when this is dropped.
pub(crate) struct Terminal {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Terminal {
    /// Starts to draw, if there will be anything to draw.
    pub(crate) fn start(monitoring: Monitoring, monitor: Monitor) -> Result<Option<Self>> {
        let terminal = std::io::stderr().is_terminal();
        if [true, false].iter().all(|streams| monitoring.form(*streams, terminal).is_none()) {
            return Ok(None);
        }
        let (stop, stopped) = mpsc::channel();
        let mut drawing = Drawing { monitoring, terminal, monitor, shown: None };
        let draw = move || {
            let mut wait = BAR_AFTER;
            while stopped.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
                wait = drawing.draw();
            }
            drawing.clear();
        };
        let thread = thread::Builder::new().name("monitoring".to_owned()).spawn(draw);
        let thread = thread.map_err(|error| lacking("no thread to monitor the run", error))?;
        Ok(Some(Terminal { stop: Some(stop), thread: Some(thread) }))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Drawing {
    monitoring: Monitoring,
    terminal: bool,
    monitor: Monitor,
    shown: Option<Shown>,
}

struct Shown {
    form: Form,
    /// For bar and dashboard.
    bar: Option<ProgressBar>,
    rates: Rates,
}

impl Drawing {
    /// Draws what there is to see, and says when to draw again.
    fn draw(&mut self) -> Duration {
        let Some(meters) = self.monitor.meters().filter(|meters| meters.is_open()) else { return DRAW_EVERY };
        if self.shown.is_none() {
            let Some(form) = self.monitoring.form(meters.is_streaming(), self.terminal) else { return DASHBOARD_EVERY };
            let on_terminal = !matches!(form, Form::Lines);
            // Output of the program's own functions goes to the same terminal, and would be mixed up with a bar.
            if form == Form::Bar && self.monitoring == Monitoring::Auto && meters.calls_program() {
                return DASHBOARD_EVERY;
            }
            let bar = on_terminal.then(ProgressBar::hidden);
            self.shown = Some(Shown { form, bar, rates: Rates::default() });
        }
        let Some(shown) = &mut self.shown else { return DASHBOARD_EVERY };
        let seen = meters.snapshot();
        shown.rates.see(&seen, Instant::now());
        let Some(bar) = &shown.bar else {
            if seen.run.elapsed_s >= LINE_EVERY.as_secs_f64() {
                // Whoever closed it does not want to know.
                let _ = writeln!(std::io::stderr(), "{}", dashboard::line(&seen, &shown.rates));
            }
            return LINE_EVERY;
        };
        let wait = match shown.form {
            Form::Dashboard { steps } => {
                let (height, width) = size();
                bar.set_style(style("{msg}"));
                bar.set_message(dashboard::page(&seen, &shown.rates, steps, height.saturating_sub(1), width));
                DASHBOARD_EVERY
            }
            Form::Bar | Form::Lines => {
                draw_bar(bar, &seen);
                DRAW_EVERY
            }
        };
        if bar.is_hidden() {
            // Now that there is something to see.
            bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(HZ));
            bar.tick();
        }
        wait
    }

    fn clear(&mut self) {
        if let Some(bar) = self.shown.take().and_then(|shown| shown.bar) {
            bar.finish_and_clear();
        }
    }
}

/// By bytes, where it is known how many there are.
fn draw_bar(bar: &ProgressBar, seen: &Snapshot) {
    let done = seen.sum_sources(|source| source.bytes_read);
    let all = done + seen.sum_sources(|source| source.bytes_waiting);
    let rows = HumanCount(seen.sum_sources(|source| source.rows_read));
    let files = seen.sum_sources(|source| source.files_read);
    let all_files = seen.sum_sources(|source| source.files_new + source.files_changed);
    let files = if all_files > 0 { format!(", files {files}/{all_files}") } else { String::new() };
    let after = if done < all { "" } else { ", finishing" };
    bar.set_style(style(if all > 0 {
        "{percent:>3}% [{bar:24}] {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left, {wide_msg}"
    } else {
        "{elapsed} {wide_msg}"
    }));
    bar.set_message(format!("{rows} rows{files}{after}"));
    bar.set_length(all);
    bar.set_position(done);
}

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    style.progress_chars("=> ")
}

/// The lines and columns of the terminal.
fn size() -> (usize, usize) {
    let (height, width) = console::Term::stderr().size();
    (usize::from(height), usize::from(width))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notices_are_told_where_something_is_shown() {
        assert!(!Monitoring::None.leaves_room());
        assert!(Monitoring::Auto.leaves_room());
    }

    #[test]
    fn what_is_drawn_follows_from_level_terminal_and_run() {
        let on_terminal = |level: Monitoring| [level.form(false, true), level.form(true, true)];
        assert_eq!(on_terminal(Monitoring::None), [None, None]);
        assert_eq!(on_terminal(Monitoring::Auto), [Some(Form::Bar), None]);
        assert_eq!(on_terminal(Monitoring::InOut), [Some(Form::Bar), Some(Form::Dashboard { steps: false })]);
        for level in [Monitoring::AutoAll, Monitoring::All] {
            assert_eq!(on_terminal(level), [Some(Form::Bar), Some(Form::Dashboard { steps: true })]);
        }
        for level in [Monitoring::None, Monitoring::Auto, Monitoring::AutoAll] {
            assert_eq!([level.form(false, false), level.form(true, false)], [None, None]);
        }
        for level in [Monitoring::InOut, Monitoring::All] {
            assert_eq!([level.form(false, false), level.form(true, false)], [Some(Form::Lines), Some(Form::Lines)]);
        }
    }
}
