//! Keys and what opens them are nowhere but where the user put them.

use std::fs;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fetchhost_e2e::{CommandLine, Finished, Sandbox, Secret, Terminal};

use super::user::{User, have, key, known, minisign_key, pkcs8_key, seed};

const PASSPHRASE: &str = "canary of a Passphrase, 7 words long";

/// A user who is told everything, and has what is remembered in a shared place too. Keys lie in another sandbox.
fn talkative(config: &str) -> User {
    let sandbox = Sandbox::new()
        .variable("RUST_LOG", "trace")
        .variable("RUST_BACKTRACE", "full");
    let user = User::of(sandbox);
    let memo = format!("\n[memo]\ncache = \"file://{}\"\n", user.at("shared"));
    user.configure(&format!("{config}{memo}"));
    user
}

#[track_caller]
fn nothing_leaked(user: &User, secrets: &[Secret], said: &[&[u8]]) {
    for secret in secrets {
        for said in said {
            secret.is_not_in("what it said", said);
        }
        secret.is_not_below(&user.path(""));
        let command = user.sandbox.command();
        let mut variables = command.get_envs();
        let (_, cache) = variables
            .find(|(name, _)| *name == "XDG_CACHE_HOME")
            .unwrap();
        secret.is_not_below(cache.unwrap().as_ref());
    }
}

/// A key's file as its lines, and what is secret in it.
fn secrets(file: &str, seed: &[u8]) -> Vec<Secret> {
    let mut secrets = vec![Secret::new("seed", seed)];
    let lines = file.lines().filter(|line| line.len() > 30);
    let lines = lines.filter(|line| !line.starts_with('-') && !line.contains("comment"));
    secrets.extend(lines.map(|line| Secret::new("key file", line)));
    secrets
}

#[test]
fn a_key_is_in_nothing_that_a_run_says_or_leaves() {
    let safe = User::new();
    let files = [("minisign", minisign_key(0).0), ("raw", pkcs8_key(0))];
    for (format, file) in files {
        let source = safe.file(format, &file);
        let user = talkative(&key("release", &source, &[format]));
        let secrets = secrets(&file, &seed(0));
        for (json, more) in [(false, "a"), (true, "b")] {
            user.write("content", format!("a content {more}"));
            let (to, path) = user.fresh();
            let line = User::line(format)
                .with("--to", to)
                .with("--to", user.sandbox.cache(""))
                .with("--provenance", user.at("statement"))
                .flag("-vvv");
            let line = if json { line.flag("--json") } else { line };
            let done = user.run(line).exits(0);
            assert!(path.exists() && user.path("shared/memo").exists());
            let said = [done.stdout.as_bytes(), done.stderr.as_bytes()];
            nothing_leaked(&user, &secrets, &said);
        }
        let log = user.run(CommandLine::new(["log"])).exits(0);
        nothing_leaked(&user, &secrets, &[log.stdout.as_bytes()]);
        let shown = user.run(CommandLine::new(["config", "show"])).exits(0);
        nothing_leaked(&user, &secrets, &[shown.stdout.as_bytes()]);
    }
}

#[test]
fn a_key_is_in_no_failure() {
    let safe = User::new();
    let file = minisign_key(0).0;
    let encoded = file.lines().nth(1).unwrap();
    let mut bytes = STANDARD.decode(encoded).unwrap();
    // The seed is whole, and the rest does not belong to it.
    bytes[100] ^= 1;
    let damaged = format!("untrusted comment: a key\n{}\n", STANDARD.encode(bytes));
    for file in [&damaged, &file.replace('\n', " "), &file[10..].to_owned()] {
        let source = safe.file("damaged", file);
        let user = talkative(&key("release", &source, &["minisign"]));
        let line = User::line("minisign").flag("-vvv");
        let failed = user
            .run(line.with("--to", user.sandbox.out("result")))
            .exits(2);
        let said = [failed.stdout.as_bytes(), failed.stderr.as_bytes()];
        nothing_leaked(&user, &[Secret::new("seed", seed(0))], &said);
    }
}

#[test]
fn a_passphrase_is_typed_and_nowhere_else() {
    let test = "a_passphrase_is_typed_and_nowhere_else";
    if !have(test, &["openssl"]) {
        return;
    }
    let safe = User::new();
    safe.file("k", &pkcs8_key(0));
    let pass = format!("pass:{PASSPHRASE}");
    let lock = [
        "pkcs8", "-topk8", "-in", "k", "-out", "e", "-passout", &pass,
    ];
    safe.succeed("openssl", &lock, b"");
    safe.write("e", safe.read("e"));
    safe.succeed(
        "openssl",
        &["pkey", "-in", "k", "-pubout", "-out", "k.pub"],
        b"",
    );
    let public = safe.text("k.pub");
    let user = talkative(&known("release", &safe.source("e"), &["raw"], &public));
    let secrets = [
        Secret::new("passphrase", PASSPHRASE),
        Secret::new("seed", seed(0)),
    ];
    for (typed, expected) in [(&PASSPHRASE[1..], 2), (PASSPHRASE, 0)] {
        let (to, path) = user.fresh();
        let line = User::line("raw")
            .with("--to", to)
            .flag("-vvv")
            .flag("--json");
        let mut terminal = Terminal::start(&user.sandbox, line);
        let pid = terminal.asks("Passphrase of ");
        assert!(has_no_core_file(pid));
        terminal.answer("Passphrase of ", typed);
        let (code, shown) = terminal.end();
        assert_eq!(code, expected, "{shown}");
        assert_eq!(path.exists(), code == 0);
        let stdout = user.read("stdout");
        nothing_leaked(&user, &secrets, &[shown.as_bytes(), &stdout]);
        let almost = Secret::new("wrong passphrase", &PASSPHRASE[1..]);
        nothing_leaked(&user, &[almost], &[shown.as_bytes(), &stdout]);
    }
}

#[test]
fn a_process_that_signs_leaves_no_core_file() {
    let user = User::with_minisign();
    user.succeed("mkfifo", &["statement"], b"");
    let (to, path) = user.fresh();
    let line = User::line("minisign")
        .with("--to", to)
        .with("--provenance", "statement");
    let mut command = user.sandbox.command();
    let process = command.args(line.into_words()).spawn().unwrap();
    // It has signed, and waits for who reads the statement.
    let begin = Instant::now();
    while !path.exists() {
        assert!(
            begin.elapsed() < Duration::from_secs(60),
            "nothing is signed"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(has_no_core_file(process.id()));
    user.text("statement");
    Finished::new(&process.wait_with_output().unwrap()).exits(0);
}

/// Whether a process leaves none when it is killed.
fn has_no_core_file(process: u32) -> bool {
    let limits = fs::read_to_string(format!("/proc/{process}/limits")).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"));
    core.unwrap().split_whitespace().nth(4) == Some("0")
}
