//! Configuration files together: the administrator's and the user's, and what a grant says of credentials.
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::Path;

use fetchhost_policy::{Config, ConfigError, DaemonPeers};

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("/etc/nix-fetchhost/config.toml"))
}

fn merged(admin: &str, user: &str) -> Result<Config, ConfigError> {
    Config::merge(
        parse(admin).unwrap(),
        Config::parse(user, Path::new("/home/u/config.toml")).unwrap(),
    )
}

const CREDENTIAL: &str = r#"
[credential.work]
source = { env = "T" }
scheme = "bearer"
origins = ["https://a.example"]
"#;

fn grant(lines: &str) -> String {
    format!("[[grant]]\nmodule = \"builtin:http\"\n{lines}\n")
}

#[test]
fn two_equally_exact_grants_of_a_module_are_an_error_within_and_across_files() {
    let one = grant("origins = [\"https://a.example\", \"https://*.b.example\"]");
    for tie in [
        "https://a.example",
        "https://a.example:443",
        "https://*.b.example",
    ] {
        let other = grant(&format!("origins = [\"{tie}\"]"));
        let error = parse(&format!("{one}{other}")).unwrap_err();
        assert!(error.to_string().contains("already granted"), "{error}");
        assert_eq!(error.line_column(), Some((4, 1)));
        let error = merged(&one, &other).unwrap_err();
        assert!(
            error.to_string().starts_with("/home/u/config.toml:1:1: "),
            "{error}"
        );
        assert!(
            error
                .to_string()
                .contains("/etc/nix-fetchhost/config.toml:1:1"),
            "{error}"
        );
    }
    let wider = grant("origins = [\"https://*.example\"]");
    assert!(parse(&wider).is_err(), "one label is no suffix");
    let nested = grant("origins = [\"https://x.b.example\", \"https://*.x.b.example\"]");
    assert!(merged(&one, &nested).is_ok());
    assert!(merged(&one, &one.replace("builtin:http", "builtin:gitlab")).is_ok());
}

#[test]
fn a_user_only_adds() {
    let error = merged(CREDENTIAL, CREDENTIAL).unwrap_err();
    assert_eq!(
        error.to_string(),
        "/home/u/config.toml:2:1: credential `work` is already defined at /etc/nix-fetchhost/config.toml:2:1"
    );
    let config = merged(
        "[limits]\nmemory = 1000\nrequests = 10",
        "allow-metadata = true\n[limits]\nmemory = 2000\nrequests = 5\nfuel = 7",
    )
    .unwrap();
    let limits = config.limits();
    assert_eq!((limits.memory, limits.requests, limits.fuel), (1000, 5, 7));
    assert!(config.allow_metadata);
}

#[test]
fn a_grant_may_use_the_administrators_credential_but_no_unknown_one() {
    let user = grant("origins = [\"https://a.example\"]\ncredentials = { auth = \"work\" }");
    assert!(merged(CREDENTIAL, &user).is_ok());
    let error = merged("", &user).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("credential `work`, which is not defined"),
        "{error}"
    );
    let error = merged(CREDENTIAL, &user.replace("\"work\"", "\"wrok\"")).unwrap_err();
    assert_eq!(error.hint().unwrap(), "did you mean `work`?");
}

#[test]
fn a_credential_that_is_for_none_of_the_grants_origins_is_an_error() {
    let user = grant("origins = [\"https://b.example\"]\ncredentials = { auth = \"work\" }");
    let error = merged(CREDENTIAL, &user).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("for none of the origins of this grant"),
        "{error}"
    );
    let port = grant("origins = [\"https://a.example:8443\"]\ncredentials = { auth = \"work\" }");
    assert!(merged(CREDENTIAL, &port).is_err());
}

#[test]
fn the_gateway_takes_the_stricter_of_two_bounds_and_the_users_port() {
    let merged = merged(
        "[gateway]\nport = 1\ndaemon-peers = \"approved\"\ncache-size = \"1 GiB\"\nmax-fetches = 9\n\
         share-with-local-users = false\nupstreams = [\"file:///srv/a\"]\n",
        "[gateway]\nport = 2\ndaemon-peers = \"open\"\ncache-size = 5\n\
         share-with-local-users = true\nupstreams = [\"https://b.example/c\"]\n",
    )
    .unwrap();
    let gateway = &merged.gateway;
    assert_eq!(gateway.port, Some(2));
    assert_eq!(gateway.daemon_peers, Some(DaemonPeers::Approved));
    assert_eq!(gateway.cache_size, Some(5));
    assert_eq!(gateway.max_fetches, Some(9));
    assert_eq!(gateway.share_with_local_users, Some(false));
    let upstreams: Vec<String> = gateway.upstreams.iter().map(ToString::to_string).collect();
    assert_eq!(upstreams, ["file:///srv/a", "https://b.example/c/"]);
    assert_eq!(parse(&merged.to_toml()).unwrap().gateway, *gateway);
}
