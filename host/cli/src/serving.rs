//! Fetches for the gateway: by what the configuration grants alone, each recorded as `run` records its own.

mod current;
mod upstream;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use fetchhost_formats::Hash;
use fetchhost_gateway::{Caller, Failed, Fetch, FetchUrl, Fetches, Unfit};
use fetchhost_pipeline::{Job, Outcome};
use fetchhost_sinks::Destination;
use indicatif::HumanBytes;

use crate::catalog::Selected;
use crate::context::Context;
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::journal::Done;
use crate::printer::Printer;
use crate::report::ResultReport;
use crate::unattended::{self, Ended};

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
    ) -> futures_util::future::BoxFuture<'a, Result<Box<dyn Fetch>, Unfit>> {
        Box::pin(async move {
            let prepared = async {
                let unattended = self.current.get()?;
                let selected = unattended.select(&url.fetcher).await?;
                let job = unattended.job(url, &selected)?;
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
            let Ended { done, result, got } = unattended::carry_out(job, &selected).await;
            match result {
                Err(failure) => Err(recorder.failed(&url, caller, done, failure, got)),
                Ok((outcome, report)) => {
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
        let failure = unattended::escaped(failure);
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

    fn record(&self, url: &FetchUrl, done: Done, ended: Result<&ResultReport, &Failure>) -> String {
        unattended::record(&self.state, self.printer, url, done, ended)
    }
}
