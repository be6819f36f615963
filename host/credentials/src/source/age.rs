//! `age:PATH`: a file that age encrypted, armored or binary.

use std::{
    io::{self, BufReader, Read},
    iter,
    path::{Path, PathBuf},
};

use age::{DecryptError, Decryptor, armor::ArmoredReader, scrypt};
use fetchhost_policy::{CredentialSpec, printable};
use secrecy::SecretString;
use zeroize::Zeroizing;

use super::{
    Environment, Looked, MAX_BYTES, Surroundings,
    file::{self, FileError, Trust, read_file},
    refuse_file,
};
use crate::{
    AgeProblem, CredentialError, FileKind, Identities, IdentityError, Secret, identity_path,
    leave_no_core_file,
};

/// A token, the recipients of a large team, and armor around them.
const MAX_SEALED_BYTES: usize = 1024 * 1024;

/// Work that a passphrase is worth: 2^20 rounds are 1 GiB of memory and some seconds. age itself
/// writes 2^18.
const MAX_WORK_FACTOR: u8 = 20;

/// Why an age file gives nothing.
#[derive(Debug, thiserror::Error)]
pub enum AgeFileError {
    /// It cannot be read or is not to be trusted.
    #[error("{0}")]
    File(FileError),
    /// It cannot be decrypted.
    #[error("`{}` {problem}", .path.display())]
    Age {
        /// The encrypted file.
        path: PathBuf,
        /// What is wrong.
        problem: AgeProblem,
    },
    /// The identity cannot be had.
    #[error("{0}")]
    Identity(IdentityError),
}

impl AgeFileError {
    fn of(self, spec: &CredentialSpec) -> CredentialError {
        let credential = spec.name.clone();
        match self {
            Self::File(error) => refuse_file(spec, error, FileKind::Age),
            Self::Age { path, problem } => CredentialError::Age {
                credential,
                path,
                problem,
            },
            Self::Identity(error) => CredentialError::Identity { credential, error },
        }
    }
}

/// The decrypted content, up to one byte more than [`MAX_BYTES`].
pub(super) fn read(
    spec: &CredentialSpec,
    path: &Path,
    surroundings: &Surroundings,
) -> Result<Zeroizing<Vec<u8>>, CredentialError> {
    let ask = |question: &str| (surroundings.ask)(question, &surroundings.cancel);
    read_age_file(path, &*surroundings.environment, &ask).map_err(|error| error.of(spec))
}

/// The decrypted content of an age file, up to one byte more than 64 KiB. `environment` says where the
/// user's identities are, `ask` puts a question for a passphrase (`None`: nobody can be asked).
///
/// # Errors
/// [`AgeFileError`].
pub fn read_age_file(
    path: &Path,
    environment: &Environment,
    ask: &dyn Fn(&str) -> io::Result<Option<Secret>>,
) -> Result<Zeroizing<Vec<u8>>, AgeFileError> {
    leave_no_core_file();
    let refuse = |problem| refuse(path, problem);
    let sealed = sealed(path)?;
    let decryptor = decryptor(&sealed).map_err(refuse)?;
    if decryptor.is_scrypt() {
        let question = format!("Passphrase of {}: ", printable(&path.to_string_lossy()));
        let passphrase = ask(&question)
            .map_err(|error| refuse(AgeProblem::NotEntered(error)))?
            .ok_or_else(|| refuse(AgeProblem::NoTerminal))?;
        let mut identity = scrypt::Identity::new(SecretString::from(passphrase.expose()));
        identity.set_max_work_factor(MAX_WORK_FACTOR);
        let content = decryptor.decrypt(iter::once(&identity as &dyn age::Identity));
        return content
            .map_err(|error| match error {
                DecryptError::ExcessiveWork { .. } => AgeProblem::TooMuchWork,
                // age checks the passphrase before anything else of the file.
                DecryptError::DecryptionFailed
                | DecryptError::KeyDecryptionFailed
                | DecryptError::NoMatchingKeys => AgeProblem::WrongPassphrase,
                _ => AgeProblem::Damaged,
            })
            .and_then(whole)
            .map_err(refuse);
    }
    let identities = identities(environment)?;
    open(decryptor, &identities).and_then(whole).map_err(refuse)
}

/// Whether the file can be decrypted, as far as that shows without a passphrase. Its content is not.
pub(super) fn look(
    spec: &CredentialSpec,
    path: &Path,
    surroundings: &Surroundings,
) -> Result<Looked, CredentialError> {
    let looked = file::look(path, Trust::Sealed, surroundings.user())
        .map_err(|error| refuse_file(spec, error, FileKind::Age))?;
    if looked == Looked::Unknown {
        return Ok(looked);
    }
    look_inside(path, &*surroundings.environment).map_err(|error| error.of(spec))
}

fn look_inside(path: &Path, environment: &Environment) -> Result<Looked, AgeFileError> {
    let refuse = |problem| refuse(path, problem);
    let sealed = sealed(path)?;
    let decryptor = decryptor(&sealed).map_err(refuse)?;
    if decryptor.is_scrypt() {
        return Ok(Looked::Unknown);
    }
    let identities = identities(environment)?;
    open(decryptor, &identities).map_err(refuse)?;
    Ok(Looked::Ready)
}

fn refuse(path: &Path, problem: AgeProblem) -> AgeFileError {
    AgeFileError::Age {
        path: path.to_owned(),
        problem,
    }
}

fn sealed(path: &Path) -> Result<Zeroizing<Vec<u8>>, AgeFileError> {
    let user = rustix::process::geteuid().as_raw();
    read_file(path, Trust::Sealed, user, MAX_SEALED_BYTES).map_err(AgeFileError::File)
}

fn decryptor(sealed: &[u8]) -> Result<Decryptor<ArmoredReader<BufReader<&[u8]>>>, AgeProblem> {
    Decryptor::new_buffered(ArmoredReader::new(sealed)).map_err(|_| AgeProblem::Damaged)
}

fn identities(environment: &Environment) -> Result<Identities, AgeFileError> {
    identity_path(environment)
        .ok_or(IdentityError::NoHome)
        .and_then(|place| Identities::load(&place))
        .map_err(AgeFileError::Identity)
}

/// The content, decrypted as it is read.
fn open<'a>(
    decryptor: Decryptor<ArmoredReader<BufReader<&'a [u8]>>>,
    identities: &Identities,
) -> Result<impl Read + 'a, AgeProblem> {
    decryptor
        .decrypt(identities.iter())
        .map_err(|error| match error {
            DecryptError::NoMatchingKeys => AgeProblem::OtherIdentity,
            _ => AgeProblem::Damaged,
        })
}

fn whole(content: impl Read) -> Result<Zeroizing<Vec<u8>>, AgeProblem> {
    // Room for all of it at once: a vector that grows leaves unwiped copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_BYTES + 1));
    content
        .take(MAX_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|_| AgeProblem::Damaged)?;
    Ok(bytes)
}
