//! The bytes around names and contents.
//!
//! An archive is a sequence of tokens: a length as 64-bit little endian, that many bytes, and zeros
//! up to a multiple of eight. The tokens that never change are laid out at compile time.

use bytes::{BufMut, BytesMut};

/// Tokens are padded to a multiple of this many bytes.
const ALIGNMENT: usize = 8;

/// Bytes of a token's length.
const LENGTH: usize = 8;

/// Opens the archive.
pub(super) const MAGIC: [u8; 24] = tokens(&[b"nix-archive-1"]);
/// A directory, up to its first entry.
pub(super) static DIRECTORY: [u8; 56] = tokens(&[b"(", b"type", b"directory"]);
/// An entry, up to its name.
pub(super) const ENTRY: [u8; 48] = tokens(&[b"entry", b"(", b"name"]);
/// Between an entry's name and its node.
pub(super) const NODE: [u8; 16] = tokens(&[b"node"]);
/// A plain file, up to the length of its contents.
pub(super) const FILE: [u8; 64] = tokens(&[b"(", b"type", b"regular", b"contents"]);
/// An executable file, up to the length of its contents.
pub(super) const EXECUTABLE: [u8; 96] =
    tokens(&[b"(", b"type", b"regular", b"executable", b"", b"contents"]);
/// A symlink, up to its target.
pub(super) const SYMLINK: [u8; 64] = tokens(&[b"(", b"type", b"symlink", b"target"]);
/// Closes a node or an entry.
pub(super) static CLOSE: [u8; 16] = tokens(&[b")"]);
/// The longest end of a file: seven bytes of padding and the closing token. What a file needs is
/// the tail that begins after the padding it does not need.
static END_FILE: [u8; ALIGNMENT - 1 + CLOSE.len()] = {
    let mut bytes = [0; ALIGNMENT - 1 + CLOSE.len()];
    let close: [u8; 16] = tokens(&[b")"]);
    let mut index = 0;
    while index < close.len() {
        bytes[ALIGNMENT - 1 + index] = close[index];
        index += 1;
    }
    bytes
};

/// The padding and the closing token of a file of `size` bytes.
pub(super) fn end_of_file(size: u64) -> &'static [u8] {
    let over = (size % ALIGNMENT as u64) as usize;
    let padding = (ALIGNMENT - over) % ALIGNMENT;
    &END_FILE[ALIGNMENT - 1 - padding..]
}

/// Writes one token.
pub(super) fn put_token(out: &mut BytesMut, bytes: &[u8]) {
    out.put_u64_le(bytes.len() as u64);
    out.put_slice(bytes);
    out.put_bytes(0, padding(bytes.len()));
}

const fn padding(length: usize) -> usize {
    length.next_multiple_of(ALIGNMENT) - length
}

/// Lays tokens out one after another; a wrong `N` does not compile.
const fn tokens<const N: usize>(tokens: &[&[u8]]) -> [u8; N] {
    let mut bytes = [0; N];
    let mut at = 0;
    let mut token = 0;
    while token < tokens.len() {
        let length = tokens[token].len();
        // Every constant token is shorter than 256 bytes: one byte holds its length.
        bytes[at] = length as u8;
        at += LENGTH;
        let mut index = 0;
        while index < length {
            bytes[at + index] = tokens[token][index];
            index += 1;
        }
        at += length + padding(length);
        token += 1;
    }
    assert!(at == N, "the tokens fill the array");
    bytes
}

/// Length of the NAR of a single file, in bytes: known before a byte of the file is.
///
/// Saturates for sizes that no file has.
#[must_use]
pub const fn file_size_as_nar(size: u64, executable: bool) -> u64 {
    let head = if executable {
        EXECUTABLE.len()
    } else {
        FILE.len()
    };
    let around = MAGIC.len() + head + LENGTH + CLOSE.len();
    size.div_ceil(ALIGNMENT as u64)
        .saturating_mul(ALIGNMENT as u64)
        .saturating_add(around as u64)
}
