//! The gateway as a substituter of real Nix.

use std::fs;

use fetchhost_e2e::{Finished, Nix, is_root, member_content, private_project, sri, workspace};

use super::daemon::Daemon;
use super::serve::{Fetch, Serve};
use super::users::{
    OTHER, configured, nobodys_gateway, nobodys_home, nobodys_program, run, users_home,
};
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

/// The line of `nix.conf` by which Nix asks the gateway, and no other cache.
pub(super) fn listed(serve: &Serve) -> String {
    format!("substituters = http://{}", serve.address)
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
        let daemon = Daemon::beside(&nix, home, &listed(&serve));
        for fetch in &fetches {
            let built = daemon.build(&unbuildable(fetch)).exits(0);
            let path = built.stdout.trim_end();
            nix.run("nix-store", ["--verify-path", path]).exits(0);
        }
    }
}

#[test]
fn an_untrusted_users_daemon_has_fetched_what_is_approved_by_asking_for_it() {
    let test = "an_untrusted_users_daemon_has_fetched_what_is_approved";
    if !is_root(test) {
        return;
    }
    for nix in Nix::all(test) {
        let version = &nix.installation.version;
        let home = nobodys_home(&nix);
        let standin = private_project();
        let hash = sri(member_content().as_bytes());
        let fetches = [member(&standin, &hash), tree(&standin)];
        let sandbox = configured(&standin, "approved");
        let serve = nobodys_gateway(&sandbox, &home, "approved");
        let folder = home.join("approved");
        let own = |arguments: [&str; 3]| {
            let mut command = nobodys_program(&sandbox, &home, "approved");
            let words = arguments.iter().filter(|word| !word.is_empty());
            Finished::new(&command.args(words).output().unwrap()).exits(0)
        };
        let wishes = folder.join("fetches.toml");
        let text = crate::lock::TWO.replace("URL", &standin.url());
        fs::write(&wishes, text).unwrap();
        own(["lock", "--file", wishes.to_str().unwrap()]);
        let locked = folder.join("fetches.lock.json");
        own(["approve", locked.to_str().unwrap(), ""]);
        // What locking fetched is not the gateway's.
        let held = home.join("approved/cache-home/nix-fetchhost/gateway");
        assert!(!held.join("nar").exists(), "{version}: it holds nothing");
        standin.take_requests();

        let daemon = Daemon::beside(&nix, home, &listed(&serve));
        for fetch in &fetches {
            let built = daemon.build(&unbuildable(fetch)).exits(0);
            let path = built.stdout.trim_end();
            nix.run("nix-store", ["--verify-path", path]).exits(0);
        }
        assert_ne!(standin.take_requests(), [], "{version}");
        let other = sri(b"other");
        let other = daemon.build(&unbuildable(&member(&standin, &other)));
        assert_ne!(other.code, 0, "{version}");
        assert_eq!(standin.take_requests(), [], "{version}");
        let said = serve.said();
        assert!(
            said.contains("`manual.txt` for a build of the Nix daemon fetched")
                || said.contains("`manual.txt` for you fetched"),
            "{said}"
        );
    }
}

#[test]
fn another_users_own_nix_is_given_nothing() {
    let test = "another_users_own_nix_is_given_nothing";
    if !is_root(test) {
        return;
    }
    for nix in Nix::all(test) {
        let version = &nix.installation.version;
        let (home, other) = (nobodys_home(&nix), users_home(&nix, OTHER));
        let standin = private_project();
        let hash = sri(member_content().as_bytes());
        let fetch = member(&standin, &hash);
        let sandbox = configured(&standin, "open");
        let serve = nobodys_gateway(&sandbox, &home, "others");
        fetched(&serve, &fetch);
        let path = format!("({}).outPath", unbuildable(&fetch));
        let path = nix.ask("nix-instantiate", ["--eval", "--expr", &path]);
        let path = path.trim_matches('"');
        let from = format!("http://{}", serve.address);
        let arguments = ["--realise", path, "--option", "substituters", &from];
        let remote = format!("local?root={}", other.join("root").display());
        let refused = run(&nix, OTHER, &other, &remote, "nix-store", arguments);
        assert_ne!(refused.code, 0, "{version}");
        // Root may be a daemon.
        nix.run("nix-store", arguments).exits(0);
    }
}
