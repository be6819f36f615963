//! Real Nix, where the fetch takes longer than its patience.

use std::fs;
use std::time::Duration;

use fetchhost_e2e::{Finished, Nix};
use fetchhost_formats::OutputMode;
use fetchhost_gateway::FetchUrl;
use serde_json::json;

use crate::approved::approve;
use crate::world::{Setup, World, flat, sha256, url};

fn build(nix: &Nix, world: &World, url: &FetchUrl) -> Finished {
    let output = &url.output;
    let mode = match output.mode {
        OutputMode::Flat => "outputHashMode = \"flat\";",
        OutputMode::Nar => "outputHashMode = \"recursive\"; unpack = true;",
    };
    let expression = format!(
        "derivation {{ name = \"{}\"; system = \"builtin\"; builder = \"builtin:fetchurl\"; \
         url = \"http://127.0.0.1:{}{url}\"; preferLocalBuild = true; {mode} \
         outputHashAlgo = \"sha256\"; outputHash = \"{}\"; }}",
        output.name, world.port, output.hash
    );
    let impatient = ["--option", "stalled-download-timeout", "1"];
    let [first, second, third] = impatient;
    nix.run(
        "nix-build",
        ["--no-out-link", first, second, third, "--expr", &expression],
    )
}

#[test]
fn nix_waits_for_a_slow_fetch_by_being_sent_on() {
    for nix in Nix::all("nix_waits_for_a_slow_fetch") {
        let version = &nix.installation.version;
        let world = World::with(Setup {
            patience: Duration::from_millis(500),
            ..Setup::default()
        });
        let slow = flat("content", json!({ "delay": 3500 }));
        let built = build(&nix, &world, &slow).exits(0);
        let built = nix.physical(built.stdout.trim_end());
        assert_eq!(fs::read_to_string(built).unwrap(), "content", "{version}");

        let mut tree = url(
            "tree",
            OutputMode::Nar,
            sha256(b""),
            json!({ "tree": "x", "delay": 1500 }),
        );
        let told = world.get(&tree.to_string().replace("1500", "0"));
        let got = told.text().split("got:").nth(1).unwrap();
        tree.output.hash = got.split_whitespace().next().unwrap().parse().unwrap();
        let built = build(&nix, &world, &tree).exits(0);
        let file = nix.physical(built.stdout.trim_end()).join("file");
        assert_eq!(fs::read_to_string(file).unwrap(), "x", "{version}");
        assert_eq!(world.runs(), 3, "{version}: each was fetched once");
        let metrics = world.get("/metrics").text().to_owned();
        let redirected = metrics
            .lines()
            .find(|line| line.contains("\"redirected\""))
            .unwrap();
        assert!(!redirected.ends_with(" 0"), "{version}: {redirected}");
    }
}

#[test]
fn nix_waits_for_a_narinfo_by_being_sent_on() {
    for nix in Nix::all("nix_waits_for_a_narinfo") {
        let version = &nix.installation.version;
        let world = World::with(Setup {
            patience: Duration::from_millis(500),
            ..Setup::default()
        });
        let slow = flat("content", json!({ "delay": 3500 }));
        approve(&world, "/a/fetches.lock.json", std::slice::from_ref(&slow));
        let expression = format!(
            "derivation {{ name = \"{}\"; system = \"impossible\"; builder = \"/none\"; \
             outputHashMode = \"flat\"; outputHashAlgo = \"sha256\"; outputHash = \"{}\"; }}",
            slow.output.name, slow.output.hash
        );
        let cache = format!("http://127.0.0.1:{}", world.port);
        let arguments = [
            "--no-out-link",
            "--option",
            "stalled-download-timeout",
            "1",
            "--option",
            "substituters",
            &cache,
            "--expr",
            &expression,
        ];
        let built = nix.run("nix-build", arguments).exits(0);
        let built = nix.physical(built.stdout.trim_end());
        assert_eq!(fs::read_to_string(built).unwrap(), "content", "{version}");
        assert_eq!(world.runs(), 1, "{version}");
    }
}
