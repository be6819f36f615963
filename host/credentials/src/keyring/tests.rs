//! Each source, well-behaved and hostile.

mod age;
mod aws;
mod files;
mod helpers;
#[cfg(feature = "aws-sso")]
mod imds;
mod others;
mod programs;
mod servers;
#[cfg(feature = "aws-sso")]
mod sso;
mod web_identity;

use std::{sync::Mutex, time::Duration};

use super::*;

/// What must be nowhere but in the secret itself.
const CANARY: &str = "canary-5ecret";

fn origin() -> Origin {
    "https://gitlab.example.com".parse().unwrap()
}

fn other_origin() -> Origin {
    "https://other.example.com:8443".parse().unwrap()
}

fn spec(source: SourceSpec, scheme: Scheme) -> CredentialSpec {
    CredentialSpec {
        name: "work".parse().unwrap(),
        source,
        scheme,
        origins: vec![origin(), other_origin()],
    }
}

/// A keyring in surroundings of the test's own making.
struct Stage {
    keyring: Keyring,
    /// Every question that the terminal was asked.
    asked: Arc<Mutex<Vec<String>>>,
    /// What the clock shows.
    now: Arc<Mutex<SystemTime>>,
}

fn stage(variables: &[(&str, &str)], typed: Option<&'static str>) -> Stage {
    let variables: Vec<(String, OsString)> = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.into()))
        .collect();
    let asked = Arc::<Mutex<Vec<String>>>::default();
    let questions = Arc::clone(&asked);
    let now = Arc::new(Mutex::new(SystemTime::now()));
    let clock = Arc::clone(&now);
    let keyring = Keyring::with_surroundings(Surroundings {
        environment: Box::new(move |name| {
            let found = variables.iter().find(|(variable, _)| variable == name);
            found.map(|(_, value)| value.clone())
        }),
        // A user who types that, or a terminal that is none.
        ask: Box::new(move |question, _| {
            questions.lock().unwrap().push(question.to_owned());
            Ok(typed.map(|answer| Secret::from(answer.to_owned())))
        }),
        servers: None,
        clock: Box::new(move || *clock.lock().unwrap()),
        cancel: Cancel::new(),
    });
    Stage {
        keyring,
        asked,
        now,
    }
}

impl Stage {
    fn get(&self, spec: &CredentialSpec) -> Result<String, CredentialError> {
        let secret = self.keyring.resolve(spec, &origin())?;
        Ok(secret.expose().to_owned())
    }

    /// The error, which shows nothing of the canary, and its hint.
    #[track_caller]
    fn refusal(&self, spec: &CredentialSpec) -> CredentialError {
        let error = self.get(spec).unwrap_err();
        let shown = format!(
            "{error} {error:?} {:?} {:?}",
            error.hint(),
            std::error::Error::source(&error)
        );
        assert!(!shown.to_lowercase().contains("canary"), "{shown}");
        assert!(shown.contains("`work`"), "{shown}");
        error
    }

    fn pass(&self, time: Duration) {
        *self.now.lock().unwrap() += time;
    }
}
