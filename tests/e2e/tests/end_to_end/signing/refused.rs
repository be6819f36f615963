//! What no key signs, and what is no input.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use fetchhost_e2e::{CommandLine, Terminal};

use super::judges::ssh_key;
use super::user::{
    OPENSSL_ED25519, OPENSSL_P256, OPENSSL_RSA, User, have, key, known, minisign_key, pkcs8_key,
};

fn string(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
    [&length[..], bytes].concat()
}

/// What a bare signature over would be something else, and what is said of it.
fn dangers() -> Vec<(Vec<u8>, &'static str)> {
    let fingerprint = b"1;/nix/store/0c0bhl1hk5hz6v0jfbmhzgqyxpsr5cba-a;sha256:00;120;";
    // RFC 4252, section 7: the session's id, SSH_MSG_USERAUTH_REQUEST, and who wants to log in.
    let login = |session: usize| {
        let parts = [
            string(&vec![0xab; session]),
            vec![50],
            string(b"root"),
            string(b"ssh-connection"),
            string(b"publickey"),
            vec![1],
            string(b"ssh-ed25519"),
            string(&[string(b"ssh-ed25519"), string(&[7; 32])].concat()),
        ];
        parts.concat()
    };
    let certificate = string(b"ssh-ed25519-cert-v01@openssh.com");
    let sshsig = [
        b"SSHSIG".to_vec(),
        string(b"file"),
        string(b""),
        string(b"sha512"),
        string(&[9; 64]),
    ]
    .concat();
    let tls = |who: &str| {
        let context = format!("{}TLS 1.3, {who} CertificateVerify\0", " ".repeat(64));
        [context.into_bytes(), vec![3; 32]].concat()
    };
    vec![
        (fingerprint.to_vec(), "fingerprint of a store path"),
        (login(32), "a login by SSH"),
        (login(20), "a login by SSH"),
        (login(64), "a login by SSH"),
        (certificate, "a certificate of SSH's"),
        (sshsig, "what the envelope `sshsig` signs"),
        (tls("server"), "TLS 1.3"),
        (tls("client"), "TLS 1.3"),
    ]
}

#[test]
fn what_other_protocols_would_take_is_not_signed_bare() {
    let test = "what_other_protocols_would_take_is_not_signed_bare";
    if !have(test, &["openssl"]) {
        return;
    }
    for (kind, least) in [(OPENSSL_ED25519, 0), (OPENSSL_P256, 6), (OPENSSL_RSA, 7)] {
        let user = User::new();
        let source = user.openssl_key("k", kind);
        user.configure(&key("release", &source, &["raw", "sshsig"]));
        // Which key it is makes no difference: all of them once, and some by each.
        for (content, said) in dangers().into_iter().skip(least) {
            user.write("content", &content);
            user.refuse(User::line("raw"), 3, [said, "hint: sign it as `sshsig`"]);
            // In an envelope it is a file as any other.
            user.sign(User::line("sshsig"));
            // An approval does not change what it is.
            let digest = format!("sha256:{}", super::user::sha256(&content));
            let approve = CommandLine::new(["approve", "--key", "release", &digest]);
            user.run(approve).exits(0);
            user.refuse(User::line("raw"), 3, [said]);
        }
    }
}

#[test]
fn a_key_signs_what_it_is_for() {
    let user = User::new();
    let minisign = user.file("minisign.key", &minisign_key(0).0);
    let pkcs8 = user.file("pkcs8", &pkcs8_key(0));
    for (source, used, asked) in [
        (&minisign, "narinfo", "minisign"),
        (&pkcs8, "narinfo", "raw"),
        (&pkcs8, "narinfo", "sshsig"),
        (&pkcs8, "raw", "sshsig"),
        (&pkcs8, "sshsig", "raw"),
    ] {
        user.configure(&key("release", source, &[used]));
        let is_for = format!("the key `release` is for `{used}`, and not for");
        user.refuse(User::line(asked), 3, [&is_for]);
    }
    // And its kind has the last word.
    for (source, asked) in [
        (&minisign, "raw"),
        (&minisign, "sshsig"),
        (&pkcs8, "minisign"),
    ] {
        user.configure(&key("release", source, &[asked]));
        user.refuse(User::line(asked), 2, ["is never used for"]);
    }
    for uses in [&["narinfo", "raw"][..], &[], &["login"]] {
        user.configure(&key("release", &pkcs8, uses));
        user.refuse(User::line("raw"), 2, ["config.toml"]);
    }
}

#[test]
fn a_key_of_sshs_signs_nothing_bare() {
    let test = "a_key_of_sshs_signs_nothing_bare";
    if !have(test, &["ssh-keygen", "ssh-agent", "ssh-add"]) {
        return;
    }
    let user = User::new();
    let source = ssh_key(&user, "k", ("ed25519", "256"));
    let agent = super::agent::Agent::start(&user);
    agent.add("k");
    let in_agent = agent.source(user.text("k.pub").trim_end());
    for source in [&source, &in_agent] {
        for format in ["raw", "minisign"] {
            user.configure(&key("release", source, &[format]));
            user.refuse(User::line(format), 2, ["is never used for", "hint: "]);
        }
    }
}

#[test]
fn only_plain_files_are_inputs() {
    let user = User::with_minisign();
    user.succeed("mkfifo", &["pipe"], b"");
    user.succeed("ln", &["-s", "/dev/zero", "link"], b"");
    for input in ["pipe", "/dev/zero", "/", "link", "/dev/stdin"] {
        let line = User::line("minisign").set("--input", format!("content={input}"));
        user.refuse(line, 2, ["it is no plain file", "hint: "]);
    }
    for (input, said) in [
        ("content=nowhere", "No such file"),
        ("content=", "names no file"),
        ("content", "has no `=`"),
        ("contents=content", "no input `contents`"),
    ] {
        let line = User::line("minisign").set("--input", input);
        user.refuse(line, 2, [said, "hint: "]);
    }
    let line = User::line("minisign");
    user.refuse(
        line.clone().without("--input"),
        2,
        ["the input `content` is missing"],
    );
    user.refuse(
        line.with("--input", "content=content"),
        2,
        ["is given twice"],
    );
    // A link to a plain file is one.
    user.succeed("ln", &["-s", "content", "good"], b"");
    user.sign(User::line("minisign").set("--input", "content=good"));
    // An empty file has a signature too.
    user.write("empty", "");
    user.sign(User::line("minisign").set("--input", "content=empty"));
}

#[test]
fn a_content_that_changes_before_it_is_signed_is_not_signed() {
    let test = "a_content_that_changes_before_it_is_signed_is_not_signed";
    if !have(test, &["openssl"]) {
        return;
    }
    let user = User::new();
    user.openssl_key("k", OPENSSL_ED25519);
    let public = user.text("k.pub");
    let lock = [
        "pkcs8",
        "-topk8",
        "-in",
        "k",
        "-out",
        "e",
        "-passout",
        "pass:word",
    ];
    user.succeed("openssl", &lock, b"");
    user.write("e", user.read("e"));
    user.configure(&known("release", &user.source("e"), &["raw"], &public));
    // It is hashed before the question, and read again for the signature.
    for keeps_its_time in [false, true] {
        user.write("content", "a content that is approved");
        let modified = fs::metadata(user.path("content")).unwrap();
        let (to, path) = user.fresh();
        let line = User::line("raw").with("--to", to);
        let mut terminal = Terminal::start(&user.sandbox, line);
        terminal.asks("Passphrase of ");
        user.write("content", "a content that is Another_");
        if keeps_its_time {
            let file = fs::File::options()
                .write(true)
                .open(user.path("content"))
                .unwrap();
            file.set_modified(modified.modified().unwrap()).unwrap();
            assert_eq!(
                fs::metadata(user.path("content")).unwrap().mtime(),
                modified.mtime()
            );
        }
        terminal.answer("Passphrase of ", "word");
        let (code, shown) = terminal.end();
        assert_eq!(code, 2, "{shown}");
        assert!(shown.contains("changed"), "{shown}");
        assert!(!path.exists());
    }
    let listed = user.run(CommandLine::new(["memo", "list"])).exits(0);
    assert_eq!(listed.stdout, "", "nothing is remembered");
}
