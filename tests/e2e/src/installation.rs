//! The versions of Nix that judge.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use crate::skip::{say, skip};

/// Names folders with the programs of more versions of Nix, with `:` between them.
const OTHERS: &str = "NIX_FETCHHOST_TEST_NIX_DIRS";

/// One version of Nix.
#[derive(Clone, Debug)]
pub struct Installation {
    /// The folder of its programs; none for the one in `PATH`.
    pub folder: Option<PathBuf>,
    /// What it says of itself.
    pub version: String,
}

impl Installation {
    fn in_folder(folder: Option<PathBuf>) -> Option<Self> {
        let program = folder
            .as_ref()
            .map_or_else(|| PathBuf::from("nix"), |folder| folder.join("nix"));
        let output = Command::new(program).arg("--version").output().ok()?;
        let version = String::from_utf8(output.stdout).unwrap().trim().to_owned();
        Some(Self { folder, version })
    }

    /// The one that is installed, and those that the environment names. None where Nix is not
    /// installed, after saying which test is skipped; in CI that is a failure.
    #[must_use]
    pub fn all(test: &str) -> Vec<Self> {
        let Some(installed) = Self::in_folder(None) else {
            skip(test, "`nix` is not installed");
            return Vec::new();
        };
        let others = std::env::var_os(OTHERS).filter(|value| !value.is_empty());
        if others.is_none() {
            say(&format!(
                "{test}: {} alone judges; {OTHERS} names no other",
                installed.version
            ));
        }
        let others = others.iter().flat_map(std::env::split_paths);
        let others = others.map(|folder| {
            let found = Self::in_folder(Some(folder.clone()));
            found.unwrap_or_else(|| panic!("{OTHERS}: no `nix` in {}", folder.display()))
        });
        std::iter::once(installed).chain(others).collect()
    }

    /// The `PATH` in which its programs come first.
    #[must_use]
    pub fn search_path(&self) -> OsString {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = self.folder.iter().cloned();
        std::env::join_paths(folders.chain(std::env::split_paths(&path))).unwrap()
    }

    /// One of its programs.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        Command::new(
            self.folder
                .as_ref()
                .map_or_else(|| program.into(), |folder| folder.join(program)),
        )
    }
}
