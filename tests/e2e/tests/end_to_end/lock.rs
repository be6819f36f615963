//! `lock` and `approve`, and what Nix makes of the lock file.

mod hostile;

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use fetchhost_e2e::{
    CommandLine, Finished, Sandbox, TOKEN, TREE_HASH, member_content, private_project, sri,
};
use fetchhost_standin::{Fault, Side, Standin, sample};
use serde_json::{Value, json};

use crate::gateway::serve::configuration;

/// A project with its wishes, and a configuration that grants the stand-in.
pub(crate) struct Project {
    pub(crate) sandbox: Sandbox,
    pub(crate) standin: Standin,
}

impl Project {
    pub(crate) fn new() -> Self {
        Self::configured("")
    }

    pub(crate) fn configured(more: &str) -> Self {
        let standin = private_project();
        let sandbox = Sandbox::new()
            .own_cache()
            .configured(&configuration(&standin, more));
        Self { sandbox, standin }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.sandbox.path(name)
    }

    /// `fetches.toml`, in which `URL` stands for the stand-in's.
    pub(crate) fn wish(&self, toml: &str) {
        let toml = toml.replace("URL", &self.standin.url());
        fs::write(self.file("fetches.toml"), toml).unwrap();
    }

    pub(crate) fn lock(&self, flags: &[&str]) -> Finished {
        let file = self.file("fetches.toml");
        let line = CommandLine::new(["lock"]).with("--file", file.display());
        self.sandbox
            .run(flags.iter().fold(line, |line, flag| line.flag(flag)))
    }

    pub(crate) fn locked(&self) -> Value {
        let text = fs::read_to_string(self.file("fetches.lock.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }
}

/// The manual and the whole artifact of the sample job.
pub(crate) const TWO: &str = r#"
    [fetch.engine]
    fetcher = "gitlab-artifact"
    params = { url = "URL", project = "acme/rockets/engine", job-id = 1001 }

    [fetch.manual]
    fetcher = "gitlab-artifact"
    params = { url = "URL", project = "acme/rockets/engine", job-id = 1001, path = "share/doc/engine/manual.txt" }
"#;

#[test]
fn what_is_wanted_is_fetched_once_and_locked() {
    let project = Project::new();
    project.wish(TWO);
    project.lock(&["--check"]).exits(1).says([
        "new or changed: engine, manual",
        // With what was typed.
        &format!(
            "hint: run `nix-fetchhost lock --file {}`",
            project.file("fetches.toml").display()
        ),
    ]);
    assert_eq!(project.standin.requests(), []);

    let locked = project.lock(&[]).exits(0);
    let manual = sri(member_content().as_bytes());
    assert_eq!(
        locked.stdout,
        format!("engine {TREE_HASH}\nmanual {manual}\n")
    );
    assert!(!locked.stderr.contains(TOKEN));
    let lock = project.locked();
    let params = json!({ "url": project.standin.url(), "project": sample::PROJECT, "job-id": sample::JOB_ID });
    let engine = &lock["fetches"]["engine"];
    assert_eq!(engine["params"], params);
    assert_eq!(engine["hash"], TREE_HASH);
    assert_eq!(engine["narHash"], TREE_HASH);
    assert_eq!(
        (&engine["mode"], &engine["name"]),
        (&json!("nar"), &json!("source"))
    );
    assert_eq!(lock["fetches"]["manual"]["mode"], "flat");
    let line = CommandLine::tree(&project.standin).with("--to", project.sandbox.cache(""));
    let path = project.sandbox.run(line).exits(0).stdout;
    assert_eq!(engine["storePath"], path.trim_end());

    project.standin.take_requests();
    project.lock(&["--check"]).exits(0);
    assert_eq!(project.lock(&[]).exits(0).stdout, "");
    assert_eq!(project.standin.requests(), [], "nothing is fetched again");
    assert_eq!(project.locked(), lock);
}

#[test]
fn only_what_changed_is_fetched_and_what_is_gone_goes() {
    let project = Project::new();
    project.wish(TWO);
    project.lock(&[]).exits(0);
    let two = project.locked();

    project.wish(&TWO.replace("[fetch.manual]", "[fetch.handbook]"));
    project
        .lock(&["--check"])
        .exits(1)
        .says(["new or changed: handbook", "no longer wanted: manual"]);
    let renamed = project.lock(&[]).exits(0);
    assert!(
        renamed.stdout.starts_with("handbook sha256-"),
        "{}",
        renamed.stdout
    );
    assert_eq!(renamed.stdout.lines().count(), 1);
    let lock = project.locked();
    assert_eq!(lock["fetches"]["handbook"], two["fetches"]["manual"]);
    assert_eq!(lock["fetches"]["engine"], two["fetches"]["engine"]);
    assert!(lock["fetches"]["manual"].is_null());

    // Another name for the same content is another output.
    project.wish(&TWO.replace("[fetch.manual]", "[fetch.manual]\nname = \"renamed\""));
    project.lock(&["--check"]).exits(1).says(["manual"]);
}

#[test]
fn what_upstream_changed_is_noticed_only_when_asked_for() {
    let project = Project::new();
    project.wish(TWO);
    project.lock(&[]).exits(0);
    let place = project.file("fetches.lock.json");
    let empty = sri(b"");
    // As if upstream had had other content when it was locked.
    let old = fs::read_to_string(&place).unwrap();
    let manual = sri(member_content().as_bytes());
    let path = |text: &str| {
        let lock: Value = serde_json::from_str(text).unwrap();
        lock["fetches"]["manual"]["storePath"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let dry = CommandLine::member(&project.standin)
        .set("--hash", &empty)
        .flag("--dry-run")
        .flag("--json");
    let other = project.sandbox.run(dry).exits(0).json();
    let stale = old
        .replace(&manual, &empty)
        .replace(&path(&old), other["storePath"].as_str().unwrap());
    fs::write(&place, &stale).unwrap();
    project.lock(&["--check"]).exits(0);
    assert_eq!(project.lock(&[]).exits(0).stdout, "");
    assert_eq!(fs::read_to_string(&place).unwrap(), stale);

    project
        .lock(&["--update", "manuel"])
        .exits(2)
        .says(["`--update manuel`", "[fetch.manuel]"]);
    let updated = project.lock(&["--update", "manual"]).exits(0);
    assert_eq!(updated.stdout, format!("manual {manual}\n"));
    assert_eq!(fs::read_to_string(&place).unwrap(), old);
    assert_eq!(
        project.lock(&["--update-all"]).exits(0).stdout,
        "",
        "the same again"
    );
}

#[test]
fn one_that_fails_stops_no_other_and_is_not_locked() {
    let project = Project::new();
    let missing = TWO
        .replace("[fetch.manual]", "[fetch.missing]")
        .replace("manual.txt", "none.txt");
    let other = "[fetch.other]\nfetcher = \"http-file\"\nparams = { url = \"https://ungranted.example/f\" }\n";
    project.wish(&format!("{missing}\n{other}"));
    project.lock(&[]).exits(3).says([
        "2 of 3 fetches failed",
        "missing: ",
        "other: ",
        "[[grant]]",
        "nix-fetchhost log ",
    ]);
    let fetches = &project.locked()["fetches"];
    let names: Vec<_> = fetches.as_object().unwrap().keys().collect();
    assert_eq!(names, ["engine"]);

    // An update that fails keeps what was locked.
    project.wish(TWO);
    project.lock(&[]).exits(0);
    let both = project.locked();
    fs::write(project.file("config/nix-fetchhost/config.toml"), "").unwrap();
    project.lock(&["--update-all"]).exits(3);
    assert_eq!(project.locked(), both);
}

#[test]
fn mistakes_are_told_before_anybody_is_asked() {
    let project = Project::new();
    for (toml, says) in [
        ("[fetch.a]\nfetcher = \"http-file\"\n", "`[fetch.a]`"),
        (
            "[fetch.a]\nfetcher = \"http-fil\"\nparams = {}\n",
            "http-fil",
        ),
        (
            "[fetch.a]\nfetcher = \"./m.wasm\"\nparams = {}\n",
            "not the name of a fetcher",
        ),
        (
            "[fetch.a]\nfetcher = \"http-file\"\nparams = { url = \"URL/f\", credential = \"env:X\" }\n",
            "credential",
        ),
        (
            "[fetch.a]\nfetcher = \"http-file\"\nallow = [\"https://a.example\"]\n",
            "allow",
        ),
        (
            "[fetch.\"a/b\"]\nfetcher = \"http-file\"\nparams = { url = \"URL/f\" }\n",
            "is called",
        ),
        (
            "[fetch.a]\nfetcher = \"http-file\"\nparams = { url = \"URL/f\", unpack = true }\nmode = \"flat\"\n",
            "tree",
        ),
        ("[fetch\n", "fetches.toml"),
    ] {
        project.wish(toml);
        project.lock(&[]).exits(2).says([says]);
    }
    project.wish(TWO);
    fs::write(project.file("fetches.lock.json"), "{\"version\":2}").unwrap();
    project
        .lock(&[])
        .exits(2)
        .says(["fetches.lock.json", "version is 2"]);
    fs::remove_file(project.file("fetches.toml")).unwrap();
    fs::remove_file(project.file("fetches.lock.json")).unwrap();
    project
        .lock(&[])
        .exits(2)
        .says(["there is no `", "fetches.toml", "lock --help"]);
    assert_eq!(project.standin.requests(), []);
}

#[test]
fn a_grant_without_a_credential_is_answered_with_the_lines_that_name_one() {
    let project = Project::new();
    let config = project.file("config/nix-fetchhost/config.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(
        &config,
        text.replace("credentials = { token = \"sample\" }\n", ""),
    )
    .unwrap();
    project.wish(TWO);
    let refused = project.lock(&[]).exits(1).says([
        "not visible without a credential (404)",
        "fill slot `token`",
        "in place of the grant at ",
        "credentials = { token = \"sample\" }",
    ]);
    // There is no such flag here, and what holds for both is said once.
    assert!(
        !refused.stderr.contains("--credential"),
        "{}",
        refused.stderr
    );
    let times = refused.stderr.matches("fill slot").count();
    assert_eq!(times, 1, "{}", refused.stderr);
}

#[test]
fn a_name_that_is_not_there_and_a_file_that_is_no_lock_file_are_told() {
    let project = Project::new();
    approve(&project, &["--list"])
        .exits(0)
        .says(["nothing is approved"]);
    project.wish(TWO);
    project.lock(&[]).exits(0);
    project.lock(&[]).exits(0).says(["is up to date"]);
    project
        .lock(&["--update", "manul"])
        .exits(2)
        .says(["[fetch.manul]", "did you mean `manual`?"]);
    let wishes = project.file("fetches.toml");
    let refused = approve(&project, &[wishes.to_str().unwrap()]).exits(2);
    assert!(
        refused.stderr.contains("name the lock file"),
        "{}",
        refused.stderr
    );
    assert!(!refused.stderr.contains("remove"), "{}", refused.stderr);
    project.wish("[fetch.a]\nfetcher = \"http-file\"\nparams = { url = \"URL/\" }\n");
    let refused = project.lock(&[]).exits(2).says(["with `name`"]);
    assert!(!refused.stderr.contains("--name"), "{}", refused.stderr);
}

fn approve(project: &Project, words: &[&str]) -> Finished {
    let line = CommandLine::new(["approve"]);
    project
        .sandbox
        .run(words.iter().fold(line, |line, word| line.flag(word)))
}

#[test]
fn an_approval_is_shown_listed_and_withdrawn() {
    let project = Project::new();
    project.wish(TWO);
    let place = project.file("fetches.lock.json");
    let file = place.to_str().unwrap();
    approve(&project, &[file])
        .exits(2)
        .says(["there is no", "nix-fetchhost lock"]);
    project.lock(&[]).exits(0);
    let origin = project.standin.api_origin();
    approve(&project, &[file]).exits(0).says([
        &format!("engine: gitlab-artifact of {origin} as /nix/store/"),
        "share/doc/engine/manual.txt",
        "approved 2 fetches of /",
    ]);
    let listed = approve(&project, &["--list"]).exits(0).stdout;
    assert!(
        listed.starts_with(file) && listed.ends_with("  engine manual\n"),
        "{listed}"
    );

    // Approved is what it was.
    project.wish(&TWO.replace("[fetch.manual]", "[fetch.handbook]"));
    project.lock(&[]).exits(0).says(["nix-fetchhost approve"]);
    assert_eq!(approve(&project, &["--list"]).exits(0).stdout, listed);

    approve(&project, &["--withdraw", file]).exits(0);
    assert_eq!(approve(&project, &["--list"]).exits(0).stdout, "");
    approve(&project, &["--withdraw", file])
        .exits(2)
        .says(["approve --list"]);

    let text = fs::read_to_string(&place).unwrap();
    fs::write(&place, text.replace("gitlab-artifact", "gitlab-unknown")).unwrap();
    approve(&project, &[file]).exits(2).says(["gitlab-unknown"]);
    assert_eq!(approve(&project, &["--list"]).exits(0).stdout, "");
}

#[test]
fn a_signal_ends_what_is_under_way_and_what_has_come_is_locked() {
    let project = Project::new();
    let slow =
        "[fetch.slow]\nfetcher = \"http-file\"\nparams = { url = \"URL/public/big/5000\" }\n";
    project.wish(&format!("{TWO}\n{slow}"));
    let standin = &project.standin;
    standin.script(Side::Api, "/public/big/5000", Fault::StallAfter(1), 100);
    let said = project.file("said");
    let file = project.file("fetches.toml");
    let mut command = project.sandbox.command();
    command
        .args(["lock", "--file", file.to_str().unwrap()])
        .stdout(Stdio::null())
        .stderr(File::create(&said).unwrap());
    let mut run = command.spawn().unwrap();
    let start = Instant::now();
    let has_said = |name: &str| fs::read_to_string(&said).unwrap().contains(name);
    let has_asked = || {
        standin
            .requests()
            .iter()
            .any(|asked| asked.path.contains("/big/5000"))
    };
    while !(has_said("engine: sha256-") && has_said("manual: sha256-") && has_asked()) {
        assert!(start.elapsed() < Duration::from_secs(60), "nothing came");
        thread::sleep(Duration::from_millis(20));
    }
    let pid = run.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &pid])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(run.wait().unwrap().code(), Some(130));
    let fetches = &project.locked()["fetches"];
    let names: Vec<_> = fetches.as_object().unwrap().keys().collect();
    assert_eq!(names, ["engine", "manual"]);
}
