//! The course of many fetches, shown as one.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use fetchhost_engine::{LogLevel, LogLine};
use fetchhost_pipeline::{Observer, Phase};
use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::internal_json;
use crate::printer::{Printer, Verbosity};
use crate::progress::{BAR_INTERVAL, without_bar};

/// How many bytes of one fetch come between two reports in internal-json.
const JSON_BYTES: u64 = 1 << 20;

/// Shows the course of all fetches on stderr: a bar on a terminal, a line for each end elsewhere, activities in
/// internal-json.
pub(crate) struct Progress {
    printer: Printer,
    bar: Option<ProgressBar>,
    total: usize,
    ended: AtomicUsize,
    received: AtomicU64,
    /// The number of the last activity.
    activities: AtomicU64,
}

impl Progress {
    /// For so many fetches.
    pub(crate) fn new(printer: Printer, total: usize) -> Arc<Self> {
        Self::of(printer, total, "outputs")
    }

    /// For so many of something else, which is called `things`.
    pub(crate) fn of(printer: Printer, total: usize, things: &str) -> Arc<Self> {
        let drawn = printer.verbosity >= Verbosity::Default
            && !printer.internal_json
            && total > 0
            && std::io::stderr().is_terminal();
        let progress = Self {
            printer,
            bar: drawn.then(|| bar(total, things)),
            total,
            ended: AtomicUsize::new(0),
            received: AtomicU64::new(0),
            activities: AtomicU64::new(0),
        };
        Arc::new(progress)
    }

    /// Watches one fetch.
    pub(crate) fn watch(self: &Arc<Self>, name: &str) -> Arc<Watch> {
        Arc::new(Watch {
            all: Arc::clone(self),
            name: name.to_owned(),
            committing: AtomicBool::new(false),
            activity: AtomicU64::new(0),
            received: AtomicU64::new(0),
            expected: AtomicU64::new(0),
        })
    }

    /// One fetch came to its end, well or not.
    pub(crate) fn ended(&self, line: &str) {
        let ended = self.ended.fetch_add(1, Ordering::Relaxed) + 1;
        let line = format!("[{ended}/{}] {line}", self.total);
        match &self.bar {
            Some(bar) => {
                bar.set_position(ended as u64);
                bar.suspend(|| self.printer.detail(&line));
            }
            None => self.printer.note(&line),
        }
    }

    /// One came to its end, which is told to those alone who asked for more.
    pub(crate) fn passed(&self, line: &str) {
        let ended = self.ended.fetch_add(1, Ordering::Relaxed) + 1;
        if let Some(bar) = &self.bar {
            bar.set_position(ended as u64);
        }
        if self.printer.verbosity >= Verbosity::Verbose {
            self.beside(|| self.printer.detail(line));
        }
    }

    /// So many bytes more have come.
    pub(crate) fn received(&self, bytes: u64) {
        let all = self.received.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if let Some(bar) = &self.bar {
            bar.set_message(HumanBytes(all).to_string());
        }
    }

    /// Prints a failure beside the bar.
    pub(crate) fn error(&self, text: &str) {
        self.beside(|| self.printer.error(text));
    }

    /// Prints a warning beside the bar.
    pub(crate) fn warning(&self, text: &str) {
        self.beside(|| self.printer.warning(text));
    }

    /// Takes the bar off the screen.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// Takes the bar off the screen while `question` is asked there.
    pub(crate) fn make_room<T>(&self, question: impl FnOnce() -> T) -> T {
        let Some(bar) = &self.bar else {
            return question();
        };
        without_bar(self.printer, bar, question)
    }

    fn beside(&self, print: impl FnOnce()) {
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }
}

/// Watches one fetch of many.
pub(crate) struct Watch {
    all: Arc<Progress>,
    /// The output's name.
    name: String,
    committing: AtomicBool,
    /// The activity of the body that arrives; 0 before the first.
    activity: AtomicU64,
    received: AtomicU64,
    expected: AtomicU64,
}

impl Watch {
    /// Whether the store makes the output visible, or has done so.
    pub(crate) fn is_committing(&self) -> bool {
        self.committing.load(Ordering::Relaxed)
    }

    /// Ends the last activity.
    pub(crate) fn finish(&self) {
        let activity = self.activity.swap(0, Ordering::Relaxed);
        if activity > 0 {
            self.report(activity, self.received.load(Ordering::Relaxed));
            let stop = internal_json::stop(activity);
            self.all.printer.activity(&stop);
        }
    }

    fn report(&self, activity: u64, received: u64) {
        let expected = self.expected.load(Ordering::Relaxed);
        let line = internal_json::progress(activity, received, expected);
        self.all.printer.activity(&line);
    }
}

impl Observer for Watch {
    fn phase(&self, phase: Phase) {
        let committing = phase == Phase::Committing;
        self.committing.store(committing, Ordering::Relaxed);
    }

    fn body(&self, total: Option<u64>) {
        if !self.all.printer.internal_json {
            return;
        }
        self.finish();
        let activity = self.all.activities.fetch_add(1, Ordering::Relaxed) + 1;
        self.activity.store(activity, Ordering::Relaxed);
        self.received.store(0, Ordering::Relaxed);
        self.expected
            .store(total.unwrap_or_default(), Ordering::Relaxed);
        let start = internal_json::start(activity, &format!("fetching {}", self.name));
        self.all.printer.activity(&start);
    }

    fn received(&self, bytes: u64) {
        self.all.received(bytes);
        let before = self.received.fetch_add(bytes, Ordering::Relaxed);
        let activity = self.activity.load(Ordering::Relaxed);
        if activity > 0 && before / JSON_BYTES != (before + bytes) / JSON_BYTES {
            self.report(activity, before + bytes);
        }
    }

    fn warning(&self, text: &str) {
        self.all.warning(&format!("`{}`: {text}", self.name));
    }

    fn log(&self, line: &LogLine) {
        let (name, message, printer) = (&self.name, &line.message, self.all.printer);
        self.all.beside(|| match line.level {
            LogLevel::Warn => {
                printer.warning(&format!("`{name}`: the module says: {message}"));
            }
            LogLevel::Info => printer.note(&format!("`{name}`: {message}")),
            LogLevel::Debug | LogLevel::Phase => printer.detail(&format!("`{name}`: {message}")),
        });
    }
}

fn bar(total: usize, things: &str) -> ProgressBar {
    let target = ProgressDrawTarget::stderr();
    let bar = ProgressBar::with_draw_target(Some(total as u64), target);
    // The template is a constant; should it ever be wrong, indicatif's own style serves.
    let template = format!("{{spinner}} {{pos}} of {{len}} {things}, {{msg}}");
    if let Ok(style) = ProgressStyle::with_template(&template) {
        bar.set_style(style);
    }
    bar.set_message("0 B");
    bar.enable_steady_tick(BAR_INTERVAL);
    bar
}
