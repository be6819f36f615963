//! A key signs where its owner typed its name or approved the very content, and nowhere else.

use fetchhost_e2e::{CommandLine, Nix};

use super::user::{CONTENT, User, grant, key, minisign_key, sha256};

/// The line with the key's name from a file.
fn from_file(user: &User) -> CommandLine {
    user.write("params.json", r#"{"key-id":"release","format":"minisign"}"#);
    CommandLine::new(["run", "signer"])
        .with("--params", "params.json")
        .with("--input", "content=content")
}

fn configured(more: &str) -> User {
    let user = User::new();
    let source = user.file("minisign.key", &minisign_key(0).0);
    let config = format!("{}\n{more}", key("release", &source, &["minisign"]));
    user.configure(&config);
    user
}

fn approve(user: &User, words: &[&str]) -> String {
    let line = CommandLine::new(["approve", "--key", "release"]);
    let line = words.iter().fold(line, |line, word| line.flag(word));
    let done = user.run(line).exits(0);
    done.stdout + &done.stderr
}

#[test]
fn a_name_from_a_file_signs_what_was_approved_and_nothing_else() {
    let user = configured(&grant("builtin:signer", "release = [\"minisign\"]", ""));
    let digest = format!("sha256:{}", sha256(CONTENT));
    let command = format!("nix-fetchhost approve --key release {digest}");
    user.refuse(from_file(&user), 3, ["is not remembered", &command]);

    approve(&user, &[&digest]);
    assert_eq!(approve(&user, &["--list"]).trim_end(), digest);
    let signature = user.sign(from_file(&user));
    // Approved is a content, not the file that has it.
    user.write("content", "another content");
    let other = format!("sha256:{}", sha256("another content"));
    user.refuse(from_file(&user), 3, ["approve --key release", &other]);

    approve(&user, &[&other]);
    approve(&user, &["--withdraw", &other]);
    user.refuse(from_file(&user), 3, ["approve --key release", &other]);
    assert!(!approve(&user, &["--list"]).contains(&other));

    // What was signed stays, whether it is approved or not.
    approve(&user, &["--withdraw", &digest]);
    user.write("content", CONTENT);
    assert_eq!(user.sign(from_file(&user)), signature);
}

#[test]
fn an_approval_is_for_one_key() {
    let user = User::new();
    let sources = [0, 1].map(|number| user.file(&format!("key-{number}"), &minisign_key(number).0));
    user.configure(&format!(
        "{}{}{}",
        key("release", &sources[0], &["minisign"]),
        key("other", &sources[1], &["minisign"]),
        grant(
            "builtin:signer",
            "release = [\"minisign\"], other = [\"minisign\"]",
            ""
        ),
    ));
    let digest = format!("sha256:{}", sha256(CONTENT));
    let line = CommandLine::new(["approve", "--key", "other", &digest]);
    user.run(line).exits(0);
    let says = ["approve --key release"];
    user.refuse(from_file(&user), 3, says);
    user.write("params.json", r#"{"key-id":"other","format":"minisign"}"#);
    let line = CommandLine::new(["run", "signer"])
        .with("--params", "params.json")
        .with("--input", "content=content");
    user.sign(line);

    for (words, said) in [
        (["approve", "--key", "nobody", &digest], "nobody"),
        (["approve", "--key", "release", "sha256:12"], "no SHA-256"),
        (["approve", "--key", "release", "content"], "no SHA-256"),
    ] {
        user.run(CommandLine::new(words)).exits(2).says([said]);
    }
}

#[test]
fn a_name_from_a_file_needs_a_grant_although_the_content_is_approved() {
    let user = configured("");
    let digest = format!("sha256:{}", sha256(CONTENT));
    approve(&user, &[&digest]);
    let lines = [
        "[[grant]]",
        "module = \"builtin:signer\"",
        "keys = { release = [\"minisign\"] }",
    ];
    user.refuse(from_file(&user), 3, lines);
    // The lines do what they say.
    let source = user.source("minisign.key");
    let config = key("release", &source, &["minisign"]);
    user.configure(&format!("{config}\n{}\n", lines.join("\n")));
    user.sign(from_file(&user));
}

#[test]
fn a_grant_of_another_envelope_is_none() {
    let user = User::with_pkcs8();
    let granted = grant("builtin:signer", "release = [\"sshsig\"]", "");
    user.configure(&format!("{}\n{granted}", user.config()));
    let digest = format!("sha256:{}", sha256(CONTENT));
    approve(&user, &[&digest]);
    user.write("params.json", r#"{"key-id":"release","format":"raw"}"#);
    let line = || {
        CommandLine::new(["run", "signer"])
            .with("--params", "params.json")
            .with("--input", "content=content")
    };
    user.refuse(line(), 3, ["`raw`", "add `raw` to `keys` of the grant"]);
    user.write("params.json", r#"{"key-id":"release","format":"sshsig"}"#);
    user.sign(line());
    // Typed, the built-in module needs none.
    user.sign(User::line("raw"));
}

#[test]
fn a_name_is_typed_in_either_form_of_a_parameter() {
    let user = User::with_minisign();
    let line = |file: &str| {
        user.write("params.json", file);
        CommandLine::new(["run", "signer"])
            .with("--params", "params.json")
            .with("--input", "content=content")
    };
    let signature = user.sign(line(r#"{"format":"minisign"}"#).with("--key-id", "release"));
    let line = line(r#"{"format":"minisign","comment":"x"}"#);
    assert_ne!(user.sign(line.with("--param", "key-id=release")), signature);
    // A user's file denies nothing, which only the administrator's does.
    let deny = "[[deny]]\nmodules = [\"builtin:signer\"]\n";
    user.configure(&format!("{}\n{deny}", user.config()));
    user.refuse(User::line("minisign"), 2, ["config.toml"]);
}

#[test]
fn an_expression_looks_up_what_was_signed_as_long_as_a_grant_says_so() {
    for nix in Nix::all("an_expression_looks_up_what_was_signed") {
        let user = User::of(nix.sandbox());
        let source = user.file("minisign.key", &minisign_key(0).0);
        let config = key("release", &source, &["minisign"]);
        let granted = grant("builtin:signer", "release = [\"minisign\"]", "");
        let file = nix.ask("nix-store", ["--add", &user.at("content")]);
        let exec = || User::exec("minisign", &file);
        let run = || {
            CommandLine::new([
                "run", "signer", "--key-id", "release", "--format", "minisign",
            ])
            .with("--input", "content=content")
        };

        user.configure(&config);
        let lines = [
            "[[grant]]",
            "module = \"builtin:signer\"",
            "release = [\"minisign\"]",
        ];
        user.run(exec()).exits(3).says(lines);
        user.configure(&format!("{config}{granted}"));
        let says = ["is not remembered", "nix-fetchhost run signer", &file];
        let refused = user.run(exec()).exits(3).says(says);

        // The command that it names signs, and the expression finds it then.
        let command = refused
            .stderr
            .lines()
            .map(str::trim)
            .find_map(|line| line.strip_prefix("nix-fetchhost run "))
            .unwrap();
        let words = command.split(' ').map(|word| word.trim_matches('\''));
        // Where the file lies, for a program that knows of no other root.
        let words = words.map(|word| {
            let physical = format!("content={}", nix.physical(&file).display());
            if word.starts_with("content=") {
                physical
            } else {
                word.to_owned()
            }
        });
        let mut program = user.sandbox.command();
        let output = program.arg("run").args(words).output().unwrap();
        let stored = fetchhost_e2e::Finished::new(&output).exits(0).stdout;
        let found = user.run(exec()).exits(0);
        let evaluated = nix.ask("nix-instantiate", ["--eval", "--expr", &found.stdout]);
        assert_eq!(evaluated, format!("\"{}\"", stored.trim_end()));
        let (to, path) = user.fresh();
        user.run(run().with("--to", to)).exits(0);
        let physical = nix.physical(stored.trim_end());
        assert_eq!(
            std::fs::read(path).unwrap(),
            std::fs::read(physical).unwrap()
        );

        // A grant that is taken back is none.
        user.configure(&config);
        user.run(exec()).exits(3).says(lines);
        // And an approval signs nothing for an expression.
        let other = user.write("other", "another content");
        let other = nix.ask("nix-store", ["--add", other.to_str().unwrap()]);
        user.configure(&format!("{config}{granted}"));
        approve(&user, &[&format!("sha256:{}", sha256("another content"))]);
        user.run(User::exec("minisign", &other))
            .exits(3)
            .says(["this route only looks up"]);
    }
}
