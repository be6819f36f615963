//! A daemon of our own, where there is none for everybody.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{self, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::store::error::told;

/// The program. Each installation of Nix has it, also where no daemon runs.
const PROGRAM: &str = "nix-daemon";

/// How long it may take to end when nobody talks to it any more: it removes what it was given.
const ENDING: Duration = Duration::from_secs(10);

/// How often we look whether it has ended.
const GLANCE: Duration = Duration::from_millis(2);

/// How much of its complaints is read, in bytes.
const MAX_COMPLAINT: u64 = 64 * 1024;

/// The process. Dropping it waits for its end.
pub(super) struct Child {
    process: process::Child,
    /// Its standard error, a file without a name: nobody has to read along.
    complaints: File,
}

impl Child {
    /// Starts the program, with our environment but for what `remote` says.
    pub(super) fn start(remote: Option<&str>) -> io::Result<(Self, UnixStream)> {
        let (ours, theirs) = UnixStream::pair()?;
        let complaints = tempfile::tempfile()?;
        let mut command = Command::new(PROGRAM);
        command
            .arg("--stdio")
            .stdin(OwnedFd::from(theirs.try_clone()?))
            .stdout(OwnedFd::from(theirs))
            .stderr(Stdio::from(complaints.try_clone()?));
        if let Some(remote) = remote {
            command.env("NIX_REMOTE", remote);
        }
        let process = command.spawn()?;
        Ok((
            Self {
                process,
                complaints,
            },
            ours,
        ))
    }

    /// What it said on its standard error, if it said anything. It must have closed its socket.
    pub(super) fn complaint(&mut self) -> Option<String> {
        self.end();
        let mut text = Vec::new();
        self.complaints.seek(SeekFrom::Start(0)).ok()?;
        (&self.complaints)
            .take(MAX_COMPLAINT)
            .read_to_end(&mut text)
            .ok()?;
        let text = told(&String::from_utf8_lossy(&text));
        let text = text.strip_prefix("error: ").unwrap_or(&text);
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// Waits for its end, and brings it about when it takes too long.
    fn end(&mut self) {
        let start = Instant::now();
        while let Ok(None) = self.process.try_wait() {
            if start.elapsed() > ENDING {
                // It may have ended meanwhile, which is as good.
                let _ = self.process.kill();
                let _ = self.process.wait();
                return;
            }
            thread::sleep(GLANCE);
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.end();
    }
}
