//! Keys on tokens, behind PKCS#11 (OASIS, version 2.40 and later). The key never leaves the token; what it signs is a
//! digest that the host computed.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Pkcs11},
    error::{Error, RvError},
    mechanism::{
        Mechanism, MechanismType,
        rsa::{PkcsMgfType, PkcsPssParams},
    },
    object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle},
    session::{Session, UserType},
    slot::Slot,
    types::AuthPin,
};
use fetchhost_credentials::Secret;
use fetchhost_policy::printable;
use pkcs8::der::{Decode as _, Encode as _, asn1::OctetStringRef};
use sha2::{Digest as _, Sha256, Sha512};

use crate::{
    Algorithm, KeyProblem, Padding, PublicKey, TokenProblem,
    envelope::{Signed, from_fixed},
    key::{Kind, Material, Unlocked},
    public::P256,
};

/// `DigestInfo` (RFC 8017, section 9.2) up to the digest, of SHA-256.
const SHA256_INFO: &[u8] = &[
    0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05,
    0x00, 0x04, 0x20,
];

/// The same of SHA-512.
const SHA512_INFO: &[u8] = &[
    0x30, 0x51, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03, 0x05,
    0x00, 0x04, 0x40,
];

/// A key on a token, in a session that is logged in.
pub(crate) struct TokenKey {
    token: String,
    session: Mutex<Session>,
    handle: ObjectHandle,
    algorithm: Algorithm,
}

/// The key `key` on the token `token`. `pin` gives its PIN.
pub(crate) fn open(
    library: &Path,
    token: &str,
    key: &str,
    pin: &dyn Fn() -> Result<Secret, KeyProblem>,
) -> Result<Unlocked, KeyProblem> {
    let (context, slot) = find_token(library, token).map_err(KeyProblem::Token)?;
    let session = context
        .open_ro_session(slot)
        .map_err(|error| KeyProblem::Token(of(token, &error)))?;
    let secret = pin()?;
    let secret = AuthPin::new(secret.expose().into());
    match session.login(UserType::User, Some(&secret)) {
        // Another key of the same token is in use.
        Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {}
        Err(error) => return Err(KeyProblem::Token(of(token, &error))),
    }
    let public = read_public(&session, token, key)?;
    let handle = only(&session, ObjectClass::PRIVATE_KEY, token, key).map_err(KeyProblem::Token)?;
    Ok(Unlocked {
        kind: Kind::Token,
        material: Material::Token(TokenKey {
            token: token.to_owned(),
            session: Mutex::new(session),
            handle,
            algorithm: public.algorithm(),
        }),
        public,
    })
}

/// The public half of that key, which tokens show without a PIN.
pub(crate) fn public(library: &Path, token: &str, key: &str) -> Result<PublicKey, KeyProblem> {
    let (context, slot) = find_token(library, token).map_err(KeyProblem::Token)?;
    let session = context
        .open_ro_session(slot)
        .map_err(|error| KeyProblem::Token(of(token, &error)))?;
    read_public(&session, token, key)
}

impl TokenKey {
    /// The bare signature over what `sshsig` signs: of ECDSA in DER.
    pub(crate) fn sign_sshsig(&self, signed: &Signed) -> Result<Vec<u8>, TokenProblem> {
        match self.algorithm {
            Algorithm::EcdsaP256 => self.ecdsa(&Sha256::digest(signed.as_bytes())),
            Algorithm::Rsa => {
                let info = [SHA512_INFO, &Sha512::digest(signed.as_bytes())].concat();
                self.sign(&Mechanism::RsaPkcs, &info)
            }
            Algorithm::Ed25519 => Err(TokenProblem::Unsupported("Ed25519".to_owned())),
        }
    }

    /// The bare signature over a content with this SHA-256: of ECDSA in DER.
    pub(crate) fn sign_sha256(
        &self,
        sha256: &[u8; 32],
        padding: Padding,
    ) -> Result<Vec<u8>, TokenProblem> {
        match (self.algorithm, padding) {
            (Algorithm::EcdsaP256, _) => self.ecdsa(sha256),
            (Algorithm::Rsa, Padding::Pkcs1) => {
                self.sign(&Mechanism::RsaPkcs, &[SHA256_INFO, sha256].concat())
            }
            (Algorithm::Rsa, Padding::Pss) => {
                let parameters = PkcsPssParams {
                    hash_alg: MechanismType::SHA256,
                    mgf: PkcsMgfType::MGF1_SHA256,
                    s_len: 32.into(),
                };
                self.sign(&Mechanism::RsaPkcsPss(parameters), sha256)
            }
            (Algorithm::Ed25519, _) => Err(TokenProblem::Unsupported("Ed25519".to_owned())),
        }
    }

    fn ecdsa(&self, digest: &[u8]) -> Result<Vec<u8>, TokenProblem> {
        let pair = self.sign(&Mechanism::Ecdsa, digest)?;
        from_fixed(&pair)
            .ok_or_else(|| TokenProblem::Failed("its signature has another length".to_owned()))
    }

    fn sign(&self, mechanism: &Mechanism<'_>, data: &[u8]) -> Result<Vec<u8>, TokenProblem> {
        let session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        session
            .sign(mechanism, self.handle, data)
            .map_err(|error| of(&self.token, &error))
    }
}

/// The library, which a process may start only once, and the one slot with this token.
fn find_token(library: &Path, token: &str) -> Result<(Pkcs11, Slot), TokenProblem> {
    let context = load(library)?;
    let slots = context
        .get_slots_with_token()
        .map_err(|error| of(token, &error))?;
    let mut found = None;
    for slot in slots {
        // What is pulled out meanwhile is not the one.
        let Ok(info) = context.get_token_info(slot) else {
            continue;
        };
        if info.label() == token && found.replace(slot).is_some() {
            return Err(TokenProblem::SeveralTokens(printable(token).into_owned()));
        }
    }
    let slot = found.ok_or_else(|| TokenProblem::NoToken(printable(token).into_owned()))?;
    Ok((context, slot))
}

fn load(library: &Path) -> Result<Pkcs11, TokenProblem> {
    static LOADED: Mutex<Vec<(PathBuf, Pkcs11)>> = Mutex::new(Vec::new());
    let refuse = |why: String| TokenProblem::Library {
        path: library.to_owned(),
        why,
    };
    // Another would be looked for in folders that the environment names.
    if !library.is_absolute() {
        return Err(refuse("its path is not absolute".to_owned()));
    }
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, context)) = loaded.iter().find(|(path, _)| path == library) {
        return Ok(context.clone());
    }
    let context = Pkcs11::new(library).map_err(|error| refuse(error.to_string()))?;
    match context.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
        Err(error) => return Err(refuse(error.to_string())),
    }
    loaded.push((library.to_owned(), context.clone()));
    Ok(context)
}

/// The one object of this class that is called `key`.
fn only(
    session: &Session,
    class: ObjectClass,
    token: &str,
    key: &str,
) -> Result<ObjectHandle, TokenProblem> {
    let template = [
        Attribute::Class(class),
        Attribute::Label(key.as_bytes().to_vec()),
    ];
    let found = session
        .find_objects(&template)
        .map_err(|error| of(token, &error))?;
    let names = || (printable(token).into_owned(), printable(key).into_owned());
    match found.as_slice() {
        [one] => Ok(*one),
        [] => {
            let (token, key) = names();
            Err(TokenProblem::NoKey { token, key })
        }
        _ => {
            let (token, key) = names();
            Err(TokenProblem::SeveralKeys { token, key })
        }
    }
}

fn read_public(session: &Session, token: &str, key: &str) -> Result<PublicKey, KeyProblem> {
    let handle = only(session, ObjectClass::PUBLIC_KEY, token, key).map_err(KeyProblem::Token)?;
    let attributes = session
        .get_attributes(
            handle,
            &[
                AttributeType::KeyType,
                AttributeType::EcParams,
                AttributeType::EcPoint,
                AttributeType::Modulus,
                AttributeType::PublicExponent,
            ],
        )
        .map_err(|error| KeyProblem::Token(of(token, &error)))?;
    let unsupported = || KeyProblem::Token(TokenProblem::Unsupported(printable(key).into_owned()));
    let (mut kind, mut curve, mut point, mut n, mut e) = (None, None, None, None, None);
    for attribute in attributes {
        match attribute {
            Attribute::KeyType(found) => kind = Some(found),
            Attribute::EcParams(found) => curve = Some(found),
            Attribute::EcPoint(found) => point = Some(found),
            Attribute::Modulus(found) => n = Some(found),
            Attribute::PublicExponent(found) => e = Some(found),
            _ => {}
        }
    }
    match kind {
        Some(KeyType::EC) => {
            let p256 = P256.to_der().map_err(|_| unsupported())?;
            let point = point.ok_or_else(unsupported)?;
            if curve.as_ref() != Some(&p256) {
                return Err(unsupported());
            }
            // The standard wraps the point into an octet string; some tokens do not.
            let point = OctetStringRef::from_der(&point).map_or(&*point, |inner| inner.as_bytes());
            PublicKey::p256(point).map_err(KeyProblem::Public)
        }
        Some(KeyType::RSA) => {
            let (n, e) = (n.ok_or_else(unsupported)?, e.ok_or_else(unsupported)?);
            PublicKey::rsa(&n, &e).map_err(KeyProblem::Public)
        }
        _ => Err(unsupported()),
    }
}

/// What the library says of `token`.
fn of(token: &str, error: &Error) -> TokenProblem {
    let token = printable(token).into_owned();
    match error {
        Error::Pkcs11(RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange, _) => {
            TokenProblem::WrongPin(token)
        }
        Error::Pkcs11(RvError::PinLocked, _) => TokenProblem::PinLocked(token),
        Error::Pkcs11(RvError::TokenNotPresent | RvError::DeviceRemoved, _) => {
            TokenProblem::NoToken(token)
        }
        other => TokenProblem::Failed(other.to_string()),
    }
}
