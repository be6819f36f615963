//! Keys that cannot be had, and what is remembered that cannot be read.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use fetchhost_e2e::{CommandLine, Sandbox, Terminal, sri};

use super::agent::Agent;
use super::judges::ssh_key;
use super::user::{OPENSSL_P256, OPENSSL_RSA, User, have, key, known, minisign_key, pkcs8_key};

const STATE: &str = "home/.local/state/nix-fetchhost";

/// A key of OpenSSH's with a passphrase.
fn encrypted(user: &User) {
    let arguments = ["-q", "-t", "ed25519", "-f", "k", "-N", "the right words"];
    user.succeed("ssh-keygen", &arguments, b"");
    user.configure(&key("release", &user.source("k"), &["sshsig"]));
}

#[test]
fn a_passphrase_is_asked_for_at_the_terminal_and_only_there() {
    let test = "a_passphrase_is_asked_for_at_the_terminal_and_only_there";
    if !have(test, &["ssh-keygen"]) {
        return;
    }
    let user = User::new();
    encrypted(&user);
    let says = ["key `release`", "no terminal", "hint: "];
    user.refuse(User::line("sshsig"), 2, says);

    let (to, path) = user.fresh();
    let line = || User::line("sshsig").with("--to", to.clone());
    let mut terminal = Terminal::start(&user.sandbox, line());
    terminal.answer("Passphrase of ", "the wrong words");
    let (code, shown) = terminal.end();
    assert_eq!(code, 2, "{shown}");
    assert!(
        shown.contains("does not open with this passphrase"),
        "{shown}"
    );
    assert!(
        shown.contains("run it again") && !shown.contains("words"),
        "{shown}"
    );
    assert!(!path.exists());

    let mut terminal = Terminal::start(&user.sandbox, line());
    terminal.answer("Passphrase of ", "the right words");
    let (code, shown) = terminal.end();
    assert_eq!(code, 0, "{shown}");
    assert!(!shown.contains("words"), "{shown}");
    let signature = fs::read(path).unwrap();
    // It is remembered: nobody is asked again.
    assert_eq!(user.sign(User::line("sshsig")), signature);
}

#[test]
fn a_question_can_be_given_up() {
    if !have("a_question_can_be_given_up", &["ssh-keygen"]) {
        return;
    }
    let user = User::new();
    encrypted(&user);
    user.write("other", "another content");
    user.write("list", "content\nother\n");
    let each = CommandLine::new(["run", "signer", "--key-id", "release"])
        .with("--format", "sshsig")
        .with("--each", "content=list")
        .with("--to", user.sandbox.out("signatures"));
    let one = User::line("sshsig").with("--to", user.sandbox.out("result"));
    for line in [one.clone(), each] {
        for (signal, expected) in [("INT", 130), ("TERM", 143)] {
            let mut terminal = Terminal::start(&user.sandbox, line.clone());
            let process = terminal.asks("Passphrase of ");
            terminal.signal(process, signal);
            let (code, shown) = terminal.end();
            assert_eq!(code, expected, "{shown}");
            assert_eq!(shown.matches("Passphrase of ").count(), 1, "{shown}");
        }
    }
    let mut terminal = Terminal::start(&user.sandbox, one.with("--timeout", "1s"));
    terminal.asks("Passphrase of ");
    assert_eq!(terminal.end().0, 1);
    assert!(!user.path("result").exists());
    let left = fs::read_dir(user.path("signatures")).map_or(0, Iterator::count);
    assert_eq!(left, 0);
}

#[test]
fn an_agent_that_does_not_give_the_key_is_told() {
    let test = "an_agent_that_does_not_give_the_key_is_told";
    if !have(test, &["ssh-keygen", "ssh-agent", "ssh-add"]) {
        return;
    }
    let user = User::new();
    ssh_key(&user, "other", ("ed25519", "256"));
    ssh_key(&user, "k", ("ed25519", "256"));
    let public = user.text("k.pub");
    let named = |source: &str| user.configure(&key("release", source, &["sshsig"]));
    let line = || User::line("sshsig");

    named(&format!(
        "{{ agent = true, key = {:?} }}",
        public.trim_end()
    ));
    user.refuse(line(), 2, ["`$SSH_AUTH_SOCK` is not set", "hint: "]);
    named(&format!(
        "{{ agent = {:?}, key = \"SHA256:abc\" }}",
        user.at("socket")
    ));
    user.refuse(line(), 2, ["there is no agent at", "hint: "]);

    let agent = Agent::start(&user);
    named(&agent.source(public.trim_end()));
    user.refuse(line(), 2, ["holds no key at all", "ssh-add"]);
    agent.add("other");
    user.refuse(line(), 2, ["does not hold the key", "ssh-add"]);
    agent.add("k");
    agent.lock();
    user.refuse(line(), 2, ["empty or locked", "ssh-add -X"]);
    // The public key is known, so that what is missing is the signature alone.
    user.configure(&known(
        "release",
        &agent.source(public.trim_end()),
        &["sshsig"],
        public.trim_end(),
    ));
    user.refuse(line(), 2, ["locked", "ssh-add -X"]);
    agent.unlock();
    let signature = user.sign(line());
    agent.lock();
    assert_eq!(user.sign(line()), signature, "it is remembered");
}

/// What answers at a socket: each connection is given this, and held open until the test ends or closed.
fn answering(user: &User, answer: &'static [u8], is_held: bool) {
    let path = user.path("socket");
    let _ = fs::remove_file(&path);
    let listener = UnixListener::bind(path).unwrap();
    std::thread::spawn(move || {
        let mut held = Vec::new();
        for stream in listener.incoming().map_while(Result::ok) {
            let mut stream = stream;
            let _ = stream.read(&mut [0; 64]);
            let _ = stream.write_all(answer);
            if is_held {
                held.push(stream);
            }
        }
    });
}

#[test]
fn an_agent_that_is_none_or_does_not_answer_is_told() {
    let user = User::new();
    let source = format!(
        "{{ agent = {:?}, key = \"SHA256:abc\" }}",
        user.at("socket")
    );
    user.configure(&key("release", &source, &["sshsig"]));
    let line = || User::line("sshsig");
    for (answer, said) in [
        (&b""[..], "it hung up"),
        (b"HTTP/1.1 400 Bad Request\r\n", "is no agent"),
        (b"\0\0\0\x01\x0c", "is no agent"),
    ] {
        answering(&user, answer, false);
        user.refuse(line(), 2, ["key `release`", said, "hint: "]);
    }
    answering(&user, b"", true);
    let begin = Instant::now();
    user.refuse(line().with("--timeout", "1s"), 1, ["within 1 second"]);
    assert!(begin.elapsed() < Duration::from_secs(12), "it waited on");
    user.refuse(line(), 2, ["it takes too long", "ssh-add -l"]);
}

#[test]
fn a_key_file_that_cannot_be_used_is_told() {
    let user = User::new();
    let (secret, _) = minisign_key(0);
    let (_, other) = minisign_key(1);
    let source = user.file("minisign.key", &secret);
    let line = || User::line("minisign");

    user.configure(&key("release", &user.source("nowhere"), &["minisign"]));
    user.refuse(
        line(),
        2,
        ["key `release`", "put the key at", "[key.release]"],
    );

    user.configure(&key("release", &source, &["minisign"]));
    let open = fs::Permissions::from_mode(0o644);
    fs::set_permissions(user.path("minisign.key"), open).unwrap();
    user.refuse(line(), 2, ["open to others", "chmod 600"]);
    user.write("minisign.key", &secret);

    user.configure(&known("release", &source, &["minisign"], &other));
    user.refuse(
        line(),
        2,
        ["another key than its `public-key` says", "hint: "],
    );
    user.configure(&known("release", &source, &["minisign"], "nonsense"));
    user.refuse(line(), 2, ["no public key"]);

    user.configure(&key("release", &source, &["minisign"]));
    user.write("minisign.key", &secret[..60]);
    user.refuse(line(), 2, ["minisign.key", "hint: "]);

    user.configure(&key("releases", &source, &["minisign"]));
    user.refuse(line(), 2, ["release", "hint: "]);
    user.refuse(line().set("--key-id", "a/b"), 2, ["not a key name"]);
    user.refuse(line().set("--format", "gpg"), 2, ["format"]);
}

#[test]
fn an_rsa_key_that_is_too_short_is_refused_by_name() {
    let test = "an_rsa_key_that_is_too_short_is_refused_by_name";
    if !have(test, &["openssl"]) {
        return;
    }
    let user = User::new();
    let short = [&OPENSSL_RSA[..3], &["rsa_keygen_bits:2048"]].concat();
    let source = user.openssl_key("k", &short);
    user.configure(&key("release", &source, &["raw"]));
    user.refuse(User::line("raw"), 2, ["2048 bits", "hint: "]);
}

#[test]
fn a_token_needs_a_program_that_was_built_for_it() {
    let user = User::new();
    let token = "{ pkcs11 = \"/usr/lib/softhsm/libsofthsm2.so\", token = \"t\", key = \"k\" }";
    user.configure(&key("release", token, &["raw"]));
    user.refuse(
        User::line("raw"),
        2,
        ["without PKCS#11", "--features pkcs11"],
    );
}

#[test]
fn a_state_folder_that_cannot_be_had_is_told_before_anything_is_signed() {
    let user = User::with_minisign();
    fs::create_dir_all(user.path("home/.local")).unwrap();
    user.write("home/.local/state", "no folder");
    user.refuse(User::line("minisign"), 6, [".local/state", "hint: "]);

    let nowhere = User::of(Sandbox::new().variable("XDG_STATE_HOME", "/proc/nowhere"));
    let source = user.source("minisign.key");
    nowhere.configure(&key("release", &source, &["minisign"]));
    nowhere.refuse(User::line("minisign"), 6, ["/proc/nowhere", "hint: "]);
}

#[test]
fn what_is_remembered_and_damaged_is_told_and_nothing_is_signed() {
    let user = User::with_minisign();
    let signature = user.sign(User::line("minisign"));
    let name = format!("{STATE}/memo.sqlite");
    let whole = user.read(&name);
    for damage in [
        &b"no database at all, whatever its name says"[..],
        &whole[..whole.len() / 2],
    ] {
        user.write(&name, damage);
        let says = ["memo.sqlite", "hint: move"];
        user.refuse(User::line("minisign"), 6, says);
        assert_eq!(user.read(&name), damage, "it is left as it is");
    }
    // Nobody else may write it, for it decides what is handed out.
    user.write(&name, &whole);
    fs::set_permissions(user.path(&name), fs::Permissions::from_mode(0o622)).unwrap();
    user.refuse(
        User::line("minisign"),
        6,
        ["others than its owner can change it"],
    );
    user.write(&name, &whole);
    assert_eq!(user.sign(User::line("minisign")), signature);
    let mode = fs::metadata(user.path(&name)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn parameters_of_another_format_are_refused() {
    let user = User::new();
    let minisign = user.file("minisign.key", &minisign_key(0).0);
    let pkcs8 = user.file("pkcs8", &pkcs8_key(0));
    for (source, format, flag, value) in [
        (&minisign, "minisign", "--namespace", "file"),
        (&minisign, "minisign", "--padding", "pss"),
        (&pkcs8, "raw", "--comment", "x"),
        (&pkcs8, "sshsig", "--comment", "x"),
    ] {
        user.configure(&key("release", source, &[format]));
        let line = User::line(format).with(flag, value);
        user.refuse(line, 2, ["belongs to the format"]);
    }
}

#[test]
fn a_signature_that_is_not_emitted_is_not_lost() {
    if !have("a_signature_that_is_not_emitted_is_not_lost", &["openssl"]) {
        return;
    }
    let user = User::new();
    let source = user.openssl_key("k", OPENSSL_P256);
    let public = user.text("k.pub");
    user.configure(&known("release", &source, &["raw"], &public));
    // A destination that cannot be written is found before the key is used.
    fs::create_dir_all(user.path("full/of")).unwrap();
    let line = User::line("raw").with("--to", user.sandbox.out("full"));
    user.run(line).exits(6).says(["folder"]);
    let listed = user.run(CommandLine::new(["memo", "list"])).exits(0);
    assert_eq!(listed.stdout, "");

    // What nobody is given was made nevertheless, and stays.
    let line = User::line("raw").with("--hash", sri(b"something else"));
    let refused = user.refuse(line, 4, ["hash mismatch"]);
    fs::remove_file(user.path("k")).unwrap();
    let signature = user.sign(User::line("raw"));
    assert!(
        refused.stderr.contains(&sri(&signature)),
        "{}",
        refused.stderr
    );
    let declared = User::line("raw").with("--hash", sri(&signature));
    assert_eq!(user.sign(declared), signature);
}
