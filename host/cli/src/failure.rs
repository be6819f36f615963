//! A failure as the user meets it: a message, what to do next, and an exit status.

use fetchhost_engine::ModuleError;
use fetchhost_policy::{ConfigError, PolicyError};

use crate::commands::cache::push::PushReport;
use crate::commands::cache::sign::SignReport;
use crate::exit::ExitStatus;
use crate::realise::report::RealiseReport;
use crate::report::ResultReport;
use crate::signals::Stop;

/// The word for a cache that has damage.
const DAMAGED: &str = "damaged";
/// The word for a cache of which something cannot be read.
const UNREAD: &str = "unread";

/// Why a command failed.
#[derive(Debug)]
pub(crate) struct Failure {
    /// How the program ends.
    pub(crate) status: ExitStatus,
    /// A word for programs, stable across versions.
    pub(crate) kind: &'static str,
    /// What happened, to what.
    pub(crate) message: String,
    /// What to do next.
    pub(crate) hint: Option<String>,
    /// What was done all the same.
    pub(crate) done: Option<Box<Partial>>,
    /// The record of the run, where one was kept.
    pub(crate) ticket: Option<String>,
}

/// What a command did although it failed.
#[derive(Debug, Clone)]
pub(crate) enum Partial {
    /// Some of several destinations have the output.
    Result(ResultReport),
    /// Some of many outputs are there.
    Realised(RealiseReport),
    /// Some of many records were signed.
    Signed(SignReport),
    /// Some of many paths were pushed.
    Pushed(PushReport),
}

impl Failure {
    /// The command line or the configuration is wrong.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self {
            status: ExitStatus::Usage,
            kind: "usage",
            message: message.into(),
            hint: None,
            done: None,
            ticket: None,
        }
    }

    /// Parts of a cache cannot be read, which the result on stdout lists.
    pub(crate) fn unread(message: String) -> Self {
        Self {
            status: ExitStatus::Sink,
            kind: UNREAD,
            ..Self::usage(message)
        }
    }

    /// With what to do next.
    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// A cache has damage, which the result on stdout lists.
    pub(crate) fn damaged(message: String) -> Self {
        Self {
            status: ExitStatus::FetchFailed,
            kind: DAMAGED,
            ..Self::usage(message)
        }
    }

    /// Whether stdout has the whole of it already, as the result of the command.
    pub(crate) fn is_in_result(&self) -> bool {
        self.kind == DAMAGED || self.kind == UNREAD
    }

    /// Stopped by a signal before anything was emitted.
    pub(crate) fn stopped(stop: Stop) -> Self {
        Self {
            status: ExitStatus::Signal(stop.number),
            kind: "interrupted",
            message: format!("stopped by {}; nothing was emitted", stop.name),
            hint: None,
            done: None,
            ticket: None,
        }
    }

    /// Stopped by a signal while a cache was worked on.
    pub(crate) fn stopped_at_work(stop: Stop) -> Self {
        Self {
            message: format!("stopped by {}", stop.name),
            hint: Some("run the same command again: what is done is left alone".to_owned()),
            ..Self::stopped(stop)
        }
    }

    /// Stopped by a second signal while destinations made the output visible.
    pub(crate) fn stopped_while_committing(stop: Stop) -> Self {
        Self {
            message: format!(
                "stopped by {} while the verified output was being written",
                stop.name
            ),
            hint: Some("run the same command again: what is complete is left alone".to_owned()),
            ..Self::stopped(stop)
        }
    }
}

/// The hint for a name that is not known: the one that was probably meant, or what else to do.
pub(crate) fn meant<'a>(
    typed: &str,
    known: impl IntoIterator<Item = &'a str>,
    otherwise: impl FnOnce() -> String,
) -> String {
    match fetchhost_policy::nearest(typed, known) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => otherwise(),
    }
}

/// An error's message with its causes, on one line.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        let text = source.to_string();
        if !message.ends_with(&text) {
            message.push_str(": ");
            message.push_str(&text);
        }
        cause = source.source();
    }
    message
}

impl From<fetchhost_pipeline::Error> for Failure {
    fn from(error: fetchhost_pipeline::Error) -> Self {
        Self {
            status: error.category().into(),
            kind: error.kind(),
            message: with_causes(&error),
            hint: error.hint(),
            done: None,
            ticket: None,
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self {
            status: ExitStatus::Usage,
            kind: "configuration",
            message: with_causes(&error),
            hint: error.hint(),
            done: None,
            ticket: None,
        }
    }
}

impl From<PolicyError> for Failure {
    fn from(error: PolicyError) -> Self {
        Self {
            status: ExitStatus::Usage,
            kind: "configuration",
            message: with_causes(&error),
            hint: error.hint(),
            done: None,
            ticket: None,
        }
    }
}

impl From<ModuleError> for Failure {
    fn from(error: ModuleError) -> Self {
        let (status, kind) = match &error {
            ModuleError::Misbehaved(_) => (ExitStatus::Module, "module"),
            _ => (ExitStatus::Usage, "invalid-module"),
        };
        Self {
            status,
            kind,
            message: with_causes(&error),
            hint: error.hint(),
            done: None,
            ticket: None,
        }
    }
}
