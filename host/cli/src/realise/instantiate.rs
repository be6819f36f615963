//! `--file`: the derivations of an expression, by Nix itself.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use fetchhost_formats::StorePath;
use fetchhost_pipeline::Error;
use fetchhost_policy::Config;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::drv;
use crate::failure::Failure;

/// The program that evaluates.
const PROGRAM: &str = "nix-instantiate";

/// Evaluates `file`, or `attributes` of it. Given up, it ends the evaluation.
///
/// Whoever wrote the expression learns no secret from the environment: the variables that the configuration's
/// credentials are read from are not in that of the evaluation.
pub(crate) async fn instantiate(
    config: &Config,
    file: &Path,
    attributes: &[String],
) -> Result<Vec<StorePath>, Failure> {
    let failed = |error: io::Error| {
        let failure = Failure::usage(format!("`{PROGRAM}` cannot be started: {error}"));
        match error.kind() {
            io::ErrorKind::NotFound => {
                failure.with_hint("install Nix, or name derivations instead of `--file`")
            }
            _ => failure,
        }
    };
    // A name that begins with a dash is no flag.
    let file = std::path::absolute(file)
        .map_err(|error| Failure::usage(format!("`--file {}`: {error}", file.display())))?;
    let mut command = Command::new(PROGRAM);
    // What it makes is used at once.
    command.arg("--no-gc-warning");
    for attribute in attributes {
        command.args(["--attr", attribute]);
    }
    for credential in config.credentials.values() {
        for variable in credential.source.variables() {
            command.env_remove(variable);
        }
    }
    let child = command
        .arg(file)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .map_err(failed)?;
    let _ended = EndedWithThis::of(&child);
    let output = tokio::task::spawn_blocking(move || child.wait_with_output())
        .await
        .map_err(|_| Error::Thread(PROGRAM.to_owned()))?
        .map_err(failed)?;
    if !output.status.success() {
        return Err(Failure::usage(format!(
            "`{PROGRAM}` failed ({}); its message is above",
            output.status
        )));
    }
    let printed = String::from_utf8_lossy(&output.stdout);
    printed.lines().map(drv::parse).collect()
}

/// A process that is asked to end when this is dropped, if it has not by then.
struct EndedWithThis(Option<OwnedFd>);

impl EndedWithThis {
    fn of(child: &Child) -> Self {
        let process = Pid::from_child(child);
        Self(pidfd_open(process, PidfdFlags::empty()).ok())
    }
}

impl Drop for EndedWithThis {
    fn drop(&mut self) {
        if let Some(process) = &self.0 {
            // One that has ended hears nothing.
            let _ = pidfd_send_signal(process, Signal::TERM);
        }
    }
}
