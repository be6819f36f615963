//! Fetches that nobody typed: what a Nix expression asks for, by what the configuration grants alone.
//!
//! The gateway and `realise` share this: there is one place in which a URL of a derivation becomes a job.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fetchhost_credentials::Keyring;
use fetchhost_formats::{Hash, OutputMode};
use fetchhost_gateway::FetchUrl;
use fetchhost_pipeline::{Error, Expectation, Job, Outcome, Silent};
use fetchhost_policy::{Broker, Config, Denial, printable};
use fetchhost_transport::Client;
use serde_json::{Map, Value};

use crate::catalog::{ByName, Selected};
use crate::context::Context;
use crate::exit::ExitStatus;
use crate::failure::{Failure, Partial, with_causes};
use crate::fetching::effective_origin;
use crate::journal::{self, Done, Journal, Record};
use crate::params;
use crate::printer::Printer;
use crate::report::ResultReport;

/// The longest parameters that are recorded, in bytes of JSON.
const MAX_RECORDED: usize = 4096;

/// Makes jobs of what expressions ask for.
pub(crate) struct Unattended {
    fetchers: ByName,
    config: Config,
    client: Client,
    tmp: PathBuf,
}

impl Unattended {
    pub(crate) fn new(context: &Context, keyring: Arc<Keyring>) -> Result<Self, Failure> {
        Ok(Self {
            fetchers: ByName::new(context.engine()?),
            config: context.settings.config.clone(),
            client: context.client(keyring),
            tmp: context.environment.tmp.clone(),
        })
    }

    /// The fetcher of this name.
    pub(crate) async fn select(&self, name: &str) -> Result<Arc<Selected>, Failure> {
        self.fetchers.select(name).await
    }

    /// The job that fetches `url`, whatever is there already. It has no destination yet, and nobody
    /// watches it.
    pub(crate) fn job(&self, url: &FetchUrl, selected: &Selected) -> Result<Job, Failure> {
        let description = selected.description()?;
        let params = params::validate(&description.parameters, url.params.clone(), "")?;
        let output = &url.output;
        let (ruled_mode, _) = description
            .output_for(&params, Some(output.name.clone()))
            .map_err(|error| Failure::usage(with_causes(&error)))?;
        if (output.mode, ruled_mode) == (OutputMode::Flat, OutputMode::Nar) {
            return Err(Failure::usage(
                "with these parameters the output is a tree, or an executable, which has no flat hash",
            )
            .with_hint("declare mode `nar`, and the hash of the NAR"));
        }
        let broker = Broker::new(
            selected.id.clone(),
            &selected.fetcher,
            description,
            &self.config,
            // Parameters come from an expression that anybody may have written: they grant nothing.
            None,
        )?;
        check_granted(&broker, selected, &params)?;
        Ok(Job {
            module: Arc::clone(&selected.module),
            fetcher: selected.fetcher.clone(),
            params: Value::Object(params).to_string(),
            name: output.name.clone(),
            mode: output.mode,
            executable: url.executable,
            expectation: Expectation::Declared(output.hash.clone()),
            destinations: Vec::new(),
            // Whoever asks for a job has looked already.
            refetch: true,
            broker: Arc::new(broker),
            client: self.client.with_own_journal(),
            limits: self.config.limits(),
            tmp: self.tmp.clone(),
            observer: Arc::new(Silent),
        })
    }
}

/// Refuses what no grant reaches, so that content that is at hand is no exception.
fn check_granted(
    broker: &Broker,
    selected: &Selected,
    params: &Map<String, Value>,
) -> Result<(), Failure> {
    let Some(origin) = effective_origin(selected, params)? else {
        return Ok(());
    };
    match broker.explain(&origin).denial {
        None => Ok(()),
        Some(denial) => Err(denied(&denial)),
    }
}

/// What the configuration does not grant, with the lines that would.
pub(crate) fn denied(denial: &Denial) -> Failure {
    Failure {
        status: ExitStatus::Denied,
        kind: "denied",
        hint: denial.hint(),
        ..Failure::usage(with_causes(denial))
    }
}

/// What is wrong with parameters may be told in their own words, which are not the user's: here with no
/// control characters in them.
pub(crate) fn escaped(failure: Failure) -> Failure {
    let escaped = |text: &str| {
        let lines: Vec<_> = text.lines().map(printable).collect();
        lines.join("\n")
    };
    Failure {
        message: escaped(&failure.message),
        hint: failure.hint.as_deref().map(escaped),
        ..failure
    }
}

/// What came of a job.
pub(crate) struct Ended {
    /// What ran and whom it asked.
    pub(crate) done: Done,
    /// What it made, or why it failed.
    pub(crate) result: Result<(Outcome, ResultReport), Failure>,
    /// The hash of what came, where it is not the declared one.
    pub(crate) got: Option<Hash>,
}

/// Runs a job to its end.
pub(crate) async fn carry_out(job: Job, selected: &Selected) -> Ended {
    let client = job.client.clone();
    let ended = fetchhost_pipeline::run(job).await;
    let done = Done::of(selected, &client);
    let mut got = None;
    let result = match ended {
        Err(error) => {
            if let Error::HashMismatch { mismatch, .. } = &error {
                got = Some(mismatch.got.clone());
            }
            Err(error.into())
        }
        Ok(outcome) => {
            let report = ResultReport::new(
                &selected.id,
                &selected.module.digest(),
                &selected.fetcher,
                &outcome,
                &client.journal(),
            );
            match outcome.failure() {
                None => Ok((outcome, report)),
                Some(error) => Err(Failure {
                    done: Some(Box::new(Partial::Result(report))),
                    ..error.into()
                }),
            }
        }
    };
    Ended { done, result, got }
}

/// Parameters as they are recorded: where they are very long only how long, since whoever asks often would
/// make the record of everything else go.
fn recorded(params: &Map<String, Value>) -> Cow<'_, Map<String, Value>> {
    let length = Value::Object(params.clone()).to_string().len();
    if length <= MAX_RECORDED {
        return Cow::Borrowed(params);
    }
    let told = format!("{length} bytes, too long to be kept");
    Cow::Owned(Map::from_iter([("…".to_owned(), told.into())]))
}

/// Appends a record of what `url` named to the user's, and returns the ticket that names it.
pub(crate) fn record(
    state: &Path,
    printer: Printer,
    url: &FetchUrl,
    done: Done,
    ended: Result<&ResultReport, &Failure>,
) -> String {
    let ticket = journal::ticket().unwrap_or_default();
    let params = recorded(&url.params);
    let record = Record::new(ticket.clone(), &url.fetcher, &params, done, ended);
    if let Err(error) = Journal::new(state).append(&record) {
        printer.warning(&format!("this fetch was not recorded: {error}"));
    }
    ticket
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_long_parameters_only_the_length_is_recorded() {
        let params = |length: usize| Map::from_iter([("p".to_owned(), "x".repeat(length).into())]);
        assert_eq!(*recorded(&params(100)), params(100));
        let long = Value::Object(recorded(&params(50_000)).into_owned()).to_string();
        assert!(long.len() < 100 && long.contains("50008 bytes"), "{long}");
    }
}
