//! `env:` and `file:`, and what any source may hold.

use std::{
    ffi::OsString,
    fs,
    os::unix::{ffi::OsStringExt, fs::PermissionsExt},
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

use super::*;
use crate::{FileError, Problem};

fn variable(scheme: Scheme) -> CredentialSpec {
    spec(SourceSpec::Env(String::from("TOKEN")), scheme)
}

fn file(path: &Path, insecure_permissions: bool) -> CredentialSpec {
    let path = path.to_owned();
    spec(
        SourceSpec::File {
            path,
            insecure_permissions,
        },
        Scheme::Bearer,
    )
}

/// What the keyring makes of `content` in a variable.
fn of(content: &[u8], scheme: Scheme) -> Result<String, CredentialError> {
    let content = content.to_vec();
    let keyring = Keyring::with_environment(move |_| Some(OsString::from_vec(content.clone())));
    keyring
        .resolve(&variable(scheme), &origin())
        .map(|secret| secret.expose().to_owned())
}

fn write(folder: &tempfile::TempDir, content: &[u8], mode: u32) -> PathBuf {
    let path = folder.path().join("token");
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    path
}

fn of_file(error: &CredentialError) -> &FileError {
    match error {
        CredentialError::File { error, .. } => error,
        other => panic!("{other}"),
    }
}

fn problem(error: &CredentialError) -> Problem {
    match error {
        CredentialError::Unusable { problem, .. } => *problem,
        other => panic!("{other}"),
    }
}

#[test]
fn line_ends_at_the_end_are_trimmed_and_nothing_else() {
    for content in ["token", "token\n", "token\r\n", "token\n\n"] {
        assert_eq!(of(content.as_bytes(), Scheme::Bearer).unwrap(), "token");
    }
    let basic = Scheme::Basic {
        username: String::from("me"),
    };
    assert_eq!(of(b" pass word \n", basic).unwrap(), " pass word ");
}

#[test]
fn content_that_cannot_be_sent_is_refused_without_being_shown() {
    let table: [(&[u8], Problem); 10] = [
        (b"", Problem::Empty),
        (b"\n\r\n", Problem::Empty),
        (b"canary\n5ecret", Problem::SeveralLines),
        (b"canary\rX: y", Problem::SeveralLines),
        (b"canary\0", Problem::ControlCharacter),
        (b"canary\x1b[31m", Problem::ControlCharacter),
        (b" canary", Problem::OuterSpace),
        (b"canary ", Problem::OuterSpace),
        ("canary\u{fc}".as_bytes(), Problem::NotAscii),
        (b"canary\xff", Problem::NotText),
    ];
    for (content, expected) in table {
        let error = of(content, Scheme::Bearer).unwrap_err();
        assert_eq!(problem(&error), expected, "{content:?}");
        let shown = format!("{error} {error:?} {:?}", error.hint());
        assert!(
            !shown.contains("canary") && shown.contains("`env:TOKEN`"),
            "{shown}"
        );
        assert!(shown.contains("`work`"), "{shown}");
    }
}

#[test]
fn a_password_may_be_any_text_since_it_travels_as_base64() {
    let basic = Scheme::Basic {
        username: String::from("me"),
    };
    assert_eq!(of("pä ss".as_bytes(), basic.clone()).unwrap(), "pä ss");
    assert_eq!(
        problem(&of(b"a\nb", basic).unwrap_err()),
        Problem::SeveralLines
    );
}

#[test]
fn a_missing_variable_says_what_to_set() {
    let error = Keyring::with_environment(|_| None)
        .resolve(&variable(Scheme::Bearer), &origin())
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "credential `work`: the environment variable `TOKEN` is not set"
    );
    assert!(error.hint().unwrap().contains("`TOKEN=… nix-fetchhost …`"));
}

#[test]
fn a_file_of_mine_that_only_i_can_read_is_read() {
    let folder = tempfile::tempdir().unwrap();
    for mode in [0o600, 0o400] {
        let path = write(&folder, b"token\n", mode);
        assert_eq!(
            Keyring::new()
                .resolve(&file(&path, false), &origin())
                .unwrap()
                .expose(),
            "token"
        );
        fs::remove_file(path).unwrap();
    }
}

#[test]
fn a_file_that_others_can_read_is_refused_unless_the_user_says_so() {
    let folder = tempfile::tempdir().unwrap();
    for mode in [0o644, 0o640, 0o604, 0o620, 0o602] {
        let path = write(&folder, CANARY.as_bytes(), mode);
        let error = Keyring::new()
            .resolve(&file(&path, false), &origin())
            .unwrap_err();
        assert!(
            matches!(of_file(&error), FileError::Permissions { .. }),
            "{error}"
        );
        assert!(
            error.to_string().contains(&format!("mode {mode:04o}")),
            "{error}"
        );
        let hint = error.hint().unwrap();
        assert!(
            hint.contains("chmod 600") && hint.contains("insecure-permissions = true"),
            "{hint}"
        );
        assert_eq!(
            Keyring::new()
                .resolve(&file(&path, true), &origin())
                .unwrap()
                .expose(),
            CANARY
        );
    }
}

#[test]
fn a_file_of_somebody_else_is_refused_whatever_the_user_says() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(&folder, CANARY.as_bytes(), 0o600);
    // Only root can give a file away; root's own files are trusted by everybody.
    if !rustix::process::geteuid().is_root() {
        return;
    }
    std::os::unix::fs::chown(&path, Some(54321), None).unwrap();
    for insecure in [false, true] {
        let error = Keyring::new()
            .resolve(&file(&path, insecure), &origin())
            .unwrap_err();
        assert!(
            matches!(of_file(&error), FileError::Owner { owner: 54321, .. }),
            "{error}"
        );
        assert!(error.hint().unwrap().contains("chown"));
    }
}

#[test]
fn a_link_is_judged_by_the_file_that_it_leads_to() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(&folder, CANARY.as_bytes(), 0o644);
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let error = Keyring::new()
        .resolve(&file(&link, false), &origin())
        .unwrap_err();
    assert!(
        matches!(of_file(&error), FileError::Permissions { .. }),
        "{error}"
    );
}

#[test]
fn folders_missing_files_and_huge_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let error = Keyring::new()
        .resolve(&file(folder.path(), true), &origin())
        .unwrap_err();
    assert!(
        matches!(of_file(&error), FileError::NotAFile { .. }),
        "{error}"
    );
    let missing = folder.path().join("missing");
    let error = Keyring::new()
        .resolve(&file(&missing, false), &origin())
        .unwrap_err();
    assert!(
        matches!(of_file(&error), FileError::Unreadable { .. }),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("mode 0600"));
    let path = write(&folder, &vec![b'a'; 64 * 1024 + 1], 0o600);
    let error = Keyring::new()
        .resolve(&file(&path, false), &origin())
        .unwrap_err();
    assert_eq!(problem(&error), Problem::TooLarge);
}

#[test]
fn a_source_is_read_once_and_a_failure_is_tried_again() {
    let reads = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&reads);
    let keyring = Keyring::with_environment(move |_| {
        (counted.fetch_add(1, Ordering::SeqCst) > 0).then(|| CANARY.into())
    });
    let spec = variable(Scheme::Bearer);
    assert!(keyring.resolve(&spec, &origin()).is_err());
    for _ in 0..3 {
        assert_eq!(keyring.resolve(&spec, &origin()).unwrap().expose(), CANARY);
    }
    assert_eq!(reads.load(Ordering::SeqCst), 2);
    assert!(!format!("{keyring:?}").contains("canary"));
}
