//! Every kind of `source` in a configuration.
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::Path;
use std::time::Duration;

use fetchhost_policy::{Config, ConfigError, CredentialSpec, Program, Scheme, SourceSpec};

fn parse(source: &str, scheme: &str) -> Result<CredentialSpec, ConfigError> {
    let text = format!(
        "[credential.work]\nsource = {source}\nscheme = \"{scheme}\"\norigins = [\"https://a.example\"]\n"
    );
    let config = Config::parse(&text, Path::new("/home/u/config.toml"))?;
    // What is shown is read back as the same.
    let again = Config::parse(&config.to_toml(), Path::new("/elsewhere/config.toml"))
        .unwrap_or_else(|error| panic!("{error}\n{}", config.to_toml()));
    assert_eq!(again.credentials, config.credentials);
    Ok(config.credentials[&"work".parse().unwrap()].clone())
}

fn program(argv: &[&str], seconds: u64) -> Program {
    Program {
        argv: argv.iter().map(|word| (*word).to_owned()).collect(),
        timeout: Duration::from_secs(seconds),
    }
}

fn netrc(path: Option<&str>, use_default: bool, insecure_permissions: bool) -> SourceSpec {
    SourceSpec::Netrc {
        path: path.map(Into::into),
        use_default,
        insecure_permissions,
    }
}

#[test]
fn each_kind_is_read_with_its_details() {
    let command = |argv: &[&str], seconds, refresh: Option<u64>| SourceSpec::Command {
        program: program(argv, seconds),
        refresh: refresh.map(Duration::from_secs),
    };
    for (text, expected) in [
        ("{ env = \"T\" }", SourceSpec::Env("T".to_owned())),
        (
            "{ age = \"work.age\" }",
            SourceSpec::Age("/home/u/work.age".into()),
        ),
        (
            "{ age = \"/run/work.age\" }",
            SourceSpec::Age("/run/work.age".into()),
        ),
        (
            "{ systemd = \"gitlab-token\" }",
            SourceSpec::Systemd("gitlab-token".to_owned()),
        ),
        (
            "{ command = [\"pass\", \"show\", \"a b\"] }",
            command(&["pass", "show", "a b"], 30, None),
        ),
        (
            "{ command = [\"bin/token\"], timeout = \"2 min\", refresh = 600 }",
            command(&["/home/u/bin/token"], 120, Some(600)),
        ),
        (
            "{ helper = \"gcloud-helper\" }",
            SourceSpec::Helper(program(&["gcloud-helper"], 30)),
        ),
        (
            "{ helper = [\"/opt/helper\", \"--account=x\"], timeout = 5 }",
            SourceSpec::Helper(program(&["/opt/helper", "--account=x"], 5)),
        ),
        ("{ netrc = true }", netrc(None, false, false)),
        (
            "{ netrc = \"netrc\", use-default = true, insecure-permissions = true }",
            netrc(Some("/home/u/netrc"), true, true),
        ),
    ] {
        assert_eq!(parse(text, "bearer").unwrap().source, expected, "{text}");
    }
}

#[test]
fn basic_without_a_user_name_is_for_sources_that_know_one() {
    let spec = parse("{ netrc = true }", "basic").unwrap();
    assert_eq!(spec.scheme, Scheme::BasicLogin);
    let error = parse("{ env = \"T\" }", "basic").unwrap_err();
    assert!(error.to_string().contains("needs a user name"), "{error}");
    let error = parse("{ helper = \"h\" }", "basic:me").unwrap_err();
    assert!(error.to_string().contains("gives whole headers"), "{error}");
}

#[test]
fn each_mistake_has_its_own_message() {
    for (text, message) in [
        (
            "{ env = \"T\", timeout = 5 }",
            "`timeout` belongs to a `command` or `helper` source",
        ),
        (
            "{ helper = \"h\", refresh = 5 }",
            "`refresh` belongs to a `command` source",
        ),
        (
            "{ file = \"t\", use-default = true }",
            "`use-default` belongs to a `netrc` source",
        ),
        (
            "{ age = \"t\", insecure-permissions = true }",
            "`insecure-permissions` belongs to a `file` or `netrc` source",
        ),
        ("{ age = \"a\", netrc = true }", "both `age` and `netrc`"),
        ("{ age = \"~/t.age\" }", "`~` is not expanded"),
        ("{ systemd = \"../t\" }", "name of a credential of the unit"),
        (
            "{ command = \"pass show x\" }",
            "`command` is a string, not an array of strings",
        ),
        ("{ command = [] }", "`command` in `source` is empty"),
        (
            "{ command = [\"\"] }",
            "`command` needs the name of a program",
        ),
        ("{ command = [\"~/bin/x\"] }", "`~` is not expanded"),
        (
            "{ command = [\"a\\u0000b\"] }",
            "no argument of a program holds a NUL",
        ),
        ("{ helper = \"\" }", "`helper` needs the name of a program"),
        ("{ helper = \"h\", timeout = 0 }", "`timeout` is 0"),
        (
            "{ helper = \"h\", timeout = \"soon\" }",
            "is not a duration",
        ),
        (
            "{ netrc = false }",
            "`netrc` is `true`, for your own file, or a path",
        ),
        ("{ netrc = 1 }", "`netrc` is an integer"),
        (
            "{ netrc = true, use-defualt = true }",
            "unknown key `use-defualt`",
        ),
        (
            "{ keyring = \"k\" }",
            "`keyring` in `source` is not available in this version",
        ),
    ] {
        let error = parse(text, "bearer").unwrap_err();
        assert!(error.to_string().contains(message), "{text}\n{error}");
        assert!(error.line_column().is_some());
    }
}

#[test]
fn a_word_of_a_command_is_never_repeated() {
    let error = parse("{ command = [\"p\", \"s3cret\"], timeout = 0 }", "bearer").unwrap_err();
    let spec = parse("{ command = [\"p\", \"s3cret\"] }", "bearer").unwrap();
    assert!(!format!("{error} {error:?} {spec:?} {}", spec.source).contains("s3cret"));
}
