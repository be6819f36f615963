//! Builds of a daemon, which may be anybody's; the gateway belongs to a user who is not root.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;
use std::process::Command;

use fetchhost_e2e::{Finished, Sandbox, is_root};

use super::hostile::{stored, targets};
use super::{APP, World, bundle};
use crate::gateway::daemon::Daemon;
use crate::gateway::serve::Serve;
use crate::gateway::users::{NOBODY, OTHER, nobodys_gateway, nobodys_program};

/// What the user who is nobody has: the key, a configuration, and the daemon's store.
fn nobodys(world: &World, daemon: &Daemon<'_>, rule: &str) -> Sandbox {
    let key = daemon.home.join("release.key");
    fs::copy(world.sandbox.path("release.key"), &key).unwrap();
    chown(&key, Some(NOBODY), Some(NOBODY)).unwrap();
    let config = fs::read_to_string(world.config()).unwrap();
    let from = world.sandbox.path("release.key");
    let config = config.replace(from.to_str().unwrap(), key.to_str().unwrap());
    let state = daemon.home.join(rule).join("state");
    world
        .nix
        .sandbox()
        .own_cache()
        .variable("NIX_REMOTE", &daemon.remote())
        .variable("XDG_STATE_HOME", state.to_str().unwrap())
        .configured(&format!("{config}[gateway]\ndaemon-peers = \"{rule}\"\n"))
}

/// Signs as that user.
fn sign(sandbox: &Sandbox, home: &Path, rule: &str) -> Vec<u8> {
    let (file, out) = (
        home.join(rule).join("app"),
        home.join(rule).join("signature"),
    );
    fs::write(&file, APP).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let mut command = nobodys_program(sandbox, home, rule);
    command.args([
        "run", "signer", "--key-id", "release", "--format", "minisign",
    ]);
    command.args(["--input", &format!("content={}", file.display())]);
    command.args(["--to", &format!("out:{}", out.display())]);
    Finished::new(&command.output().unwrap()).exits(0);
    fs::read(out).unwrap()
}

/// What a user is answered, without the date.
fn ask(serve: &Serve, user: u32, target: &str) -> Vec<u8> {
    let output = Command::new("setpriv")
        .args([format!("--reuid={user}"), format!("--regid={user}")])
        .args(["--clear-groups", "curl", "-s", "-i"])
        .arg(format!("http://{}{target}", serve.address))
        .output()
        .unwrap();
    let lines = output.stdout.split_inclusive(|byte| *byte == b'\n');
    lines
        .filter(|line| !line.starts_with(b"date:"))
        .flatten()
        .copied()
        .collect()
}

#[test]
fn as_soon_as_the_owner_has_signed_a_daemons_build_finds_it() {
    let test = "as_soon_as_the_owner_has_signed";
    if !is_root(test) {
        return;
    }
    for world in World::all(test) {
        let hash = world.hash();
        let functions = world.functions();
        let daemon = Daemon::start(&world.nix);
        let sandbox = nobodys(&world, &daemon, "open");
        let serve = nobodys_gateway(&sandbox, &daemon.home, "open");
        let sign_of = format!(
            "(import \"${{{functions}}}/fetchhost.nix\" {{ port = {}; }}).sign",
            serve.address.port()
        );
        let expression = bundle(&sign_of, &format!("hash = \"{hash}\";"));
        let failed = daemon.build(&expression);
        assert_ne!(failed.code, 0);
        assert!(!failed.stderr.contains("remembered"), "{}", failed.stderr);
        for part in [
            "for a build of the Nix daemon failed",
            "is not remembered",
            "nix-fetchhost run signer",
        ] {
            assert!(
                serve.said().contains(part),
                "no `{part}` in {}",
                serve.said()
            );
        }
        sign(&sandbox, &daemon.home, "open");
        let built = daemon.build(&expression).exits(0);
        world.verifies(&world.nix.physical(built.stdout.trim_end()));
    }
}

#[test]
fn without_a_hash_nobody_but_the_owner_is_answered() {
    let test = "without_a_hash_nobody_but_the_owner";
    if !is_root(test) {
        return;
    }
    let Some(world) = World::all(test).into_iter().next() else {
        return;
    };
    let app = stored(&world);
    let daemon = Daemon::start(&world.nix);
    for rule in ["open", "none"] {
        let sandbox = nobodys(&world, &daemon, rule);
        let serve = nobodys_gateway(&sandbox, &daemon.home, rule);
        let [_, target] = targets("release", &app);
        let [_, other] = targets("other", "/nix/store/00000000000000000000000000000000-x");
        let told = ask(&serve, NOBODY, &target);
        let told = String::from_utf8(told).unwrap();
        assert!(told.contains("is not remembered"), "{told}");
        let signature = sign(&sandbox, &daemon.home, rule);
        assert!(ask(&serve, NOBODY, &target).ends_with(&signature));

        let answers: Vec<_> = [0, OTHER]
            .into_iter()
            .flat_map(|user| [ask(&serve, user, &target), ask(&serve, user, &other)])
            .collect();
        let first = String::from_utf8(answers[0].clone()).unwrap();
        assert!(first.starts_with("HTTP/1.1 404 "), "{first}");
        assert!(
            answers.iter().all(|answer| *answer == answers[0]),
            "{first}"
        );
    }
}
