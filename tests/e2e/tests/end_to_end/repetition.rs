//! What is there already is not fetched again.

use std::fs;
use std::path::{Path, PathBuf};

use fetchhost_e2e::{CommandLine, Sandbox, files_below, private_project};

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

#[test]
fn what_one_destination_holds_is_copied_to_the_others() {
    for query in ["compression=none", "compression=zstd", "compression=xz"] {
        let (sandbox, standin) = (Sandbox::new(), private_project());
        for (line, name) in [
            (CommandLine::tree(&standin), "tree"),
            (CommandLine::member(&standin), "member"),
        ] {
            let plain = line.clone();
            let line = line.with("--to", sandbox.cache(query));
            let store_path = sandbox.run(line.clone()).exits(0).stdout;
            standin.take_requests();
            let second = format!(
                "file://{}",
                sandbox.path(&format!("second-{name}")).display()
            );
            let line = line
                .with("--to", sandbox.out(name))
                .with("--to", second)
                .flag("--json");
            let copied = sandbox.run(line).exits(0).json();
            assert_eq!(standin.requests(), [], "{query}");
            assert_eq!(copied["storePath"], store_path.trim_end());
            let statuses: Vec<_> = copied["destinations"].as_array().unwrap().iter().collect();
            let statuses: Vec<_> = statuses.iter().map(|to| to["status"].clone()).collect();
            assert_eq!(statuses, ["present", "done", "done"]);

            // It is what a fetch would have made.
            let fetched = plain.with("--to", sandbox.out("fetched"));
            sandbox.run(fetched).exits(0);
            assert_eq!(contents(&sandbox, name), contents(&sandbox, "fetched"));
            remove(&sandbox.path("fetched"));
        }
    }
}

#[test]
fn what_lies_at_a_plain_path_is_copied_or_left_alone_and_fetched_again_on_demand() {
    let (sandbox, standin) = (Sandbox::new(), private_project());
    for (line, name) in [
        (CommandLine::tree(&standin), "tree"),
        (CommandLine::member(&standin), "member"),
    ] {
        let line = line.with("--to", sandbox.out(name));
        let store_path = sandbox.run(line.clone()).exits(0).stdout;
        let before = contents(&sandbox, name);
        standin.take_requests();

        let again = sandbox.run(line.clone()).exits(0);
        again.says(["holds it already"]);
        let cache = format!("file://{}", sandbox.path(&format!("of-{name}")).display());
        let both = line.clone().with("--to", &cache).flag("--json");
        let copied = sandbox.run(both).exits(0).json();
        assert_eq!(standin.requests(), []);
        assert_eq!(copied["storePath"], store_path.trim_end());
        assert_eq!(copied["destinations"][0]["status"], "present");
        assert_eq!(copied["destinations"][1]["status"], "done");
        assert_eq!(contents(&sandbox, name), before);

        let refetched = sandbox.run(line.flag("--refetch"));
        if name == "tree" {
            refetched.exits(6).says(["is a folder that is not empty"]);
            assert_eq!(standin.requests(), []);
        } else {
            refetched.exits(0);
            assert_ne!(standin.requests(), []);
        }
    }
}

#[test]
fn another_file_at_a_plain_path_is_replaced() {
    let (sandbox, standin) = (Sandbox::new(), private_project());
    let line = CommandLine::member(&standin).with("--to", sandbox.out("member"));
    fs::write(sandbox.path("member"), "another").unwrap();
    sandbox.run(line).exits(0);
    assert_ne!(standin.requests(), []);
    assert_ne!(fs::read(sandbox.path("member")).unwrap(), b"another");
}

/// The files below, by their paths in it.
fn contents(sandbox: &Sandbox, folder: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = sandbox.path(folder);
    let relative = |path: PathBuf| path.strip_prefix(&folder).unwrap().to_owned();
    let files = files_below(&folder).into_iter();
    files.map(|(path, bytes)| (relative(path), bytes)).collect()
}

fn remove(path: &Path) {
    if path.is_dir() {
        fs::remove_dir_all(path).unwrap();
    } else {
        fs::remove_file(path).unwrap();
    }
}

#[test]
fn what_is_damaged_is_not_copied() {
    let (sandbox, standin) = (Sandbox::new(), private_project());
    let line = CommandLine::tree(&standin).with("--to", sandbox.cache("compression=none"));
    sandbox.run(line.clone()).exits(0);
    let nar = fs::read_dir(sandbox.path("cache/nar")).unwrap().next();
    let nar = nar.unwrap().unwrap().path();
    let intact = fs::read(&nar).unwrap();
    standin.take_requests();

    let both = line.with("--to", sandbox.out("result"));
    let content = intact.windows(5).position(|word| word == b"Count");
    for (at, says) in [
        (content.unwrap(), "hash mismatch"),
        (intact.len() - 10, "the archive is damaged"),
    ] {
        let mut damaged = intact.clone();
        damaged[at] ^= 1;
        fs::write(&nar, damaged).unwrap();
        sandbox
            .run(both.clone())
            .exits(6)
            .says(["holds is damaged", says, "`--refetch`"]);
        assert!(!sandbox.path("result").exists());
    }
    assert_eq!(standin.requests(), []);
    sandbox.run(both.flag("--refetch")).exits(0);
    assert_eq!(fs::read(&nar).unwrap(), intact);
    assert!(sandbox.path("result").exists());
}
