//! Least privilege: what the rights of the guide let a user do, and where they end.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::{Outcome, Scene, skipped};
use crate::acceptance::client::{Client, hash};
use crate::acceptance::nix::S3;
use crate::acceptance::policies;
use crate::acceptance::processes::until;
use crate::acceptance::server::{Rights, User};

const RECORD: &str = "00000000000000000000000000000000.narinfo";
const CONTENT: &[u8] = b"not really a record\n";

/// How long a new policy may take to hold.
const PATIENCE: Duration = Duration::from_secs(30);

/// A bucket with a record and something else.
fn filled(scene: &Scene<'_>, bucket: &'static str) -> Result<&'static str> {
    let bucket = scene.bucket(bucket)?;
    for key in [RECORD, "nar/file"] {
        scene.owner().put(&format!("/{bucket}/{key}"), CONTENT)?;
    }
    Ok(bucket)
}

/// What a user is answered.
fn status(scene: &Scene<'_>, user: User, method: &str, target: &str) -> Result<u16> {
    let body: &[u8] = if method == "PUT" { CONTENT } else { b"" };
    Ok(Client::new(scene.server, user)
        .ask(method, target, body)?
        .status)
}

fn answers(scene: &Scene<'_>, user: User, wanted: &[(&str, &str, u16)]) -> Result<()> {
    for (method, target, status_wanted) in wanted {
        let found = status(scene, user, method, target)?;
        ensure!(
            found == *status_wanted,
            "{user:?}: {method} {target} is answered {found}, not {status_wanted}"
        );
    }
    Ok(())
}

/// Gives rights, and waits until they hold.
pub(super) fn granted(scene: &Scene<'_>, user: User, rights: Rights, bucket: &str) -> Result<()> {
    scene.server.grant(user, rights, bucket)?;
    until("the rights hold", PATIENCE, || {
        let target = format!("/{bucket}?list-type=2");
        Ok(status(scene, user, "GET", &target)? == 200)
    })
}

pub(super) fn records_only(scene: &Scene<'_>) -> Result<Outcome> {
    if !scene.server.habits().policies {
        return skipped(scene.server, "has no policies of buckets");
    }
    let bucket = filled(scene, "records-only")?;
    let user = format!("arn:aws:iam:::user/{}", User::Indexer.name());
    let policy = policies::of_bucket(&user, &format!("{bucket}/*.narinfo"));
    scene
        .owner()
        .put(&format!("/{bucket}?policy="), policy.as_bytes())?;
    let keys = scene.keys(User::Indexer);
    let to = format!("out:{}", scene.program.place("out/record").display());
    let (credential, hash) = (scene.credential(), hash(CONTENT)?);
    let fetch = |key: &str| {
        scene.program.run(
            Some(&keys),
            &[
                "run",
                "s3-object",
                "--endpoint",
                scene.server.url(),
                "--bucket",
                bucket,
                "--key",
                key,
                "--hash",
                &hash,
                "--name",
                "object",
                "--credential",
                &credential,
                "--to",
                &to,
                "--refetch",
            ],
        )
    };
    fetch(RECORD)?.ends(0, &[])?;
    fetch("nar/file")?.ends(1, &["may not read `nar/file` of `records-only`"])?;
    answers(
        scene,
        User::Indexer,
        &[
            ("PUT", &format!("/{bucket}/{RECORD}"), 403),
            ("GET", &format!("/{bucket}?list-type=2"), 403),
        ],
    )?;
    Ok(Outcome::Passed)
}

pub(super) fn read_only(scene: &Scene<'_>) -> Result<Outcome> {
    let bucket = filled(scene, "read-only")?;
    granted(scene, User::Reader, Rights::ReadOnly, bucket)?;
    let (record, none) = (format!("/{bucket}/{RECORD}"), format!("/{bucket}/none"));
    answers(
        scene,
        User::Reader,
        &[
            ("GET", &record, 200),
            // Not 403: who may list is told what is not there.
            ("GET", &none, 404),
            ("GET", &format!("/{bucket}?location="), 200),
            ("PUT", &record, 403),
            ("PUT", &none, 403),
            ("DELETE", &record, 403),
            ("POST", &format!("/{bucket}/upload?uploads="), 403),
        ],
    )?;
    Ok(Outcome::Passed)
}

pub(super) fn push_only(scene: &Scene<'_>) -> Result<Outcome> {
    if !scene.server.habits().policies {
        return skipped(scene.server, "lets who may write delete, too");
    }
    let bucket = filled(scene, "push-only")?;
    granted(scene, User::Pusher, Rights::PushOnly, bucket)?;
    let (record, other) = (
        format!("/{bucket}/{RECORD}"),
        format!("/{bucket}/nar/other"),
    );
    answers(
        scene,
        User::Pusher,
        &[
            ("GET", &record, 200),
            ("GET", &format!("/{bucket}/none"), 404),
            ("PUT", &other, 200),
            ("GET", &other, 200),
            ("DELETE", &other, 403),
            ("DELETE", &record, 403),
            ("DELETE", &format!("/{bucket}"), 403),
            ("GET", &format!("/{bucket}?policy="), 403),
        ],
    )?;
    // A large upload in parts, given up, and one that is done.
    let pusher = Client::new(scene.server, User::Pusher);
    for is_given_up in [true, false] {
        let begun = pusher.ask("POST", &format!("/{bucket}/nar/large?uploads="), b"")?;
        let text = String::from_utf8(begun.body)?;
        let id = text
            .split_once("<UploadId>")
            .and_then(|(_, rest)| rest.split_once("</UploadId>"))
            .with_context(|| format!("no upload was begun: {text}"))?
            .0;
        let part = pusher.ask(
            "PUT",
            &format!("/{bucket}/nar/large?partNumber=1&uploadId={id}"),
            CONTENT,
        )?;
        let mark = part.header("etag").context("the part has no mark")?;
        let target = format!("/{bucket}/nar/large?uploadId={id}");
        if is_given_up {
            pusher.delete(&target)?;
        } else {
            let parts = format!(
                "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{mark}</ETag></Part>\
                 </CompleteMultipartUpload>"
            );
            pusher.post(&target, &parts)?;
        }
    }
    ensure!(
        pusher.get(&format!("/{bucket}/nar/large"))?.body == CONTENT,
        "the upload is another"
    );
    Ok(Outcome::Passed)
}

pub(super) fn by_nix(scene: &Scene<'_>) -> Result<Outcome> {
    let Some(nix) = scene.nix.iter().find(|nix| nix.s3 == S3::Signed) else {
        return Ok(Outcome::Skipped(
            "no Nix is here that signs what it asks of s3://".to_owned(),
        ));
    };
    let bucket = scene.bucket("by-nix")?;
    granted(scene, User::Pusher, Rights::PushOnly, bucket)?;
    granted(scene, User::Reader, Rights::ReadOnly, bucket)?;
    let (pusher, reader) = (scene.keys(User::Pusher), scene.keys(User::Reader));
    let store = nix.store()?;
    // More than one part of a large upload.
    let content = vec![b'n'; 12 << 20];
    let path = store.add("large", &content)?;
    let cache = format!(
        "{}&compression=none&multipart-upload=true&multipart-threshold=5242880",
        scene.cache(bucket)
    );
    let denied = store.copy_to(&cache, &path, Some(&reader));
    ensure!(denied.is_err(), "who may read has published");
    store.copy_to(&cache, &path, Some(&pusher))?;
    let read = nix
        .store()?
        .substitute(&scene.cache(bucket), &path, Some(&reader))?;
    ensure!(read == content, "Nix has read something else");
    Ok(Outcome::Passed)
}
