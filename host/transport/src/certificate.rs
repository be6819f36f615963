//! Client certificates: credentials of a connection.
//!
//! **The threat.** The certificate names the user to whoever asks for it while TLS is set up. Shown to
//! another server, or on a connection that requests to others share, it says who he is where he did
//! not mean to; and its key can be read by others, or was put there by them.
//!
//! **The rule.** A certificate is shown on connections for exactly the origins that it was configured
//! for, when the permit says so; such connections form a pool of their own. Its key must belong to the
//! user or root and be open to nobody else. It is never shown to a proxy.
//!
//! | connection | certificate |
//! |---|---|
//! | to one of its origins, with a permit that carries it | shown |
//! | to the same after a change of origin, or outside of its grant | not shown, another pool |
//! | to any other origin | not shown, another pool |
//! | through an `http://` proxy, inside of the tunnel | shown to the origin |
//! | through an `https://` proxy | refused: TLS with the proxy would offer it there as well |

use std::{
    fs::File,
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use fetchhost_policy::ClientCertificate;
use reqwest::Identity;

use crate::{failure, setup::SetupError};

/// No certificate chain or key is larger.
const MAX_BYTES: u64 = 1024 * 1024;

/// Permission bits that let anybody but the owner at the key.
const OTHERS: u32 = 0o077;

/// What is wrong with the files of a client certificate. No message quotes them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateProblem {
    /// A file cannot be read.
    #[error("cannot read `{}`: {error}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The key belongs to somebody who is neither the user nor root.
    #[error("`{}` belongs to uid {owner}, who is neither you nor root", .path.display())]
    Owner {
        /// The file.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// Others may read or write the key.
    #[error("`{}` is open to others (mode {mode:04o})", .path.display())]
    Permissions {
        /// The file.
        path: PathBuf,
        /// The permission bits found.
        mode: u32,
    },
    /// Not certificate and key in PEM, or not belonging together.
    #[error("`{}` and `{}` are no certificate with its key: {reason}", .certificate.display(), .key.display())]
    Unusable {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What TLS said.
        reason: String,
    },
}

impl CertificateProblem {
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Permissions { path, .. } => Some(format!("run `chmod 600 {}`", path.display())),
            Self::Owner { path, .. } => Some(format!(
                "whoever owns the key can use it and replace it: copy it to a file of yours, or `chown` `{}`",
                path.display()
            )),
            Self::Unusable { .. } => Some(String::from(
                "both are PEM files; a key that is encrypted with a passphrase cannot be used",
            )),
            Self::Unreadable { .. } => None,
        }
    }
}

/// What TLS shows of itself, read from the files of `spec`.
pub(crate) fn identity(spec: &ClientCertificate) -> Result<Identity, SetupError> {
    let failed = |problem| SetupError::Certificate {
        name: spec.name.clone(),
        problem,
    };
    let mut pem = read(&spec.certificate, false).map_err(failed)?;
    pem.push(b'\n');
    // The HTTP client keeps its own copy for as long as its connections; ours is not worth wiping.
    pem.extend(read(&spec.key, true).map_err(failed)?);
    Identity::from_pem(&pem).map_err(|error| failed(unusable(spec, &error)))
}

/// A problem that only TLS notices.
pub(crate) fn unusable(spec: &ClientCertificate, error: &reqwest::Error) -> CertificateProblem {
    CertificateProblem::Unusable {
        certificate: spec.certificate.clone(),
        key: spec.key.clone(),
        reason: failure::describe(error),
    }
}

fn read(path: &Path, is_private: bool) -> Result<Vec<u8>, CertificateProblem> {
    let unreadable = |error| CertificateProblem::Unreadable {
        path: path.to_owned(),
        error,
    };
    let file = File::open(path).map_err(unreadable)?;
    // Of the opened file, so that it cannot be exchanged between the check and the reading.
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(unreadable(io::Error::other("it is not a file")));
    }
    if is_private {
        let owner = metadata.uid();
        if owner != 0 && owner != rustix::process::geteuid().as_raw() {
            let path = path.to_owned();
            return Err(CertificateProblem::Owner { path, owner });
        }
        let mode = metadata.mode() & 0o7777;
        if mode & OTHERS != 0 {
            let path = path.to_owned();
            return Err(CertificateProblem::Permissions { path, mode });
        }
    }
    let mut content = Vec::new();
    file.take(MAX_BYTES)
        .read_to_end(&mut content)
        .map_err(unreadable)?;
    Ok(content)
}
