//! OpenSSH's private key files, as its PROTOCOL.key describes them.

use std::str::FromStr as _;

use aws_lc_rs::{
    rsa::{KeyPair as RsaKeyPair, KeyPairComponents, PublicKeyComponents},
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair},
};
use ed25519_dalek::SigningKey;
use ssh_key::{Cipher, Kdf};
use zeroize::Zeroizing;

use super::AskPassphrase;
use crate::{
    PublicKey, armor,
    error::ContentProblem,
    key::{Kind, Material, Unlocked},
    public::{Numbers, printable},
    wire::{Reader, Short},
};

pub(super) const LABEL: &str = "OPENSSH PRIVATE KEY";

const MAGIC: &[u8] = b"openssh-key-v1\0";

/// The most rounds of bcrypt. `ssh-keygen` does 16 or 24 unless it is told otherwise; 1000 take some seconds.
const MAX_ROUNDS: u32 = 1000;

impl From<Short> for ContentProblem {
    fn from(_: Short) -> Self {
        Self::Damaged
    }
}

/// The file, as far as it is in clear.
struct Container<'a> {
    cipher: &'a [u8],
    derivation: &'a [u8],
    options: &'a [u8],
    public: PublicKey,
    private: &'a [u8],
    tag: &'a [u8],
}

impl<'a> Container<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, ContentProblem> {
        let bytes = bytes.strip_prefix(MAGIC).ok_or(ContentProblem::Damaged)?;
        let mut reader = Reader::new(bytes);
        let cipher = reader.string()?;
        let derivation = reader.string()?;
        let options = reader.string()?;
        if reader.number()? != 1 {
            return Err(ContentProblem::Damaged);
        }
        Ok(Self {
            cipher,
            derivation,
            options,
            public: PublicKey::from_ssh(reader.string()?)?,
            private: reader.string()?,
            tag: reader.rest(),
        })
    }

    /// The private half, in clear.
    fn open(&self, passphrase: &AskPassphrase<'_>) -> Result<Zeroizing<Vec<u8>>, ContentProblem> {
        let mut private = Zeroizing::new(self.private.to_vec());
        let unknown = || ContentProblem::Cipher(printable(self.cipher));
        let name = str::from_utf8(self.cipher).map_err(|_| unknown())?;
        let cipher = Cipher::from_str(name).map_err(|_| unknown())?;
        if cipher.is_none() && self.derivation == b"none" {
            let whole = self.tag.is_empty();
            return if whole {
                Ok(private)
            } else {
                Err(ContentProblem::Damaged)
            };
        }
        if self.derivation != b"bcrypt" || cipher.is_none() || cipher == Cipher::TDesCbc {
            return Err(unknown());
        }
        let mut options = Reader::new(self.options);
        let salt = options.string()?.to_vec();
        let rounds = options.number()?;
        if rounds > MAX_ROUNDS {
            return Err(ContentProblem::TooMuchWork);
        }
        let block = cipher.block_size();
        if rounds == 0 || salt.is_empty() || block == 0 || !private.len().is_multiple_of(block) {
            return Err(ContentProblem::Damaged);
        }
        let tag = match (cipher.has_tag(), self.tag) {
            (true, tag) => Some(tag.try_into().map_err(|_| ContentProblem::Damaged)?),
            (false, []) => None,
            (false, _) => return Err(ContentProblem::Damaged),
        };
        let passphrase = passphrase()?;
        let wrong = |_| ContentProblem::WrongPassphrase;
        let (key, iv) = Kdf::Bcrypt { salt, rounds }
            .derive_key_and_iv(cipher, passphrase.expose())
            .map_err(wrong)?;
        cipher
            .decrypt(&key, &iv, &mut private, tag)
            .map_err(|_| ContentProblem::WrongPassphrase)?;
        // Two equal numbers tell that the passphrase is right.
        let mut reader = Reader::new(&private);
        if reader.number()? != reader.number()? {
            return Err(ContentProblem::WrongPassphrase);
        }
        Ok(private)
    }
}

pub(super) fn public(content: &[u8]) -> Result<PublicKey, ContentProblem> {
    let bytes = armor::decode(content, LABEL).ok_or(ContentProblem::Damaged)?;
    Container::read(&bytes).map(|container| container.public)
}

pub(super) fn unlock(
    content: &[u8],
    passphrase: &AskPassphrase<'_>,
) -> Result<Unlocked, ContentProblem> {
    let bytes = armor::decode(content, LABEL).ok_or(ContentProblem::Damaged)?;
    let container = Container::read(&bytes)?;
    let private = container.open(passphrase)?;
    let mut reader = Reader::new(&private);
    if reader.number()? != reader.number()? {
        return Err(ContentProblem::Damaged);
    }
    if reader.string()? != container.public.algorithm().ssh_name().as_bytes() {
        return Err(ContentProblem::Damaged);
    }
    let material = match &container.public.numbers {
        Numbers::Ed25519(public) => {
            reader.string()?;
            let mut pair = Zeroizing::new([0; 64]);
            let bytes = reader.string()?;
            if bytes.len() != pair.len() {
                return Err(ContentProblem::Damaged);
            }
            pair.copy_from_slice(bytes);
            let key = SigningKey::from_keypair_bytes(&pair).map_err(|_| ContentProblem::Damaged)?;
            if key.verifying_key() != *public {
                return Err(ContentProblem::Damaged);
            }
            Material::Ed25519(key)
        }
        Numbers::P256(point) => {
            reader.string()?;
            reader.string()?;
            let number = reader.positive()?;
            // As long as the field, whatever zeros it begins with.
            let mut scalar = Zeroizing::new([0; 32]);
            let start = scalar.len().checked_sub(number.len());
            scalar[start.ok_or(ContentProblem::Damaged)?..].copy_from_slice(number);
            EcdsaKeyPair::from_private_key_and_public_key(
                &ECDSA_P256_SHA256_ASN1_SIGNING,
                scalar.as_slice(),
                point,
            )
            .map(Material::P256)
            .map_err(|_| ContentProblem::Damaged)?
        }
        Numbers::Rsa { n, e, .. } => Material::Rsa(rsa(&mut reader, n, e)?),
    };
    Ok(Unlocked {
        kind: Kind::OpenSsh,
        material,
        public: container.public,
    })
}

fn rsa(reader: &mut Reader<'_>, n: &[u8], e: &[u8]) -> Result<RsaKeyPair, ContentProblem> {
    let same = reader.positive()? == n && reader.positive()? == e;
    let d = reader.positive()?;
    let q_inv = reader.positive()?;
    let p = reader.positive()?;
    let q = reader.positive()?;
    if !same || [d, p, q].iter().any(|number| number.len() > n.len()) {
        return Err(ContentProblem::Damaged);
    }
    let d_p = exponent(d, p)?;
    let d_q = exponent(d, q)?;
    // Checks that all of them belong together.
    RsaKeyPair::from_components(&KeyPairComponents {
        public_key: PublicKeyComponents { n, e },
        d,
        p,
        q,
        dP: d_p.as_slice(),
        dQ: d_q.as_slice(),
        qInv: q_inv,
    })
    .map_err(|_| ContentProblem::Damaged)
}

/// `d mod (prime - 1)`, which OpenSSH does not write down.
fn exponent(d: &[u8], prime: &[u8]) -> Result<Zeroizing<Vec<u8>>, ContentProblem> {
    let mut modulus = Zeroizing::new(prime.to_vec());
    match modulus.last_mut() {
        // A prime is odd, so that nothing is borrowed.
        Some(last) if *last & 1 == 1 => *last -= 1,
        _ => return Err(ContentProblem::Damaged),
    }
    if modulus.iter().all(|byte| *byte == 0) {
        return Err(ContentProblem::Damaged);
    }
    Ok(remainder(d, &modulus))
}

/// `number mod modulus` by long division, bit by bit; both from their most significant byte on, and the modulus
/// not zero. It is done once for a key that is read, not for each signature.
fn remainder(number: &[u8], modulus: &[u8]) -> Zeroizing<Vec<u8>> {
    // One byte more than the modulus: twice a remainder may be longer.
    let mut rest = Zeroizing::new(vec![0_u8; modulus.len() + 1]);
    for bit in number
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |place| byte >> place & 1))
    {
        let mut carry = bit;
        for byte in rest.iter_mut().rev() {
            let next = *byte >> 7;
            *byte = *byte << 1 | carry;
            carry = next;
        }
        if rest[0] != 0 || rest[1..] >= *modulus {
            let mut borrow = 0;
            for (byte, less) in rest.iter_mut().rev().zip(modulus.iter().rev().chain([&0])) {
                let difference = i16::from(*byte) - i16::from(*less) - borrow;
                borrow = i16::from(difference < 0);
                *byte = difference.rem_euclid(256) as u8;
            }
        }
    }
    rest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_remainder_is_that_of_division(number: u128, modulus in 1..u64::MAX) {
            let rest = remainder(&number.to_be_bytes(), &modulus.to_be_bytes());
            let mut all = [0; 16];
            all[7..].copy_from_slice(&rest);
            prop_assert_eq!(u128::from_be_bytes(all), number % u128::from(modulus));
        }
    }
}
