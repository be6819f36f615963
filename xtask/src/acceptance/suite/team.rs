//! `cache`: what a team does with its bucket.

use anyhow::{Context as _, Result, ensure};

use super::nix_reads::{gateway, is_read};
use super::{Outcome, Scene, skipped};
use crate::acceptance::nix::{Nix, Store};
use crate::acceptance::processes::run;
use crate::acceptance::program::Run;
use crate::acceptance::server::{Rights, User};

/// Whose store is pushed from, where the build has these verbs of `cache`.
fn judge<'a>(scene: &Scene<'a>, verbs: &[&str]) -> Result<std::result::Result<&'a Nix, Outcome>> {
    for verb in verbs {
        let asked = scene.program.run(None, &["cache", verb, "--help"])?;
        if asked.code() != Some(0) {
            let why = format!("this build has no `cache {verb}`");
            return Ok(Err(Outcome::Skipped(why)));
        }
    }
    let nix = scene.nix.first();
    Ok(nix.ok_or_else(|| Outcome::Skipped("no Nix is here".to_owned())))
}

/// `cache` as the owner, with a store of Nix's as its own.
fn cache(scene: &Scene<'_>, store: &Store<'_>, words: &[&str]) -> Result<Run> {
    let words: Vec<_> = std::iter::once("cache")
        .chain(words.iter().copied())
        .collect();
    let keys = scene.keys(User::Owner);
    let mut command = scene.program.command(Some(&keys), &words);
    store.lend(&mut command);
    scene.program.finish(run(&mut command)?)
}

/// The same with the promise to be alone, where that is needed; it succeeds.
fn alone(scene: &Scene<'_>, store: &Store<'_>, words: &[&str]) -> Result<Run> {
    let promise = scene.promise(&["cache", words[0]])?;
    let words: Vec<_> = words.iter().copied().chain(promise).collect();
    cache(scene, store, &words)?.ends(0, &[])
}

pub(super) fn begun(scene: &Scene<'_>) -> Result<Outcome> {
    let nix = match judge(scene, &["init", "info"])? {
        Ok(nix) => nix,
        Err(skipped) => return Ok(skipped),
    };
    let (bucket, store) = (scene.bucket("begun")?, nix.store()?);
    let url = scene.cache(bucket);
    cache(scene, &store, &["info", &url])?.ends(6, &["is no binary cache", "cache init"])?;
    cache(scene, &store, &["init", &url])?.ends(0, &["is a binary cache"])?;
    cache(scene, &store, &["init", &url])?.ends(0, &["already"])?;
    let says = if scene.server.habits().conditional_writes {
        "several may write at once"
    } else {
        "--single-writer"
    };
    cache(scene, &store, &["info", &url])?.ends(0, &["/nix/store", says])?;
    // Who may read only learns what may be written, without writing.
    super::rights::granted(scene, User::Reader, Rights::ReadOnly, bucket)?;
    let reader = scene.keys(User::Reader);
    scene
        .program
        .run(Some(&reader), &["cache", "info", &url])?
        .ends(0, &["/nix/store"])?;
    Ok(Outcome::Passed)
}

pub(super) fn round_trip(scene: &Scene<'_>) -> Result<Outcome> {
    let nix = match judge(scene, &["push", "sign", "verify"])? {
        Ok(nix) => nix,
        Err(skipped) => return Ok(skipped),
    };
    let bucket = scene.bucket("team")?;
    let (url, store) = (scene.cache(bucket), nix.store()?);
    let (path, tool) = store.build("a tool of the team's")?;
    let file = scene.program.place("team-key");
    let file = file.to_str().context("folders have plain names")?;
    let generated = scene
        .program
        .run(None, &["key", "generate", "team-1", file])?
        .ends(0, &[])?;
    let public = generated.result().to_owned();

    alone(scene, &store, &["init", &url])?;
    alone(scene, &store, &["push", &url, &path, "--closure"])?;
    cache(scene, &store, &["info", &url])?.ends(0, &["/nix/store"])?;
    let trusted = || -> Result<bool> {
        let gateway = gateway(scene, User::Owner, bucket)?;
        store.trusts(&gateway.url, &path, &public)
    };
    ensure!(!trusted()?, "Nix trusts what nobody has signed");
    let signing = format!("{url}&secret-key={file}");
    alone(scene, &store, &["sign", &signing])?;
    ensure!(trusted()?, "Nix does not trust the signature");
    cache(scene, &store, &["verify", &url])?.ends(0, &[])?;
    is_read(scene, User::Owner, bucket, &tool, b"a tool of the team's")?;

    // A record whose NAR is lost is damage.
    let names = scene.owner().list(bucket)?;
    let nar = names.iter().find(|name| name.starts_with("nar/"));
    let nar = nar.with_context(|| format!("no NAR among {names:?}"))?;
    scene.owner().delete(&format!("/{bucket}/{nar}"))?;
    cache(scene, &store, &["verify", &url])?.ends(1, &[])?;
    Ok(Outcome::Passed)
}

pub(super) fn collected(scene: &Scene<'_>) -> Result<Outcome> {
    let nix = match judge(scene, &["push", "gc"])? {
        Ok(nix) => nix,
        Err(skipped) => return Ok(skipped),
    };
    let bucket = scene.bucket("collected")?;
    let (url, store) = (scene.cache(bucket), nix.store()?);
    let path = store.add("tool", b"kept\n")?;
    alone(scene, &store, &["push", &url, &path])?;
    scene
        .owner()
        .put(&format!("/{bucket}/nar/orphan.nar"), b"nobody's")?;
    let before = scene.owner().list(bucket)?;
    cache(
        scene,
        &store,
        &["gc", &url, "--dry-run", "--orphan-hours", "0", "-v"],
    )?
    .ends(0, &["orphan.nar"])?;
    let after = scene.owner().list(bucket)?;
    ensure!(
        before == after,
        "a dry run has changed {before:?} to {after:?}"
    );
    is_read(scene, User::Owner, bucket, &path, b"kept\n")?;
    Ok(Outcome::Passed)
}

pub(super) fn push_again(scene: &Scene<'_>) -> Result<Outcome> {
    let nix = match judge(scene, &["push"])? {
        Ok(nix) => nix,
        Err(skipped) => return Ok(skipped),
    };
    let bucket = scene.bucket("again")?;
    let (url, store) = (scene.cache(bucket), nix.store()?);
    let path = store.add("tool", b"pushed twice\n")?;
    let mut before = Vec::new();
    for _ in 0..2 {
        alone(scene, &store, &["push", &url, &path])?;
        let names = scene.owner().list(bucket)?;
        ensure!(
            before.is_empty() || before == names,
            "{before:?} became {names:?}"
        );
        before = names;
    }
    Ok(Outcome::Passed)
}

pub(super) fn single_writer(scene: &Scene<'_>) -> Result<Outcome> {
    let nix = match judge(scene, &["push", "sign"])? {
        Ok(nix) => nix,
        Err(skipped) => return Ok(skipped),
    };
    if scene.server.habits().conditional_writes {
        return skipped(scene.server, "has conditional writes");
    }
    let bucket = scene.bucket("single-writer")?;
    let (url, store) = (scene.cache(bucket), nix.store()?);
    let path = store.add("tool", b"by one writer\n")?;
    let file = scene.program.place("single-key");
    let file = file.to_str().context("folders have plain names")?;
    scene
        .program
        .run(None, &["key", "generate", "team-1", file])?
        .ends(0, &[])?;
    alone(scene, &store, &["push", &url, &path])?;
    let signing = format!("{url}&secret-key={file}");
    let refused = cache(scene, &store, &["sign", &signing])?;
    ensure!(refused.code() != Some(0), "it signs although others may");
    ensure!(
        refused.stderr().contains("--single-writer"),
        "it names no way out: {}",
        refused.stderr()
    );
    cache(scene, &store, &["sign", &signing, "--single-writer"])?.ends(0, &[])?;
    Ok(Outcome::Passed)
}
