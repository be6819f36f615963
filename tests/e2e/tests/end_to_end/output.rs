//! What is printed where, and what lies there afterwards.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use fetchhost_e2e::{
    CommandLine, Sandbox, TREE_HASH, archive_hash, member_content, private_project, sri,
};
use fetchhost_standin::sample::{self, ENTRIES, Entry};
use fetchhost_standin::{Config, Standin};

#[test]
fn stdout_has_the_store_path_and_nothing_else() {
    let (sandbox, standin) = (Sandbox::new(), private_project());
    let line = CommandLine::tree(&standin).with("--to", sandbox.cache(""));
    let finished = sandbox.run(line.clone()).exits(0);
    let path = finished.stdout.strip_suffix('\n').unwrap();
    assert!(
        path.starts_with("/nix/store/") && path.ends_with("-source"),
        "{path}"
    );
    let quiet = sandbox.run(line.flag("--refetch").flag("--quiet")).exits(0);
    assert_eq!(
        (quiet.stdout, quiet.stderr),
        (finished.stdout, String::new())
    );
}

#[test]
fn json_says_where_everything_is() {
    let (sandbox, standin) = (Sandbox::new(), private_project());
    let line = CommandLine::member(&standin)
        .with("--to", sandbox.cache(""))
        .flag("--json");
    let result = sandbox.run(line).exits(0).json();
    assert_eq!(result["schemaVersion"], 1);
    assert_eq!(result["name"], "manual.txt");
    assert_eq!(result["mode"], "flat");
    assert_eq!(result["hash"], sri(member_content().as_bytes()));
    let narinfo = result["destinations"][0]["narinfo"].as_str().unwrap();
    let store_path = result["storePath"].as_str().unwrap();
    assert!(fs::read_to_string(narinfo).unwrap().contains(store_path));
}

#[test]
fn json_tells_failures_too() {
    let (sandbox, standin) = (Sandbox::new(), private_project());
    let line = CommandLine::tree(&standin)
        .without("--allow")
        .with("--to", sandbox.cache(""))
        .flag("--json");
    let finished = sandbox.run(line).exits(3);
    let error = &finished.json()["error"];
    assert_eq!(
        (&error["kind"], &error["exitCode"]),
        (&"denied".into(), &3.into())
    );
    assert!(error["hint"].as_str().unwrap().contains("--allow"));
}

#[test]
fn a_tree_is_laid_out_as_the_archive_has_it() {
    let (sandbox, standin) = (Sandbox::new(), private_project());
    sandbox
        .run(CommandLine::tree(&standin).with("--to", sandbox.out("tree")))
        .exits(0);
    for (path, entry) in ENTRIES {
        let path = sandbox.path("tree").join(path);
        let found = fs::symlink_metadata(&path).unwrap();
        match entry {
            Entry::File {
                content,
                executable,
            } => {
                assert_eq!(fs::read_to_string(&path).unwrap(), *content);
                let bit = found.permissions().mode() & 0o100;
                assert_eq!(bit != 0, *executable, "{}", path.display());
            }
            Entry::Symlink(target) => {
                assert_eq!(fs::read_link(&path).unwrap().as_os_str(), *target)
            }
            Entry::EmptyFolder => assert_eq!(fs::read_dir(&path).unwrap().count(), 0),
        }
    }
}

#[test]
fn a_member_and_the_zip_itself_are_plain_files() {
    let (sandbox, standin) = (Sandbox::new(), private_project());
    sandbox
        .run(CommandLine::member(&standin).with("--to", sandbox.out("manual.txt")))
        .exits(0);
    assert_eq!(
        fs::read_to_string(sandbox.path("manual.txt")).unwrap(),
        member_content()
    );
    let zip = sandbox
        .run(CommandLine::zip(&standin).with("--to", sandbox.out("zip")))
        .exits(0);
    assert_eq!(
        fs::read(sandbox.path("zip")).unwrap(),
        sample::archive().unwrap()
    );
    assert!(zip.stdout.trim_end().ends_with("-artifacts.zip"));
}

#[test]
fn one_fetch_feeds_every_destination() {
    let (sandbox, standin) = (Sandbox::new(), private_project());
    let line = CommandLine::tree(&standin)
        .with("--to", sandbox.cache(""))
        .with("--to", sandbox.out("tree"))
        .with(
            "--to",
            format!("file://{}?compression=xz", sandbox.path("second").display()),
        );
    sandbox.run(line).exits(0);
    assert_eq!(standin.requests().len(), 2);
    for path in [
        "cache/nix-cache-info",
        "second/nix-cache-info",
        "tree/bin/engine",
    ] {
        assert!(sandbox.path(path).exists(), "{path}");
    }
}

#[test]
fn prefetch_prints_the_hash_that_run_then_accepts() {
    let (sandbox, standin) = (Sandbox::new(), private_project());
    for (line, hash) in [
        (CommandLine::tree(&standin), TREE_HASH.to_owned()),
        (CommandLine::zip(&standin), archive_hash()),
        (
            CommandLine::member(&standin),
            sri(member_content().as_bytes()),
        ),
    ] {
        let finished = sandbox
            .run(line.without("--hash").subcommand("prefetch"))
            .exits(0);
        assert!(finished.stdout.contains(&hash), "{}", finished.stdout);
    }
}

#[test]
fn http_file_fetches_a_file_by_its_url() {
    let config = Config::new("none").public_file("/dir/notes.txt", "notes\n");
    let (sandbox, standin) = (Sandbox::new(), Standin::start(config).unwrap());
    let url = format!("{}/dir/notes.txt", standin.url());
    let line = CommandLine::http_file(&url, &sri(b"notes\n"));
    let finished = sandbox
        .run(line.clone().with("--to", sandbox.out("notes")))
        .exits(0);
    assert!(
        finished.stdout.trim_end().ends_with("-notes.txt"),
        "{}",
        finished.stdout
    );
    assert_eq!(fs::read(sandbox.path("notes")).unwrap(), b"notes\n");
}

#[test]
fn http_file_unpacks() {
    let config = Config::new("none").public_file("/tree.zip", sample::archive().unwrap());
    let (sandbox, standin) = (Sandbox::new(), Standin::start(config).unwrap());
    let url = format!("{}/tree.zip", standin.url());
    let line = CommandLine::http_file(&url, TREE_HASH).flag("--unpack");
    sandbox.run(line.with("--to", sandbox.cache(""))).exits(0);
}

#[test]
fn help_lists_a_fetchers_parameters() {
    let sandbox = Sandbox::new();
    let help = sandbox
        .run(CommandLine::new(["run", "gitlab-artifact", "--help"]))
        .exits(0);
    for flag in ["--project", "--job-id", "--no-unpack", "--strip-components"] {
        assert!(help.stdout.contains(flag), "no {flag} in {}", help.stdout);
    }
    let list = sandbox.run(CommandLine::new(["fetcher", "list"])).exits(0);
    for fetcher in ["gitlab-artifact", "http-file"] {
        assert!(list.stdout.contains(fetcher), "{}", list.stdout);
    }
    let inspect = sandbox.run(CommandLine::new(["fetcher", "inspect", "gitlab-artifact"]));
    assert!(inspect.exits(0).stdout.contains("PRIVATE-TOKEN"));
}

#[test]
fn grant_explain_says_what_a_fetcher_may() {
    let sandbox = Sandbox::new();
    let explain = |origin: &str| {
        let line = CommandLine::new(["grant", "explain", "gitlab-artifact", origin]);
        sandbox.run(line).exits(0).stdout
    };
    assert!(explain("https://gitlab.com").contains("cdn.artifacts.gitlab-static.net"));
    assert!(explain("https://gitlab.example.com").contains("[[grant]]"));
}
