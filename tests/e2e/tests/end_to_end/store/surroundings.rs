//! Which store it is when none is named, and what our own `nix-daemon` gets of ours.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use fetchhost_e2e::{
    CommandLine, Finished, Installation, Secret, TOKEN, private_project, skip, sri,
};
use fetchhost_standin::{Config, Standin};

use super::SCRIPT;
use super::world::World;

#[test]
fn the_store_is_the_destination_when_none_is_named() {
    for installation in Installation::all("the_store_is_the_destination_when_none_is_named") {
        let world = World::with_daemon(&installation);
        let (_standin, url, file) = super::served(&world, SCRIPT);
        let hash = world.hash("sha256", "flat", &file);
        let done = world.sandbox().run(CommandLine::http_file(&url, &hash));
        world.judge(done.exits(0).stdout.trim_end(), &format!("fixed:{hash}"));
    }
}

/// Puts the world's store in the place of this machine's, and goes on as the program.
const ENTER: &str = "mount --bind \"$0\" /nix && exec \"$@\"";

/// `/nix`, to mount something at; made where there is none, and then removed again.
struct MountPoint {
    is_ours: bool,
}

impl MountPoint {
    fn new() -> Self {
        Self {
            is_ours: fs::create_dir("/nix").is_ok(),
        }
    }
}

impl Drop for MountPoint {
    fn drop(&mut self) {
        if self.is_ours {
            fs::remove_dir("/nix").unwrap();
        }
    }
}

fn with_own_root() -> Command {
    let mut unshare = Command::new("unshare");
    unshare.args(["--map-root-user", "--mount"]);
    unshare
}

#[test]
fn without_a_daemon_the_store_of_this_machine_is_written_all_the_same() {
    let test = "without_a_daemon_the_store_of_this_machine_is_written_all_the_same";
    let _nix = MountPoint::new();
    let probe = with_own_root()
        .args(["sh", "-c", ENTER, "/tmp", "true"])
        .output();
    if !probe.is_ok_and(|output| output.status.success()) {
        skip(test, "nothing can be mounted at /nix here");
        return;
    }
    for installation in Installation::all(test) {
        let world = World::new(&installation);
        let standin = Standin::start(Config::new("none").public_file("/file", SCRIPT)).unwrap();
        let url = format!("{}/file", standin.url());
        let program = world.sandbox();
        let program = program.command();
        for name in ["one", "two"] {
            let line = CommandLine::http_file(&url, &sri(SCRIPT)).with("--name", name);
            let output = with_own_root()
                .args(["sh", "-c", ENTER])
                .arg(world.path("nix"))
                .arg(program.get_program())
                .args(line.into_words())
                .env_clear()
                .envs(
                    program
                        .get_envs()
                        .filter_map(|(name, value)| Some((name, value?))),
                )
                .output()
                .unwrap();
            let done = Finished::new(&output).exits(0);
            let store_path = done.stdout.trim_end();
            assert!(store_path.ends_with(name), "{store_path}");
            assert!(world.is_valid(store_path));
            assert_eq!(fs::read(world.physical(store_path)).unwrap(), SCRIPT);
        }
    }
}

#[test]
fn our_own_daemon_gets_no_secret() {
    for installation in Installation::all("our_own_daemon_gets_no_secret") {
        let world = World::new(&installation);
        let path = world.variables()[0].1.clone();
        let real = std::env::split_paths(&path)
            .map(|folder| folder.join("nix-daemon"))
            .find(|program| program.exists())
            .unwrap();
        let folder = world.path("first");
        fs::create_dir(&folder).unwrap();
        let told = world.path("told");
        let script = format!(
            "#!/bin/sh\ncat /proc/$$/environ /proc/$$/cmdline >> {}\nexec {} \"$@\"\n",
            told.display(),
            real.display()
        );
        let wrapper = folder.join("nix-daemon");
        fs::write(&wrapper, script).unwrap();
        fs::set_permissions(wrapper, fs::Permissions::from_mode(0o755)).unwrap();
        let folders = std::iter::once(folder).chain(std::env::split_paths(&path));
        let path = std::env::join_paths(folders).unwrap();

        let sandbox = world.sandbox().variable("PATH", path.to_str().unwrap());
        let standin = private_project();
        let line = CommandLine::member(&standin).with("--to", world.without_daemon());
        let store_path = sandbox.run(line).exits(0).stdout;
        assert!(world.is_valid(store_path.trim_end()));

        let told = fs::read(told).unwrap();
        let text = String::from_utf8_lossy(&told);
        for part in ["NIX_REMOTE=local?root=", "--stdio"] {
            assert!(text.contains(part), "no `{part}` in {text}");
        }
        Secret::new("token", TOKEN).is_not_in("what `nix-daemon` was given", &told);
    }
}
