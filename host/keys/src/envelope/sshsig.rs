//! SSH's signatures of files, as PROTOCOL.sshsig of OpenSSH describes them. What is signed begins with `SSHSIG`, so
//! that it can be no login.

use fetchhost_policy::Use;
use ssh_key::{
    Algorithm as SshAlgorithm, EcdsaCurve, HashAlg, LineEnding, Signature, SshSig, public::KeyData,
};

use super::{Namespace, VerifyError, der};
use crate::{Algorithm, ContentDigests, PublicKey, SignError, key::Material, wire};

/// What is signed for a content and a namespace. Only this module makes it, and an agent is given nothing else.
pub(crate) struct Signed(Vec<u8>);

impl Signed {
    fn new(content: &ContentDigests, namespace: &Namespace) -> Self {
        let mut bytes = b"SSHSIG".to_vec();
        wire::put_string(&mut bytes, namespace.as_str().as_bytes());
        // Reserved.
        wire::put_string(&mut bytes, b"");
        wire::put_string(&mut bytes, b"sha512");
        wire::put_string(&mut bytes, content.sha512());
        Self(bytes)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

pub(super) fn make(
    material: &Material,
    public: &PublicKey,
    content: &ContentDigests,
    namespace: &Namespace,
) -> Result<Vec<u8>, SignError> {
    let signed = Signed::new(content, namespace);
    let bare = material.sign_sshsig(&signed)?;
    // An agent or a token may answer anything.
    if !public.verifies(signed.as_bytes(), &bare) {
        return Err(SignError::Failed);
    }
    let (algorithm, bytes) = match public.algorithm() {
        Algorithm::Ed25519 => (SshAlgorithm::Ed25519, bare),
        Algorithm::Rsa => (RSA_SHA512, bare),
        Algorithm::EcdsaP256 => {
            let (r, s) = der::to_pair(&bare).ok_or(SignError::Failed)?;
            let mut bytes = Vec::new();
            wire::put_positive(&mut bytes, &r);
            wire::put_positive(&mut bytes, &s);
            (P256, bytes)
        }
    };
    let blob = public.ssh_blob();
    let file = Signature::new(algorithm, bytes)
        .and_then(|signature| {
            let key = ssh_key::PublicKey::from_bytes(&blob)?.key_data().clone();
            SshSig::new(key, namespace.as_str(), HashAlg::Sha512, signature)
        })
        .and_then(|file| file.to_pem(LineEnding::LF));
    file.map(String::into_bytes).map_err(|_| SignError::Failed)
}

pub(super) fn verify(
    public: &PublicKey,
    content: &ContentDigests,
    namespace: &Namespace,
    text: &[u8],
) -> Result<(), VerifyError> {
    let file = SshSig::from_pem(text).map_err(|_| VerifyError::Damaged(Use::Sshsig))?;
    if blob_of(file.public_key()) != Some(public.ssh_blob()) {
        return Err(VerifyError::OtherKey);
    }
    if file.namespace() != namespace.as_str() {
        return Err(VerifyError::OtherNamespace(namespace.clone()));
    }
    let signature = file.signature();
    let bytes = signature.as_bytes();
    let bare = match (public.algorithm(), signature.algorithm()) {
        (Algorithm::Ed25519, SshAlgorithm::Ed25519) | (Algorithm::Rsa, RSA_SHA512) => {
            Some(bytes.to_vec())
        }
        (Algorithm::EcdsaP256, P256) => from_wire(bytes),
        _ => None,
    };
    // We make no others, and what is reserved is not signed over here.
    let ours = file.version() == SshSig::VERSION
        && file.hash_alg() == HashAlg::Sha512
        && file.reserved().is_empty();
    let (true, Some(bare)) = (ours, bare) else {
        return Err(VerifyError::Damaged(Use::Sshsig));
    };
    // A text in front of the armor would be taken along unsigned, and `ssh-keygen` takes none.
    let is_spelt_so = file
        .to_pem(LineEnding::LF)
        .is_ok_and(|own| own.as_bytes() == text);
    if !is_spelt_so {
        return Err(VerifyError::Damaged(Use::Sshsig));
    }
    if public.verifies(Signed::new(content, namespace).as_bytes(), &bare) {
        Ok(())
    } else {
        Err(VerifyError::Invalid)
    }
}

const P256: SshAlgorithm = SshAlgorithm::Ecdsa {
    curve: EcdsaCurve::NistP256,
};

const RSA_SHA512: SshAlgorithm = SshAlgorithm::Rsa {
    hash: Some(HashAlg::Sha512),
};

fn blob_of(key: &KeyData) -> Option<Vec<u8>> {
    ssh_key::PublicKey::new(key.clone(), "").to_bytes().ok()
}

/// A signature of ECDSA as SSH writes it, in DER.
pub(crate) fn from_wire(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut reader = wire::Reader::new(bytes);
    let (r, s) = (reader.positive().ok()?, reader.positive().ok()?);
    reader
        .rest()
        .is_empty()
        .then(|| der::from_pair(r, s))
        .flatten()
}
