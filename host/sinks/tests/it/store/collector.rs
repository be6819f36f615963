//! GC roots before the judge who knows: the garbage collector of the installed Nix.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use fetchhost_formats::StorePath;
use fetchhost_sinks::{Destination, Store, StoreSession};
use tempfile::TempDir;

use crate::common::{NAR, flat, publish, stage, tree, verified};

/// A store in a folder of its own, and the daemon that serves it.
struct Nix {
    daemon: Child,
    root: TempDir,
}

impl Nix {
    /// None where Nix is not installed, after saying which test is skipped; in CI that is a failure.
    #[expect(clippy::print_stderr, reason = "a skipped test says so")]
    fn or_skip(test: &str) -> Option<Self> {
        if Command::new("nix-daemon")
            .arg("--version")
            .output()
            .is_err()
        {
            let in_ci = std::env::var_os("CI").is_some_and(|value| value == "true");
            assert!(!in_ci, "{test} needs Nix, and in CI it must not be skipped");
            eprintln!("SKIPPED: {test}: `nix-daemon` is not installed");
            return None;
        }
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("nix.conf"), "build-users-group =\n").unwrap();
        // Two workers that find no database at once get in each other's way.
        let init = command(root.path(), "nix-store").arg("--init").output();
        assert!(init.unwrap().status.success());
        let mut command = command(root.path(), "nix-daemon");
        let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
        let nix = Self {
            daemon: quiet.spawn().unwrap(),
            root,
        };
        let start = Instant::now();
        // The socket is there before somebody listens.
        while UnixStream::connect(nix.root.path().join("socket")).is_err() {
            assert!(start.elapsed() < Duration::from_secs(20), "no daemon came");
            thread::sleep(Duration::from_millis(10));
        }
        Some(nix)
    }

    fn store(&self) -> Store {
        let root = self.root.path().display();
        Store::new(format!("unix://{root}/socket?root={root}").parse().unwrap())
    }

    fn collect_garbage(&self) {
        let mut command = command(self.root.path(), "nix-store");
        let output = command.args(["--gc"]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    fn has(&self, path: &StorePath) -> bool {
        let below = path.to_string();
        self.root
            .path()
            .join(below.trim_start_matches('/'))
            .exists()
    }
}

/// Nix has noticed what was asked for, or that a connection ended.
fn settle() {
    thread::sleep(Duration::from_millis(300));
}

fn command(root: &Path, program: &str) -> Command {
    let mut command = Command::new(program);
    command
        .env("NIX_REMOTE", format!("local?root={}", root.display()))
        .env("NIX_DAEMON_SOCKET_PATH", root.join("socket"))
        .env("NIX_CONF_DIR", root)
        .env("NIX_USER_CONF_FILES", "/dev/null");
    command
}

impl Drop for Nix {
    fn drop(&mut self) {
        self.daemon.kill().unwrap();
        self.daemon.wait().unwrap();
        // Store paths are read-only, which keeps an ordinary user from removing them.
        let root = self.root.path();
        drop(Command::new("chmod").args(["-R", "u+w"]).arg(root).output());
    }
}

#[tokio::test]
async fn what_has_a_root_stays_until_the_root_is_removed() {
    let Some(nix) = Nix::or_skip("what_has_a_root_stays_until_the_root_is_removed") else {
        return;
    };
    let links = tempfile::tempdir().unwrap();
    let link = links.path().join("result");
    let rooted = Destination::Store(Store {
        gc_root: Some(link.clone()),
        ..nix.store()
    });
    let (staged, verified) = stage(&rooted, NAR, tree()).await.unwrap();
    let (committed, kept) = staged.commit(&verified).unwrap();
    let path = verified.store_path();
    assert_eq!(
        fs::read_link(&link).unwrap().to_str(),
        Some(path.to_string().as_str())
    );
    assert!(committed.physical.join("bin/tool").exists());
    nix.collect_garbage();
    assert!(nix.has(path));

    // The same for a root of what was there, which stays without one while somebody holds it.
    fs::remove_file(&link).unwrap();
    let held = rooted.lookup(verified.fixed_output()).unwrap().unwrap();
    drop(kept);
    settle();
    nix.collect_garbage();
    assert!(nix.has(path));
    drop(held.confirm().unwrap());
    settle();
    nix.collect_garbage();
    assert!(nix.has(path));

    fs::remove_file(&link).unwrap();
    nix.collect_garbage();
    assert!(!nix.has(path));
    assert!(rooted.lookup(verified.fixed_output()).unwrap().is_none());
}

#[tokio::test]
async fn what_is_being_added_is_protected_as_long_as_its_sink_lives() {
    let test = "what_is_being_added_is_protected_as_long_as_its_sink_lives";
    let Some(nix) = Nix::or_skip(test) else {
        return;
    };
    let plain = Destination::Store(nix.store());
    let declared = verified(NAR, tree()).await;
    let incoming = fetchhost_sinks::Incoming {
        name: declared.fixed_output().name.clone(),
        mode: declared.fixed_output().mode,
        algorithm: declared.fixed_output().hash.algorithm(),
        hash: Some(declared.fixed_output().hash.clone()),
    };
    let waiting = plain.open(&incoming).unwrap();
    // Another run adds it meanwhile, and ends.
    let (staged, verified) = stage(&plain, NAR, tree()).await.unwrap();
    drop(staged.commit(&verified).unwrap());
    // The question was asked; its answer is not waited for.
    settle();
    nix.collect_garbage();
    assert!(nix.has(verified.store_path()));
    drop(waiting);
    settle();
    nix.collect_garbage();
    assert!(!nix.has(verified.store_path()));
}

#[tokio::test]
async fn what_was_committed_is_kept_until_all_others_are() {
    let Some(nix) = Nix::or_skip("what_was_committed_is_kept_until_all_others_are") else {
        return;
    };
    let plain = Destination::Store(nix.store());
    let (staged, verified) = stage(&plain, NAR, tree()).await.unwrap();
    let (_, kept) = staged.commit(&verified).unwrap();
    nix.collect_garbage();
    assert!(nix.has(verified.store_path()));
    drop(kept);
    settle();
    nix.collect_garbage();
    assert!(!nix.has(verified.store_path()));
}

#[tokio::test]
async fn a_session_protects_what_it_holds_whatever_becomes_of_other_connections() {
    let test = "a_session_protects_what_it_holds_whatever_becomes_of_other_connections";
    let Some(nix) = Nix::or_skip(test) else {
        return;
    };
    let session = StoreSession::open(nix.store()).unwrap();
    let first = verified(NAR, tree()).await;
    let second = verified(NAR, flat("second")).await;
    for verified in [&first, &second] {
        assert!(!session.hold(verified.fixed_output()).unwrap());
    }
    let destination = session.destination(None);
    drop(publish(&destination, NAR, tree()).await.unwrap());
    // The connection that added the first is given up in the middle of something else.
    let (staged, _) = stage(&destination, NAR, flat("never")).await.unwrap();
    drop(staged);
    drop(publish(&destination, NAR, flat("second")).await.unwrap());
    settle();
    nix.collect_garbage();
    for verified in [&first, &second] {
        assert!(nix.has(verified.store_path()));
        assert!(session.hold(verified.fixed_output()).unwrap());
    }
    let links = tempfile::tempdir().unwrap();
    let link = links.path().join("result");
    session.add_root(second.fixed_output(), &link).unwrap();
    drop((session, destination));
    settle();
    nix.collect_garbage();
    assert!(!nix.has(first.store_path()));
    assert!(nix.has(second.store_path()));
}
