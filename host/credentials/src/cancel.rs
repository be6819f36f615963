//! Giving up what waits for the user or for a program.

use std::{
    fmt,
    io::{PipeReader, PipeWriter, Write, pipe},
    os::fd::{AsFd, BorrowedFd},
    sync::Arc,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};

/// Ends every wait that watches it, now and later, once it is fired.
///
/// A thread that waits for the terminal or for a program cannot be stopped from outside. It would
/// leave the terminal mute and the program running, so it is told to tidy up and end itself.
#[derive(Clone)]
pub struct Cancel(Arc<Option<(PipeReader, PipeWriter)>>);

impl Cancel {
    /// One that is not fired yet.
    #[must_use]
    pub fn new() -> Self {
        // Without a pipe a wait ends by itself alone, as it would without this type.
        Self(Arc::new(pipe().ok()))
    }

    /// Ends the waits.
    pub fn fire(&self) {
        if let Some((_, writer)) = &*self.0 {
            // Nobody reads the byte, so that every wait sees it. The reader lives as long as this.
            let _ = (&*writer).write(&[1]);
        }
    }

    /// Waits until `file` can be read (or never will be), for `time` at most. `None` means for ever.
    pub(crate) fn wait(
        &self,
        file: BorrowedFd<'_>,
        time: Option<&Timespec>,
    ) -> Result<Woken, Errno> {
        let mut watched = vec![PollFd::from_borrowed_fd(file, PollFlags::IN)];
        if let Some((reader, _)) = &*self.0 {
            watched.push(PollFd::from_borrowed_fd(reader.as_fd(), PollFlags::IN));
        }
        match poll(&mut watched, time) {
            Err(Errno::INTR) => Ok(Woken::Neither),
            Err(error) => Err(error),
            Ok(_) if is_ready(watched.get(1)) => Ok(Woken::Cancelled),
            Ok(_) if is_ready(watched.first()) => Ok(Woken::Readable),
            Ok(_) => Ok(Woken::Neither),
        }
    }

    /// Whether it was fired.
    #[must_use]
    pub fn is_fired(&self) -> bool {
        let Some((reader, _)) = &*self.0 else {
            return false;
        };
        let mut watched = [PollFd::from_borrowed_fd(reader.as_fd(), PollFlags::IN)];
        poll(&mut watched, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
    }
}

/// What ended a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Woken {
    Readable,
    Cancelled,
    /// The time is up, or a signal came.
    Neither,
}

fn is_ready(watched: Option<&PollFd<'_>>) -> bool {
    watched.is_some_and(|watched| !watched.revents().is_empty())
}

impl Default for Cancel {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Cancel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cancel").finish_non_exhaustive()
    }
}
