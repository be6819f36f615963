//! The stand-in, asked over a plain socket.

#![allow(clippy::unwrap_used, missing_docs)]

mod client;

use std::time::Duration;

use client::get;
use fetchhost_standin::sample::{self, EXPIRED_JOB_ID, JOB_ID, MEMBER, PROJECT_ID, REF};
use fetchhost_standin::{Access, Config, Delivery, Fault, Side, Standin, big_file};

const TOKEN: &str = "glpat-developer";

fn start() -> Standin {
    let config = Config::new(TOKEN)
        .token("glpat-guest", Access::Guest)
        .token("glpat-outsider", Access::Outsider)
        .public_file("/public/hello.txt", "hello\n");
    Standin::start(config).unwrap()
}

fn archive_url(standin: &Standin) -> String {
    format!(
        "{}/api/v4/projects/{PROJECT_ID}/jobs/{JOB_ID}/artifacts",
        standin.url()
    )
}

#[test]
fn statuses_are_gitlabs_for_every_caller() {
    let standin = start();
    for (token, status) in [
        (None, 404),
        (Some("glpat-wrong"), 401),
        (Some("glpat-outsider"), 404),
        (Some("glpat-guest"), 403),
        (Some(TOKEN), 302),
    ] {
        let headers: Vec<_> = token
            .iter()
            .map(|token| ("PRIVATE-TOKEN", *token))
            .collect();
        assert_eq!(
            get(&archive_url(&standin), &headers).status,
            status,
            "{token:?}"
        );
    }
    let bearer = format!("Bearer {TOKEN}");
    assert_eq!(
        get(&archive_url(&standin), &[("Authorization", &bearer)]).status,
        302
    );
}

#[test]
fn statuses_are_gitlabs_for_every_address() {
    let standin = start();
    for (path, status) in [
        (
            format!("projects/{PROJECT_ID}/jobs/{JOB_ID}/artifacts"),
            302,
        ),
        (
            format!("projects/acme%2Frockets%2Fengine/jobs/{JOB_ID}/artifacts"),
            302,
        ),
        (
            format!("projects/{PROJECT_ID}/jobs/artifacts/{REF}/download?job=build"),
            302,
        ),
        (
            format!("projects/{PROJECT_ID}/jobs/{JOB_ID}/artifacts/{MEMBER}"),
            200,
        ),
        (
            format!("projects/{PROJECT_ID}/jobs/artifacts/{REF}/raw/{MEMBER}?job=build"),
            200,
        ),
        (
            format!("projects/{PROJECT_ID}/jobs/{EXPIRED_JOB_ID}/artifacts"),
            404,
        ),
        (format!("projects/{PROJECT_ID}/jobs/7/artifacts"), 404),
        (format!("projects/7/jobs/{JOB_ID}/artifacts"), 404),
        (
            format!("projects/{PROJECT_ID}/jobs/artifacts/{REF}/download?job=test"),
            404,
        ),
        (
            format!("projects/{PROJECT_ID}/jobs/artifacts/none/download?job=build"),
            404,
        ),
        (
            format!("projects/{PROJECT_ID}/jobs/{JOB_ID}/artifacts/none"),
            404,
        ),
        (
            format!("projects/{PROJECT_ID}/jobs/{JOB_ID}/artifacts/a/../b"),
            400,
        ),
        (
            format!("projects/{PROJECT_ID}/jobs/{JOB_ID}/artifacts/a/%2e%2e/b"),
            400,
        ),
    ] {
        let got = get(
            &format!("{}/api/v4/{path}", standin.url()),
            &[("PRIVATE-TOKEN", TOKEN)],
        );
        assert_eq!(
            got.status,
            status,
            "{path}: {}",
            String::from_utf8_lossy(&got.body)
        );
    }
}

#[test]
fn the_redirect_leads_to_the_archive_once_the_credential_is_gone() {
    let standin = start();
    let redirect = get(&archive_url(&standin), &[("PRIVATE-TOKEN", TOKEN)]);
    let presigned = redirect.header("location").unwrap();
    assert!(presigned.starts_with(standin.storage_origin()));

    assert_eq!(get(presigned, &[]).body, sample::archive().unwrap());
    for (name, value) in [
        ("PRIVATE-TOKEN", "x"),
        ("JOB-TOKEN", "x"),
        ("Authorization", "Bearer x"),
        ("Cookie", "a=b"),
    ] {
        assert_eq!(get(presigned, &[(name, value)]).status, 400, "{name}");
    }
    assert_eq!(
        get(&presigned.replace("artifacts/42", "artifacts/43"), &[]).status,
        403
    );
    assert_eq!(get(presigned.split_once('?').unwrap().0, &[]).status, 403);
}

#[test]
fn a_presigned_url_expires() {
    let mut config = Config::new(TOKEN);
    config.presigned_for = Duration::ZERO;
    let standin = Standin::start(config).unwrap();
    let redirect = get(&archive_url(&standin), &[("PRIVATE-TOKEN", TOKEN)]);
    std::thread::sleep(Duration::from_millis(1100));
    assert_eq!(get(redirect.header("location").unwrap(), &[]).status, 403);
}

#[test]
fn a_range_is_honoured_while_the_entity_is_the_same() {
    let standin = Standin::start(Config::new(TOKEN).delivery(Delivery::Direct)).unwrap();
    let whole = get(&archive_url(&standin), &[("PRIVATE-TOKEN", TOKEN)]);
    let tag = whole.header("etag").unwrap();
    let token = ("PRIVATE-TOKEN", TOKEN);
    let part = get(
        &archive_url(&standin),
        &[token, ("Range", "bytes=10-"), ("If-Range", tag)],
    );
    assert_eq!((part.status, &part.body[..]), (206, &whole.body[10..]));
    let changed = get(
        &archive_url(&standin),
        &[token, ("Range", "bytes=10-"), ("If-Range", "\"other\"")],
    );
    assert_eq!((changed.status, changed.body), (200, whole.body.clone()));
    let beyond = get(&archive_url(&standin), &[token, ("Range", "bytes=999999-")]);
    assert_eq!(beyond.status, 416);
}

#[test]
fn public_files_need_no_token() {
    let standin = start();
    assert_eq!(
        get(&format!("{}/public/hello.txt", standin.url()), &[]).body,
        b"hello\n"
    );
    let big = get(&format!("{}/public/big/300000", standin.url()), &[]);
    assert_eq!(big.body, big_file(300_000).flatten().collect::<Vec<u8>>());
}

#[test]
fn faults_come_in_order_and_end() {
    let standin = start();
    let url = format!("{}/public/hello.txt", standin.url());
    let faults = [
        Fault::Throttle {
            retry_after_seconds: Some(7),
        },
        Fault::Status(503),
        Fault::CutAfter(2),
        Fault::StallAfter(3),
        Fault::Silence,
        Fault::DeclareLength(9),
        Fault::WrongContent,
        Fault::LoginPage,
        Fault::SignIn,
        Fault::EchoHeaders,
    ];
    for fault in faults {
        standin.script(Side::Api, "/public/", fault, 1);
    }
    let throttled = get(&url, &[]);
    assert_eq!(
        (throttled.status, throttled.header("retry-after")),
        (429, Some("7"))
    );
    assert_eq!(get(&url, &[]).status, 503);
    let cut = get(&url, &[]);
    assert_eq!(
        (cut.header("content-length"), &cut.body[..]),
        (Some("6"), &b"he"[..])
    );
    assert_eq!(get(&url, &[]).body, b"hel");
    assert_eq!(get(&url, &[]).status, 0);
    let lying = get(&url, &[]);
    assert_eq!(
        (lying.header("content-length"), &lying.body[..]),
        (Some("9"), &b"hello\n"[..])
    );
    assert_eq!(get(&url, &[]).body, b"??????");
    assert!(
        get(&url, &[])
            .header("content-type")
            .unwrap()
            .starts_with("text/html")
    );
    assert_eq!(get(&url, &[]).header("location"), Some("/users/sign_in"));
    let echoed = get(&url, &[("PRIVATE-TOKEN", TOKEN)]);
    assert!(String::from_utf8(echoed.body).unwrap().contains(TOKEN));
    assert_eq!(get(&url, &[]).body, b"hello\n");
}

#[test]
fn every_request_is_recorded_with_its_headers() {
    let standin = start();
    get(
        &format!("{}/nowhere?a=b", standin.url()),
        &[("PRIVATE-TOKEN", TOKEN)],
    );
    get(&format!("{}/x", standin.storage_origin()), &[]);
    let requests = standin.take_requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[0].path, "/nowhere");
    assert_eq!(requests[0].query.as_deref(), Some("a=b"));
    assert_eq!(requests[0].header("private-token"), Some(TOKEN));
    assert_eq!(requests[0].credentials(), ["private-token"]);
    assert_eq!(
        (requests[1].side, requests[1].credentials().len()),
        (Side::Storage, 0)
    );
    assert!(standin.requests().is_empty());
}
