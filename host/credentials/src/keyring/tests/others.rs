//! `netrc` and `systemd:NAME`.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use super::*;
use crate::{FileError, NetrcProblem, header_for};

fn write(path: &Path, content: &str, mode: u32) {
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn the_users_own_netrc_is_found_and_its_login_sent() {
    let home = tempfile::tempdir().unwrap();
    let own = "machine gitlab.example.com login me password canary-5ecret\n";
    write(&home.path().join(".netrc"), own, 0o600);
    let elsewhere = home.path().join("elsewhere");
    write(&elsewhere, &own.replace("5ecret", "elsewhere"), 0o600);
    let home = ("HOME", home.path().to_str().unwrap());
    let spec = spec(SourceSpec::netrc(), Scheme::BasicLogin);

    let stage_at_home = stage(&[home], None);
    let secret = stage_at_home.keyring.resolve(&spec, &origin()).unwrap();
    assert_eq!((secret.expose(), secret.login()), (CANARY, Some("me")));
    let (_, value) = header_for(&spec.scheme, &secret).unwrap();
    assert_eq!(value.to_str().unwrap(), "Basic bWU6Y2FuYXJ5LTVlY3JldA==");
    // The other origin of the credential has no entry, and gets nothing of this one's.
    let error = stage_at_home
        .keyring
        .resolve(&spec, &other_origin())
        .unwrap_err();
    assert!(error.hint().unwrap().contains("machine other.example.com"));

    let missing = stage(&[("NETRC", "/nowhere/netrc")], None).refusal(&spec);
    assert!(missing.hint().unwrap().contains("machine HOST login"));

    let named = stage(&[home, ("NETRC", elsewhere.to_str().unwrap())], None);
    assert_eq!(named.get(&spec).unwrap(), "canary-elsewhere");

    let error = stage(&[], None).refusal(&spec);
    assert!(matches!(error, CredentialError::NoHome { .. }), "{error}");
}

#[test]
fn a_netrc_that_others_can_read_is_refused_unless_the_user_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("netrc");
    write(&path, "machine gitlab.example.com password canary", 0o644);
    let of = |insecure_permissions| {
        let source = SourceSpec::Netrc {
            path: Some(path.clone()),
            use_default: false,
            insecure_permissions,
        };
        spec(source, Scheme::Bearer)
    };
    let stage = stage(&[], None);
    let error = stage.refusal(&of(false));
    let open = matches!(
        &error,
        CredentialError::File {
            error: FileError::Permissions { .. },
            ..
        }
    );
    assert!(open, "{error}");
    assert_eq!(stage.get(&of(true)).unwrap(), "canary");
}

#[test]
fn a_mistake_in_a_netrc_is_told_by_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("netrc");
    write(
        &path,
        "machine gitlab.example.com\n  login me\n  pasword canary\n",
        0o600,
    );
    let source = SourceSpec::Netrc {
        path: Some(path),
        use_default: false,
        insecure_permissions: false,
    };
    let error = stage(&[], None).refusal(&spec(source, Scheme::Bearer));
    assert!(error.to_string().contains("line 3"), "{error}");
    assert!(matches!(
        error,
        CredentialError::Netrc {
            problem: NetrcProblem::Word(3),
            ..
        }
    ));
}

#[test]
fn systemd_hands_over_its_files_whatever_their_group_bits_say() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().to_str().unwrap();
    // An access list for the service's user shows as a mode for the group.
    write(
        &folder.path().join("gitlab-token"),
        "canary-5ecret\n",
        0o440,
    );
    let of = |name: &str| spec(SourceSpec::systemd(name).unwrap(), Scheme::Bearer);
    let stage_of = |variables: &[(&str, &str)]| stage(variables, None);
    let unit = stage_of(&[("CREDENTIALS_DIRECTORY", directory)]);
    assert_eq!(unit.get(&of("gitlab-token")).unwrap(), CANARY);
    let error = unit.refusal(&of("other"));
    assert!(error.hint().unwrap().contains("LoadCredential=other:"));
    assert!(matches!(error, CredentialError::File { .. }), "{error}");
    for variables in [&[][..], &[("CREDENTIALS_DIRECTORY", "relative")]] {
        let error = stage_of(variables).refusal(&of("gitlab-token"));
        assert!(
            matches!(error, CredentialError::NoSystemd { .. }),
            "{error}"
        );
        assert!(error.hint().unwrap().contains("LoadCredential="));
    }
}
