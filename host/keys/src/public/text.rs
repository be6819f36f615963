//! Public keys as text, in the three forms that people have them in.

use std::str::FromStr;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use pkcs8::{
    ObjectIdentifier,
    der::{Decode, Reader, SliceReader, asn1::UintRef},
    spki::SubjectPublicKeyInfoRef,
};

use super::{Numbers, PublicKey, PublicKeyError};
use crate::{
    armor,
    wire::{self, Short},
};

pub(crate) const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
pub(crate) const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
pub(crate) const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
pub(crate) const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// The longest key that is read, as text.
const MAX_TEXT_BYTES: usize = 16 * 1024;

impl FromStr for PublicKey {
    type Err = PublicKeyError;

    /// Reads minisign's `.pub` file or its one line of base64, a line as in an `id_….pub`, or PEM.
    fn from_str(text: &str) -> Result<Self, PublicKeyError> {
        if text.len() > MAX_TEXT_BYTES {
            return Err(PublicKeyError::Unrecognised);
        }
        if armor::label(text.as_bytes()).is_some() {
            let der = armor::decode(text.as_bytes(), "PUBLIC KEY");
            return Self::from_spki(&der.ok_or(PublicKeyError::Unrecognised)?);
        }
        let last = text.lines().map(str::trim).rfind(|line| !line.is_empty());
        let line = last.ok_or(PublicKeyError::Unrecognised)?;
        let mut words = line.split_ascii_whitespace();
        match (words.next(), words.next()) {
            (Some(kind), Some(blob)) => {
                let blob = armor::base64(blob.as_bytes()).ok_or(PublicKeyError::Unrecognised)?;
                let mut reader = wire::Reader::new(&blob);
                if reader.string() != Ok(kind.as_bytes()) {
                    return Err(PublicKeyError::Unrecognised);
                }
                Self::from_ssh(&blob)
            }
            (Some(alone), None) => {
                let bytes = armor::base64(alone.as_bytes()).ok_or(PublicKeyError::Unrecognised)?;
                Self::from_minisign(&bytes)
            }
            _ => Err(PublicKeyError::Unrecognised),
        }
    }
}

impl PublicKey {
    pub(crate) fn from_minisign(bytes: &[u8]) -> Result<Self, PublicKeyError> {
        let bytes: &[u8; 42] = bytes.try_into().map_err(|_| PublicKeyError::Unrecognised)?;
        let (kind, rest) = bytes.split_at(2);
        let (id, key) = rest.split_at(8);
        if kind != b"Ed" {
            return Err(PublicKeyError::Unrecognised);
        }
        let mut key = Self::ed25519(key)?;
        key.minisign_id = id.try_into().ok();
        Ok(key)
    }

    /// A key as SSH writes it in its protocols.
    pub(crate) fn from_ssh(blob: &[u8]) -> Result<Self, PublicKeyError> {
        let damaged = |_: Short| PublicKeyError::Damaged;
        let mut reader = wire::Reader::new(blob);
        let kind = reader.string().map_err(damaged)?;
        let key = match kind {
            b"ssh-ed25519" => Self::ed25519(reader.string().map_err(damaged)?),
            b"ecdsa-sha2-nistp256" => {
                if reader.string() != Ok(b"nistp256") {
                    return Err(PublicKeyError::Damaged);
                }
                Self::p256(reader.string().map_err(damaged)?)
            }
            b"ssh-rsa" => {
                let e = reader.positive().map_err(damaged)?;
                Self::rsa(reader.positive().map_err(damaged)?, e)
            }
            other => Err(PublicKeyError::Unsupported(printable(other))),
        }?;
        if reader.rest().is_empty() {
            Ok(key)
        } else {
            Err(PublicKeyError::Damaged)
        }
    }

    pub(crate) fn from_spki(der: &[u8]) -> Result<Self, PublicKeyError> {
        let info = SubjectPublicKeyInfoRef::from_der(der).map_err(|_| PublicKeyError::Damaged)?;
        let bytes = info
            .subject_public_key
            .as_bytes()
            .ok_or(PublicKeyError::Damaged)?;
        match info.algorithm.oid {
            ED25519 => Self::ed25519(bytes),
            EC => match info.algorithm.parameters_oid() {
                Ok(P256) => Self::p256(bytes),
                Ok(curve) => Err(PublicKeyError::Unsupported(format!("EC {curve}"))),
                Err(_) => Err(PublicKeyError::Unsupported("EC".to_owned())),
            },
            RSA => Self::from_pkcs1(bytes),
            other => Err(PublicKeyError::Unsupported(other.to_string())),
        }
    }

    /// `RSAPublicKey` of RFC 8017.
    pub(crate) fn from_pkcs1(der: &[u8]) -> Result<Self, PublicKeyError> {
        let numbers = SliceReader::new(der).and_then(|mut reader| {
            let numbers = reader
                .sequence(|reader| Ok((UintRef::decode(reader)?, UintRef::decode(reader)?)))?;
            reader.finish(numbers)
        });
        let (n, e) = numbers.map_err(|_| PublicKeyError::Damaged)?;
        Self::rsa(n.as_bytes(), e.as_bytes())
    }

    /// The key as SSH writes it in its protocols.
    #[must_use]
    pub fn ssh_blob(&self) -> Vec<u8> {
        let mut blob = Vec::new();
        wire::put_string(&mut blob, self.algorithm().ssh_name().as_bytes());
        match &self.numbers {
            Numbers::Ed25519(key) => wire::put_string(&mut blob, key.as_bytes()),
            Numbers::P256(point) => {
                wire::put_string(&mut blob, b"nistp256");
                wire::put_string(&mut blob, point);
            }
            Numbers::Rsa { n, e, .. } => {
                wire::put_positive(&mut blob, e);
                wire::put_positive(&mut blob, n);
            }
        }
        blob
    }

    /// The key as a line of OpenSSH's, without a comment.
    #[must_use]
    pub fn to_openssh(&self) -> String {
        format!(
            "{} {}",
            self.algorithm().ssh_name(),
            STANDARD.encode(self.ssh_blob())
        )
    }

    /// The key as PEM, which `openssl` reads.
    #[must_use]
    pub fn to_pem(&self) -> String {
        let encoded = STANDARD.encode(self.spki());
        let mut pem = String::from("-----BEGIN PUBLIC KEY-----\n");
        let mut rest = encoded.as_str();
        while !rest.is_empty() {
            let (line, after) = rest.split_at(rest.len().min(64));
            pem.push_str(line);
            pem.push('\n');
            rest = after;
        }
        pem.push_str("-----END PUBLIC KEY-----\n");
        pem
    }

    /// The key as `minisign -P` takes it; `None` when it is not minisign's.
    #[must_use]
    pub fn to_minisign(&self) -> Option<String> {
        self.minisign_bytes().map(|bytes| STANDARD.encode(bytes))
    }
}

/// The name of an algorithm, which a stranger may have chosen.
pub(crate) fn printable(name: &[u8]) -> String {
    let name = &name[..name.len().min(64)];
    fetchhost_policy::printable(&String::from_utf8_lossy(name)).into_owned()
}
