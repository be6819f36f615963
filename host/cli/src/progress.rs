//! The course of a fetch, shown: a bar on a terminal, plain lines elsewhere, activities in internal-json.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fetchhost_engine::{LogLevel, LogLine};
use fetchhost_pipeline::{Observer, Phase};
use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::internal_json;
use crate::printer::{Printer, Verbosity};

/// How often the bar is drawn.
pub(crate) const BAR_INTERVAL: Duration = Duration::from_millis(120);
/// How often a plain line reports a body that is still arriving.
const PLAIN_INTERVAL: Duration = Duration::from_secs(10);
/// How often internal-json does.
const JSON_INTERVAL: Duration = Duration::from_millis(100);

/// Shows the course of a fetch on stderr.
pub(crate) struct Progress {
    printer: Printer,
    display: Display,
    committing: AtomicBool,
    /// Whether the module was asked for a plan.
    planned: AtomicBool,
}

enum Display {
    Bar(ProgressBar),
    Lines(Mutex<Transfer>),
    /// One of several: what it is called, and the bar of all of them, if there is one.
    Part(String, Option<ProgressBar>),
}

/// The body that is arriving.
#[derive(Default)]
struct Transfer {
    /// Its number, from 1 on; 0 before the first.
    id: u64,
    received: u64,
    total: Option<u64>,
    /// When it was last reported.
    reported: Option<Instant>,
}

impl Progress {
    pub(crate) fn new(printer: Printer) -> Self {
        let drawn = printer.verbosity >= Verbosity::Default
            && !printer.internal_json
            && std::io::stderr().is_terminal();
        let display = if drawn {
            Display::Bar(bar())
        } else {
            Display::Lines(Mutex::default())
        };
        Self {
            printer,
            display,
            committing: AtomicBool::new(false),
            planned: AtomicBool::new(false),
        }
    }

    /// The course of several fetches, of which each is a [part](Self::part).
    pub(crate) fn of_several(printer: Printer) -> Self {
        let progress = Self::new(printer);
        if let Display::Bar(bar) = &progress.display {
            bar.set_length(0);
        }
        progress
    }

    /// The course of one of several fetches.
    pub(crate) fn part(&self, name: &str) -> Self {
        let bar = match &self.display {
            Display::Bar(bar) | Display::Part(_, Some(bar)) => Some(bar.clone()),
            Display::Lines(_) | Display::Part(_, None) => None,
        };
        Self {
            printer: self.printer,
            display: Display::Part(name.to_owned(), bar),
            committing: AtomicBool::new(false),
            planned: AtomicBool::new(false),
        }
    }

    /// Says how many of several fetches ended, and how one of them did.
    pub(crate) fn ended(&self, count: usize, of: usize, line: &str) {
        if let Display::Bar(bar) = &self.display {
            bar.set_message(format!("{count} of {of}"));
        }
        self.print(|| self.printer.note(line));
    }

    /// Prints lines without harm to the bar.
    fn print(&self, print: impl FnOnce()) {
        match &self.display {
            Display::Bar(bar) | Display::Part(_, Some(bar)) => bar.suspend(print),
            Display::Lines(_) | Display::Part(_, None) => print(),
        }
    }

    /// A line about this fetch.
    fn named(&self, text: &str) -> String {
        match &self.display {
            Display::Part(name, _) => format!("{name}: {text}"),
            Display::Bar(_) | Display::Lines(_) => text.to_owned(),
        }
    }

    /// Whether the module ran. It does not where the output was there, or was copied.
    pub(crate) fn has_planned(&self) -> bool {
        self.planned.load(Ordering::Relaxed)
    }

    /// Takes the bar off the screen while `question` is asked there. Whatever else happens meanwhile
    /// does not wait for the answer.
    pub(crate) fn make_room<T>(&self, question: impl FnOnce() -> T) -> T {
        let (Display::Bar(bar) | Display::Part(_, Some(bar))) = &self.display else {
            return question();
        };
        without_bar(self.printer, bar, question)
    }

    /// Whether destinations make the output visible, or have done so.
    pub(crate) fn is_committing(&self) -> bool {
        self.committing.load(Ordering::Relaxed)
    }

    /// Takes the bar off the screen, or ends the last activity.
    pub(crate) fn finish(&self) {
        match &self.display {
            Display::Bar(bar) => bar.finish_and_clear(),
            Display::Lines(transfer) => {
                if let Ok(transfer) = transfer.lock() {
                    self.stop(&transfer);
                }
            }
            Display::Part(..) => {}
        }
    }

    fn stop(&self, transfer: &Transfer) {
        if self.printer.internal_json && transfer.id > 0 {
            self.report(transfer);
            self.printer.activity(&internal_json::stop(transfer.id));
        }
    }

    fn report(&self, transfer: &Transfer) {
        if self.printer.internal_json {
            let expected = transfer.total.unwrap_or_default();
            let line = internal_json::progress(transfer.id, transfer.received, expected);
            self.printer.activity(&line);
        } else {
            let received = HumanBytes(transfer.received);
            self.printer.note(&match transfer.total {
                Some(total) => format!("received {received} of {}", HumanBytes(total)),
                None => format!("received {received}"),
            });
        }
    }
}

impl Observer for Progress {
    fn phase(&self, phase: Phase) {
        let text = match phase {
            Phase::LookingUp => "looking up",
            Phase::Copying => "copying",
            Phase::Planning => "planning",
            Phase::Receiving => "receiving",
            Phase::Emitting => "unpacking and hashing",
            Phase::Committing => "committing",
        };
        self.committing
            .store(phase == Phase::Committing, Ordering::Relaxed);
        if phase == Phase::Planning {
            self.planned.store(true, Ordering::Relaxed);
        }
        match &self.display {
            Display::Bar(bar) => bar.set_message(text),
            Display::Lines(_) | Display::Part(..) => {
                self.print(|| self.printer.detail(&self.named(text)));
            }
        }
    }

    fn body(&self, total: Option<u64>) {
        match &self.display {
            Display::Bar(bar) => {
                bar.reset();
                match total {
                    Some(total) => bar.set_length(total),
                    None => bar.unset_length(),
                }
            }
            Display::Part(_, bar) => {
                if let (Some(bar), Some(total)) = (bar, total) {
                    bar.inc_length(total);
                }
            }
            Display::Lines(transfer) => {
                let Ok(mut transfer) = transfer.lock() else {
                    return;
                };
                self.stop(&transfer);
                *transfer = Transfer {
                    id: transfer.id + 1,
                    received: 0,
                    total,
                    reported: Some(Instant::now()),
                };
                if self.printer.internal_json {
                    self.printer
                        .activity(&internal_json::start(transfer.id, "receiving"));
                }
            }
        }
    }

    fn received(&self, bytes: u64) {
        match &self.display {
            Display::Bar(bar) | Display::Part(_, Some(bar)) => bar.inc(bytes),
            Display::Part(_, None) => {}
            Display::Lines(transfer) => {
                let Ok(mut transfer) = transfer.lock() else {
                    return;
                };
                transfer.received += bytes;
                let interval = if self.printer.internal_json {
                    JSON_INTERVAL
                } else {
                    PLAIN_INTERVAL
                };
                if transfer
                    .reported
                    .is_none_or(|reported| reported.elapsed() >= interval)
                {
                    transfer.reported = Some(Instant::now());
                    self.report(&transfer);
                }
            }
        }
    }

    fn warning(&self, text: &str) {
        self.print(|| self.printer.warning(&self.named(text)));
    }

    fn log(&self, line: &LogLine) {
        let message = self.named(&line.message);
        self.print(|| match line.level {
            LogLevel::Warn => self
                .printer
                .warning(&self.named(&format!("the module says: {}", line.message))),
            LogLevel::Info => self.printer.note(&message),
            LogLevel::Debug | LogLevel::Phase => self.printer.detail(&message),
        });
    }
}

/// Takes a bar off the screen while `question` is asked there.
pub(crate) fn without_bar<T>(
    printer: Printer,
    bar: &ProgressBar,
    question: impl FnOnce() -> T,
) -> T {
    bar.disable_steady_tick();
    bar.set_draw_target(ProgressDrawTarget::hidden());
    printer.clear_line();
    let answer = question();
    bar.set_draw_target(ProgressDrawTarget::stderr());
    if !bar.is_finished() {
        bar.enable_steady_tick(BAR_INTERVAL);
    }
    answer
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    // The template is a constant; should it ever be wrong, indicatif's own style serves.
    if let Ok(style) =
        ProgressStyle::with_template("{spinner} {msg} {bytes}/{total_bytes} {bytes_per_sec} {eta}")
    {
        bar.set_style(style);
    }
    bar.enable_steady_tick(BAR_INTERVAL);
    bar
}
