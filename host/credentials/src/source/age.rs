//! `age:PATH`: a file that age encrypted, armored or binary.

use std::{
    io::{BufReader, Read},
    iter,
    path::Path,
};

use age::{DecryptError, Decryptor, armor::ArmoredReader, scrypt};
use fetchhost_policy::{CredentialSpec, printable};
use secrecy::SecretString;
use zeroize::Zeroizing;

use super::{
    Looked, MAX_BYTES, Surroundings,
    file::{self, Trust, read_file},
    refuse_file,
};
use crate::{AgeProblem, CredentialError, FileKind, Identities, IdentityError, identity_path};

/// A token, the recipients of a large team, and armor around them.
const MAX_SEALED_BYTES: usize = 1024 * 1024;

/// Work that a passphrase is worth: 2^20 rounds are 1 GiB of memory and some seconds. age itself
/// writes 2^18.
const MAX_WORK_FACTOR: u8 = 20;

/// The decrypted content, up to one byte more than [`MAX_BYTES`].
pub(super) fn read(
    spec: &CredentialSpec,
    path: &Path,
    surroundings: &Surroundings,
) -> Result<Zeroizing<Vec<u8>>, CredentialError> {
    let refuse = |problem| refuse(spec, path, problem);
    let sealed = sealed(spec, path, surroundings)?;
    let decryptor = decryptor(&sealed).map_err(refuse)?;
    if decryptor.is_scrypt() {
        let question = format!("Passphrase of {}: ", printable(&path.to_string_lossy()));
        let passphrase = (surroundings.ask)(&question, &surroundings.cancel)
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
    let identities = identities(spec, surroundings)?;
    open(decryptor, &identities).and_then(whole).map_err(refuse)
}

/// Whether the file can be decrypted, as far as that shows without a passphrase. Its content is not.
pub(super) fn look(
    spec: &CredentialSpec,
    path: &Path,
    surroundings: &Surroundings,
) -> Result<Looked, CredentialError> {
    let refuse = |problem| refuse(spec, path, problem);
    let looked = file::look(path, Trust::Sealed, surroundings.user())
        .map_err(|error| refuse_file(spec, error, FileKind::Age))?;
    if looked == Looked::Unknown {
        return Ok(looked);
    }
    let sealed = sealed(spec, path, surroundings)?;
    let decryptor = decryptor(&sealed).map_err(refuse)?;
    if decryptor.is_scrypt() {
        return Ok(Looked::Unknown);
    }
    let identities = identities(spec, surroundings)?;
    open(decryptor, &identities).map_err(refuse)?;
    Ok(Looked::Ready)
}

fn refuse(spec: &CredentialSpec, path: &Path, problem: AgeProblem) -> CredentialError {
    CredentialError::Age {
        credential: spec.name.clone(),
        path: path.to_owned(),
        problem,
    }
}

fn sealed(
    spec: &CredentialSpec,
    path: &Path,
    surroundings: &Surroundings,
) -> Result<Zeroizing<Vec<u8>>, CredentialError> {
    read_file(path, Trust::Sealed, surroundings.user(), MAX_SEALED_BYTES)
        .map_err(|error| refuse_file(spec, error, FileKind::Age))
}

fn decryptor(sealed: &[u8]) -> Result<Decryptor<ArmoredReader<BufReader<&[u8]>>>, AgeProblem> {
    Decryptor::new_buffered(ArmoredReader::new(sealed)).map_err(|_| AgeProblem::Damaged)
}

fn identities(
    spec: &CredentialSpec,
    surroundings: &Surroundings,
) -> Result<Identities, CredentialError> {
    identity_path(&*surroundings.environment)
        .ok_or(IdentityError::NoHome)
        .and_then(|place| Identities::load(&place))
        .map_err(|error| CredentialError::Identity {
            credential: spec.name.clone(),
            error,
        })
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
