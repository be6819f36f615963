//! A home of the test's own, and the program in it.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// The secret that may be nowhere but where it was sent.
pub(crate) const CANARY: &str = "canary-5ecret";

pub(crate) struct Home(TempDir);

/// How the program ended.
pub(crate) struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Home {
    pub(crate) fn new() -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(home.config("")).unwrap();
        home
    }

    /// A path below the folder of the configuration.
    pub(crate) fn config(&self, name: &str) -> PathBuf {
        self.0.path().join("config/nix-fetchhost").join(name)
    }

    pub(crate) fn configure(&self, toml: &str) {
        let path = self.config("config.toml");
        fs::write(&path, toml).unwrap();
        for entry in fs::read_dir(self.config("")).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
            }
        }
    }

    pub(crate) fn text(&self) -> String {
        fs::read_to_string(self.config("config.toml")).unwrap()
    }

    /// Every file below the configuration's folder.
    pub(crate) fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut folders = vec![self.config("")];
        let mut files = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    files.push((path.clone(), fs::read(path).unwrap()));
                }
            }
        }
        files
    }

    /// The files that `credential set` wrote.
    pub(crate) fn sealed(&self) -> Vec<PathBuf> {
        let folder = fs::read_dir(self.config("credentials")).unwrap();
        folder.map(|entry| entry.unwrap().path()).collect()
    }

    pub(crate) fn run(&self, words: &[&str]) -> Ended {
        self.typed(words, "")
    }

    /// Runs the program with these variables besides those of this home.
    pub(crate) fn run_with(&self, variables: &[(&str, &str)], words: &[&str]) -> Ended {
        let mut command = self.program();
        command.envs(variables.iter().copied()).args(words);
        Self::end(command, "")
    }

    /// A path beside the folder of the configuration.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A program in this home's environment, and in no other.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.0.path())
            .env("XDG_CONFIG_HOME", self.0.path().join("config"))
            // Not there, and never the one of the machine that the tests run on.
            .env("NIX_REMOTE", self.0.path().join("nix"));
        command
    }

    /// The program itself.
    pub(crate) fn program(&self) -> Command {
        self.command(env!("CARGO_BIN_EXE_nix-fetchhost"))
    }

    /// Runs the program with this on its stdin.
    pub(crate) fn typed(&self, words: &[&str], stdin: &str) -> Ended {
        let mut command = self.program();
        command.args(words);
        Self::end(command, stdin)
    }

    fn end(mut command: Command, stdin: &str) -> Ended {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A program that fails before it reads has closed the pipe.
        let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
        let output = child.wait_with_output().unwrap();
        let ended = Ended {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        };
        let all = format!("{}{}", ended.stdout, ended.stderr);
        assert!(!all.contains(CANARY), "the secret is printed: {all}");
        ended
    }
}

impl Ended {
    /// The program's stdout.
    #[track_caller]
    pub(crate) fn succeeds(self) -> String {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        self.stdout
    }

    /// The program's stderr, where all went well.
    #[track_caller]
    pub(crate) fn says(self) -> String {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        self.stderr
    }

    /// The program's stdout, where it tells on both what is wrong.
    #[track_caller]
    pub(crate) fn tells(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{}\n{}", self.stdout, self.stderr);
        self.stdout
    }

    /// The program's stderr.
    #[track_caller]
    pub(crate) fn fails(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{}\n{}", self.stdout, self.stderr);
        self.stderr
    }
}
