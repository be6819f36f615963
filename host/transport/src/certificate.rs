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
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use fetchhost_credentials::leave_no_core_file;
use fetchhost_policy::ClientCertificate;
use reqwest::Identity;
use rustix::fs::OFlags;
use zeroize::Zeroizing;

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
    let certificate = read(&spec.certificate, false).map_err(failed)?;
    let key = read(&spec.key, true).map_err(failed)?;
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

fn read(path: &Path, is_private: bool) -> Result<Zeroizing<Vec<u8>>, CertificateProblem> {
    let unreadable = |error| CertificateProblem::Unreadable {
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
        return Err(unreadable(io::Error::other("it is not a file")));
    }
    if is_private {
        let user = rustix::process::geteuid().as_raw();
        check_access(path, metadata.uid(), metadata.mode(), user)?;
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

/// Whether a key of `owner` with this `mode` is safe in the eyes of `user`.
fn check_access(path: &Path, owner: u32, mode: u32, user: u32) -> Result<(), CertificateProblem> {
    let path = path.to_owned();
    if owner != 0 && owner != user {
        return Err(CertificateProblem::Owner { path, owner });
    }
    let mode = mode & 0o7777;
    if mode & OTHERS != 0 {
        return Err(CertificateProblem::Permissions { path, mode });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_belongs_to_the_user_or_root_and_is_open_to_nobody_else() {
        let check = |owner, mode| check_access(Path::new("key.pem"), owner, mode, 1000);
        check(1000, 0o100_600).unwrap();
        check(0, 0o100_400).unwrap();
        let problem = check(1001, 0o100_600).unwrap_err();
        assert!(problem.to_string().contains("uid 1001"), "{problem}");
        assert!(problem.hint().unwrap().contains("`chown` `key.pem`"));
        for mode in [0o640, 0o604, 0o620, 0o601] {
            let problem = check(1000, 0o100_000 | mode).unwrap_err();
            let refused = matches!(problem, CertificateProblem::Permissions { mode: told, .. } if told == mode);
            assert!(refused, "{problem}");
        }
    }

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
