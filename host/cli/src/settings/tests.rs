//! Who may have written a configuration, and which of two files has the last word.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};

use tempfile::TempDir;

use super::*;

const GRANT: &str = "[[grant]]\nmodule = \"builtin:http\"\norigins = [\"https://a.example\"]\n";

struct Files {
    folder: TempDir,
    environment: Environment,
}

fn files(admin: &str, user: &str) -> Files {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name).join("config.toml");
        let parent = path.parent().unwrap();
        fs::create_dir(parent).unwrap();
        set_mode(parent, 0o755);
        fs::write(&path, text).unwrap();
        set_mode(&path, 0o644);
        path
    };
    let environment = Environment {
        admin_config: file("admin", admin),
        user_config: Some(file("user", user)),
        ..Environment::read()
    };
    Files {
        folder,
        environment,
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn message(files: &Files) -> String {
    Settings::load(&files.environment).unwrap_err().message
}

#[test]
fn the_administrators_word_is_last() {
    let locked = files("locked = true", GRANT);
    let settings = Settings::load(&locked.environment).unwrap();
    assert!(settings.config.grants.is_empty());
    assert!(settings.files.iter().all(|(_, present)| *present));

    let denied = files("[[deny]]\nmodules = [\"builtin:http\"]", GRANT);
    let settings = Settings::load(&denied.environment).unwrap();
    assert_eq!(
        (settings.config.grants.len(), settings.config.deny.len()),
        (1, 1)
    );
    assert!(message(&files("", "argv-consent = true")).contains("administrator's file"));
}

#[test]
fn what_others_can_write_is_refused() {
    for (path, mode, refusal) in [
        ("user/config.toml", 0o664, "can be written by others"),
        ("admin/config.toml", 0o646, "can be written by others"),
        ("user", 0o775, "the folder of the configuration"),
        ("admin", 0o777, "the folder of the configuration"),
    ] {
        let files = files("", GRANT);
        set_mode(&files.folder.path().join(path), mode);
        let message = message(&files);
        assert!(message.contains(refusal), "{path}: {message}");
    }
    let sticky = files("", GRANT);
    set_mode(&sticky.folder.path().join("user"), 0o1777);
    assert!(Settings::load(&sticky.environment).is_ok());
}

#[test]
fn what_belongs_to_somebody_else_is_refused() {
    // Only root can give a file away.
    if !rustix::process::geteuid().is_root() {
        return;
    }
    for path in ["user/config.toml", "user", "admin"] {
        let files = files("", GRANT);
        chown(files.folder.path().join(path), Some(54321), None).unwrap();
        assert!(message(&files).contains("belongs to user 54321"), "{path}");
    }
}

#[test]
fn a_link_is_judged_by_the_file_that_it_leads_to() {
    let files = files("", GRANT);
    let file = files.folder.path().join("user/config.toml");
    let folder = files.folder.path().join("elsewhere");
    fs::create_dir(&folder).unwrap();
    set_mode(&folder, 0o755);
    let elsewhere = folder.join("config.toml");
    fs::rename(&file, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &file).unwrap();
    let settings = Settings::load(&files.environment).unwrap();
    assert_eq!(settings.config.grants.len(), 1);
    set_mode(&elsewhere, 0o666);
    assert!(message(&files).contains("can be written by others"));
    set_mode(&elsewhere, 0o644);
    // Whoever can write there can put another file of the user's in its place.
    set_mode(&folder, 0o777);
    assert!(message(&files).contains("linked from"));
    set_mode(&folder, 0o755);
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::lchown(&file, Some(54321), None).unwrap();
        assert!(message(&files).contains("the link"));
    }
}
