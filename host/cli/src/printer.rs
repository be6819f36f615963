//! What goes where: results to stdout, everything else to stderr.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};

use crate::failure::Failure;
use crate::internal_json::{self, Level};
use crate::report::ErrorReport;

const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default().bold();

/// How much is said on stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verbosity {
    /// Errors only.
    Quiet,
    /// Warnings, notes and progress.
    Default,
    /// Also what the module says for its author.
    Verbose,
}

/// Owns stdout and stderr.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Printer {
    /// How much is said on stderr.
    pub(crate) verbosity: Verbosity,
    /// Results, failures too, are JSON on stdout.
    pub(crate) json: bool,
    /// Stderr is Nix's internal-json.
    pub(crate) internal_json: bool,
}

impl Printer {
    /// Writes a result to stdout. A reader that went away is no error: it saw what it wanted.
    pub(crate) fn result(self, text: &str) -> Result<(), Failure> {
        let mut stdout = anstream::stdout().lock();
        match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(Failure::usage(format!("stdout cannot be written: {error}")))
            }
            _ => Ok(()),
        }
    }

    /// Writes a result as JSON to stdout.
    pub(crate) fn json(self, value: &impl serde::Serialize) -> Result<(), Failure> {
        match serde_json::to_string_pretty(value) {
            Ok(text) => self.result(&text),
            Err(error) => Err(Failure::usage(format!(
                "the result cannot be written as JSON: {error}"
            ))),
        }
    }

    /// A line about the course of things.
    pub(crate) fn note(self, text: &str) {
        if self.verbosity >= Verbosity::Default {
            self.say(Level::Notice, text, format_args!("{text}"));
        }
    }

    /// A line for those who asked for more.
    pub(crate) fn detail(self, text: &str) {
        if self.verbosity >= Verbosity::Verbose {
            self.say(Level::Talkative, text, format_args!("{text}"));
        }
    }

    /// Something the user should know although the command goes on.
    pub(crate) fn warning(self, text: &str) {
        if self.verbosity >= Verbosity::Default {
            self.say(
                Level::Warning,
                text,
                format_args!("{WARNING}warning{WARNING:#}: {text}"),
            );
        }
    }

    /// A failure that does not end the command, which goes on with other things.
    pub(crate) fn error(self, text: &str) {
        self.say(
            Level::Error,
            &format!("error: {text}"),
            format_args!("{ERROR}error{ERROR:#}: {text}"),
        );
    }

    /// A line that is internal-json already.
    pub(crate) fn activity(self, line: &str) {
        if self.verbosity >= Verbosity::Default {
            stderr(format_args!("{line}"));
        }
    }

    /// Takes off the screen what stands in the line of the cursor.
    pub(crate) fn clear_line(self) {
        let mut stderr = anstream::stderr().lock();
        // Nothing can be done when stderr is gone.
        let _ = write!(stderr, "\r\x1b[2K").and_then(|()| stderr.flush());
    }

    /// The failure that ends the program.
    pub(crate) fn failure(self, failure: &Failure) {
        let hint = failure.hint.as_ref();
        let ticket = failure
            .ticket
            .as_ref()
            .map(|ticket| format!("`nix-fetchhost log {ticket}` shows the record of this run"));
        if self.internal_json {
            let hint = hint
                .map(|hint| format!("\n\nhint: {hint}"))
                .unwrap_or_default();
            let ticket = ticket
                .map(|ticket| format!("\n\n{ticket}"))
                .unwrap_or_default();
            let text = format!("error: {}{hint}{ticket}", failure.message);
            stderr(format_args!(
                "{}",
                internal_json::message(Level::Error, &text)
            ));
        } else {
            stderr(format_args!("{ERROR}error{ERROR:#}: {}", failure.message));
            if let Some(hint) = hint {
                stderr(format_args!("\n{HINT}hint{HINT:#}: {hint}"));
            }
            if let Some(ticket) = ticket {
                stderr(format_args!("\n{ticket}"));
            }
        }
        if self.json && !failure.is_in_result() {
            // The failure itself is what the user must learn, not that it could not be printed twice.
            let _ = self.json(&ErrorReport::new(failure));
        }
    }

    fn say(self, level: Level, text: &str, styled: std::fmt::Arguments<'_>) {
        if self.internal_json {
            stderr(format_args!("{}", internal_json::message(level, text)));
        } else {
            stderr(styled);
        }
    }
}

/// Nothing can be done when stderr is gone.
fn stderr(text: std::fmt::Arguments<'_>) {
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}
