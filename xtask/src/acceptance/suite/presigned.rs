//! URLs that carry their own signature: nothing else may go along with them, and nobody may read it.

use std::fs;
use std::process::Command;

use anyhow::{Result, ensure};

use super::{Outcome, Scene, skipped};
use crate::acceptance::client::hash;
use crate::acceptance::processes::{output, run};
use crate::acceptance::program::Run;
use crate::acceptance::web::{Answer, Web};

const CONTENT: &[u8] = b"behind a presigned URL\n";
const TOKEN: &str = "c4n4ry-of-the-forge";

/// `run http-file` with more arguments.
fn fetch(scene: &Scene<'_>, url: &str, more: &[&str]) -> Result<Run> {
    let place = scene.program.place("out/presigned");
    // Of an earlier step, if there is one.
    let _ = fs::remove_file(&place);
    let to = format!("out:{}", place.display());
    let hash = hash(CONTENT)?;
    let words = [
        "run",
        "http-file",
        "--url",
        url,
        "--hash",
        &hash,
        "--name",
        "file",
    ];
    let rest = ["--to", &to, "--refetch", "-vv"];
    let words: Vec<_> = words.iter().chain(&rest).chain(more).copied().collect();
    let mut command = scene.program.command(None, &words);
    let done = run(command.env("FORGE_TOKEN", TOKEN))?;
    ensure!(!done.stderr.contains(TOKEN), "the token is in what it says");
    scene.program.finish(done)
}

fn came(scene: &Scene<'_>) -> Result<()> {
    let came = fs::read(scene.program.place("out/presigned"))?;
    ensure!(came == CONTENT, "other bytes came");
    Ok(())
}

/// The object behind it, and its URL as signed then.
fn url(scene: &Scene<'_>, bucket: &'static str, time: &str) -> Result<String> {
    let bucket = scene.bucket(bucket)?;
    let path = format!("/{bucket}/file");
    scene.owner().put(&path, CONTENT)?;
    scene.owner().presigned(&path, time)
}

pub(super) fn fetched(scene: &Scene<'_>) -> Result<Outcome> {
    let url = url(scene, "presigned", "now")?;
    // That the signature stands nowhere is looked for in every run.
    fetch(scene, &url, &[])?.ends(0, &[])?;
    came(scene)?;
    Ok(Outcome::Passed)
}

/// As a forge does that keeps its artifacts in a bucket.
pub(super) fn redirected(scene: &Scene<'_>) -> Result<Outcome> {
    let url = url(scene, "redirected", "now")?;
    if !scene.server.habits().one_credential {
        return skipped(scene.server, "would not mind a token that came along");
    }
    // It minds: this is what the program would get if it took the token along.
    let mut curl = Command::new("curl");
    curl.args([
        "--silent",
        "--output",
        "/dev/null",
        "--write-out",
        "%{http_code}",
    ]);
    curl.args(["--header", &format!("Authorization: Bearer {TOKEN}"), &url]);
    let status = output(&mut curl)?;
    ensure!(
        status == "400",
        "with a token the server answers {status}, not 400"
    );

    let forge = Web::start(Answer::Redirect(url))?;
    let token = ["--credential", "auth=env:FORGE_TOKEN,bearer"];
    let allow = ["--allow", scene.server.url()];
    let more: Vec<_> = token.iter().chain(&allow).copied().collect();
    fetch(scene, &forge.url, &more)?.ends(0, &[])?;
    came(scene)?;
    let asked = forge.heads();
    ensure!(
        asked
            .iter()
            .any(|line| line.ends_with(&format!("Bearer {TOKEN}"))),
        "the forge did not get the token: {asked:?}"
    );
    Ok(Outcome::Passed)
}

pub(super) fn refused(scene: &Scene<'_>) -> Result<Outcome> {
    let good = url(scene, "refused", "now")?;
    scene.owner().put("/refused/other", CONTENT)?;
    let other = good.replacen("/refused/file?", "/refused/other?", 1);
    fetch(scene, &other, &[])?.ends(1, &["/refused/other"])?;
    let old = scene.owner().presigned("/refused/file", "10 minutes ago")?;
    fetch(scene, &old, &[])?.ends(1, &["/refused/file"])?;
    Ok(Outcome::Passed)
}
