//! `exec`, by itself and as real Nix runs it while it evaluates.

pub(crate) mod daemon;

use std::fs;
use std::path::Path;
use std::process::Command;

use fetchhost_e2e::{
    CommandLine, Finished, Nix, Sandbox, Secret, TOKEN, TOKEN_VARIABLE, TREE_HASH, member_content,
    nix_string, private_project, sri, workspace,
};
use fetchhost_standin::{Config, Release, ReleaseLink, Standin, Target, sample};
use serde_json::json;

const CONTENT: &[u8] = b"what was fetched\n";
pub(crate) const NATIVE_CODE: &str = "allow-unsafe-native-code-during-evaluation";

/// A server with one public file, and the file's URL.
fn public_file() -> (Standin, String) {
    let standin = Standin::start(Config::new("none").public_file("/file.txt", CONTENT)).unwrap();
    let url = format!("{}/file.txt", standin.url());
    (standin, url)
}

/// What lets `http-file` ask a stand-in.
fn http_grant(standin: &Standin) -> String {
    format!(
        "[[grant]]\nmodule = \"builtin:http\"\norigins = [\"{}\"]\n",
        standin.url()
    )
}

/// What lets the GitLab fetchers ask a stand-in, with [`TOKEN`].
fn gitlab_grant(standin: &Standin) -> String {
    let (url, storage) = (standin.url(), standin.storage_origin());
    format!(
        "[credential.work]\nsource = {{ env = \"{TOKEN_VARIABLE}\" }}\nscheme = \"header:PRIVATE-TOKEN\"\n\
         origins = [\"{url}\"]\n\n[[grant]]\nmodule = \"builtin:gitlab\"\norigins = [\"{url}\"]\n\
         redirects = [\"{storage}\"]\ncredentials = {{ token = \"work\" }}\n"
    )
}

fn exec(fetcher: &str, hash: &str, params: &serde_json::Value) -> CommandLine {
    CommandLine::new(["exec", fetcher])
        .with("--hash", hash)
        .flag(&params.to_string())
}

/// `fetch` of `nix/exec.nix` applied, where impure evaluation finds it.
fn fetch(fetcher: &str, params: &serde_json::Value, hash: &str, more: &str) -> String {
    format!(
        "((import {}/nix/exec.nix {{ }}).fetch {{ fetcher = {}; params = builtins.fromJSON {}; hash = {}; {more} }})",
        workspace().display(),
        nix_string(fetcher),
        nix_string(&params.to_string()),
        nix_string(hash),
    )
}

/// One of Nix's programs in a sandbox of ours, with native code allowed and the program to be found.
#[track_caller]
pub(crate) fn nix(nix: &Nix, sandbox: &Sandbox, program: &str, arguments: &[&str]) -> Finished {
    let ours = sandbox.command();
    let folder = Path::new(ours.get_program()).parent().unwrap();
    let path =
        [folder.as_os_str(), &nix.installation.search_path()].join(std::ffi::OsStr::new(":"));
    let output = nix
        .command(program)
        .envs(
            ours.get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .env("PATH", path)
        .args(arguments)
        .args(["--option", NATIVE_CODE, "true"])
        .output()
        .unwrap();
    Finished::new(&output)
}

#[track_caller]
fn evaluate(judge: &Nix, sandbox: &Sandbox, expression: &str) -> Finished {
    let arguments = ["--eval", "--strict", "--expr", expression];
    nix(judge, sandbox, "nix-instantiate", &arguments)
}

#[test]
fn nix_evaluates_what_is_printed_to_the_path_that_run_prints() {
    for judge in Nix::all("nix_evaluates_what_is_printed") {
        let (standin, url) = public_file();
        let sandbox = judge.sandbox().configured(&http_grant(&standin));
        let file = judge.path("file");
        fs::write(&file, CONTENT).unwrap();
        let sha512 = judge.ask(
            "nix",
            [
                "hash",
                "file",
                "--sri",
                "--type",
                "sha512",
                file.to_str().unwrap(),
            ],
        );
        let nar = judge.ask("nix", ["hash", "path", file.to_str().unwrap()]);
        for (hash, name, mode) in [
            (&sri(CONTENT), "plain", None),
            (&sha512, "a+b-1.0_x?=.tar.gz", Some("flat")),
            (&nar, "as-nar", Some("nar")),
        ] {
            let with = |line: CommandLine| {
                let line = line.with("--name", name);
                mode.iter()
                    .fold(line, |line, mode| line.with("--mode", mode))
            };
            standin.take_requests();
            let printed = sandbox
                .run(with(exec("http-file", hash, &json!({ "url": url }))))
                .exits(0);
            assert_eq!(standin.take_requests().len(), 1);
            assert_eq!(printed.stdout.lines().count(), 1, "{}", printed.stdout);
            let again = sandbox
                .run(with(exec("http-file", hash, &json!({ "url": url }))))
                .exits(0);
            assert_eq!(again.stdout, printed.stdout);
            assert_eq!(again.stderr, "", "nothing was done");
            assert_eq!(standin.take_requests(), [], "it was valid");

            let run = sandbox
                .run(with(CommandLine::http_file(&url, hash)))
                .exits(0);
            let expression = printed.stdout.trim_end();
            let evaluated = judge.ask("nix-instantiate", ["--eval", "--expr", expression]);
            assert_eq!(evaluated, format!("\"{}\"", run.stdout.trim_end()));
            let context = format!("builtins.getContext ({expression}) != {{ }}");
            let arguments = [
                "--eval",
                "--option",
                "pure-eval",
                "true",
                "--expr",
                &context,
            ];
            assert_eq!(judge.ask("nix-instantiate", arguments), "true");
            judge.ask("nix-store", ["--verify-path", run.stdout.trim_end()]);
        }
    }
}

#[test]
fn what_is_fetched_while_nix_evaluates_is_the_input_of_a_sandboxed_build() {
    for judge in Nix::all("what_is_fetched_while_nix_evaluates") {
        let (standin, url) = public_file();
        let sandbox = judge.sandbox().configured(&http_grant(&standin));
        // Pure evaluation may read a store path that has a context, and no other file.
        let folder = workspace().join("nix");
        let folder = judge.ask("nix-store", ["--add", folder.to_str().unwrap()]);
        let hash = judge.ask(
            "nix",
            ["hash", "path", judge.physical(&folder).to_str().unwrap()],
        );
        let pure = format!(
            "import \"${{(derivation {{ name = \"nix\"; system = \"builtin\"; builder = \"x\"; outputHashMode = \"recursive\"; \
             outputHashAlgo = \"sha256\"; outputHash = \"{hash}\"; }}).outPath}}/exec.nix\" {{ }}"
        );
        let impure = fetch("http-file", &json!({ "url": url }), &sri(CONTENT), "");
        let pure = format!(
            "(({pure}).fetch {{ fetcher = \"http-file\"; params.url = \"{url}\"; hash = \"{}\"; }})",
            sri(CONTENT)
        );
        for (purity, fetched, mode) in [("false", impure, "impure"), ("true", pure, "pure")] {
            let expression = format!(
                "derivation {{ name = \"{mode}\"; system = \"{}-linux\"; builder = \"/bin/sh\"; \
                 args = [ \"-c\" \"read -r line < ${{{fetched}}}; echo \\\"$line, built\\\" > $out\" ]; }}",
                std::env::consts::ARCH
            );
            let arguments = [
                "--no-out-link",
                "--option",
                "pure-eval",
                purity,
                "--expr",
                &expression,
            ];
            let built = nix(&judge, &sandbox, "nix-build", &arguments).exits(0);
            let result = fs::read_to_string(judge.physical(built.stdout.trim_end())).unwrap();
            assert_eq!(result, "what was fetched, built\n", "{mode}");
        }
        assert_eq!(standin.requests().len(), 1, "the second found it valid");
    }
}

#[test]
fn a_private_tree_is_fetched_and_the_token_is_in_no_derivation_and_no_output() {
    for judge in Nix::all("a_private_tree_is_fetched") {
        let standin = private_project();
        let sandbox = judge.sandbox().configured(&gitlab_grant(&standin));
        let params =
            json!({ "url": standin.url(), "project": sample::PROJECT, "job-id": sample::JOB_ID });
        let tree = fetch("gitlab-artifact", &params, TREE_HASH, "");
        let expression = format!(
            "derivation {{ name = \"uses\"; system = \"{}-linux\"; builder = \"/bin/sh\"; tree = {tree}; \
             args = [ \"-c\" \"read -r line < $tree/{}; echo \\\"$line\\\" > $out\" ]; }}",
            std::env::consts::ARCH,
            sample::MEMBER
        );
        let arguments = ["--no-out-link", "--expr", &expression];
        let built = nix(&judge, &sandbox, "nix-build", &arguments).exits(0);
        let result = fs::read_to_string(judge.physical(built.stdout.trim_end())).unwrap();
        assert_eq!(result.lines().next(), member_content().lines().next());
        let used = standin
            .requests()
            .iter()
            .any(|request| request.header("private-token") == Some(TOKEN));
        assert!(used, "the token was needed");

        let secret = Secret::new("token", TOKEN);
        secret.is_not_in("stdout", built.stdout.as_bytes());
        secret.is_not_in("stderr", built.stderr.as_bytes());
        secret.is_not_below(&judge.path("nix"));
        secret.is_not_below(&judge.path("home"));
        secret.is_not_below(&sandbox.path(""));
    }
}

#[test]
fn a_wrong_hash_fails_the_evaluation_and_nothing_is_emitted() {
    for judge in Nix::all("a_wrong_hash_fails_the_evaluation") {
        let (standin, url) = public_file();
        let sandbox = judge.sandbox().configured(&http_grant(&standin));
        let expression = fetch(
            "http-file",
            &json!({ "url": url }),
            &sri(b"other"),
            "name = \"wrong\";",
        );
        evaluate(
            &judge,
            &sandbox,
            &format!("(builtins.tryEval {expression}).success"),
        )
        .exits(1)
        .says([
            "error: hash mismatch in fixed-output derivation",
            &sri(b"other"),
            &sri(CONTENT),
            "failed with exit code 4",
        ]);
        let store = fs::read_dir(judge.path("nix/store")).unwrap();
        let names = store.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        assert_eq!(names.filter(|name| name.ends_with("-wrong")).count(), 0);
    }
}

#[test]
fn without_a_grant_the_evaluation_fails_with_the_lines_that_would_allow_it() {
    for judge in Nix::all("without_a_grant_the_evaluation_fails") {
        let (standin, url) = public_file();
        let sandbox = judge.sandbox();
        let lines = ["[[grant]]", "module = \"builtin:http\"", &standin.url()];
        let said = sandbox
            .run(exec("http-file", &sri(CONTENT), &json!({ "url": url })))
            .exits(3)
            .says(lines);
        assert!(
            !said.stderr.contains("--allow"),
            "no flag would do: {}",
            said.stderr
        );
        let expression = fetch("http-file", &json!({ "url": url }), &sri(CONTENT), "");
        evaluate(&judge, &sandbox, &expression)
            .exits(1)
            .says(lines)
            .says(["failed with exit code 3"]);
        assert_eq!(standin.requests(), []);
    }
}

#[test]
fn a_parameter_arrives_as_it_stands_in_the_expression() {
    let strange = "a\"${throw \"no\"}\n\t\\'`id`$(id)\u{1}\u{7f} é--help";
    let package = format!(
        "/api/v4/projects/{}/packages/generic/{}/{}/{}",
        sample::PROJECT_ID,
        sample::PACKAGE,
        sample::VERSION.replace('+', "%2B"),
        sample::PACKAGE_FILE.replace(' ', "%20")
    );
    let release = Release {
        tag: "v3".to_owned(),
        links: vec![ReleaseLink {
            name: strange.to_owned(),
            target: Target::Instance(package),
            direct_asset_path: None,
        }],
    };
    for judge in Nix::all("a_parameter_arrives_as_it_stands") {
        let standin = Standin::start(Config::new(TOKEN).release(release.clone())).unwrap();
        let sandbox = judge.sandbox().configured(&gitlab_grant(&standin));
        let params = json!({
            "url": standin.url(), "project": sample::PROJECT, "tag": "v3", "asset": strange,
        });
        let hash = sri(sample::PACKAGE_CONTENT.as_bytes());
        let expression = fetch("gitlab-release", &params, &hash, "");
        let evaluated = evaluate(&judge, &sandbox, &expression).exits(0).stdout;
        assert!(
            evaluated
                .trim_end()
                .ends_with("-a---throw--no-------id---id--------help\""),
            "{evaluated}"
        );
    }
}

#[test]
fn what_an_expression_says_is_data_and_never_a_flag_or_code() {
    for judge in Nix::all("what_an_expression_says_is_data") {
        let (standin, url) = public_file();
        let sandbox = judge.sandbox().configured(&http_grant(&standin));
        let hash = sri(CONTENT);
        let params = json!({ "url": url });
        let out = sandbox.out("planted");
        for (fetcher, hash, more) in [
            ("--help", hash.as_str(), String::new()),
            ("--allow=http://127.0.0.1", &hash, String::new()),
            (&format!("--to={out}"), &hash, String::new()),
            ("http-file", &format!("{hash} --to {out}"), String::new()),
            (
                "http-file",
                &hash,
                format!("name = {};", nix_string("a\" --to b ${x}")),
            ),
            ("http-file", &hash, "name = \"--executable\\n\";".to_owned()),
            ("http-file", &hash, "mode = \"--json\";".to_owned()),
        ] {
            let expression = fetch(fetcher, &params, hash, &more);
            evaluate(&judge, &sandbox, &expression)
                .exits(1)
                .says(["failed with exit code 2"]);
        }
        for params in [
            json!({ "a": 1 }),
            json!([]),
            json!("-"),
            json!({ "url": 1 }),
        ] {
            let expression = fetch("http-file", &params, &hash, "");
            evaluate(&judge, &sandbox, &expression)
                .exits(1)
                .says(["failed with exit code 2"]);
        }
        assert_eq!(standin.requests(), []);
        assert!(!sandbox.path("planted").exists());
    }
}

#[test]
fn nothing_on_its_command_line_grants_or_chooses_where_to_write() {
    let (standin, url) = public_file();
    let sandbox = Sandbox::new();
    for (flag, value) in [
        ("--allow", standin.url().as_str()),
        ("--credential", "auth=env:CANARY_TOKEN"),
        ("--to", "out:planted"),
        ("--param", "unpack=true"),
        ("--params", "-"),
        ("--url", &url),
        ("--gc-root", "planted"),
        ("--provenance", "planted"),
    ] {
        let line = exec("http-file", &sri(CONTENT), &json!({ "url": url }));
        sandbox
            .run(line.with(flag, value))
            .exits(2)
            .says([&format!("`{flag}` is neither a flag nor a parameter here")]);
    }
    let line = exec("http-file", &sri(CONTENT), &json!({ "url": url }));
    sandbox.run(line.flag("--json")).exits(2);
    assert_eq!(standin.requests(), []);
}

#[test]
fn only_a_file_of_bounded_size_is_read_as_a_module() {
    let sandbox = Sandbox::new().configured("[limits]\nmodule-bytes = \"1 MiB\"\n");
    let (pipe, large) = (sandbox.path("pipe"), sandbox.path("large"));
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    fs::File::create(&large).unwrap().set_len(2 << 20).unwrap();
    for (file, said) in [
        ("/dev/zero", "it is no regular file"),
        (pipe.to_str().unwrap(), "it is no regular file"),
        (sandbox.path("").to_str().unwrap(), "it is no regular file"),
        (large.to_str().unwrap(), "module-bytes"),
    ] {
        let module = format!("{file}#sha256={}:x", "0".repeat(64));
        sandbox
            .run(exec(&module, &sri(CONTENT), &json!({})))
            .exits(2)
            .says([said]);
    }
}

#[test]
fn a_name_that_no_derivation_can_have_is_refused_before_anything_is_fetched() {
    for nix in Nix::all("a_name_that_no_derivation_can_have") {
        let (standin, url) = public_file();
        let sandbox = nix.sandbox().configured(&http_grant(&standin));
        let line = |length: usize| {
            exec("http-file", &sri(CONTENT), &json!({ "url": url }))
                .with("--name", "x".repeat(length))
        };
        sandbox
            .run(line(208))
            .exits(2)
            .says(["longer than 207 bytes", "`--name`"]);
        assert_eq!(standin.requests(), []);
        let printed = sandbox.run(line(207)).exits(0).stdout;
        nix.ask("nix-instantiate", ["--eval", "--expr", &printed]);
    }
}

#[test]
fn parameters_come_from_stdin_too_and_say_what_is_wrong_with_them() {
    let sandbox = Sandbox::new();
    let stdin = sandbox.path("params.json");
    for (json, said) in [
        (
            "{\"url\":\"https://a.example/x\",\"unpack\":true}",
            "which has no flat hash",
        ),
        ("{\"unpack\":true}", "error: the parameter `url` is missing"),
        ("{", "`stdin` is no JSON"),
    ] {
        fs::write(&stdin, json).unwrap();
        let mut command = sandbox.command();
        command.args([
            "exec",
            "http-file",
            "--hash",
            &sri(CONTENT),
            "--mode",
            "flat",
            "-",
        ]);
        let output = command
            .stdin(fs::File::open(&stdin).unwrap())
            .output()
            .unwrap();
        Finished::new(&output).exits(2).says([said]);
    }
}
