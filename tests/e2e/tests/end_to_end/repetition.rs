//! What is there already is not fetched again.

use std::fs;
use std::path::PathBuf;

use fetchhost_e2e::{CommandLine, Sandbox, private_project};

fn narinfo(sandbox: &Sandbox) -> PathBuf {
    let files = fs::read_dir(sandbox.path("cache"))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let is_narinfo = |path: &PathBuf| path.extension().is_some_and(|end| end == "narinfo");
    files.into_iter().find(is_narinfo).unwrap()
}

#[test]
fn a_second_run_asks_nobody_and_says_the_same() {
    for cache in ["compression=none", "compression=zstd"] {
        let (sandbox, standin) = (Sandbox::new(), private_project());
        let line = CommandLine::tree(&standin).with("--to", sandbox.cache(cache));
        let first = sandbox.run(line.clone()).exits(0);
        let files = sandbox.files();
        standin.take_requests();

        let second = sandbox.run(line).exits(0);
        assert_eq!(second.stdout, first.stdout);
        assert_eq!(standin.requests(), []);
        assert_eq!(sandbox.files(), files);
    }
}

#[test]
fn a_second_run_needs_neither_credential_nor_server() {
    let (sandbox, standin) = (Sandbox::new(), private_project());
    let line = CommandLine::member(&standin).with("--to", sandbox.cache(""));
    sandbox.run(line.clone()).exits(0);
    drop(standin);
    sandbox
        .run(line.without("--credential").without("--allow"))
        .exits(0);
}

#[test]
fn refetch_asks_again() {
    let (sandbox, standin) = (Sandbox::new(), private_project());
    let line = CommandLine::tree(&standin).with("--to", sandbox.cache(""));
    sandbox.run(line.clone()).exits(0);
    standin.take_requests();
    sandbox.run(line.flag("--refetch")).exits(0);
    assert_ne!(standin.requests(), []);
}

#[test]
fn a_narinfo_without_its_nar_does_not_count() {
    let (sandbox, standin) = (Sandbox::new(), private_project());
    let line = CommandLine::tree(&standin).with("--to", sandbox.cache(""));
    sandbox.run(line.clone()).exits(0);
    let files = sandbox.files();
    for nar in fs::read_dir(sandbox.path("cache/nar")).unwrap() {
        fs::remove_file(nar.unwrap().path()).unwrap();
    }
    sandbox.run(line).exits(0);
    assert_eq!(sandbox.files(), files);
}

#[test]
fn a_narinfo_of_other_content_does_not_count() {
    let (sandbox, standin) = (Sandbox::new(), private_project());
    let line = CommandLine::tree(&standin).with("--to", sandbox.cache(""));
    sandbox.run(line.clone()).exits(0);
    standin.take_requests();
    let file = narinfo(&sandbox);
    let text = fs::read_to_string(&file).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with("CA: "));
    fs::write(
        &file,
        lines.map(|line| format!("{line}\n")).collect::<String>(),
    )
    .unwrap();
    sandbox.run(line).exits(0);
    assert_ne!(standin.requests(), []);
}
