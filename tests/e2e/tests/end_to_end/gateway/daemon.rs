//! A Nix daemon, as whose client anybody builds.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use fetchhost_e2e::{Finished, Nix};

use super::users::{NOBODY, build, environment, run, users_home};

/// A daemon that runs as root, and clients of it that do not.
pub(crate) struct Daemon<'a> {
    nix: &'a Nix,
    child: Child,
    pub(crate) home: PathBuf,
}

impl<'a> Daemon<'a> {
    pub(crate) fn start(nix: &'a Nix) -> Self {
        Self::configured(nix, "")
    }

    /// With more lines of `nix.conf`.
    pub(super) fn configured(nix: &'a Nix, more: &str) -> Self {
        Self::beside(nix, users_home(nix, NOBODY), more)
    }

    /// With a client whose home is there already.
    pub(super) fn beside(nix: &'a Nix, home: PathBuf, more: &str) -> Self {
        let mut command = nix.installation.command("nix-daemon");
        environment(nix, &mut command);
        command.env("HOME", nix.path("home"));
        command.env(
            "NIX_REMOTE",
            format!("local?root={}", nix.path("").display()),
        );
        let child = command
            .env("NIX_CONFIG", more)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let start = Instant::now();
        // The socket is there before somebody listens.
        while UnixStream::connect(nix.path("sock")).is_err() {
            assert!(start.elapsed() < Duration::from_secs(20), "no daemon came");
            std::thread::sleep(Duration::from_millis(10));
        }
        Self { nix, child, home }
    }

    /// Builds as an untrusted user, whose gateway it may be.
    pub(crate) fn build(&self, expression: &str) -> Finished {
        self.build_as(NOBODY, &self.home, expression)
    }

    pub(super) fn build_as(&self, user: u32, home: &Path, expression: &str) -> Finished {
        build(self.nix, user, home, &self.remote(), expression)
    }

    /// Has a path substituted, for an untrusted user.
    pub(super) fn realise(&self, path: &str) -> Finished {
        let arguments = ["--realise", path];
        run(
            self.nix,
            NOBODY,
            &self.home,
            &self.remote(),
            "nix-store",
            arguments,
        )
    }

    /// What its clients call it.
    pub(crate) fn remote(&self) -> String {
        let (socket, root) = (self.nix.path("sock"), self.nix.path(""));
        format!("unix://{}?root={}", socket.display(), root.display())
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}
