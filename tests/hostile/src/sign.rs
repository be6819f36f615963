//! Deeds that misuse inputs and keys. They are described as the word `signer` says it.

use std::hint::black_box;
use std::thread;
use std::time::Duration;

use fetchhost_sdk::__private::bindings::nix_fetchhost::fetcher::{inputs as raw, keys as raw_keys};
use fetchhost_sdk::inputs::{self, Digest, Input};
use fetchhost_sdk::keys::{self, Padding};
use fetchhost_sdk::{FetchError, Plan, Request, log};

use crate::{Deed, Params, harmless};

pub(crate) const DEEDS: &[Deed] = &[
    ("undeclared-input", |_| opened("another")),
    ("input-by-path", |_| opened("/etc/passwd")),
    ("input-out-of-reach", |_| opened("../content")),
    ("missing-input", |_| opened("missing")),
    ("hide-missing-input", |_| {
        drop(inputs::open("missing"));
        Err(FetchError::not_found("upstream has no such file"))
    }),
    ("read-input-too-much", read_input_too_much),
    ("read-input-and-sleep", read_input_and_sleep),
    ("read-input-past-end", read_input_past_end),
    ("digest-without-end", digest_without_end),
    ("unknown-digest", unknown_digest),
    ("use-input-after-drop", use_input_after_drop),
    ("input-of-another-kind", input_of_another_kind),
    ("hoard-inputs", hoard_inputs),
    ("undeclared-key", |_| minisign("another", "a comment")),
    ("key-by-credential-slot", |_| minisign("token", "a comment")),
    ("key-by-its-name", |_| minisign("release", "a comment")),
    ("undeclared-envelope", |_| {
        Plan::file(keys::raw("key", &content()?, Padding::Pss)?)
    }),
    ("unknown-padding", unknown_padding),
    ("comment-line-break", |_| {
        minisign("key", "one\nuntrusted comment: two")
    }),
    ("huge-comment", |_| minisign("key", &"c".repeat(MIB))),
    ("namespace-line-break", |_| sshsig("file\nother")),
    ("namespace-pattern", |_| sshsig("*")),
    ("empty-namespace", |_| sshsig("")),
    ("sign-too-often", sign_too_often),
    ("ask-public-key-too-often", ask_public_key_too_often),
    ("hide-refusal", hide_refusal),
    ("hide-refusal-and-succeed", |_| {
        drop(keys::minisign("key", &content()?, "a comment"));
        harmless()
    }),
    ("panic-when-refused", |_| {
        panic!("{:?}", keys::minisign("key", &content()?, "a comment"))
    }),
    ("insist", insist),
    ("sign", |_| minisign("key", "a comment")),
    ("sign-for-ssh", |_| sshsig("file")),
    ("key-as-credential", key_as_credential),
    ("show-digests", show_digests),
    ("show-public-key", show_public_key),
];

const MIB: usize = 1024 * 1024;

fn content() -> Result<Input, FetchError> {
    inputs::open("content")
}

fn opened(name: &str) -> Result<Plan, FetchError> {
    inputs::open(name)?;
    harmless()
}

fn minisign(slot: &str, comment: &str) -> Result<Plan, FetchError> {
    Plan::file(keys::minisign(slot, &content()?, comment)?)
}

fn sshsig(namespace: &str) -> Result<Plan, FetchError> {
    Plan::file(keys::sshsig("key", &content()?, namespace)?)
}

fn read_input_too_much(_: &Params) -> Result<Plan, FetchError> {
    let content = content()?;
    loop {
        black_box(content.read(0, u32::MAX)?);
    }
}

/// Each byte would be progress, if reading were.
fn read_input_and_sleep(_: &Params) -> Result<Plan, FetchError> {
    let content = content()?;
    loop {
        content.read(0, 1)?;
        thread::sleep(Duration::from_millis(20));
    }
}

/// Not a crime: there is nothing.
fn read_input_past_end(_: &Params) -> Result<Plan, FetchError> {
    let content = content()?;
    for offset in [content.size(), content.size() + 1, u64::MAX] {
        assert_eq!(content.read(offset, u32::MAX)?, [0; 0]);
    }
    assert_eq!(content.read(0, 0)?, [0; 0]);
    let whole = content.read(0, u32::MAX)?;
    assert!(content.read(1, u32::MAX)? == whole[1..], "another file");
    Plan::file(whole)
}

fn digest_without_end(_: &Params) -> Result<Plan, FetchError> {
    let content = content()?;
    loop {
        black_box(content.digest(Digest::Sha256)?);
    }
}

fn unknown_digest(_: &Params) -> Result<Plan, FetchError> {
    raw::open("content")?.digest("md5\u{1b}[2J")?;
    harmless()
}

#[expect(unsafe_code, reason = "the deed")]
fn use_input_after_drop(_: &Params) -> Result<Plan, FetchError> {
    let input = raw::open("content")?;
    let handle = input.handle();
    drop(input);
    // SAFETY: the handle is none, and it is for the host to notice.
    let again = unsafe { raw::Input::from_handle(handle) };
    black_box(again.read(0, 1)?);
    harmless()
}

/// Passes something else off as an input, to have it signed.
#[expect(unsafe_code, reason = "the deed")]
fn input_of_another_kind(_: &Params) -> Result<Plan, FetchError> {
    use fetchhost_sdk::__private::bindings::nix_fetchhost::fetcher::artifact;
    let blob = artifact::Blob::new();
    blob.write(b"a message of the module's own")?;
    // SAFETY: the handle is a blob's, and it is for the host to notice.
    let input = unsafe { raw::Input::from_handle(blob.take_handle()) };
    Plan::file(raw_keys::minisign("key", &input, "a comment")?)
}

fn hoard_inputs(_: &Params) -> Result<Plan, FetchError> {
    let hoard: Vec<_> = (0..1_000_000).map(|_| content()).collect();
    drop(black_box(hoard));
    harmless()
}

fn unknown_padding(_: &Params) -> Result<Plan, FetchError> {
    raw_keys::raw("bare", &raw::open("content")?, "none")?;
    harmless()
}

/// Each comment is another signature.
fn sign_too_often(_: &Params) -> Result<Plan, FetchError> {
    let content = content()?;
    for number in 0..=1_000 {
        keys::minisign("key", &content, &number.to_string())?;
    }
    harmless()
}

fn ask_public_key_too_often(_: &Params) -> Result<Plan, FetchError> {
    for _ in 0..=1_000 {
        keys::public_key("key")?;
    }
    harmless()
}

/// Whoever is asked for a passphrase often enough may type it.
fn insist(_: &Params) -> Result<Plan, FetchError> {
    let content = content()?;
    for number in 0..100 {
        drop(keys::minisign("key", &content, &number.to_string()));
    }
    Err(FetchError::not_found("upstream has no such file"))
}

/// Shows what it was told, and says something else.
fn hide_refusal(_: &Params) -> Result<Plan, FetchError> {
    let told = keys::minisign("key", &content()?, "a comment");
    log::info(format!("{told:?}"));
    Err(FetchError::not_found("upstream has no such file"))
}

/// The slot of a key is none of a credential's.
fn key_as_credential(params: &Params) -> Result<Plan, FetchError> {
    Request::get(&params.granted()).authorize("key")?;
    harmless()
}

fn show_digests(_: &Params) -> Result<Plan, FetchError> {
    let content = content()?;
    let mut all = Vec::new();
    for digest in [Digest::Sha256, Digest::Sha512, Digest::Blake2b512] {
        all.extend(content.digest(digest)?);
    }
    Plan::file(all)
}

fn show_public_key(_: &Params) -> Result<Plan, FetchError> {
    let key = keys::public_key("key")?;
    Plan::file(format!(
        "{} {} {}",
        key.fingerprint, key.algorithm, key.text
    ))
}
