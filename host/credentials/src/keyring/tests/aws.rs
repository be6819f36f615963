//! `aws`, and access keys that expire.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::servers::signing;
use super::*;

fn write(home: &Path, name: &str, content: &str) {
    let folder = home.join(".aws");
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join(name);
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn access_keys_that_say_when_they_expire_are_asked_for_again_before() {
    let folder = tempfile::tempdir().unwrap();
    let count = folder.path().join("count");
    let script = format!(
        "echo x >> {0}; printf '{{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"s%s\",\"Expiration\":\"2100-01-01T00:00:00Z\"}}' $(wc -l < {0})",
        count.display()
    );
    let source = SourceSpec::Command {
        program: super::programs::shell(&script, Duration::from_secs(20)),
        refresh: None,
    };
    let spec = signing(source);
    let stage = stage(&[], None);
    let first = stage.get(&spec).unwrap();
    assert_eq!(stage.get(&spec).unwrap(), first);
    // 2099-12-31T23:59:00Z
    *stage.now.lock().unwrap() = SystemTime::UNIX_EPOCH + Duration::from_secs(4_102_444_740);
    assert_ne!(stage.get(&spec).unwrap(), first);
}

#[test]
fn a_session_in_a_file_is_read_again_and_keys_without_one_are_not() {
    let home = tempfile::tempdir().unwrap();
    let stage = stage(&[("HOME", home.path().to_str().unwrap())], None);
    let spec = signing(SourceSpec::Aws(None));
    let pass = || stage.pass(Duration::from_secs(61));
    let keys = "[default]\naws_access_key_id = A\naws_secret_access_key = ";
    write(
        home.path(),
        "credentials",
        &format!("{keys}one\naws_session_token = t\n"),
    );
    assert!(stage.get(&spec).unwrap().contains("\"one\""));
    write(home.path(), "credentials", &format!("{keys}two\n"));
    assert!(stage.get(&spec).unwrap().contains("\"one\""));
    pass();
    assert!(stage.get(&spec).unwrap().contains("\"two\""));
    write(home.path(), "credentials", &format!("{keys}three\n"));
    pass();
    assert!(stage.get(&spec).unwrap().contains("\"two\""));
}

#[test]
fn a_profile_without_keys_in_one_file_may_have_them_in_the_other() {
    let home = tempfile::tempdir().unwrap();
    let stage = stage(&[("HOME", home.path().to_str().unwrap())], None);
    let spec = signing(SourceSpec::Aws(Some("work".to_owned())));
    write(home.path(), "credentials", "[work]\nregion = eu\n");
    write(home.path(), "config", "[profile work]\nsso_session = x\n");
    let error = stage.refusal(&spec).to_string();
    assert!(error.contains("`sso_session`"), "{error}");
    write(
        home.path(),
        "config",
        "[profile work]\naws_access_key_id = A\naws_secret_access_key = canary\n",
    );
    assert!(stage.get(&spec).unwrap().contains("canary"));
}

#[cfg(not(feature = "aws-sso"))]
#[test]
fn what_is_not_built_in_says_so() {
    let home = tempfile::tempdir().unwrap();
    let stage = stage(&[("HOME", home.path().to_str().unwrap())], None);
    let error = stage.refusal(&signing(SourceSpec::AwsImds));
    assert!(error.to_string().contains("`aws-sso`"), "{error}");
    assert!(error.hint().unwrap().contains("--features aws-sso"));
    assert!(stage.keyring.look(&signing(SourceSpec::AwsImds)).is_err());
    write(
        home.path(),
        "config",
        "[default]\nsso_session = x\nsso_account_id = 1\nsso_role_name = r\n",
    );
    let error = stage.refusal(&signing(SourceSpec::Aws(None)));
    let hint = error.hint().unwrap();
    assert!(
        hint.contains("export-credentials") && hint.contains("feature `aws-sso`"),
        "{hint}"
    );
}
