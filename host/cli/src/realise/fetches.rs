//! The fetches of a plan, side by side.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use fetchhost_formats::FixedOutput;
use fetchhost_pipeline::Error;
use fetchhost_policy::Provenance;
use fetchhost_policy::describe::FetcherDescription;
use fetchhost_sinks::{SinkError, StoreSession};
use futures_util::StreamExt as _;
use indicatif::HumanBytes;
use serde_json::Value;
use tokio::sync::watch;

use super::decision::{Origin, URL};
use super::plan::{Planned, Way, gc_root};
use super::progress::Progress;
use crate::catalog::Selected;
use crate::context::Context;
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::fetching::effective_origin;
use crate::journal::Done;
use crate::report::ResultReport;
use crate::signals::{Stop, Stops};
use crate::unattended::{self, Ended, Prepared, Unattended};

/// How one output fared.
#[derive(Debug)]
pub(crate) enum Status {
    /// The store has had it before.
    Present,
    /// It would be fetched in this way, from this origin first.
    Planned(usize, Option<String>),
    /// The store has it now, in this way: its NAR has so many bytes.
    Fetched(usize, u64),
    /// The store does not have it, or it has no GC root.
    Failed(Box<Failure>),
}

impl Status {
    /// The number of the way that it is about: of the first one where none leads there.
    pub(crate) const fn way(&self) -> usize {
        match self {
            Self::Planned(way, _) | Self::Fetched(way, _) => *way,
            Self::Present | Self::Failed(_) => 0,
        }
    }

    /// The failure, if it is one.
    pub(crate) fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failed(failure) => Some(failure),
            _ => None,
        }
    }
}

/// All that the fetches have in common.
pub(crate) struct Fetches<'a> {
    pub(crate) context: &'a Context,
    pub(crate) unattended: &'a Unattended,
    pub(crate) session: Arc<StoreSession>,
    pub(crate) progress: Arc<Progress>,
    /// The GC root of the first output.
    pub(crate) gc_root: Option<&'a Path>,
    /// What was advised already: hundreds of outputs may lack one grant.
    pub(crate) hints: Mutex<Vec<String>>,
}

impl Fetches<'_> {
    /// Makes each output valid, `jobs` of them at once, and says how each fared. One that fails stops no
    /// other.
    ///
    /// The first signal gives up what is under way, but for what is just becoming visible; the second one
    /// ends all.
    pub(crate) async fn run(
        &self,
        outputs: &[Planned],
        present: &[bool],
        jobs: usize,
        stops: &mut Stops,
    ) -> Result<(Vec<Status>, Option<Stop>), Failure> {
        let (stop, stopped) = watch::channel(None);
        let fetches = outputs.iter().zip(present).enumerate();
        let fetches = fetches.map(|(at, (planned, is_present))| {
            let root = self.gc_root.map(|path| gc_root(path, at));
            let stopped = stopped.clone();
            async move {
                let status = if *is_present {
                    self.keep(&planned.output, root).await
                } else {
                    self.fetch(planned, root, stopped).await
                };
                (at, status)
            }
        });
        let ended = futures_util::stream::iter(fetches).buffer_unordered(jobs);
        let mut ended = std::pin::pin!(ended.collect::<Vec<_>>());
        let first = tokio::select! {
            ended = &mut ended => return Ok((in_order(ended), None)),
            stop = stops.next() => stop,
        };
        stop.send_replace(Some(first));
        tokio::select! {
            ended = &mut ended => Ok((in_order(ended), Some(first))),
            stop = stops.next() => Err(Failure::stopped_while_committing(stop)),
        }
    }

    /// What would be done about each output: nobody is asked.
    pub(crate) async fn plan_all(&self, outputs: &[Planned], present: &[bool]) -> Vec<Status> {
        let mut statuses = Vec::with_capacity(outputs.len());
        for (planned, is_present) in outputs.iter().zip(present) {
            statuses.push(match is_present {
                true => Status::Present,
                false => self.plan(planned).await,
            });
        }
        statuses
    }

    async fn plan(&self, planned: &Planned) -> Status {
        let mut failures = Vec::new();
        for (at, way) in planned.ways.iter().enumerate() {
            match self.prepare(way).await {
                Ok((_, _, origin)) => return Status::Planned(at, origin),
                Err(failure) => failures.push(failure),
            }
        }
        self.all_failed(&planned.output, failures)
    }

    /// Makes the GC root of what is there.
    async fn keep(&self, output: &FixedOutput, root: Option<PathBuf>) -> Status {
        let Some(link) = root else {
            return Status::Present;
        };
        let (session, wanted) = (Arc::clone(&self.session), output.clone());
        match blocking(move || session.add_root(&wanted, &link)).await {
            Ok(()) => Status::Present,
            Err(failure) => self.failed(output, failure),
        }
    }

    /// Makes an output valid in the first way that leads to it.
    async fn fetch(
        &self,
        planned: &Planned,
        root: Option<PathBuf>,
        mut stopped: watch::Receiver<Option<Stop>>,
    ) -> Status {
        let output = &planned.output;
        let mut failures = Vec::new();
        for (at, way) in planned.ways.iter().enumerate() {
            match self.attempt(way, root.clone(), &mut stopped).await {
                Ok(size) => {
                    for failure in failures {
                        self.progress.warning(&told(output, &failure));
                    }
                    let line = format!("fetched {}, {}", output.store_path(), HumanBytes(size));
                    self.progress.ended(&line);
                    return Status::Fetched(at, size);
                }
                Err(failure) if matches!(failure.status, ExitStatus::Signal(_)) => {
                    return Status::Failed(Box::new(failure));
                }
                Err(failure) => {
                    let is_of_store = failure.status == ExitStatus::Sink;
                    failures.push(failure);
                    // Where it comes from does not matter then.
                    if is_of_store {
                        break;
                    }
                }
            }
        }
        self.progress.ended(&format!("failed: {}", output.name));
        self.all_failed(output, failures)
    }

    /// Goes one way, and keeps a record of it. The size of the output's NAR.
    async fn attempt(
        &self,
        way: &Way,
        root: Option<PathBuf>,
        stopped: &mut watch::Receiver<Option<Stop>>,
    ) -> Result<u64, Failure> {
        if let Some(stop) = *stopped.borrow() {
            return Err(Failure::stopped(stop));
        }
        let (selected, mut prepared) = match self.prepare(way).await {
            Ok((selected, prepared, _)) => (selected, prepared),
            Err(failure) => return Err(self.recorded(way, Done::default(), failure)),
        };
        let watching = self.progress.watch(way.url.output.name.as_str());
        let job = &mut prepared.job;
        job.observer = Arc::clone(&watching) as Arc<dyn fetchhost_pipeline::Observer>;
        job.destinations = vec![self.session.destination(root)];
        let mut run = std::pin::pin!(unattended::carry_out(prepared, &selected));
        let stop = async {
            match stopped.wait_for(Option::is_some).await {
                Ok(stop) => *stop,
                Err(_) => std::future::pending().await,
            }
        };
        let Ended { done, result, .. } = tokio::select! {
            ended = &mut run => ended,
            stop = stop => match stop.filter(|_| !watching.is_committing()) {
                Some(stop) => {
                    watching.finish();
                    return Err(Failure::stopped(stop));
                }
                None => run.await,
            },
        };
        watching.finish();
        match result {
            Ok((outcome, report)) => {
                self.record(way, done, Ok(&report));
                let verified = outcome.verified.as_ref();
                Ok(verified.map_or(0, |verified| verified.nar_size()))
            }
            Err(failure) => Err(self.recorded(way, done, failure)),
        }
    }

    /// The job that makes an output, and the origin that it asks first.
    async fn prepare(
        &self,
        way: &Way,
    ) -> Result<(Arc<Selected>, Prepared, Option<String>), Failure> {
        let url = &way.url;
        let selected = self
            .unattended
            .select(&url.fetcher)
            .await
            .map_err(|failure| match &way.origin {
                Origin::Ours => failure,
                Origin::Routed(from) => Failure {
                    message: format!("the route at {from}: {}", failure.message),
                    ..failure
                },
            })?;
        let description = selected.description()?;
        if let Origin::Routed(from) = &way.origin {
            check_route(from, &url.fetcher, description)?;
        }
        let prepared = self.unattended.job(url, &selected).await?;
        let origin = effective_origin(&selected, &url.params)?;
        let origin = origin.map(|origin| origin.to_string());
        Ok((selected, prepared, origin))
    }

    /// A failure with the ticket of its record.
    fn recorded(&self, way: &Way, done: Done, failure: Failure) -> Failure {
        let failure = unattended::escaped(failure);
        let ticket = self.record(way, done, Err(&failure));
        Failure { ticket, ..failure }
    }

    fn record(
        &self,
        way: &Way,
        done: Done,
        ended: Result<&ResultReport, &Failure>,
    ) -> Option<String> {
        let state = self.context.environment.state.as_ref()?;
        let printer = self.context.printer;
        let asked = unattended::Asked::from(&way.url);
        Some(unattended::record(state, printer, asked, done, ended))
    }

    /// Tells of the failure of each way; the gravest one is the output's.
    fn all_failed(&self, output: &FixedOutput, failures: Vec<Failure>) -> Status {
        let told = failures
            .into_iter()
            .map(|failure| self.failed(output, failure));
        let gravity = |status: &Status| status.failure().map(|failure| failure.status.gravity());
        told.min_by_key(gravity).unwrap_or_else(|| {
            let none = Failure::usage("no derivation says how it is fetched");
            Status::Failed(Box::new(none))
        })
    }

    /// Tells of a failure, with its advice where nobody has been given that yet.
    fn failed(&self, output: &FixedOutput, failure: Failure) -> Status {
        let failure = unattended::escaped(failure);
        let mut text = told(output, &failure);
        if let Some(hint) = &failure.hint {
            let mut hints = self.hints.lock().unwrap_or_else(PoisonError::into_inner);
            if !hints.contains(hint) {
                text.push_str(&format!("\n\nhint: {hint}\n"));
                hints.push(hint.clone());
            }
        }
        self.progress.error(&text);
        Status::Failed(Box::new(failure))
    }
}

fn told(output: &FixedOutput, failure: &Failure) -> String {
    let ticket = failure.ticket.as_ref();
    let ticket = ticket.map_or_else(String::new, |ticket| format!(" (ticket {ticket})"));
    format!("`{}`{ticket}: {}", output.name, failure.message)
}

/// Refuses the route at `from` when its fetcher cannot be run with a URL and nothing else.
pub(crate) fn check_route(
    from: &Provenance,
    fetcher: &str,
    description: &FetcherDescription,
) -> Result<(), Failure> {
    if needs_url_alone(description) {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "the route at {from} names `{fetcher}`, which needs other parameters than `{URL}`"
    ))
    .with_hint("name `http-file`, or leave `fetcher` out"))
}

/// Whether a fetcher can be run with a URL and nothing else.
fn needs_url_alone(description: &FetcherDescription) -> bool {
    let required = description.parameters.get("required");
    let required = required.and_then(Value::as_array);
    required.is_some_and(|names| names.len() == 1 && names[0] == URL)
}

/// What may wait for the store, where it keeps nothing else waiting.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SinkError> + Send + 'static,
) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result.map_err(|error| Error::Sink(error).into()),
        Err(_) => Err(Error::Thread("the store".to_owned()).into()),
    }
}

/// In the order of the plan, whichever ended first.
fn in_order(mut ended: Vec<(usize, Status)>) -> Vec<Status> {
    ended.sort_by_key(|(at, _)| *at);
    ended.into_iter().map(|(_, status)| status).collect()
}
