//! minisign's signatures, as <https://jedisct1.github.io/minisign/#signature-format> describes them:
//!
//! ```text
//! untrusted comment: <any text>
//! base64("ED" ‖ key id ‖ signature over BLAKE2b-512(content))
//! trusted comment: <any text>
//! base64(signature over the signature before ‖ the trusted comment)
//! ```

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_dalek::SIGNATURE_LENGTH;
use fetchhost_policy::Use;

use super::{Comment, VerifyError};
use crate::{ContentDigests, PublicKey, SignError, armor, key::Material};

/// Of signatures over the digest. Those over the content itself (`Ed`) are old and not accepted.
const PREHASHED: &[u8; 2] = b"ED";

const UNTRUSTED: &str = "untrusted comment: ";
const TRUSTED: &str = "trusted comment: ";

pub(super) fn make(
    material: &Material,
    public: &PublicKey,
    content: &ContentDigests,
    untrusted: &Comment,
    trusted: &Comment,
) -> Result<Vec<u8>, SignError> {
    let (Material::Ed25519(key), Some(id)) = (material, public.minisign_id) else {
        return Err(SignError::OtherKind(Use::Minisign));
    };
    use ed25519_dalek::Signer as _;
    let signature = key.sign(content.blake2b512()).to_bytes();
    let all = key.sign(&[&signature[..], trusted.as_str().as_bytes()].concat());
    let text = format!(
        "{UNTRUSTED}{}\n{}\n{TRUSTED}{}\n{}\n",
        untrusted.as_str(),
        STANDARD.encode([&PREHASHED[..], &id, &signature].concat()),
        trusted.as_str(),
        STANDARD.encode(all.to_bytes()),
    );
    Ok(text.into_bytes())
}

pub(super) fn verify(
    public: &PublicKey,
    content: &ContentDigests,
    (untrusted, trusted): (&Comment, &Comment),
    text: &[u8],
) -> Result<(), VerifyError> {
    let id = public
        .minisign_id
        .ok_or(VerifyError::OtherKind(Use::Minisign))?;
    let parsed = Parsed::read(text).ok_or(VerifyError::Damaged(Use::Minisign))?;
    if parsed.id != id {
        return Err(VerifyError::OtherKey);
    }
    let all = [&parsed.signature[..], parsed.trusted.as_bytes()].concat();
    if !public.verifies(content.blake2b512(), &parsed.signature)
        || !public.verifies(&all, &parsed.global)
    {
        return Err(VerifyError::Invalid);
    }
    if parsed.untrusted != untrusted.as_str() || parsed.trusted != trusted.as_str() {
        return Err(VerifyError::OtherComment);
    }
    Ok(())
}

/// The four lines.
struct Parsed<'a> {
    untrusted: &'a str,
    id: [u8; 8],
    signature: [u8; SIGNATURE_LENGTH],
    trusted: &'a str,
    global: [u8; SIGNATURE_LENGTH],
}

impl<'a> Parsed<'a> {
    fn read(text: &'a [u8]) -> Option<Self> {
        let text = str::from_utf8(text).ok()?;
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let untrusted = lines.next()?.strip_prefix(UNTRUSTED)?;
        let first = armor::base64(lines.next()?.as_bytes())?;
        let trusted = lines.next()?.strip_prefix(TRUSTED)?;
        let global = armor::base64(lines.next()?.as_bytes())?;
        let rest = first.strip_prefix(PREHASHED)?;
        let (id, signature) = rest.split_first_chunk()?;
        lines.next().is_none().then_some(Self {
            untrusted,
            id: *id,
            signature: signature.try_into().ok()?,
            trusted,
            global: global.as_slice().try_into().ok()?,
        })
    }
}
