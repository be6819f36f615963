//! What a Nix user imports from `nix/`, judged by real Nix.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use fetchhost_e2e::{CommandLine, Nix, Sandbox, nix_string, sri, workspace};
use fetchhost_standin::{Config, Standin};
use serde_json::{Value, json};

/// What Nix makes of an expression in which `fetchhost` is `nix/fetchhost.nix` and `data` is this JSON.
#[track_caller]
pub(super) fn evaluate(nix: &Nix, data: &Value, expression: &str) -> Value {
    let expression = format!(
        "let fetchhost = import {}/nix/fetchhost.nix; data = builtins.fromJSON {}; in {expression}",
        workspace().display(),
        nix_string(&data.to_string())
    );
    let arguments = ["--eval", "--strict", "--json", "--expr", &expression];
    serde_json::from_str(&nix.ask("nix-instantiate", arguments)).unwrap()
}

/// What `run --dry-run` says of a fetch: its store path, or that it is refused.
fn by_the_modules_rules(sandbox: &Sandbox, case: &Value) -> Value {
    let params = sandbox.path("params.json");
    fs::write(&params, case["params"].to_string()).unwrap();
    let mut line = CommandLine::new(["run", case["fetcher"].as_str().unwrap()])
        .with("--params", params.display())
        .with("--hash", case["hash"].as_str().unwrap())
        .with("--to", sandbox.out("never-written"))
        .flag("--dry-run")
        .flag("--json");
    for name in ["name", "mode"] {
        if let Some(value) = case[name].as_str() {
            line = line.flag(&format!("--{name}={value}"));
        }
    }
    if case["executable"] == true {
        line = line.flag("--executable");
    }
    let finished = sandbox.run(line);
    match finished.code {
        0 => finished.json()["storePath"].clone(),
        2 => Value::Null,
        code => panic!("exit code {code} for {case}: {}", finished.stderr),
    }
}

/// The longest name of a fixed output, in bytes. A path may have four more, which a derivation needs for `.drv`.
const LONGEST_NAME: usize = 207;

/// Parameters that try every rule of every fetcher, and names with all that can be wrong with them.
fn cases() -> Vec<Value> {
    let artifact = |more: Value| {
        let mut params = json!({ "project": "group/project", "job-id": 7 });
        params
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        json!({ "fetcher": "gitlab-artifact", "params": params })
    };
    let mut cases = vec![
        artifact(json!({})),
        artifact(json!({ "unpack": true, "strip-components": 1 })),
        artifact(json!({ "unpack": false })),
        artifact(json!({ "unpack": false, "path": "dist/app.tar.gz" })),
        json!({ "fetcher": "gitlab-archive", "params": { "project": "1", "ref": "v1" } }),
        json!({ "fetcher": "gitlab-file", "params": { "project": "1", "ref": "v1", "path": "a/b.txt" } }),
        json!({ "fetcher": "gitlab-package", "params": { "project": "1", "package": "p", "version": "1", "file": "x86 64/p.bin" } }),
        json!({ "fetcher": "gitlab-release", "params": { "project": "1", "tag": "v1", "asset": "engine (Linux)" } }),
        json!({ "fetcher": "http-file", "params": { "url": "https://a.example/x.tar", "unpack": true } }),
        json!({ "fetcher": "http-file", "params": { "url": "https://a.example/x.tar", "unpack": false } }),
    ];
    let long = "x".repeat(LONGEST_NAME);
    for path in [
        "a",
        "a/",
        "a//",
        "/a",
        "/",
        "",
        "a/b//c///",
        "ü/ö ä~.txt",
        "a\nb\tc",
        "\u{1}\u{7f}",
        "\"${x}\"'\\",
        "日本語",
        "a%20b",
        "a?b#c",
        "a://b/c?d",
        "://x/y",
        "x://",
        ".",
        "..",
        ".-a",
        "..-a",
        "...",
        ".config",
        "x.drv",
        "x.drv/",
        ".drv",
        &long,
        &format!("{long}12345"),
        "+-._?=",
    ] {
        cases.push(artifact(json!({ "path": path })));
    }
    for url in [
        "https://a.example",
        "https://a.example/",
        "https://a.example/x?y=/z",
        "https://a.example?x/y",
        "https://a.example#x/y",
        "https://a.example/x#/y?z",
        "https://a.example/a/b.tar.gz/?q",
        "http://h:1/a://b",
        "https://a.example/x%2e%2ey",
        "https://a.example/é?",
    ] {
        cases.push(json!({ "fetcher": "http-file", "params": { "url": url } }));
    }
    for (name, mode, executable) in [
        (Some("given"), None, false),
        (Some("given"), Some("nar"), false),
        (None, Some("flat"), false),
        (None, None, true),
        (None, Some("nar"), true),
        (None, Some("flat"), true),
        (Some(""), None, false),
        (Some("a b"), None, false),
        (Some("..-x"), None, false),
        (Some("x.drv"), None, false),
        (Some(&long), None, false),
        (Some("é"), None, false),
        (None, Some("tree"), false),
        (None, Some(""), false),
    ] {
        for unpack in [false, true] {
            cases.push(json!({
                "fetcher": "http-file", "params": { "url": "https://a.example/x", "unpack": unpack },
                "name": name, "mode": mode, "executable": executable,
            }));
        }
    }
    for case in &mut cases {
        case["hash"] = json!(sri(b"x"));
    }
    cases
}

#[test]
fn nix_comes_to_the_mode_and_name_that_the_modules_rules_give() {
    let judges = Nix::all("nix_comes_to_the_mode_and_name");
    if judges.is_empty() {
        return;
    }
    let (sandbox, cases) = (Sandbox::new(), cases());
    let ours: Vec<Value> = cases
        .iter()
        .map(|case| by_the_modules_rules(&sandbox, case))
        .collect();
    let refused = ours.iter().filter(|path| path.is_null()).count();
    assert!(
        refused > 10 && ours.len() - refused > 40,
        "{refused} of {}",
        ours.len()
    );
    for nix in judges {
        let expression = "map (case: let tried = builtins.tryEval ((fetchhost { }).fetch case).outPath; in \
                          if tried.success then tried.value else null) data";
        let theirs = evaluate(&nix, &json!(cases), expression);
        // Nix would fail in a way that no expression can catch.
        let mut longer = cases[0].clone();
        longer["name"] = json!("x".repeat(LONGEST_NAME + 1));
        let refused = "(builtins.tryEval ((fetchhost { }).fetch data).outPath).success";
        assert_eq!(evaluate(&nix, &longer, refused), false);
        for ((case, ours), theirs) in cases.iter().zip(&ours).zip(theirs.as_array().unwrap()) {
            assert_eq!(ours, theirs, "{case}, {}", nix.installation.version);
        }
    }
}

#[test]
fn each_fetcher_has_a_function_that_checks_its_parameters() {
    for nix in Nix::all("each_fetcher_has_a_function") {
        let table = fs::read_to_string(workspace().join("nix/defaults.json")).unwrap();
        let table: Value = serde_json::from_str(&table).unwrap();
        let functions: Vec<Value> = table.as_object().unwrap().iter().filter(|(_, row)| row["signs"] == false).map(|(fetcher, _)| {
            let words = fetcher.split('-').map(|word| match word {
                "gitlab" => "GitLab".to_owned(),
                word => word[..1].to_uppercase() + &word[1..],
            });
            json!({ "fetcher": fetcher, "function": format!("fetch{}", words.collect::<String>()) })
        }).collect();
        let data = json!({ "table": table, "functions": functions, "hash": sri(b"x") });
        let expression = "map ({ fetcher, function }: let
            call = (fetchhost { }).${function};
            params = builtins.listToAttrs (map (name: { inherit name; value = \"v\"; }) data.table.${fetcher}.required);
            fails = args: !(builtins.tryEval (call args).outPath).success;
          in [
            ((call (params // { inherit (data) hash; lfs = null; })).drvPath == ((fetchhost { }).fetch { inherit fetcher params; inherit (data) hash; }).drvPath)
            (fails params)
            (fails { inherit (data) hash; })
            (fails (params // { inherit (data) hash; misspelt = 1; }))
          ]) data.functions";
        let judged = evaluate(&nix, &data, expression);
        for (function, judged) in functions.iter().zip(judged.as_array().unwrap()) {
            assert_eq!(*judged, json!([true, true, true, true]), "{function}");
        }
    }
}

/// Percent-encoding by the rule of the gateway's URLs.
fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

#[test]
fn the_url_carries_the_fetch_in_its_one_encoding() {
    for nix in Nix::all("the_url_carries_the_fetch") {
        let every: String = (1..128_u8).map(char::from).collect();
        let hash = sri(b"x");
        let data = json!({
            "plain": { "fetcher": "http-file", "params": { "url": "https://a.example/x" }, "hash": hash },
            "all": {
                "fetcher": every, "params": { "b": [1, true, null], "a": "\"${x}\\\n~*'()!+ &=%41" }, "hash": hash,
                "name": "a+b=c?", "mode": "nar", "executable": true,
            },
            "foreign": { "fetcher": "é", "params": {}, "hash": hash, "name": "n", "mode": "flat" },
        });
        let expression = "{
            plain = ((fetchhost { }).fetch data.plain).url;
            all = ((fetchhost { port = 1234; owner = \"0123456789abcdef\"; }).fetch data.all).url;
            foreign = ((fetchhost { }).fetch data.foreign).url;
            owners = map (owner: (builtins.tryEval ((fetchhost { inherit owner; }).fetch data.plain).url).success)
              [ \"\" 1 \"0123456789ABCDEF\" \"0123456789abcdef0\" \"0123456789abcdef\" ];
          }";
        let urls = evaluate(&nix, &data, expression);
        let start = |port: u16, fetcher: &str, mode: &str, name: &str, params: &str| {
            format!(
                "http://127.0.0.1:{port}/v1/fetch/start-nix-fetchhost-serve/{fetcher}/content?mode={mode}&name={name}&hash={}&params={}",
                encoded(&hash),
                encoded(params)
            )
        };
        assert_eq!(
            urls["plain"],
            start(
                8459,
                "http-file",
                "flat",
                "x",
                r#"{"url":"https://a.example/x"}"#
            )
        );
        let params = r#"{"a":"\"${x}\\\n~*'()!+ &=%41","b":[1,true,null]}"#;
        let all = start(1234, &encoded(&every), "nar", "a%2Bb%3Dc%3F", params);
        assert_eq!(
            urls["all"],
            format!("{all}&executable=1&owner=0123456789abcdef")
        );
        // Bytes from 0x80 on stand as they are.
        assert_eq!(urls["foreign"], start(8459, "é", "flat", "n", "{}"));
        assert_eq!(urls["owners"], json!([false, false, false, false, true]));
    }
}

#[test]
fn nix_fetches_files_trees_and_executables_from_that_url_and_checks_them() {
    for nix in Nix::all("nix_fetches_files_trees_and_executables") {
        let (tree, script) = (nix.path("tree"), nix.path("script"));
        fs::create_dir(&tree).unwrap();
        fs::write(tree.join("file"), "in a tree\n").unwrap();
        fs::write(&script, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        let (tree, script) = (nix.dump(&tree), nix.dump(&script));
        for (answer, hash, more, wanted) in [
            (b"flat\n".to_vec(), sri(b"flat\n"), "", "plain"),
            (tree.clone(), sri(&tree), "unpack = true;", "tree"),
            (
                script.clone(),
                sri(&script),
                "executable = true;",
                "executable",
            ),
            (b"other\n".to_vec(), sri(b"declared\n"), "", "mismatch"),
        ] {
            let path = "/v1/fetch/start-nix-fetchhost-serve/http-file/content";
            let standin = Standin::start(Config::new("none").public_file(path, answer)).unwrap();
            let port = standin.url().rsplit(':').next().unwrap().to_owned();
            let expression = format!(
                "(import {}/nix/fetchhost.nix {{ port = {port}; }}).fetchHttpFile {{ url = \"https://a.example/x y\"; hash = \"{hash}\"; {more} }}",
                workspace().display()
            );
            let arguments = [
                "--no-out-link",
                "--option",
                "sandbox",
                "true",
                "--expr",
                &expression,
            ];
            let built = nix.run("nix-build", arguments);
            if wanted == "mismatch" {
                assert_ne!(built.code, 0, "Nix checks the hash again");
                assert!(built.stderr.contains("hash mismatch"), "{}", built.stderr);
                continue;
            }
            let store_path = built.exits(0).stdout.trim_end().to_owned();
            let physical = nix.physical(&store_path);
            match wanted {
                "tree" => assert_eq!(
                    fs::read_to_string(physical.join("file")).unwrap(),
                    "in a tree\n"
                ),
                "plain" => assert_eq!(fs::read_to_string(physical).unwrap(), "flat\n"),
                _ => assert_eq!(
                    fs::metadata(physical).unwrap().permissions().mode() & 0o777,
                    0o555
                ),
            }
            let query = standin.requests()[0].query.clone().unwrap();
            let mode = if wanted == "plain" {
                "flat&name=x-y"
            } else if wanted == "tree" {
                "nar&name=source"
            } else {
                "nar&name=x-y"
            };
            assert!(
                query.starts_with(&format!("mode={mode}&hash={}&params=", encoded(&hash))),
                "{query}"
            );
        }
    }
}
