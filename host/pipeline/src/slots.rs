//! The destinations of one fetch: what they hold already, and how the others are fed.

use fetchhost_artifact::{ArtifactError, Feed, Measured, Ready, Verified, Want};
use fetchhost_sinks::{Archive, Destination, Existing, SinkError, Staged};
use tokio::task::JoinHandle;

use crate::Error;
use crate::job::{Job, SinkReport, SinkStatus};

/// What each destination held before the fetch.
pub(crate) struct Found(Vec<Option<Existing>>);

impl Found {
    /// Looks everywhere. What is found gets its GC root, if one is wanted.
    pub(crate) async fn look_up(job: &Job) -> Result<Self, Error> {
        let Some(output) = job.fixed_output().filter(|_| !job.refetch) else {
            return Ok(Self(job.destinations.iter().map(|_| None).collect()));
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
            found.collect::<Result<_, _>>().map(Self)
        })
        .await
    }

    /// The reports, if there are destinations and all of them hold the output.
    pub(crate) fn all(&self, job: &Job) -> Option<Vec<SinkReport>> {
        if self.0.is_empty() {
            return None;
        }
        let report = |(existing, destination): (&Option<Existing>, &Destination)| {
            let status = SinkStatus::Present(existing.clone()?);
            Some(SinkReport {
                label: destination.label(),
                status,
            })
        };
        self.0.iter().zip(&job.destinations).map(report).collect()
    }

    /// The output in the first destination that can show it, and which one that is.
    pub(crate) async fn archive(&self, job: &Job) -> Result<Option<(Destination, Archive)>, Error> {
        let Some(output) = job.fixed_output() else {
            return Ok(None);
        };
        let holders: Vec<(Destination, Existing)> = (job.destinations.iter().zip(&self.0))
            .filter_map(|(destination, existing)| Some((destination.clone(), existing.clone()?)))
            .collect();
        blocking(move || {
            for (destination, existing) in holders {
                if let Some(archive) = destination.read(&output, &existing)? {
                    return Ok(Some((destination, archive)));
                }
            }
            Ok(None)
        })
        .await
    }

    /// Opens the destinations that lack the output.
    pub(crate) async fn open(self, job: &Job) -> Result<Slots, Error> {
        let mut slots = Vec::with_capacity(self.0.len());
        for (existing, destination) in self.0.into_iter().zip(&job.destinations) {
            slots.push(match existing {
                Some(existing) => Slot::Present(existing),
                None => Slot::Open(Writer::spawn(job, destination).await?),
            });
        }
        Ok(Slots(slots))
    }
}

/// Each destination on its way through the fetch, in the order given.
pub(crate) struct Slots(Vec<Slot>);

/// One destination on its way through the fetch.
enum Slot {
    /// Holds the output already.
    Present(Existing),
    /// Receives.
    Open(Writer),
}

impl Slots {
    /// The one pass: feeds all that receive.
    pub(crate) async fn feed(mut self, job: &Job, ready: Ready) -> Result<(Self, Measured), Error> {
        let feeds = self.0.iter_mut().filter_map(|slot| match slot {
            Slot::Open(writer) => writer.feed.take(),
            Slot::Present(_) => None,
        });
        let feeds = feeds.collect();
        let want = Want::of(job.mode, job.expectation.algorithm());
        match ready.emit(want, feeds).await {
            Ok(measured) => Ok((self, measured)),
            Err(ArtifactError::SinkGone(index)) => Err(self.failure(index).await),
            Err(error) => Err(error.into()),
        }
    }

    /// The failure of the destination that stopped reading. `index` counts those that receive.
    async fn failure(self, index: usize) -> Error {
        let gone = self
            .0
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

    /// Lets every destination that received make the output visible, whether or not another one fails.
    pub(crate) async fn commit(
        self,
        destinations: &[Destination],
        verified: &Verified,
    ) -> Result<Vec<SinkReport>, Error> {
        // All of them must hold every byte before the first one commits.
        let mut complete = Vec::with_capacity(self.0.len());
        for slot in self.0 {
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
}

/// A destination that holds every byte.
enum Complete {
    /// It did before.
    Present(Existing),
    /// It does now, and waits to show it.
    Staged(Box<dyn Staged>),
}

/// A destination's own thread, and the way to feed it.
struct Writer {
    feed: Option<Feed>,
    thread: JoinHandle<Result<Box<dyn Staged>, SinkError>>,
}

impl Writer {
    async fn spawn(job: &Job, destination: &Destination) -> Result<Self, Error> {
        let (destination, incoming) = (destination.clone(), job.incoming());
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

/// Does what may wait for a disk or a daemon where it keeps nothing else waiting, signals above all.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SinkError> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(Error::Thread("a destination".to_owned())),
    }
}
