//! `nix-fetchhost serve`, asked by real Nix: ordinary fixed-output derivations, in pure evaluation and with
//! the sandbox on.

pub(crate) mod daemon;
mod process;
pub(crate) mod serve;
mod substituter;
pub(crate) mod upstreams;
pub(crate) mod users;

use std::fs;

use fetchhost_e2e::{
    CommandLine, Finished, Nix, Sandbox, Secret, TOKEN, TREE_HASH, member_content, nix_string,
    private_project, sri, workspace,
};
use fetchhost_standin::{Standin, sample};
use serde_json::json;

use serve::{Fetch, Serve, configuration};

/// The parameters of the sample artifact, with one file of it or all.
fn artifact(standin: &Standin, path: Option<&str>) -> String {
    let mut params = json!({
        "job-id": sample::JOB_ID,
        "project": sample::PROJECT,
        "url": standin.url(),
    });
    if let Some(path) = path {
        params["path"] = path.into();
    }
    params.to_string()
}

fn member<'a>(standin: &Standin, hash: &'a str) -> Fetch<'a> {
    Fetch {
        fetcher: "gitlab-artifact",
        mode: "flat",
        name: "manual.txt",
        hash,
        params: artifact(standin, Some(sample::MEMBER)),
        executable: false,
    }
}

fn tree(standin: &Standin) -> Fetch<'static> {
    Fetch {
        fetcher: "gitlab-artifact",
        mode: "nar",
        name: "source",
        hash: TREE_HASH,
        params: artifact(standin, None),
        executable: false,
    }
}

/// Builds in pure evaluation, with the sandbox on.
#[track_caller]
fn build(nix: &Nix, expression: &str) -> Finished {
    let arguments = [
        "--no-out-link",
        "--option",
        "sandbox",
        "true",
        "--option",
        "pure-eval",
        "true",
        "--option",
        "connect-timeout",
        "5",
        "--expr",
        expression,
    ];
    nix.run("nix-build", arguments)
}

/// Builds with the sandbox on, in impure evaluation: what reads a file by its path is pure within a flake only.
#[track_caller]
pub(crate) fn build_impurely(nix: &Nix, expression: &str) -> Finished {
    let arguments = [
        "--no-out-link",
        "--option",
        "sandbox",
        "true",
        "--expr",
        expression,
    ];
    nix.run("nix-build", arguments)
}

/// A sandbox whose configuration grants the stand-in.
fn granted(standin: &Standin) -> Sandbox {
    Sandbox::new()
        .own_cache()
        .configured(&configuration(standin, ""))
}

#[test]
fn a_file_and_a_tree_are_built_and_fetched_once_for_all() {
    let standin = private_project();
    let sandbox = granted(&standin);
    let serve = Serve::start(&sandbox);
    let hash = sri(member_content().as_bytes());
    for (round, nix) in Nix::all("a_file_and_a_tree_are_built").iter().enumerate() {
        let version = &nix.installation.version;
        let built = build(nix, &serve.derivation(&member(&standin, &hash))).exits(0);
        let file = built.stdout.trim_end();
        assert_eq!(
            fs::read_to_string(nix.physical(file)).unwrap(),
            member_content(),
            "{version}"
        );
        let built = build(nix, &serve.derivation(&tree(&standin))).exits(0);
        let folder = built.stdout.trim_end();
        for path in [file, folder] {
            nix.run("nix-store", ["--verify-path", path]).exits(0);
        }
        let asked = nix.run(
            "nix",
            ["hash", "path", nix.physical(folder).to_str().unwrap()],
        );
        assert_eq!(asked.exits(0).stdout.trim_end(), TREE_HASH, "{version}");
        let requests = standin.take_requests();
        assert_eq!(requests.is_empty(), round > 0, "{version}: {requests:?}");
    }
    // `run` has the same thing under the same store path.
    let line = CommandLine::tree(&standin).with("--to", sandbox.cache(""));
    let path = sandbox.run(line).exits(0).stdout;
    assert!(
        serve.said().contains("`source` for you fetched"),
        "{}",
        serve.said()
    );
    assert!(path.trim_end().ends_with("-source"));
}

#[test]
fn the_functions_for_nix_users_ask_the_gateway() {
    let standin = private_project();
    let sandbox = granted(&standin);
    let serve = Serve::start(&sandbox);
    let functions = workspace().join("nix/fetchhost.nix");
    let job = format!(
        "url = {}; project = {}; job-id = {};",
        nix_string(&standin.url()),
        nix_string(sample::PROJECT),
        sample::JOB_ID
    );
    let hash = sri(member_content().as_bytes());
    for nix in Nix::all("the_functions_for_nix_users_ask_the_gateway") {
        let fetch = |arguments: &str| {
            let port = serve.address.port();
            let expression = format!(
                "(import {} {{ port = {port}; }}).fetchGitLabArtifact {{ {job} {arguments} }}",
                functions.display()
            );
            build_impurely(&nix, &expression)
                .exits(0)
                .stdout
                .trim_end()
                .to_owned()
        };
        let file = fetch(&format!(
            "path = {}; hash = \"{hash}\";",
            nix_string(sample::MEMBER)
        ));
        assert!(file.ends_with("-manual.txt"), "{file}");
        assert_eq!(
            fs::read_to_string(nix.physical(&file)).unwrap(),
            member_content()
        );
        let tree = fetch(&format!("hash = \"{TREE_HASH}\";"));
        nix.run("nix-store", ["--verify-path", &tree]).exits(0);
    }
}

#[test]
fn an_executable_is_built_as_a_nar() {
    let script = b"#!/bin/sh\necho hello\n";
    let config = fetchhost_standin::Config::new("none").public_file("/tool", &script[..]);
    let standin = Standin::start(config).unwrap();
    let sandbox = granted(&standin);
    let serve = Serve::start(&sandbox);
    for nix in Nix::all("an_executable_is_built_as_a_nar") {
        let file = nix.path("tool");
        fs::write(&file, script).unwrap();
        let mut permissions = fs::metadata(&file).unwrap().permissions();
        std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o755);
        fs::set_permissions(&file, permissions).unwrap();
        let hash = nix.ask("nix", ["hash", "path", file.to_str().unwrap()]);
        let fetch = Fetch {
            fetcher: "http-file",
            mode: "nar",
            name: "tool",
            hash: &hash,
            params: json!({ "url": format!("{}/tool", standin.url()) }).to_string(),
            executable: true,
        };
        let built = build(&nix, &serve.derivation(&fetch)).exits(0);
        let built = nix.physical(built.stdout.trim_end());
        assert_eq!(nix.dump(&built), nix.dump(&file));
    }
}

#[test]
fn what_nix_prints_when_nobody_listens_says_what_to_do() {
    let standin = private_project();
    for nix in Nix::all("what_nix_prints_when_nobody_listens") {
        // A port that was free a moment ago.
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .unwrap()
            .port();
        let hash = sri(member_content().as_bytes());
        build(&nix, &member(&standin, &hash).derivation(port))
            .exits(1)
            .says(["/start-nix-fetchhost-serve/"]);
    }
}

#[test]
fn a_wrong_hash_is_no_store_path_and_its_ticket_tells_why() {
    let standin = private_project();
    let sandbox = granted(&standin);
    let serve = Serve::start(&sandbox);
    let (wrong, right) = (sri(b"guess"), sri(member_content().as_bytes()));
    for nix in Nix::all("a_wrong_hash_is_no_store_path") {
        let expression = serve.derivation(&member(&standin, &wrong));
        let failed = build(&nix, &expression);
        assert_ne!(failed.code, 0);
        let drv = nix.ask("nix-instantiate", ["--expr", &expression]);
        let out = nix.ask("nix-store", ["--query", "--outputs", &drv]);
        assert!(!nix.physical(&out).exists(), "{out}");

        let ticket = serve.ticket("`manual.txt` for you failed");
        let record = sandbox.run(CommandLine::new(["log", &ticket])).exits(0);
        for text in [&record.stdout, &serve.said()] {
            assert!(
                text.contains("hash mismatch") && text.contains(&right),
                "{text}"
            );
        }
        // Nix shows the body at once, or keeps it in the build's log.
        let log = nix.run("nix", ["log", &drv]);
        let shown = format!("{}{}{}", failed.stderr, log.stdout, log.stderr);
        assert!(
            shown.contains(&right),
            "{}: {shown}",
            nix.installation.version
        );
        assert!(
            shown.contains(&ticket),
            "{}: {shown}",
            nix.installation.version
        );
    }
}

#[test]
fn what_is_not_granted_contacts_nobody() {
    let standin = private_project();
    let sandbox = Sandbox::new().own_cache();
    let serve = Serve::start(&sandbox);
    let hash = sri(member_content().as_bytes());
    let answer = serve.get(&path_of(&serve.url(&member(&standin, &hash))));
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    // The owner is shown the lines that would grant it.
    for text in ["[[grant]]", "builtin:gitlab", standin.api_origin()] {
        assert!(answer.contains(text), "no {text} in {answer}");
    }
    for (fetcher, params) in [
        ("gitlab-artifact", json!({ "project": 1 })),
        (
            "gitlab-artifact",
            json!({ "project": "p", "job-id": 1, "credential": "x\u{1b}[31m" }),
        ),
        ("no-such-fetcher", json!({})),
    ] {
        let fetch = Fetch {
            fetcher,
            params: params.to_string(),
            ..member(&standin, &hash)
        };
        let answer = serve.get(&path_of(&serve.url(&fetch)));
        assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
        assert!(!answer.contains('\u{1b}'), "{answer}");
    }
    let tree_as_flat = Fetch {
        mode: "flat",
        ..tree(&standin)
    };
    let answer = serve.get(&path_of(&serve.url(&tree_as_flat)));
    assert!(answer.contains("no flat hash"), "{answer}");
    assert_eq!(standin.requests(), []);
    assert!(!serve.said().contains('\u{1b}'), "{}", serve.said());
}

#[test]
fn what_was_fetched_needs_its_grant_later_too() {
    let standin = private_project();
    let sandbox = granted(&standin);
    let hash = sri(member_content().as_bytes());
    let fetch = member(&standin, &hash);
    let serve = Serve::start(&sandbox);
    let answer = serve.get(&path_of(&serve.url(&fetch)));
    assert!(answer.ends_with(member_content()), "{answer}");
    drop(serve);

    let sandbox = sandbox.configured("");
    let serve = Serve::start(&sandbox);
    let answer = serve.get(&path_of(&serve.url(&fetch)));
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
}

#[test]
fn the_token_is_nowhere_but_upstream() {
    let standin = private_project();
    let sandbox = granted(&standin);
    let serve = Serve::start(&sandbox);
    let secret = Secret::new("token", TOKEN);
    for nix in Nix::all("the_token_is_nowhere_but_upstream") {
        let expression = serve.derivation(&tree(&standin));
        build(&nix, &expression).exits(0);
        let wrong = serve.derivation(&member(&standin, &sri(b"guess")));
        let failed = build(&nix, &wrong);
        secret.is_not_in("Nix's output", failed.stderr.as_bytes());
        secret.is_not_below(&nix.path("nix"));
    }
    let sent = standin.requests();
    assert!(
        sent.iter()
            .any(|request| request.header("private-token") == Some(TOKEN))
    );
    secret.is_not_in("the metrics", serve.get("/metrics").as_bytes());
    secret.is_not_below(&sandbox.path(""));
}

/// A URL without scheme and host.
fn path_of(url: &str) -> String {
    let rest = url.split_once("://").unwrap().1;
    format!("/{}", rest.split_once('/').unwrap().1)
}
