//! Without a hash: looked up by the gateway while Nix evaluates.

use super::{World, bundle, sign_of};
use crate::gateway::serve::Serve;

#[test]
fn what_was_built_and_signed_is_found_while_nix_evaluates() {
    for world in World::all("what_was_built_and_signed_is_found") {
        let version = &world.nix.installation.version;
        let serve = Serve::start(&world.sandbox);
        let expression = bundle(&sign_of(&serve), "");
        // Nix shows why the server refused.
        let failed = world.build(false, &expression);
        assert_eq!(failed.code, 1, "{version}: {}", failed.stderr);
        for part in [
            "is not remembered",
            "nix-fetchhost run signer",
            "--input content=/nix/store/",
        ] {
            assert!(
                failed.stderr.contains(part),
                "{version}: no `{part}` in {}",
                failed.stderr
            );
        }
        assert_eq!(world.remembered(), 0, "{version}");
        world.sign(&world.sandbox, "signed");
        world.builds(world.build(false, &expression));
    }
}

#[test]
fn a_file_beside_the_expression_is_copied_to_the_store() {
    for world in World::all("a_file_beside_the_expression") {
        let serve = Serve::start(&world.sandbox);
        world.sign(&world.sandbox, "signed");
        let sign = sign_of(&serve);
        for more in ["", &format!("hash = \"{}\";", world.hash())] {
            let expression = format!(
                "derivation {{ name = \"bundle\"; system = \"{}-linux\"; builder = \"/bin/sh\"; app = {app}; \
                 signature = {sign} {{ src = {app}; key = \"release\"; format = \"minisign\"; {more} }}; \
                 args = [ \"-c\" ''{}'' ]; }}",
                std::env::consts::ARCH,
                super::COPY,
                app = world.app().display()
            );
            world.builds(world.build(false, &expression));
        }
    }
}

#[test]
fn what_cannot_be_looked_up_is_told_by_the_expression() {
    for world in World::all("what_cannot_be_looked_up") {
        let port = "1";
        let functions = world.functions();
        let fetchhost = format!("(import \"${{{functions}}}/fetchhost.nix\" {{ port = {port}; }})");
        let fails = |pure: bool, expression: &str, says: &str| {
            let failed = world.build(pure, expression);
            assert_eq!(failed.code, 1, "{}", failed.stderr);
            assert!(
                failed.stderr.contains(says),
                "no `{says}` in {}",
                failed.stderr
            );
        };
        fails(
            true,
            &bundle(&format!("{fetchhost}.sign"), ""),
            "pure evaluation does not allow",
        );
        fails(
            false,
            &format!(
                "{fetchhost}.sign {{ src = \"/etc/passwd\"; key = \"release\"; format = \"minisign\"; }}"
            ),
            "is no file of the Nix store",
        );
        fails(
            false,
            &format!(
                "{fetchhost}.sign {{ src = \"${{{functions}}}/none\"; key = \"release\"; format = \"minisign\"; }}"
            ),
            "is not there",
        );
        for (arguments, says) in [
            (
                "fetcher = \"http-file\"; params.url = \"https://a.example/x\";",
                "needs `hash`",
            ),
            (
                "fetcher = \"signer\"; params = { key-id = \"release\"; format = \"raw\"; };",
                "needs the file `content`",
            ),
            (
                "fetcher = \"signer\"; params = { key-id = \"release\"; format = \"raw\"; }; inputs = { content = ./.; x = ./.; };",
                "is given no file `x`",
            ),
            (
                "fetcher = \"http-file\"; params.url = \"https://a.example/x\"; inputs.content = ./.; hash = \"sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\";",
                "is given no file `content`",
            ),
            (
                "fetcher = \"signer\"; params = { key-id = \"release\"; format = \"raw\"; }; inputs.content = ./.; mode = \"nar\";",
                "plain file",
            ),
        ] {
            fails(false, &format!("{fetchhost}.fetch {{ {arguments} }}"), says);
        }
    }
}
