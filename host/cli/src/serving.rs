//! Fetches for the gateway: by what the configuration grants alone, each recorded as `run` records its own.

mod upstream;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use fetchhost_credentials::Keyring;
use fetchhost_formats::{Hash, OutputMode};
use fetchhost_gateway::{Caller, Failed, Fetch, FetchUrl, Fetches, Unfit};
use fetchhost_pipeline::{Error, Expectation, Job, Outcome, Silent};
use fetchhost_policy::describe::FetcherDescription;
use fetchhost_policy::{Broker, Config, Denial, printable};
use fetchhost_sinks::Destination;
use fetchhost_transport::Client;
use indicatif::HumanBytes;
use serde_json::{Map, Value};

use crate::catalog::{ByName, Selected};
use crate::context::Context;
use crate::exit::ExitStatus;
use crate::failure::{Failure, with_causes};
use crate::fetching::effective_origin;
use crate::journal::{self, Done, Journal, Record};
use crate::params;
use crate::printer::Printer;
use crate::report::ResultReport;

pub(crate) use upstream::upstreams;

/// Carries out what the gateway is asked for.
pub(crate) struct Serving {
    fetchers: ByName,
    config: Config,
    client: Client,
    tmp: PathBuf,
    recorder: Recorder,
}

impl Serving {
    pub(crate) fn new(context: &Context, state: &Path) -> Result<Self, Failure> {
        Ok(Self {
            fetchers: ByName::new(context.engine()?),
            config: context.settings.config.clone(),
            client: context.client(Arc::new(Keyring::new())),
            tmp: context.environment.tmp.clone(),
            recorder: Recorder {
                state: state.to_owned(),
                printer: context.printer,
            },
        })
    }

    async fn job(&self, url: &FetchUrl, selected: &Selected) -> Result<Job, Failure> {
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
        check_granted(&broker, description, &params)?;
        Ok(Job {
            module: Arc::clone(&selected.module),
            fetcher: selected.fetcher.clone(),
            params: Value::Object(params).to_string(),
            name: output.name.clone(),
            mode: output.mode,
            executable: url.executable,
            expectation: Expectation::Declared(output.hash.clone()),
            destinations: Vec::new(),
            // The gateway looked already.
            refetch: true,
            broker: Arc::new(broker),
            client: self.client.with_own_journal(),
            limits: self.config.limits(),
            tmp: self.tmp.clone(),
            observer: Arc::new(Silent),
        })
    }
}

impl Fetches for Serving {
    fn prepare<'a>(
        &'a self,
        url: &'a FetchUrl,
        caller: Caller,
    ) -> futures_util::future::BoxFuture<'a, Result<Box<dyn Fetch>, Unfit>> {
        Box::pin(async move {
            let prepared = async {
                let selected = self.fetchers.select(&url.fetcher).await?;
                let job = self.job(url, &selected).await?;
                Ok::<_, Failure>((selected, job))
            };
            match prepared.await {
                Ok((selected, job)) => Ok(Box::new(Served {
                    recorder: self.recorder.clone(),
                    url: url.clone(),
                    caller,
                    selected,
                    job,
                }) as Box<dyn Fetch>),
                Err(failure) => {
                    let (recorder, url) = (self.recorder.clone(), url.clone());
                    Err(Box::new(move || {
                        recorder.failed(&url, caller, Done::default(), failure, None)
                    }) as Unfit)
                }
            }
        })
    }

    fn fail(&self, url: &FetchUrl, caller: Caller, reason: &str) -> Failed {
        let failure = Failure {
            status: ExitStatus::FetchFailed,
            kind: "gateway",
            ..Failure::usage(reason)
        };
        self.recorder
            .failed(url, caller, Done::default(), failure, None)
    }
}

/// Refuses what no grant reaches, so that content that is at hand is no exception.
fn check_granted(
    broker: &Broker,
    description: &FetcherDescription,
    params: &Map<String, Value>,
) -> Result<(), Failure> {
    let Some(origin) = effective_origin(description, params)? else {
        return Ok(());
    };
    match broker.explain(&origin).denial {
        None => Ok(()),
        Some(denial) => Err(denied(&denial)),
    }
}

/// What the configuration does not grant, with the lines that would.
fn denied(denial: &Denial) -> Failure {
    Failure {
        status: ExitStatus::Denied,
        kind: "denied",
        hint: denial.hint(),
        ..Failure::usage(with_causes(denial))
    }
}

/// A fetch that may be carried out.
struct Served {
    recorder: Recorder,
    url: FetchUrl,
    caller: Caller,
    selected: Arc<Selected>,
    job: Job,
}

impl Fetch for Served {
    fn run(
        self: Box<Self>,
        into: Destination,
    ) -> futures_util::future::BoxFuture<'static, Result<(), Failed>> {
        Box::pin(async move {
            let Self {
                recorder,
                url,
                caller,
                selected,
                mut job,
            } = *self;
            job.destinations = vec![into];
            let client = job.client.clone();
            let ended = fetchhost_pipeline::run(job).await;
            let done = Done::of(&selected, &client);
            let fail =
                |failure, got| Err(recorder.failed(&url, caller, done.clone(), failure, got));
            let outcome = match ended {
                Ok(outcome) => outcome,
                Err(error) => {
                    let got = match &error {
                        Error::HashMismatch { mismatch, .. } => Some(mismatch.got.clone()),
                        _ => None,
                    };
                    return fail(error.into(), got);
                }
            };
            let report = ResultReport::new(
                &selected.id,
                &selected.module.digest(),
                &selected.fetcher,
                &outcome,
                &client.journal(),
            );
            match outcome.failure() {
                Some(error) => fail(
                    Failure {
                        report: Some(Box::new(report)),
                        ..error.into()
                    },
                    None,
                ),
                None => {
                    recorder.fetched(&url, caller, done, &outcome, &report);
                    Ok(())
                }
            }
        })
    }
}

/// Keeps the record of each fetch, and tells the owner.
#[derive(Clone)]
struct Recorder {
    state: PathBuf,
    printer: Printer,
}

impl Recorder {
    fn fetched(
        &self,
        url: &FetchUrl,
        caller: Caller,
        done: Done,
        outcome: &Outcome,
        report: &ResultReport,
    ) {
        let ticket = self.record(url, done, Ok(report));
        let size = outcome
            .verified
            .as_ref()
            .map(|verified| verified.nar_size());
        self.printer.note(&format!(
            "{ticket}: {} fetched, {}",
            self.subject(url, caller),
            HumanBytes(size.unwrap_or_default())
        ));
    }

    fn failed(
        &self,
        url: &FetchUrl,
        caller: Caller,
        done: Done,
        failure: Failure,
        got: Option<Hash>,
    ) -> Failed {
        // What is wrong with parameters may be told in their own words, which are not the owner's.
        let failure = Failure {
            message: escaped(&failure.message),
            hint: failure.hint.as_deref().map(escaped),
            ..failure
        };
        let ticket = self.record(url, done, Err(&failure));
        let reason = match &failure.hint {
            Some(hint) => format!("{}\n\nhint: {hint}", failure.message),
            None => failure.message,
        };
        self.printer.warning(&format!(
            "{ticket}: {} failed: {reason}",
            self.subject(url, caller)
        ));
        Failed {
            ticket,
            reason,
            got,
        }
    }

    fn subject(&self, url: &FetchUrl, caller: Caller) -> String {
        let whom = match caller {
            Caller::Owner => "you",
            Caller::Daemon | Caller::Stranger => "a build of the Nix daemon",
        };
        format!("{} `{}` for {whom}", url.fetcher, url.output.name)
    }

    /// Appends a record, and returns the ticket that names it.
    fn record(&self, url: &FetchUrl, done: Done, ended: Result<&ResultReport, &Failure>) -> String {
        let ticket = journal::ticket().unwrap_or_default();
        let record = Record::new(ticket.clone(), &url.fetcher, &url.params, done, ended);
        if let Err(error) = Journal::new(&self.state).append(&record) {
            self.printer
                .warning(&format!("this fetch was not recorded: {error}"));
        }
        ticket
    }
}

/// Text of several lines, with no control characters in them.
fn escaped(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(printable).collect();
    lines.join("\n")
}
