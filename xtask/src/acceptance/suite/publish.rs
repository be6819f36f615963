//! `run … --to s3://`: from the network to the bucket.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::rights::granted;
use super::{Outcome, Scene, nix_reads};
use crate::acceptance::client::hash;
use crate::acceptance::policies;
use crate::acceptance::processes::{self, Started, run, until};
use crate::acceptance::program::Program;
use crate::acceptance::server::{Keys, Rights, User};
use crate::acceptance::web::{Answer, Web};

const CONTENT: &[u8] = b"from a fetcher straight to a bucket\n";
/// Bytes of a large artifact: several parts of an upload.
const LARGE: usize = 64 << 20;
/// The pause of its server after each MiB: longer in all than anybody looks.
const SLOWLY: Duration = Duration::from_millis(100);

/// Why there is nothing to try, in a build that does not write to `s3://`.
fn missing(program: &Program) -> Result<Option<Outcome>> {
    let hash = hash(CONTENT)?;
    let to = "s3://bucket?endpoint=http://127.0.0.1:1&region=us-east-1";
    let words = [
        "run",
        "http-file",
        "--url",
        "http://127.0.0.1:1/file",
        "--hash",
        &hash,
    ];
    let words: Vec<_> = words
        .iter()
        .chain(&["--to", to, "--dry-run"])
        .copied()
        .collect();
    let keys = Keys {
        id: "id".to_owned(),
        secret: "secret".to_owned(),
    };
    let asked = program.run(Some(&keys), &words)?;
    let is_missing =
        asked.code() == Some(2) && asked.stderr().contains("not available in this version");
    Ok(is_missing.then(|| Outcome::Skipped("this build has no `--to s3://`".to_owned())))
}

/// The arguments that publish what a server has.
fn words(scene: &Scene<'_>, web: &Web, content: &[u8], bucket: &str) -> Result<Vec<String>> {
    let (to, hash) = (scene.cache(bucket), hash(content)?);
    let mut words = vec![
        "run",
        "http-file",
        "--url",
        &web.url,
        "--hash",
        &hash,
        "--to",
        &to,
    ];
    words.extend(scene.promise(&["run", "http-file"])?);
    Ok(words.into_iter().map(str::to_owned).collect())
}

/// Publishes as a user, and returns the path.
fn publish(
    scene: &Scene<'_>,
    user: User,
    web: &Web,
    content: &[u8],
    bucket: &str,
) -> Result<String> {
    let words = words(scene, web, content, bucket)?;
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let done = scene.program.run(Some(&scene.keys(user)), &words)?;
    Ok(done.ends(0, &[])?.result().to_owned())
}

/// There is one record, and every Nix reads what it speaks of.
fn is_read(scene: &Scene<'_>, user: User, bucket: &str, path: &str, content: &[u8]) -> Result<()> {
    let records = records(scene, bucket)?;
    ensure!(records.len() == 1, "not one record, but {records:?}");
    nix_reads::is_read(scene, user, bucket, path, content)
}

fn records(scene: &Scene<'_>, bucket: &str) -> Result<Vec<String>> {
    let mut names = scene.owner().list(bucket)?;
    names.retain(|name| name.ends_with(".narinfo"));
    Ok(names)
}

pub(super) fn published(scene: &Scene<'_>) -> Result<Outcome> {
    if let Some(skipped) = missing(scene.program)? {
        return Ok(skipped);
    }
    let (bucket, web) = (scene.bucket("published")?, Web::with(CONTENT)?);
    let path = publish(scene, User::Owner, &web, CONTENT, bucket)?;
    is_read(scene, User::Owner, bucket, &path, CONTENT)?;
    // It is there: nobody is asked again.
    let asked = web.heads().len();
    publish(scene, User::Owner, &web, CONTENT, bucket)?;
    ensure!(web.heads().len() == asked, "it was fetched again");
    Ok(Outcome::Passed)
}

pub(super) fn at_once(scene: &Scene<'_>) -> Result<Outcome> {
    if let Some(skipped) = missing(scene.program)? {
        return Ok(skipped);
    }
    let content = noise(8 << 20);
    // Who may push only cannot take away what turns out to be one too many.
    for (user, bucket) in [(User::Owner, "at-once"), (User::Pusher, "at-once-pushed")] {
        let bucket = scene.bucket(bucket)?;
        if user == User::Pusher {
            granted(scene, user, Rights::PushOnly, bucket)?;
        }
        let web = Web::start(Answer::Content(content.clone(), Duration::from_millis(20)))?;
        let words = words(scene, &web, &content, bucket)?;
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let keys = scene.keys(user);
        let publishers: Result<Vec<_>> = (0..2)
            .map(|_| Started::new(&mut scene.program.command(Some(&keys), &words)))
            .collect();
        let mut path = String::new();
        for publisher in publishers? {
            let done = scene.program.finish(publisher.finish()?)?.ends(0, &[])?;
            done.result().clone_into(&mut path);
        }
        is_read(scene, user, bucket, &path, &content)?;
    }
    Ok(Outcome::Passed)
}

pub(super) fn killed(scene: &Scene<'_>) -> Result<Outcome> {
    if let Some(skipped) = missing(scene.program)? {
        return Ok(skipped);
    }
    let bucket = scene.bucket("killed")?;
    let content = noise(LARGE);
    let slow = Web::start(Answer::Content(content.clone(), SLOWLY))?;
    let words = words(scene, &slow, &content, bucket)?;
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let keys = scene.keys(User::Owner);
    let mut publisher = Started::new(&mut scene.program.command(Some(&keys), &words))?;
    until("an upload is under way", Duration::from_secs(60), || {
        ensure!(
            publisher.runs()?,
            "the publisher has ended before it was killed"
        );
        let uploads = scene.owner().get(&format!("/{bucket}?uploads="))?;
        Ok(String::from_utf8_lossy(&uploads.body).contains("<UploadId>"))
    })?;
    publisher.kill()?;
    ensure!(
        records(scene, bucket)?.is_empty(),
        "there is a record of half a NAR"
    );
    let path = publish(scene, User::Owner, &Web::with(&content)?, &content, bucket)?;
    is_read(scene, User::Owner, bucket, &path, &content)?;
    Ok(Outcome::Passed)
}

pub(super) fn refused(scene: &Scene<'_>) -> Result<Outcome> {
    if let Some(skipped) = missing(scene.program)? {
        return Ok(skipped);
    }
    let (bucket, web) = (scene.bucket("refusals")?, Web::with(CONTENT)?);
    let words = words(scene, &web, CONTENT, bucket)?;
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let owner = scene.keys(User::Owner);
    let wrong = Keys {
        secret: "0".repeat(64),
        ..owner.clone()
    };
    let unknown = Keys {
        id: "GKffffffffffffffffffffffff".to_owned(),
        ..owner.clone()
    };
    let (wrong_says, unknown_says) = if scene.server.habits().says_why {
        ("check `AWS_SECRET_ACCESS_KEY`", "check `AWS_ACCESS_KEY_ID`")
    } else {
        ("access is denied", "access is denied")
    };
    for (keys, says) in [
        (Some(&wrong), wrong_says),
        (Some(&unknown), unknown_says),
        (None, "without access keys"),
    ] {
        scene.program.run(keys, &words)?.ends(6, &[says])?;
    }
    if scene.server.habits().exact_clock && processes::missing(&["faketime"]).is_empty() {
        let early = ["faketime", "-f", "-2h"];
        let done = run(&mut scene.program.below(&early, &owner, &words))?;
        scene
            .program
            .finish(done)?
            .ends(6, &["set the clock right"])?;
    }
    let elsewhere = self::words(scene, &web, CONTENT, "no-such-bucket")?;
    let elsewhere: Vec<_> = elsewhere.iter().map(String::as_str).collect();
    let done = scene.program.run(Some(&owner), &elsewhere)?;
    done.ends(6, &["check the bucket's name"])?;
    is_empty(scene, bucket)
}

pub(super) fn mismatched(scene: &Scene<'_>) -> Result<Outcome> {
    if let Some(skipped) = missing(scene.program)? {
        return Ok(skipped);
    }
    let bucket = scene.bucket("mismatched")?;
    // Short, and so long that it is under way before its end is known.
    for content in [CONTENT, &noise(LARGE)] {
        let web = Web::with(content)?;
        let words = words(scene, &web, b"something else", bucket)?;
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let done = scene.program.run(Some(&scene.keys(User::Owner)), &words)?;
        done.ends(4, &["hash mismatch"])?;
        let uploads = scene.owner().get(&format!("/{bucket}?uploads="))?;
        let uploads = String::from_utf8_lossy(&uploads.body).into_owned();
        ensure!(
            !uploads.contains("<UploadId>"),
            "an upload is left: {uploads}"
        );
    }
    is_empty(scene, bucket)
}

/// There is nothing in a bucket but what a cache says of itself.
fn is_empty(scene: &Scene<'_>, bucket: &str) -> Result<Outcome> {
    let mut left = scene.owner().list(bucket)?;
    left.retain(|name| name != "nix-cache-info");
    ensure!(left.is_empty(), "something was written: {left:?}");
    Ok(Outcome::Passed)
}

pub(super) fn read_only(scene: &Scene<'_>) -> Result<Outcome> {
    if let Some(skipped) = missing(scene.program)? {
        return Ok(skipped);
    }
    let (bucket, web) = (scene.bucket("only-read")?, Web::with(CONTENT)?);
    granted(scene, User::Reader, Rights::ReadOnly, bucket)?;
    let words = words(scene, &web, CONTENT, bucket)?;
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let done = scene.program.run(Some(&scene.keys(User::Reader)), &words)?;
    done.ends(6, &["`s3:PutObject`"])?;
    is_empty(scene, bucket)
}

pub(super) fn push_only(scene: &Scene<'_>) -> Result<Outcome> {
    if let Some(skipped) = missing(scene.program)? {
        return Ok(skipped);
    }
    let bucket = scene.bucket("only-push")?;
    granted(scene, User::Pusher, Rights::PushOnly, bucket)?;
    granted(scene, User::Reader, Rights::ReadOnly, bucket)?;
    let content = noise(LARGE);
    for content in [CONTENT, &content] {
        let path = publish(scene, User::Pusher, &Web::with(content)?, content, bucket)?;
        nix_reads::is_read(scene, User::Reader, bucket, &path, content)?;
    }
    if !scene.server.habits().policies {
        return Ok(Outcome::Passed);
    }
    // What somebody else has put is not the bucket's owner's: a policy lets that one read it, too.
    let records = records(scene, bucket)?;
    let record = format!(
        "/{bucket}/{}",
        records.first().context("there is no record")?
    );
    let owner = format!("arn:aws:iam:::user/{}", User::Owner.name());
    let policy = policies::of_bucket(&owner, &format!("{bucket}/*"));
    scene
        .owner()
        .put(&format!("/{bucket}?policy="), policy.as_bytes())?;
    scene.owner().get(&record)?;
    Ok(Outcome::Passed)
}

/// Bytes that no compressor makes smaller, the same each time.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}
