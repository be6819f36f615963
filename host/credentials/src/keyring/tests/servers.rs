//! A home and servers that give access keys, of the test's own making.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use fetchhost_policy::AwsScope;
use tempfile::TempDir;
use zeroize::Zeroizing;

use super::*;

/// Status and body of an answer, or none.
type Prepared = Result<(u16, String), KeyFailure>;

/// A home, and a server that answers in turn what it is told.
pub(super) struct Scene {
    home: TempDir,
    variables: Vec<(String, String)>,
    answers: Arc<Mutex<Vec<Prepared>>>,
    /// Of each question the URL, with the method if it is not `POST`, and the form or the header.
    questions: Arc<Mutex<Vec<(String, String)>>>,
}

impl Scene {
    pub(super) fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        Self {
            variables: vec![("HOME".to_owned(), home.path().to_str().unwrap().to_owned())],
            home,
            answers: Arc::default(),
            questions: Arc::default(),
        }
    }

    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.retain(|(variable, _)| variable != name);
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub(super) fn write(&self, name: &str, content: &str, mode: u32) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }

    pub(super) fn answers(&self, status: u16, body: &str) {
        self.answers
            .lock()
            .unwrap()
            .push(Ok((status, body.to_owned())));
    }

    pub(super) fn fails(&self, reason: &str) {
        let reason = reason.to_owned();
        let failure = KeyFailure { reason, hint: None };
        self.answers.lock().unwrap().push(Err(failure));
    }

    fn variables(&self) -> Vec<(&str, &str)> {
        self.variables
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect()
    }

    /// Without a way to ask.
    pub(super) fn alone(&self) -> Stage {
        stage(&self.variables(), None)
    }

    pub(super) fn stage(&self) -> Stage {
        let stage = self.alone();
        let (answers, questions) = (Arc::clone(&self.answers), Arc::clone(&self.questions));
        let keyring = stage.keyring.asking_servers(move |request, _| {
            let url = match request.method.as_str() {
                "POST" => request.url.to_string(),
                method => format!("{method} {}", request.url),
            };
            let header = request
                .header
                .map(|(scheme, value)| format!("{}: {}", scheme.header_name(), value.expose()));
            let sent = header.or(request.form.map(|form| form.to_string()));
            questions
                .lock()
                .unwrap()
                .push((url, sent.unwrap_or_default()));
            let (status, body) = answers.lock().unwrap().remove(0)?;
            let body = Zeroizing::new(body.into_bytes());
            Ok(KeyAnswer { status, body })
        });
        Stage { keyring, ..stage }
    }

    pub(super) fn questions(&self) -> Vec<(String, String)> {
        self.questions.lock().unwrap().clone()
    }

    /// The message and the hint when `spec` fails, neither of which holds anything of a secret.
    #[track_caller]
    pub(super) fn refusal_of(&self, spec: &CredentialSpec) -> (String, String) {
        let error = self.stage().refusal(spec);
        (error.to_string(), error.hint().unwrap_or_default())
    }

    #[track_caller]
    pub(super) fn refusal(&self, profile: Option<&str>) -> (String, String) {
        self.refusal_of(&aws(profile))
    }
}

pub(super) fn aws(profile: Option<&str>) -> CredentialSpec {
    signing(SourceSpec::Aws(profile.map(str::to_owned)))
}

pub(super) fn signing(source: SourceSpec) -> CredentialSpec {
    spec(source, Scheme::AwsSigV4(AwsScope::default()))
}
