//! By `builtins.exec`, and as nix-plugins calls it.

use fetchhost_e2e::{Finished, workspace};

use super::{GRANT, World, bundle};
use crate::exec;

/// `sign` by the file of this name, as its users have it.
fn by(file: &str) -> String {
    let nix = workspace().join("nix");
    let nix = nix.display();
    match file {
        "exec.nix" => format!("(import {nix}/exec.nix {{ }}).sign"),
        _ => format!(
            "(import {nix}/sign.nix {{ fetch = (import {nix}/extra-builtins.nix {{ exec = builtins.exec; }}).fetchhost; }})"
        ),
    }
}

#[track_caller]
fn build(world: &World, expression: &str) -> Finished {
    let arguments = [
        "--no-out-link",
        "--option",
        "sandbox",
        "true",
        "--expr",
        expression,
    ];
    exec::nix(&world.nix, &world.sandbox, "nix-build", &arguments)
}

#[test]
fn what_was_signed_is_found_while_nix_evaluates_and_nothing_else_is() {
    for world in World::all("what_was_signed_is_found_by_exec") {
        for file in ["exec.nix", "extra-builtins.nix"] {
            let with_hash = format!("hash = \"{}\";", world.hash());
            for more in ["", &with_hash] {
                let expression = bundle(&by(file), more);
                build(&world, &expression).exits(1).says([
                    "is not remembered",
                    "nix-fetchhost run signer",
                    "failed with exit code 3",
                ]);
            }
        }
        assert_eq!(world.remembered(), 0);
        world.sign(&world.sandbox, "signed");
        for file in ["exec.nix", "extra-builtins.nix"] {
            let with_hash = format!("hash = \"{}\";", world.hash());
            for more in ["", &with_hash] {
                world.builds(build(&world, &bundle(&by(file), more)));
            }
        }

        let sign = format!(
            "(import \"${{{}}}/exec.nix\" {{ }}).sign",
            world.functions()
        );
        let expression = bundle(&sign, "");
        let arguments = [
            "--no-out-link",
            "--option",
            "pure-eval",
            "true",
            "--expr",
            &expression,
        ];
        world.builds(exec::nix(
            &world.nix,
            &world.sandbox,
            "nix-build",
            &arguments,
        ));

        let world = world.configured("");
        build(&world, &bundle(&by("exec.nix"), ""))
            .exits(1)
            .says(["[[grant]]", "failed with exit code 3"]);
    }
}

#[test]
fn an_expression_signs_nothing_whatever_it_names() {
    for world in World::all("an_expression_signs_nothing") {
        let world = world.configured(&format!(
            "{GRANT}[key.other]\nsource = {{ file = \"/none\" }}\nuse = [\"minisign\"]\n"
        ));
        let app = "(builtins.toFile \"app\" \"the app\\n\")";
        let folder = world.nix.path("tree");
        std::fs::create_dir(&folder).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", folder.join("out")).unwrap();
        std::os::unix::fs::symlink("..", folder.join("up")).unwrap();
        let tree = folder.display();
        for (key, src, says, code) in [
            ("other", app.to_owned(), "[[grant]]", 3),
            ("none", app.to_owned(), "`none`", 2),
            ("release", "\"/etc/passwd\"".to_owned(), "no path of it", 2),
            (
                "release",
                format!("\"${{{app}}}/../x\""),
                "not spelt plainly",
                2,
            ),
            (
                "release",
                "\"/nix/store/00000000000000000000000000000000-x\"".to_owned(),
                "not valid",
                2,
            ),
            (
                "release",
                format!("\"${{{tree}}}/out\""),
                "a link leads out",
                2,
            ),
            (
                "release",
                format!("\"${{{tree}}}/up/x\""),
                "a link leads out",
                2,
            ),
            ("release", tree.to_string(), "no plain file", 2),
        ] {
            let expression = format!(
                "{} {{ src = {src}; key = \"{key}\"; format = \"minisign\"; }}",
                by("exec.nix")
            );
            build(&world, &expression)
                .exits(1)
                .says([says, &format!("failed with exit code {code}")]);
        }
        assert_eq!(world.remembered(), 0);
    }
}
