//! The story of one fetch.

use std::sync::Arc;

use fetchhost_artifact::{ArtifactError, Feed, Layout, Measured, Verified, Want};
use fetchhost_engine::{LogLine, Session};
use fetchhost_formats::{OutputMode, StoreName};
use fetchhost_policy::SlotName;
use fetchhost_sinks::{Destination, Existing, Incoming, SinkError, Staged};
use tokio::task::JoinHandle;

use crate::Error;
use crate::job::{Expectation, Job, Outcome, SinkReport, SinkStatus};
use crate::layout::{Opened, Opener};
use crate::observer::Phase;
use crate::upstream::UpstreamProblem;

/// Runs a job to its end.
///
/// # Errors
///
/// Everything that [`Error`] lists. When an error is returned, no destination shows anything of the
/// output. A destination that fails while it makes the output visible is no error here but a
/// [`SinkStatus::Failed`] in the outcome, because others may have succeeded.
pub async fn run(job: Job) -> Result<Outcome, Error> {
    job.observer.phase(Phase::LookingUp);
    let found = look_up(&job).await?;
    if let (Some(output), Some(sinks)) = (job.fixed_output(), all_present(&job, &found)) {
        return Ok(Outcome {
            output,
            verified: None,
            sinks,
        });
    }
    // Before anything is contacted: a destination that cannot be written should cost no download.
    let mut slots = Vec::with_capacity(found.len());
    for (existing, destination) in found.into_iter().zip(&job.destinations) {
        slots.push(match existing {
            Some(existing) => Slot::Present(existing),
            None => Slot::Open(Writer::spawn(destination, &job.incoming()).await?),
        });
    }

    job.observer.phase(Phase::Planning);
    let plan = job
        .module
        .fetch(&job.fetcher, &job.params, session(&job))
        .await?;

    job.observer.phase(Phase::Receiving);
    let opener = Opener {
        client: &job.client,
        broker: &job.broker,
        observer: &job.observer,
        slot: slots_of(&job).next(),
    };
    let Opened { layout, asked } = opener.open(plan).await?;
    let is_planned_tree = matches!(layout, Layout::Tree(_));
    let ready = fetchhost_artifact::prepare(layout, &job.limits, &job.tmp)
        .await
        .map_err(|error| match (Error::from(error), &asked) {
            (Error::Artifact(ArtifactError::LooksLikeHtml), Some(asked)) => {
                asked.html(UpstreamProblem::HtmlInsteadOfArchive).into()
            }
            (Error::Artifact(error), _) if is_planned_tree && error.is_layout() => {
                Error::Plan(error)
            }
            (error, _) => error,
        })?;
    if let (Expectation::Unknown(_), Some(asked)) = (&job.expectation, &asked)
        && asked.is_html
        && !is_page_name(&job.name)
    {
        let page = asked.html(UpstreamProblem::HtmlInsteadOfContent);
        return Err(Error::WebPage(Box::new(page)));
    }
    let ready = match (job.mode, ready.is_tree()) {
        (OutputMode::Flat, true) => return Err(Error::TreeIsNotFlat),
        // Nix refuses executable flat outputs, and a flat hash says nothing of the mode.
        (OutputMode::Flat, false) => ready.with_executable(false),
        (OutputMode::Nar, true) if job.executable => return Err(Error::ExecutableTree),
        (OutputMode::Nar, true) => ready,
        (OutputMode::Nar, false) if job.executable => ready.with_executable(true),
        (OutputMode::Nar, false) => ready,
    };

    if ready.is_tree() {
        job.observer.phase(Phase::Emitting);
    }
    let feeds = slots.iter_mut().filter_map(Slot::take_feed).collect();
    let measured = match ready
        .emit(Want::of(job.mode, job.expectation.algorithm()), feeds)
        .await
    {
        Err(ArtifactError::SinkGone(index)) => return Err(sink_failure(slots, index).await),
        other => other?,
    };
    let verified = verify(&job, measured).map_err(|error| match (error, &asked) {
        (Error::HashMismatch { mismatch, .. }, Some(asked)) if asked.is_html => {
            let page = asked.html(UpstreamProblem::HtmlInsteadOfContent);
            Error::HashMismatch {
                mismatch,
                web_page: Some(Box::new(page)),
            }
        }
        (error, _) => error,
    })?;

    job.observer.phase(Phase::Committing);
    let sinks = commit(slots, &job.destinations, &verified).await?;
    Ok(Outcome {
        output: verified.fixed_output().clone(),
        verified: Some(verified),
        sinks,
    })
}

/// Whether an output of this name may well be a web page.
fn is_page_name(name: &StoreName) -> bool {
    let name = name.as_str().to_ascii_lowercase();
    [".html", ".htm", ".xhtml"]
        .iter()
        .any(|end| name.ends_with(end))
}

/// One destination on its way through the run.
enum Slot {
    /// Holds the output already.
    Present(Existing),
    /// Receives.
    Open(Writer),
}

impl Slot {
    fn take_feed(&mut self) -> Option<Feed> {
        match self {
            Self::Open(writer) => writer.feed.take(),
            Self::Present(_) => None,
        }
    }
}

/// A destination's own thread, and the way to feed it.
struct Writer {
    feed: Option<Feed>,
    thread: JoinHandle<Result<Box<dyn Staged>, SinkError>>,
}

impl Writer {
    async fn spawn(destination: &Destination, incoming: &Incoming) -> Result<Self, Error> {
        let (destination, incoming) = (destination.clone(), incoming.clone());
        let staged = blocking(move || destination.open(&incoming)).await?;
        let (feed, thread) = fetchhost_sinks::spawn(staged);
        Ok(Self {
            feed: Some(feed),
            thread,
        })
    }

    /// Waits for the thread; its feed must have been dropped.
    async fn finish(self) -> Result<Box<dyn Staged>, Error> {
        drop(self.feed);
        match self.thread.await {
            Ok(result) => Ok(result?),
            Err(_) => Err(Error::Thread("a destination".to_owned())),
        }
    }
}

/// What each destination already holds. What is found gets its GC root, if one is wanted.
async fn look_up(job: &Job) -> Result<Vec<Option<Existing>>, Error> {
    let Some(output) = job.fixed_output().filter(|_| !job.refetch) else {
        return Ok(job.destinations.iter().map(|_| None).collect());
    };
    let destinations = job.destinations.clone();
    blocking(move || {
        let found = destinations.iter().map(|destination| {
            let existing = destination.lookup(&output)?;
            if existing.is_some() {
                destination.add_gc_root(&output)?;
            }
            Ok(existing)
        });
        found.collect()
    })
    .await
}

/// Does what may wait for a disk or a daemon where it keeps nothing else waiting, signals above all.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SinkError> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(Error::Thread("a destination".to_owned())),
    }
}

/// The reports, if there are destinations and all of them hold the output.
fn all_present(job: &Job, found: &[Option<Existing>]) -> Option<Vec<SinkReport>> {
    if found.is_empty() {
        return None;
    }
    let report = |(existing, destination): (&Option<Existing>, &Destination)| {
        let status = SinkStatus::Present(existing.clone()?);
        Some(SinkReport {
            label: destination.label(),
            status,
        })
    };
    found.iter().zip(&job.destinations).map(report).collect()
}

fn session(job: &Job) -> Session {
    let observer = Arc::clone(&job.observer);
    Session {
        client: job.client.clone(),
        broker: Arc::clone(&job.broker),
        limits: job.limits.clone(),
        tmp: job.tmp.clone(),
        log: Arc::new(move |line: LogLine| observer.log(&line)),
    }
}

/// The credential slots that the fetcher describes.
fn slots_of(job: &Job) -> impl Iterator<Item = &SlotName> {
    let fetchers = &job.module.description().fetchers;
    let slots = fetchers
        .get(&job.fetcher)
        .map(|fetcher| fetcher.slots.keys());
    slots.into_iter().flatten()
}

fn verify(job: &Job, measured: Measured) -> Result<Verified, Error> {
    Ok(match (&job.expectation, job.fixed_output()) {
        (Expectation::Declared(_), Some(output)) => Verified::check(&output, measured)?,
        (expectation, _) => Verified::measured(
            job.name.clone(),
            job.mode,
            expectation.algorithm(),
            measured,
        )?,
    })
}

/// The failure of the sink that stopped reading. `index` counts the open ones.
async fn sink_failure(slots: Vec<Slot>, index: usize) -> Error {
    let gone = slots
        .into_iter()
        .filter_map(|slot| match slot {
            Slot::Open(writer) => Some(writer),
            Slot::Present(_) => None,
        })
        .nth(index);
    match gone {
        Some(writer) => match writer.finish().await {
            Err(error) => error,
            Ok(_) => Error::Thread("a destination".to_owned()),
        },
        None => Error::Thread("a destination".to_owned()),
    }
}

/// Lets every open destination make the output visible, whether or not another one fails.
async fn commit(
    slots: Vec<Slot>,
    destinations: &[Destination],
    verified: &Verified,
) -> Result<Vec<SinkReport>, Error> {
    // All of them must hold every byte before the first one commits.
    let mut complete = Vec::with_capacity(slots.len());
    for slot in slots {
        complete.push(match slot {
            Slot::Present(existing) => Complete::Present(existing),
            Slot::Open(writer) => Complete::Staged(writer.finish().await?),
        });
    }
    let mut reports = Vec::with_capacity(complete.len());
    for (slot, destination) in complete.into_iter().zip(destinations) {
        let label = destination.label();
        let status = match slot {
            Complete::Present(existing) => SinkStatus::Present(existing),
            Complete::Staged(staged) => {
                let verified = verified.clone();
                // Committing compresses the rest and waits for the disk.
                match tokio::task::spawn_blocking(move || staged.commit(&verified)).await {
                    Ok(Ok(committed)) => SinkStatus::Done(committed),
                    Ok(Err(error)) => SinkStatus::Failed(error),
                    Err(_) => SinkStatus::Failed(SinkError::Stopped {
                        label: label.clone(),
                    }),
                }
            }
        };
        reports.push(SinkReport { label, status });
    }
    Ok(reports)
}

/// A destination that holds every byte.
enum Complete {
    /// It did before.
    Present(Existing),
    /// It does now, and waits to show it.
    Staged(Box<dyn Staged>),
}
