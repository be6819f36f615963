//! The course of a fetch, shown: a bar on a terminal, plain lines elsewhere.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fetchhost_engine::{LogLevel, LogLine};
use fetchhost_pipeline::{Observer, Phase};
use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::printer::{Printer, Verbosity};

/// How often a plain line reports a body that is still arriving.
const PLAIN_INTERVAL: Duration = Duration::from_secs(10);

/// Shows the course of a fetch on stderr.
pub(crate) struct Progress {
    printer: Printer,
    bar: Option<ProgressBar>,
    plain: Mutex<Plain>,
    committing: AtomicBool,
}

/// What the next plain line needs to know.
struct Plain {
    received: u64,
    total: Option<u64>,
    reported: Instant,
}

impl Progress {
    pub(crate) fn new(printer: Printer) -> Self {
        let drawn = printer.verbosity >= Verbosity::Default && std::io::stderr().is_terminal();
        Self {
            printer,
            bar: drawn.then(bar),
            plain: Mutex::new(Plain {
                received: 0,
                total: None,
                reported: Instant::now(),
            }),
            committing: AtomicBool::new(false),
        }
    }

    /// Whether destinations make the output visible, or have done so.
    pub(crate) fn is_committing(&self) -> bool {
        self.committing.load(Ordering::Relaxed)
    }

    /// Takes the bar off the screen.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// Prints above the bar.
    fn line(&self, print: impl FnOnce()) {
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }
}

impl Observer for Progress {
    fn phase(&self, phase: Phase) {
        let text = match phase {
            Phase::LookingUp => "looking up",
            Phase::Planning => "planning",
            Phase::Receiving => "receiving",
            Phase::Emitting => "unpacking and hashing",
            Phase::Committing => "committing",
        };
        self.committing
            .store(phase == Phase::Committing, Ordering::Relaxed);
        match &self.bar {
            Some(bar) => bar.set_message(text),
            None => self.printer.detail(text),
        }
    }

    fn body(&self, total: Option<u64>) {
        match &self.bar {
            Some(bar) => {
                bar.reset();
                match total {
                    Some(total) => bar.set_length(total),
                    None => bar.unset_length(),
                }
            }
            None => {
                if let Ok(mut plain) = self.plain.lock() {
                    *plain = Plain {
                        received: 0,
                        total,
                        reported: Instant::now(),
                    };
                }
            }
        }
    }

    fn received(&self, bytes: u64) {
        if let Some(bar) = &self.bar {
            bar.inc(bytes);
            return;
        }
        let Ok(mut plain) = self.plain.lock() else {
            return;
        };
        plain.received += bytes;
        if plain.reported.elapsed() >= PLAIN_INTERVAL {
            plain.reported = Instant::now();
            let received = HumanBytes(plain.received);
            self.printer.note(&match plain.total {
                Some(total) => format!("received {received} of {}", HumanBytes(total)),
                None => format!("received {received}"),
            });
        }
    }

    fn log(&self, line: &LogLine) {
        self.line(|| match line.level {
            LogLevel::Warn => self
                .printer
                .warning(&format!("the module says: {}", line.message)),
            LogLevel::Info => self.printer.note(&line.message),
            LogLevel::Debug | LogLevel::Phase => self.printer.detail(&line.message),
        });
    }
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    // The template is a constant; should it ever be wrong, indicatif's own style serves.
    if let Ok(style) =
        ProgressStyle::with_template("{spinner} {msg} {bytes}/{total_bytes} {bytes_per_sec} {eta}")
    {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}
