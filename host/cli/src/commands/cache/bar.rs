//! How far work on a cache is.

use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::printer::{Printer, Verbosity};
use crate::progress::BAR_INTERVAL;

/// How often a plain line says it.
const PLAIN_INTERVAL: Duration = Duration::from_secs(10);

/// A bar on a terminal, and a line now and then elsewhere.
pub(super) struct Bar {
    printer: Printer,
    bar: Option<ProgressBar>,
    done: &'static str,
    told: Mutex<Instant>,
}

impl Bar {
    /// `done`: what has happened to what is done.
    pub(super) fn new(printer: Printer, done: &'static str) -> Self {
        let is_drawn = printer.verbosity >= Verbosity::Default
            && !printer.internal_json
            && std::io::stderr().is_terminal();
        Self {
            printer,
            bar: is_drawn.then(drawn),
            done,
            told: Mutex::new(Instant::now()),
        }
    }

    /// So many of so many are done.
    pub(super) fn at(&self, done: usize, total: usize) {
        if let Some(bar) = &self.bar {
            bar.set_length(total as u64);
            bar.set_position(done as u64);
            return;
        }
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.elapsed() >= PLAIN_INTERVAL {
            *told = Instant::now();
            self.printer
                .note(&format!("{} {done} of {total}", self.done));
        }
    }

    /// Takes the bar off the screen.
    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn drawn() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{bar:30} {pos} of {len} ({elapsed})");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(BAR_INTERVAL);
    bar
}
