//! The release binaries, the server, and a folder on tmpfs to work in.

use std::cell::{Cell, OnceCell};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use tempfile::TempDir;

/// Size of the large artifact in bytes.
pub(super) const LARGE_BYTES: u64 = 1 << 30;
/// Size of the small artifact in bytes.
pub(super) const SMALL_BYTES: u64 = 1 << 10;

pub(super) struct Setup {
    pub(super) host: PathBuf,
    pub(super) baseline: PathBuf,
    /// What runs a module again and again.
    pub(super) instantiate: PathBuf,
    /// What `--url` is told.
    pub(super) api: String,
    /// Where the API redirects to.
    pub(super) storage: String,
    /// A server whose answers take a while.
    pub(super) far: String,
    /// Whether Nix is installed.
    pub(super) has_nix: bool,
    server: Child,
    folder: TempDir,
    fresh: Cell<u32>,
    large_hash: OnceCell<String>,
}

impl Setup {
    pub(super) fn new() -> Result<Self> {
        let binaries = build()?;
        let shm = Path::new("/dev/shm");
        let folder = if shm.is_dir() {
            TempDir::new_in(shm)?
        } else {
            TempDir::new()?
        };
        if !shm.is_dir() {
            println!("no /dev/shm: files lie on the disk, and the disk is measured too");
        }
        let mut server = Command::new(binaries.join("examples/origin"))
            .arg(LARGE_BYTES.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the server")?;
        let mut line = String::new();
        let output = server.stdout.take().context("the server has no output")?;
        BufReader::new(output).read_line(&mut line)?;
        let mut urls = line.split_whitespace().map(str::to_owned);
        let mut url = || urls.next().context("the server did not start");
        let (api, storage, far) = (url()?, url()?, url()?);
        let setup = Self {
            host: binaries.join("nix-fetchhost"),
            baseline: binaries.join("examples/baseline"),
            instantiate: binaries.join("examples/instantiate"),
            api,
            storage,
            far,
            has_nix: Command::new("nix-prefetch-url")
                .arg("--version")
                .output()
                .is_ok(),
            server,
            folder,
            fresh: Cell::new(0),
            large_hash: OnceCell::new(),
        };
        for folder in ["home", "tmp", "conf"] {
            fs::create_dir(setup.folder.path().join(folder))?;
        }
        let conf = "build-users-group =\nsubstituters =\nsandbox = false\n";
        fs::write(setup.folder.path().join("conf/nix.conf"), conf)?;
        Ok(setup)
    }

    /// The URL of a public file of so many bytes.
    pub(super) fn url(&self, bytes: u64) -> String {
        format!("{}/public/big/{bytes}", self.api)
    }

    /// A path in the folder that nothing has used before.
    pub(super) fn fresh(&self) -> PathBuf {
        let number = self.fresh.replace(self.fresh.get() + 1);
        self.folder.path().join(number.to_string())
    }

    /// A command whose home and temporary folder are the benchmark's own.
    pub(super) fn command(&self, program: impl AsRef<Path>) -> Command {
        let folder = self.folder.path();
        let mut command = Command::new(program.as_ref());
        command.env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", folder.join("home"));
        command.env("TMPDIR", folder.join("tmp"));
        command.env("NIX_CONF_DIR", folder.join("conf"));
        command.env("NIX_USER_CONF_FILES", "/dev/null");
        command
    }

    /// A Nix store that has nothing yet, as `NIX_REMOTE` names it, and its folder.
    pub(super) fn nix_store(&self) -> Result<(String, PathBuf)> {
        let root = self.fresh();
        fs::create_dir(&root)?;
        let remote = format!("local?root={}", root.display());
        // The database is made beforehand: Nix does that once on a machine, not once a fetch.
        let mut init = self.command("nix-store");
        let status = init.arg("--init").env("NIX_REMOTE", &remote).status()?;
        ensure!(status.success(), "cannot make a Nix store");
        Ok((remote, root))
    }

    /// The hash of the large artifact in SRI form.
    pub(super) fn large_hash(&self) -> Result<&str> {
        if let Some(known) = self.large_hash.get() {
            return Ok(known);
        }
        let hash = self.sri(&self.url(LARGE_BYTES))?;
        Ok(self.large_hash.get_or_init(|| hash))
    }

    /// The digest of a URL's content in SRI form, by curl and openssl.
    pub(super) fn sri(&self, url: &str) -> Result<String> {
        let script =
            "set -o pipefail; curl -sSf \"$0\" | openssl dgst -sha256 -binary | openssl base64";
        let output = self.command("bash").args(["-c", script, url]).output()?;
        if !output.status.success() {
            bail!(
                "cannot hash {url}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(format!(
            "sha256-{}",
            String::from_utf8(output.stdout)?.trim()
        ))
    }
}

impl Drop for Setup {
    fn drop(&mut self) {
        // Closing its input ends the server; nothing is left to do if that fails.
        drop(self.server.stdin.take());
        drop(self.server.wait());
    }
}

/// Builds everything that is measured, in one go so that shared dependencies are built once.
fn build() -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let arguments = "build --release --locked --package nix-fetchhost --bin nix-fetchhost \
                     --package xtask --example origin --example baseline \
                     --package fetchhost-engine --example instantiate";
    let status = Command::new(cargo)
        .args(arguments.split_whitespace())
        .current_dir(&root)
        .status()?;
    ensure!(status.success(), "the release build failed");
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), Into::into);
    Ok(target.join("release").canonicalize()?)
}
