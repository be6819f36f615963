//! What the user set up for connections and what cannot be used of it.

use std::path::PathBuf;

use fetchhost_policy::{CredentialName, EnvironmentProxyError};

use crate::certificate::CertificateProblem;

/// Something of the user's own that no connection can be made with. Nothing has been contacted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// A file of certificate authorities.
    #[error("`{}`, which `{named_by}` names, holds no usable certificate authorities: {reason}", .path.display())]
    Authorities {
        /// The file.
        path: PathBuf,
        /// The environment variable that names it.
        named_by: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// What the environment says of proxies.
    #[error(transparent)]
    Proxy(#[from] EnvironmentProxyError),
    /// A client certificate.
    #[error("client certificate `{name}`: {problem}")]
    Certificate {
        /// Which credential.
        name: CredentialName,
        /// What is wrong with its files.
        problem: CertificateProblem,
    },
}

impl SetupError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Authorities { named_by, .. } => Some(format!(
                "let `{named_by}` name a PEM file of certificates, or unset it to trust the platform's authorities alone"
            )),
            Self::Proxy(error) => Some(format!(
                "correct `{}`, or write `[proxy]` into `config.toml`, which wins",
                error.variable
            )),
            Self::Certificate { problem, .. } => problem.hint(),
        }
    }
}
