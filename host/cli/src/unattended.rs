//! Fetches that nobody typed: what a Nix expression asks for, by what the configuration grants alone.
//!
//! The gateway and `realise` share this: there is one place in which a URL of a derivation becomes a job.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use fetchhost_credentials::Keyring;
use fetchhost_engine::Desk;
use fetchhost_formats::{Hash, HashAlgorithm, OutputMode, StoreName};
use fetchhost_gateway::{FetchUrl, SignatureUrl, StoreInputs};
use fetchhost_keys::Signers;
use fetchhost_pipeline::{Error, Expectation, Job, Outcome, SigningDesk, Silent, Unlocking};
use fetchhost_policy::describe::FetcherDescription;
use fetchhost_policy::{Broker, Denial, InputName, printable};
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
use crate::signing::{self, Desks};

/// The longest parameters that are recorded, in bytes of JSON.
const MAX_RECORDED: usize = 4096;

/// Makes jobs of what expressions ask for.
pub(crate) struct Unattended {
    fetchers: ByName,
    context: Context,
    client: Client,
    /// What looks signatures up, made when the first fetch needs it.
    desks: OnceLock<Desks>,
}

/// What an expression asks for, as records name it.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    /// The fetcher's name.
    pub(crate) fetcher: &'a str,
    /// The output's name.
    pub(crate) name: &'a StoreName,
    /// The fetcher's parameters.
    params: &'a Map<String, Value>,
    /// The files that the fetcher is given.
    inputs: &'a StoreInputs,
}

impl<'a> From<&'a FetchUrl> for Asked<'a> {
    fn from(url: &'a FetchUrl) -> Self {
        Self {
            fetcher: &url.fetcher,
            name: &url.output.name,
            params: &url.params,
            inputs: &url.inputs,
        }
    }
}

impl<'a> From<&'a SignatureUrl> for Asked<'a> {
    fn from(url: &'a SignatureUrl) -> Self {
        Self {
            fetcher: &url.fetcher,
            name: &url.name,
            params: &url.params,
            inputs: &url.inputs,
        }
    }
}

/// A job, and what it is given signatures by.
pub(crate) struct Prepared {
    /// The job.
    pub(crate) job: Job,
    /// What looks signatures up for it.
    desk: Option<Arc<SigningDesk>>,
}

impl Unattended {
    pub(crate) fn new(context: &Context, keyring: Arc<Keyring>) -> Result<Self, Failure> {
        Ok(Self {
            fetchers: ByName::new(context.engine()?),
            client: context.client(keyring),
            context: Context {
                printer: context.printer,
                environment: context.environment.clone(),
                settings: context.settings.clone(),
                broken: None,
            },
            desks: OnceLock::new(),
        })
    }

    /// The fetcher of this name.
    pub(crate) async fn select(&self, name: &str) -> Result<Arc<Selected>, Failure> {
        self.fetchers.select(name).await
    }

    /// The job that fetches `url`, whatever is there already. It has no destination yet, and nobody
    /// watches it.
    pub(crate) async fn job(
        &self,
        url: &FetchUrl,
        selected: &Selected,
    ) -> Result<Prepared, Failure> {
        let expectation = Expectation::Declared(url.output.hash.clone());
        let mut prepared = self
            .prepare(url.into(), url.output.mode, expectation, selected)
            .await?;
        prepared.job.executable = url.executable;
        Ok(prepared)
    }

    /// The job that looks up a signature whose hash nobody knows.
    pub(crate) async fn look_up(
        &self,
        url: &SignatureUrl,
        selected: &Selected,
    ) -> Result<Prepared, Failure> {
        if !selected.description()?.signs() {
            return Err(Failure::usage(format!(
                "`{}` makes no signatures: what it fetches is not known without a hash",
                selected.fetcher
            ))
            .with_hint("declare the `hash`"));
        }
        let expectation = Expectation::Unknown(HashAlgorithm::Sha256);
        self.prepare(url.into(), OutputMode::Flat, expectation, selected)
            .await
    }

    async fn prepare(
        &self,
        asked: Asked<'_>,
        mode: OutputMode,
        expectation: Expectation,
        selected: &Selected,
    ) -> Result<Prepared, Failure> {
        let config = &self.context.settings.config;
        let description = selected.description()?;
        let params = params::validate(&description.parameters, asked.params.clone(), "")?;
        let (ruled_mode, _) = description
            .output_for(&params, Some(asked.name.clone()))
            .map_err(|error| Failure::usage(with_causes(&error)))?;
        if (mode, ruled_mode) == (OutputMode::Flat, OutputMode::Nar) {
            return Err(Failure::usage(
                "with these parameters the output is a tree, or an executable, which has no flat hash",
            )
            .with_hint("declare mode `nar`, and the hash of the NAR"));
        }
        // Parameters come from an expression that anybody may have written: they grant nothing.
        let consent = None;
        let broker = Broker::new(
            selected.id.clone(),
            &selected.fetcher,
            description,
            config,
            consent,
        )?;
        check_granted(&broker, selected, &params)?;
        signing::policy(selected, &params, config, consent)?;
        let inputs = signing::of_store(named(description, asked.inputs)?).await?;
        let desk = description
            .signs()
            .then(|| {
                let desks = self.desks()?;
                desks.desk(&self.context, selected, &params, consent, &inputs)
            })
            .transpose()?;
        let job = Job {
            module: Arc::clone(&selected.module),
            fetcher: selected.fetcher.clone(),
            params: Value::Object(params).to_string(),
            name: asked.name.clone(),
            mode,
            executable: false,
            expectation,
            destinations: Vec::new(),
            // Whoever asks for a job has looked already.
            refetch: true,
            broker: Arc::new(broker),
            inputs: signing::of_job(inputs),
            desk: desk.clone().map(|desk| desk as Arc<dyn Desk>),
            agreement: None,
            client: self.client.with_own_journal(),
            limits: config.limits(),
            tmp: self.context.environment.tmp.clone(),
            observer: Arc::new(Silent),
        };
        Ok(Prepared { job, desk })
    }

    /// What looks signatures up. It unlocks no key, so that it asks nobody for a passphrase.
    fn desks(&self) -> Result<&Desks, Failure> {
        if let Some(desks) = self.desks.get() {
            return Ok(desks);
        }
        let keys = Arc::new(Unlocking::new(Signers::new()));
        let desks = Desks::new(&self.context, &self.client, keys)?;
        Ok(self.desks.get_or_init(|| desks))
    }
}

/// The files that an expression gives to a fetcher, which are all that it has.
fn named(
    description: &FetcherDescription,
    inputs: &StoreInputs,
) -> Result<BTreeMap<InputName, PathBuf>, Failure> {
    let known = &description.inputs;
    if let Some((name, _)) = inputs.iter().find(|(name, _)| !known.contains_key(*name)) {
        return Err(Failure::usage(format!("the fetcher has no input `{name}`")));
    }
    let named: BTreeMap<_, _> = inputs
        .iter()
        .map(|(name, path)| (name.clone(), PathBuf::from(path)))
        .collect();
    match known.keys().find(|name| !named.contains_key(*name)) {
        None => Ok(named),
        Some(missing) => Err(
            Failure::usage(format!("the input `{missing}` is not given"))
                .with_hint("use `sign` of nix/fetchhost.nix, or name it among `inputs` there"),
        ),
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
pub(crate) async fn carry_out(prepared: Prepared, selected: &Selected) -> Ended {
    let Prepared { job, desk } = prepared;
    let client = job.client.clone();
    let ended = fetchhost_pipeline::run(job).await;
    let signed = desk.map(|desk| desk.signed()).unwrap_or_default();
    let done = Done::of(selected, &client, &signed);
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
                &signed,
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

/// Appends a record of what was asked for to the user's, and returns the ticket that names it.
pub(crate) fn record(
    state: &Path,
    printer: Printer,
    asked: Asked<'_>,
    done: Done,
    ended: Result<&ResultReport, &Failure>,
) -> String {
    let ticket = journal::ticket().unwrap_or_default();
    let params = recorded(asked.params);
    let record = Record::new(ticket.clone(), asked.fetcher, &params, done, ended);
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
