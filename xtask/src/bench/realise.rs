//! Many small artifacts from a server that is far away: all at once ahead of a build, against one by one.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::rows::remove;
use super::setup::Setup;
use super::{compare, medians};
use crate::measure::{Cost, run};

/// How many artifacts there are.
const ARTIFACTS: u64 = 200;
/// The size of the smallest in bytes; each of the others has one more, and so another hash.
const BYTES: u64 = 100 << 10;
/// How often each competitor fetches them.
const TIMES: usize = 3;

/// Into the store of the installed Nix, evaluation included on both sides.
pub(super) fn realise(setup: &Setup) -> Result<()> {
    if !setup.has_nix {
        println!("no Nix here: the row of `realise` is left out");
        return Ok(());
    }
    let files = Files::write(setup)?;
    // Once beforehand, so that the compile cache is warm.
    ours(setup, &files)?;
    let ours = || ours(setup, &files);
    let nix = || one_by_one(setup, &files);
    let costs = medians(TIMES, &[&ours, &nix])?;
    let what = "200 × 100 KiB at 50 ms, realise, wall";
    compare(what, costs[0].wall, "builtins.fetchurl", costs[1].wall, 0.1);
    remove(&files.folder)
}

/// What is evaluated, and the configuration that grants it.
pub(super) struct Files {
    /// Where the configuration lies, as `XDG_CONFIG_HOME` names it.
    pub(super) folder: PathBuf,
    /// The derivations; a function of the gateway's `port`.
    pub(super) ours: PathBuf,
    /// What Nix fetches while it evaluates.
    nix: PathBuf,
}

impl Files {
    pub(super) fn write(setup: &Setup) -> Result<Self> {
        let folder = setup.fresh();
        let private = folder.join("nix-fetchhost");
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o700).create(&private)?;
        let grant = format!(
            "[[grant]]\nmodule = \"builtin:http\"\norigins = [\"{}\"]\n",
            setup.far
        );
        let mut options = fs::OpenOptions::new();
        let options = options.write(true).create_new(true).mode(0o600);
        std::io::Write::write_all(
            &mut options.open(private.join("config.toml"))?,
            grant.as_bytes(),
        )?;

        let mut list = String::from("[\n");
        for bytes in BYTES..BYTES + ARTIFACTS {
            // The same bytes from the near one.
            let hash = setup.sri(&setup.url(bytes))?;
            let url = format!("{}/public/big/{bytes}", setup.far);
            writeln!(list, "  {{ url = \"{url}\"; hash = \"{hash}\"; }}")?;
        }
        list.push(']');
        let functions = Path::new(env!("CARGO_MANIFEST_DIR")).join("../nix/fetchhost.nix");
        let functions = functions.canonicalize()?;
        let files = Self {
            ours: folder.join("ours.nix"),
            nix: folder.join("nix.nix"),
            folder,
        };
        let ours = format!(
            "{{ port ? 8459 }}: map (import {} {{ inherit port; }}).fetchHttpFile {list}",
            functions.display()
        );
        fs::write(&files.ours, ours)?;
        let nix =
            format!("map (x: builtins.fetchurl {{ inherit (x) url; sha256 = x.hash; }}) {list}");
        fs::write(&files.nix, nix)?;
        Ok(files)
    }
}

/// [`Files::ours`] into a store that has nothing yet.
fn ours(setup: &Setup, files: &Files) -> Result<Cost> {
    let (remote, root) = setup.nix_store()?;
    let mut command = setup.command(&setup.host);
    command.arg("realise").arg("--file").arg(&files.ours);
    command.env("XDG_CONFIG_HOME", &files.folder);
    let cost = run(command.env("NIX_REMOTE", remote))?;
    remove(&root)?;
    Ok(cost)
}

/// [`Files::nix`] likewise, and with nothing remembered of earlier downloads.
fn one_by_one(setup: &Setup, files: &Files) -> Result<Cost> {
    let (remote, root) = setup.nix_store()?;
    let cache = setup.fresh();
    fs::create_dir(&cache)?;
    let mut command = setup.command("nix-instantiate");
    command.args(["--eval", "--strict"]).arg(&files.nix);
    command.env("XDG_CACHE_HOME", &cache);
    let cost = run(command.env("NIX_REMOTE", remote))?;
    for folder in [root, cache] {
        remove(&folder)?;
    }
    Ok(cost)
}
