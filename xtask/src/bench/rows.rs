//! What is measured, one function a row.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::setup::{LARGE_BYTES, SMALL_BYTES, Setup};
use super::{Competitor, bound, compare, medians};
use crate::measure::{Cost, run};

/// How often the large artifact is fetched by each competitor.
const LARGE_TIMES: usize = 5;
/// How often the small artifact is fetched by each competitor.
const SMALL_TIMES: usize = 41;

/// The large artifact into an uncompressed cache.
pub(super) fn large(setup: &Setup) -> Result<()> {
    let (url, hash) = (setup.url(LARGE_BYTES), setup.large_hash()?);
    let ours = || to_cache(setup, &url, hash);
    let curl = || curl_and_openssl(setup, &url);
    let nix = || nix_prefetch_url(setup, &url);
    let costs = medians(LARGE_TIMES, with_nix(setup, &[&ours, &curl, &nix]))?;
    let (ours, curl) = (costs[0], costs[1]);
    let what = "1 GiB to file:// uncompressed";
    compare(
        &format!("{what}, wall"),
        ours.wall,
        "curl && openssl",
        curl.wall,
        0.8,
    );
    if let Some(nix) = costs.get(2) {
        let (what, ours) = (format!("{what}, CPU"), ours.processor);
        compare(&what, ours, "nix-prefetch-url", nix.processor, 0.4);
    }
    Ok(())
}

/// The small artifact: the whole process, its compiled modules cached.
pub(super) fn small(setup: &Setup) -> Result<()> {
    let url = setup.url(SMALL_BYTES);
    let hash = setup.sri(&url)?;
    // Once beforehand, so that the compile cache is warm.
    to_cache(setup, &url, &hash)?;
    let ours = || to_cache(setup, &url, &hash);
    let curl = || curl(setup, &url);
    let nix = || nix_prefetch_url(setup, &url);
    let costs = medians(SMALL_TIMES, with_nix(setup, &[&ours, &curl, &nix]))?;
    let (ours, curl) = (costs[0], costs[1]);
    let what = "1 KiB, whole process, wall";
    compare(what, ours.wall, "curl", curl.wall, 1.3);
    if let Some(nix) = costs.get(2) {
        compare(what, ours.wall, "nix-prefetch-url", nix.wall, 0.3);
    }
    Ok(())
}

/// What the host adds to a download that is hashed twice and kept nowhere.
pub(super) fn overhead(setup: &Setup) -> Result<()> {
    let (url, hash) = (setup.url(LARGE_BYTES), setup.large_hash()?);
    let ours = || run(fetch(setup, &url, hash).args(["--to", "out:/dev/null"]));
    let bare = || run(setup.command(&setup.baseline).arg(&url));
    let costs = medians(LARGE_TIMES, &[&ours, &bare])?;
    let (ours, bare) = (costs[0].processor, costs[1].processor);
    compare(
        "1 GiB to out:/dev/null, CPU",
        ours,
        "reqwest and two sha2",
        bare,
        1.05,
    );
    Ok(())
}

/// The largest resident set, whatever the artifact's size.
pub(super) fn memory(setup: &Setup) -> Result<()> {
    let (url, hash) = (setup.url(LARGE_BYTES), setup.large_hash()?);
    let cost = to_cache(setup, &url, hash)?;
    bound(
        "1 GiB to file:// uncompressed, peak memory",
        cost.peak_bytes,
        96,
    );

    let cache = setup.fresh();
    let destination = format!("file://{}?compression=zstd", cache.display());
    let cost = run(fetch(setup, &url, hash).args(["--to", &destination]))?;
    remove(&cache)?;
    bound(
        "1 GiB to file:// zstd, peak memory",
        cost.peak_bytes,
        96 + ZSTD_WINDOW_MIB,
    );

    let file = setup.fresh();
    let cost = run(fetch(setup, &url, hash).arg("--to").arg(out(&file)))?;
    fs::remove_file(file)?;
    bound("1 GiB to out:FILE, peak memory", cost.peak_bytes, 96);

    if setup.has_nix {
        let (remote, root) = setup.nix_store()?;
        let store = format!("store={remote}");
        let cost = run(fetch(setup, &url, hash).args(["--to", &store]))?;
        remove(&root)?;
        bound("1 GiB to store, peak memory", cost.peak_bytes, 96);
    }

    let mut command = setup.command(&setup.host);
    command.args([
        "run",
        "gitlab-artifact",
        "--url",
        &setup.api,
        "--project",
        "bench/large",
    ]);
    command.args(["--job-id", "1", "--no-unpack", "--allow", &setup.storage]);
    command.args(["--hash", hash, "--to", "out:/dev/null"]);
    bound(
        "1 GiB gitlab-artifact by redirect, peak memory",
        run(&mut command)?.peak_bytes,
        96,
    );
    Ok(())
}

/// A tree of many small files, unpacked and hashed and kept nowhere, against Nix's dump of such a folder.
pub(super) fn tree(setup: &Setup) -> Result<()> {
    if !setup.has_nix {
        println!("no nix-store here: the row of the tree is left out");
        return Ok(());
    }
    let url = format!("{}/tree.tar", setup.api);
    let folder = setup.fresh();
    fs::create_dir(&folder)?;
    let script = "curl -sSf \"$0\" | tar -x -C \"$1\"";
    run(setup.command("sh").args(["-c", script, &url]).arg(&folder))?;

    let ours = || {
        let mut command = setup.command(&setup.host);
        run(command.args(["prefetch", "http-file", "--url", &url, "--unpack"]))
    };
    let nix = || run(setup.command("nix-store").arg("--dump").arg(&folder));
    let costs = medians(LARGE_TIMES, &[&ours, &nix])?;
    let what = "100,000 files, download to NAR hash, wall";
    compare(what, costs[0].wall, "nix-store --dump", costs[1].wall, 0.8);
    remove(&folder)
}

/// What it takes to run a module once its code is in memory.
pub(super) fn instantiate(setup: &Setup) -> Result<()> {
    let guests = setup
        .host
        .with_file_name("")
        .join("../guests/wasm32-wasip2/guest");
    let module = guests.join("fetcher_gitlab.wasm");
    let mut command = setup.command(&setup.instantiate);
    let output = command.arg(module).arg("gitlab-artifact").output()?;
    ensure!(output.status.success(), "the module does not run");
    let printed = String::from_utf8(output.stdout)?;
    let nanoseconds = printed
        .lines()
        .find_map(|line| line.strip_suffix(" ns")?.rsplit(' ').next()?.parse().ok())
        .context("no time was printed")?;
    let (what, target) = ("instance, call and end", Duration::from_micros(50));
    compare(
        what,
        Duration::from_nanos(nanoseconds),
        "0.05 ms",
        target,
        1.0,
    );
    Ok(())
}

fn out(path: &Path) -> String {
    format!("out:{}", path.display())
}

/// The window of zstd's default level, which its encoder keeps in memory.
const ZSTD_WINDOW_MIB: u64 = 2;

/// The binary that people install.
pub(super) fn size(setup: &Setup) -> Result<()> {
    bound("release binary", fs::metadata(&setup.host)?.len(), 30);
    Ok(())
}

/// The host fetching a public file of known hash.
fn fetch(setup: &Setup, url: &str, hash: &str) -> Command {
    let mut command = setup.command(&setup.host);
    command.args([
        "run",
        "http-file",
        "--url",
        url,
        "--hash",
        hash,
        "--name",
        "artifact",
    ]);
    command
}

/// [`fetch`] into a cache that does not exist yet, and is removed afterwards.
fn to_cache(setup: &Setup, url: &str, hash: &str) -> Result<Cost> {
    let cache = setup.fresh();
    let destination = format!("file://{}?compression=none", cache.display());
    let cost = run(fetch(setup, url, hash).args(["--to", &destination]))?;
    remove(&cache)?;
    Ok(cost)
}

fn curl(setup: &Setup, url: &str) -> Result<Cost> {
    let file = setup.fresh();
    let cost = run(setup
        .command("curl")
        .args(["-sSf", "-o"])
        .arg(&file)
        .arg(url))?;
    fs::remove_file(file)?;
    Ok(cost)
}

fn curl_and_openssl(setup: &Setup, url: &str) -> Result<Cost> {
    let file = setup.fresh();
    let script = "curl -sSf -o \"$0\" \"$1\" && openssl dgst -sha256 \"$0\"";
    let cost = run(setup.command("sh").args(["-c", script]).arg(&file).arg(url))?;
    fs::remove_file(file)?;
    Ok(cost)
}

/// `nix-prefetch-url` into a store that has nothing yet.
fn nix_prefetch_url(setup: &Setup, url: &str) -> Result<Cost> {
    let (remote, root) = setup.nix_store()?;
    let mut command = setup.command("nix-prefetch-url");
    let cost = run(command
        .args(["--name", "artifact", url])
        .env("NIX_REMOTE", remote))?;
    remove(&root)?;
    Ok(cost)
}

/// The competitors without the last, which is Nix, where it is not installed.
fn with_nix<'a, 'b>(setup: &Setup, all: &'b [Competitor<'a>]) -> &'b [Competitor<'a>] {
    if !setup.has_nix {
        println!("no nix-prefetch-url here: its row is left out");
        return &all[..all.len() - 1];
    }
    all
}

/// Removes a folder, read-only store paths and all.
pub(super) fn remove(folder: &Path) -> Result<()> {
    let mut pending = vec![folder.to_path_buf()];
    while let Some(folder) = pending.pop() {
        let mut permissions = fs::metadata(&folder)?.permissions();
        #[expect(
            clippy::permissions_set_readonly_false,
            reason = "it is removed right after"
        )]
        permissions.set_readonly(false);
        fs::set_permissions(&folder, permissions)?;
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                pending.push(entry.path());
            }
        }
    }
    Ok(fs::remove_dir_all(folder)?)
}
