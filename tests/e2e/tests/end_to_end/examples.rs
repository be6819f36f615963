//! `examples/nix`, as its reader would use it.

use std::fs;
use std::path::{Path, PathBuf};

use fetchhost_e2e::{Finished, Nix, TREE_HASH, member_content, private_project, workspace};
use serde_json::json;

use crate::exec;
use crate::expressions::evaluate;
use crate::flake::LIB;
use crate::gateway::serve::{Serve, configuration};
use crate::lock::Project;

/// The server that the examples ask.
const SERVER: &str = "https://gitlab.example.com";

/// A copy of the examples beside what they use, which asks the stand-in.
fn copied(folder: &Path, url: &str) -> PathBuf {
    let root = folder.join("repository");
    for part in ["", "nix", "examples/nix"] {
        fs::create_dir_all(root.join(part)).unwrap();
        for entry in fs::read_dir(workspace().join(part)).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name();
            if part.is_empty() && name != "flake.nix" || entry.path().is_dir() {
                continue;
            }
            let text = fs::read_to_string(entry.path()).unwrap();
            fs::write(root.join(part).join(name), text.replace(SERVER, url)).unwrap();
        }
    }
    root
}

#[track_caller]
fn build<const N: usize>(nix: &Nix, arguments: [&str; N]) -> Finished {
    let fixed = ["--no-out-link", "--option", "sandbox", "true"];
    let output = nix
        .command("nix-build")
        .args(fixed)
        .args(arguments)
        .output()
        .unwrap();
    Finished::new(&output).exits(0)
}

#[test]
fn the_lock_file_is_what_lock_writes() {
    let project = Project::new();
    let root = copied(&project.file("copy"), &project.standin.url());
    let wishes = fs::read_to_string(root.join("examples/nix/fetches.toml")).unwrap();
    project.wish(&wishes);
    project.lock(&[]).exits(0);
    let written = fs::read_to_string(project.file("fetches.lock.json")).unwrap();
    let written = written.replace(&project.standin.url(), SERVER);
    let ours = fs::read_to_string(workspace().join("examples/nix/fetches.lock.json"));
    assert!(
        ours.unwrap_or_default() == written,
        "examples/nix/fetches.lock.json is out of date; it is now:\n{written}"
    );
    let default = fs::read_to_string(workspace().join("examples/nix/default.nix")).unwrap();
    assert!(default.contains(TREE_HASH));
}

#[test]
fn the_expressions_build_with_the_gateway() {
    for nix in Nix::all("the_expressions_build_with_the_gateway") {
        let project = Project::new();
        let serve = Serve::start(&project.sandbox);
        let root = copied(&nix.path("examples"), &project.standin.url());
        let port = serve.address.port().to_string();
        let folder = root.join("examples/nix");
        let folder = folder.to_str().unwrap();
        let built = build(&nix, [folder, "--arg", "port", &port, "-A", "report"]);
        let report = fs::read_to_string(nix.physical(built.stdout.trim_end())).unwrap();
        assert!(report.starts_with(member_content()), "{report}");
        assert!(report.trim_end().ends_with("-source/share/doc"), "{report}");
    }
}

#[test]
fn the_flake_builds_in_pure_evaluation() {
    for nix in Nix::all("the_flake_builds_in_pure_evaluation") {
        let project = Project::new();
        let serve = Serve::start(&project.sandbox);
        let root = copied(&nix.path("examples"), &project.standin.url());
        // The flake's gateway is the one on the usual port, which the tests have not for themselves.
        let functions = root.join("nix/fetchhost.nix");
        let text = fs::read_to_string(&functions).unwrap();
        let port = format!("port ? {}", serve.address.port());
        fs::write(&functions, text.replace("port ? 8459", &port)).unwrap();
        let (flake, library) = (
            format!("path:{}#manual", root.join("examples/nix").display()),
            format!("path:{}", root.display()),
        );
        let arguments = [
            "build",
            "--no-write-lock-file",
            "--no-link",
            "--json",
            "--override-input",
            "fetchhost",
            &library,
            &flake,
        ];
        let built = nix.run("nix", arguments).exits(0).stdout;
        let path = built.split('"').find(|word| word.ends_with("-manual.txt"));
        let content = fs::read_to_string(nix.physical(path.unwrap())).unwrap();
        assert_eq!(content, member_content(), "{}", nix.installation.version);
    }
}

#[test]
fn the_expression_without_the_gateway_builds() {
    for judge in Nix::all("the_expression_without_the_gateway_builds") {
        let standin = private_project();
        let sandbox = judge.sandbox().configured(&configuration(&standin, ""));
        let root = copied(&judge.path("examples"), &standin.url());
        let file = root.join("examples/nix/evaluation.nix");
        let arguments = ["--no-out-link", file.to_str().unwrap(), "-A", "manual"];
        let built = exec::nix(&judge, &sandbox, "nix-build", &arguments).exits(0);
        let manual = fs::read_to_string(judge.physical(built.stdout.trim_end())).unwrap();
        assert!(manual.starts_with(member_content()), "{manual}");
    }
}

#[test]
fn the_nixos_configuration_sets_what_the_module_has() {
    for nix in Nix::all("the_nixos_configuration_sets_what_the_module_has") {
        let examples = workspace().join("examples/nix");
        let configured = evaluate(
            &nix,
            &json!({}),
            &format!(
                "let
                   example = import {} {{ pkgs.nix-fetchhost = \"/package\"; }};
                   module = import (builtins.head example.imports) {{
                     config = {{ inherit (example) services; networking.proxy.noProxy = null; }};
                     lib = {LIB};
                   }};
                   known = module.options.services.nix-fetchhost;
                   set = example.services.nix-fetchhost;
                 in {{
                   unknown = builtins.attrNames (builtins.removeAttrs set (builtins.attrNames known));
                   packages = (import (builtins.head example.imports) {{
                     config = {{
                       services.nix-fetchhost = {{ port = known.port.default; }} // set;
                       networking.proxy.noProxy = null;
                     }};
                     lib = {LIB};
                   }}).config.environment.systemPackages;
                 }}",
                examples.join("configuration.nix").display()
            ),
        );
        assert_eq!(
            configured,
            json!({ "unknown": [], "packages": ["/package"] })
        );
    }
}
