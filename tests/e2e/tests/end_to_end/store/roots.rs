//! `--gc-root`, before the judge who knows: Nix's garbage collector.

use std::fs;

use fetchhost_e2e::{CommandLine, Installation, sri};

use super::world::World;
use super::{SCRIPT, served};

#[test]
fn a_gc_root_keeps_what_is_added_or_was_there_until_its_link_is_removed() {
    for installation in Installation::all("a_gc_root_keeps_what_is_added_or_was_there") {
        let world = World::with_daemon(&installation);
        let (_standin, url, file) = served(&world, SCRIPT);
        let hash = world.hash("sha256", "flat", &file);
        let sandbox = world.sandbox();
        for to in [world.through_daemon(), world.without_daemon()] {
            let line = CommandLine::http_file(&url, &hash).with("--to", &to);
            // Relative to where the program runs; the folder is made.
            let rooted = line.clone().with("--gc-root", "roots/result/");
            let store_path = sandbox.run(rooted).exits(0).stdout.trim_end().to_owned();
            let link = sandbox.path("roots/result");
            assert_eq!(
                fs::read_link(&link).unwrap().to_str(),
                Some(store_path.as_str())
            );
            world.ask("nix-store", ["--gc"]);
            assert!(world.is_valid(&store_path), "{to}");

            // Of what was there, and in the place of an older root.
            for name in ["second", "second"] {
                sandbox
                    .run(line.clone().with("--gc-root", name).flag("--json"))
                    .exits(0);
            }
            fs::remove_file(&link).unwrap();
            world.ask("nix-store", ["--gc"]);
            assert!(world.is_valid(&store_path), "{to}");
            fs::remove_file(sandbox.path("second")).unwrap();
            world.ask("nix-store", ["--gc"]);
            assert!(!world.is_valid(&store_path), "{to}");
        }
    }
}

#[test]
fn the_place_of_a_gc_root_that_is_taken_is_a_matter_of_usage() {
    for installation in Installation::all("the_place_of_a_gc_root_that_is_taken") {
        let world = World::with_daemon(&installation);
        let (standin, url, file) = served(&world, SCRIPT);
        let hash = world.hash("sha256", "flat", &file);
        let sandbox = world.sandbox();
        fs::write(sandbox.path("mine"), "mine").unwrap();
        let line = CommandLine::http_file(&url, &hash).with("--to", world.through_daemon());
        let says = [
            "exists and is no link into the store",
            "hint: ",
            "`--gc-root`",
        ];
        let rooted = || line.clone().with("--gc-root", "mine");
        sandbox.run(rooted()).exits(2).says(says);
        assert_eq!(standin.take_requests().len(), 0);
        // The same for what is there, alone or beside a place that lacks it.
        sandbox.run(line.clone()).exits(0);
        standin.take_requests();
        sandbox.run(rooted()).exits(2).says(says);
        let both = rooted().with("--to", sandbox.out("copy"));
        sandbox.run(both).exits(2).says(says);
        assert!(!sandbox.path("copy").exists());
        assert_eq!(standin.take_requests().len(), 0);
        assert_eq!(fs::read_to_string(sandbox.path("mine")).unwrap(), "mine");
    }
}

#[test]
fn a_gc_root_needs_exactly_one_store() {
    let sandbox = fetchhost_e2e::Sandbox::new();
    let line = CommandLine::http_file("http://127.0.0.1:9/file", &sri(SCRIPT));
    let line = line.with("--gc-root", "result");
    for to in [
        &[sandbox.out("file")][..],
        &["store=unix:///a".to_owned(), "store=unix:///b".to_owned()],
    ] {
        let line = to
            .iter()
            .fold(line.clone(), |line, to| line.with("--to", to));
        sandbox
            .run(line)
            .exits(2)
            .says(["`--gc-root` needs exactly one store"]);
    }
    assert!(!sandbox.path("result").is_symlink());
}
