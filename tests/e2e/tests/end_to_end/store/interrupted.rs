//! Runs that end before their artifact does.

use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use fetchhost_e2e::{CommandLine, Finished, Installation, Sandbox, sri};
use fetchhost_standin::{Config, Fault, Side, Standin};

use super::world::{World, eventually};

/// All of a file but its end, in bytes: more than Nix keeps in memory before it writes, and less.
const LENGTHS: [(u64, u64); 2] = [(64 << 20, 56 << 20), (2 << 20, 1 << 20)];

/// A server of a file whose end never comes, and the line that fetches it.
fn endless(length: u64, sent: u64, to: &str) -> (Standin, CommandLine) {
    let standin = Standin::start(Config::new("none")).unwrap();
    standin.script(Side::Api, "/public/big", Fault::StallAfter(sent), 1);
    let url = format!("{}/public/big/{length}", standin.url());
    let line = CommandLine::http_file(&url, &sri(b""))
        .with("--to", to)
        .with("--gc-root", "roots/result");
    (standin, line)
}

fn nothing_is_left(world: &World, sandbox: &Sandbox, what: &str) {
    thread::sleep(Duration::from_millis(300));
    let version = &world.installation.version;
    assert_eq!(
        world.ask("nix", ["path-info", "--all"]),
        "",
        "{what}, {version}"
    );
    eventually(&format!("{what}: {version} has tidied up"), || {
        world.entries().is_empty()
    });
    assert!(!sandbox.path("roots").exists(), "{what}");
}

#[test]
fn a_signal_during_an_upload_leaves_nothing() {
    for installation in Installation::all("a_signal_during_an_upload_leaves_nothing") {
        let world = World::with_daemon(&installation);
        let sandbox = world.sandbox();
        for to in [world.through_daemon(), world.without_daemon()] {
            for (length, sent) in LENGTHS {
                let (standin, line) = endless(length, sent, &to);
                let mut command = sandbox.command();
                command
                    .args(line.into_words())
                    .stdout(Stdio::piped())
                    .stderr(Stdio::piped());
                let run = command.spawn().unwrap();
                eventually("it has asked", || !standin.requests().is_empty());
                assert!(sandbox.path("roots").exists());
                if length > 32 << 20 {
                    eventually("it has begun to write", || !world.entries().is_empty());
                }
                let pid = run.id().to_string();
                let sent = Command::new("kill").args(["-INT", &pid]).status();
                assert!(sent.unwrap().success());
                Finished::new(&run.wait_with_output().unwrap()).exits(130);
                nothing_is_left(&world, &sandbox, &format!("{length} {to}"));
            }
        }
    }
}

#[test]
fn the_end_of_the_time_during_an_upload_leaves_nothing() {
    for installation in Installation::all("the_end_of_the_time_during_an_upload") {
        let world = World::with_daemon(&installation);
        let sandbox = world.sandbox();
        for to in [world.through_daemon(), world.without_daemon()] {
            for (length, sent) in LENGTHS {
                let (_standin, line) = endless(length, sent, &to);
                let line = line.with("--timeout", "3s");
                sandbox.run(line).exits(1).says(["`--timeout`"]);
                nothing_is_left(&world, &sandbox, &format!("{length} {to}"));
            }
        }
    }
}
