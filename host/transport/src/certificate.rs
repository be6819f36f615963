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
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use fetchhost_credentials::{FileError, check_private, leave_no_core_file};
use fetchhost_policy::ClientCertificate;
use reqwest::Identity;
use rustix::fs::OFlags;
use zeroize::Zeroizing;

use crate::{failure, setup::SetupError};

/// No certificate chain or key is larger.
const MAX_BYTES: u64 = 1024 * 1024;

/// What is wrong with the files of a client certificate. No message quotes them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateProblem {
    /// A file cannot be read, or the key is not the user's alone.
    #[error(transparent)]
    File(#[from] FileError),
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
            Self::File(error) => error.hint(false),
            Self::Unusable { .. } => Some(String::from(
                "both are PEM files; a key that is encrypted with a passphrase cannot be used",
            )),
        }
    }
}

/// Whether the files of `spec` are there, the user's own, and a certificate with its key. Contacts
/// nobody.
///
/// # Errors
/// [`SetupError::Certificate`], as a connection that needs it would.
pub fn check_certificate(spec: &ClientCertificate) -> Result<(), SetupError> {
    identity(spec).map(drop)
}

/// What TLS shows of itself, read from the files of `spec`.
pub(crate) fn identity(spec: &ClientCertificate) -> Result<Identity, SetupError> {
    let failed = |problem| SetupError::Certificate {
        name: spec.name.clone(),
        problem,
    };
    leave_no_core_file();
    let read = |path, is_private| read(path, is_private).map_err(|error| failed(error.into()));
    let certificate = read(&spec.certificate, false)?;
    let key = read(&spec.key, true)?;
    // In one piece, so that no copy of the key is left behind where it grew. The HTTP client keeps
    // one of its own for as long as its connections.
    let mut pem = Zeroizing::new(Vec::with_capacity(certificate.len() + 1 + key.len()));
    pem.extend_from_slice(&certificate);
    pem.push(b'\n');
    pem.extend_from_slice(&key);
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

fn read(path: &Path, is_private: bool) -> Result<Zeroizing<Vec<u8>>, FileError> {
    let unreadable = |error| FileError::Unreadable {
        path: path.to_owned(),
        error,
    };
    // A pipe would wait for somebody to write into it.
    let file = File::options()
        .read(true)
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
        .open(path)
        .map_err(unreadable)?;
    // Of the opened file, so that it cannot be exchanged between the check and the reading.
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(FileError::NotAFile {
            path: path.to_owned(),
        });
    }
    if is_private {
        check_private(path, &metadata)?;
    }
    let most = MAX_BYTES.min(metadata.len()) + 1;
    let mut content = Zeroizing::new(Vec::with_capacity(
        usize::try_from(most).unwrap_or_default(),
    ));
    file.take(MAX_BYTES + 1)
        .read_to_end(&mut content)
        .map_err(unreadable)?;
    if content.len() as u64 > MAX_BYTES {
        return Err(unreadable(io::Error::other("it is larger than 1 MiB")));
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_reads_a_key_leaves_no_core_file() {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let maximum = getrlimit(Resource::Core).maximum;
        let most = Rlimit {
            current: maximum,
            maximum,
        };
        setrlimit(Resource::Core, most).unwrap();
        let missing = ClientCertificate {
            name: "corp".parse().unwrap(),
            certificate: "missing.pem".into(),
            key: "missing.key".into(),
            origins: Vec::new(),
        };
        assert!(identity(&missing).is_err());
        assert_eq!(getrlimit(Resource::Core).current, Some(0));
    }

    #[test]
    fn what_is_no_file_or_too_long_is_refused_and_nobody_waits_for_a_pipe() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        rustix::fs::mkfifoat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::Mode::from_raw_mode(0o600),
        )
        .unwrap();
        let long = folder.path().join("long");
        std::fs::write(&long, vec![b'x'; 1024 * 1024 + 1]).unwrap();
        for (path, told) in [
            (pipe, "not a file"),
            (folder.path().to_owned(), "not a file"),
            (long, "larger than 1 MiB"),
        ] {
            let problem = read(&path, false).unwrap_err().to_string();
            assert!(problem.contains(told), "{problem}");
        }
    }
}
