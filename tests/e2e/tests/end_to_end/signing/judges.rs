//! What is signed is accepted by the programs that everybody verifies with, and nothing else is.

use std::fs;

use age::secrecy::ExposeSecret as _;
use fetchhost_e2e::Sandbox;

use super::agent::Agent;
use super::user::{
    CONTENT, OPENSSL_ED25519, OPENSSL_P256, OPENSSL_RSA, User, have, key, known, minisign_key,
    pkcs8_key, sha256,
};

/// Another content.
const TAMPERED: &str = "what is signeD\n";

/// How `ssh-keygen` verifies, up to the name of the signature.
const SSH_VERIFY: [&str; 7] = ["-Y", "verify", "-f", "allowed", "-I", "me", "-s"];

pub(super) const SSH_KINDS: [(&str, &str); 3] =
    [("ed25519", "256"), ("ecdsa", "256"), ("rsa", "3072")];

/// Makes a key of OpenSSH's that `ssh-keygen -Y verify` knows as `me`; the result is its `source`.
pub(super) fn ssh_key(user: &User, name: &str, (kind, bits): (&str, &str)) -> String {
    let arguments = ["-q", "-t", kind, "-b", bits, "-f", name, "-N", ""];
    user.succeed("ssh-keygen", &arguments, b"");
    user.write(
        "allowed",
        format!("me {}", user.text(&format!("{name}.pub"))),
    );
    user.source(name)
}

/// Demands that `ssh-keygen` accepts the signature for this namespace, and for nothing else.
#[track_caller]
fn ssh_keygen_judges(user: &User, signature: &[u8], namespace: &str) {
    user.write("sig", signature);
    let ask = |namespace| [&SSH_VERIFY[..], &["sig", "-n", namespace]].concat();
    user.succeed("ssh-keygen", &ask(namespace), CONTENT.as_bytes());
    user.fail("ssh-keygen", &ask(namespace), TAMPERED.as_bytes());
    for other in ["git", "file", "release@example.org"] {
        if other != namespace {
            user.fail("ssh-keygen", &ask(other), CONTENT.as_bytes());
        }
    }
}

#[test]
fn minisign_verifies_the_file_and_its_comment() {
    if !have("minisign_verifies_the_file_and_its_comment", &["minisign"]) {
        return;
    }
    let user = User::new();
    user.succeed("minisign", &["-G", "-W", "-p", "k.pub", "-s", "k.key"], b"");
    user.configure(&key("release", &user.source("k.key"), &["minisign"]));
    user.write("tampered", TAMPERED);
    let (_, other) = minisign_key(1);
    let digest = format!("sha256:{}", sha256(CONTENT));
    for (comment, expected) in [
        (None, digest.as_str()),
        (Some("example 1.2.3, für alle"), "example 1.2.3, für alle"),
    ] {
        let line = User::line("minisign");
        let line = match comment {
            Some(comment) => line.with("--comment", comment),
            None => line,
        };
        let signature = user.sign(line);
        user.write("sig", &signature);
        let verify = |key: &[&'static str], file: &'static str, signature: &'static str| {
            [&["-V", "-Q", "-m", file, "-x", signature], key].concat()
        };
        let ours = ["-p", "k.pub"];
        let said = user.succeed("minisign", &verify(&ours, "content", "sig"), b"");
        assert_eq!(String::from_utf8(said).unwrap().trim_end(), expected);

        user.fail("minisign", &verify(&ours, "tampered", "sig"), b"");
        let theirs = ["-V", "-m", "content", "-x", "sig", "-P", &other];
        user.fail("minisign", &theirs, b"");
        let text = String::from_utf8(signature).unwrap();
        let forged = text.replace(expected, "another comment");
        assert_ne!(forged, text);
        user.write("forged", forged);
        user.fail("minisign", &verify(&ours, "content", "forged"), b"");
    }
    // Comments that would be another line, or none of minisign's.
    for wrong in ["a\nb", "a\u{7}b", &"c".repeat(1001)] {
        let line = User::line("minisign").with("--comment", wrong);
        user.refuse(line, 2, ["`comment`"]);
    }
}

#[test]
fn ssh_keygen_verifies_the_file_in_its_namespace() {
    if !have(
        "ssh_keygen_verifies_the_file_in_its_namespace",
        &["ssh-keygen"],
    ) {
        return;
    }
    for kind in SSH_KINDS {
        let user = User::new();
        let source = ssh_key(&user, "k", kind);
        user.configure(&key("release", &source, &["sshsig"]));
        let signature = user.sign(User::line("sshsig"));
        ssh_keygen_judges(&user, &signature, "file");
        let line = User::line("sshsig").with("--namespace", "release@example.org");
        ssh_keygen_judges(&user, &user.sign(line), "release@example.org");
        for wrong in ["", "*", "a b", "file,git", "a\nb"] {
            let line = User::line("sshsig").with("--namespace", wrong);
            user.refuse(line, 2, ["`namespace`"]);
        }
        // Of another key it is nothing.
        user.write("sig", &signature);
        for old in ["k", "k.pub"] {
            fs::remove_file(user.path(old)).unwrap();
        }
        ssh_key(&user, "k", kind);
        let ask = [&SSH_VERIFY[..], &["sig", "-n", "file"]].concat();
        user.fail("ssh-keygen", &ask, CONTENT.as_bytes());
    }
}

#[test]
fn ssh_keygen_verifies_what_an_agent_signed() {
    let test = "ssh_keygen_verifies_what_an_agent_signed";
    if !have(test, &["ssh-agent", "ssh-add", "ssh-keygen"]) {
        return;
    }
    for kind in SSH_KINDS {
        let user = User::new();
        ssh_key(&user, "k", kind);
        let agent = Agent::start(&user);
        agent.add("k");
        // The file is not needed any more.
        fs::remove_file(user.path("k")).unwrap();
        let listed = user.succeed("ssh-keygen", &["-l", "-f", "k.pub"], b"");
        let listed = String::from_utf8(listed).unwrap();
        let public = user.text("k.pub");
        for named in [listed.split(' ').nth(1).unwrap(), public.trim_end()] {
            let source = agent.source(named);
            user.configure(&key("release", &source, &["sshsig"]));
            let signature = user.sign(User::line("sshsig"));
            ssh_keygen_judges(&user, &signature, "file");
        }

        // The agent that the environment names, on a machine where nothing is remembered.
        let sandbox = Sandbox::new().variable("SSH_AUTH_SOCK", &user.at("socket"));
        let other = User::of(sandbox);
        let source = format!("{{ agent = true, key = {:?} }}", public.trim_end());
        other.configure(&key("release", &source, &["sshsig"]));
        other.write("allowed", user.text("allowed"));
        ssh_keygen_judges(&other, &other.sign(User::line("sshsig")), "file");
    }
}

#[test]
fn openssl_verifies_the_content_itself() {
    if !have("openssl_verifies_the_content_itself", &["openssl"]) {
        return;
    }
    let pkeyutl = [
        "pkeyutl", "-verify", "-pubin", "-inkey", "k.pub", "-rawin", "-sigfile", "sig", "-in",
    ];
    let dgst = ["dgst", "-sha256", "-verify", "k.pub", "-signature", "sig"];
    let pss = [
        &dgst[..],
        &[
            "-sigopt",
            "rsa_padding_mode:pss",
            "-sigopt",
            "rsa_pss_saltlen:32",
        ],
    ]
    .concat();
    for (kind, padding, verify) in [
        (OPENSSL_ED25519, None, &pkeyutl[..]),
        (OPENSSL_P256, None, &dgst),
        (OPENSSL_RSA, None, &pss),
        (OPENSSL_RSA, Some("pss"), &pss),
        (OPENSSL_RSA, Some("pkcs1"), &dgst),
    ] {
        let user = User::new();
        let source = user.openssl_key("k", kind);
        user.configure(&key("release", &source, &["raw"]));
        let line = User::line("raw");
        let signature = user.sign(match padding {
            Some(padding) => line.with("--padding", padding),
            None => line,
        });
        user.write("sig", &signature);
        user.write("tampered", TAMPERED);
        let ask = |file| [verify, &[file]].concat();
        user.succeed("openssl", &ask("content"), b"");
        user.fail("openssl", &ask("tampered"), b"");
        for place in [0, signature.len() / 2, signature.len() - 1] {
            let mut forged = signature.clone();
            forged[place] ^= 1;
            user.write("sig", forged);
            user.fail("openssl", &ask("content"), b"");
        }
        user.write("sig", &signature);
        user.openssl_key("k", kind);
        user.fail("openssl", &ask("content"), b"");
    }
}

#[test]
fn a_key_in_pkcs8_signs_for_ssh_keygen_too() {
    let test = "a_key_in_pkcs8_signs_for_ssh_keygen_too";
    if !have(test, &["openssl", "ssh-keygen"]) {
        return;
    }
    for kind in [OPENSSL_P256, OPENSSL_RSA] {
        let user = User::new();
        let source = user.openssl_key("k", kind);
        user.configure(&key("release", &source, &["sshsig"]));
        let convert = ["-i", "-m", "PKCS8", "-f", "k.pub"];
        let line = user.succeed("ssh-keygen", &convert, b"");
        user.write("allowed", [b"me ", line.as_slice()].concat());
        ssh_keygen_judges(&user, &user.sign(User::line("sshsig")), "file");
    }
}

#[test]
fn a_key_that_age_encrypted_signs() {
    if !have("a_key_that_age_encrypted_signs", &["minisign"]) {
        return;
    }
    let identity = age::x25519::Identity::generate();
    let sealed = |text: &str| age::encrypt_and_armor(&identity.to_public(), text.as_bytes());
    let sandbox = Sandbox::new();
    let place = sandbox.path("identity").to_str().unwrap().to_owned();
    let user = User::of(sandbox.variable("NIX_FETCHHOST_AGE_IDENTITY", &place));
    user.write("identity", identity.to_string().expose_secret());
    let (secret, public) = minisign_key(0);
    user.write("k.age", sealed(&secret).unwrap());
    let source = format!("{{ age = {:?} }}", user.at("k.age"));
    user.configure(&known("release", &source, &["minisign"], &public));
    let signature = user.sign(User::line("minisign"));
    user.write("sig", signature);
    let verify = ["-V", "-m", "content", "-x", "sig", "-P", &public];
    user.succeed("minisign", &verify, b"");

    // Where no public key is written, the file is opened to find out.
    user.write("k.age", sealed(&pkcs8_key(1)).unwrap());
    user.configure(&key("release", &source, &["raw"]));
    assert_eq!(user.sign(User::line("raw")).len(), 64);
}
