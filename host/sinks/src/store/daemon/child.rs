//! A daemon of our own, where there is none for everybody.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::{self, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::Access;
use tokio::runtime::Handle;

use crate::store::error::told;

/// The program. Each installation of Nix has it, also where no daemon runs.
const PROGRAM: &str = "nix-daemon";
/// The program that it is a name of, where that name is not installed.
const WHOLE: &str = "nix";

/// How long we wait for its end when nobody talks to it any more: it removes what it was given.
const ENDING: Duration = Duration::from_secs(10);

/// How often we look whether it has ended.
const GLANCE: Duration = Duration::from_millis(2);

/// How much of its complaints is read, in bytes.
const MAX_COMPLAINT: u64 = 64 * 1024;

/// Variables that it gets from us. Nothing else of ours is its business, least of all the variables
/// that hold credentials.
const VARIABLES: [&str; 8] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "TMPDIR",
    "LANG",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];
/// The same for those that begin so.
const PREFIXES: [&str; 3] = ["NIX_", "XDG_", "LC_"];
/// But these are ours.
const OURS: &str = "NIX_FETCHHOST_";

/// The process. Dropping it has somebody wait for its end.
pub(super) struct Child {
    process: Option<process::Child>,
    /// Its standard error, a file without a name: nobody has to read along.
    complaints: File,
}

impl Child {
    /// Whether the program is there to be started.
    pub(super) fn is_installed() -> bool {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path)
            .flat_map(|folder| [folder.join(PROGRAM), folder.join(WHOLE)])
            .any(|program| {
                program.is_file() && rustix::fs::access(&program, Access::EXEC_OK).is_ok()
            })
    }

    /// Starts the program on the store `url`, whatever configuration and environment say of stores.
    pub(super) fn start(url: &str) -> io::Result<(Self, UnixStream)> {
        let (ours, theirs) = UnixStream::pair()?;
        let complaints = tempfile::tempfile()?;
        let spawn = |program: &str| {
            Command::new(program)
                .arg0(PROGRAM)
                // The environment counts for less than `store` in nix.conf, and this for more.
                .args(["--stdio", "--option", "store", url])
                .env_clear()
                .envs(std::env::vars_os().filter(|(name, _)| is_passed_on(name)))
                .env("NIX_REMOTE", url)
                .stdin(OwnedFd::from(theirs.try_clone()?))
                .stdout(OwnedFd::from(theirs.try_clone()?))
                .stderr(Stdio::from(complaints.try_clone()?))
                // A Ctrl-C on the terminal is for us. It ends when we are gone, and tidies up.
                .process_group(0)
                .spawn()
        };
        let process = match spawn(PROGRAM) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => spawn(WHOLE)?,
            started => started?,
        };
        Ok((
            Self {
                process: Some(process),
                complaints,
            },
            ours,
        ))
    }

    /// What it said on its standard error, if it said anything. It must have closed its socket.
    pub(super) fn complaint(&mut self) -> Option<String> {
        wait_for(self.process.as_mut()?);
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
}

impl Drop for Child {
    /// A thread of the runtime has no time to wait; the runtime's end waits for those that have.
    fn drop(&mut self) {
        let Some(mut process) = self.process.take() else {
            return;
        };
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(move || wait_for(&mut process))),
            Err(_) => wait_for(&mut process),
        }
    }
}

/// Waits for its end, but not for ever. It is never killed: it may be removing what it was given.
fn wait_for(process: &mut process::Child) {
    let start = Instant::now();
    while let Ok(None) = process.try_wait() {
        if start.elapsed() > ENDING {
            return;
        }
        thread::sleep(GLANCE);
    }
}

fn is_passed_on(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| {
        VARIABLES.contains(&name)
            || PREFIXES.iter().any(|prefix| name.starts_with(prefix)) && !name.starts_with(OURS)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_variables_that_nix_reads_are_passed_on() {
        for name in [
            "PATH",
            "NIX_CONF_DIR",
            "NIX_SSL_CERT_FILE",
            "XDG_DATA_HOME",
            "LC_ALL",
        ] {
            assert!(is_passed_on(name.as_ref()), "{name}");
        }
        for name in [
            "GITLAB_TOKEN",
            "CI_JOB_TOKEN",
            "NIX_FETCHHOST_TOKEN",
            "PATHS",
            "nix_x",
            "",
        ] {
            assert!(!is_passed_on(name.as_ref()), "{name}");
        }
    }
}
