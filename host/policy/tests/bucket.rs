//! What a cache in a bucket may be asked, and by whose word.
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::Path;

use fetchhost_policy::{
    Broker, BucketUrl, Config, Denial, DenialKind, Method, Permit, Scheme, SourceSpec,
};
use url::Url;

const BUCKET: &str = "s3://team?endpoint=https://minio.example/base&region=eu-west-1&profile=ci";
const ORIGIN: &str = "https://minio.example";

fn administered(text: &str) -> Config {
    let admin = Config::parse(text, Path::new("/etc/nix-fetchhost/config.toml")).unwrap();
    Config::merge(admin, Config::default()).unwrap()
}

fn asked(config: &Config, is_signed: bool, method: Method, url: &str) -> Result<Permit, Denial> {
    let (bucket, _) = BucketUrl::parse(BUCKET).unwrap();
    let (broker, slot) = Broker::for_bucket(&bucket, config, is_signed).unwrap();
    let has_body = !method.is_reading() && method != Method::Delete;
    broker.authorize(method, &Url::parse(url).unwrap(), slot.as_ref(), has_body)
}

#[test]
fn who_types_a_bucket_may_read_and_write_below_it_with_the_keys_that_the_url_names() {
    for method in [
        Method::Get,
        Method::Head,
        Method::Put,
        Method::Post,
        Method::Delete,
    ] {
        for path in ["", "/", "/nar/x.nar.zst", "/x.narinfo?uploads"] {
            let url = format!("{ORIGIN}/base/team{path}");
            let permit = asked(&Config::default(), true, method, &url).unwrap();
            let credential = permit.credential().unwrap();
            assert_eq!(credential.source, SourceSpec::Aws(Some("ci".to_owned())));
            assert_eq!(credential.origins, [ORIGIN.parse().unwrap()]);
            let Scheme::AwsSigV4(scope) = &credential.scheme else {
                panic!("{:?}", credential.scheme);
            };
            assert_eq!(scope.region_for(&credential.origins[0]), "eu-west-1");
            let anonymous = asked(&Config::default(), false, method, &url).unwrap();
            assert_eq!(anonymous.credential(), None);
        }
    }
}

#[test]
fn nothing_beside_the_bucket_is_asked() {
    for (url, kind) in [
        ("https://minio.example/base/team2/x", DenialKind::Path),
        ("https://minio.example/base/other/x", DenialKind::Path),
        (
            "https://minio.example/base/team/../other/x",
            DenialKind::Path,
        ),
        (
            "https://minio.example/base/team/%2e%2e/other",
            DenialKind::Path,
        ),
        ("https://minio.example/team/x", DenialKind::Path),
        ("https://minio.example/", DenialKind::Path),
        ("https://minio.example:8443/base/team/x", DenialKind::Origin),
        ("http://minio.example/base/team/x", DenialKind::Origin),
        ("https://evil.example/base/team/x", DenialKind::Origin),
    ] {
        let denial = asked(&Config::default(), true, Method::Put, url).unwrap_err();
        assert_eq!(denial.kind(), kind, "{url}: {denial}");
    }
}

#[test]
fn a_redirect_out_of_the_bucket_is_refused() {
    let (bucket, _) = BucketUrl::parse(BUCKET).unwrap();
    let (broker, slot) = Broker::for_bucket(&bucket, &Config::default(), true).unwrap();
    let from = Url::parse("https://minio.example/base/team/x").unwrap();
    let permit = broker
        .authorize(Method::Get, &from, slot.as_ref(), false)
        .unwrap();
    for to in [
        "https://evil.example/base/team/x",
        "http://minio.example/base/team/x",
        "https://minio.example/base/other/x",
    ] {
        let to = Url::parse(to).unwrap();
        assert!(broker.redirect(&permit, Method::Get, &to).is_err(), "{to}");
    }
}

#[test]
fn the_administrator_denies_a_bucket_and_turns_consent_off() {
    let url = "https://minio.example/base/team/x";
    let denied = administered("[[deny]]\norigins = [\"https://minio.example\"]\n");
    let denial = asked(&denied, true, Method::Put, url).unwrap_err();
    assert_eq!(denial.kind(), DenialKind::Administrator);
    let denied = administered("[[deny]]\nmodules = [\"host:cache\"]\n");
    let denial = asked(&denied, true, Method::Get, url).unwrap_err();
    assert_eq!(denial.kind(), DenialKind::Administrator);

    let no_consent = "argv-consent = false\n";
    let denial = asked(&administered(no_consent), true, Method::Get, url).unwrap_err();
    assert_eq!(denial.kind(), DenialKind::Origin);
    // What is granted is asked all the same.
    let granted =
        format!("{no_consent}[[grant]]\nmodule = \"host:cache\"\norigins = [\"{ORIGIN}\"]\n");
    assert!(asked(&administered(&granted), true, Method::Get, url).is_ok());
}

#[test]
fn a_grant_takes_the_place_of_what_typing_would_allow() {
    let url = "https://minio.example/base/team/x";
    let config = administered(&format!(
        "[credential.team]\nsource = {{ env = \"TEAM\" }}\nscheme = \"aws-sigv4\"\norigins = [\"{ORIGIN}\"]\n\
         [[grant]]\nmodule = \"host:cache\"\norigins = [\"{ORIGIN}\"]\ncredentials = {{ auth = \"team\" }}\n"
    ));
    let permit = asked(&config, true, Method::Get, url).unwrap();
    assert_eq!(permit.credential().unwrap().name.as_str(), "team");
    let denial = asked(&config, true, Method::Put, url).unwrap_err();
    assert_eq!(denial.kind(), DenialKind::Method);
}
