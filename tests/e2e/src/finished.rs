//! How a run of the program ended.

use std::process::Output;

use serde_json::Value;

/// Exit code, stdout and stderr.
#[derive(Debug)]
pub struct Finished {
    /// The exit code.
    pub code: i32,
    /// What is for programs.
    pub stdout: String,
    /// What is for people.
    pub stderr: String,
}

impl Finished {
    /// What a command that has ended said.
    #[must_use]
    pub fn new(output: &Output) -> Self {
        Self {
            code: output
                .status
                .code()
                .unwrap_or_else(|| panic!("killed: {}", output.status)),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Demands this exit code.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(
            self.code, code,
            "exit code; it said:\n{}{}",
            self.stdout, self.stderr
        );
        self
    }

    /// Demands all of these in what it told people, and that a failure left stdout alone.
    #[track_caller]
    pub fn says<const N: usize>(self, parts: [&str; N]) -> Self {
        for part in parts {
            assert!(
                self.stderr.contains(part),
                "no `{part}` in:\n{}",
                self.stderr
            );
        }
        if self.code != 0 {
            assert_eq!(self.stdout, "", "a failure has no result");
        }
        self
    }

    /// What `--json` printed.
    #[track_caller]
    #[must_use]
    pub fn json(&self) -> Value {
        let parsed = serde_json::from_str(&self.stdout);
        parsed.unwrap_or_else(|error| panic!("{error} in:\n{}\n{}", self.stdout, self.stderr))
    }
}
