//! What a store holds, for those that lack it: kept from the garbage collector, and passed over when
//! it cannot be read.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use fetchhost_e2e::{CommandLine, Finished, Installation, Sandbox};

use super::served;
use super::world::World;

/// More than a pipe holds, in bytes.
const LENGTH: usize = 1 << 20;

static CONTENT: [u8; LENGTH] = [7; LENGTH];

/// Runs `line` to the point where it has all and commits it to a pipe, does something, and lets it end.
fn meanwhile(sandbox: &Sandbox, line: CommandLine, action: impl FnOnce()) -> Finished {
    let pipe = sandbox.path("pipe");
    if !pipe.exists() {
        let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
    }
    let mut command = sandbox.command();
    command
        .args(line.into_words())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let run = command.spawn().unwrap();
    let mut reader = File::open(&pipe).unwrap();
    reader.read_exact(&mut [0]).unwrap();
    // What was only needed for reading would be gone by now.
    thread::sleep(Duration::from_millis(500));
    action();
    let mut rest = Vec::new();
    reader.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, CONTENT[1..]);
    Finished::new(&run.wait_with_output().unwrap())
}

#[test]
fn nothing_that_a_run_found_or_added_is_collected_before_it_ends() {
    for installation in Installation::all("nothing_that_a_run_found_or_added_is_collected") {
        let world = World::with_daemon(&installation);
        let (_standin, url, file) = served(&world, &CONTENT);
        let hash = world.hash("sha256", "flat", &file);
        let sandbox = world.sandbox();
        for to in [world.through_daemon(), world.without_daemon()] {
            let line = CommandLine::http_file(&url, &hash).with("--to", &to);
            for is_there in [true, false] {
                if is_there {
                    sandbox.run(line.clone()).exits(0);
                }
                let line = line.clone().with("--to", sandbox.out("pipe"));
                let gc = || drop(world.ask("nix-store", ["--gc"]));
                meanwhile(&sandbox, line, gc).exits(0);
                assert_eq!(world.entries().len(), 1, "{to}, {is_there}");
                // With the run, what kept it ends.
                thread::sleep(Duration::from_millis(300));
                world.ask("nix-store", ["--gc"]);
                assert_eq!(world.entries().len(), 0, "{to}, {is_there}");
            }
        }
    }
}

#[test]
fn what_is_removed_by_force_gets_no_gc_root() {
    for installation in Installation::all("what_is_removed_by_force_gets_no_gc_root") {
        let world = World::with_daemon(&installation);
        let (_standin, url, file) = served(&world, &CONTENT);
        let hash = world.hash("sha256", "flat", &file);
        let sandbox = world.sandbox();
        let line = CommandLine::http_file(&url, &hash);
        let to_store = line.clone().with("--to", world.through_daemon());
        let store_path = sandbox.run(to_store).exits(0).stdout;
        let line = line
            .with("--to", sandbox.out("pipe"))
            .with("--to", world.through_daemon())
            .with("--gc-root", "result");
        let remove = || {
            fs::remove_file(world.physical(store_path.trim_end())).unwrap();
            // Notices, and forgets it.
            world.ask("nix-store", ["--verify"]);
        };
        meanwhile(&sandbox, line, remove).exits(6).says([
            "is no longer there",
            "hint: ",
            "run it again",
        ]);
        assert!(!sandbox.path("result").is_symlink());
    }
}

/// How a client asks a daemon what it knows of a path.
const QUERY_PATH_INFO: u64 = 26;

/// Stands between a client and the world's daemon, and does something before the client asks for the
/// second time what is known of a path.
fn between(world: &World, action: impl FnOnce() + Send + 'static) -> String {
    let listener = UnixListener::bind(world.path("between")).unwrap();
    let socket = world.socket();
    thread::spawn(move || {
        let mut action = Some(action);
        let mut asked = 0;
        for client in listener.incoming() {
            let (mut client, mut daemon) = (client.unwrap(), UnixStream::connect(&socket).unwrap());
            let (mut answers, mut back) =
                (daemon.try_clone().unwrap(), client.try_clone().unwrap());
            thread::spawn(move || {
                let _ = io::copy(&mut answers, &mut back);
            });
            let mut chunk = vec![0; 1 << 16];
            // It waits for the answer to each question: so no two of them come at once.
            while let Ok(length @ 1..) = client.read(&mut chunk) {
                asked += u32::from(chunk.starts_with(&QUERY_PATH_INFO.to_le_bytes()));
                if asked == 2
                    && let Some(action) = action.take()
                {
                    action();
                }
                if daemon.write_all(&chunk[..length]).is_err() {
                    break;
                }
            }
            let _ = daemon.shutdown(Shutdown::Both);
        }
    });
    let (root, socket) = (world.root.path(), world.path("between"));
    format!("store=unix://{}?root={}", socket.display(), root.display())
}

#[test]
fn what_is_gone_when_it_is_to_be_copied_is_fetched_for_all() {
    for installation in Installation::all("what_is_gone_when_it_is_to_be_copied") {
        let world = World::with_daemon(&installation);
        let (standin, url, file) = served(&world, &CONTENT);
        let hash = world.hash("sha256", "flat", &file);
        let sandbox = world.sandbox();
        let line = CommandLine::http_file(&url, &hash);
        let to_store = line.clone().with("--to", world.through_daemon());
        let store_path = sandbox.run(to_store).exits(0).stdout.trim_end().to_owned();
        standin.take_requests();

        let (files, mut verify) = (world.physical(&store_path), world.command("nix-store"));
        let to = between(&world, move || {
            fs::remove_file(files).unwrap();
            assert!(verify.arg("--verify").output().unwrap().status.success());
        });
        let line = line.with("--to", to).with("--to", sandbox.out("copy"));
        let done = sandbox.run(line.flag("--json")).exits(0);
        let done = done.says(["warning: ", "is no longer there"]);
        assert_eq!(standin.take_requests().len(), 1);
        for destination in done.json()["destinations"].as_array().unwrap() {
            assert_eq!(destination["status"], "done");
        }
        assert!(world.is_valid(&store_path));
        assert_eq!(fs::read(world.physical(&store_path)).unwrap(), CONTENT);
        assert_eq!(fs::read(sandbox.path("copy")).unwrap(), CONTENT);
    }
}

#[test]
fn what_the_store_cannot_show_is_copied_from_elsewhere_or_fetched() {
    for installation in Installation::all("what_the_store_cannot_show_is_copied_from_elsewhere") {
        let world = World::with_daemon(&installation);
        let (standin, url, file) = served(&world, &CONTENT);
        let hash = world.hash("sha256", "flat", &file);
        let sandbox = world.sandbox();
        let line = CommandLine::http_file(&url, &hash).with("--to", world.through_daemon());
        let store_path = sandbox.run(line.clone()).exits(0).stdout;
        // Valid, and not there.
        fs::remove_file(world.physical(store_path.trim_end())).unwrap();
        standin.take_requests();

        let fetched = line.clone().with("--to", sandbox.cache(""));
        let warning = ["warning: what `store=", "cannot be read"];
        sandbox.run(fetched.clone()).exits(0).says(warning);
        assert_eq!(standin.take_requests().len(), 1);

        let copied = fetched.with("--to", sandbox.out("copy"));
        sandbox.run(copied).exits(0).says(warning);
        assert_eq!(standin.take_requests().len(), 0);
        assert_eq!(fs::read(sandbox.path("copy")).unwrap(), CONTENT);
    }
}

/// The archives of a cache.
fn archives(cache: &str, sandbox: &Sandbox) -> Vec<PathBuf> {
    let entries = fs::read_dir(sandbox.path(cache).join("nar")).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn a_damaged_archive_is_passed_over_for_an_intact_one_and_nothing_else() {
    for installation in Installation::all("a_damaged_archive_is_passed_over") {
        let world = World::with_daemon(&installation);
        let (standin, url, file) = served(&world, &CONTENT);
        let hash = world.hash("sha256", "flat", &file);
        let sandbox = world.sandbox();
        let cache = |name: &str| {
            let folder = sandbox.path(name);
            format!("file://{}?compression=none", folder.display())
        };
        let line = CommandLine::http_file(&url, &hash);
        let line = line.with("--to", cache("one")).with("--to", cache("two"));
        sandbox.run(line.clone()).exits(0);
        standin.take_requests();
        let damage = |name: &str| {
            for archive in archives(name, &sandbox) {
                let mut bytes = fs::read(&archive).unwrap();
                bytes[LENGTH / 2] ^= 1;
                fs::write(archive, bytes).unwrap();
            }
        };

        damage("one");
        let line = line.with("--to", world.through_daemon());
        let copied = sandbox.run(line.clone()).exits(0);
        let copied = copied.says(["warning: what `file://", "/one` holds is damaged"]);
        assert!(world.is_valid(copied.stdout.trim_end()));

        world.ask("nix-store", ["--gc"]);
        damage("two");
        sandbox.run(line).exits(6).says([
            "/one` holds is damaged",
            "warning: what `file://",
            "/two` holds is damaged",
            "`--refetch`",
        ]);
        assert_eq!(standin.take_requests().len(), 0);
        assert_eq!(world.entries().len(), 0);
    }
}
