//! Signatures of ECDSA: two numbers, in DER as `openssl` has them, side by side as tokens give them.

use pkcs8::der::{Decode, Reader, SliceReader, asn1::UintRef};

use crate::wire::without_zeros;

/// Both numbers side by side as `ECDSA-Sig-Value` (RFC 3279, section 2.2.3). `None` unless they have the size of
/// P-256's.
pub(crate) fn from_fixed(pair: &[u8]) -> Option<Vec<u8>> {
    let pair: &[u8; 64] = pair.try_into().ok()?;
    let (r, s) = pair.split_at(32);
    let body = [integer(r)?, integer(s)?].concat();
    Some([&[0x30, u8::try_from(body.len()).ok()?], body.as_slice()].concat())
}

fn integer(number: &[u8]) -> Option<Vec<u8>> {
    let number = without_zeros(number);
    let sign: &[u8] = if number.first()? & 0x80 == 0 {
        &[]
    } else {
        &[0]
    };
    let length = u8::try_from(sign.len() + number.len()).ok()?;
    Some([&[0x02, length], sign, number].concat())
}

/// The two numbers in DER, without zeros before.
pub(crate) fn to_pair(der: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut reader = SliceReader::new(der).ok()?;
    let (r, s) = reader
        .sequence(|reader| Ok((UintRef::decode(reader)?, UintRef::decode(reader)?)))
        .ok()?;
    let pair = (r.as_bytes().to_vec(), s.as_bytes().to_vec());
    reader.finish(pair).ok()
}

/// The two numbers, each from its most significant byte on, in DER.
pub(crate) fn from_pair(r: &[u8], s: &[u8]) -> Option<Vec<u8>> {
    let mut pair = [0; 64];
    for (half, number) in pair.chunks_exact_mut(32).zip([r, s]) {
        let number = without_zeros(number);
        let start = 32_usize.checked_sub(number.len())?;
        half[start..].copy_from_slice(number);
    }
    from_fixed(&pair)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_and_large_numbers_come_back() {
        for (r, s) in [(vec![1], vec![0xff; 32]), (vec![0x80, 1], vec![0x7f; 31])] {
            let der = from_pair(&r, &s).unwrap();
            assert_eq!(to_pair(&der), Some((r, s)));
        }
        assert_eq!(from_pair(&[1; 33], &[1]), None);
        assert_eq!(from_fixed(&[0; 64]), None);
        assert_eq!(from_fixed(&[1; 63]), None);
        assert_eq!(to_pair(b"\x30\x03\x02\x01"), None);
    }
}
