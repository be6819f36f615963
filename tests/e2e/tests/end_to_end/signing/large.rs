//! Contents of any size are signed in the same memory.

use std::fs::File;

use super::user::{OPENSSL_P256, User, have, key, minisign_key, pkcs8_key};
use crate::memory::peak;

const MIB: u64 = 1 << 20;

/// How much more than a small content a large one may need.
const SLACK: u64 = 12 * MIB;

/// More than all that the program may keep.
const LARGE: u64 = 192 * MIB;

#[test]
fn a_large_content_needs_no_more_memory_than_a_small_one() {
    let test = "a_large_content_needs_no_more_memory_than_a_small_one";
    if !have(test, &["openssl"]) {
        return;
    }
    let peak_of = |format: &str, length: u64| {
        let user = User::new();
        let source = match format {
            "minisign" => user.file("k", &minisign_key(0).0),
            // Ed25519 reads the content itself, twice.
            "raw" => user.file("k", &pkcs8_key(0)),
            _ => user.openssl_key("k", OPENSSL_P256),
        };
        user.configure(&key("release", &source, &[format]));
        let content = File::create(user.path("content")).unwrap();
        content.set_len(length).unwrap();
        let (to, _) = user.fresh();
        peak(&user.sandbox, User::line(format).with("--to", to))
    };
    for format in ["minisign", "sshsig", "raw"] {
        let (small, large) = (peak_of(format, 1), peak_of(format, LARGE));
        assert!(
            large <= small + SLACK,
            "{format}: {} MiB, and {} MiB for a small one",
            large / MIB,
            small / MIB
        );
    }
}
