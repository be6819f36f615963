//! What the gateway costs beside the build that asks it.

use std::path::Path;

use anyhow::{Context as _, Result};

use super::compare;
use super::realise::Files;
use super::rows::remove;
use super::setup::Setup;
use crate::measure::{Cost, Running, run};

/// Many small artifacts, by ordinary builds of the installed Nix: our processor time against their wall
/// clock.
pub(super) fn gateway(setup: &Setup) -> Result<()> {
    if !setup.has_nix {
        println!("no Nix here: the rows of `gateway` are left out");
        return Ok(());
    }
    let files = Files::write(setup)?;
    let cache = setup.fresh();
    // Once beforehand, so that the compile cache is warm.
    built(setup, &files, &cache, "16")?;
    for jobs in ["1", "16"] {
        let (ours, build) = built(setup, &files, &cache, jobs)?;
        let what = format!("200 × 100 KiB, gateway busy, max-jobs {jobs}");
        compare(&what, ours.processor, "nix-build, wall", build.wall, 0.05);
    }
    for folder in [&files.folder, &cache] {
        remove(folder)?;
    }
    Ok(())
}

/// What the gateway cost, and the build; with an empty store and nothing fetched yet.
fn built(setup: &Setup, files: &Files, cache: &Path, jobs: &str) -> Result<(Cost, Cost)> {
    let mut command = setup.command(&setup.host);
    command.args(["serve", "--listen", "127.0.0.1:0"]);
    command.env("XDG_CONFIG_HOME", &files.folder);
    let (serving, line) = Running::start(command.env("XDG_CACHE_HOME", cache))?;
    let port = line
        .trim()
        .rsplit_once(':')
        .context("the gateway did not start")?
        .1;
    let (remote, root) = setup.nix_store()?;
    let mut command = setup.command("nix-build");
    command.args(["--no-out-link", "--max-jobs", jobs, "--arg", "port", port]);
    let build = run(command.arg(&files.ours).env("NIX_REMOTE", remote))?;
    let ours = serving.stop()?;
    for folder in [root, cache.join("nix-fetchhost/gateway")] {
        remove(&folder)?;
    }
    Ok((ours, build))
}
