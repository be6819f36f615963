//! `--file`: the derivations of an expression, by Nix itself.

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use fetchhost_formats::StorePath;
use fetchhost_policy::Config;

use super::drv;
use crate::failure::Failure;

/// The program that evaluates.
const PROGRAM: &str = "nix-instantiate";

/// Evaluates `file`, or `attributes` of it. May block.
///
/// Whoever wrote the expression learns no secret from the environment: the variables that the configuration's
/// credentials are read from are not in that of the evaluation.
pub(crate) fn instantiate(
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
    for attribute in attributes {
        command.args(["--attr", attribute]);
    }
    for credential in config.credentials.values() {
        for variable in credential.source.variables() {
            command.env_remove(variable);
        }
    }
    let output = command
        .arg(file)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
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
