//! Bare signatures over the content, as `openssl` makes and verifies them.

use std::cell::{Cell, RefCell};

use ed25519_dalek::{
    SignatureError, SigningKey,
    hazmat::{ExpandedSecretKey, raw_sign_byupdate},
};
use sha2::{Digest as _, Sha512};

use super::{Padding, VerifyError};
use crate::{Algorithm, Content, PublicKey, SignError, danger, key::Material};

pub(super) fn make(
    material: &Material,
    public: &PublicKey,
    content: &Content,
    padding: Padding,
) -> Result<Vec<u8>, SignError> {
    if let Some(danger) = danger::find(content.digests().opening()) {
        return Err(SignError::Danger(danger));
    }
    let signature = material.sign_content(content, padding)?;
    // A token may answer anything. Ed25519 is none's, and would cost a third reading.
    if public.algorithm() != Algorithm::Ed25519
        && !public.verifies_sha256(content.digests().sha256(), padding, &signature)
    {
        return Err(SignError::Failed);
    }
    Ok(signature)
}

pub(super) fn verify(
    public: &PublicKey,
    content: &Content,
    padding: Padding,
    signature: &[u8],
) -> Result<(), VerifyError> {
    let valid = match public.algorithm() {
        Algorithm::Ed25519 => public
            .verifies_stream(content, signature)
            .map_err(VerifyError::Read)?,
        Algorithm::EcdsaP256 | Algorithm::Rsa => {
            public.verifies_sha256(content.digests().sha256(), padding, signature)
        }
    };
    if valid {
        Ok(())
    } else {
        Err(VerifyError::Invalid)
    }
}

/// The signature of Ed25519 over `content`, which is read twice and never held in memory.
///
/// Were the two readings different, the signature would give the key away to whoever chose both: the same secret
/// number would stand in two equations. So each is compared with what the content was, and nothing leaves
/// unless both are that.
pub(crate) fn stream_signature(key: &SigningKey, content: &Content) -> Result<Vec<u8>, SignError> {
    let changed = Cell::new(false);
    let failed = RefCell::new(None);
    let signature = raw_sign_byupdate::<Sha512, _>(
        &ExpandedSecretKey::from(key.as_bytes()),
        |hasher: &mut Sha512| match content.again(|chunk| hasher.update(chunk)) {
            Ok(true) => Ok(()),
            Ok(false) => {
                changed.set(true);
                Err(SignatureError::new())
            }
            Err(error) => {
                failed.replace(Some(error));
                Err(SignatureError::new())
            }
        },
        &key.verifying_key(),
    );
    if let Some(error) = failed.into_inner() {
        return Err(SignError::Read(error));
    }
    if changed.get() {
        return Err(SignError::ContentChanged);
    }
    signature
        .map(|signature| signature.to_bytes().to_vec())
        .map_err(|_| SignError::Failed)
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Cursor, Read},
        sync::atomic::{AtomicUsize, Ordering},
    };

    use ed25519_dalek::Signer as _;

    use super::*;

    fn key() -> SigningKey {
        SigningKey::from_bytes(&[7; 32])
    }

    #[test]
    fn a_streamed_signature_is_the_one_over_the_whole() {
        let bytes = vec![3; 700_000];
        let whole = key().sign(&bytes).to_bytes();
        let streamed = stream_signature(&key(), &Content::of_bytes(bytes)).unwrap();
        assert_eq!(streamed, whole);
    }

    #[test]
    fn a_content_that_changes_between_the_readings_is_not_signed() {
        for changes_at in [1, 2] {
            let reading = AtomicUsize::new(0);
            let content = Content::new(move || {
                let number = reading.fetch_add(1, Ordering::Relaxed);
                let bytes = if number == changes_at { "b" } else { "a" };
                Ok(Box::new(Cursor::new(bytes)) as Box<dyn Read>)
            })
            .unwrap();
            let refused = stream_signature(&key(), &content).unwrap_err();
            assert!(matches!(refused, SignError::ContentChanged), "{refused}");
        }
    }
}
