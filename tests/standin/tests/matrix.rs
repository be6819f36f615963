//! Which status GitLab answers whom, endpoint by endpoint.

#![allow(clippy::unwrap_used, missing_docs)]

mod client;

use client::{Got, get};
use fetchhost_standin::sample::{self, PROJECT_ID};
use fetchhost_standin::{
    Access, Config, Delivery, Fault, Release, ReleaseLink, Side, Standin, Target, TokenKind,
};
use flate2::read::GzDecoder;
use std::collections::BTreeMap;
use std::io::Read as _;

const TOKEN: &str = "glpat-developer";

fn config() -> Config {
    Config::new(TOKEN)
        .token("glpat-guest", Access::Guest)
        .token("glpat-outsider", Access::Outsider)
        .token("glpat-noscope", Access::WithoutScope)
        .token_of_kind("glcbt-job", TokenKind::Job, Access::Developer)
        .token_of_kind("glcbt-foreign", TokenKind::Job, Access::Outsider)
        .token_of_kind("gldt-deploy", TokenKind::Deploy, Access::Developer)
}

const ARTIFACTS: &str = "/api/v4/projects/42/jobs/1001/artifacts";
const PACKAGE: &str = "/api/v4/projects/42/packages/generic/engine-dist/2.1.0-rc.1%2Bbuild_7/linux%20x86/engine@2.bin";
const ARCHIVE: &str =
    "/api/v4/projects/acme%2Frockets%2Fengine/repository/archive.tar.gz?sha=release%2F2.x%2Fstable";
const FILE: &str =
    "/api/v4/projects/42/repository/files/docs%2FREADME.md/raw?ref=release%2F2.x%2Fstable";
const RELEASE: &str = "/api/v4/projects/42/releases/release%2F2.1";
const PERMALINK: &str = "/acme/rockets/engine/-/releases/release%2F2.1/downloads/bin/engine";

const PATHS: [&str; 6] = [ARTIFACTS, PACKAGE, ARCHIVE, FILE, RELEASE, PERMALINK];

/// One caller's header, and the statuses of [`PATHS`].
type Row = (&'static str, &'static str, [u16; 6]);

fn check(standin: &Standin, rows: &[Row]) {
    for (name, value, statuses) in rows {
        for (path, status) in PATHS.into_iter().zip(statuses) {
            let headers: &[_] = if name.is_empty() {
                &[]
            } else {
                &[(*name, *value)]
            };
            let got = get(&format!("{}{path}", standin.url()), headers);
            let body = String::from_utf8_lossy(&got.body);
            assert_eq!(got.status, *status, "{name}: {value} on {path}: {body}");
        }
    }
}

#[test]
fn a_private_project_answers_each_caller_as_gitlab_does() {
    let standin = Standin::start(config().delivery(Delivery::Direct)).unwrap();
    check(
        &standin,
        &[
            ("", "", [404, 401, 404, 404, 404, 302]),
            ("PRIVATE-TOKEN", TOKEN, [200, 200, 200, 200, 200, 302]),
            (
                "PRIVATE-TOKEN",
                "glpat-unknown",
                [401, 401, 401, 401, 401, 302],
            ),
            (
                "PRIVATE-TOKEN",
                "glpat-outsider",
                [404, 404, 404, 404, 404, 404],
            ),
            (
                "PRIVATE-TOKEN",
                "glpat-guest",
                [403, 200, 403, 403, 200, 302],
            ),
            (
                "PRIVATE-TOKEN",
                "glpat-noscope",
                [403, 403, 403, 403, 403, 302],
            ),
            ("PRIVATE-TOKEN", "glcbt-job", [401, 401, 401, 401, 401, 302]),
            (
                "PRIVATE-TOKEN",
                "gldt-deploy",
                [401, 401, 401, 401, 401, 302],
            ),
            (
                "Authorization",
                "Bearer glpat-developer",
                [200, 200, 200, 200, 200, 302],
            ),
            (
                "Authorization",
                "Bearer glpat-unknown",
                [401, 401, 401, 401, 401, 302],
            ),
            ("JOB-TOKEN", "glcbt-job", [200, 200, 404, 200, 200, 302]),
            ("JOB-TOKEN", "glcbt-foreign", [404, 404, 404, 404, 404, 302]),
            ("JOB-TOKEN", "glcbt-ended", [401, 401, 404, 401, 401, 302]),
            ("JOB-TOKEN", TOKEN, [401, 401, 404, 401, 401, 302]),
            (
                "DEPLOY-TOKEN",
                "gldt-deploy",
                [404, 200, 404, 404, 404, 302],
            ),
            (
                "DEPLOY-TOKEN",
                "gldt-unknown",
                [404, 401, 404, 404, 404, 302],
            ),
            // somebody:glpat-developer
            (
                "Authorization",
                "Basic c29tZWJvZHk6Z2xwYXQtZGV2ZWxvcGVy",
                [404, 200, 404, 404, 404, 302],
            ),
            // gitlab-ci-token:glcbt-job
            (
                "Authorization",
                "Basic Z2l0bGFiLWNpLXRva2VuOmdsY2J0LWpvYg==",
                [404, 200, 404, 404, 404, 302],
            ),
            // somebody:glcbt-job
            (
                "Authorization",
                "Basic c29tZWJvZHk6Z2xjYnQtam9i",
                [404, 401, 404, 404, 404, 302],
            ),
            // deploy:gldt-deploy
            (
                "Authorization",
                "Basic ZGVwbG95OmdsZHQtZGVwbG95",
                [404, 200, 404, 404, 404, 302],
            ),
            // somebody:wrong
            (
                "Authorization",
                "Basic c29tZWJvZHk6d3Jvbmc=",
                [404, 401, 404, 404, 404, 302],
            ),
        ],
    );
}

#[test]
fn a_public_project_answers_everybody_whose_token_is_valid() {
    let standin = Standin::start(config().public().delivery(Delivery::Direct)).unwrap();
    let everything = [200, 200, 200, 200, 200, 302];
    check(
        &standin,
        &[
            ("", "", everything),
            ("PRIVATE-TOKEN", "glpat-outsider", everything),
            ("PRIVATE-TOKEN", "glpat-guest", everything),
            // Outside of the allowlist.
            ("JOB-TOKEN", "glcbt-foreign", [404, 200, 200, 200, 200, 302]),
            ("JOB-TOKEN", "glcbt-job", everything),
            ("DEPLOY-TOKEN", "gldt-deploy", everything),
            (
                "PRIVATE-TOKEN",
                "glpat-unknown",
                [401, 401, 401, 401, 401, 302],
            ),
            // somebody:wrong
            ("Authorization", "Basic c29tZWJvZHk6d3Jvbmc=", everything),
        ],
    );
}

#[test]
fn a_public_project_without_public_builds_keeps_its_artifacts_to_developers() {
    let config = config().public().without_public_builds();
    let standin = Standin::start(config.delivery(Delivery::Direct)).unwrap();
    let all_else = [403, 200, 200, 200, 200, 302];
    check(
        &standin,
        &[
            ("", "", all_else),
            ("PRIVATE-TOKEN", "glpat-outsider", all_else),
            ("PRIVATE-TOKEN", "glpat-guest", all_else),
            ("PRIVATE-TOKEN", TOKEN, [200, 200, 200, 200, 200, 302]),
            ("JOB-TOKEN", "glcbt-job", [200, 200, 200, 200, 200, 302]),
            ("JOB-TOKEN", "glcbt-foreign", [404, 200, 200, 200, 200, 302]),
        ],
    );
}

#[test]
fn a_permalink_sends_who_may_not_see_it_to_the_sign_in_page() {
    let standin = Standin::start(config()).unwrap();
    let location = |headers: &[(&str, &str)]| {
        let got = get(&format!("{}{PERMALINK}", standin.url()), headers);
        got.header("location").unwrap().to_owned()
    };
    let sign_in = format!("{}/users/sign_in", standin.url());
    for headers in [
        &[][..],
        &[("PRIVATE-TOKEN", "glpat-unknown")],
        &[("JOB-TOKEN", "glcbt-job")],
    ] {
        assert_eq!(location(headers), sign_in);
    }
    assert_eq!(
        location(&[("PRIVATE-TOKEN", TOKEN)]),
        format!("{}{PACKAGE}", standin.url())
    );
}

fn with_token(standin: &Standin, path: &str) -> Got {
    get(
        &format!("{}{path}", standin.url()),
        &[("PRIVATE-TOKEN", TOKEN)],
    )
}

#[test]
fn what_is_missing_or_badly_named_is_told_as_gitlab_does() {
    let standin = Standin::start(config()).unwrap();
    let generic = "packages/generic/engine-dist/2.1.0-rc.1%2Bbuild_7";
    for (path, status) in [
        (format!("{generic}/none"), 404),
        (format!("{generic}/linux%20x86"), 404),
        (generic.to_owned(), 404),
        (format!("{generic}/a/../b"), 400),
        (format!("{generic}/a/%2e%2e/b"), 400),
        ("packages/generic/a%2Fb/1/c".to_owned(), 400),
        ("packages/generic/a/1..2/c".to_owned(), 400),
        ("repository/archive.tar.gz?sha=none".to_owned(), 404),
        (
            format!("repository/archive.tar.gz?sha={}", sample::COMMIT),
            200,
        ),
        ("repository/archive.rar?sha=HEAD".to_owned(), 404),
        ("repository/files/none/raw?ref=HEAD".to_owned(), 404),
        (
            "repository/files/docs%2FREADME.md/raw?ref=none".to_owned(),
            404,
        ),
        (
            "repository/files/docs%2F..%2Fx/raw?ref=HEAD".to_owned(),
            400,
        ),
        ("repository/files/docs%2FREADME.md?ref=HEAD".to_owned(), 404),
        ("releases/none".to_owned(), 404),
    ] {
        let got = with_token(&standin, &format!("/api/v4/projects/{PROJECT_ID}/{path}"));
        assert_eq!(got.status, status, "{path}");
    }
    for rest in ["release%2F2.1/downloads/none", "none/downloads/bin/engine"] {
        let path = format!("/acme/rockets/engine/-/releases/{rest}");
        assert_eq!(with_token(&standin, &path).status, 404, "{path}");
    }
}

#[test]
fn packages_and_large_files_are_redirected_to_storage_as_artifacts_are() {
    let standin = Standin::start(config()).unwrap();
    let lfs = "/api/v4/projects/42/repository/files/docs%2Fassets%2Fblueprint%20%231.bin/raw?ref=HEAD&lfs=true";
    for (path, content) in [
        (PACKAGE, sample::PACKAGE_CONTENT),
        (lfs, sample::LFS_CONTENT),
    ] {
        let redirect = with_token(&standin, path);
        assert_eq!(redirect.status, 302, "{path}");
        let presigned = redirect.header("location").unwrap();
        assert!(presigned.starts_with(standin.storage_origin()));
        assert_eq!(get(presigned, &[]).body, content.as_bytes());
        assert_eq!(get(presigned, &[("DEPLOY-TOKEN", "x")]).status, 400);
        let unsigned = presigned.split('?').next().unwrap();
        assert_eq!(get(unsigned, &[]).status, 403);
    }
}

#[test]
fn without_asking_for_its_content_a_large_file_is_its_pointer() {
    let standin = Standin::start(config()).unwrap();
    let got = with_token(
        &standin,
        "/api/v4/projects/42/repository/files/docs%2Fassets%2Fblueprint%20%231.bin/raw?ref=HEAD",
    );
    let pointer = String::from_utf8(got.body).unwrap();
    assert!(pointer.starts_with("version https://git-lfs"), "{pointer}");
    assert!(pointer.ends_with("size 16\n"), "{pointer}");
}

/// The entries of an archive: what they hold, or where they point.
fn unpacked(archive: &[u8]) -> BTreeMap<String, String> {
    let mut archive = tar::Archive::new(GzDecoder::new(archive));
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().to_str().unwrap().to_owned();
        let mut content = match entry.link_name().unwrap() {
            Some(target) => format!("-> {}", target.display()),
            None => String::new(),
        };
        entry.read_to_string(&mut content).unwrap();
        (path, content)
    });
    entries.collect()
}

#[test]
fn an_archive_has_one_folder_around_it_and_the_content_of_large_files() {
    let standin = Standin::start(config()).unwrap();
    let got = with_token(&standin, ARCHIVE);
    assert_eq!(got.header("content-length"), None, "it is made while sent");
    let body = got.dechunked();
    let entries = unpacked(&body);
    let top = format!("engine-release-2.x-stable-{}", sample::COMMIT);
    for (path, content) in [
        ("", ""),
        ("bin/start", "#!/bin/sh\n"),
        (sample::FILE, sample::FILE_CONTENT),
        ("docs/latest", "-> README.md"),
        (sample::LFS_FILE, sample::LFS_CONTENT),
    ] {
        let path = format!("{top}/{path}");
        assert_eq!(
            entries.get(&path).map(String::as_str),
            Some(content),
            "{path}"
        );
    }

    let part = with_token(&standin, &format!("{ARCHIVE}&path=docs%2Fassets"));
    let entries = unpacked(&part.dechunked());
    let top = format!("{top}-docs-assets");
    assert!(entries.contains_key(&format!("{top}/{}", sample::LFS_FILE)));
    assert!(!entries.contains_key(&format!("{top}/{}", sample::FILE)));
}

#[test]
fn a_release_links_wherever_its_maintainer_said() {
    let elsewhere = "https://files.example/engine.zip";
    let link = |name: &str, path: Option<&str>| ReleaseLink {
        name: name.to_owned(),
        target: Target::Url(elsewhere.to_owned()),
        direct_asset_path: path.map(str::to_owned),
    };
    let mut config = config().release(Release {
        tag: "v3".to_owned(),
        links: vec![link("far", None), link("near", Some("/engine.zip"))],
    });
    config.relative_root = "/gitlab".to_owned();
    let standin = Standin::start(config).unwrap();
    let got = with_token(&standin, "/api/v4/projects/42/releases/v3");
    let json: serde_json::Value = serde_json::from_slice(&got.body).unwrap();
    let [far, near] = &json["assets"]["links"].as_array().unwrap()[..] else {
        panic!("{json}")
    };
    assert_eq!(far["url"], elsewhere);
    assert_eq!(far["direct_asset_url"], elsewhere);
    assert_eq!(near["url"], elsewhere);
    let permalink = near["direct_asset_url"].as_str().unwrap();
    assert_eq!(
        permalink,
        format!(
            "{}/acme/rockets/engine/-/releases/v3/downloads/engine.zip",
            standin.url()
        )
    );
    let redirect = get(permalink, &[("PRIVATE-TOKEN", TOKEN)]);
    assert_eq!(redirect.header("location"), Some(elsewhere));
    let latest = permalink.replace("v3", "permalink/latest");
    let redirect = get(&latest, &[("PRIVATE-TOKEN", TOKEN)]);
    assert_eq!(redirect.header("location"), Some(permalink));
}

#[test]
fn limits_are_told_in_both_of_gitlabs_ways() {
    let standin = Standin::start(config()).unwrap();
    let answer = with_token(&standin, RELEASE);
    assert_eq!(answer.header("ratelimit-limit"), Some("2000"));
    assert_eq!(answer.header("ratelimit-remaining"), Some("1999"));
    for seconds in [Some(30), None] {
        let fault = Fault::Throttle {
            retry_after_seconds: seconds,
        };
        standin.script(Side::Api, "/api/", fault, 1);
        let answer = with_token(&standin, RELEASE);
        assert_eq!(answer.status, 429);
        assert_eq!(answer.body, b"Retry later\n");
        let told = seconds.map(|_| "30");
        assert_eq!(answer.header("retry-after"), told);
        assert_eq!(
            answer.header("ratelimit-resettime").is_some(),
            seconds.is_some()
        );
    }
}
