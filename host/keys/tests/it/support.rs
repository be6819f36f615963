//! A folder with keys, a user who types, and real programs.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::{Arc, Mutex},
};

use fetchhost_credentials::Secret;
use fetchhost_keys::{Content, Envelope, Key, KeyError, Padding, Signers};
use fetchhost_policy::{KeySource, KeySpec, Use, Uses};
use tempfile::TempDir;

use crate::skip::skip;

/// What must show in no message: every secret of these tests has it in it.
pub(crate) const CANARY: &str = "canary-5ecret";

/// Whether all these programs are there; else the test is skipped by name.
pub(crate) fn have(test: &str, programs: &[&str]) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let missing = programs
        .iter()
        .find(|program| !std::env::split_paths(&path).any(|folder| folder.join(program).is_file()));
    if let Some(missing) = missing {
        skip(test, &format!("there is no `{missing}`"));
    }
    missing.is_none()
}

/// A folder of a test's own.
pub(crate) struct Stage(TempDir);

impl Stage {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file for its owner alone.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// Runs a program in this folder.
    pub(crate) fn run(&self, program: &str, arguments: &[&str], stdin: &[u8]) -> Output {
        let input = self.write(".stdin", stdin);
        Command::new(program)
            .args(arguments)
            .current_dir(self.0.path())
            .stdin(fs::File::open(input).unwrap())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .output()
            .unwrap()
    }

    /// Runs a program that succeeds, and returns what it printed.
    #[track_caller]
    pub(crate) fn succeed(&self, program: &str, arguments: &[&str], stdin: &[u8]) -> Vec<u8> {
        let output = self.run(program, arguments, stdin);
        assert!(
            output.status.success(),
            "{program} {arguments:?}: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        output.stdout
    }

    /// Runs a program that refuses.
    #[track_caller]
    pub(crate) fn refuse(&self, program: &str, arguments: &[&str], stdin: &[u8]) {
        let output = self.run(program, arguments, stdin);
        assert!(!output.status.success(), "{program} {arguments:?}");
    }

    pub(crate) fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }
}

/// A key in a file, for these uses.
pub(crate) fn in_file(path: &Path, uses: &[Use]) -> KeySpec {
    spec(KeySource::File(path.to_owned()), uses)
}

pub(crate) fn spec(source: KeySource, uses: &[Use]) -> KeySpec {
    KeySpec {
        name: "release".parse().unwrap(),
        source,
        uses: Uses::new(uses.iter().copied()).unwrap(),
        public_key: None,
    }
}

/// A user who types that (or nobody), and all the questions that were asked.
pub(crate) struct User {
    pub(crate) signers: Signers,
    questions: Arc<Mutex<Vec<String>>>,
}

impl User {
    pub(crate) fn typing(answer: Option<&'static str>) -> Self {
        Self::with_variables(answer, &[])
    }

    pub(crate) fn with_variables(
        answer: Option<&'static str>,
        variables: &[(&'static str, String)],
    ) -> Self {
        let variables = variables.to_vec();
        let questions = Arc::<Mutex<Vec<String>>>::default();
        let asked = Arc::clone(&questions);
        let signers = Signers::with_environment(move |name| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| value.into())
        })
        .asking(move |question, _| {
            asked.lock().unwrap().push(question.to_owned());
            Ok(answer.map(|answer| Secret::from(answer.to_owned())))
        });
        Self { signers, questions }
    }

    pub(crate) fn questions(&self) -> usize {
        self.questions.lock().unwrap().len()
    }

    #[track_caller]
    pub(crate) fn unlock(&self, spec: &KeySpec) -> Key {
        let key = self.signers.unlock(spec);
        key.unwrap_or_else(|error| panic!("{error} ({:?})", error.hint()))
    }

    /// The error, which has a hint and shows nothing secret.
    #[track_caller]
    pub(crate) fn refusal(&self, spec: &KeySpec) -> String {
        let error = self.signers.unlock(spec).unwrap_err();
        shown(&error)
    }
}

/// All that an error shows to somebody.
#[track_caller]
pub(crate) fn shown(error: &KeyError) -> String {
    let hint = error.hint();
    assert!(hint.is_some(), "no hint: {error}");
    let all = format!("{error} — {} — {error:?}", hint.unwrap_or_default());
    assert!(!all.contains("canary"), "{all}");
    format!("{error} — {}", error.hint().unwrap_or_default())
}

pub(crate) fn content(text: &str) -> Content {
    Content::of_bytes(text.as_bytes())
}

pub(crate) fn minisign(trusted: &str) -> Envelope {
    Envelope::Minisign {
        untrusted_comment: "signature of a test".parse().unwrap(),
        trusted_comment: trusted.parse().unwrap(),
    }
}

pub(crate) fn sshsig(namespace: &str) -> Envelope {
    Envelope::Sshsig {
        namespace: namespace.parse().unwrap(),
    }
}

pub(crate) const PSS: Envelope = Envelope::Raw {
    padding: Padding::Pss,
};

pub(crate) const PKCS1: Envelope = Envelope::Raw {
    padding: Padding::Pkcs1,
};
