//! The Nix store as a destination, with each Nix that is at hand as counterpart and judge.

mod copying;
mod interrupted;
mod large;
mod roots;
mod surroundings;
mod world;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use fetchhost_e2e::{
    CommandLine, Installation, Sandbox, TREE_HASH, is_root, member_content, private_project, sri,
};
use fetchhost_standin::{Config, Fault, Side, Standin};
use world::{World, eventually};

/// Somebody without any right.
const NOBODY: u32 = 65534;

/// A server with one file, and the file itself.
fn served(world: &World, content: &'static [u8]) -> (Standin, String, PathBuf) {
    let standin = Standin::start(Config::new("none").public_file("/file", content)).unwrap();
    let file = world.path("served");
    fs::write(&file, content).unwrap();
    let url = format!("{}/file", standin.url());
    (standin, url, file)
}

const SCRIPT: &[u8] = b"#!/bin/sh\necho hello\n";

#[test]
fn every_mode_and_algorithm_is_added_with_its_content_address_with_and_without_a_daemon() {
    for installation in Installation::all("every_mode_and_algorithm_is_added") {
        let world = World::with_daemon(&installation);
        let (_standin, url, file) = served(&world, SCRIPT);
        let (plain, executable) = (file.clone(), world.path("executable"));
        fs::write(&executable, SCRIPT).unwrap();
        fs::set_permissions(&executable, fs::Permissions::from_mode(0o755)).unwrap();
        let sandbox = world.sandbox();
        for (way, to) in [
            ("daemon", world.through_daemon()),
            ("local", world.without_daemon()),
        ] {
            for algorithm in ["sha256", "sha512", "sha1", "md5"] {
                for (form, file, mode) in [
                    ("flat", &plain, "flat"),
                    ("nar", &plain, "nar"),
                    ("executable", &executable, "nar"),
                ] {
                    let hash = world.hash(algorithm, mode, file);
                    let name = format!("{way}-{form}-{algorithm}");
                    let mut line = CommandLine::http_file(&url, &hash)
                        .with("--name", &name)
                        .with("--mode", mode)
                        .with("--to", &to)
                        .flag("--json");
                    if form == "executable" {
                        line = line.flag("--executable");
                    }
                    let json = sandbox.run(line).exits(0).json();
                    let store_path = json["storePath"].as_str().unwrap();
                    assert!(store_path.ends_with(&name), "{store_path}");
                    let recursive = if mode == "nar" { "r:" } else { "" };
                    world.judge(store_path, &format!("fixed:{recursive}{hash}"));
                    let physical = world.physical(store_path);
                    let destination = &json["destinations"][0];
                    assert_eq!(destination["status"], "done");
                    assert_eq!(destination["physical"], physical.to_str().unwrap());
                    assert_eq!(fs::read(&physical).unwrap(), SCRIPT);
                    let bits = fs::metadata(&physical).unwrap().mode() & 0o777;
                    assert_eq!(bits, if form == "executable" { 0o555 } else { 0o444 });
                }
            }
        }
    }
}

#[test]
fn a_tree_keeps_its_executables_symlinks_and_empty_folders() {
    for installation in Installation::all("a_tree_keeps_its_executables") {
        let world = World::with_daemon(&installation);
        let (sandbox, standin) = (world.sandbox(), private_project());
        for (name, to) in [
            ("one", world.through_daemon()),
            ("two", world.without_daemon()),
        ] {
            let line = CommandLine::tree(&standin)
                .with("--name", name)
                .with("--to", to);
            let store_path = sandbox.run(line).exits(0).stdout.trim_end().to_owned();
            let physical = world.physical(&store_path);
            let physical = physical.to_str().unwrap();
            let hex = world.ask("nix-hash", ["--type", "sha256", physical]);
            let hash = world.ask("nix", ["hash", "to-sri", "--type", "sha256", &hex]);
            assert_eq!(hash, TREE_HASH);
            let base32 = world.ask("nix-hash", ["--type", "sha256", "--base32", physical]);
            world.judge(&store_path, &format!("fixed:r:sha256:{base32}"));
        }
    }
}

#[test]
fn an_unprivileged_user_adds_through_the_daemon_without_trust_or_signature() {
    let test = "an_unprivileged_user_adds_through_the_daemon";
    if !is_root(test) {
        return;
    }
    for installation in Installation::all(test) {
        let world = World::with_daemon(&installation);
        let (_standin, url, file) = served(&world, SCRIPT);
        let home = world.path("nobody");
        fs::create_dir(&home).unwrap();
        // The folder that it was built in need not be open to others.
        let program = home.join("nix-fetchhost");
        fs::copy(world.sandbox().command().get_program(), &program).unwrap();
        chown(&home, Some(NOBODY), Some(NOBODY)).unwrap();
        for mode in ["flat", "nar"] {
            let hash = world.hash("sha256", mode, &file);
            let output = Command::new("setpriv")
                .args([
                    "--clear-groups",
                    &format!("--reuid={NOBODY}"),
                    &format!("--regid={NOBODY}"),
                ])
                .arg(&program)
                .args(["run", "http-file", "--url", &url, "--hash", &hash])
                .args([
                    "--mode",
                    mode,
                    "--name",
                    mode,
                    "--to",
                    &world.through_daemon(),
                ])
                .env_clear()
                .envs(world.variables())
                .env("HOME", &home)
                .env("TMPDIR", &home)
                .current_dir(&home)
                .output()
                .unwrap();
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert!(
                output.status.success(),
                "{}: {stderr}",
                installation.version
            );
            let store_path = String::from_utf8(output.stdout).unwrap();
            let recursive = if mode == "nar" { "r:" } else { "" };
            world.judge(store_path.trim_end(), &format!("fixed:{recursive}{hash}"));
            let owner = fs::metadata(world.physical(store_path.trim_end()))
                .unwrap()
                .uid();
            assert_eq!(owner, 0, "the daemon owns the store");
        }
    }
}

#[test]
fn the_store_is_the_one_that_nix_itself_would_use() {
    for installation in Installation::all("the_store_is_the_one_that_nix_itself_would_use") {
        let world = World::with_daemon(&installation);
        let (_standin, url, file) = served(&world, SCRIPT);
        let hash = world.hash("sha256", "flat", &file);
        let run = |name: &str, remote: Option<String>| {
            let sandbox = match remote {
                Some(remote) => world.sandbox().variable("NIX_REMOTE", &remote),
                None => world.sandbox(),
            };
            let line = CommandLine::http_file(&url, &hash).with("--name", name);
            let done = sandbox.run(line.with("--to", "store")).exits(0);
            world.judge(done.stdout.trim_end(), &format!("fixed:{hash}"));
        };
        run("by-socket", None);
        run("empty", Some(String::new()));
        run("by-name", Some("daemon".to_owned()));
        let local = format!("local?root={}", world.root.path().display());
        run("local", Some(local));
        run(
            "folder",
            Some(world.root.path().to_str().unwrap().to_owned()),
        );
    }
}

#[test]
fn what_the_store_has_is_not_fetched_again_unless_asked_for() {
    for installation in Installation::all("what_the_store_has_is_not_fetched_again") {
        let world = World::with_daemon(&installation);
        let (standin, url, file) = served(&world, SCRIPT);
        let hash = world.hash("sha256", "flat", &file);
        let sandbox = world.sandbox();
        for to in [world.through_daemon(), world.without_daemon()] {
            let line = || {
                CommandLine::http_file(&url, &hash)
                    .with("--to", &to)
                    .flag("--json")
            };
            sandbox.run(line()).exits(0);
            standin.take_requests();
            let json = sandbox.run(line()).exits(0).json();
            assert_eq!(standin.take_requests().len(), 0);
            let destination = &json["destinations"][0];
            assert_eq!(destination["status"], "present");
            let physical = world.physical(json["storePath"].as_str().unwrap());
            assert_eq!(destination["physical"], physical.to_str().unwrap());

            let json = sandbox.run(line().flag("--refetch")).exits(0).json();
            assert_eq!(standin.take_requests().len(), 1);
            assert_eq!(json["destinations"][0]["status"], "done");
        }
    }
}

#[test]
fn a_wrong_hash_leaves_nothing_in_the_store() {
    for installation in Installation::all("a_wrong_hash_leaves_nothing_in_the_store") {
        let world = World::with_daemon(&installation);
        let (_standin, url, _) = served(&world, SCRIPT);
        let sandbox = world.sandbox();
        for to in [world.through_daemon(), world.without_daemon()] {
            for mode in ["flat", "nar"] {
                let line = CommandLine::http_file(&url, &sri(b"other"));
                sandbox
                    .run(line.with("--mode", mode).with("--to", &to))
                    .exits(4)
                    .says([
                        "hash mismatch in fixed-output derivation",
                        "specified:",
                        "got:",
                    ]);
                assert_eq!(world.entries(), BTreeSet::new());
            }
        }
    }
}

/// A run that has handed `sent` bytes of a file of `length` on, and waits for more.
fn stalled(sandbox: &Sandbox, to: &str, length: u64, sent: u64) -> (Child, Standin) {
    let standin = Standin::start(Config::new("none")).unwrap();
    standin.script(Side::Api, "/public/big", Fault::StallAfter(sent), 1);
    let url = format!("{}/public/big/{length}", standin.url());
    let mut command = sandbox.command();
    command.args([
        "run",
        "http-file",
        "--url",
        &url,
        "--hash",
        &sri(b""),
        "--to",
        to,
    ]);
    let run = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    eventually("it has asked", || !standin.requests().is_empty());
    (run, standin)
}

#[test]
fn a_run_that_is_killed_leaves_nothing_in_the_store() {
    for installation in Installation::all("a_run_that_is_killed_leaves_nothing_in_the_store") {
        let world = World::with_daemon(&installation);
        let (sandbox, version) = (world.sandbox(), &installation.version);
        for to in [world.through_daemon(), world.without_daemon()] {
            // More than Nix keeps in memory before it writes to the store.
            let (mut run, _standin) = stalled(&sandbox, &to, 64 << 20, 56 << 20);
            eventually(&format!("{version} has begun to write"), || {
                !world.entries().is_empty()
            });
            run.kill().unwrap();
            run.wait().unwrap();
            eventually(&format!("{version} has tidied up"), || {
                world.entries().is_empty()
            });

            // Less than that: all is in memory when the connection ends, and what Nix then takes for
            // the whole file would be in the store at once.
            for _ in 0..5 {
                let (mut run, _standin) = stalled(&sandbox, &to, 2 << 20, 1 << 20);
                thread::sleep(Duration::from_millis(200));
                run.kill().unwrap();
                run.wait().unwrap();
                thread::sleep(Duration::from_millis(200));
                assert_eq!(world.entries(), BTreeSet::new(), "{version}, {to}");
            }
        }
    }
}

#[test]
fn one_fetch_feeds_store_cache_and_file() {
    for installation in Installation::all("one_fetch_feeds_store_cache_and_file") {
        let world = World::with_daemon(&installation);
        let (sandbox, standin) = (world.sandbox(), private_project());
        let line = CommandLine::member(&standin)
            .with("--to", world.through_daemon())
            .with("--to", sandbox.cache(""))
            .with("--to", sandbox.out("result"));
        let store_path = sandbox.run(line).exits(0).stdout.trim_end().to_owned();
        assert!(world.is_valid(&store_path));
        assert_eq!(
            fs::read_to_string(world.physical(&store_path)).unwrap(),
            member_content()
        );
        assert_eq!(
            fs::read_to_string(sandbox.path("result")).unwrap(),
            member_content()
        );
    }
}

#[test]
fn what_the_store_holds_is_copied_to_a_cache_and_a_folder() {
    for installation in Installation::all("what_the_store_holds_is_copied") {
        let world = World::with_daemon(&installation);
        let (sandbox, standin) = (world.sandbox(), private_project());
        for store in [world.through_daemon(), world.without_daemon()] {
            let line = CommandLine::tree(&standin).with("--to", &store);
            let store_path = sandbox.run(line.clone()).exits(0).stdout;
            standin.take_requests();
            let line = line
                .with("--to", sandbox.cache("compression=none"))
                .with("--to", sandbox.out("tree"));
            let copied = sandbox.run(line).exits(0);
            assert_eq!(standin.requests(), []);
            assert_eq!(copied.stdout, store_path);
            let hex = world.ask(
                "nix-hash",
                ["--type", "sha256", sandbox.path("tree").to_str().unwrap()],
            );
            assert_eq!(
                world.ask("nix", ["hash", "to-sri", "--type", "sha256", &hex]),
                TREE_HASH
            );
            fs::remove_dir_all(sandbox.path("cache")).unwrap();
            fs::remove_dir_all(sandbox.path("tree")).unwrap();
        }
    }
}

#[test]
fn without_nix_and_daemon_the_sink_fails_before_anything_is_fetched() {
    let standin = Standin::start(Config::new("none").public_file("/file", SCRIPT)).unwrap();
    let sandbox = Sandbox::new()
        .variable("PATH", "/nowhere")
        .variable("NIX_DAEMON_SOCKET_PATH", "/nowhere/socket");
    let line = CommandLine::http_file(&format!("{}/file", standin.url()), &sri(SCRIPT));
    for (to, says) in [
        (
            "store",
            "no Nix daemon answers at `/nowhere/socket`, and there is no program `nix-daemon` either",
        ),
        ("store=local", "there is no program `nix-daemon`"),
        (
            "store=daemon",
            "cannot connect to the Nix daemon at `/nowhere/socket`",
        ),
    ] {
        let hints = ["hint: ", "`--to file:///DIR`"];
        let failed = sandbox.run(line.clone().with("--to", to)).exits(6);
        failed.says([says, hints[0], hints[1]]);
    }
    assert_eq!(standin.take_requests().len(), 0);
}

#[test]
fn a_store_that_is_not_on_this_machine_is_a_matter_of_configuration() {
    let line = CommandLine::http_file("http://127.0.0.1:9/file", &sri(SCRIPT));
    let sandbox = Sandbox::new().variable("NIX_REMOTE", "ssh-ng://host");
    sandbox
        .run(line.clone().with("--to", "store"))
        .exits(2)
        .says([
            "`NIX_REMOTE` is `ssh-ng://host`",
            "is not a Nix store on this machine",
        ]);
    let sandbox = Sandbox::new().variable("NIX_STORE_DIR", "/gnu/store");
    sandbox
        .run(line.clone().with("--to", "store"))
        .exits(2)
        .says(["`NIX_STORE_DIR` is `/gnu/store`"]);
    sandbox
        .run(line.with("--to", "store=local?read-only=true"))
        .exits(2)
        .says(["unknown parameter `read-only` of a Nix store"]);
}
