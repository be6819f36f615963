//! Evaluation by a client of Nix's daemon, trusted and not.

use std::fs;
use std::os::unix::net::UnixStream;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use fetchhost_e2e::Nix;
use serde_json::json;

use super::{CONTENT, fetch, http_grant, nix, public_file, sri};

/// A daemon for the store, ended with the test.
pub(crate) struct Daemon(Child);

impl Daemon {
    pub(crate) fn start(nix: &Nix, config: &str) -> Self {
        let socket = nix.path("socket");
        let mut command = nix.command("nix-daemon");
        command.env("NIX_DAEMON_SOCKET_PATH", &socket);
        command.env("NIX_CONFIG", config);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let daemon = Self(command.stderr(Stdio::null()).spawn().unwrap());
        let start = Instant::now();
        // The socket is there before somebody listens.
        while UnixStream::connect(&socket).is_err() {
            assert!(start.elapsed() < Duration::from_secs(20), "no daemon came");
            thread::sleep(Duration::from_millis(10));
        }
        daemon
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn neither_trust_nor_a_signature_is_needed_with_a_daemon() {
    for judge in Nix::all("neither_trust_nor_a_signature_is_needed") {
        for config in ["", "trusted-users ="] {
            let daemon = Daemon::start(&judge, config);
            let (standin, url) = public_file();
            let remote = format!(
                "unix://{}?root={}",
                judge.path("socket").display(),
                judge.path("").display()
            );
            let sandbox = judge
                .sandbox()
                .configured(&http_grant(&standin))
                .variable("NIX_REMOTE", &remote);
            let name = if config.is_empty() {
                "trusted"
            } else {
                "untrusted"
            };
            let fetched = fetch(
                "http-file",
                &json!({ "url": url }),
                &sri(CONTENT),
                &format!("name = \"{name}\";"),
            );
            let expression = format!(
                "derivation {{ name = \"uses-{name}\"; system = \"{}-linux\"; builder = \"/bin/sh\"; \
                 args = [ \"-c\" \"read -r line < ${{{fetched}}}; echo \\\"$line, built\\\" > $out\" ]; }}",
                std::env::consts::ARCH
            );
            // A setting that only trusted clients may choose shows which kind this one is.
            let arguments = [
                "-vvv",
                "--no-out-link",
                "--option",
                "diff-hook",
                "/none",
                "--expr",
                &expression,
            ];
            // The daemon says which settings it ignores of a client that it does not trust.
            let built = nix(&judge, &sandbox, "nix-build", &arguments).exits(0);
            let restricted = built.stderr.contains("restricted setting");
            assert_eq!(restricted, name == "untrusted", "{}", built.stderr);
            let result = fs::read_to_string(judge.physical(built.stdout.trim_end())).unwrap();
            assert_eq!(result, "what was fetched, built\n");
            assert_eq!(standin.requests().len(), 1);
            drop(daemon);
            fs::remove_file(judge.path("socket")).unwrap();
        }
    }
}
