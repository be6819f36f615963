//! The destinations of one fetch: what they hold already, and how the others are fed.

use std::mem;

use fetchhost_artifact::{ArtifactError, Feed, Measured, Ready, Verified, Want};
use fetchhost_sinks::{Archive, Destination, Held, Kept, SinkError, Staged};
use tokio::task::JoinHandle;

use crate::Error;
use crate::job::{Job, SinkReport, SinkStatus};
use crate::watched::{Refused, watched};

/// Each destination on its way through the fetch, in the order given.
pub(crate) struct Slots {
    slots: Vec<Slot>,
    /// Those before this one were asked for what they hold.
    asked: usize,
}

/// One destination on its way through the fetch.
enum Slot {
    /// Holds the output already.
    Present(Held),
    /// Does not.
    Lacking,
    /// Receives.
    Open(Writer),
}

/// The output as a destination holds it.
pub(crate) struct Source {
    pub(crate) holder: Destination,
    pub(crate) archive: Archive,
    /// Why the system could not read it, if it could not.
    pub(crate) refused: Refused,
}

impl Slots {
    /// Looks everywhere.
    pub(crate) async fn look_up(job: &Job) -> Result<Self, Error> {
        let output = job.fixed_output().filter(|_| !job.refetch);
        let destinations = job.destinations.clone();
        let found = blocking(move || {
            let look = |destination: &Destination| match &output {
                Some(output) => destination.lookup(output),
                None => Ok(None),
            };
            destinations.iter().map(look).collect::<Result<Vec<_>, _>>()
        });
        let slots = found.await?.into_iter();
        let slots = slots.map(|held| held.map_or(Slot::Lacking, Slot::Present));
        Ok(Self {
            slots: slots.collect(),
            asked: 0,
        })
    }

    /// Whether there are destinations and all of them hold the output.
    pub(crate) fn are_complete(&self) -> bool {
        let present = |slot: &Slot| matches!(slot, Slot::Present(_));
        !self.slots.is_empty() && self.slots.iter().all(present)
    }

    /// The output in the next destination that can show it. What is gone lacks it from now on; what
    /// cannot be read is left to itself.
    pub(crate) async fn next_source(&mut self, job: &Job) -> Result<Option<Source>, Error> {
        while let Some(slot) = self.slots.get_mut(self.asked) {
            let at = self.asked;
            self.asked += 1;
            let Slot::Present(mut held) = mem::replace(slot, Slot::Lacking) else {
                continue;
            };
            let (held, read) = blocking(move || {
                let read = held.read();
                Ok((held, read))
            })
            .await?;
            match read {
                Ok(archive) => {
                    self.slots[at] = Slot::Present(held);
                    if let Some(archive) = archive {
                        let (archive, refused) = watched(archive);
                        return Ok(Some(Source {
                            holder: job.destinations[at].clone(),
                            archive,
                            refused,
                        }));
                    }
                }
                Err(error) => {
                    job.observer.warning(&error.to_string());
                    if !error.is_gone() {
                        self.slots[at] = Slot::Present(held);
                    }
                }
            }
        }
        Ok(None)
    }

    /// Opens the destinations that lack the output, and readies the others for the commit.
    pub(crate) async fn open(&mut self, job: &Job) -> Result<(), Error> {
        for (slot, destination) in self.slots.iter_mut().zip(&job.destinations) {
            *slot = match mem::replace(slot, Slot::Lacking) {
                Slot::Present(mut held) => {
                    blocking(move || held.prepare().map(|()| Slot::Present(held))).await?
                }
                Slot::Lacking => Slot::Open(Writer::spawn(job, destination).await?),
                open @ Slot::Open(_) => open,
            };
        }
        Ok(())
    }

    /// Gives up what those that receive have got.
    pub(crate) async fn close(&mut self) {
        for slot in &mut self.slots {
            if let Slot::Open(_) = slot
                && let Slot::Open(writer) = mem::replace(slot, Slot::Lacking)
                && let Ok(staged) = writer.finish().await
            {
                // Removing it may wait for the disk. It is done before the place is opened again.
                drop(tokio::task::spawn_blocking(move || drop(staged)).await);
            }
        }
    }

    /// The one pass: feeds all that receive.
    pub(crate) async fn feed(&mut self, job: &Job, ready: Ready) -> Result<Measured, Error> {
        let feeds = self.slots.iter_mut().filter_map(|slot| match slot {
            Slot::Open(writer) => writer.feed.take(),
            Slot::Present(_) | Slot::Lacking => None,
        });
        let feeds = feeds.collect();
        let want = Want::of(job.mode, job.expectation.algorithm());
        match ready.emit(want, feeds).await {
            Ok(measured) => Ok(measured),
            Err(ArtifactError::SinkGone(index)) => Err(self.failure(index).await),
            Err(error) => Err(error.into()),
        }
    }

    /// The failure of the destination that stopped reading. `index` counts those that receive.
    async fn failure(&mut self, index: usize) -> Error {
        let mut receiving = self
            .slots
            .iter_mut()
            .filter(|slot| matches!(slot, Slot::Open(_)));
        let gone = receiving
            .nth(index)
            .map(|slot| mem::replace(slot, Slot::Lacking));
        match gone {
            Some(Slot::Open(writer)) => match writer.finish().await {
                Err(error) => error,
                Ok(_) => Error::Thread("a destination".to_owned()),
            },
            _ => Error::Thread("a destination".to_owned()),
        }
    }

    /// Lets every destination that received make the output visible, whether or not another one fails,
    /// and those that held it make the GC root that is wanted. What garbage collectors keep off is
    /// theirs again when all have done so.
    pub(crate) async fn commit(
        self,
        destinations: &[Destination],
        verified: Option<&Verified>,
    ) -> Result<Vec<SinkReport>, Error> {
        // All of them must hold every byte before the first one commits.
        let mut complete = Vec::with_capacity(self.slots.len());
        for slot in self.slots {
            complete.push(match (slot, verified) {
                (Slot::Present(held), _) => Complete::Present(held),
                (Slot::Open(writer), Some(verified)) => {
                    Complete::Staged(writer.finish().await?, verified.clone())
                }
                (Slot::Open(_), None) | (Slot::Lacking, _) => {
                    return Err(Error::Thread("a destination".to_owned()));
                }
            });
        }
        let mut kept = Vec::with_capacity(complete.len());
        let mut reports = Vec::with_capacity(complete.len());
        for (slot, destination) in complete.into_iter().zip(destinations) {
            let label = destination.label();
            // Committing compresses the rest and waits for the disk.
            let status = match tokio::task::spawn_blocking(move || slot.commit()).await {
                Ok(Ok((status, guard))) => {
                    kept.push(guard);
                    status
                }
                Ok(Err(error)) => SinkStatus::Failed(error),
                Err(_) => SinkStatus::Failed(SinkError::Stopped {
                    label: label.clone(),
                }),
            };
            reports.push(SinkReport { label, status });
        }
        Ok(reports)
    }
}

/// A destination that holds every byte.
enum Complete {
    /// It did before.
    Present(Held),
    /// It does now, and waits to show what was verified.
    Staged(Box<dyn Staged>, Verified),
}

impl Complete {
    fn commit(self) -> Result<(SinkStatus, Kept), SinkError> {
        Ok(match self {
            Self::Present(held) => {
                let (existing, kept) = held.confirm()?;
                (SinkStatus::Present(existing), kept)
            }
            Self::Staged(staged, verified) => {
                let (committed, kept) = staged.commit(&verified)?;
                (SinkStatus::Done(committed), kept)
            }
        })
    }
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
