//! Nix itself, and the store that `run` would add to.

use std::process::{Command, Stdio};
use std::time::Duration;

use fetchhost_sinks::{Reached, SinkError, Store, StoreError, StoreUrl};

use super::Finding;
use crate::failure::with_causes;

/// How long Nix may say nothing.
const PATIENCE: Duration = Duration::from_secs(20);

/// What `nix --version` prints, where there is one.
pub(super) fn version() -> Option<String> {
    let output = Command::new("nix")
        .arg("--version")
        .stdin(Stdio::null())
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The program `nix`.
pub(super) fn program(version: Option<&str>) -> Finding {
    match version {
        Some(version) => Finding::Good(version.to_owned()),
        None => Finding::Note(
            "not on PATH; binary caches and plain files are written without it".to_owned(),
        ),
    }
}

/// What `--to store` means here, and whether it answers.
pub(super) fn store() -> Finding {
    let store = Store {
        patience: PATIENCE,
        ..Store::new(StoreUrl::Auto)
    };
    match store.reach() {
        Ok(Reached::Daemon(socket)) => {
            Finding::Good(format!("the daemon answers on {}", socket.display()))
        }
        Ok(Reached::Own(url)) => Finding::Good(format!("`store={url}`, without a daemon")),
        Ok(Reached::Absent(url)) => Finding::Note(format!(
            "`store={url}` is not there yet; Nix makes it with the first artifact"
        )),
        Err(error) => unreached(&error),
    }
}

fn unreached(error: &SinkError) -> Finding {
    let text = with_causes(error);
    if let SinkError::Store { source, .. } = error
        && matches!(**source, StoreError::NoNix { .. } | StoreError::NoProgram)
    {
        return Finding::Note(format!(
            "{text}; binary caches and plain files are written without it"
        ));
    }
    let remedy = error.hint().unwrap_or_else(|| {
        "see whether `nix-store --verify-path` of some path works; other destinations need no store"
            .to_owned()
    });
    Finding::Bad(text, remedy)
}
