//! Paths of a store into a cache: many small ones against Nix's own copying, and a large one against the
//! compressor alone.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use super::rows::remove;
use super::setup::{LARGE_BYTES, Setup};
use super::{bound, compare, medians};
use crate::measure::{Cost, run};

/// How many small paths there are.
const PATHS: u32 = 1000;
/// How often each competitor copies them.
const SMALL_TIMES: usize = 5;
/// How often each competitor compresses the large one.
const LARGE_TIMES: usize = 3;
/// How much memory a push of any size may take, in MiB: what a fetch may, and the windows of the compressor.
const MEMORY_MIB: u64 = 112;

/// Both rows.
pub(super) fn push(setup: &Setup) -> Result<()> {
    if !setup.has_nix {
        println!("no Nix here: the rows of `cache push` are left out");
        return Ok(());
    }
    small(setup)?;
    large(setup)
}

/// A store of its own with some paths in it.
struct Shelf {
    remote: String,
    root: PathBuf,
    paths: Vec<String>,
}

impl Shelf {
    /// Adds all files of `folder`, and removes that.
    fn of(setup: &Setup, folder: &Path) -> Result<Self> {
        let (remote, root) = setup.nix_store()?;
        let mut files = Vec::new();
        for file in fs::read_dir(folder)? {
            files.push(file?.path());
        }
        let mut add = setup.command("nix-store");
        let added = add.arg("--add").args(files).env("NIX_REMOTE", &remote);
        let added = added.output()?;
        ensure!(added.status.success(), "cannot add to a Nix store");
        remove(folder)?;
        let paths = String::from_utf8(added.stdout)?;
        let paths = paths.lines().map(str::to_owned).collect();
        Ok(Self {
            remote,
            root,
            paths,
        })
    }

    /// Ours, into a cache that does not exist yet.
    fn push(&self, setup: &Setup, compression: &str) -> Result<Cost> {
        self.to_fresh_cache(setup, compression, |to| {
            let mut command = setup.command(&setup.host);
            command.args(["cache", "push", to]).args(&self.paths);
            command
        })
    }

    /// Nix's.
    fn copy(&self, setup: &Setup, compression: &str) -> Result<Cost> {
        self.to_fresh_cache(setup, compression, |to| {
            let mut command = setup.command("nix");
            command.args(["--extra-experimental-features", "nix-command"]);
            command.args(["copy", "--to", to]).args(&self.paths);
            command
        })
    }

    fn to_fresh_cache(
        &self,
        setup: &Setup,
        compression: &str,
        command: impl FnOnce(&str) -> std::process::Command,
    ) -> Result<Cost> {
        let cache = setup.fresh();
        let to = format!("file://{}?compression={compression}", cache.display());
        let cost = run(command(&to).env("NIX_REMOTE", &self.remote))?;
        remove(&cache)?;
        Ok(cost)
    }
}

fn small(setup: &Setup) -> Result<()> {
    let folder = setup.fresh();
    fs::create_dir(&folder)?;
    for number in 0..PATHS {
        let text = format!("the small file of the number {number}\n").repeat(50);
        fs::write(folder.join(format!("file-{number}")), text)?;
    }
    let shelf = Shelf::of(setup, &folder)?;
    // zstd is our default, xz is Nix's.
    for compression in ["zstd", "xz"] {
        let ours = || shelf.push(setup, compression);
        let nix = || shelf.copy(setup, compression);
        let costs = medians(SMALL_TIMES, &[&ours, &nix])?;
        let what = format!("1,000 paths to file:// {compression}, push, wall");
        compare(&what, costs[0].wall, "nix copy", costs[1].wall, 0.5);
    }
    remove(&shelf.root)
}

fn large(setup: &Setup) -> Result<()> {
    let folder = setup.fresh();
    fs::create_dir(&folder)?;
    write_words(&folder.join("large"))?;
    let shelf = Shelf::of(setup, &folder)?;
    let path = shelf.paths.first().context("nothing was added")?;
    let file = shelf.root.join(path.trim_start_matches('/'));
    let zstd = || {
        let script = "zstd -q -3 --single-thread -c \"$0\" > \"$1\"";
        let packed = setup.fresh();
        let cost = run(setup
            .command("sh")
            .args(["-c", script])
            .arg(&file)
            .arg(&packed))?;
        fs::remove_file(packed)?;
        Ok(cost)
    };
    let ours = || shelf.push(setup, "zstd");
    if setup.command("zstd").arg("--version").output().is_ok() {
        let costs = medians(LARGE_TIMES, &[&ours, &zstd])?;
        let (ours, zstd) = (costs[0].processor, costs[1].processor);
        let what = "1 GiB to file:// zstd, push, CPU";
        compare(what, ours, "zstd -3 --single-thread", zstd, 1.2);
    } else {
        println!("no zstd here: its row is left out");
    }
    let peak = ours()?.peak_bytes;
    bound("1 GiB to file:// zstd, push, peak memory", peak, MEMORY_MIB);
    remove(&shelf.root)
}

/// A gibibyte that compresses as programs and texts do, to about a third.
fn write_words(path: &Path) -> Result<()> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let words: Vec<[u8; 8]> = (0..8192).map(|_| next().to_le_bytes()).collect();
    let mut file = BufWriter::new(File::create(path)?);
    let mut written = 0;
    while written < LARGE_BYTES {
        let choice = next();
        // Some words are frequent, some rare, and some bytes come but once.
        let word = words[(choice & (choice >> 16) & 8191) as usize];
        file.write_all(&word)?;
        file.write_all(&choice.to_le_bytes()[6..])?;
        written += 10;
    }
    Ok(file.flush()?)
}
