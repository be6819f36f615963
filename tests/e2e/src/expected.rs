//! What must come out, known without the program under test.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fetchhost_standin::sample::{self, Entry};
use sha2::{Digest as _, Sha256};

/// The NAR hash of the unpacked sample archive, as `nix-store --dump | openssl dgst -sha256` has it
/// (a test lays the tree out and asks the real Nix again).
pub const TREE_HASH: &str = "sha256-TBY9/Bgfnwoul+o5BIligodnF4OS9DYvbIn3E40aQko=";

/// The SHA-256 of some bytes in SRI form.
#[must_use]
pub fn sri(bytes: &[u8]) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(bytes)))
}

/// The hash of the sample archive as a zip file.
#[must_use]
pub fn archive_hash() -> String {
    sri(&sample::archive().expect("the sample archive can be made"))
}

/// The content of the archive's member that the tests ask for.
#[must_use]
pub fn member_content() -> &'static str {
    let mut entries = sample::ENTRIES.iter();
    match entries.find(|(path, _)| *path == sample::MEMBER) {
        Some((_, Entry::File { content, .. })) => content,
        other => panic!("the sample member is {other:?}"),
    }
}
