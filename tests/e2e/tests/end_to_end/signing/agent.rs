//! An agent of SSH's.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::user::User;

/// What locks and unlocks it.
const PASSWORD: &str = "password-of-the-agent";

/// An agent whose socket is `socket` in the user's sandbox. It ends with the test.
pub(super) struct Agent<'a> {
    user: &'a User,
    process: Child,
}

impl<'a> Agent<'a> {
    pub(super) fn start(user: &'a User) -> Self {
        let socket = user.path("socket");
        let process = Command::new("ssh-agent")
            .args(["-D", "-a"])
            .arg(&socket)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let agent = Self { user, process };
        let patience = Instant::now() + Duration::from_secs(20);
        while UnixStream::connect(&socket).is_err() {
            assert!(Instant::now() < patience, "ssh-agent does not start");
            thread::sleep(Duration::from_millis(10));
        }
        agent
    }

    /// The `source` that is a key in it.
    pub(super) fn source(&self, key: &str) -> String {
        format!("{{ agent = {:?}, key = {key:?} }}", self.user.at("socket"))
    }

    pub(super) fn add(&self, file: &str) {
        self.ssh_add(&["-q", &self.user.at(file)]);
    }

    pub(super) fn lock(&self) {
        self.ssh_add(&["-x"]);
    }

    pub(super) fn unlock(&self) {
        self.ssh_add(&["-X"]);
    }

    /// `ssh-add`, which is told the password of the agent by a program instead of a terminal.
    fn ssh_add(&self, arguments: &[&str]) {
        let script = format!("#!/bin/sh\necho {PASSWORD}\n");
        let answer = self.user.write("askpass", script);
        fs::set_permissions(&answer, fs::Permissions::from_mode(0o700)).unwrap();
        let status = Command::new("ssh-add")
            .args(arguments)
            .env("SSH_AUTH_SOCK", self.user.path("socket"))
            .env("SSH_ASKPASS", answer)
            .env("SSH_ASKPASS_REQUIRE", "force")
            .env("DISPLAY", ":0")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success(), "ssh-add {arguments:?}");
    }
}

impl Drop for Agent<'_> {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
