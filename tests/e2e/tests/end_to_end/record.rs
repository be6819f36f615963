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
    let failed = sandbox.run(line().set("--hash", sri(b"else"))).exits(4);

    let listed = other(&sandbox, &["log"]).exits(0).stdout;
    let lines: Vec<&str> = listed.lines().collect();
    assert_eq!(lines.len(), 2, "{listed}");
    assert!(lines[0].contains(run.stdout.trim_end()), "{listed}");
    assert!(lines[1].contains("hash mismatch"), "{listed}");

    let ticket = lines[1].split_whitespace().nth(1).unwrap();
    let failed = failed.says([&format!("`nix-fetchhost log {ticket}`")]);
    assert_eq!(failed.stdout, "");
    let shown = other(&sandbox, &["log", ticket]).exits(0).stdout;
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["exitCode"], 4);
    assert_eq!(shown["fetcher"], "gitlab-artifact");
    // What ran and whom it asked, although it came to nothing.
    assert_eq!(shown["schemaVersion"], 1);
    assert_eq!(shown["module"], "builtin:gitlab");
    assert_eq!(shown["moduleDigest"].as_str().unwrap().len(), 64);
    assert_eq!(shown["contacts"][0]["credential"], "token");
    assert_eq!(shown["contacts"].as_array().unwrap().len(), 2);
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
fn what_was_not_fetched_is_not_attested() {
    let (sandbox, standin) = (Sandbox::new(), private_project());
    let line = CommandLine::tree(&standin).with("--to", sandbox.cache(""));
    sandbox.run(line.clone()).exits(0);
    let file = sandbox.path("statement.json");
    let attested = line.clone().with("--provenance", file.display());
    let copied = attested.clone().with("--to", sandbox.out("copy"));
    for line in [attested.clone(), copied] {
        sandbox
            .run(line)
            .exits(0)
            .says(["nothing was fetched", "`--refetch`"]);
        assert!(!file.exists());
    }
    sandbox.run(attested.flag("--refetch")).exits(0);
    assert!(file.exists());

    standin.take_requests();
    let nowhere = sandbox.path("nowhere/statement.json");
    let line = line.with("--provenance", nowhere.display());
    sandbox
        .run(line.flag("--refetch"))
        .exits(2)
        .says(["--provenance", "hint: "]);
    assert_eq!(standin.requests(), [], "that was known before");
}

#[test]
fn a_failure_names_its_ticket_in_json_too() {
    let (sandbox, standin) = (Sandbox::new(), private_project());
    let line = CommandLine::tree(&standin)
        .with("--to", sandbox.cache(""))
        .set("--hash", sri(b"else"))
        .flag("--json");
    let failed = sandbox.run(line).exits(4).json();
    let ticket = failed["error"]["ticket"].as_str().unwrap();
    other(&sandbox, &["log", ticket]).exits(0);
}

#[test]
fn a_dry_run_explains_the_origin_that_nobody_typed() {
    let sandbox = Sandbox::new();
    let line = CommandLine::new(["run", "gitlab-artifact"])
        .with("--project", "group/project")
        .with("--job-id", "1")
        .with("--hash", TREE_HASH)
        .with("--to", sandbox.cache(""))
        .flag("--dry-run")
        .flag("--json");
    let said = sandbox.run(line).exits(0).json();
    assert_eq!(said["schemaVersion"], 1);
    assert_eq!(said["destinations"][0]["present"], false);
    let destination = said["destinations"][0]["destination"].as_str().unwrap();
    assert!(sandbox.cache("").starts_with(destination), "{destination}");
    let granted = said["granted"][0].as_str().unwrap();
    assert!(granted.contains("https://gitlab.com"), "{granted}");
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
