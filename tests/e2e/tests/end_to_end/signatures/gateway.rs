//! With a declared hash: fixed-output derivations that the gateway answers.

use fetchhost_e2e::CommandLine;

use super::{World, bundle, sign_of};
use crate::gateway::serve::Serve;

#[test]
fn a_signature_that_was_made_is_an_input_of_a_pure_build_and_none_is_made_by_it() {
    for world in World::all("a_signature_that_was_made_is_an_input") {
        let version = &world.nix.installation.version;
        let serve = Serve::start(&world.sandbox);
        let hash = format!("hash = \"{}\";", world.hash());
        let port = serve.address.port();
        let sign = format!(
            "(import \"${{{}}}/fetchhost.nix\" {{ port = {port}; }}).sign",
            world.functions()
        );
        let expression = bundle(&sign, &hash);

        let failed = world.build(true, &expression);
        assert_ne!(failed.code, 0, "{version}");
        let drv = world.nix.ask(
            "nix-instantiate",
            ["--option", "pure-eval", "true", "--expr", &expression],
        );
        let inputs = world
            .nix
            .ask("nix-store", ["--query", "--references", &drv]);
        let signature = inputs
            .lines()
            .find(|path| path.contains("minisig"))
            .unwrap();
        let log = world.nix.run("nix", ["log", signature]);
        // Nix shows the body at once, or keeps it in the build's log.
        let shown = format!("{}{}{}", failed.stderr, log.stdout, log.stderr);
        for text in [shown.as_str(), &serve.said()] {
            for part in [
                "is not remembered",
                "nix-fetchhost run signer",
                "--key-id release",
                "--input content=/nix/store/",
            ] {
                assert!(text.contains(part), "{version}: no `{part}` in {text}");
            }
        }
        assert_eq!(world.remembered(), 0, "{version}");

        // As soon as the user has signed, it works.
        world.sign(&world.sandbox, "signed");
        world.builds(world.build(true, &expression));
        let ticket = serve
            .said()
            .lines()
            .find(|line| line.contains("`signature.minisig` for you fetched"))
            .map(|line| line.split(':').next().unwrap().to_owned())
            .unwrap();
        let record = world.sandbox.run(CommandLine::new(["log", &ticket]));
        let record = record.exits(0).json();
        let used = &record["signatures"][0];
        assert_eq!(used["key"], "release", "{record}");
        assert_eq!(used["remembered"], true, "{record}");
        assert_eq!(record["result"]["signatures"][0], *used, "{record}");
    }
}

#[test]
fn a_grant_that_is_taken_back_counts_for_what_is_at_hand_too() {
    for world in World::all("a_grant_that_is_taken_back") {
        let serve = Serve::start(&world.sandbox);
        world.sign(&world.sandbox, "signed");
        let sign = sign_of(&serve);
        let signature = bundle(&sign, &format!("hash = \"{}\";", world.hash()));
        world.builds(world.build(false, &signature));

        let url = world.nix.ask(
            "nix-instantiate",
            [
                "--eval",
                "--expr",
                &format!("builtins.unsafeDiscardStringContext ({signature}).signature.url"),
            ],
        );
        let address = serve.address.to_string();
        let (_, target) = url.trim_matches('"').split_once(&address).unwrap();
        let answer = serve.get(target);
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        let world = world.configured("");
        let answer = serve.get(target);
        assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
        assert!(
            answer.contains("[[grant]]") && answer.contains("builtin:signer"),
            "{answer}"
        );
        drop(world);
    }
}

#[test]
fn realise_looks_up_what_the_gateway_would() {
    for world in World::all("realise_looks_up") {
        let hash = world.hash();
        // Nobody listens there.
        let sign = format!(
            "(import {}/nix/fetchhost.nix {{ port = 1; }}).sign",
            fetchhost_e2e::workspace().display()
        );
        let expression = bundle(&sign, &format!("hash = \"{hash}\";"));
        let drv = world.nix.ask("nix-instantiate", ["--expr", &expression]);
        let drv = drv.lines().next().unwrap().to_owned();
        world.build(false, &super::app()).exits(0);
        // Another derivation names the same output, and a file that was never signed: it is another way.
        let other = format!(
            "{sign} {{ src = builtins.toFile \"other\" \"x\"; key = \"release\"; format = \"minisign\"; hash = \"{hash}\"; }}"
        );
        let other = world.nix.ask("nix-instantiate", ["--expr", &other]);
        let realise = || {
            let line = CommandLine::new(["realise"]).flag(&other).flag(&drv);
            world.sandbox.run(line)
        };
        realise()
            .exits(3)
            .says(["is not remembered", "nix-fetchhost run signer"]);
        assert_eq!(world.remembered(), 0);
        world.sign(&world.sandbox, "signed");
        realise().exits(0);
        world.builds(world.build(false, &expression));
    }
}

#[test]
fn what_run_put_into_the_store_needs_no_gateway() {
    for world in World::all("what_run_put_into_the_store") {
        let content = format!("content={}", world.app().display());
        let line = CommandLine::new(["run", "signer"])
            .with("--key-id", "release")
            .with("--format", "minisign")
            .with("--input", &content)
            .flag("--json");
        let made = world.sandbox.run(line).exits(0).json();
        let (hash, path) = (made["hash"].as_str().unwrap(), &made["storePath"]);
        let sign = format!(
            "(import {}/nix/fetchhost.nix {{ port = 1; }}).sign",
            fetchhost_e2e::workspace().display()
        );
        let expression = bundle(&sign, &format!("hash = \"{hash}\";"));
        let named = format!("builtins.unsafeDiscardStringContext ({expression}).signature.outPath");
        let named = world
            .nix
            .ask("nix-instantiate", ["--eval", "--expr", &named]);
        assert_eq!(named.trim_matches('"'), path.as_str().unwrap());
        world.builds(world.build(false, &expression));
    }
}
