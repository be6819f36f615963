//! `realise`: what a build will need is there before it, and real Nix builds with it.

mod failures;
mod hostile;
mod routes;
mod store;

use std::fs;

use fetchhost_e2e::{
    CommandLine, Finished, Nix, Sandbox, TREE_HASH, member_content, nix_string, private_project,
    sri,
};
use fetchhost_standin::{Config, Standin, sample};
use serde_json::json;

use crate::gateway::build_impurely as build;
use crate::gateway::serve::{Fetch, configuration};

/// Where nobody listens: no gateway takes part.
const NO_GATEWAY: u16 = 1;

/// The derivation of a sample artifact, one file of it or all.
fn artifact(standin: &Standin, path: Option<&str>) -> String {
    let hash = sri(member_content().as_bytes());
    let mut params = json!({
        "job-id": sample::JOB_ID,
        "project": sample::PROJECT,
        "url": standin.url(),
    });
    if let Some(path) = path {
        params["path"] = path.into();
    }
    let (mode, name, hash) = match path {
        Some(_) => ("flat", "manual.txt", hash.as_str()),
        None => ("nar", "source", TREE_HASH),
    };
    let fetch = Fetch {
        fetcher: "gitlab-artifact",
        mode,
        name,
        hash,
        params: params.to_string(),
        executable: false,
    };
    fetch.derivation(NO_GATEWAY)
}

/// The derivation of a public file by `http-file`.
fn public(standin: &Standin, path: &str, name: &str, hash: &str) -> String {
    let fetch = Fetch {
        fetcher: "http-file",
        mode: "flat",
        name,
        hash,
        params: json!({ "url": format!("{}{path}", standin.url()) }).to_string(),
        executable: false,
    };
    fetch.derivation(NO_GATEWAY)
}

/// A derivation that needs some others, and can be built by a shell alone.
fn needing(name: &str, inputs: &[&str]) -> String {
    let inputs: Vec<_> = inputs.iter().map(|input| format!("({input})")).collect();
    let script = "read -r line < $one; [ -e \"$two\" ]; echo \"$line\" > $out";
    format!(
        "let inputs = [ {} ]; in derivation {{ name = \"{name}\"; system = \"{}-linux\"; builder = \"/bin/sh\"; \
         args = [ \"-c\" {} ]; one = builtins.head inputs; two = builtins.elemAt inputs (builtins.length inputs - 1); \
         inherit inputs; }}",
        inputs.join(" "),
        std::env::consts::ARCH,
        nix_string(script),
    )
}

/// The derivation's path.
#[track_caller]
fn instantiate(nix: &Nix, expression: &str) -> String {
    let printed = nix.ask("nix-instantiate", ["--expr", expression]);
    printed.lines().next().unwrap().to_owned()
}

fn realise(drvs: &[&str]) -> CommandLine {
    drvs.iter()
        .fold(CommandLine::new(["realise"]), |line, drv| line.flag(drv))
}

/// The lines of what was printed.
fn lines(finished: &Finished) -> Vec<&str> {
    finished.stdout.lines().collect()
}

/// A server of a few public files.
fn files(files: &[(&str, &[u8])]) -> Standin {
    let config = files
        .iter()
        .fold(Config::new("none"), |config, (path, content)| {
            config.public_file(*path, content.to_vec())
        });
    Standin::start(config).unwrap()
}

/// What lets `http-file` ask a stand-in.
fn http_grant(standin: &Standin) -> String {
    let origin = standin.api_origin();
    format!("[[grant]]\nmodule = \"builtin:http\"\norigins = [\"{origin}\"]\n")
}

fn granted(nix: &Nix, standin: &Standin) -> Sandbox {
    nix.sandbox().configured(&configuration(standin, ""))
}

#[test]
fn what_a_build_needs_is_there_before_it_and_no_gateway_takes_part() {
    for nix in Nix::all("what_a_build_needs_is_there_before_it") {
        let standin = private_project();
        let sandbox = granted(&nix, &standin);
        let (file, tree) = (
            artifact(&standin, Some(sample::MEMBER)),
            artifact(&standin, None),
        );
        let top = needing("top", &[&needing("middle", &[&file, &tree]), &tree]);
        let drv = instantiate(&nix, &top);
        let realised = sandbox.run(realise(&[&drv])).exits(0);
        let paths: Vec<_> = lines(&realised).iter().map(|s| (*s).to_owned()).collect();
        assert_eq!(paths.len(), 2, "{paths:?}");
        for (path, name) in [("-manual.txt", "file"), ("-source", "tree")] {
            let path = paths.iter().find(|one| one.ends_with(path)).expect(name);
            nix.run("nix-store", ["--verify-path", path]).exits(0);
        }
        assert!(realised.stderr.contains("[2/2]"), "{}", realised.stderr);
        assert!(!standin.take_requests().is_empty());

        let built = build(&nix, &top).exits(0);
        let result = fs::read_to_string(nix.physical(built.stdout.trim_end())).unwrap();
        let first = member_content().lines().next().unwrap();
        assert_eq!(result.trim_end(), first);

        // What is there asks nobody, in whatever form the derivation is named.
        for suffix in ["", "^out", "!out", "^*"] {
            let again = sandbox.run(realise(&[&format!("{drv}{suffix}")])).exits(0);
            assert_eq!(again.stdout, realised.stdout);
        }
        assert_eq!(standin.requests(), []);
    }
}

#[test]
fn a_file_is_evaluated_by_nix_first() {
    for nix in Nix::all("a_file_is_evaluated_by_nix_first") {
        let standin = files(&[("/a", b"a"), ("/b", b"b"), ("/c", b"c")]);
        let aws = "[credential.keys]\nsource = { aws = true }\nscheme = \"aws-sigv4\"\norigins = [\"https://s3.example\"]\n";
        let sandbox = nix
            .sandbox()
            .variable("AWS_SECRET_ACCESS_KEY", "canary")
            .variable("AWS_SESSION_TOKEN", "canary")
            .configured(&configuration(&standin, aws));
        let expression = format!(
            "{{ a = {}; deep.b = {}; c = {}; leak = {}; }}",
            public(&standin, "/a", "a", &sri(b"a")),
            public(&standin, "/b", "b", &sri(b"b")),
            public(&standin, "/c", "c", &sri(b"c")),
            format_args!(
                "derivation {{ name = \"x\" + builtins.concatStringsSep \"\" (map builtins.getEnv [ \"{}\" \"{}\" \"{}\" ]); \
                 system = \"x\"; builder = \"x\"; }}",
                fetchhost_e2e::TOKEN_VARIABLE,
                "AWS_SECRET_ACCESS_KEY",
                "AWS_SESSION_TOKEN",
            ),
        );
        let file = sandbox.path("-set.nix");
        fs::write(&file, expression).unwrap();
        let line = |attribute: &str| {
            CommandLine::new(["realise", "--file=-set.nix"]).with("--attr", attribute)
        };
        let one = sandbox.run(line("deep.b").with("--attr", "a")).exits(0);
        let names: Vec<_> = lines(&one)
            .iter()
            .map(|path| &path[path.len() - 2..])
            .collect();
        assert_eq!(names, ["-b", "-a"]);
        assert_eq!(standin.take_requests().len(), 2);
        let all = sandbox.run(CommandLine::new(["realise", "--file=-set.nix"]));
        // As Nix does, which goes no deeper on its own.
        assert_eq!(lines(&all.exits(0)).len(), 2);
        assert_eq!(standin.take_requests().len(), 1);

        // The evaluation does not see what the configuration calls a secret.
        sandbox.run(line("leak")).exits(0);
        let entries = fs::read_dir(nix.path("nix/store")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name());
        let mut names = names.map(|name| name.into_string().unwrap());
        assert!(names.any(|name| name.ends_with("-x.drv")));

        sandbox
            .run(line("missing"))
            .exits(2)
            .says(["attribute 'missing'", "`nix-instantiate` failed"]);
        let elsewhere = sandbox.variable("PATH", "/nowhere");
        elsewhere
            .run(line("a"))
            .exits(2)
            .says(["`nix-instantiate` cannot be started", "install Nix"]);
    }
}

#[test]
fn one_output_of_two_derivations_is_fetched_once() {
    for nix in Nix::all("one_output_of_two_derivations_is_fetched_once") {
        let standin = files(&[("/a", b"same"), ("/b", b"same")]);
        let sandbox = granted(&nix, &standin);
        let hash = sri(b"same");
        let drvs =
            ["/a", "/b"].map(|path| instantiate(&nix, &public(&standin, path, "one", &hash)));
        assert_ne!(drvs[0], drvs[1]);
        let line = realise(&[&drvs[0], &drvs[1], &drvs[0]]).flag("--json");
        let json = sandbox.run(line).exits(0).json();
        assert_eq!(json["outputs"].as_array().unwrap().len(), 1);
        assert_eq!(json["outputs"][0]["derivations"], json!(drvs));
        assert_eq!(json["outputs"][0]["status"], "fetched");
        assert_eq!(standin.requests().len(), 1);
    }
}

#[test]
fn what_one_derivation_says_does_not_keep_another_from_working() {
    for nix in Nix::all("what_one_derivation_says_does_not_keep_another") {
        let standin = files(&[("/right", b"same"), ("/wrong", b"other")]);
        let elsewhere = files(&[("/right", b"same")]);
        let sandbox = granted(&nix, &standin);
        let hash = sri(b"same");
        let drv = |expression: &str| instantiate(&nix, expression);
        let denied = drv(&public(&elsewhere, "/right", "one", &hash));
        let missing = drv(&public(&standin, "/missing", "one", &hash));
        let wrong = drv(&public(&standin, "/wrong", "one", &hash));
        let right = drv(&public(&standin, "/right", "one", &hash));
        // The worst of its ways is what an output fails with.
        sandbox.run(realise(&[&missing, &denied])).exits(3);
        standin.take_requests();

        let planned = sandbox.run(realise(&[&denied, &right]).flag("--dry-run"));
        assert!(lines(&planned.exits(0))[0].ends_with(&standin.api_origin()));
        let all = realise(&[&denied, &missing, &wrong, &right]);
        let fetched = sandbox.run(all).exits(0);
        assert_eq!(lines(&fetched).len(), 1);
        for part in ["warning: `one` (ticket ", &sri(b"other"), "[1/1] fetched"] {
            assert!(fetched.stderr.contains(part), "{part}: {}", fetched.stderr);
        }
        assert!(!fetched.stderr.contains("error:"), "{}", fetched.stderr);
        assert_eq!(standin.requests().len(), 3);
        assert_eq!(elsewhere.requests(), []);
    }
}

#[test]
fn a_dry_run_says_what_would_be_done_and_asks_nobody() {
    for nix in Nix::all("a_dry_run_says_what_would_be_done") {
        let standin = files(&[("/a", b"a"), ("/b", b"b")]);
        let sandbox = granted(&nix, &standin);
        let (a, b) = (
            public(&standin, "/a", "a", &sri(b"a")),
            public(&standin, "/b", "b", &sri(b"b")),
        );
        let (a, both) = (
            instantiate(&nix, &a),
            instantiate(&nix, &needing("both", &[&a, &b])),
        );
        sandbox.run(realise(&[&a])).exits(0);
        standin.take_requests();
        let planned = sandbox.run(realise(&[&both]).flag("--dry-run")).exits(0);
        let lines = lines(&planned);
        let of = |end: &str| lines.iter().find(|line| line.contains(end)).unwrap();
        assert!(of("-a ").ends_with("is there"), "{lines:?}");
        let whence = format!(
            "would be fetched by http-file from {}",
            standin.api_origin()
        );
        assert!(of("-b ").ends_with(&whence), "{lines:?}");
        let json = sandbox
            .run(realise(&[&both]).flag("--dry-run").flag("--json"))
            .exits(0)
            .json();
        assert_eq!(json["schemaVersion"], 1);
        let statuses = json["outputs"].as_array().unwrap().iter();
        let mut statuses: Vec<_> = statuses
            .map(|one| one["status"].as_str().unwrap())
            .collect();
        statuses.sort_unstable();
        assert_eq!(statuses, ["planned", "present"]);
        assert_eq!(standin.requests(), []);

        let nothing = instantiate(
            &nix,
            "derivation { name = \"n\"; system = \"x\"; builder = \"x\"; }",
        );
        let nothing = sandbox.run(realise(&[&nothing])).exits(0);
        assert_eq!(nothing.stdout, "");
        assert!(
            nothing.stderr.contains("nothing to fetch"),
            "{}",
            nothing.stderr
        );
    }
}
