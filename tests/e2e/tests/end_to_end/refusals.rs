//! What ends before it begins: usage (2), grants (3), and the wrong hash (4).

use std::fs;

use fetchhost_e2e::{CommandLine, Sandbox, TREE_HASH, private_project, sri};
use serde_json::json;

#[test]
fn what_is_wrong_on_the_command_line_is_told_before_anything_is_contacted() {
    type Change = fn(CommandLine) -> CommandLine;
    let wrong: &[(&str, Change, &[&str])] = &[
        (
            "unknown parameter",
            |line| line.with("--colour", "red"),
            &["colour"],
        ),
        (
            "unknown parameter by --param",
            |line| line.with("--param", "colour=red"),
            &["colour"],
        ),
        (
            "number",
            |line| line.set("--job-id", "many"),
            &["job-id", "many"],
        ),
        (
            "number below the minimum",
            |line| line.set("--job-id", "0"),
            &["job-id"],
        ),
        (
            "missing parameter",
            |line| line.without("--project"),
            &["project"],
        ),
        (
            "hash",
            |line| line.set("--hash", "sha256-short="),
            &["hash"],
        ),
        (
            "hash without algorithm",
            |line| line.set("--hash", "0123456789"),
            &["hash"],
        ),
        (
            "hash algorithm",
            |line| line.set("--hash", "md6-AAAA"),
            &["md6"],
        ),
        ("no hash", |line| line.without("--hash"), &["--hash"]),
        ("name", |line| line.with("--name", "a b"), &["a b"]),
        (
            "name with slash",
            |line| line.with("--name", "a/b"),
            &["a/b"],
        ),
        (
            "name of a derivation",
            |line| line.with("--name", "a.drv"),
            &[".drv"],
        ),
        ("mode", |line| line.with("--mode", "round"), &["round"]),
        ("flat tree", |line| line.with("--mode", "flat"), &["flat"]),
        ("url", |line| line.set("--url", "gitlab"), &["url"]),
        (
            "url with password",
            |line| line.set("--url", "http://a:b@127.0.0.1"),
            &[],
        ),
        (
            "destination",
            |line| line.with("--to", "ftp://127.0.0.1/x"),
            &["ftp"],
        ),
        (
            "cache parameter",
            |line| line.with("--to", "file:///x?colour=red"),
            &["colour"],
        ),
        (
            "origin",
            |line| line.set("--allow", "https://*"),
            &["https://*"],
        ),
        (
            "origin with path",
            |line| line.set("--allow", "https://a.example/b"),
            &["--allow"],
        ),
        (
            "credential",
            |line| line.set("--credential", "token"),
            &["token"],
        ),
        (
            "slot",
            |line| line.set("--credential", "toke=env:CANARY_TOKEN"),
            &["toke"],
        ),
        (
            "variable",
            |line| line.set("--credential", "token=env:UNSET"),
            &["UNSET"],
        ),
        (
            "configured",
            // What was typed may be the secret itself, so it is not said again.
            |line| line.set("--credential", "token=nothing"),
            &["token=", "configured"],
        ),
        ("time", |line| line.with("--timeout", "soon"), &["soon"]),
    ];
    for (name, change, parts) in wrong {
        let (sandbox, standin) = (Sandbox::new(), private_project());
        let before = sandbox.files();
        let line = CommandLine::tree(&standin).with("--to", sandbox.cache(""));
        let finished = sandbox.run(change(line));
        assert_eq!(
            finished.code, 2,
            "{name}:\n{}{}",
            finished.stdout, finished.stderr
        );
        for part in *parts {
            assert!(
                finished.stderr.contains(part),
                "{name}: no `{part}` in {}",
                finished.stderr
            );
        }
        assert_eq!(standin.requests(), [], "{name}");
        assert_eq!(sandbox.files(), before, "{name}");
    }
}

#[test]
fn an_unknown_fetcher_is_told_with_the_nearest_name() {
    let (sandbox, standin) = (Sandbox::new(), private_project());
    let url = standin.url();
    let line = CommandLine::new(["run", "gitlab-artefact", "--url", &url, "--hash", TREE_HASH]);
    sandbox
        .run(line)
        .exits(2)
        .says(["gitlab-artefact", "gitlab-artifact"]);
    assert_eq!(standin.requests(), []);
}

#[test]
fn a_redirect_to_an_origin_that_was_not_granted_is_denied_with_what_would_allow_it() {
    let (sandbox, standin) = (Sandbox::new(), private_project());
    let before = sandbox.files();
    let line = CommandLine::tree(&standin)
        .without("--allow")
        .with("--to", sandbox.cache(""));
    let storage = standin.storage_origin();
    let denied = sandbox.run(line.clone()).exits(3).says([
        "hint: ",
        &format!("--allow {storage}"),
        "[[grant]]",
        "builtin:gitlab",
        &format!("redirects = [\"{storage}\"]"),
    ]);
    assert!(
        !denied.stderr.contains("Signature="),
        "a presigned query is a credential"
    );
    assert_eq!(standin.requests().len(), 1, "the storage was not asked");
    assert_eq!(sandbox.files(), before);

    sandbox.run(line.with("--allow", storage)).exits(0);
}

#[test]
fn an_origin_that_nobody_typed_is_denied_with_what_would_allow_it() {
    let (sandbox, standin) = (Sandbox::new(), private_project());
    let params = sandbox.path("params.json");
    fs::write(&params, json!({ "url": standin.url() }).to_string()).unwrap();
    let line = CommandLine::tree(&standin)
        .without("--url")
        .without("--credential")
        .with("--params", params.display())
        .with("--to", sandbox.cache(""));
    let before = sandbox.files();
    let url = standin.url();
    sandbox.run(line).exits(3).says([
        "hint: ",
        &format!("--allow {url}"),
        "[[grant]]",
        &format!("origins = [\"{url}\"]"),
    ]);
    assert_eq!(standin.requests(), []);
    assert_eq!(sandbox.files(), before);
}

#[test]
fn the_wrong_hash_is_told_as_nix_tells_it_and_leaves_nothing() {
    let wrong = sri(b"something else");
    for json in [false, true] {
        let (sandbox, standin) = (Sandbox::new(), private_project());
        let before = sandbox.files();
        let mut line = CommandLine::tree(&standin)
            .set("--hash", &wrong)
            .with("--to", sandbox.cache(""))
            .with("--to", sandbox.cache("compression=zstd"))
            .with("--to", sandbox.out("tree"));
        if json {
            line = line.flag("--json");
        }
        let finished = sandbox.run(line).exits(4);
        if json {
            assert_eq!(finished.json()["error"]["exitCode"], 4);
            assert_eq!(finished.json()["error"]["kind"], "hash-mismatch");
        } else {
            let got = format!("got:    {TREE_HASH}");
            let finished = finished.says([&format!("specified: {wrong}"), &got, "/nix/store/"]);
            assert_eq!(finished.stdout, "");
        }
        assert_eq!(sandbox.files(), before);
        for path in ["cache", "tree"] {
            assert!(!sandbox.path(path).exists(), "not even an empty {path}");
        }
        assert_eq!(fs::read_dir(sandbox.path("tmp")).unwrap().count(), 0);
    }
}

#[test]
fn the_wrong_hash_leaves_a_cache_with_other_paths_as_it_was() {
    let (sandbox, standin) = (Sandbox::new(), private_project());
    sandbox
        .run(CommandLine::member(&standin).with("--to", sandbox.cache("")))
        .exits(0);
    let before = sandbox.files();
    let line = CommandLine::zip(&standin)
        .set("--hash", sri(b"else"))
        .with("--to", sandbox.cache(""));
    sandbox.run(line).exits(4);
    assert_eq!(sandbox.files(), before);
}

#[test]
fn a_configuration_with_a_mistake_is_told_by_file_and_line() {
    let sandbox = Sandbox::new().configured("# mine\n[[grant]]\nmodul = \"builtin:gitlab\"\n");
    let finished = sandbox.run(CommandLine::new(["config", "check"])).exits(2);
    finished.says(["config.toml:3:", "modul", "module"]);
}

#[test]
fn a_configuration_that_others_can_write_is_not_read() {
    use std::os::unix::fs::PermissionsExt as _;
    let (sandbox, standin) = (Sandbox::new().configured(""), private_project());
    let file = sandbox.path("config/nix-fetchhost/config.toml");
    fs::set_permissions(file, fs::Permissions::from_mode(0o666)).unwrap();
    let line = CommandLine::tree(&standin).with("--to", sandbox.cache(""));
    sandbox.run(line).exits(2).says(["config.toml"]);
    assert_eq!(standin.requests(), []);
}

#[test]
fn a_hash_of_the_other_mode_is_told_as_such() {
    let (sandbox, standin) = (Sandbox::new(), private_project());
    let line = CommandLine::member(&standin).with("--to", sandbox.out("member"));
    let fetched = sandbox.run(line.clone().flag("--json")).exits(0).json();
    let (flat, nar) = (&fetched["hash"], &fetched["narHash"]);
    let (flat, nar) = (flat.as_str().unwrap(), nar.as_str().unwrap());

    let wrong = line.clone().set("--hash", nar);
    sandbox.run(wrong.clone()).exits(4).says([
        "the declared hash is that of the NAR, and the mode is `flat`",
        "use `--mode nar`",
    ]);
    sandbox.run(wrong.with("--mode", "nar")).exits(0);

    // Here the other hash is not computed.
    let wrong = line.with("--mode", "nar").set("--hash", flat);
    sandbox.run(wrong).exits(4).says([
        "both hashes are over the NAR (the mode is `nar`)",
        "use `--mode flat`",
    ]);
}
