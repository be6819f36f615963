//! The program under test, as a user runs it: one process, a home, and keys in the environment.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail, ensure};

use super::processes::{Finished, Folder, Process, Started, run, until};
use super::server::Keys;

/// `nix-fetchhost`, built here, with a home of its own.
pub(super) struct Program {
    path: PathBuf,
    home: Folder,
    /// What must be in nothing that it says or writes.
    secrets: Vec<String>,
}

/// How a run ended.
pub(super) struct Run(Finished);

impl Program {
    /// Builds it.
    pub(super) fn build() -> Result<PathBuf> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut build = Command::new(cargo);
        build.args([
            "build",
            "--locked",
            "--package",
            "nix-fetchhost",
            "--profile",
            "dev",
        ]);
        let status = build.current_dir(root).status()?;
        ensure!(status.success(), "the program could not be built");
        // Where cargo has put what runs here, wherever that is.
        let target = std::env::current_exe()?;
        let target = target
            .ancestors()
            .nth(2)
            .map(|target| target.join("debug/nix-fetchhost"));
        match target {
            Some(path) if path.is_file() => Ok(path),
            _ => bail!("cargo has put the program elsewhere than what runs here"),
        }
    }

    pub(super) fn new(path: PathBuf, secrets: Vec<String>) -> Result<Self> {
        let home = Folder::new()?;
        for name in ["config/nix-fetchhost", "tmp", "out"] {
            home.with(name)?;
        }
        Ok(Self {
            path,
            home,
            secrets,
        })
    }

    /// A path in its home.
    pub(super) fn place(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Replaces its configuration.
    pub(super) fn configure(&self, toml: &str) -> Result<()> {
        use std::os::unix::fs::PermissionsExt as _;
        let file = self.place("config/nix-fetchhost/config.toml");
        std::fs::write(&file, toml)?;
        Ok(std::fs::set_permissions(
            file,
            std::fs::Permissions::from_mode(0o600),
        )?)
    }

    /// The program with arguments, and AWS's variables for keys.
    pub(super) fn command(&self, keys: Option<&Keys>, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.path);
        self.surround(&mut command, keys);
        command.args(arguments);
        command
    }

    /// The same under the control of another program.
    pub(super) fn below(&self, other: &[&str], keys: &Keys, arguments: &[&str]) -> Command {
        let mut command = Command::new(other[0]);
        self.surround(&mut command, Some(keys));
        command.args(&other[1..]).arg(&self.path).args(arguments);
        command
    }

    fn surround(&self, command: &mut Command, keys: Option<&Keys>) {
        command.env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.home.path());
        command.env("XDG_CONFIG_HOME", self.place("config"));
        command.env("XDG_CACHE_HOME", self.place("cache"));
        command.env("TMPDIR", self.place("tmp"));
        command.current_dir(self.home.path());
        if let Some(Keys { id, secret }) = keys {
            command.env("AWS_ACCESS_KEY_ID", id);
            command.env("AWS_SECRET_ACCESS_KEY", secret);
        }
    }

    /// Runs it to its end.
    pub(super) fn run(&self, keys: Option<&Keys>, arguments: &[&str]) -> Result<Run> {
        self.finish(run(&mut self.command(keys, arguments))?)
    }

    /// Looks for secrets in what a run said, and in the record that it kept.
    pub(super) fn finish(&self, done: Finished) -> Result<Run> {
        let record = self.place(".local/state/nix-fetchhost/log.jsonl");
        // There is none before the first run.
        let record = std::fs::read_to_string(record).unwrap_or_default();
        for text in [&done.stdout, &done.stderr, &record] {
            for secret in self
                .secrets
                .iter()
                .map(String::as_str)
                .chain(["X-Amz-Signature="])
            {
                ensure!(
                    !text.contains(secret),
                    "a secret is in what it says: {text}"
                );
            }
        }
        Ok(Run(done))
    }

    /// Its gateway, with what the configuration says.
    pub(super) fn serve(&self, keys: &Keys) -> Result<Gateway> {
        let mut command = self.command(Some(keys), &["serve", "--listen", "127.0.0.1:0"]);
        let mut started = Started::new(&mut command)?;
        let mut url = String::new();
        until("the gateway listens", Duration::from_secs(60), || {
            let printed = started.printed()?;
            let line = printed.split_once('\n').map(|(line, _)| line.trim());
            if let Some(line) = line.filter(|line| line.starts_with("http://")) {
                line.clone_into(&mut url);
                return Ok(true);
            }
            ensure!(started.runs()?, "the gateway ended");
            Ok(false)
        })?;
        Ok(Gateway {
            url,
            _process: started.into_process(),
        })
    }
}

/// A running `nix-fetchhost serve`, ended when it is dropped.
pub(super) struct Gateway {
    pub(super) url: String,
    _process: Process,
}

impl Run {
    /// An error unless it ended with this code and says all of this.
    pub(super) fn ends(self, code: i32, says: &[&str]) -> Result<Self> {
        let Finished {
            status,
            stdout,
            stderr,
        } = &self.0;
        ensure!(
            status.code() == Some(code),
            "exit code {code} was expected, not {status}:\n{stdout}{stderr}"
        );
        for text in says {
            ensure!(
                stdout.contains(text) || stderr.contains(text),
                "it should say `{text}`:\n{stdout}{stderr}"
            );
        }
        Ok(self)
    }

    pub(super) fn code(&self) -> Option<i32> {
        self.0.status.code()
    }

    /// The result, without the line break.
    pub(super) fn result(&self) -> &str {
        self.0.stdout.trim_end()
    }

    pub(super) fn stderr(&self) -> &str {
        &self.0.stderr
    }
}
