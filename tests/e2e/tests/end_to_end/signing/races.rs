//! Processes that sign the same content at once all end with the same bytes.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};

use fetchhost_e2e::{
    ACCESS_KEY_ID, CommandLine, S3Server, SECRET_ACCESS_KEY, Sandbox, files_below,
};

use serde_json::Value;

use super::user::{OPENSSL_P256, User, have, key};

/// How many sign at once.
const AT_ONCE: usize = 8;

const BUCKET: &str = "team";

/// A run that has begun, and where it writes.
struct Running<'a> {
    user: &'a User,
    process: Child,
    result: std::path::PathBuf,
}

fn begin<'a>(user: &'a User, line: CommandLine) -> Running<'a> {
    let (to, result) = user.fresh();
    let process = user
        .sandbox
        .command()
        .args(line.with("--to", to).into_words())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    Running {
        user,
        process,
        result,
    }
}

/// What all of them made, which is one thing.
#[track_caller]
fn one(running: Vec<Running<'_>>) -> Vec<u8> {
    let mut results = BTreeSet::new();
    for one in running {
        let output = one.process.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {said}", one.user.at(""));
        results.insert(fs::read(&one.result).unwrap());
    }
    assert_eq!(results.len(), 1, "they differ");
    results.pop_first().unwrap()
}

/// The entries below the folder of a cache.
fn entries(cache: &Path) -> Vec<std::path::PathBuf> {
    let files = files_below(&cache.join("memo")).into_keys();
    files
        .filter(|path| path.extension().is_some_and(|end| end == "json"))
        .collect()
}

/// Users on machines of their own, who share a key and the place of what is remembered.
fn team(source: &str, place: &str, sandbox: impl Fn() -> Sandbox) -> Vec<User> {
    let member = |_| {
        let user = User::of(sandbox());
        let memo = format!("\n[memo]\ncache = {place:?}\n");
        user.configure(&(key("release", source, &["raw", "sshsig"]) + &memo));
        user
    };
    (0..4).map(member).collect()
}

fn with_keys() -> Sandbox {
    Sandbox::new()
        .variable("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID)
        .variable("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY)
}

fn url(server: &S3Server) -> String {
    let url = server.url();
    format!("s3://{BUCKET}?endpoint={url}&region=eu-west-1&compression=none")
}

#[test]
fn processes_of_one_user_agree() {
    if !have("processes_of_one_user_agree", &["openssl"]) {
        return;
    }
    let user = User::new();
    let source = user.openssl_key("k", OPENSSL_P256);
    user.configure(&key("release", &source, &["raw", "sshsig"]));
    for format in ["raw", "sshsig"] {
        let running = (0..AT_ONCE).map(|_| begin(&user, User::line(format)));
        let signature = one(running.collect());
        assert_eq!(user.sign(User::line(format)), signature);
    }
}

/// All of a team sign at once, and one who comes later looks it up.
#[track_caller]
fn a_team_agrees(team: &[User], cache: &Path) {
    for (round, format) in ["raw", "sshsig"].into_iter().enumerate() {
        let running = team
            .iter()
            .flat_map(|user| (0..AT_ONCE / team.len()).map(|_| begin(user, User::line(format))));
        let signature = one(running.collect());
        let entries = entries(cache);
        assert_eq!(entries.len(), round + 1, "{entries:?}");
        for user in team {
            assert_eq!(user.sign(User::line(format)), signature);
        }
        // The winner's bytes are the path in the same cache that the entry names.
        for entry in &entries {
            let entry: Value = serde_json::from_slice(&fs::read(entry).unwrap()).unwrap();
            let path = entry["storePath"].as_str().unwrap();
            let hash = &path["/nix/store/".len()..][..32];
            let record = fs::read_to_string(cache.join(format!("{hash}.narinfo"))).unwrap();
            assert!(record.contains(&format!("StorePath: {path}\n")), "{record}");
            assert!(record.contains("CA: fixed:sha256:"), "{record}");
        }
    }
}

#[test]
fn machines_that_share_a_folder_agree() {
    if !have("machines_that_share_a_folder_agree", &["openssl"]) {
        return;
    }
    let owner = User::new();
    let source = owner.openssl_key("k", OPENSSL_P256);
    let shared = owner.path("shared");
    let place = format!("file://{}?compression=none", shared.display());
    let team = team(&source, &place, Sandbox::new);
    a_team_agrees(&team, &shared);
}

#[test]
fn machines_that_share_a_bucket_agree() {
    if !have("machines_that_share_a_bucket_agree", &["openssl"]) {
        return;
    }
    let owner = User::new();
    let source = owner.openssl_key("k", OPENSSL_P256);
    let server = S3Server::start();
    server.make_bucket(BUCKET);
    let team = team(&source, &url(&server), with_keys);
    a_team_agrees(&team, &server.bucket(BUCKET));
    let asked = server.requests().concat();
    assert!(asked.contains("/memo/"), "{asked}");
    assert!(!asked.contains(SECRET_ACCESS_KEY));
}

#[test]
fn a_bucket_without_conditions_is_refused_unless_one_alone_writes() {
    let server = S3Server::with(fetchhost_e2e::Quirk::IgnoresConditions);
    server.make_bucket(BUCKET);
    let owner = User::with_minisign();
    let source = owner.source("minisign.key");
    let user = User::of(with_keys());
    let configure = |place: &str| {
        let memo = format!("\n[memo]\ncache = {place:?}\n");
        user.configure(&(key("release", &source, &["minisign"]) + &memo));
    };
    configure(&url(&server));
    let refused = user.refuse(User::line("minisign"), 6, []);
    assert!(
        refused.stderr.contains("single-writer"),
        "{}",
        refused.stderr
    );
    assert!(entries(&server.bucket(BUCKET)).is_empty());
    configure(&format!("{}&single-writer=true", url(&server)));
    user.sign(User::line("minisign"));
    assert_eq!(entries(&server.bucket(BUCKET)).len(), 1);
}

#[test]
fn a_server_that_is_away_keeps_from_signing_and_not_from_looking_up() {
    let server = S3Server::start();
    server.make_bucket(BUCKET);
    let owner = User::with_minisign();
    let user = User::of(with_keys());
    let memo = format!("\n[memo]\ncache = {:?}\n", url(&server));
    let source = owner.source("minisign.key");
    user.configure(&(key("release", &source, &["minisign"]) + &memo));
    let signature = user.sign(User::line("minisign"));
    drop(server);
    let (to, path) = user.fresh();
    let done = user.run(User::line("minisign").with("--to", to)).exits(0);
    assert!(
        done.stderr.contains("what others remember is not asked"),
        "{}",
        done.stderr
    );
    assert_eq!(fs::read(path).unwrap(), signature);
    let line = User::line("minisign").with("--comment", "another");
    user.refuse(line, 6, ["hint: "]);
}
