//! Killed at any moment, the program leaves nothing that looks like a result and is none.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;
use std::time::Instant;

use fetchhost_e2e::{CommandLine, Sandbox, files_below, private_project, sri};
use fetchhost_standin::{Config, Standin, big_file};

/// Long enough that most moments lie within the transfer, short enough to be had often.
const LENGTH: u64 = 24 << 20;

/// How many moments of a run are tried.
const MOMENTS: u32 = 40;

/// Temporary files are hidden; nothing else may be.
fn is_temporary(path: &Path) -> bool {
    let name = path.file_name().unwrap().to_string_lossy();
    name.starts_with(".nix-fetchhost-")
}

/// What lies below under final names, by paths relative to `folder`.
fn visible(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let below = |path: &Path| path.strip_prefix(folder).unwrap().to_owned();
    files_below(folder)
        .into_iter()
        .map(|(path, bytes)| (below(&path), bytes))
        .filter(|(path, _)| !path.iter().any(|part| is_temporary(Path::new(part))))
        .collect()
}

/// Everything that the two destinations show.
fn shown(sandbox: &Sandbox) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut shown = BTreeMap::new();
    for folder in ["cache", "result"] {
        let path = sandbox.path(folder);
        if path.is_dir() {
            let files = visible(&path).into_iter();
            shown.extend(files.map(|(path, bytes)| (Path::new(folder).join(path), bytes)));
        } else if path.exists() {
            shown.insert(folder.into(), fs::read(path).unwrap());
        }
    }
    shown
}

fn clear(sandbox: &Sandbox) {
    for folder in ["cache", "result"] {
        let path = sandbox.path(folder);
        if path.is_dir() {
            fs::remove_dir_all(path).unwrap();
        } else if path.exists() {
            fs::remove_file(path).unwrap();
        }
    }
}

/// Kills `line` at moments spread over a run of it. A file that is there is the file of a whole run, and
/// a record is there only with its NAR.
fn killed_at_any_moment(line: &CommandLine, whole: &str) {
    let sandbox = Sandbox::new();
    let line = |sandbox: &Sandbox| {
        let line = line.clone().with("--to", sandbox.cache("compression=zstd"));
        line.with("--to", sandbox.out("result"))
    };
    // The shortest of some runs: moments beyond a run's end would try nothing.
    let timed = (0..3).map(|_| {
        clear(&sandbox);
        let start = Instant::now();
        sandbox.run(line(&sandbox)).exits(0);
        start.elapsed()
    });
    let length = timed.min().unwrap();
    let reference = shown(&sandbox);
    assert!(reference.contains_key(Path::new("cache/nix-cache-info")));
    assert!(reference.keys().any(|path| path.starts_with(whole)));

    let mut unfinished = 0;
    for moment in 1..=MOMENTS {
        clear(&sandbox);
        let mut command = sandbox.command();
        command.args(line(&sandbox).into_words());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut run = command.spawn().unwrap();
        thread::sleep(length * moment / MOMENTS);
        run.kill().unwrap();
        let finished = run.wait().unwrap().success();
        let shown = shown(&sandbox);
        for (path, bytes) in &shown {
            // A folder is filled before it gets its name; nothing else may be there.
            let complete = reference.get(path).is_some_and(|whole| whole == bytes);
            assert!(complete, "{} after {moment}/{MOMENTS}", path.display());
        }
        let is = |end: &str| {
            let ends = |path: &PathBuf| path.to_string_lossy().ends_with(end);
            shown.keys().any(ends)
        };
        assert!(!is(".narinfo") || is(".nar.zst"), "{moment}/{MOMENTS}");
        let result = |files: &BTreeMap<PathBuf, Vec<u8>>| {
            let parts = files.keys().filter(|path| path.starts_with("result"));
            parts.count()
        };
        let parts = result(&shown);
        assert!(
            parts == 0 || parts == result(&reference),
            "{moment}/{MOMENTS}"
        );
        unfinished += u32::from(!finished && shown.len() < reference.len());
    }
    assert!(
        unfinished > MOMENTS / 4,
        "only {unfinished} were killed midway"
    );
    clear(&sandbox);
    sandbox.run(line(&sandbox)).exits(0);
    assert_eq!(shown(&sandbox), reference);
}

#[test]
fn a_killed_fetch_of_a_file_shows_nothing_partial() {
    let standin = Standin::start(Config::new("none")).unwrap();
    let content: Vec<u8> = big_file(LENGTH).flatten().collect();
    let url = format!("{}/public/big/{LENGTH}", standin.url());
    let line = CommandLine::http_file(&url, &sri(&content)).with("--name", "big");
    killed_at_any_moment(&line, "result");
}

#[test]
fn a_killed_fetch_of_a_tree_shows_nothing_partial() {
    let standin = private_project();
    killed_at_any_moment(&CommandLine::tree(&standin), "result/bin");
}
