//! Some outputs fail: the others are there, and the exit code says the worst.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use fetchhost_e2e::{CommandLine, Finished, Nix, Sandbox, sri};
use fetchhost_standin::{Fault, Side};

use super::{files, granted, instantiate, lines, needing, public, realise};
use crate::gateway::serve::Fetch;

#[test]
fn one_failure_stops_no_other_and_the_worst_is_the_exit_code() {
    for nix in Nix::all("one_failure_stops_no_other") {
        let standin = files(&[("/a", b"a"), ("/wrong", b"other")]);
        let elsewhere = files(&[("/x", b"x")]);
        let sandbox = granted(&nix, &standin);
        let wrong = public(&standin, "/wrong", "wrong", &sri(b"wrong"));
        let missing = public(&standin, "/missing", "missing", &sri(b"missing"));
        let denied = public(&elsewhere, "/x", "denied", &sri(b"x"));
        let right = public(&standin, "/a", "right", &sri(b"a"));
        let run = |inputs: &[&str]| {
            let drv = instantiate(&nix, &needing("top", inputs));
            sandbox.run(realise(&[&drv]))
        };
        let all = run(&[&wrong, &missing, &denied, &right]).exits(4);
        assert_eq!(lines(&all).len(), 1, "{}", all.stdout);
        assert!(lines(&all)[0].ends_with("-right"));
        nix.run("nix-store", ["--verify-path", lines(&all)[0]])
            .exits(0);
        for part in [
            "error: `wrong` (ticket ",
            "error: `missing` (ticket ",
            "error: `denied` (ticket ",
            "3 of 4 outputs failed",
            &sri(b"other"),
        ] {
            assert!(all.stderr.contains(part), "no {part} in {}", all.stderr);
        }
        assert_eq!(elsewhere.requests(), []);
        run(&[&denied, &missing]).exits(3);
        run(&[&missing, &right]).exits(1);
        let drv = instantiate(&nix, &needing("top", &[&missing, &right]));
        let quiet = sandbox.run(realise(&[&drv]).flag("--quiet")).exits(1);
        assert!(
            quiet.stderr.contains("error: `missing` "),
            "{}",
            quiet.stderr
        );
        assert!(!quiet.stderr.contains("[1/1]"), "{}", quiet.stderr);

        let drv = instantiate(&nix, &needing("top", &[&wrong, &right]));
        let json = sandbox.run(realise(&[&drv]).flag("--json")).exits(4).json();
        assert_eq!(json["error"]["exitCode"], 4);
        let outputs = json["realised"]["outputs"].as_array().unwrap();
        let failed = outputs
            .iter()
            .find(|one| one["status"] == "failed")
            .unwrap();
        assert_eq!(failed["error"]["kind"], "hash-mismatch");
        assert_eq!(
            outputs
                .iter()
                .filter(|one| one["status"] == "present")
                .count(),
            1
        );
        // Each fetch has a record of its own.
        let ticket = failed["error"]["ticket"].as_str().unwrap();
        let record = sandbox.run(CommandLine::new(["log", ticket])).exits(0);
        assert!(record.stdout.contains("/wrong"), "{}", record.stdout);
    }
}

#[test]
fn nothing_that_a_derivation_says_grants_anything() {
    for nix in Nix::all("nothing_that_a_derivation_says_grants_anything") {
        let (standin, elsewhere) = (files(&[("/a", b"a")]), files(&[("/a", b"a")]));
        let sandbox = granted(&nix, &standin);
        let hash = sri(b"a");
        let fetch = |fetcher: &'static str, params: String| Fetch {
            fetcher,
            mode: "flat",
            name: "a",
            hash: &hash,
            params,
            executable: false,
        };
        let other = elsewhere.url();
        let mirrored = format!(
            "{{\"mirror\":[\"{other}/a\"],\"url\":\"{}/none\"}}",
            standin.url()
        );
        for (fetcher, params, code) in [
            ("http-file", format!("{{\"url\":\"{other}/a\"}}"), 3),
            ("http-file", mirrored, 3),
            (
                "gitlab-file",
                format!("{{\"path\":\"a\",\"project\":\"p\",\"ref\":\"r\",\"url\":\"{other}\"}}"),
                3,
            ),
            (
                "http-file",
                format!("{{\"allow\":\"{other}\",\"url\":\"{other}/a\"}}"),
                2,
            ),
            (
                "http-file",
                "{\"url\":\"file:///etc/passwd\"}".to_owned(),
                2,
            ),
            ("nonsense", "{}".to_owned(), 2),
        ] {
            let drv = instantiate(&nix, &fetch(fetcher, params.clone()).derivation(8459));
            let finished = sandbox.run(realise(&[&drv])).exits(code);
            assert_eq!(finished.stdout, "", "{params}");
            assert_eq!(elsewhere.requests(), [], "{params}");
        }
        // Another name, mode or hash than the derivation's is left to Nix, and not believed.
        let right = fetch("http-file", format!("{{\"url\":\"{}/a\"}}", standin.url()));
        let text = right.derivation(8459);
        standin.take_requests();
        let zeros = format!("outputHash = \"{}\"", sri(b"b"));
        for changed in [
            text.replace("name = \"a\"", "name = \"b\""),
            text.replace(&format!("outputHash = \"{hash}\""), &zeros),
            text.replace(
                "outputHashMode = \"flat\"",
                "outputHashMode = \"recursive\"",
            ),
        ] {
            assert_ne!(changed, text);
            let left = sandbox
                .run(realise(&[&instantiate(&nix, &changed)]))
                .exits(0);
            assert!(
                left.stderr.contains("names another name, mode or hash"),
                "{}",
                left.stderr
            );
        }
        assert_eq!(standin.requests(), []);
    }
}

#[test]
fn a_signal_ends_what_is_under_way_and_keeps_what_is_there() {
    for nix in Nix::all("a_signal_ends_what_is_under_way") {
        let standin = files(&[("/a", b"a"), ("/slow", b"slow")]);
        standin.script(Side::Api, "/slow", Fault::StallAfter(1), 100);
        let sandbox = granted(&nix, &standin);
        let top = needing(
            "top",
            &[
                &public(&standin, "/a", "a", &sri(b"a")),
                &public(&standin, "/slow", "slow", &sri(b"slow")),
            ],
        );
        let mut command = sandbox.command();
        command
            .args(realise(&[&instantiate(&nix, &top)]).into_words())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let run = command.spawn().unwrap();
        let start = Instant::now();
        let is_there = || {
            let entries = std::fs::read_dir(nix.path("nix/store")).unwrap();
            let mut names = entries.map(|entry| entry.unwrap().file_name());
            names.any(|name| name.to_string_lossy().ends_with("-a"))
        };
        while standin.requests().len() < 2 || !is_there() {
            assert!(start.elapsed() < Duration::from_secs(60), "nothing came");
            thread::sleep(Duration::from_millis(20));
        }
        // The file is there before it is valid, and that is before the program knows of it.
        while !nix
            .run("nix-store", ["--check-validity", &path(&nix)])
            .stderr
            .is_empty()
        {
            assert!(start.elapsed() < Duration::from_secs(60), "it is not valid");
            thread::sleep(Duration::from_millis(20));
        }
        // Whether the program knows already or not: what becomes visible is let finish.
        let pid = run.id().to_string();
        let sent = Command::new("kill").args(["-INT", &pid]).status();
        assert!(sent.unwrap().success());
        let finished = Finished::new(&run.wait_with_output().unwrap()).exits(130);
        assert!(
            finished
                .stderr
                .contains("stopped by an interrupt: 1 of 2 outputs failed"),
            "{}",
            finished.stderr
        );
        assert_eq!(lines(&finished), [path(&nix)]);
    }
}

#[test]
fn an_evaluation_that_is_given_up_ends() {
    let sandbox = Sandbox::new();
    let (programs, pid) = (sandbox.path("programs"), sandbox.path("pid"));
    fs::create_dir(&programs).unwrap();
    let program = programs.join("nix-instantiate");
    let script = format!("#!/bin/sh\necho $$ > {}\nexec sleep 600\n", pid.display());
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", programs.display());
    let sandbox = sandbox.variable("PATH", &path);
    let mut command = sandbox.command();
    command
        .args(["realise", "--file", "x.nix"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let run = command.spawn().unwrap();
    let start = Instant::now();
    let evaluation = loop {
        match fs::read_to_string(&pid) {
            Ok(text) if text.ends_with('\n') => break text.trim().to_owned(),
            _ => thread::sleep(Duration::from_millis(20)),
        }
        assert!(start.elapsed() < Duration::from_secs(60), "it never began");
    };
    let kill = |signal: &str, pid: &str| {
        let status = Command::new("kill")
            .args([signal, pid])
            .stderr(Stdio::null())
            .status();
        status.unwrap().success()
    };
    assert!(kill("-TERM", &run.id().to_string()));
    let finished = Finished::new(&run.wait_with_output().unwrap()).exits(143);
    assert!(
        finished
            .stderr
            .contains("stopped by a request to terminate")
    );
    while kill("-0", &evaluation) {
        assert!(start.elapsed() < Duration::from_secs(90), "it goes on");
        thread::sleep(Duration::from_millis(20));
    }
}

/// The store path of the output `a`.
fn path(nix: &Nix) -> String {
    let entries = std::fs::read_dir(nix.path("nix/store")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let name = names.into_iter().find(|name| name.ends_with("-a")).unwrap();
    format!("/nix/store/{name}")
}
