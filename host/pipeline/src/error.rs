//! Why a fetch failed, and which kind of failure that is.

use fetchhost_artifact::{ArtifactError, HashMismatch, VerifyError};
use fetchhost_engine::{ErrorKind, FetchFailure, SigningErrorKind};
use fetchhost_formats::OutputMode;
use fetchhost_policy::{Denial, DenialKind};
use fetchhost_sinks::{Destination, SinkError};
use fetchhost_transport::{Category as TransportCategory, TransportError};

use crate::job::Disagreement;
use crate::upstream::Upstream;

/// The kinds of failure that callers tell apart; the command line maps them to exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Category {
    /// The fetch failed: not found, refused upstream, network.
    Fetch,
    /// Usage or configuration, also a credential that cannot be had.
    Usage,
    /// Denied by grants.
    Denied,
    /// The bytes are not what was declared.
    HashMismatch,
    /// The module misbehaved, or a limit was overrun.
    Module,
    /// A destination failed.
    Sink,
    /// What is remembered of signatures and results cannot be read or written.
    Memo,
    /// This program failed.
    Internal,
}

/// Why a fetch failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The module failed, or was stopped.
    #[error("{}", told(.0))]
    Module(#[from] FetchFailure),
    /// The module planned a tree that cannot be: the fault is not upstream's.
    #[error("the module planned an impossible tree: {0}")]
    Plan(ArtifactError),
    /// A request that the host sent for the plan failed.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The answer is not the content.
    #[error(transparent)]
    Upstream(#[from] Box<Upstream>),
    /// The content could not be turned into an output.
    #[error(transparent)]
    Artifact(ArtifactError),
    /// The output is a tree, but a flat hash was asked for.
    #[error("the output is a tree, which has no flat hash")]
    TreeIsNotFlat,
    /// The output is a tree, but it was to be marked executable.
    #[error("the output is a tree; only a single file can be marked executable")]
    ExecutableTree,
    /// The bytes are not what was declared.
    #[error("{mismatch}")]
    HashMismatch {
        /// What was declared and what came.
        mismatch: Box<HashMismatch>,
        /// The answer was a web page: then the declared hash is hardly what is wrong.
        web_page: Option<Box<Upstream>>,
    },
    /// A hash that was needed was not computed; a defect of this program.
    #[error("a hash was not computed: {0}")]
    NotMeasured(String),
    /// A destination failed before anything was visible in it.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// Destinations failed to make the output visible; others may hold it.
    #[error("{}", .failed.join("; "))]
    Commit {
        /// One line for each failed destination.
        failed: Vec<String>,
        /// What to do about them.
        hint: Option<String>,
        /// Whether all of that is in what the user wrote.
        is_configuration: bool,
    },
    /// What a destination has as this output is something else.
    #[error("what `{}` holds is damaged: {problem}", holder.label())]
    Damaged {
        /// The destination.
        holder: Box<Destination>,
        /// How that was noticed.
        problem: Box<Error>,
    },
    /// Others do not agree about it.
    #[error(transparent)]
    Disagreed(Box<Disagreement>),
    /// A web page came, and no hash was declared to tell whether it is what was wanted.
    #[error("{0}")]
    WebPage(Box<Upstream>),
    /// A thread ended without a result; a defect of this program.
    #[error("`{0}` ended without a result")]
    Thread(String),
}

impl From<Upstream> for Error {
    fn from(upstream: Upstream) -> Self {
        Self::Upstream(Box::new(upstream))
    }
}

impl From<VerifyError> for Error {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Mismatch(mismatch) => Self::HashMismatch {
                mismatch,
                web_page: None,
            },
            other => Self::NotMeasured(other.to_string()),
        }
    }
}

impl From<ArtifactError> for Error {
    /// A body that broke off is the transport's failure, however deep in an unpacker it surfaced.
    fn from(error: ArtifactError) -> Self {
        match error {
            ArtifactError::Upstream { source } => match source.downcast::<TransportError>() {
                Ok(transport) => Self::Transport(*transport),
                Err(source) => Self::Artifact(ArtifactError::Upstream { source }),
            },
            other => Self::Artifact(other),
        }
    }
}

impl Error {
    /// The kind of failure.
    pub fn category(&self) -> Category {
        match self {
            Self::Module(failure) => match failure {
                FetchFailure::UnknownFetcher(_) => Category::Usage,
                FetchFailure::Reported(reported) => match reported.kind {
                    ErrorKind::BadParams => Category::Usage,
                    _ => Category::Fetch,
                },
                FetchFailure::Denied(denial) => denied(denial),
                FetchFailure::Transport(error) => transport(error),
                FetchFailure::Signing(error) => match error.kind {
                    SigningErrorKind::Denied => Category::Denied,
                    SigningErrorKind::Key | SigningErrorKind::Unsupported => Category::Usage,
                    SigningErrorKind::Memo => Category::Memo,
                },
                FetchFailure::Input(_) => Category::Usage,
                FetchFailure::Misbehaved(_) | FetchFailure::Host(_) => Category::Module,
            },
            Self::Disagreed(disagreement) => disagreement.category,
            Self::Plan(_) => Category::Module,
            Self::Transport(error) => transport(error),
            Self::Upstream(_) | Self::WebPage(_) => Category::Fetch,
            Self::Artifact(error) => match error {
                ArtifactError::Limit { .. } => Category::Module,
                ArtifactError::Temp { .. } => Category::Usage,
                ArtifactError::Worker { .. } => Category::Internal,
                _ => Category::Fetch,
            },
            Self::NotMeasured(_) | Self::Thread(_) => Category::Internal,
            Self::TreeIsNotFlat | Self::ExecutableTree => Category::Usage,
            Self::HashMismatch { .. } => Category::HashMismatch,
            Self::Sink(error) if error.is_configuration() => Category::Usage,
            Self::Commit {
                is_configuration: true,
                ..
            } => Category::Usage,
            Self::Sink(_) | Self::Commit { .. } | Self::Damaged { .. } => Category::Sink,
        }
    }

    /// A word for programs, stable across versions.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Upstream(upstream) | Self::WebPage(upstream) => upstream.problem.kind(),
            Self::Module(FetchFailure::Reported(reported)) => reported.kind.as_str(),
            Self::Module(FetchFailure::Signing(error)) => match error.kind {
                SigningErrorKind::Denied => "denied",
                SigningErrorKind::Key => "key",
                SigningErrorKind::Unsupported => "unsupported",
                SigningErrorKind::Memo => "memo",
            },
            Self::Artifact(ArtifactError::Temp { .. }) => "temporary-files",
            Self::Artifact(_) if self.category() == Category::Fetch => "content",
            _ => match self.category() {
                Category::Fetch => "network",
                Category::Usage => "usage",
                Category::Denied => "denied",
                Category::HashMismatch => "hash-mismatch",
                Category::Module => "module",
                Category::Sink => "sink",
                Category::Memo => "memo",
                Category::Internal => "internal",
            },
        }
    }

    /// What to do next.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Module(FetchFailure::Denied(denial)) => denial.hint(),
            Self::Module(FetchFailure::Transport(error)) => error.hint(),
            Self::Module(failure) => failure.hint(),
            Self::Transport(error) => error.hint(),
            Self::Upstream(upstream) => upstream.hint(),
            Self::WebPage(upstream) => {
                let otherwise = "if a web page is what you want, say so with a name that ends in `.html`: `--name page.html`";
                Some(match upstream.hint() {
                    Some(hint) if hint.contains('\n') => format!("{hint}\n\n{otherwise}"),
                    Some(hint) => format!("{hint}; {otherwise}"),
                    None => otherwise.to_owned(),
                })
            }
            Self::Artifact(error) | Self::Plan(error) => error.hint(),
            Self::TreeIsNotFlat => Some(format!("use `--mode {}`", OutputMode::Nar)),
            Self::ExecutableTree => Some("leave out `--executable`".to_owned()),
            Self::HashMismatch {
                web_page: Some(page),
                ..
            } => Some(format!(
                "do not declare the hash that was got: {page}{}",
                page.hint()
                    .map(|hint| format!("\n\n{hint}"))
                    .unwrap_or_default()
            )),
            Self::HashMismatch {
                mismatch,
                web_page: None,
            } => Some(mismatch_hint(mismatch)),
            Self::Sink(error) => error.hint(),
            Self::Damaged { holder, .. } => Some(
                match holder.as_ref() {
                    Destination::Store(_) => {
                        "`nix-store --verify --check-contents --repair` repairs a store"
                    }
                    _ => "`--refetch` fetches it again, for all destinations",
                }
                .to_owned(),
            ),
            Self::Disagreed(disagreement) => disagreement.hint.clone(),
            Self::Commit { hint, .. } => hint.clone(),
            Self::NotMeasured(_) | Self::Thread(_) => None,
        }
    }
}

fn mismatch_hint(mismatch: &HashMismatch) -> String {
    if mismatch.is_of_other_mode {
        let (declared, other) = match mismatch.mode {
            OutputMode::Flat => ("the NAR", OutputMode::Nar),
            OutputMode::Nar => ("the file", OutputMode::Flat),
        };
        return format!(
            "the declared hash is that of {declared}, and the mode is `{}`: declare the hash that was got, or use `--mode {other}`",
            mismatch.mode
        );
    }
    let over = match mismatch.mode {
        // The hash of the file's bytes is not computed for an output that is known by its NAR.
        OutputMode::Nar if mismatch.is_file => {
            "; both hashes are over the NAR (the mode is `nar`): if the declared one is over the file's bytes, use `--mode flat`"
        }
        OutputMode::Nar | OutputMode::Flat => "",
    };
    format!(
        "if the new content is what you want, declare the hash that was got; \
         otherwise the content changed upstream{over}"
    )
}

/// What a module says is marked as such: it must not sound like the host.
fn told(failure: &FetchFailure) -> String {
    match failure {
        FetchFailure::Reported(reported) => format!("the fetcher reports: {reported}"),
        other => other.to_string(),
    }
}

/// A required credential that nobody bound is a matter of usage, not of permission.
fn denied(denial: &Denial) -> Category {
    match denial.kind() {
        DenialKind::Credential => Category::Usage,
        _ => Category::Denied,
    }
}

fn transport(error: &TransportError) -> Category {
    if let TransportError::Denied(denial) = error {
        return denied(denial);
    }
    match error.category() {
        TransportCategory::Denied => Category::Denied,
        TransportCategory::Credential => Category::Usage,
        TransportCategory::Module => Category::Module,
        TransportCategory::Network => Category::Fetch,
    }
}

#[cfg(test)]
mod tests {
    use fetchhost_engine::{InputError, SigningError};

    use super::*;

    #[test]
    fn why_nothing_was_signed_has_a_category_a_word_and_a_hint() {
        for (kind, category, word) in [
            (SigningErrorKind::Denied, Category::Denied, "denied"),
            (SigningErrorKind::Key, Category::Usage, "key"),
            (
                SigningErrorKind::Unsupported,
                Category::Usage,
                "unsupported",
            ),
            (SigningErrorKind::Memo, Category::Memo, "memo"),
        ] {
            let error = Error::from(FetchFailure::Signing(SigningError {
                kind,
                message: "what happened".to_owned(),
                hint: Some("what to do".to_owned()),
            }));
            assert_eq!((error.category(), error.kind()), (category, word));
            assert_eq!(error.to_string(), "what happened");
            assert_eq!(error.hint().as_deref(), Some("what to do"));
        }
    }

    #[test]
    fn an_input_that_was_not_given_is_a_matter_of_usage() {
        let missing = InputError::NotGiven("content".parse().unwrap());
        let error = Error::from(FetchFailure::Input(missing));
        assert_eq!((error.category(), error.kind()), (Category::Usage, "usage"));
        assert_eq!(error.to_string(), "input `content` was not given");
        assert_eq!(error.hint().as_deref(), Some("add `--input content=PATH`"));
    }
}
