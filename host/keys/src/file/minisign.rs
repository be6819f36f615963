//! minisign's secret key files, as <https://jedisct1.github.io/minisign/#secret-key-format> describes them:
//!
//! ```text
//! untrusted comment: <any text>
//! base64("Ed" ‖ derivation ‖ "B2" ‖ salt (32) ‖ operations (8) ‖ memory (8)
//!        ‖ key id (8) ‖ seed (32) ‖ public key (32) ‖ checksum (32))
//! ```
//!
//! The derivation is `Sc` (scrypt) or two zeros. With the former all from the key id on is encrypted by
//! exclusive or with what scrypt gives, and the checksum is BLAKE2b-256 of `Ed`, key id, seed and public key.

use blake2::{Blake2b, digest::consts::U32};
use ed25519_dalek::SigningKey;
use scrypt::Params;
use sha2::Digest as _;
use zeroize::Zeroizing;

use super::{AskPassphrase, MAX_DERIVATION_BYTES};
use crate::{
    PublicKey, armor,
    error::ContentProblem,
    key::{Kind, Material, Unlocked},
};

/// How such a file begins.
pub(super) const COMMENT: &[u8] = b"untrusted comment:";

/// What is encrypted.
const SEALED_BYTES: usize = 8 + 64 + 32;

/// All that the base64 stands for.
const BYTES: usize = 6 + 32 + 8 + 8 + SEALED_BYTES;

/// The most work: operations as libsodium counts them, 2^25 being what minisign asks for.
const MAX_OPERATIONS: u64 = 1 << 28;

pub(super) fn unlock(
    content: &[u8],
    passphrase: &AskPassphrase<'_>,
) -> Result<Unlocked, ContentProblem> {
    let mut lines = content.split(|byte| *byte == b'\n').skip(1);
    let line = lines.next().unwrap_or_default().trim_ascii();
    let bytes = armor::base64(line).ok_or(ContentProblem::Damaged)?;
    if bytes.len() != BYTES {
        // Of the size of a public key, or of another version.
        return Err(ContentProblem::Unrecognised);
    }
    let (head, sealed) = bytes.split_at(BYTES - SEALED_BYTES);
    if &head[..2] != b"Ed" || &head[4..6] != b"B2" {
        return Err(ContentProblem::Unrecognised);
    }
    let mut opened = Zeroizing::new([0; SEALED_BYTES]);
    opened.copy_from_slice(sealed);
    let is_sealed = match &head[2..4] {
        b"Sc" => true,
        [0, 0] => false,
        other => return Err(ContentProblem::Cipher(crate::public::printable(other))),
    };
    if is_sealed {
        let params = params(number(head, 38)?, number(head, 46)?)?;
        let passphrase = passphrase()?;
        let mut stream = Zeroizing::new([0; SEALED_BYTES]);
        scrypt::scrypt(
            passphrase.expose().as_bytes(),
            &head[6..38],
            &params,
            stream.as_mut_slice(),
        )
        .map_err(|_| ContentProblem::Damaged)?;
        for (byte, mask) in opened.iter_mut().zip(stream.iter()) {
            *byte ^= mask;
        }
        let (signed, checksum) = opened.split_at(8 + 64);
        let expected = Blake2b::<U32>::new()
            .chain_update(b"Ed")
            .chain_update(signed)
            .finalize();
        if expected.as_slice() != checksum {
            return Err(ContentProblem::WrongPassphrase);
        }
    }
    let mut pair = Zeroizing::new([0; 64]);
    pair.copy_from_slice(&opened[8..72]);
    // Refuses halves that do not belong together.
    let key = SigningKey::from_keypair_bytes(&pair).map_err(|_| ContentProblem::Damaged)?;
    let mut public = PublicKey::ed25519(key.verifying_key().as_bytes())?;
    public.minisign_id = opened[..8].try_into().ok();
    Ok(Unlocked {
        kind: Kind::Minisign,
        material: Material::Ed25519(key),
        public,
    })
}

fn number(head: &[u8], at: usize) -> Result<u64, ContentProblem> {
    let bytes = head.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
    bytes.map(u64::from_le_bytes).ok_or(ContentProblem::Damaged)
}

/// scrypt's parameters for libsodium's limits of operations and memory (its `pickparams`).
fn params(operations: u64, memory: u64) -> Result<Params, ContentProblem> {
    const R: u32 = 8;
    let r = u64::from(R);
    let operations = operations.max(32_768);
    if operations > MAX_OPERATIONS || memory > MAX_DERIVATION_BYTES {
        return Err(ContentProblem::TooMuchWork);
    }
    // The smallest power, from 2^1 on, that is more than half.
    let power = |most: u64| (1..63_u8).find(|log| 1 << log > most / 2).unwrap_or(63);
    let (log_n, p) = if operations < memory / 32 {
        (power(operations / (r * 4)), 1)
    } else {
        let log_n = power(memory / (r * 128));
        let rp = (operations / 4) >> log_n;
        (log_n, rp.min(0x3fff_ffff) / r)
    };
    let p = u32::try_from(p).map_err(|_| ContentProblem::Damaged)?;
    Params::new(log_n, R, p, Params::RECOMMENDED_LEN).map_err(|_| ContentProblem::Damaged)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_become_parameters_as_libsodium_picks_them() {
        // libsodium's three constants, and what its documentation and pickparams make of them.
        for (operations, memory, n, p) in [
            (524_288, 16_777_216, 14, 1),
            (33_554_432, 1_073_741_824, 20, 1),
            (4_194_304, 16_777_216, 14, 8),
            (1, 1_073_741_824, 10, 1),
        ] {
            let params = params(operations, memory).unwrap();
            assert_eq!((params.log_n(), params.r(), params.p()), (n, 8, p));
        }
        assert!(matches!(
            params(u64::MAX, 1 << 20),
            Err(ContentProblem::TooMuchWork)
        ));
        assert!(matches!(
            params(1 << 25, u64::MAX),
            Err(ContentProblem::TooMuchWork)
        ));
        // No division by nothing.
        let _ = params(0, 0);
    }
}
