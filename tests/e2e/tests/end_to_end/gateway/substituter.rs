//! The gateway as a substituter of real Nix.

use std::fs::{self, OpenOptions};
use std::io::Write as _;

use fetchhost_e2e::{Finished, Nix, is_root, member_content, private_project, sri, workspace};

use super::serve::{Fetch, Serve};
use super::users::{Daemon, configured, nobodys_gateway, nobodys_home};
use super::{granted, member, path_of, tree};

/// A fixed output that nobody can build.
fn unbuildable(fetch: &Fetch<'_>) -> String {
    let mode = match fetch.mode {
        "flat" => "flat",
        _ => "recursive",
    };
    format!(
        "derivation {{ name = \"{}\"; system = \"impossible\"; builder = \"/none\"; \
         outputHashMode = \"{mode}\"; outputHashAlgo = \"sha256\"; outputHash = \"{}\"; }}",
        fetch.name, fetch.hash
    )
}

/// A fixed output whose builder always fails.
fn failing(fetch: &Fetch<'_>) -> String {
    let file = workspace().join("nix/cached.nix");
    format!(
        "import {} {{ name = \"{}\"; hash = \"{}\"; mode = \"{}\"; }}",
        file.display(),
        fetch.name,
        fetch.hash,
        fetch.mode
    )
}

/// Builds with the gateway to ask, and no other.
#[track_caller]
fn build(nix: &Nix, serve: &Serve, expression: &str) -> Finished {
    let url = format!("http://{}", serve.address);
    let arguments = [
        "--no-out-link",
        "--option",
        "substituters",
        &url,
        "--expr",
        expression,
    ];
    nix.run("nix-build", arguments)
}

/// Adds lines to the machine's `nix.conf`.
pub(super) fn configure(nix: &Nix, lines: &str) {
    let file = OpenOptions::new()
        .append(true)
        .open(nix.path("conf/nix.conf"));
    writeln!(file.unwrap(), "{lines}").unwrap();
}

/// Has the gateway fetch something.
#[track_caller]
fn fetched(serve: &Serve, fetch: &Fetch<'_>) {
    let answer = serve.get_bytes(&path_of(&serve.url(fetch)));
    assert!(answer.starts_with(b"HTTP/1.1 200 "));
}

#[test]
fn what_was_fetched_is_substituted_where_nobody_can_build_it() {
    let standin = private_project();
    let sandbox = granted(&standin);
    let serve = Serve::start(&sandbox);
    let hash = sri(member_content().as_bytes());
    let fetches = [member(&standin, &hash), tree(&standin)];
    for fetch in &fetches {
        fetched(&serve, fetch);
    }
    for nix in Nix::all("what_was_fetched_is_substituted") {
        let version = &nix.installation.version;
        for fetch in &fetches {
            let built = build(&nix, &serve, &failing(fetch)).exits(0);
            let path = built.stdout.trim_end();
            nix.run("nix-store", ["--verify-path", path]).exits(0);
            if fetch.mode == "flat" {
                let content = fs::read_to_string(nix.physical(path)).unwrap();
                assert_eq!(content, member_content(), "{version}");
            }
        }
        // What is not held is a miss, and no error of the cache's.
        let hash = sri(b"other");
        let other = build(&nix, &serve, &failing(&member(&standin, &hash)));
        assert_ne!(other.code, 0, "{version}");
        assert!(
            other.stderr.contains("in none of the binary caches"),
            "{version}: the builder was tried: {}",
            other.stderr
        );
    }
}

#[test]
fn an_untrusted_users_daemon_substitutes_unsigned_paths() {
    let test = "an_untrusted_users_daemon_substitutes";
    if !is_root(test) {
        return;
    }
    for nix in Nix::all(test) {
        let home = nobodys_home(&nix);
        let standin = private_project();
        let hash = sri(member_content().as_bytes());
        let fetches = [member(&standin, &hash), tree(&standin)];
        let sandbox = configured(&standin, "open");
        let serve = nobodys_gateway(&sandbox, &home, "open");
        for fetch in &fetches {
            // The tests are root, who is the daemon's.
            fetched(&serve, fetch);
        }
        configure(&nix, &format!("substituters = http://{}", serve.address));
        let daemon = Daemon::start_beside(&nix, home);
        for fetch in &fetches {
            let built = daemon.build(&unbuildable(fetch)).exits(0);
            let path = built.stdout.trim_end();
            nix.run("nix-store", ["--verify-path", path]).exits(0);
        }
    }
}
