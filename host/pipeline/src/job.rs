//! What a fetch is asked to do, and what came of it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use fetchhost_artifact::Verified;
use fetchhost_engine::{Desk, Input, Module};
use fetchhost_formats::{FixedOutput, Hash, HashAlgorithm, OutputMode, StoreName};
use fetchhost_policy::{Broker, InputName, Limits};
use fetchhost_sinks::{Committed, Destination, Existing, Incoming, SinkError};
use fetchhost_transport::Client;

use crate::{Category, Error, Observer};

/// What is known of the output's hash before it is fetched.
#[derive(Debug, Clone)]
pub enum Expectation {
    /// The user declared it; anything else is refused.
    Declared(Hash),
    /// Nothing: compute it by this algorithm and say what it is.
    Unknown(HashAlgorithm),
}

impl Expectation {
    /// The algorithm by which the output is measured.
    pub fn algorithm(&self) -> HashAlgorithm {
        match self {
            Self::Declared(hash) => hash.algorithm(),
            Self::Unknown(algorithm) => *algorithm,
        }
    }
}

/// One fetch.
pub struct Job {
    /// The module that plans it.
    pub module: Arc<Module>,
    /// The fetcher's name within the module.
    pub fetcher: String,
    /// The parameters as a JSON object, already checked against the fetcher's schema.
    pub params: String,
    /// The output's name in its store path.
    pub name: StoreName,
    /// Whether the hash is over the file or over the NAR.
    pub mode: OutputMode,
    /// Marks a single file as executable; only possible with [`OutputMode::Nar`].
    pub executable: bool,
    /// What the output's hash must be.
    pub expectation: Expectation,
    /// Where the output goes; may be empty for a prefetch.
    pub destinations: Vec<Destination>,
    /// Fetch although every destination already holds the output.
    pub refetch: bool,
    /// Says what the module may ask of whom.
    pub broker: Arc<Broker>,
    /// Sends what the broker permits.
    pub client: Client,
    /// The files that the fetcher is given.
    pub inputs: BTreeMap<InputName, Arc<Input>>,
    /// What signs for it, where it has keys.
    pub desk: Option<Arc<dyn Desk>>,
    /// Has the last word before anything is emitted.
    pub agreement: Option<Arc<dyn Agreement>>,
    /// What bounds the module and the artifact.
    pub limits: Limits,
    /// Where temporary files live; they are unlinked as soon as they exist.
    pub tmp: PathBuf,
    /// Watches.
    pub observer: Arc<dyn Observer>,
}

/// Agrees with others about an output whose hash nobody declared, before it is emitted.
pub trait Agreement: Send + Sync {
    /// Whether this output is the one. May block.
    ///
    /// # Errors
    /// When it is not, or nobody can be asked.
    fn agree(&self, output: &FixedOutput) -> Result<(), Disagreement>;
}

/// Why an output is not emitted although it came whole.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct Disagreement {
    /// The kind of failure.
    pub category: Category,
    /// What happened, to what.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
}

impl Job {
    /// The fixed output, when its hash is declared.
    pub fn fixed_output(&self) -> Option<FixedOutput> {
        match &self.expectation {
            Expectation::Declared(hash) => Some(FixedOutput {
                name: self.name.clone(),
                mode: self.mode,
                hash: hash.clone(),
            }),
            Expectation::Unknown(_) => None,
        }
    }

    /// What destinations are told of the output before it comes.
    pub(crate) fn incoming(&self) -> Incoming {
        Incoming {
            name: self.name.clone(),
            mode: self.mode,
            algorithm: self.expectation.algorithm(),
            hash: match &self.expectation {
                Expectation::Declared(hash) => Some(hash.clone()),
                Expectation::Unknown(_) => None,
            },
        }
    }
}

/// How one destination fared.
pub struct SinkReport {
    /// The destination as the user wrote it, without what is secret.
    pub label: String,
    /// How it fared.
    pub status: SinkStatus,
}

/// How a destination fared.
pub enum SinkStatus {
    /// It held the output before; nothing was written.
    Present(Existing),
    /// It holds the output now.
    Done(Committed),
    /// It does not hold the output.
    Failed(SinkError),
}

/// What came of a fetch.
pub struct Outcome {
    /// The output; its store path is the logical one in `/nix/store`.
    pub output: FixedOutput,
    /// The measured and verified artifact; none when every destination already held it.
    pub verified: Option<Verified>,
    /// One report for each destination, in the order given.
    pub sinks: Vec<SinkReport>,
}

impl Outcome {
    /// Why the run failed although it came to its end: destinations that do not hold the output.
    pub fn failure(&self) -> Option<Error> {
        let failed: Vec<&SinkError> = self
            .sinks
            .iter()
            .filter_map(|report| match &report.status {
                SinkStatus::Failed(error) => Some(error),
                _ => None,
            })
            .collect();
        let mut hints: Vec<String> = failed.iter().filter_map(|error| error.hint()).collect();
        hints.dedup();
        (!failed.is_empty()).then(|| Error::Commit {
            failed: failed.iter().map(ToString::to_string).collect(),
            hint: (!hints.is_empty()).then(|| hints.join("; ")),
            is_configuration: failed.iter().all(|error| error.is_configuration()),
        })
    }
}

#[cfg(test)]
mod tests {
    use fetchhost_sinks::{Step, StoreError};

    use super::*;
    use crate::Category;

    fn outcome(failed: impl IntoIterator<Item = StoreError>) -> Outcome {
        let report = |source| SinkReport {
            label: "store".to_owned(),
            status: SinkStatus::Failed(SinkError::Store {
                label: "store".to_owned(),
                source: Box::new(source),
            }),
        };
        Outcome {
            output: FixedOutput {
                name: "x".parse().unwrap(),
                mode: OutputMode::Nar,
                hash: format!("sha256:{}", "0".repeat(64)).parse().unwrap(),
            },
            verified: None,
            sinks: failed.into_iter().map(report).collect(),
        }
    }

    #[test]
    fn a_failed_commit_says_what_to_do_and_whose_fault_it_is() {
        let occupied = || StoreError::Occupied { path: "/r".into() };
        let closed = StoreError::Closed { step: Step::Adding };
        let error = outcome([occupied()]).failure().unwrap();
        assert_eq!(error.category(), Category::Usage);
        assert!(error.hint().unwrap().contains("--gc-root"));
        let error = outcome([occupied(), closed]).failure().unwrap();
        assert_eq!(error.category(), Category::Sink);
        assert!(error.hint().unwrap().contains("--gc-root"));
        assert!(outcome([]).failure().is_none());
    }
}
