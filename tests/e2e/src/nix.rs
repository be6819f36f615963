//! The real Nix, in a store that is thrown away.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::{Finished, Installation, Sandbox};

/// A chroot store: its paths read `/nix/store/…` as everywhere, its files lie in a folder of its own,
/// and nothing else of the machine is read or written.
pub struct Nix {
    /// Which version it is.
    pub installation: Installation,
    root: TempDir,
}

impl Nix {
    /// One of each [`Installation`]. None where Nix is not installed, after saying which test is skipped;
    /// in CI that is a failure.
    #[must_use]
    pub fn all(test: &str) -> Vec<Self> {
        Installation::all(test).into_iter().map(Self::new).collect()
    }

    fn new(installation: Installation) -> Self {
        let root = TempDir::new().expect("a temporary folder can be made");
        for name in ["conf", "home", "tmp"] {
            fs::create_dir(root.path().join(name)).unwrap();
        }
        // `sandbox-paths`: a builder in a chroot store has no shell but one that is named here, and
        // it must be a static one.
        let conf = "\
build-users-group =
experimental-features = nix-command flakes
substituters =
require-sigs = true
sandbox-paths = /bin/sh=/bin/busybox
builders =
flake-registry =
";
        fs::write(root.path().join("conf/nix.conf"), conf).unwrap();
        let nix = Self { installation, root };
        nix.run("nix-store", ["--init"]).exits(0);
        nix
    }

    /// The same version with a store of its own.
    #[must_use]
    pub fn another(&self) -> Self {
        Self::new(self.installation.clone())
    }

    /// A path in the folder that holds the store.
    #[must_use]
    pub fn path(&self, relative: &str) -> PathBuf {
        self.root.path().join(relative)
    }

    /// Where the files of a store path lie.
    #[must_use]
    pub fn physical(&self, store_path: &str) -> PathBuf {
        self.path(store_path.trim_start_matches('/'))
    }

    /// Runs one of Nix's programs to its end.
    #[track_caller]
    pub fn run<const N: usize>(&self, program: &str, arguments: [&str; N]) -> Finished {
        let output = self
            .command(program)
            .args(arguments)
            .output()
            .expect("Nix runs");
        Finished::new(&output)
    }

    /// What one of Nix's programs prints, without the line break.
    #[track_caller]
    pub fn ask<const N: usize>(&self, program: &str, arguments: [&str; N]) -> String {
        self.run(program, arguments)
            .exits(0)
            .stdout
            .trim_end()
            .to_owned()
    }

    /// The archive of a file or folder, as Nix makes it.
    #[track_caller]
    pub fn dump(&self, path: &Path) -> Vec<u8> {
        let output = self
            .command("nix-store")
            .arg("--dump")
            .arg(path)
            .output()
            .expect("Nix runs");
        assert!(output.status.success(), "cannot dump {}", path.display());
        output.stdout
    }

    /// Builds an expression with one binary cache to ask, and no other.
    #[track_caller]
    pub fn build(&self, expression: &str, cache: &Path) -> Finished {
        let cache = format!("file://{}", cache.display());
        let arguments = [
            "--no-out-link",
            "--option",
            "substituters",
            &cache,
            "--expr",
            expression,
        ];
        self.run("nix-build", arguments)
    }

    /// One of Nix's programs in an environment that has nothing of the user's.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let mut command = self.installation.command(program);
        command.env_clear();
        command.envs(self.variables());
        command.env("HOME", self.path("home"));
        command.env("TMPDIR", self.path("tmp"));
        command
    }

    /// A place to run the program in, for which this is Nix and this its store.
    #[must_use]
    pub fn sandbox(&self) -> Sandbox {
        self.variables()
            .into_iter()
            .fold(Sandbox::new(), |sandbox, (name, value)| {
                sandbox.variable(name, value.to_str().expect("folders have plain names"))
            })
    }

    fn variables(&self) -> [(&'static str, OsString); 5] {
        let remote = format!("local?root={}", self.root.path().display());
        [
            ("PATH", self.installation.search_path()),
            ("NIX_CONF_DIR", self.path("conf").into()),
            ("NIX_USER_CONF_FILES", "/dev/null".into()),
            ("NIX_PATH", OsString::new()),
            ("NIX_REMOTE", remote.into()),
        ]
    }
}

/// A text as a string literal of the Nix language.
#[must_use]
pub fn nix_string(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{}\"", text.replace("${", "\\${"))
}

impl Drop for Nix {
    fn drop(&mut self) {
        // Store paths are read-only, which keeps an ordinary user from removing them.
        drop(
            Command::new("chmod")
                .arg("-R")
                .arg("u+w")
                .arg(self.root.path())
                .output(),
        );
    }
}
