//! Bodies: bytes in memory, or a big file that exists only while it is sent.

use std::ops::Range;
use std::sync::LazyLock;

use bytes::Bytes;
use sha2::{Digest, Sha256};

/// What a body is made of.
#[derive(Debug, Clone)]
pub enum Content {
    /// Bytes in memory.
    Bytes(Bytes),
    /// So many bytes of [`big_file`].
    Big(u64),
}

impl Content {
    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Big(length) => *length,
        }
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A strong entity tag, with its quotes.
    pub(crate) fn entity_tag(&self) -> String {
        match self {
            Self::Bytes(bytes) => {
                let digest = Sha256::digest(bytes);
                let hex: String = digest[..12]
                    .iter()
                    .map(|byte| format!("{byte:02x}"))
                    .collect();
                format!("\"{hex}\"")
            }
            Self::Big(length) => format!("\"big-{length}\""),
        }
    }

    /// The bytes of `range`, in pieces of at most [`BLOCK_BYTES`]. The range must lie inside.
    pub(crate) fn pieces(&self, range: Range<u64>) -> Box<dyn Iterator<Item = Bytes> + Send> {
        match self {
            Self::Bytes(bytes) => {
                let whole = bytes.slice(range.start as usize..range.end as usize);
                Box::new((!whole.is_empty()).then_some(whole).into_iter())
            }
            Self::Big(_) => Box::new(big_range(range)),
        }
    }
}

impl<T: Into<Bytes>> From<T> for Content {
    fn from(bytes: T) -> Self {
        Self::Bytes(bytes.into())
    }
}

/// The period of [`big_file`], and the largest piece that is sent at once.
const BLOCK_BYTES: u64 = 256 * 1024;

/// One period of the big file: 64 KiB that do not compress and 64 KiB that do, in turn.
static BLOCK: LazyLock<Bytes> = LazyLock::new(|| {
    const STRIPE: usize = 64 * 1024;
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut block = Vec::with_capacity(BLOCK_BYTES as usize);
    while block.len() < BLOCK_BYTES as usize {
        if (block.len() / STRIPE).is_multiple_of(2) {
            // xorshift64: fixed, quick, and random enough to defeat a compressor.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            block.extend_from_slice(&state.to_le_bytes());
        } else {
            block.extend_from_slice(b"nothing ");
        }
    }
    Bytes::from(block)
});

/// The first `length` bytes of the big file that `/public/big/LENGTH` serves, in pieces: the same
/// on every machine, so that a test can hash them without a download.
pub fn big_file(length: u64) -> impl Iterator<Item = Bytes> + Send {
    big_range(0..length)
}

fn big_range(range: Range<u64>) -> impl Iterator<Item = Bytes> + Send {
    let mut at = range.start;
    std::iter::from_fn(move || {
        let offset = at % BLOCK_BYTES;
        let take = (BLOCK_BYTES - offset).min(range.end.checked_sub(at)?);
        at += take;
        (take > 0).then(|| BLOCK.slice(offset as usize..(offset + take) as usize))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_of_the_big_file_is_that_part_of_the_whole() {
        let whole: Vec<u8> = big_file(700_001).flatten().collect();
        assert_eq!(whole.len(), 700_001);
        for range in [0..1, 262_143..262_145, 100_000..700_001, 5..5] {
            let part: Vec<u8> = big_range(range.clone()).flatten().collect();
            assert_eq!(
                part,
                whole[range.start as usize..range.end as usize],
                "{range:?}"
            );
        }
    }
}
