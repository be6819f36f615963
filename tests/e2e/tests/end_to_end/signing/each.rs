//! `run signer --each`: a list of files with one unlocking of the key.

use std::collections::BTreeSet;
use std::fs;

use fetchhost_e2e::{CommandLine, Finished, Terminal};

use super::user::{CONTENT, OPENSSL_P256, User, have, key, sha256};

/// How many files a long list has.
const MANY: usize = 50;

fn each(format: &str, list: &str) -> CommandLine {
    CommandLine::new(["run", "signer", "--key-id", "release", "--format", format])
        .with("--each", format!("content={list}"))
}

/// Writes files, not in the order of their names, and a list of them.
fn files(user: &User) -> Vec<String> {
    fs::create_dir(user.path("dist")).unwrap();
    let names = (0..MANY).map(|number| format!("dist/file-{}", (number * 37) % MANY));
    let names: Vec<String> = names.collect();
    for name in &names {
        user.write(name, format!("the content of {name}"));
    }
    user.write("list", names.join("\n") + "\n");
    names
}

/// A key of OpenSSH's with a passphrase, which `ssh-keygen -Y verify` knows as `me`.
fn encrypted(user: &User) {
    let arguments = [
        "-q",
        "-t",
        "ecdsa",
        "-b",
        "256",
        "-f",
        "k",
        "-N",
        "the words",
    ];
    user.succeed("ssh-keygen", &arguments, b"");
    user.write("allowed", format!("me {}", user.text("k.pub")));
    user.configure(&key("release", &user.source("k"), &["sshsig"]));
}

#[test]
fn a_list_is_signed_with_one_question_and_in_its_order() {
    let test = "a_list_is_signed_with_one_question_and_in_its_order";
    if !have(test, &["ssh-keygen"]) {
        return;
    }
    let user = User::new();
    encrypted(&user);
    let names = files(&user);
    let line = each("sshsig", "list")
        .with("--to", user.sandbox.out("signatures"))
        .flag("--json");
    let mut terminal = Terminal::start(&user.sandbox, line);
    terminal.answer("Passphrase of ", "the words");
    let (code, shown) = terminal.end();
    assert_eq!(code, 0, "{shown}");
    assert_eq!(shown.matches("Passphrase of ").count(), 1, "{shown}");
    let result: serde_json::Value = serde_json::from_slice(&user.read("stdout")).unwrap();
    let results = result["results"].as_array().unwrap();
    let order: Vec<_> = results
        .iter()
        .map(|one| one["path"].as_str().unwrap())
        .collect();
    assert_eq!(order, names);
    for (name, one) in names.iter().zip(results) {
        let content = user.read(name);
        let signed = &one["result"]["signatures"][0];
        assert_eq!(signed["content"], sha256(&content));
        assert_eq!(signed["remembered"], false);
        let base = name.strip_prefix("dist/").unwrap();
        let signature = format!("signatures/{base}.sig");
        let verify = [
            "-Y", "verify", "-f", "allowed", "-I", "me", "-n", "file", "-s", &signature,
        ];
        user.succeed("ssh-keygen", &verify, &content);
        user.fail("ssh-keygen", &verify, b"another");
    }
    assert_eq!(fs::read_dir(user.path("signatures")).unwrap().count(), MANY);

    // A second time nothing is asked, and all is the same.
    let line = each("sshsig", "list").with("--to", user.sandbox.out("again"));
    let again = user.run(line).exits(0);
    assert_eq!(again.stdout.lines().count(), MANY);
    for name in &names {
        let base = name.strip_prefix("dist/").unwrap();
        let [one, other] = ["signatures", "again"].map(|folder| format!("{folder}/{base}.sig"));
        assert_eq!(user.read(&one), user.read(&other));
    }
}

#[test]
fn a_wrong_passphrase_is_asked_for_once() {
    if !have("a_wrong_passphrase_is_asked_for_once", &["ssh-keygen"]) {
        return;
    }
    let user = User::new();
    encrypted(&user);
    files(&user);
    let line = each("sshsig", "list").with("--to", user.sandbox.out("signatures"));
    let mut terminal = Terminal::start(&user.sandbox, line);
    terminal.answer("Passphrase of ", "other words");
    let (code, shown) = terminal.end();
    assert_eq!(code, 2, "{shown}");
    assert_eq!(shown.matches("Passphrase of ").count(), 1, "{shown}");
    assert!(
        shown.contains("does not open with this passphrase"),
        "{shown}"
    );
    let left = fs::read_dir(user.path("signatures")).map_or(0, Iterator::count);
    assert_eq!(left, 0);
}

#[test]
fn files_of_one_content_in_a_list_have_one_signature() {
    let test = "files_of_one_content_in_a_list_have_one_signature";
    if !have(test, &["openssl"]) {
        return;
    }
    let user = User::new();
    let source = user.openssl_key("k", OPENSSL_P256);
    user.configure(&key("release", &source, &["raw"]));
    let names: Vec<String> = (0..20).map(|number| format!("copy-{number}")).collect();
    for name in &names {
        user.write(name, CONTENT);
    }
    user.write("list", names.join("\n"));
    let line = each("raw", "list").with("--to", user.sandbox.out("signatures"));
    user.run(line).exits(0);
    let signatures: BTreeSet<_> = names
        .iter()
        .map(|name| user.read(&format!("signatures/{name}.raw")))
        .collect();
    assert_eq!(signatures.len(), 1);
}

#[test]
fn a_file_that_is_missing_fails_alone() {
    let user = User::with_minisign();
    for name in ["a", "b", "d"] {
        user.write(name, name);
    }
    user.succeed("mkfifo", &["pipe"], b"");
    user.write("list", "b\nmissing\na\npipe\n/dev/zero\nd\n");
    let line = each("minisign", "list").with("--to", user.sandbox.out("signatures"));
    let failed = user.run(line).exits(2);
    assert_eq!(failed.stdout.lines().count(), 3, "{}", failed.stdout);
    for part in [
        "3 of 6 fetches failed",
        "missing: ",
        "No such file",
        "pipe: ",
        "it is no plain file",
    ] {
        assert!(failed.stderr.contains(part), "{}", failed.stderr);
    }
    for name in ["a", "b", "d"] {
        assert!(user.path(&format!("signatures/{name}.minisig")).exists());
    }
    assert!(!user.path("signatures/missing.minisig").exists());
}

#[test]
fn a_list_comes_from_stdin_by_lines_or_by_nul_and_names_each_file_once() {
    let user = User::with_minisign();
    let odd = ["a", "two words", "ä", "-n", "line\nbreak"];
    for name in odd {
        user.write(name, name);
    }
    for (list, expected) in [
        ("a\ntwo words\nä\n-n", 4),
        ("a\n\na\n./a\n", 2),
        ("a\0line\nbreak\0-n\0", 3),
    ] {
        let input = user.write("list", list);
        let line = each("minisign", "-")
            .with("--to", user.sandbox.cache(""))
            .flag("--json");
        let output = user
            .sandbox
            .command()
            .args(line.into_words())
            .stdin(fs::File::open(input).unwrap())
            .output()
            .unwrap();
        let done = Finished::new(&output).exits(0).json();
        assert_eq!(
            done["results"].as_array().unwrap().len(),
            expected,
            "{list:?}"
        );
    }
}

#[test]
fn lists_that_make_no_sense_are_refused_before_anything_is_signed() {
    let user = User::with_minisign();
    fs::create_dir_all(user.path("one")).unwrap();
    fs::create_dir_all(user.path("two")).unwrap();
    for name in ["one/file", "two/file", "taken"] {
        user.write(name, name);
    }
    user.write("list", "one/file\ntwo/file\n");
    let line = each("minisign", "list");
    let to_folder = line.clone().with("--to", user.sandbox.out("signatures"));
    let says = ["`one/file` and `two/file` would both be written", "hint: "];
    user.run(to_folder).exits(2).says(says);
    // A cache has room for both.
    user.run(line.with("--to", user.sandbox.cache(""))).exits(0);

    for (list, said) in [
        ("", "it names nothing"),
        ("\n\n", "it names nothing"),
        ("/\n", "is no file"),
    ] {
        user.write("list", list);
        let line = each("minisign", "list").with("--to", user.sandbox.out("signatures"));
        user.run(line).exits(2).says([said]);
    }
    user.write("list", "content\n");
    let line = || each("minisign", "list");
    user.run(line().with("--to", user.sandbox.out("taken")))
        .exits(2)
        .says(["names a folder"]);
    let to = user.sandbox.out("signatures");
    user.run(each("minisign", "nowhere").with("--to", &to))
        .exits(2)
        .says(["nowhere"]);
    let line = line().set("--each", "list").with("--to", &to);
    user.run(line).exits(2).says(["has no `=`"]);
    let line = each("minisign", "list")
        .set("--each", "contents=list")
        .with("--to", &to);
    user.run(line).exits(2).says(["no input `contents`"]);
    let line = each("minisign", "list")
        .with("--input", "content=content")
        .with("--to", &to);
    user.run(line).exits(2).says(["is given twice"]);
    assert!(fs::read_dir(user.path("signatures")).map_or(0, Iterator::count) == 0);
}
