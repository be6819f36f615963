//! Artifacts that Nix does not keep in memory (more than 32 MiB): it writes them to the store while
//! they come, and registers an archive as soon as it has been parsed.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read as _;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use fetchhost_e2e::{CommandLine, Installation, Sandbox, sri};
use fetchhost_standin::{Config, Standin};

use super::world::{World, eventually};

/// Well beyond what Nix keeps in memory, in bytes.
const LENGTH: u64 = 40 << 20;

fn big() -> (Standin, String) {
    let standin = Standin::start(Config::new("none")).unwrap();
    let url = format!("{}/public/big/{LENGTH}", standin.url());
    (standin, url)
}

/// Nix has had the time to register what it has, and the store is empty.
fn is_left_empty(world: &World, what: &str) {
    thread::sleep(Duration::from_millis(500));
    let version = &world.installation.version;
    let valid = world.ask("nix", ["path-info", "--all"]);
    assert_eq!(valid, "", "{what}, {version}");
    eventually(&format!("{what}: {version} has tidied up"), || {
        world.entries() == BTreeSet::new()
    });
}

#[test]
fn a_wrong_hash_leaves_nothing_of_a_large_artifact() {
    for installation in Installation::all("a_wrong_hash_leaves_nothing_of_a_large_artifact") {
        let world = World::with_daemon(&installation);
        let (_standin, url) = big();
        let sandbox = world.sandbox();
        for to in [world.through_daemon(), world.without_daemon()] {
            for mode in ["nar", "flat"] {
                let line = CommandLine::http_file(&url, &sri(b"other"));
                let line = line.with("--mode", mode).with("--to", &to);
                sandbox.run(line).exits(4);
                is_left_empty(&world, &format!("{mode} {to}"));
            }
        }
    }
}

/// A run that has given the store all of a large artifact, verified it, and commits it to a pipe that
/// nobody reads to its end. The store would be next.
fn waiting_for_a_pipe(
    sandbox: &Sandbox,
    url: &str,
    hash: &str,
    mode: &str,
    to: &str,
) -> (Child, File) {
    let pipe = sandbox.path("pipe");
    if !pipe.exists() {
        assert!(
            Command::new("mkfifo")
                .arg(&pipe)
                .status()
                .unwrap()
                .success()
        );
    }
    let mut command = sandbox.command();
    command
        .args(["run", "http-file", "--url", url, "--hash", hash])
        .args(["--mode", mode, "--to", &sandbox.out("pipe"), "--to", to])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut run = command.spawn().unwrap();
    let reader = File::open(&pipe).unwrap();
    (&reader).read_exact(&mut [0]).unwrap();
    thread::sleep(Duration::from_millis(500));
    assert_eq!(run.try_wait().unwrap(), None, "it waits for the pipe");
    (run, reader)
}

/// The hash that is right, which the program has computed.
fn right_hash(sandbox: &Sandbox, url: &str, mode: &str) -> String {
    let line = CommandLine::new(["prefetch", "http-file"])
        .with("--url", url)
        .with("--mode", mode)
        .flag("--json");
    let json = sandbox.run(line).exits(0).json();
    json["hash"].as_str().unwrap().to_owned()
}

#[test]
fn a_run_that_is_killed_before_the_commit_leaves_nothing_of_a_large_artifact() {
    for installation in Installation::all("a_run_that_is_killed_before_the_commit") {
        let world = World::with_daemon(&installation);
        let (_standin, url) = big();
        let sandbox = world.sandbox();
        for mode in ["nar", "flat"] {
            let hash = right_hash(&sandbox, &url, mode);
            for to in [world.through_daemon(), world.without_daemon()] {
                let (mut run, reader) = waiting_for_a_pipe(&sandbox, &url, &hash, mode, &to);
                assert!(!world.entries().is_empty(), "Nix has begun to write");
                run.kill().unwrap();
                run.wait().unwrap();
                drop(reader);
                is_left_empty(&world, &format!("{mode} {to}"));
            }
        }
    }
}
