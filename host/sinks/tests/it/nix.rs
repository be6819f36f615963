//! The real Nix: a store in a folder of its own, and the daemon that serves it.

use std::ffi::OsString;
use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use fetchhost_formats::StorePath;
use fetchhost_sinks::Store;
use tempfile::TempDir;

/// Names folders with the programs of more versions of Nix, with `:` between them.
const OTHERS: &str = "NIX_FETCHHOST_TEST_NIX_DIRS";

/// A store in a folder of its own, and the daemon that serves it.
pub(crate) struct Nix {
    daemon: Child,
    pub(crate) root: TempDir,
    /// The folder of its programs; none for those in `PATH`.
    programs: Option<PathBuf>,
}

impl Nix {
    /// The installed one. None where Nix is not installed, after saying which test is skipped; in CI that is
    /// a failure.
    #[expect(clippy::print_stderr, reason = "a skipped test says so")]
    pub(crate) fn or_skip(test: &str) -> Option<Self> {
        if Command::new("nix-daemon")
            .arg("--version")
            .output()
            .is_err()
        {
            let in_ci = std::env::var_os("CI").is_some_and(|value| value == "true");
            assert!(!in_ci, "{test} needs Nix, and in CI it must not be skipped");
            eprintln!("SKIPPED: {test}: `nix-daemon` is not installed");
            return None;
        }
        Some(Self::start(None))
    }

    /// The installed one, and one of each version that the environment names.
    pub(crate) fn all(test: &str) -> Vec<Self> {
        let Some(installed) = Self::or_skip(test) else {
            return Vec::new();
        };
        let others = std::env::var_os(OTHERS).filter(|value| !value.is_empty());
        let others = others.iter().flat_map(std::env::split_paths);
        let others = others.map(|programs| Self::start(Some(programs)));
        std::iter::once(installed).chain(others).collect()
    }

    fn start(programs: Option<PathBuf>) -> Self {
        let root = tempfile::tempdir().unwrap();
        // A builder in a chroot store has no shell but one that is named here, and it must be a static one.
        let conf = "build-users-group =\nsubstituters =\nsandbox-paths = /bin/sh=/bin/busybox\n\
                    experimental-features = nix-command\n";
        fs::write(root.path().join("nix.conf"), conf).unwrap();
        // Two workers that find no database at once get in each other's way.
        let mut init = command(&programs, root.path(), "nix-store");
        assert!(init.arg("--init").output().unwrap().status.success());
        let mut daemon = command(&programs, root.path(), "nix-daemon");
        let quiet = daemon.stdout(Stdio::null()).stderr(Stdio::null());
        let nix = Self {
            daemon: quiet.spawn().unwrap(),
            root,
            programs,
        };
        let start = Instant::now();
        // The socket is there before somebody listens.
        while UnixStream::connect(nix.root.path().join("socket")).is_err() {
            assert!(start.elapsed() < Duration::from_secs(20), "no daemon came");
            thread::sleep(Duration::from_millis(10));
        }
        nix
    }

    /// The store that the daemon serves.
    pub(crate) fn store(&self) -> Store {
        let root = self.root.path().display();
        Store::new(format!("unix://{root}/socket?root={root}").parse().unwrap())
    }

    /// One of its programs, which works on the store without the daemon.
    pub(crate) fn command(&self, program: &str) -> Command {
        command(&self.programs, self.root.path(), program)
    }

    /// What one of its programs prints, without the line break at its end.
    pub(crate) fn ask<const N: usize>(&self, program: &str, arguments: [&str; N]) -> String {
        let output = self.command(program).args(arguments).output().unwrap();
        assert!(
            output.status.success(),
            "{program} {arguments:?}: {output:?}"
        );
        String::from_utf8(output.stdout)
            .unwrap()
            .trim_end()
            .to_owned()
    }

    pub(crate) fn collect_garbage(&self) {
        self.ask("nix-store", ["--gc"]);
    }

    /// Where the files of a store path lie.
    pub(crate) fn physical(&self, path: &StorePath) -> PathBuf {
        let below = path.to_string();
        self.root.path().join(below.trim_start_matches('/'))
    }

    pub(crate) fn has(&self, path: &StorePath) -> bool {
        self.physical(path).exists()
    }
}

/// Nix has noticed what was asked for, or that a connection ended.
pub(crate) fn settle() {
    thread::sleep(Duration::from_millis(300));
}

fn command(programs: &Option<PathBuf>, root: &Path, program: &str) -> Command {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = programs.iter().cloned().chain(std::env::split_paths(&path));
    let name = programs
        .as_ref()
        .map_or_else(|| program.into(), |folder| folder.join(program));
    let mut command = Command::new(name);
    command
        .env("PATH", std::env::join_paths(path).unwrap())
        .env("NIX_REMOTE", format!("local?root={}", root.display()))
        .env("NIX_DAEMON_SOCKET_PATH", root.join("socket"))
        .env("NIX_CONF_DIR", root)
        .env("NIX_USER_CONF_FILES", "/dev/null")
        .env("NIX_PATH", OsString::new())
        .env("HOME", root);
    command
}

impl Drop for Nix {
    fn drop(&mut self) {
        self.daemon.kill().unwrap();
        self.daemon.wait().unwrap();
        // Store paths are read-only, which keeps an ordinary user from removing them.
        let root = self.root.path();
        drop(Command::new("chmod").args(["-R", "u+w"]).arg(root).output());
    }
}
