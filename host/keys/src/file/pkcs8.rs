//! Private keys in PKCS#8 (RFC 5958) as PEM, and encrypted ones (PBES2 of RFC 8018).

use aws_lc_rs::{
    rsa::KeyPair as RsaKeyPair,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use ed25519_dalek::SigningKey;
use pkcs8::{
    AlgorithmIdentifierRef, EncryptedPrivateKeyInfo, PrivateKeyInfo,
    der::{
        Decode as _, Reader as _, SliceReader,
        asn1::{OctetStringRef, UintRef},
    },
    pkcs5::{EncryptionScheme, pbes2::Kdf},
};
use zeroize::Zeroizing;

use super::{AskPassphrase, MAX_DERIVATION_BYTES};
use crate::{
    PublicKey, PublicKeyError, armor,
    error::ContentProblem,
    key::{Kind, Material, Unlocked},
    public::{EC, ED25519, P256, RSA},
};

pub(super) const LABEL: &str = "PRIVATE KEY";
pub(super) const ENCRYPTED_LABEL: &str = "ENCRYPTED PRIVATE KEY";

/// The most iterations of PBKDF2. `openssl` does 2048 unless it is told otherwise.
const MAX_ITERATIONS: u32 = 10_000_000;

/// The most that scrypt may run side by side, each as long as the memory allows.
const MAX_PARALLEL: u16 = 16;

pub(super) fn unlock(
    content: &[u8],
    encrypted: bool,
    passphrase: &AskPassphrase<'_>,
) -> Result<Unlocked, ContentProblem> {
    let label = if encrypted { ENCRYPTED_LABEL } else { LABEL };
    let der = armor::decode(content, label).ok_or(ContentProblem::Damaged)?;
    if !encrypted {
        return read(&der);
    }
    let sealed = EncryptedPrivateKeyInfo::from_der(&der).map_err(|_| unknown(&der))?;
    check_work(&sealed.encryption_algorithm)?;
    let passphrase = passphrase()?;
    let opened = sealed
        .decrypt(passphrase.expose())
        .map_err(|error| match error {
            pkcs8::Error::EncryptedPrivateKey(pkcs8::pkcs5::Error::UnsupportedAlgorithm {
                oid,
            }) => ContentProblem::Cipher(oid.to_string()),
            // What a wrong passphrase decrypts to is no key, but for its padding now and then.
            _ => ContentProblem::WrongPassphrase,
        })?;
    read(opened.as_bytes()).map_err(|problem| match problem {
        ContentProblem::Damaged => ContentProblem::WrongPassphrase,
        other => other,
    })
}

/// Tells another way to encrypt from damage: the library knows what it knows.
fn unknown(der: &[u8]) -> ContentProblem {
    let scheme = SliceReader::new(der).and_then(|mut reader| {
        let scheme = reader.sequence(|reader| {
            let scheme = AlgorithmIdentifierRef::decode(reader)?;
            OctetStringRef::decode(reader)?;
            Ok(scheme.oid)
        })?;
        reader.finish(scheme)
    });
    scheme.map_or(ContentProblem::Damaged, |oid| {
        ContentProblem::Cipher(oid.to_string())
    })
}

/// Whether decrypting asks for no more than is sensible.
fn check_work(scheme: &EncryptionScheme<'_>) -> Result<(), ContentProblem> {
    let EncryptionScheme::Pbes2(parameters) = scheme else {
        return Err(ContentProblem::Cipher("PBES1".to_owned()));
    };
    match &parameters.kdf {
        Kdf::Pbkdf2(derivation) if derivation.iteration_count == 0 => Err(ContentProblem::Damaged),
        Kdf::Pbkdf2(derivation) if derivation.iteration_count > MAX_ITERATIONS => {
            Err(ContentProblem::TooMuchWork)
        }
        Kdf::Scrypt(derivation) => {
            let (n, r) = (derivation.cost_parameter, u64::from(derivation.block_size));
            // The library takes the logarithm without asking first.
            if n < 2 || r == 0 || derivation.parallelization == 0 {
                return Err(ContentProblem::Damaged);
            }
            let memory = n.saturating_mul(r).saturating_mul(128);
            if memory > MAX_DERIVATION_BYTES || derivation.parallelization > MAX_PARALLEL {
                return Err(ContentProblem::TooMuchWork);
            }
            Ok(())
        }
        Kdf::Pbkdf2(_) => Ok(()),
        _ => Err(ContentProblem::Cipher("PBES2".to_owned())),
    }
}

fn read(der: &[u8]) -> Result<Unlocked, ContentProblem> {
    let info = PrivateKeyInfo::from_der(der).map_err(|_| ContentProblem::Damaged)?;
    let (material, public) = match info.algorithm.oid {
        ED25519 => {
            // RFC 8410: an octet string in the octet string.
            let bytes = OctetStringRef::from_der(info.private_key)
                .map_err(|_| ContentProblem::Damaged)?
                .as_bytes();
            let mut seed = Zeroizing::new([0; 32]);
            if bytes.len() != seed.len() {
                return Err(ContentProblem::Damaged);
            }
            seed.copy_from_slice(bytes);
            let key = SigningKey::from_bytes(&seed);
            let public = PublicKey::ed25519(key.verifying_key().as_bytes())?;
            if info
                .public_key
                .is_some_and(|told| told != key.verifying_key().as_bytes())
            {
                return Err(ContentProblem::Damaged);
            }
            (Material::Ed25519(key), public)
        }
        EC => {
            match info.algorithm.parameters_oid() {
                Ok(P256) => {}
                Ok(curve) => {
                    return Err(PublicKeyError::Unsupported(format!("EC {curve}")).into());
                }
                Err(_) => return Err(ContentProblem::Damaged),
            }
            let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, der)
                .map_err(|_| ContentProblem::Damaged)?;
            let public = PublicKey::p256(key.public_key().as_ref())?;
            (Material::P256(key), public)
        }
        RSA => {
            // Tells a short key from a damaged one, which the library does not.
            let public = rsa_public(info.private_key)?;
            let key = RsaKeyPair::from_pkcs8(der).map_err(|_| ContentProblem::Damaged)?;
            (Material::Rsa(key), public)
        }
        other => return Err(PublicKeyError::Unsupported(other.to_string()).into()),
    };
    Ok(Unlocked {
        kind: Kind::Pkcs8,
        material,
        public,
    })
}

/// The public half in an `RSAPrivateKey` (RFC 8017, appendix A.1.2): version, modulus, public exponent and the rest.
fn rsa_public(der: &[u8]) -> Result<PublicKey, ContentProblem> {
    let numbers = SliceReader::new(der).and_then(|mut reader| {
        reader.sequence(|reader| {
            let _version = u8::decode(reader)?;
            let numbers = (UintRef::decode(reader)?, UintRef::decode(reader)?);
            let _rest = reader.read_slice(reader.remaining_len())?;
            Ok(numbers)
        })
    });
    let (n, e) = numbers.map_err(|_| ContentProblem::Damaged)?;
    Ok(PublicKey::rsa(n.as_bytes(), e.as_bytes())?)
}
