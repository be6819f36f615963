//! What is said and kept about a run: the record, the statement of provenance, the dry run.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use fetchhost_e2e::{CommandLine, Finished, Sandbox, TREE_HASH, private_project, sri};
use serde_json::Value;

fn other(sandbox: &Sandbox, words: &[&str]) -> Finished {
    Finished::new(&sandbox.command().args(words).output().unwrap())
}

#[test]
fn every_run_is_recorded_and_shown_by_its_ticket() {
    let (sandbox, standin) = (Sandbox::new(), private_project());
    let line = || CommandLine::tree(&standin).with("--to", sandbox.cache(""));
    let run = sandbox.run(line()).exits(0);
    sandbox.run(line().set("--hash", sri(b"else"))).exits(4);

    let listed = other(&sandbox, &["log"]).exits(0).stdout;
    let lines: Vec<&str> = listed.lines().collect();
    assert_eq!(lines.len(), 2, "{listed}");
    assert!(lines[0].contains(run.stdout.trim_end()), "{listed}");
    assert!(lines[1].contains("hash mismatch"), "{listed}");

    let ticket = lines[1].split_whitespace().nth(1).unwrap();
    let shown = other(&sandbox, &["log", ticket]).exits(0).stdout;
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["exitCode"], 4);
    assert_eq!(shown["fetcher"], "gitlab-artifact");
    assert!(
        shown["error"]["error"]["message"]
            .as_str()
            .unwrap()
            .contains("specified:")
    );
    other(&sandbox, &["log", "nonsense"])
        .exits(2)
        .says(["nonsense"]);

    let file = sandbox.path("home/.local/state/nix-fetchhost/log.jsonl");
    assert_eq!(
        fs::metadata(file).unwrap().permissions().mode() & 0o777,
        0o600
    );
}

#[test]
fn the_statement_of_provenance_names_output_module_and_who_was_asked() {
    let (sandbox, standin) = (Sandbox::new(), private_project());
    let file = sandbox.path("statement.json");
    let line = CommandLine::tree(&standin)
        .with("--to", sandbox.cache(""))
        .with("--provenance", file.display().to_string());
    let run = sandbox.run(line).exits(0);
    let statement: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    assert_eq!(statement["_type"], "https://in-toto.io/Statement/v1");
    assert_eq!(statement["subject"][0]["name"], run.stdout.trim_end());
    assert_eq!(statement["subject"][0]["annotations"]["narHash"], TREE_HASH);
    let dependencies = &statement["predicate"]["buildDefinition"]["resolvedDependencies"];
    assert_eq!(dependencies[0]["name"], "builtin:gitlab");
    let storage = dependencies[2]["uri"].as_str().unwrap();
    assert!(storage.starts_with(standin.storage_origin()), "{storage}");
    assert!(!storage.contains("Signature"), "{storage}");
}

#[test]
fn a_dry_run_says_what_would_be_done_and_contacts_nobody() {
    let (sandbox, standin) = (Sandbox::new(), private_project());
    let before = sandbox.files();
    let line = CommandLine::tree(&standin)
        .with("--to", sandbox.cache(""))
        .flag("--dry-run");
    let said = sandbox.run(line).exits(0).stdout;
    for part in [
        "/nix/store/",
        "builtin:gitlab",
        "would be written",
        standin.api_origin(),
    ] {
        assert!(said.contains(part), "no `{part}` in {said}");
    }
    assert_eq!(standin.requests(), []);
    assert_eq!(sandbox.files(), before);
}

#[test]
fn the_doctor_finds_a_broken_certificate_bundle() {
    let sandbox = Sandbox::new();
    other(&sandbox, &["doctor"]).exits(0);
    let sandbox = sandbox.variable("NIX_SSL_CERT_FILE", "/nonexistent/bundle.pem");
    let found = other(&sandbox, &["doctor"]).exits(1);
    assert!(
        found.stdout.contains("/nonexistent/bundle.pem"),
        "{}",
        found.stdout
    );
}

#[test]
fn completions_and_manual_pages_know_the_commands() {
    let sandbox = Sandbox::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = other(&sandbox, &["completions", shell]).exits(0).stdout;
        assert!(script.contains("prefetch"), "{shell}");
    }
    let page = other(&sandbox, &["man"]).exits(0).stdout;
    assert!(page.starts_with(".ie") && page.contains("prefetch"));
}

#[test]
fn internal_json_is_all_that_stderr_holds_when_it_was_asked_for() {
    let (sandbox, standin) = (Sandbox::new(), private_project());
    let line = || {
        CommandLine::tree(&standin)
            .with("--to", sandbox.cache(""))
            .with("--log-format", "internal-json")
            .flag("-vvv")
    };
    let good = sandbox.run(line()).exits(0);
    let bad = sandbox.run(line().set("--hash", sri(b"else"))).exits(4);
    let mut actions = Vec::new();
    for text in [&good.stderr, &bad.stderr] {
        for line in text.lines() {
            let event = line
                .strip_prefix("@nix ")
                .unwrap_or_else(|| panic!("{line}"));
            let event: Value = serde_json::from_str(event).unwrap();
            actions.push(event["action"].as_str().unwrap().to_owned());
            let is_error = event["level"] == 0;
            assert!(
                !is_error || event["msg"].as_str().unwrap().contains("specified:"),
                "{event}"
            );
        }
    }
    for action in ["msg", "start", "result", "stop"] {
        assert!(
            actions.iter().any(|found| found == action),
            "{action}: {actions:?}"
        );
    }
}
