//! `lock` and `approve` in a project of somebody else's.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::{Value, json};

use super::{Project, TWO, approve};

fn locked() -> Project {
    let project = Project::new();
    project.wish(TWO);
    project.lock(&[]).exits(0);
    project
}

/// Changes the lock file.
fn change(place: &Path, change: impl FnOnce(&mut Value)) {
    let mut lock = serde_json::from_str(&fs::read_to_string(place).unwrap()).unwrap();
    change(&mut lock);
    fs::write(place, lock.to_string()).unwrap();
}

#[test]
fn what_is_no_plain_file_is_not_read() {
    let project = Project::new();
    let wishes = project.file("fetches.toml");
    for place in ["/dev/zero", "/dev/stdin"] {
        symlink(place, &wishes).unwrap();
        project.lock(&[]).exits(2).says(["fetches.toml", "plain"]);
        fs::remove_file(&wishes).unwrap();
    }
    project.wish(TWO);
    let lock = project.file("fetches.lock.json");
    symlink("/dev/zero", &lock).unwrap();
    project.lock(&[]).exits(2).says(["lock.json", "plain"]);
    approve(&project, &[lock.to_str().unwrap()])
        .exits(2)
        .says(["lock.json", "plain"]);
}

#[test]
fn what_a_project_says_does_not_act_on_the_terminal() {
    let project = locked();
    let place = project.file("fetches.lock.json");
    change(&place, |lock| lock["\u{1b}[2J"] = json!(1));
    let file = place.to_str().unwrap();
    for told in [
        project.lock(&[]).exits(2),
        approve(&project, &[file]).exits(2),
    ] {
        assert!(!told.stderr.contains('\u{1b}'), "{:?}", told.stderr);
    }
    project.wish("[fetch.a]\nfetcher = \u{1b}[2J\n");
    let told = project.lock(&[]).exits(2);
    assert!(!told.stderr.contains('\u{1b}'), "{:?}", told.stderr);

    let folder = project.file("\u{1b}[2J");
    fs::create_dir(&folder).unwrap();
    let inside = folder.join("fetches.lock.json");
    fs::write(&inside, "{\"version\":1,\"fetches\":{}}").unwrap();
    let inside = inside.to_str().unwrap();
    for words in [&[inside][..], &["--withdraw", inside]] {
        let told = approve(&project, words).exits(0);
        assert!(!told.stderr.contains('\u{1b}'), "{:?}", told.stderr);
    }
}

#[test]
fn all_of_what_is_approved_is_shown() {
    let project = locked();
    let place = project.file("fetches.lock.json");
    change(&place, |lock| {
        let mut other = lock["fetches"]["manual"].take();
        other["fetcher"] = json!("http-file");
        other["params"] = json!({ "url": "https://files.example/get?file=board-minutes#part" });
        lock["fetches"]["manual"] = other;
    });
    approve(&project, &[place.to_str().unwrap()])
        .exits(0)
        .says(["https://files.example/get?file=board-minutes#part"]);
}

#[test]
fn a_url_that_is_a_credential_is_neither_locked_nor_approved() {
    let project = locked();
    let place = project.file("fetches.lock.json");
    for url in [
        "https://files.example/f?X-Amz-Signature=canary",
        "https://files.example/f?private_token=canary",
        "https://user:canary@files.example/f",
    ] {
        project.wish(&format!(
            "[fetch.manual]\nfetcher = \"http-file\"\nparams = {{ url = \"{url}\" }}\n"
        ));
        let refused = project.lock(&[]).exits(2).says(["`url`", "credential"]);
        assert!(!refused.stderr.contains("canary"), "{}", refused.stderr);
        change(&place, |lock| {
            lock["fetches"]["manual"]["fetcher"] = json!("http-file");
            lock["fetches"]["manual"]["params"] =
                json!({ "mirror": [url], "url": "https://a.example/f" });
        });
        let refused = approve(&project, &[place.to_str().unwrap()])
            .exits(2)
            .says(["`manual`", "`mirror`", "credential"]);
        assert!(!refused.stderr.contains("canary"), "{}", refused.stderr);
    }
    let tree = written(&project);
    assert!(!tree.iter().any(|text| text.contains("canary")));
}

/// What was written besides the project's own two files.
fn written(project: &Project) -> Vec<String> {
    let mut folders = vec![project.file("")];
    let mut texts = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let is_theirs = path
                .file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("fetches."));
            if path.is_symlink() || is_theirs {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(bytes) = fs::read(&path) {
                texts.push(String::from_utf8_lossy(&bytes).into_owned());
            }
        }
    }
    texts
}

#[test]
fn an_approval_has_the_name_that_was_typed_wherever_a_link_leads() {
    let project = locked();
    let lock = project.file("fetches.lock.json");
    let link = project.file("link.lock.json");
    let (one, two) = (project.file("one.json"), project.file("two.json"));
    fs::copy(&lock, &one).unwrap();
    fs::copy(&lock, &two).unwrap();
    change(&two, |lock| {
        lock["fetches"].as_object_mut().unwrap().remove("engine");
    });
    let file = link.to_str().unwrap();
    symlink(&one, &link).unwrap();
    approve(&project, &[file]).exits(0);
    fs::remove_file(&link).unwrap();
    symlink(&two, &link).unwrap();
    approve(&project, &[file]).exits(0);
    let listed = approve(&project, &["--list"]).exits(0).stdout;
    assert!(
        listed.starts_with(file) && listed.ends_with("  manual\n"),
        "{listed}"
    );
    assert_eq!(listed.lines().count(), 1, "in the place of the former");

    // The folder has become a link, and the approval is still called as it is listed.
    let (folder, elsewhere) = (project.file("folder"), project.file("elsewhere"));
    fs::create_dir(&folder).unwrap();
    let inside = folder.join("fetches.lock.json");
    fs::copy(&lock, &inside).unwrap();
    let inside = inside.to_str().unwrap();
    approve(&project, &[inside]).exits(0);
    fs::rename(&folder, &elsewhere).unwrap();
    symlink(&elsewhere, &folder).unwrap();
    approve(&project, &["--withdraw", inside]).exits(0);
    approve(&project, &["--withdraw", file]).exits(0);
    assert_eq!(approve(&project, &["--list"]).exits(0).stdout, "");
}
