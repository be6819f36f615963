//! The store: through a daemon, and what keeps the garbage collector off.

use std::fs;

use fetchhost_e2e::{Nix, sri};

use super::{build, files, granted, instantiate, lines, needing, public, realise};
use crate::exec::daemon::Daemon;

#[test]
fn a_client_of_the_daemon_that_it_does_not_trust_needs_no_more() {
    for nix in Nix::all("a_client_of_the_daemon_that_it_does_not_trust") {
        let standin = files(&[("/a", b"a"), ("/b", b"b"), ("/c", b"c")]);
        let _daemon = Daemon::start(&nix, "trusted-users =");
        let remote = format!(
            "unix://{}?root={}",
            nix.path("socket").display(),
            nix.path("").display()
        );
        let sandbox = granted(&nix, &standin).variable("NIX_REMOTE", &remote);
        let inputs = ["a", "b", "c"]
            .map(|name| public(&standin, &format!("/{name}"), name, &sri(name.as_bytes())));
        let top = needing("top", &[&inputs[0], &inputs[1], &inputs[2]]);
        let drv = instantiate(&nix, &top);
        let realised = sandbox.run(realise(&[&drv]).with("--jobs", "2")).exits(0);
        assert_eq!(lines(&realised).len(), 3);
        assert_eq!(standin.take_requests().len(), 3);
        let built = nix
            .command("nix-build")
            .env("NIX_REMOTE", &remote)
            .args(["--no-out-link", "--expr", &top])
            .output()
            .unwrap();
        assert!(built.status.success(), "{built:?}");
        assert_eq!(standin.requests(), []);
    }
}

#[test]
fn each_output_has_a_root_if_one_is_wanted_and_is_garbage_otherwise() {
    for nix in Nix::all("each_output_has_a_root_if_one_is_wanted") {
        let standin = files(&[("/a", b"a"), ("/b", b"b")]);
        let sandbox = granted(&nix, &standin);
        let top = needing(
            "top",
            &[
                &public(&standin, "/a", "a", &sri(b"a")),
                &public(&standin, "/b", "b", &sri(b"b")),
            ],
        );
        // Collecting garbage takes the derivations too.
        let line = || realise(&[&instantiate(&nix, &top)]);
        let collect = || nix.run("nix-store", ["--gc"]).exits(0);
        sandbox.run(line()).exits(0);
        collect();
        assert_eq!(sandbox.run(line()).exits(0).stdout.lines().count(), 2);
        assert_eq!(standin.take_requests().len(), 4);

        // What is there gets one as well as what is fetched.
        let paths = sandbox.run(line().with("--gc-root", "roots/need")).exits(0);
        assert_eq!(standin.take_requests(), []);
        collect();
        for (link, path) in ["need", "need-2"].into_iter().zip(lines(&paths)) {
            let link = sandbox.path("roots").join(link);
            assert_eq!(fs::read_link(&link).unwrap().to_str(), Some(path));
            nix.run("nix-store", ["--verify-path", path]).exits(0);
        }
        fs::remove_file(sandbox.path("roots/need")).unwrap();
        collect();
        let again = sandbox.run(line().with("--gc-root", "roots/need")).exits(0);
        assert_eq!(again.stdout, paths.stdout);
        assert_eq!(standin.take_requests().len(), 1);
        collect();
        build(&nix, &top).exits(0);

        fs::remove_file(sandbox.path("roots/need")).unwrap();
        fs::write(sandbox.path("roots/need"), "mine").unwrap();
        let refused = sandbox.run(line().with("--gc-root", "roots/need")).exits(2);
        assert!(
            refused.stderr.contains("is no link into the store"),
            "{}",
            refused.stderr
        );
        assert_eq!(lines(&refused), [lines(&paths)[1]]);
    }
}
