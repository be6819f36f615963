//! What servers answer, and what the user reads then.

use std::time::{Duration, Instant};

use fetchhost_e2e::{CommandLine, Sandbox, TOKEN, TOKEN_VARIABLE, private_project};
use fetchhost_standin::sample::{self, EXPIRED_JOB_ID};
use fetchhost_standin::{Access, Config, Delivery, Fault, Side, Standin};

#[test]
fn every_way_of_naming_the_artifact_works() {
    for delivery in [Delivery::Redirect, Delivery::Direct] {
        let standin = Standin::start(Config::new(TOKEN).delivery(delivery)).unwrap();
        let by_id = [CommandLine::tree, CommandLine::zip, CommandLine::member];
        for (index, line) in by_id.into_iter().enumerate() {
            let by_ref = |line: CommandLine| {
                line.without("--job-id")
                    .with("--ref", sample::REF)
                    .with("--job", sample::JOB)
            };
            for line in [line(&standin), by_ref(line(&standin))] {
                let sandbox = Sandbox::new();
                let line = line.with("--to", sandbox.out("result"));
                sandbox.run(line).exits(0);
                assert!(sandbox.path("result").exists(), "{index} {delivery:?}");
            }
        }
    }
}

#[test]
fn each_status_has_its_own_message_and_is_asked_once() {
    let expired = |line: CommandLine| line.set("--job-id", EXPIRED_JOB_ID);
    let same = |line: CommandLine| line;
    type Case<'a> = (&'a str, fn(CommandLine) -> CommandLine, &'a [&'a str]);
    let not_visible = "missing, expired, or not visible to the credential `token`";
    let cases: [Case<'_>; 5] = [
        ("glpat-unknown", same, &["401", "`token`", "hint: "]),
        ("glpat-guest", same, &["403", "`token`", "hint: "]),
        ("glpat-outsider", same, &["404", not_visible]),
        (TOKEN, expired, &["404", not_visible]),
        (
            "",
            |line| line.without("--credential"),
            &["404", "missing, expired"],
        ),
    ];
    for (token, change, parts) in cases {
        let config = Config::new(TOKEN)
            .token("glpat-guest", Access::Guest)
            .token("glpat-outsider", Access::Outsider);
        let standin = Standin::start(config).unwrap();
        let sandbox = Sandbox::new().variable(TOKEN_VARIABLE, token);
        let before = sandbox.files();
        let line = change(CommandLine::tree(&standin)).with("--to", sandbox.cache(""));
        let finished = sandbox.run(line).exits(1);
        for part in parts {
            assert!(
                finished.stderr.contains(part),
                "{token}: no `{part}`: {}",
                finished.stderr
            );
        }
        assert_eq!(standin.requests().len(), 1, "{token}");
        assert_eq!(sandbox.files(), before, "{token}");
    }
}

#[test]
fn a_throttled_request_waits_as_long_as_it_is_told_to() {
    let (sandbox, standin) = (Sandbox::new(), private_project());
    let fault = Fault::Throttle {
        retry_after_seconds: Some(2),
    };
    standin.script(Side::Api, "/api/", fault, 1);
    let start = Instant::now();
    sandbox
        .run(CommandLine::tree(&standin).with("--to", sandbox.cache("")))
        .exits(0);
    assert!(
        start.elapsed() >= Duration::from_secs(2),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(standin.requests().len(), 3);
}

#[test]
fn a_throttle_that_is_too_long_is_told() {
    let (sandbox, standin) = (Sandbox::new(), private_project());
    let fault = Fault::Throttle {
        retry_after_seconds: Some(86_400),
    };
    standin.script(Side::Api, "/api/", fault, usize::MAX);
    let line = CommandLine::tree(&standin).with("--to", sandbox.cache(""));
    sandbox.run(line).exits(1).says(["429", "86400"]);
    assert_eq!(standin.requests().len(), 1);
}

#[test]
fn a_server_error_is_tried_again_and_told_when_it_stays() {
    let (sandbox, standin) = (Sandbox::new(), private_project());
    let line = CommandLine::tree(&standin).with("--to", sandbox.cache(""));
    standin.script(Side::Api, "/api/", Fault::Status(503), 1);
    standin.script(Side::Storage, "/", Fault::Status(502), 1);
    sandbox.run(line.clone()).exits(0);

    standin.script(Side::Api, "/api/", Fault::Status(503), usize::MAX);
    sandbox.run(line.flag("--refetch")).exits(1).says(["503"]);
}

#[test]
fn a_login_page_instead_of_an_archive_is_told_as_what_it_is() {
    for fault in [Fault::LoginPage, Fault::SignIn] {
        let (sandbox, standin) = (Sandbox::new(), private_project());
        let before = sandbox.files();
        standin.script(Side::Api, "/api/", fault, usize::MAX);
        let line = CommandLine::tree(&standin).with("--to", sandbox.cache(""));
        sandbox.run(line).exits(1).says(["login", "`token`"]);
        assert_eq!(sandbox.files(), before);
    }
}

/// A flat file may well be a web page, so it takes the wrong hash to know. The user must not be led to
/// declare the login page's hash.
#[test]
fn a_login_page_instead_of_a_zip_that_is_kept_is_told_along_with_the_wrong_hash() {
    for (fault, code) in [(Fault::LoginPage, 4), (Fault::SignIn, 1)] {
        let (sandbox, standin) = (Sandbox::new(), private_project());
        let before = sandbox.files();
        standin.script(Side::Api, "/api/", fault, usize::MAX);
        let line = CommandLine::zip(&standin).with("--to", sandbox.cache(""));
        sandbox.run(line).exits(code).says(["login", "`token`"]);
        assert_eq!(sandbox.files(), before);
    }
}

#[test]
fn a_broken_download_goes_on_where_it_broke() {
    let (sandbox, standin) = (Sandbox::new(), private_project());
    standin.script(Side::Storage, "/artifacts/", Fault::CutAfter(100), 1);
    sandbox
        .run(CommandLine::zip(&standin).with("--to", sandbox.cache("")))
        .exits(0);
    let requests = standin.requests();
    let sides: Vec<Side> = requests.iter().map(|request| request.side).collect();
    assert_eq!(
        sides,
        [Side::Api, Side::Storage, Side::Api, Side::Storage],
        "a fresh redirect is asked for"
    );
    let resumed = requests.last().unwrap();
    assert_eq!(resumed.header("range"), Some("bytes=100-"));
    assert!(resumed.header("if-range").is_some());
}

#[test]
fn a_server_that_lies_about_the_length_is_not_believed() {
    let whole = sample::archive().unwrap().len() as u64;
    for (declared, code) in [(whole - 1, 4), (whole + 1, 1)] {
        let (sandbox, standin) = (Sandbox::new(), private_project());
        let before = sandbox.files();
        standin.script(
            Side::Storage,
            "/",
            Fault::DeclareLength(declared),
            usize::MAX,
        );
        let line = CommandLine::zip(&standin).with("--to", sandbox.cache(""));
        sandbox.run(line).exits(code);
        assert_eq!(sandbox.files(), before);
    }
}

#[test]
fn a_wrong_file_is_a_hash_mismatch_and_not_an_artifact() {
    let (sandbox, standin) = (Sandbox::new(), private_project());
    let before = sandbox.files();
    standin.script(Side::Storage, "/", Fault::WrongContent, usize::MAX);
    sandbox
        .run(CommandLine::zip(&standin).with("--to", sandbox.cache("")))
        .exits(4);
    assert_eq!(sandbox.files(), before);
}

#[test]
fn a_server_that_stalls_is_given_up_after_the_timeout() {
    for fault in [Fault::Silence, Fault::StallAfter(10)] {
        let (sandbox, standin) = (Sandbox::new(), private_project());
        let before = sandbox.files();
        standin.script(Side::Storage, "/", fault, usize::MAX);
        let line = CommandLine::zip(&standin)
            .with("--to", sandbox.cache(""))
            .with("--timeout", "2s");
        let start = Instant::now();
        sandbox.run(line).exits(1).says(["2 seconds", "--timeout"]);
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "{:?}",
            start.elapsed()
        );
        assert_eq!(sandbox.files(), before);
    }
}

#[test]
fn redirects_without_end_are_told() {
    let (sandbox, standin) = (Sandbox::new(), private_project());
    let again = format!("{}/api/v4/projects/1/jobs/again", standin.url());
    standin.script(Side::Api, "/api/", Fault::RedirectTo(again), usize::MAX);
    let line = CommandLine::tree(&standin).with("--to", sandbox.cache(""));
    sandbox.run(line).exits(1).says(["redirect"]);
    assert_eq!(
        standin.requests().len(),
        6,
        "the first request and five redirects"
    );
}

#[test]
fn a_redirect_to_the_cloud_metadata_address_is_denied_whatever_is_allowed() {
    let (sandbox, standin) = (Sandbox::new(), private_project());
    let metadata = "http://169.254.169.254";
    let fault = Fault::RedirectTo(format!("{metadata}/latest/meta-data/"));
    standin.script(Side::Api, "/api/", fault, usize::MAX);
    let line = CommandLine::tree(&standin)
        .with("--allow", metadata)
        .with("--to", sandbox.cache(""));
    sandbox
        .run(line)
        .exits(3)
        .says(["169.254.169.254", "allow-metadata"]);
}
