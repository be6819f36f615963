//! `run s3-object`: what the server takes, and what it is told when it does not.

use std::fs;

use anyhow::{Context as _, Result, ensure};

use super::{Outcome, Scene, skipped};
use crate::acceptance::client::{encoded, hash};
use crate::acceptance::policies;
use crate::acceptance::processes::{missing, run};
use crate::acceptance::program::Run;
use crate::acceptance::server::{Keys, User};

const KEY: &str = "releases/tool-1.0.txt";
const CONTENT: &[u8] = b"an object\n";

/// Keys that have to be encoded for a URL, or look as if they were.
const ODD: [&str; 6] = [
    "a b+c.txt",
    "a!b'c(d)e*f",
    "@a$b&c=d;e,f~g:h",
    "é/日本/🦀",
    "a%2Fb%20c",
    "a?b#c[d]{e}|^",
];

/// `run s3-object` for a key of a bucket, with more arguments.
struct Fetch<'a> {
    scene: &'a Scene<'a>,
    bucket: &'a str,
    key: &'a str,
    content: &'a [u8],
}

impl<'a> Fetch<'a> {
    fn of(scene: &'a Scene<'a>, bucket: &'a str) -> Self {
        Self {
            scene,
            bucket,
            key: KEY,
            content: CONTENT,
        }
    }

    fn arguments(&self, more: &[&str]) -> Result<Vec<String>> {
        let to = format!("out:{}", self.scene.program.place("out/object").display());
        let hash = hash(self.content)?;
        let words = [
            "run",
            "s3-object",
            "--endpoint",
            self.scene.server.url(),
            "--bucket",
            self.bucket,
            "--key",
            self.key,
            "--hash",
            &hash,
            "--name",
            "object",
            "--to",
            &to,
            "--refetch",
        ];
        Ok(words
            .iter()
            .chain(more)
            .map(|word| (*word).to_owned())
            .collect())
    }

    /// Runs it, signed by these keys if any.
    fn run(&self, keys: Option<&Keys>, more: &[&str]) -> Result<Run> {
        let credential = self.scene.credential();
        let signed = ["--credential", &credential];
        let more: Vec<&str> = match keys {
            Some(_) => signed.iter().chain(more).copied().collect(),
            None => more.to_vec(),
        };
        let arguments = self.arguments(&more)?;
        let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
        self.scene.program.run(keys, &words)
    }

    /// Runs it, and compares what came.
    fn succeeds(&self, keys: Option<&Keys>, more: &[&str]) -> Result<()> {
        let object = self.scene.program.place("out/object");
        // Of an earlier step, if there is one.
        let _ = fs::remove_file(&object);
        self.run(keys, more)?.ends(0, &[])?;
        let came = fs::read(object)?;
        ensure!(came == self.content, "other bytes came");
        Ok(())
    }
}

/// A bucket with the object.
fn filled<'a>(scene: &'a Scene<'a>, bucket: &'static str) -> Result<Fetch<'a>> {
    let bucket = scene.bucket(bucket)?;
    scene.owner().put(&format!("/{bucket}/{KEY}"), CONTENT)?;
    Ok(Fetch::of(scene, bucket))
}

pub(super) fn signed(scene: &Scene<'_>) -> Result<Outcome> {
    let keys = scene.keys(User::Owner);
    filled(scene, "signed")?.succeeds(Some(&keys), &["-vv"])?;
    Ok(Outcome::Passed)
}

pub(super) fn odd_keys(scene: &Scene<'_>) -> Result<Outcome> {
    let bucket = scene.bucket("odd")?;
    let keys = scene.keys(User::Owner);
    for key in ODD {
        let path: Vec<_> = key.split('/').map(encoded).collect();
        scene
            .owner()
            .put(&format!("/{bucket}/{}", path.join("/")), CONTENT)?;
        let fetch = Fetch {
            key,
            ..Fetch::of(scene, bucket)
        };
        fetch.succeeds(Some(&keys), &[]).with_context(|| key)?;
    }
    Ok(Outcome::Passed)
}

pub(super) fn wrong_secret(scene: &Scene<'_>) -> Result<Outcome> {
    let keys = Keys {
        secret: "0".repeat(64),
        ..scene.keys(User::Owner)
    };
    let says = if scene.server.habits().says_why {
        "check the secret access key of slot `aws`"
    } else {
        "may not read"
    };
    filled(scene, "wrong-secret")?
        .run(Some(&keys), &[])?
        .ends(1, &[says])?;
    Ok(Outcome::Passed)
}

pub(super) fn unknown_key(scene: &Scene<'_>) -> Result<Outcome> {
    let keys = Keys {
        id: "GKffffffffffffffffffffffff".to_owned(),
        ..scene.keys(User::Owner)
    };
    let says = if scene.server.habits().says_why {
        "does not know the access key id"
    } else {
        "may not read"
    };
    filled(scene, "unknown-key")?
        .run(Some(&keys), &[])?
        .ends(1, &[says])?;
    Ok(Outcome::Passed)
}

pub(super) fn wrong_region(scene: &Scene<'_>) -> Result<Outcome> {
    if !scene.server.habits().one_region {
        return skipped(scene.server, "takes signatures for every region");
    }
    let fetch = filled(scene, "wrong-region")?;
    let keys = scene.keys(User::Owner);
    let arguments = fetch.arguments(&["--credential", "aws=aws,aws-sigv4=eu-west-1"])?;
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    scene
        .program
        .run(Some(&keys), &words)?
        .ends(1, &["region"])?;
    Ok(Outcome::Passed)
}

pub(super) fn wrong_clock(scene: &Scene<'_>) -> Result<Outcome> {
    if !scene.server.habits().exact_clock {
        return skipped(scene.server, "takes signatures of two hours ago");
    }
    if !missing(&["faketime"]).is_empty() {
        return Ok(Outcome::Skipped("`faketime` is not in PATH".to_owned()));
    }
    let fetch = filled(scene, "wrong-clock")?;
    let arguments = fetch.arguments(&["--credential", &scene.credential()])?;
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let keys = scene.keys(User::Owner);
    let done = run(&mut scene
        .program
        .below(&["faketime", "-f", "-2h"], &keys, &words))?;
    scene
        .program
        .finish(done)?
        .ends(1, &["the clock of this machine"])?;
    Ok(Outcome::Passed)
}

pub(super) fn not_there(scene: &Scene<'_>) -> Result<Outcome> {
    let fetch = filled(scene, "not-there")?;
    let keys = scene.keys(User::Owner);
    let other = Fetch {
        key: "none",
        ..fetch
    };
    other
        .run(Some(&keys), &[])?
        .ends(1, &["no object `none`"])?;
    let other = Fetch {
        bucket: "no-such-bucket",
        ..other
    };
    other
        .run(Some(&keys), &[])?
        .ends(1, &["no bucket `no-such-bucket`"])?;
    Ok(Outcome::Passed)
}

pub(super) fn private(scene: &Scene<'_>) -> Result<Outcome> {
    let says = ["is not public", "`--credential aws=aws`"];
    filled(scene, "private")?.run(None, &[])?.ends(1, &says)?;
    Ok(Outcome::Passed)
}

pub(super) fn public(scene: &Scene<'_>) -> Result<Outcome> {
    if !scene.server.habits().policies {
        return skipped(scene.server, "has no policies of buckets");
    }
    let fetch = filled(scene, "public")?;
    let policy = policies::of_bucket("*", "public/releases/*");
    scene.owner().put("/public?policy=", policy.as_bytes())?;
    fetch.succeeds(None, &[])?;
    Ok(Outcome::Passed)
}

pub(super) fn version(scene: &Scene<'_>) -> Result<Outcome> {
    if !scene.server.habits().versions {
        return skipped(scene.server, "keeps no older versions");
    }
    let bucket = scene.bucket("versions")?;
    let on = "<VersioningConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
              <Status>Enabled</Status></VersioningConfiguration>";
    scene
        .owner()
        .put(&format!("/{bucket}?versioning="), on.as_bytes())?;
    let path = format!("/{bucket}/{KEY}");
    let old = scene.owner().put_version(&path, CONTENT)?;
    scene.owner().put_version(&path, b"what came after\n")?;
    let keys = scene.keys(User::Owner);
    let fetch = Fetch::of(scene, bucket);
    // Ceph's ids may begin with a `-`.
    let by_id = |id: &str| format!("--version-id={id}");
    fetch.succeeds(Some(&keys), &[&by_id(&old)])?;
    let latest = Fetch {
        content: b"what came after\n",
        ..fetch
    };
    latest.succeeds(Some(&keys), &[])?;
    // The id of a version that it never had.
    let none: String = old.chars().rev().collect();
    latest.run(Some(&keys), &[&by_id(&none)])?.ends(1, &[])?;
    Ok(Outcome::Passed)
}
