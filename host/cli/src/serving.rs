//! Fetches for the gateway: by what the configuration grants alone, each recorded as `run` records its own.

mod current;
mod upstream;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use fetchhost_formats::{FixedOutput, Hash};
use fetchhost_gateway::{Caller, Failed, Fetch, FetchUrl, Fetches, SignatureUrl, Unfit};
use fetchhost_pipeline::Outcome;
use fetchhost_sinks::Destination;
use futures_util::future::BoxFuture;
use indicatif::HumanBytes;

use crate::catalog::Selected;
use crate::context::Context;
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::journal::Done;
use crate::printer::Printer;
use crate::report::ResultReport;
use crate::unattended::{self, Asked, Ended, Prepared};

use current::Current;
pub(crate) use upstream::upstreams;

/// Carries out what the gateway is asked for.
pub(crate) struct Serving {
    current: Current,
    recorder: Recorder,
}

impl Serving {
    pub(crate) fn new(context: &Context, state: &Path) -> Result<Self, Failure> {
        Ok(Self {
            current: Current::new(context)?,
            recorder: Recorder {
                state: state.to_owned(),
                printer: context.printer,
            },
        })
    }
}

impl Fetches for Serving {
    fn prepare<'a>(
        &'a self,
        url: &'a FetchUrl,
        caller: Caller,
    ) -> BoxFuture<'a, Result<Box<dyn Fetch>, Unfit>> {
        Box::pin(async move {
            let prepared = async {
                let unattended = self.current.get()?;
                let selected = unattended.select(&url.fetcher).await?;
                let prepared = unattended.job(url, &selected).await?;
                Ok::<_, Failure>((selected, prepared))
            };
            match prepared.await {
                Ok((selected, prepared)) => Ok(Box::new(Served {
                    recorder: self.recorder.clone(),
                    url: url.clone(),
                    caller,
                    selected,
                    prepared,
                }) as Box<dyn Fetch>),
                Err(failure) => {
                    let (recorder, url) = (self.recorder.clone(), url.clone());
                    Err(Box::new(move || {
                        recorder.failed((&url).into(), caller, Done::default(), failure, None)
                    }) as Unfit)
                }
            }
        })
    }

    fn look_up<'a>(
        &'a self,
        url: &'a SignatureUrl,
        into: Destination,
    ) -> BoxFuture<'a, Result<FixedOutput, Failed>> {
        Box::pin(async move {
            let (asked, recorder) = (Asked::from(url), &self.recorder);
            let prepared = async {
                let unattended = self.current.get()?;
                let selected = unattended.select(&url.fetcher).await?;
                let mut prepared = unattended.look_up(url, &selected).await?;
                prepared.job.destinations = vec![into];
                Ok::<_, Failure>((selected, prepared))
            };
            let (selected, prepared) = prepared.await.map_err(|failure| {
                recorder.failed(asked, Caller::Owner, Done::default(), failure, None)
            })?;
            let Ended { done, result, .. } = unattended::carry_out(prepared, &selected).await;
            match result {
                Err(failure) => Err(recorder.failed(asked, Caller::Owner, done, failure, None)),
                Ok((outcome, report)) => {
                    recorder.fetched(asked, Caller::Owner, done, &outcome, &report);
                    Ok(outcome.output)
                }
            }
        })
    }

    fn fail(&self, url: &FetchUrl, caller: Caller, reason: &str) -> Failed {
        self.recorder.broken(url.into(), caller, reason)
    }

    fn fail_look_up(&self, url: &SignatureUrl, reason: &str) -> Failed {
        self.recorder.broken(url.into(), Caller::Owner, reason)
    }
}

/// A fetch that may be carried out.
struct Served {
    recorder: Recorder,
    url: FetchUrl,
    caller: Caller,
    selected: Arc<Selected>,
    prepared: Prepared,
}

impl Fetch for Served {
    fn run(self: Box<Self>, into: Destination) -> BoxFuture<'static, Result<(), Failed>> {
        Box::pin(async move {
            let Self {
                recorder,
                url,
                caller,
                selected,
                mut prepared,
            } = *self;
            prepared.job.destinations = vec![into];
            let asked = Asked::from(&url);
            let Ended { done, result, got } = unattended::carry_out(prepared, &selected).await;
            match result {
                Err(failure) => Err(recorder.failed(asked, caller, done, failure, got)),
                Ok((outcome, report)) => {
                    recorder.fetched(asked, caller, done, &outcome, &report);
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
        asked: Asked<'_>,
        caller: Caller,
        done: Done,
        outcome: &Outcome,
        report: &ResultReport,
    ) {
        let ticket = self.record(asked, done, Ok(report));
        let size = outcome
            .verified
            .as_ref()
            .map(|verified| verified.nar_size());
        self.printer.note(&format!(
            "{ticket}: {} fetched, {}",
            subject(asked, caller),
            HumanBytes(size.unwrap_or_default())
        ));
    }

    fn failed(
        &self,
        asked: Asked<'_>,
        caller: Caller,
        done: Done,
        failure: Failure,
        got: Option<Hash>,
    ) -> Failed {
        let failure = unattended::escaped(failure);
        let ticket = self.record(asked, done, Err(&failure));
        let reason = match &failure.hint {
            Some(hint) => format!("{}\n\nhint: {hint}", failure.message),
            None => failure.message,
        };
        self.printer.warning(&format!(
            "{ticket}: {} failed: {reason}",
            subject(asked, caller)
        ));
        Failed {
            ticket,
            reason,
            got,
        }
    }

    /// That the gateway itself could not serve it.
    fn broken(&self, asked: Asked<'_>, caller: Caller, reason: &str) -> Failed {
        let failure = Failure {
            status: ExitStatus::FetchFailed,
            kind: "gateway",
            ..Failure::usage(reason)
        };
        self.failed(asked, caller, Done::default(), failure, None)
    }

    fn record(
        &self,
        asked: Asked<'_>,
        done: Done,
        ended: Result<&ResultReport, &Failure>,
    ) -> String {
        unattended::record(&self.state, self.printer, asked, done, ended)
    }
}

fn subject(asked: Asked<'_>, caller: Caller) -> String {
    let whom = match caller {
        Caller::Owner => "you",
        Caller::Daemon | Caller::Stranger => "a build of the Nix daemon",
    };
    format!("{} `{}` for {whom}", asked.fetcher, asked.name)
}
