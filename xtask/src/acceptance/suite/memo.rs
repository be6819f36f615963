//! Signatures that several machines share through a bucket.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::{Outcome, Scene, skipped};
use crate::acceptance::processes::{Started, run};
use crate::acceptance::program::Run;
use crate::acceptance::server::User;

/// How many sign at once.
const MACHINES: usize = 4;

/// A key of ECDSA, whose signatures differ each time, and a bucket to remember them in.
fn prepare(scene: &Scene<'_>, bucket: &str) -> Result<()> {
    let key = scene.program.place("memo.pem");
    let made = run(Command::new("openssl")
        .args([
            "genpkey",
            "-algorithm",
            "EC",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-out",
        ])
        .arg(&key))?;
    ensure!(
        made.status.success(),
        "openssl makes no key: {}",
        made.stderr
    );
    private(&key)?;
    scene.program.configure(&format!(
        "[key.team]\nsource = {{ file = \"{}\" }}\nuse = [\"raw\"]\n\n[memo]\ncache = \"{}\"\n",
        key.display(),
        scene.cache(bucket)
    ))?;
    Ok(std::fs::write(
        scene.program.place("content"),
        "signed by a team\n",
    )?)
}

fn private(file: &std::path::Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let owner = std::fs::Permissions::from_mode(0o600);
    Ok(std::fs::set_permissions(file, owner)?)
}

/// The program on a machine of its own: with a state of its own.
fn machine(scene: &Scene<'_>, machine: usize, words: &[&str]) -> Command {
    let keys = scene.keys(User::Owner);
    let mut command = scene.program.command(Some(&keys), words);
    let state = scene.program.place(&format!("machine-{machine}"));
    command.env("XDG_STATE_HOME", state);
    command
}

fn on(scene: &Scene<'_>, number: usize, words: &[&str]) -> Result<Run> {
    scene
        .program
        .finish(run(&mut machine(scene, number, words))?)
}

/// What signs on a machine.
fn signing(scene: &Scene<'_>, number: usize) -> Command {
    let to = format!("out:{}", signature(number));
    let words = ["run", "signer", "--key-id", "team", "--format", "raw"];
    let words = [&words[..], &["--input", "content=content", "--to", &to]].concat();
    machine(scene, number, &words)
}

fn signature(number: usize) -> String {
    format!("machine-{number}.sig")
}

/// Signs on a machine, and gives the signature.
fn sign(scene: &Scene<'_>, number: usize) -> Result<Vec<u8>> {
    let done = run(&mut signing(scene, number))?;
    scene.program.finish(done)?.ends(0, &[])?;
    Ok(std::fs::read(scene.program.place(&signature(number)))?)
}

pub(super) fn at_once(scene: &Scene<'_>) -> Result<Outcome> {
    if !scene.server.habits().conditional_writes {
        return skipped(scene.server, "has no conditional writes");
    }
    let bucket = scene.bucket("memo")?;
    prepare(scene, bucket)?;
    let started: Vec<Started> = (0..MACHINES)
        .map(|number| Started::new(&mut signing(scene, number)))
        .collect::<Result<_>>()?;
    let mut signatures = Vec::new();
    for (number, one) in started.into_iter().enumerate() {
        scene.program.finish(one.finish()?)?.ends(0, &[])?;
        signatures.push(std::fs::read(scene.program.place(&signature(number)))?);
    }
    ensure!(
        signatures.iter().all(|one| *one == signatures[0]),
        "{MACHINES} machines have different signatures"
    );
    let names = scene.owner().list(bucket)?;
    let memos = names.iter().filter(|name| name.starts_with("memo/"));
    ensure!(memos.count() == 1, "there is not one entry: {names:?}");
    ensure!(
        names.iter().any(|name| name.ends_with(".narinfo")),
        "the signature is no path of the cache: {names:?}"
    );
    Ok(Outcome::Passed)
}

pub(super) fn forgotten(scene: &Scene<'_>) -> Result<Outcome> {
    if !scene.server.habits().conditional_writes {
        return skipped(scene.server, "has no conditional writes");
    }
    let bucket = scene.bucket("forgotten")?;
    prepare(scene, bucket)?;
    let (one, other) = (MACHINES, MACHINES + 1);
    let first = sign(scene, one)?;
    ensure!(sign(scene, other)? == first, "it was not shared");
    let listed = on(scene, one, &["memo", "list"])?.ends(0, &[])?;
    let id = listed.result().split_whitespace().next();
    let id = id.context("nothing is remembered")?;
    on(scene, one, &["memo", "forget", id])?.ends(0, &["where it is shared"])?;
    on(scene, other, &["memo", "show", id])?.ends(0, &["forgotten"])?;
    let second = sign(scene, other)?;
    ensure!(second != first, "what was forgotten came back");
    ensure!(
        sign(scene, one)? == second,
        "what was signed anew is not shared"
    );
    Ok(Outcome::Passed)
}
