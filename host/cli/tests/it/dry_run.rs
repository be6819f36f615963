//! What is refused before anything is contacted, and what `--dry-run` finds.

use std::fs;

use crate::home::{CANARY, Home};

/// Of "hello\n".
const HASH: &str = "sha256-WJG1tSLV3whtD/CxEPvZ0hu0/HFjrzTQgoai6Eb2vgM=";

/// Nobody answers there, so that a test that contacts somebody fails.
const URL: &str = "https://nobody.invalid/x";

/// `run http-file … --to out:TO` with these words besides.
fn run<'a>(to: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let words = ["run", "http-file", "--url", URL, "--hash", HASH, "--to", to];
    words.into_iter().chain(more.iter().copied()).collect()
}

#[test]
fn a_tree_is_not_made_executable() {
    let home = Home::new();
    let out = format!("out:{}", home.path("out").display());
    for words in [
        run(&out, &["--executable", "--unpack"]),
        [
            "run",
            "gitlab-archive",
            "--project",
            "a/b",
            "--ref",
            "v1",
            "--hash",
        ]
        .into_iter()
        .chain([HASH, "--executable", "--to", &out])
        .collect(),
    ] {
        let stderr = home.run(&words).fails(2);
        assert!(
            stderr.contains("`--executable` is for a single file"),
            "{stderr}"
        );
    }
    home.run(&run(&out, &["--executable", "--dry-run"]))
        .succeeds();
}

#[test]
fn a_dry_run_finds_credentials_that_are_not_there() {
    let home = Home::new();
    let out = format!("out:{}", home.path("out").display());
    let typed = run(&out, &["--dry-run", "--credential", "auth=env:T,bearer"]);
    let stderr = home.run(&typed).fails(2);
    assert!(stderr.contains("`T` is not set"), "{stderr}");
    home.run_with(&[("T", CANARY)], &typed).succeeds();
    let stderr = home.run_with(&[("T", "")], &typed).fails(2);
    assert!(stderr.contains("is empty"), "{stderr}");

    let file = home.path("token");
    let source = format!("auth=file:{},bearer", file.display());
    let typed = run(&out, &["--dry-run", "--credential", &source]);
    assert!(home.run(&typed).fails(2).contains("cannot read"));

    home.configure("[credential.work]\nsource = { env = \"T\" }\nscheme = \"bearer\"\norigins = [\"https://nobody.invalid\"]\n\n[[grant]]\nmodule = \"builtin:http\"\norigins = [\"https://nobody.invalid\"]\ncredentials = { auth = \"work\" }\n");
    let stderr = home.run(&run(&out, &["--dry-run"])).fails(2);
    assert!(stderr.contains("credential `work`"), "{stderr}");
    // A program is not started, and nobody is asked for a passphrase.
    home.configure("[credential.work]\nsource = { command = [\"/bin/sh\", \"-c\", \"exit 1\"] }\nscheme = \"bearer\"\norigins = [\"https://nobody.invalid\"]\n\n[[grant]]\nmodule = \"builtin:http\"\norigins = [\"https://nobody.invalid\"]\ncredentials = { auth = \"work\" }\n");
    home.run(&run(&out, &["--dry-run"])).succeeds();
}

#[test]
fn a_dry_run_finds_that_there_is_no_place_for_the_output() {
    let home = Home::new();
    let missing = home.path("missing/out");
    let to = format!("out:{}", missing.display());
    let stderr = home.run(&run(&to, &["--dry-run"])).fails(6);
    assert!(
        stderr.contains(missing.parent().unwrap().to_str().unwrap()),
        "{stderr}"
    );
    fs::create_dir(home.path("full")).unwrap();
    fs::write(home.path("full/file"), "").unwrap();
    let to = format!("out:{}", home.path("full").display());
    let stderr = home.run(&run(&to, &["--dry-run"])).fails(6);
    assert!(stderr.contains("not empty"), "{stderr}");
    // What is there already needs neither place nor credential.
    let there = home.path("there");
    fs::write(&there, "hello\n").unwrap();
    let to = format!("out:{}", there.display());
    let more = ["--dry-run", "--credential", "auth=env:T,bearer"];
    let told = home.run(&run(&to, &more)).succeeds();
    assert!(told.contains("holds it already"), "{told}");
    assert!(!missing.parent().unwrap().exists());
}
