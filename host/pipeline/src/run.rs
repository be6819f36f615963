//! The story of one fetch.

use std::sync::Arc;

use fetchhost_artifact::{ArtifactError, Layout, Measured, Ready, Verified};
use fetchhost_engine::{LogLine, Session};
use fetchhost_formats::{OutputMode, StoreName};

use crate::Error;
use crate::job::{Expectation, Job, Outcome};
use crate::layout::{Opened, Opener};
use crate::observer::Phase;
use crate::slots::Slots;
use crate::upstream::{Slot, UpstreamProblem};

/// Runs a job to its end.
///
/// # Errors
///
/// Everything that [`Error`] lists. When an error is returned, no destination shows anything of the
/// output. A destination that fails while it makes the output visible is no error here but a
/// [`SinkStatus::Failed`](crate::SinkStatus::Failed) in the outcome, because others may have succeeded.
pub async fn run(job: Job) -> Result<Outcome, Error> {
    job.observer.phase(Phase::LookingUp);
    let mut slots = Slots::look_up(&job).await?;
    if let (Some(output), true) = (job.fixed_output(), slots.are_complete()) {
        return Ok(Outcome {
            output,
            verified: None,
            sinks: slots.commit(&job.destinations, None).await?,
        });
    }
    if let Some(verified) = copy(&job, &mut slots).await? {
        return commit(&job, slots, verified).await;
    }
    // Before anything is contacted: a destination that cannot be written should cost no download.
    slots.open(&job).await?;

    job.observer.phase(Phase::Planning);
    let plan = job
        .module
        .fetch(&job.fetcher, &job.params, session(&job))
        .await?;

    job.observer.phase(Phase::Receiving);
    let slot = slot_of(&job);
    let opener = Opener {
        client: &job.client,
        broker: &job.broker,
        observer: &job.observer,
        slot: slot.as_ref(),
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
    let measured = slots.feed(&job, ready).await?;
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

    commit(&job, slots, verified).await
}

/// Copies what one destination holds to those that lack it, as thoroughly verified as what is fetched.
/// Each that holds it is asked. `None` when none of them can be read; but once one is damaged, nothing
/// is fetched in its place.
async fn copy(job: &Job, slots: &mut Slots) -> Result<Option<Verified>, Error> {
    let mut damaged: Vec<Error> = Vec::new();
    let warn = |error: &Error| job.observer.warning(&error.to_string());
    while let Some(source) = slots.next_source(job).await? {
        slots.open(job).await?;
        job.observer.phase(Phase::Copying);
        let ready = Ready::packed(source.archive, &job.limits);
        let verified = match slots.feed(job, ready).await {
            Ok(measured) => verify(job, measured),
            Err(error) => Err(error),
        };
        let error = match verified {
            Ok(verified) => {
                damaged.iter().for_each(warn);
                return Ok(Some(verified));
            }
            Err(error @ (Error::Artifact(_) | Error::HashMismatch { .. })) => error,
            Err(error) => return Err(error),
        };
        slots.close().await;
        if let Some(reason) = source.refused.reason() {
            let label = source.holder.label();
            let warning = format!("what `{label}` holds cannot be read: {reason}");
            job.observer.warning(&warning);
            continue;
        }
        damaged.push(Error::Damaged {
            holder: Box::new(source.holder),
            problem: Box::new(error),
        });
    }
    let mut damaged = damaged.into_iter();
    let Some(first) = damaged.next() else {
        return Ok(None);
    };
    damaged.for_each(|error| warn(&error));
    Err(first)
}

async fn commit(job: &Job, slots: Slots, verified: Verified) -> Result<Outcome, Error> {
    if let Some(agreement) = job.agreement.clone() {
        let output = verified.fixed_output().clone();
        tokio::task::spawn_blocking(move || agreement.agree(&output))
            .await
            .map_err(|_| Error::Thread("an agreement".to_owned()))?
            .map_err(|disagreement| Error::Disagreed(Box::new(disagreement)))?;
    }
    job.observer.phase(Phase::Committing);
    let sinks = slots.commit(&job.destinations, Some(&verified)).await?;
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

fn session(job: &Job) -> Session {
    let observer = Arc::clone(&job.observer);
    Session {
        client: job.client.clone(),
        broker: Arc::clone(&job.broker),
        limits: job.limits.clone(),
        tmp: job.tmp.clone(),
        log: Arc::new(move |line: LogLine| observer.log(&line)),
        inputs: job.inputs.clone(),
        desk: job.desk.clone(),
    }
}

/// The first credential slot that the fetcher describes.
fn slot_of(job: &Job) -> Option<Slot> {
    let fetcher = job.module.description().fetchers.get(&job.fetcher)?;
    let (name, slot) = fetcher.slots.iter().next()?;
    Some(Slot {
        name: name.clone(),
        summary: slot.summary.clone(),
        lines: None,
    })
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
