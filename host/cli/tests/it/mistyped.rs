//! Command lines that mean something else than they say, and what is said about them.

use crate::home::Home;

const HASH: &str = "sha256-WJG1tSLV3whtD/CxEPvZ0hu0/HFjrzTQgoai6Eb2vgM=";

#[track_caller]
fn told(line: &str, parts: &[&str]) {
    let words: Vec<&str> = line.split(' ').collect();
    let stderr = Home::new().run(&words).fails(2);
    for part in parts {
        assert!(stderr.contains(part), "{line}\n{part}\n{stderr}");
    }
}

#[test]
fn a_flag_that_is_not_there_is_answered_for_the_command_that_was_typed() {
    for line in ["doctor --zzz", "grant list --zzz", "gc 5"] {
        let words: Vec<&str> = line.split(' ').collect();
        let (last, command) = words.split_last().unwrap();
        let command = format!("nix-fetchhost {}", command.join(" "));
        let takes = format!("`{command} --help` lists what there is");
        told(line, &[&format!("`{command}` takes no `{last}`"), &takes]);
    }
    let stderr = Home::new().run(&["doctor", "--zzz"]).fails(2);
    assert!(!stderr.contains("parameter"), "{stderr}");
    told("grant add builtin:http --orign x", &["there is `--origin`"]);
    told(
        "run http-file --zzz",
        &["`nix-fetchhost run http-file --help`"],
    );
    told(
        "prefetch --zzz",
        &["parameters come after the fetcher's name"],
    );
    told("exec --zzz", &["one JSON object"]);
}

#[test]
fn a_flag_of_another_command_is_told_with_that_command() {
    let fetch = "prefetch http-file --url https://a.example/x";
    told(
        &format!("{fetch} --gc-root x"),
        &["`--gc-root` belongs to `run`"],
    );
    told(
        &format!("{fetch} --dry-run"),
        &["`--dry-run` belongs to `run`"],
    );
    told(
        "exec http-file {} --hash x --allow https://b.example",
        &["`--allow` belongs to `run` and `prefetch`"],
    );
}

#[test]
fn without_a_hash_run_names_prefetch() {
    told(
        "run http-file --url https://a.example/x",
        &["needs the declared hash", "`nix-fetchhost prefetch`"],
    );
}

#[test]
fn a_duration_without_a_unit_is_told_the_units() {
    told(
        "prefetch http-file --url https://a.example/x --timeout 90",
        &["write `90s`, `90m` or `90h`"],
    );
}

#[test]
fn a_store_without_its_key_word_is_told_with_it() {
    for (to, hint) in [
        ("daemon", "`store=daemon`"),
        ("local?root=/srv/root", "`store=local?root=/srv/root`"),
        ("unix:///run/nix", "`store=unix:///run/nix`"),
        ("ssh://host", "`nix copy`"),
        ("/srv/file", "`out:/srv/file`"),
        ("nonsense", "a destination is `store`"),
    ] {
        told(
            &format!("run http-file --url https://a.example/x --hash {HASH} --to {to}"),
            &["unknown destination", hint],
        );
    }
}

#[test]
fn an_input_that_is_typed_as_a_flag_is_answered_with_how_it_is_given() {
    told(
        "run signer --content app.tar.gz",
        &["an input is given as `--input content=PATH`"],
    );
}

#[test]
fn usage_names_what_a_fetcher_cannot_do_without() {
    let help = Home::new().run(&["run", "signer", "--help"]).succeeds();
    assert!(
        help.contains(
            "signer --format <VALUE> --key-id <VALUE> [PARAMETERS] --input content=<PATH>"
        ),
        "{help}"
    );
}

#[test]
fn a_digest_in_the_place_of_a_lock_file_is_answered_with_the_key_that_would_sign_it() {
    let digest = format!("sha256:{}", "0".repeat(64));
    told(&format!("approve {digest}"), &["add `--key NAME`"]);
    told("approve fetches.lock.json", &["`nix-fetchhost lock`"]);
}

#[test]
fn an_id_is_told_apart_from_what_is_none() {
    told(
        "memo show 01234567",
        &["has an id that begins with `01234567`"],
    );
    told("memo show 0123456", &["is no id", "or its first 8 or more"]);
    told("memo show 0123456X", &["is no id"]);
}
