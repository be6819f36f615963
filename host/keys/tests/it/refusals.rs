//! Files that are not to be trusted or are no keys, and keys for the wrong thing.

use std::{fs, os::unix::fs::PermissionsExt};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use blake2::{Blake2b, Digest as _, digest::consts::U32};
use fetchhost_credentials::{Identities, Secret};
use fetchhost_keys::{PublicKey, SignError};
use fetchhost_policy::{KeySource, Use};

use crate::{
    forms::{
        PUBLIC, hex, minisign_bytes, minisign_text, openssh_bytes, openssh_ed25519, pem,
        pkcs8_bytes, string,
    },
    support::{CANARY, PKCS1, PSS, Stage, User, content, in_file, minisign, shown, spec, sshsig},
};

#[test]
fn the_same_key_is_read_in_each_form() {
    let stage = Stage::new();
    let user = User::typing(None);
    let ssh = stage.write("ssh", pem("OPENSSH PRIVATE KEY", &openssh_ed25519()));
    let pkcs8 = stage.write("pkcs8", pem("PRIVATE KEY", &pkcs8_bytes()));
    let mini = stage.write("mini", minisign_text(&minisign_bytes()));
    let ssh = user.unlock(&in_file(&ssh, &[Use::Sshsig]));
    let pkcs8 = user.unlock(&in_file(&pkcs8, &[Use::Sshsig, Use::Raw]));
    let mini = user.unlock(&in_file(&mini, &[Use::Minisign]));
    assert_eq!(ssh.public_key(), pkcs8.public_key());
    assert_eq!(
        ssh.public_key().to_openssh(),
        mini.public_key().to_openssh()
    );
    // RFC 8032: the signature over the one byte 0x72.
    let signature = pkcs8.sign(&PSS, &content("r")).unwrap();
    let expected = "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";
    assert_eq!(signature, hex(expected));
    let both = |key: &fetchhost_keys::Key| key.sign(&sshsig("file"), &content("r")).unwrap();
    assert_eq!(both(&ssh), both(&pkcs8));
}

#[test]
fn a_p256_key_may_begin_with_zeros() {
    // The number 1, whose point is the curve's own generator (SEC 2, section 2.4.2).
    let generator = hex(
        "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c2964fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5",
    );
    let names = [string(b"ecdsa-sha2-nistp256"), string(b"nistp256")].concat();
    let public = [names.clone(), string(&generator)].concat();
    let fields = [public.clone(), string(&[1])].concat();
    let stage = Stage::new();
    let text = pem("OPENSSH PRIVATE KEY", &openssh_bytes(&public, &fields));
    let key = User::typing(None).unlock(&in_file(&stage.write("k", text), &[Use::Sshsig]));
    let signature = key.sign(&sshsig("file"), &content("a")).unwrap();
    key.public_key()
        .verify(&sshsig("file"), &content("a"), &signature)
        .unwrap();

    let fields = [public.clone(), string(&[2])].concat();
    let text = pem("OPENSSH PRIVATE KEY", &openssh_bytes(&public, &fields));
    let refused = User::typing(None).refusal(&in_file(&stage.write("k", text), &[Use::Sshsig]));
    assert!(refused.contains("is damaged"), "{refused}");
}

#[test]
fn a_key_is_for_what_it_is_for_and_its_kind_allows() {
    let stage = Stage::new();
    let user = User::typing(None);
    let ssh = stage.write("ssh", pem("OPENSSH PRIVATE KEY", &openssh_ed25519()));
    let pkcs8 = stage.write("pkcs8", pem("PRIVATE KEY", &pkcs8_bytes()));
    let mini = stage.write("mini", minisign_text(&minisign_bytes()));
    for (path, asked) in [
        (&ssh, Use::Raw),
        (&ssh, Use::Minisign),
        (&ssh, Use::Narinfo),
        (&mini, Use::Raw),
        (&mini, Use::Sshsig),
        (&mini, Use::Narinfo),
        (&pkcs8, Use::Minisign),
        (&pkcs8, Use::Narinfo),
    ] {
        let refused = user.refusal(&in_file(path, &[asked]));
        assert!(refused.contains("is never used for"), "{refused}");
    }
    let key = user.unlock(&in_file(&pkcs8, &[Use::Raw]));
    for envelope in [sshsig("file"), minisign("a")] {
        let refused = key.sign(&envelope, &content("a")).unwrap_err();
        assert!(matches!(refused, SignError::NotForUse { .. }), "{refused}");
        assert!(refused.hint().unwrap().contains("[key.release]"));
    }
}

#[test]
fn a_key_that_is_another_one_is_refused() {
    let stage = Stage::new();
    let mut spec = in_file(
        &stage.write("k", pem("PRIVATE KEY", &pkcs8_bytes())),
        &[Use::Raw],
    );
    let user = User::typing(None);
    let own = user.unlock(&spec).public_key().clone();
    for told in [own.to_openssh(), own.to_pem()] {
        spec.public_key = Some(told);
        assert_eq!(user.signers.public_key(&spec).unwrap(), own);
        user.unlock(&spec);
    }
    let other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINdamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea";
    assert!(other.parse::<PublicKey>().is_ok());
    spec.public_key = Some(other.to_owned());
    let refused = user.refusal(&spec);
    assert!(refused.contains("another key"), "{refused}");
    spec.public_key = Some("nonsense".to_owned());
    let refused = shown(&user.signers.public_key(&spec).unwrap_err());
    assert!(refused.contains("no public key"), "{refused}");
}

#[test]
fn a_file_that_others_can_read_is_refused() {
    let stage = Stage::new();
    let path = stage.write("k", pem("PRIVATE KEY", &pkcs8_bytes()));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let refused = User::typing(None).refusal(&in_file(&path, &[Use::Raw]));
    assert!(refused.contains("open to others"), "{refused}");
    assert!(refused.contains("chmod 600"), "{refused}");
    let refused = User::typing(None).refusal(&in_file(&stage.path("none"), &[Use::Raw]));
    assert!(refused.contains("[key.release]"), "{refused}");
}

#[test]
fn a_key_in_an_age_file_is_read() {
    let stage = Stage::new();
    let (identities, _) = Identities::load_or_make(&stage.path("identity")).unwrap();
    let sealed = |text: &str| identities.seal(&Secret::from(text.to_owned())).unwrap();
    let path = stage.write("k.age", sealed(&pem("PRIVATE KEY", &pkcs8_bytes())));
    let identity = stage.path("identity").to_str().unwrap().to_owned();
    let variable = ("NIX_FETCHHOST_AGE_IDENTITY", identity);
    let user = User::with_variables(None, std::slice::from_ref(&variable));
    let spec = spec(KeySource::Age(path), &[Use::Raw]);
    let locked = user.signers.public_key(&spec).unwrap_err();
    assert!(shown(&locked).contains("`public-key`"));
    let key = user.unlock(&spec);
    assert!(key.sign(&PKCS1, &content("a")).is_ok());

    stage.write("k.age", sealed(CANARY));
    let refused = User::with_variables(None, &[variable]).refusal(&spec);
    assert!(refused.contains("is no private key"), "{refused}");
    stage.write("k.age", "canary");
    let refused = User::typing(None).refusal(&spec);
    assert!(refused.contains("not an age file"), "{refused}");
    // An identity of somebody else's.
    fs::remove_file(stage.path("identity")).unwrap();
    let (others, _) = Identities::load_or_make(&stage.path("other")).unwrap();
    stage.write(
        "k.age",
        others.seal(&Secret::from(CANARY.to_owned())).unwrap(),
    );
    Identities::load_or_make(&stage.path("identity")).unwrap();
    let identity = stage.path("identity").to_str().unwrap().to_owned();
    let user = User::with_variables(None, &[("NIX_FETCHHOST_AGE_IDENTITY", identity)]);
    let refused = user.refusal(&spec);
    assert!(
        refused.contains("not encrypted to your identity"),
        "{refused}"
    );
}

#[test]
fn contents_that_are_no_keys_say_what_they_are() {
    let stage = Stage::new();
    for (text, message) in [
        (CANARY.to_owned(), "is no private key"),
        (
            "cache.example.org-1:Y2FuYXJ5".to_owned(),
            "is no private key",
        ),
        (minisign_text(b"Edcanary"), "is no private key"),
        ("untrusted comment:".to_owned(), "is no private key"),
        (pem("OPENSSH PRIVATE KEY", b"canary"), "is damaged"),
        (pem("PRIVATE KEY", b"canary"), "is damaged"),
        (pem("RSA PRIVATE KEY", b"canary"), "`RSA PRIVATE KEY`"),
        (pem("CERTIFICATE", b"canary"), "is no private key"),
        ("canary".repeat(20_000), "is no private key"),
    ] {
        let path = stage.write("k", text);
        let refused = User::typing(Some(CANARY)).refusal(&in_file(&path, &[Use::Raw]));
        assert!(refused.contains(message), "{message}: {refused}");
    }
    // Halves that do not belong together.
    let mut bytes = minisign_bytes();
    bytes[62] ^= 1;
    let path = stage.write("k", minisign_text(&bytes));
    let refused = User::typing(None).refusal(&in_file(&path, &[Use::Minisign]));
    assert!(refused.contains("is damaged"), "{refused}");
}

#[test]
fn a_key_of_minisigns_is_opened_by_its_own_password_alone() {
    // As minisign does it, but with 2^14 rounds instead of 2^20.
    let (operations, memory, log_n) = (524_288_u64, 16_777_216_u64, 14);
    let mut bytes = minisign_bytes();
    bytes[2..4].copy_from_slice(b"Sc");
    bytes[6..38].fill(5);
    bytes[38..46].copy_from_slice(&operations.to_le_bytes());
    bytes[46..54].copy_from_slice(&memory.to_le_bytes());
    let checksum = Blake2b::<U32>::new()
        .chain_update(b"Ed")
        .chain_update(&bytes[54..126])
        .finalize();
    bytes[126..].copy_from_slice(&checksum);
    let mut stream = [0; 104];
    let params = scrypt::Params::new(log_n, 8, 1, 32).unwrap();
    scrypt::scrypt(CANARY.as_bytes(), &[5; 32], &params, &mut stream).unwrap();
    for (byte, mask) in bytes[54..].iter_mut().zip(stream) {
        *byte ^= mask;
    }
    let stage = Stage::new();
    let spec = in_file(&stage.write("k", minisign_text(&bytes)), &[Use::Minisign]);
    let user = User::typing(Some(CANARY));
    let key = user.unlock(&spec);
    assert!(key.public_key().to_openssh().ends_with(&line_of_public()));
    user.unlock(&spec);
    assert_eq!(user.questions(), 1);
    let refused = User::typing(Some("canary-wrong")).refusal(&spec);
    assert!(
        refused.contains("does not open with this passphrase"),
        "{refused}"
    );
}

fn line_of_public() -> String {
    let blob = [string(b"ssh-ed25519"), string(&hex(PUBLIC))].concat();
    STANDARD.encode(blob)
}
