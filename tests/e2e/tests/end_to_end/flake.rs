//! The flake, the NixOS module and the units of `systemd`, judged by real Nix.

use std::fs;

use fetchhost_e2e::{Nix, sri, workspace};
use serde_json::{Value, json};

use crate::expressions::evaluate;

/// The repository's flake, without what a flake need not copy.
fn flake(nix: &Nix) -> String {
    let folder = nix.path("flake");
    fs::create_dir_all(folder.join("nix")).unwrap();
    fs::copy(workspace().join("flake.nix"), folder.join("flake.nix")).unwrap();
    for entry in fs::read_dir(workspace().join("nix")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), folder.join("nix").join(entry.file_name())).unwrap();
    }
    format!("path:{}", folder.display())
}

#[test]
fn the_flake_works_in_pure_evaluation() {
    for nix in Nix::all("the_flake_works_in_pure_evaluation") {
        let flake = flake(&nix);
        let ask = |attribute: &str, apply: &str| {
            let installable = format!("{flake}#{attribute}");
            let arguments = [
                "eval",
                "--no-write-lock-file",
                "--raw",
                &installable,
                "--apply",
                apply,
            ];
            nix.ask("nix", arguments)
        };
        let hash = sri(b"x");
        let fetched = format!("{{ url = \"https://a.example/x\"; hash = \"{hash}\"; }}");
        let expected = evaluate(
            &nix,
            &json!({ "url": "https://a.example/x", "hash": hash }),
            "((fetchhost { }).fetchHttpFile data).outPath",
        );
        assert_eq!(
            ask(
                "lib.fetchHttpFile",
                &format!("fetch: (fetch {fetched}).outPath")
            ),
            expected
        );
        let port = ask(
            "lib.withGateway",
            &format!("make: ((make {{ port = 1; }}).fetchHttpFile {fetched}).url"),
        );
        assert!(port.starts_with("http://127.0.0.1:1/v1/"), "{port}");
        assert_eq!(
            ask("lib.exec", "exec: builtins.toString (exec ? fetch)"),
            "1"
        );
        let module =
            "module: toString (builtins.isFunction (import (builtins.head module.imports)))";
        assert_eq!(ask("nixosModules.default", module), "1");
        nix.run("nix", ["flake", "check", "--no-write-lock-file", &flake])
            .exits(0);
    }
}

/// The sections of a unit with their settings, in order.
fn unit(name: &str) -> Vec<(String, Vec<(String, String)>)> {
    let text = fs::read_to_string(workspace().join("nix").join(name)).unwrap();
    let mut sections: Vec<(String, Vec<(String, String)>)> = Vec::new();
    for line in text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        if let Some(section) = line.strip_prefix('[') {
            sections.push((section.trim_end_matches(']').to_owned(), Vec::new()));
        } else {
            let (key, value) = line.split_once('=').unwrap();
            let (_, settings) = sections.last_mut().unwrap();
            settings.push((key.to_owned(), value.to_owned()));
        }
    }
    sections
}

/// What a module needs of nixpkgs' `lib`, without what nixpkgs checks.
pub(crate) const LIB: &str = r#"{
  concatStringsSep = builtins.concatStringsSep;
  mkEnableOption = text: { description = text; };
  mkForce = value: { forced = value; };
  mkIf = condition: value: if condition then value else { };
  mkOption = option: option;
  optionals = condition: list: if condition then list else [ ];
  splitString = separator: text: builtins.filter builtins.isString (builtins.split separator text);
  types = { bool = "bool"; package = "package"; port = "port"; str = "str"; };
  unique = builtins.foldl' (list: item: if builtins.elem item list then list else list ++ [ item ]) [ ];
}"#;

#[test]
fn the_nixos_module_has_the_units_settings_and_keeps_the_daemon_off_the_proxy() {
    for nix in Nix::all("the_nixos_module_has_the_units_settings") {
        let file = workspace().join("nix/nixos-module.nix");
        nix.run("nix-instantiate", ["--parse", file.to_str().unwrap()])
            .exits(0);
        let configured = |enable: bool, no_proxy: Value| {
            let data = json!({
                "services": { "nix-fetchhost": {
                    "enable": enable, "package": "/package", "user": "alice", "port": 8459, "substituter": true,
                } },
                "networking": { "proxy": { "noProxy": no_proxy } },
            });
            evaluate(
                &nix,
                &data,
                &format!(
                    "(import {} {{ config = data; lib = {LIB}; }}).config",
                    file.display()
                ),
            )
        };
        assert_eq!(configured(false, Value::Null), json!({}));
        for (before, after) in [
            (Value::Null, "127.0.0.1,localhost"),
            (
                json!("localhost,.example.com"),
                "localhost,.example.com,127.0.0.1",
            ),
        ] {
            let config = configured(true, before);
            assert_eq!(
                config["systemd"]["services"]["nix-daemon"]["environment"]["no_proxy"]["forced"],
                after
            );
        }

        let config = configured(true, Value::Null);
        assert_eq!(
            config["nix"]["settings"]["extra-substituters"],
            json!(["http://127.0.0.1:8459"])
        );
        let user = &config["systemd"]["user"];
        let (service, socket) = (
            &user["services"]["nix-fetchhost"],
            &user["sockets"]["nix-fetchhost"],
        );
        for (section, settings) in unit("nix-fetchhost.service")
            .into_iter()
            .chain(unit("nix-fetchhost.socket"))
        {
            for (key, value) in settings {
                let ours = match (section.as_str(), key.as_str()) {
                    ("Unit", "Description") => &service["description"],
                    ("Unit", "Requires") => &service["requires"][0],
                    ("Unit", "After") => &service["after"][0],
                    ("Service", key) => &service["serviceConfig"][key],
                    ("Socket", "ListenStream") => &socket["listenStreams"][0],
                    ("Install", "WantedBy") => &socket["wantedBy"][0],
                    other => panic!("{other:?} is not compared"),
                };
                let value = value.replace("%h/.cargo", "/package");
                assert_eq!(*ours, value, "{key}");
            }
        }
        let settings = service["serviceConfig"].as_object().unwrap().len();
        let (_, of_unit) = unit("nix-fetchhost.service")
            .into_iter()
            .find(|(name, _)| name == "Service")
            .unwrap();
        assert_eq!(settings, of_unit.len());
        for unit in [service, socket] {
            assert_eq!(unit["unitConfig"]["ConditionUser"], "alice");
        }
    }
}
