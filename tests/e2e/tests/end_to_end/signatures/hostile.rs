//! What is asked of the gateway without any expression of ours.

use std::fs;
use std::os::unix::fs::symlink;

use fetchhost_e2e::{CommandLine, sri};

use super::{GRANT, World};
use crate::gateway::serve::Serve;

fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| match byte {
            byte if plain(byte) => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

fn params(key: &str) -> String {
    encoded(&format!("{{\"format\":\"minisign\",\"key-id\":\"{key}\"}}"))
}

fn inputs(path: &str) -> String {
    encoded(&format!("{{\"content\":\"{path}\"}}"))
}

/// A URL with a hash and one without.
pub(super) fn targets(key: &str, path: &str) -> [String; 2] {
    let (params, inputs) = (params(key), inputs(path));
    let hash = encoded(&sri(b"guess"));
    [
        format!(
            "/v1/fetch/start-nix-fetchhost-serve/signer/content?mode=flat&name=s&hash={hash}&params={params}&inputs={inputs}"
        ),
        format!(
            "/v1/signature/start-nix-fetchhost-serve/signer/content?name=s&params={params}&inputs={inputs}"
        ),
    ]
}

/// The app in the store.
pub(super) fn stored(world: &World) -> String {
    let file = world.app();
    world
        .nix
        .ask("nix-store", ["--add", file.to_str().unwrap()])
}

#[test]
fn no_request_reads_outside_of_the_store_or_makes_a_key_sign() {
    for world in World::all("no_request_reads_outside_of_the_store") {
        let world = world.configured(&format!(
            "{GRANT}[key.other]\nsource = {{ file = \"/none\" }}\nuse = [\"minisign\"]\n"
        ));
        let serve = Serve::start(&world.sandbox);
        let app = stored(&world);
        let tree = world.nix.path("tree");
        fs::create_dir(&tree).unwrap();
        symlink("/etc/passwd", tree.join("out")).unwrap();
        symlink("..", tree.join("up")).unwrap();
        let tree = world
            .nix
            .ask("nix-store", ["--add", tree.to_str().unwrap()]);
        let invalid = "/nix/store/00000000000000000000000000000000-x";
        for (key, path, status, says) in [
            ("release", app.as_str(), 404, "is not remembered"),
            ("other", &app, 404, "[[grant]]"),
            ("none", &app, 404, "`none`"),
            ("../release", &app, 404, "key-id"),
            ("release", "/etc/passwd", 400, "`inputs` is not"),
            ("release", &format!("{app}/../x"), 400, "`inputs` is not"),
            ("release", invalid, 404, "not valid"),
            ("release", &tree, 404, "no plain file"),
            ("release", &format!("{tree}/out"), 404, "a link leads out"),
            ("release", &format!("{tree}/up/x"), 404, "a link leads out"),
        ] {
            for target in targets(key, path) {
                let answer = serve.get(&target);
                assert!(
                    answer.starts_with(&format!("HTTP/1.1 {status} ")),
                    "{key} {path}: {answer}"
                );
                assert!(
                    answer.contains(says),
                    "{key} {path}: no `{says}` in {answer}"
                );
                assert!(!answer.contains("root:"), "{answer}");
            }
        }
        // What is not granted is refused before it is looked at.
        for target in targets("other", invalid) {
            assert!(serve.get(&target).contains("[[grant]]"));
        }
        // It is given what it declares, all of it and nothing else.
        let [target, _] = targets("release", &app);
        let more = encoded(&format!("{{\"content\":\"{app}\",\"more\":\"{app}\"}}"));
        for (target, says) in [
            (
                target.split("&inputs=").next().unwrap().to_owned(),
                "the input `content` is not given",
            ),
            (target.replace(&inputs(&app), &more), "has no input `more`"),
        ] {
            let answer = serve.get(&target);
            assert!(
                answer.starts_with("HTTP/1.1 404 ") && answer.contains(says),
                "{answer}"
            );
        }
        // A fetcher that signs nothing is given nothing.
        let other = targets("release", &app)
            .map(|target| target.replace("/signer/", "/http-file/"))
            .map(|target| {
                target.replace(
                    &params("release"),
                    &encoded("{\"url\":\"https://a.example\"}"),
                )
            });
        for (target, says) in other.iter().zip(["[[grant]]", "makes no signatures"]) {
            let answer = serve.get(target);
            assert!(
                answer.starts_with("HTTP/1.1 404 ") && answer.contains(says),
                "{answer}"
            );
        }
        assert_eq!(world.remembered(), 0);

        // Once it is signed, its bytes come by both, and a wrong hash is one.
        let signature = world.sign(&world.sandbox, "signed");
        let [by_hash, by_key] = targets("release", &app);
        assert!(serve.get(&by_hash).contains("hash mismatch"));
        let right = by_hash.replace(&encoded(&sri(b"guess")), &encoded(&sri(&signature)));
        for target in [&right, &by_key] {
            let answer = serve.get_bytes(target);
            assert!(
                answer.ends_with(&signature),
                "{}",
                String::from_utf8_lossy(&answer)
            );
        }
        assert_eq!(world.remembered(), 1);

        // What was forgotten is found by nobody who does not know its hash.
        let listed = CommandLine::new(["memo", "list", "--json"]);
        let listed = world.sandbox.run(listed).exits(0).stdout;
        let id = listed.split('"').find(|word| word.len() == 64).unwrap();
        let forget = CommandLine::new(["memo", "forget", id]);
        world.sandbox.run(forget).exits(0);
        let answer = serve.get(&by_key);
        assert!(
            answer.starts_with("HTTP/1.1 404 ") && answer.contains("was forgotten"),
            "{answer}"
        );
    }
}
