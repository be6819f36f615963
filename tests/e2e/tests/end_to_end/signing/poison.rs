//! Somebody who may write where signatures are shared writes what they like there.

use std::fs;
use std::path::{Path, PathBuf};

use fetchhost_e2e::{
    ACCESS_KEY_ID, CommandLine, Nix, S3Server, SECRET_ACCESS_KEY, Sandbox, files_below,
};
use serde_json::{Value, json};

use super::user::{CONTENT, User, grant, key, minisign_key, sha256};

/// A comment that is the same for each content.
const COMMENT: &str = "the same";

/// Users of one team: each has the first of minisign's keys.
struct Team {
    owner: User,
    shared: PathBuf,
}

impl Team {
    fn new() -> Self {
        let owner = User::new();
        let shared = owner.path("shared");
        let team = Self { owner, shared };
        let source = team.owner.file("minisign.key", &minisign_key(0).0);
        team.configure(&team.owner, &source);
        team
    }

    fn configure(&self, user: &User, source: &str) {
        user.configure(&format!(
            "{}\n{}\n[memo]\ncache = \"file://{}?compression=none\"\n",
            key("release", source, &["minisign"]),
            grant("builtin:signer", "release = [\"minisign\"]", ""),
            self.shared.display(),
        ));
    }

    /// One on another machine.
    fn member(&self) -> User {
        let user = User::new();
        self.configure(&user, &self.owner.source("minisign.key"));
        user
    }

    /// The entries in the shared place.
    fn entries(&self) -> Vec<PathBuf> {
        let files = files_below(&self.shared.join("memo")).into_keys();
        files
            .filter(|path| path.extension().is_some_and(|end| end == "json"))
            .collect()
    }

    /// What is made of a content by a user who shares with nobody of this team.
    fn elsewhere(&self, number: usize, content: &str) -> Value {
        let stranger = User::new();
        let shared = stranger.path("shared");
        let source = stranger.file("minisign.key", &minisign_key(number).0);
        let other = Self {
            owner: stranger,
            shared,
        };
        other.configure(&other.owner, &source);
        other.owner.write("content", content);
        other.owner.sign(line());
        parse(&other.entries()[0])
    }
}

fn line() -> CommandLine {
    User::line("minisign").with("--comment", COMMENT)
}

fn parse(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// With these members in the place of its own.
fn with<const N: usize>(entry: &Value, members: [(&str, Value); N]) -> Vec<u8> {
    let mut entry = entry.clone();
    for (name, value) in members {
        entry[name] = value;
    }
    entry.to_string().into_bytes()
}

/// What is wrong with an entry, its bytes, and what is said of it.
fn poisons(team: &Team, honest: &Value) -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let (id, fingerprint) = (honest["id"].clone(), honest["key"].clone());
    let own = |entry: &Value| with(entry, [("id", id.clone()), ("key", fingerprint.clone())]);
    let theirs = team.elsewhere(1, CONTENT);
    let other = team.elsewhere(0, "another content");
    assert_ne!(theirs["signature"], honest["signature"]);
    assert_ne!(theirs["id"], *id.as_str().unwrap());
    let content = honest["content"].clone();
    let moved = with(&other, [("id", id.clone()), ("content", content)]);
    let mut signature = honest["signature"].as_str().unwrap().to_owned();
    signature.insert_str(0, "AAAA");
    vec![
        ("nothing", Vec::new(), "it is no entry"),
        ("no JSON", b"signature".to_vec(), "it is no entry"),
        ("a list", b"[]".to_vec(), "it is no entry"),
        ("deep", b"[".repeat(60_000), "it is no entry"),
        ("huge", vec![b' '; 1 << 20], "has more than 65536 bytes"),
        (
            "another version",
            with(honest, [("version", json!(2))]),
            "its version is `2`",
        ),
        (
            "another member",
            with(honest, [("trusted", json!(true))]),
            "it is no entry",
        ),
        (
            "other bytes",
            with(honest, [("signature", json!(signature))]),
            "it is no entry",
        ),
        (
            "another's signature by their name",
            theirs.to_string().into_bytes(),
            "it belongs to something else",
        ),
        (
            "another's signature with the id that is looked for",
            with(&theirs, [("id", id.clone())]),
            "it belongs to something else",
        ),
        (
            "another's signature by our name",
            own(&theirs),
            "its signature is not used",
        ),
        (
            "another content's signature",
            moved,
            "its signature is not used",
        ),
        (
            "another content's entry",
            other.to_string().into_bytes(),
            "it belongs to something else",
        ),
        (
            "another id",
            with(honest, [("id", json!("0".repeat(64)))]),
            "it belongs to something else",
        ),
        (
            "another domain",
            with(honest, [("domain", json!("acme"))]),
            "it belongs to something else",
        ),
        (
            "another comment",
            with(honest, [("parameters", json!({ "trusted-comment": "x" }))]),
            "it belongs to something else",
        ),
    ]
}

#[test]
fn a_poisoned_entry_is_named_and_never_used() {
    let team = Team::new();
    let signature = team.owner.sign(line());
    let entries = team.entries();
    let [entry] = entries.as_slice() else {
        panic!("{entries:?}")
    };
    let honest = fs::read(entry).unwrap();
    for (name, poison, said) in poisons(&team, &serde_json::from_slice(&honest).unwrap()) {
        fs::write(entry, &poison).unwrap();
        // Who signed it goes on with what they have.
        let (to, path) = team.owner.fresh();
        let done = team.owner.run(line().with("--to", to)).exits(0);
        assert_eq!(fs::read(path).unwrap(), signature, "{name}");
        let place = entry.file_name().unwrap().to_str().unwrap();
        for part in [said, place] {
            assert!(done.stderr.contains(part), "{name}: {}", done.stderr);
        }
        // Nobody else can agree with anybody, so nothing is signed.
        let member = team.member();
        member.refuse(line(), 6, [said, place, "memo forget"]);
        assert_eq!(fs::read(entry).unwrap(), poison, "{name}");
        let local = team
            .owner
            .path("home/.local/state/nix-fetchhost/memo.sqlite");
        assert!(local.exists());
    }
    // When it is well again, all agree.
    fs::write(entry, &honest).unwrap();
    assert_eq!(team.member().sign(line()), signature);

    // Or forgotten: it is signed anew then, and only then.
    fs::write(entry, "poison").unwrap();
    let id = entry.file_stem().unwrap().to_str().unwrap();
    team.owner
        .run(CommandLine::new(["memo", "forget", id]))
        .exits(0);
    let anew = team.member().sign(line());
    assert_eq!(team.owner.sign(line()), anew);
}

#[test]
fn an_expression_is_given_nothing_that_is_poisoned() {
    for nix in Nix::all("an_expression_is_given_nothing_that_is_poisoned") {
        let team = Team::new();
        let user = User::of(nix.sandbox());
        team.configure(&user, &team.owner.source("minisign.key"));
        let file = nix.ask("nix-store", ["--add", &user.at("content")]);
        let params = format!(r#"{{"key-id":"release","format":"minisign","comment":"{COMMENT}"}}"#);
        let exec = || {
            CommandLine::new(["exec", "signer", &params]).with("--input", format!("content={file}"))
        };
        team.owner.sign(line());
        let entry = &team.entries()[0];
        let honest = fs::read(entry).unwrap();
        for (name, poison, said) in poisons(&team, &serde_json::from_slice(&honest).unwrap()) {
            fs::write(entry, poison).unwrap();
            let refused = user.run(exec()).exits(3);
            for part in [said, "is not remembered"] {
                assert!(refused.stderr.contains(part), "{name}: {}", refused.stderr);
            }
            assert_eq!(refused.stdout, "", "{name}");
        }
        fs::write(entry, honest).unwrap();
        user.run(exec()).exits(0);
    }
}

#[test]
fn a_bucket_is_doubted_as_a_folder_is() {
    let server = S3Server::start();
    server.make_bucket("team");
    let sandbox = Sandbox::new()
        .variable("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID)
        .variable("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY);
    let user = User::of(sandbox);
    let source = user.file("minisign.key", &minisign_key(0).0);
    let url = format!("s3://team?endpoint={}&region=eu-west-1", server.url());
    let config = key("release", &source, &["minisign"]);
    user.configure(&format!("{config}\n[memo]\ncache = {url:?}\n"));
    let signature = user.sign(line());
    let entry = files_below(&server.bucket("team").join("memo"));
    let name = entry.first_key_value().unwrap().0.file_name().unwrap();
    let name = format!("memo/{}", name.to_str().unwrap());
    let theirs = Team::new().elsewhere(1, CONTENT);
    let theirs = theirs.to_string().into_bytes();
    for (poison, said) in [
        (vec![b'['; 8 << 20], "has more than 65536 bytes"),
        (b"{}".to_vec(), "it is no entry"),
        (theirs, "it belongs to something else"),
    ] {
        server.put("team", &name, &poison);
        let (to, path) = user.fresh();
        let done = user.run(line().with("--to", to)).exits(0);
        assert!(done.stderr.contains(said), "{}", done.stderr);
        assert_eq!(fs::read(path).unwrap(), signature);
        // On a machine where nothing is remembered nothing can be agreed.
        fs::remove_file(user.path("home/.local/state/nix-fetchhost/memo.sqlite")).unwrap();
        user.refuse(line(), 6, [said, "memo forget"]);
        user.configure(&config);
        user.sign(line());
        user.configure(&format!("{config}\n[memo]\ncache = {url:?}\n"));
        assert_eq!(server.get("team", &name), poison);
    }
}

#[test]
fn a_tombstone_of_somebody_elses_has_nothing_signed() {
    let team = Team::new();
    team.owner.sign(line());
    let entry = team.entries().remove(0);
    let id = parse(&entry)["id"].clone();
    let approve = format!("sha256:{}", sha256(CONTENT));
    for at in ["2026-01-01T00:00:00.000Z", "8999-12-31T23:59:59.999Z"] {
        let tombstone = json!({ "version": 1, "kind": "forgotten", "id": id, "forgotten": at });
        fs::write(&entry, tombstone.to_string()).unwrap();
        // What was approved before does not come back by itself.
        let member = team.member();
        let words = ["approve", "--key", "release", &approve];
        member.run(CommandLine::new(words)).exits(0);
        let params = format!(r#"{{"key-id":"release","format":"minisign","comment":"{COMMENT}"}}"#);
        member.write("params.json", params);
        let untyped = || {
            CommandLine::new(["run", "signer"])
                .with("--params", "params.json")
                .with("--input", "content=content")
        };
        member.refuse(untyped(), 3, ["was forgotten at"]);
        // Who types the name signs anew, for all.
        let anew = member.sign(line());
        assert_eq!(team.owner.sign(line()), anew);
        assert_eq!(member.sign(untyped()), anew);
        assert_eq!(parse(&entry)["kind"], "signature");
    }
}

#[test]
fn what_lies_here_is_judged_too() {
    let user = User::with_minisign();
    let signature = user.sign(line());
    let export = || {
        user.run(CommandLine::new(["memo", "export", "export"]))
            .exits(0);
        user.text("export")
    };
    let text = export();
    let honest: Value = serde_json::from_str(text.lines().nth(1).unwrap()).unwrap();
    let header = text.lines().next().unwrap();

    // An import of somebody else's signature is only a candidate.
    let team = Team::new();
    let theirs = team.elsewhere(1, CONTENT);
    let members = [("id", honest["id"].clone()), ("key", honest["key"].clone())];
    let poison = String::from_utf8(with(&theirs, members)).unwrap();
    let victim = User::with_minisign();
    victim.write("import", format!("{header}\n{poison}\n"));
    victim
        .run(CommandLine::new(["memo", "import", "import"]))
        .exits(0);
    let (to, path) = victim.fresh();
    let done = victim.run(line().with("--to", to)).exits(0);
    assert!(
        done.stderr.contains("its signature is not used"),
        "{}",
        done.stderr
    );
    // Ed25519 gives the same for everybody who has the key.
    assert_eq!(fs::read(path).unwrap(), signature);
    assert_eq!(victim.sign(line()), signature);
}

#[test]
fn a_pipe_or_a_folder_in_the_place_of_an_entry_stops_nobody() {
    let team = Team::new();
    let signature = team.owner.sign(line());
    let entry = team.entries().remove(0);
    let place = entry.to_str().unwrap().to_owned();
    fs::remove_file(&entry).unwrap();
    for (program, arguments) in [
        ("mkfifo", vec![place.as_str()]),
        ("mkdir", vec![place.as_str()]),
        ("ln", vec!["-s", "/dev/zero", place.as_str()]),
        ("ln", vec!["-s", "/etc/hostname", place.as_str()]),
    ] {
        team.owner.succeed(program, &arguments, b"");
        let (to, path) = team.owner.fresh();
        let line = line().with("--to", to).with("--timeout", "20s");
        let done = team.owner.run(line).exits(0);
        assert_eq!(fs::read(path).unwrap(), signature, "{program}");
        assert!(
            done.stderr.contains("warning"),
            "{program}: {}",
            done.stderr
        );
        if fs::remove_file(&entry).is_err() {
            fs::remove_dir(&entry).unwrap();
        }
    }
}
