//! Pushes that are killed, and several at once: whoever reads the cache finds nothing half.

use std::fs;
use std::io::{Seek as _, Write as _};
use std::process::Stdio;
use std::thread;
use std::time::Instant;

use fetchhost_e2e::{Nix, Sandbox};

use super::shelf::{fetch, key, push, whole_records};

/// More than one batch takes.
const TEXTS: usize = 1100;
/// How many moments of a push are tried.
const MOMENTS: u32 = 8;

/// Texts of which each refers to the one ten before. Their content addresses prove them.
fn texts(nix: &Nix) -> Vec<String> {
    let expression = format!(
        r#"let
          all = builtins.genList (at: builtins.toFile "text-${{toString at}}"
            (if at < 10 then "first" else "${{builtins.elemAt all (at - 10)}}")) {TEXTS};
        in builtins.concatStringsSep "\n" all"#
    );
    let text = nix.ask("nix", ["eval", "--raw", "--expr", &expression]);
    text.lines().map(str::to_owned).collect()
}

/// The command that pushes them, which reads their list from a file of its own.
fn command(sandbox: &Sandbox, query: &str, paths: &[String]) -> std::process::Command {
    let mut list = tempfile::tempfile().unwrap();
    list.write_all(paths.join("\n").as_bytes()).unwrap();
    list.rewind().unwrap();
    let mut command = sandbox.command();
    command.args(push(sandbox, query).flag("--stdin").into_words());
    command.stdin(list);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

#[test]
fn a_killed_push_leaves_nothing_half_and_goes_on_when_it_is_run_again() {
    let nix = Nix::all("a_killed_push_leaves_nothing_half")
        .into_iter()
        .next();
    let Some(nix) = nix else { return };
    let (paths, sandbox) = (texts(&nix), nix.sandbox());
    let cache = sandbox.path("cache");
    let start = Instant::now();
    assert!(command(&sandbox, "", &paths).status().unwrap().success());
    let length = start.elapsed();
    assert_eq!(whole_records(&cache).len(), TEXTS);
    let mut between = 0;
    for moment in 1..MOMENTS {
        fs::remove_dir_all(&cache).unwrap();
        let mut run = command(&sandbox, "", &paths).spawn().unwrap();
        thread::sleep(length * moment / MOMENTS);
        run.kill().unwrap();
        run.wait().unwrap();
        let records = whole_records(&cache).len();
        between += u32::from(records < TEXTS);
        assert!(command(&sandbox, "", &paths).status().unwrap().success());
        assert_eq!(whole_records(&cache).len(), TEXTS);
    }
    assert!(between > MOMENTS / 4, "only {between} were killed midway");
    assert!(fetch(&nix.another(), &cache, &paths[TEXTS - 1], ""));
}

#[test]
fn two_that_push_the_same_at_once_lose_no_signature() {
    for nix in Nix::all("two_that_push_the_same_at_once_lose_no_signature") {
        let (paths, sandbox) = (texts(&nix), nix.sandbox());
        let mut runs = Vec::new();
        for name in ["one-1", "another-1", "a-third-1"] {
            let (file, _) = key(&sandbox, name);
            let query = format!("compression=none&secret-key={file}");
            runs.push(command(&sandbox, &query, &paths[..300]).spawn().unwrap());
        }
        for mut run in runs {
            assert!(run.wait().unwrap().success());
        }
        let records = whole_records(&sandbox.path("cache"));
        assert_eq!(records.len(), 300);
        for record in records {
            assert_eq!(record.signatures.len(), 3, "{record}");
        }
    }
}
