//! The stand-in, judged by python-gitlab, a client that knows GitLab and not us.
//!
//! `JUDGE_PYTHON` names the Python to run; otherwise it is `python3`.

#![allow(clippy::unwrap_used, missing_docs)]

mod client;

use std::ffi::OsString;
use std::io::Write as _;
use std::process::{Command, Stdio};

use fetchhost_standin::sample;
use fetchhost_standin::{Access, Config, Delivery, Standin, TokenKind};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

const TOKEN: &str = "glpat-developer";

/// The Python that has python-gitlab; none after saying which test is skipped, which in CI is a failure.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn python_or_skip(test: &str) -> Option<OsString> {
    let python = std::env::var_os("JUDGE_PYTHON").unwrap_or_else(|| "python3".into());
    let asked = Command::new(&python)
        .args(["-c", "import gitlab"])
        .stderr(Stdio::null())
        .status();
    if asked.is_ok_and(|status| status.success()) {
        return Some(python);
    }
    let in_ci = std::env::var_os("CI").is_some_and(|value| value == "true");
    assert!(
        !in_ci,
        "{test} needs python-gitlab, and in CI it must not be skipped"
    );
    eprintln!("SKIPPED: {test}: python-gitlab is not installed");
    None
}

/// What python-gitlab says of each download.
fn judge(python: &OsString, standin: &Standin, login: &Value) -> Value {
    let mut child = Command::new(python)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/judge/judge.py"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("no_proxy", "*")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let wanted = json!({
        "url": standin.url(),
        "login": login,
        "project": sample::PROJECT,
        "job_id": sample::JOB_ID,
        "job": sample::JOB,
        "ref": sample::REF,
        "member": sample::MEMBER,
        "package": sample::PACKAGE,
        "version": sample::VERSION,
        "package_file": sample::PACKAGE_FILE,
        "file": sample::FILE,
        "lfs_file": sample::LFS_FILE,
        "tag": sample::TAG,
        "assets": [sample::ASSET, sample::PERMALINKED_ASSET],
    });
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(wanted.to_string().as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "the judge itself failed");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn sha256(content: &[u8]) -> Value {
    let digest = Sha256::digest(content);
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    hex.into()
}

/// What there is to download, by the judge's names. The archive is what it was when this test asked.
fn everything(standin: &Standin) -> Value {
    let mut entries = sample::ENTRIES.iter();
    let member = entries.find_map(|(path, entry)| match entry {
        sample::Entry::File { content, .. } if *path == sample::MEMBER => Some(*content),
        _ => None,
    });
    let zip = sha256(&sample::archive().unwrap());
    let member = sha256(member.unwrap().as_bytes());
    let package = sha256(sample::PACKAGE_CONTENT.as_bytes());
    let api = format!("{}/api/v4/projects/42/repository", standin.url());
    let token = [("PRIVATE-TOKEN", TOKEN)];
    let pointer = format!("{api}/files/docs%2Fassets%2Fblueprint%20%231.bin/raw?ref=HEAD");
    let archive = format!("{api}/archive?sha=release%2F2.x%2Fstable");
    json!({
        "project": sha256(sample::PROJECT.as_bytes()),
        "artifacts by job": zip,
        "artifacts by ref": zip,
        "artifact by job": member,
        "artifact by ref": member,
        "package": package,
        "archive": sha256(&client::get(&archive, &token).dechunked()),
        "file": sha256(sample::FILE_CONTENT.as_bytes()),
        "pointer": sha256(&client::get(&pointer, &token).body),
        "large file": sha256(sample::LFS_CONTENT.as_bytes()),
        "asset engine (Linux)": package,
        "asset engine.bin": package,
    })
}

#[test]
fn python_gitlab_downloads_everything_with_a_token() {
    let Some(python) = python_or_skip("python_gitlab_downloads_everything_with_a_token") else {
        return;
    };
    let config = Config::new(TOKEN).delivery(Delivery::Direct);
    let standin = Standin::start(config).unwrap();
    let login = json!({ "private_token": TOKEN });
    assert_eq!(judge(&python, &standin, &login), everything(&standin));
}

#[test]
fn python_gitlab_follows_redirects_to_storage() {
    let Some(python) = python_or_skip("python_gitlab_follows_redirects_to_storage") else {
        return;
    };
    let standin = Standin::start(Config::new(TOKEN)).unwrap();
    let login = json!({ "oauth_token": TOKEN });
    assert_eq!(judge(&python, &standin, &login), everything(&standin));

    // The header of its own that GitLab has is not one that other clients know to drop.
    let leaked = judge(&python, &standin, &json!({ "private_token": TOKEN }));
    for name in ["artifacts by job", "package", "large file"] {
        assert_eq!(leaked[name], 400, "{name}");
    }
}

#[test]
fn python_gitlab_sees_the_statuses_that_it_expects() {
    let Some(python) = python_or_skip("python_gitlab_sees_the_statuses_that_it_expects") else {
        return;
    };
    let config = Config::new(TOKEN)
        .delivery(Delivery::Direct)
        .token("glpat-guest", Access::Guest)
        .token("glpat-outsider", Access::Outsider)
        .token_of_kind("glcbt-job", TokenKind::Job, Access::Developer);
    let standin = Standin::start(config).unwrap();
    for (login, expected) in [
        (json!({}), [404, 401, 404, 404]),
        (
            json!({ "private_token": "glpat-unknown" }),
            [401, 401, 401, 401],
        ),
        (
            json!({ "private_token": "glpat-outsider" }),
            [404, 404, 404, 404],
        ),
        (
            json!({ "private_token": "glpat-guest" }),
            [403, 200, 403, 403],
        ),
        (json!({ "job_token": "glcbt-job" }), [200, 200, 404, 200]),
    ] {
        let seen = judge(&python, &standin, &login);
        let names = ["artifacts by job", "package", "archive", "file"];
        for (name, status) in names.into_iter().zip(expected) {
            // What was downloaded is told by its hash, what was not by its status.
            let seen = match &seen[name] {
                Value::String(hash) if hash.len() == 64 => 200,
                other => other.as_u64().unwrap_or_default(),
            };
            assert_eq!(seen, status, "{login}: {name}");
        }
    }
}
