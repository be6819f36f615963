//! Private key files, told apart by how they begin.

mod minisign;
mod openssh;
mod pkcs8;

use fetchhost_credentials::Secret;

use crate::{PublicKey, armor, error::ContentProblem, key::Unlocked, public::printable};

/// The largest key file: RSA of 8192 bits in PEM is not half as long.
pub(crate) const MAX_BYTES: usize = 64 * 1024;

/// The most memory, in bytes, that deriving a key from a passphrase may take: what minisign asks for.
const MAX_DERIVATION_BYTES: u64 = 1 << 30;

/// Asks for the passphrase.
pub(crate) type AskPassphrase<'a> = dyn Fn() -> Result<Secret, ContentProblem> + 'a;

/// The key in a file with this `content`, for which `passphrase` is asked if need be.
pub(crate) fn unlock(
    content: &[u8],
    passphrase: &AskPassphrase<'_>,
) -> Result<Unlocked, ContentProblem> {
    match form(content)? {
        Form::OpenSsh => openssh::unlock(content, passphrase),
        Form::Pkcs8 { encrypted } => pkcs8::unlock(content, encrypted, passphrase),
        Form::Minisign => minisign::unlock(content, passphrase),
    }
}

/// The public half of the key in a file with this `content`, if it shows without a passphrase.
pub(crate) fn public(content: &[u8]) -> Result<Option<PublicKey>, ContentProblem> {
    if form(content)? == Form::OpenSsh {
        return openssh::public(content).map(Some);
    }
    // Of no other form is the public half in clear where the private one is not.
    match unlock(content, &|| Err(ContentProblem::NoTerminal)) {
        Ok(unlocked) => Ok(Some(unlocked.public)),
        Err(ContentProblem::NoTerminal) => Ok(None),
        Err(problem) => Err(problem),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    OpenSsh,
    Pkcs8 { encrypted: bool },
    Minisign,
}

fn form(content: &[u8]) -> Result<Form, ContentProblem> {
    if content.len() > MAX_BYTES {
        return Err(ContentProblem::Unrecognised);
    }
    match armor::label(content) {
        Some(openssh::LABEL) => Ok(Form::OpenSsh),
        Some(pkcs8::LABEL) => Ok(Form::Pkcs8 { encrypted: false }),
        Some(pkcs8::ENCRYPTED_LABEL) => Ok(Form::Pkcs8 { encrypted: true }),
        Some(other) if other.ends_with("PRIVATE KEY") => {
            Err(ContentProblem::OldForm(printable(other.as_bytes())))
        }
        Some(_) => Err(ContentProblem::Unrecognised),
        None if content.starts_with(minisign::COMMENT) => Ok(Form::Minisign),
        None => Err(ContentProblem::Unrecognised),
    }
}
