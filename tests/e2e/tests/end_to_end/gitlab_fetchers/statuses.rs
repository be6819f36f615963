//! GitLab's statuses, caller by caller and fetcher by fetcher, as the user reads them.

use fetchhost_e2e::{CommandLine, Sandbox, TOKEN, TOKEN_VARIABLE};
use fetchhost_standin::sample;
use fetchhost_standin::{Access, Config, Delivery, Fault, Side, Standin, TokenKind};

use super::{archive, file, package, release};

const WRONG: &str = "(401): it is wrong, expired or revoked";
const NONE_SENT: &str = "wants a credential (401), and none was sent";
const NOT_ALLOWED: &str = "the credential `token` may not read";
const HIDDEN: &str = "is missing, expired, or not visible to the credential `token` (404)";
const HIDDEN_WITHOUT: &str = "is missing, expired, or not visible without a credential (404)";
/// It works.
const WORKS: &str = "";

/// The tokens of [`standin`], by who has them.
const GUEST: &str = "glpat-guest";
const OUTSIDER: &str = "glpat-outsider";
const WITHOUT_SCOPE: &str = "glpat-no-scope";
const JOB: &str = "glcbt-of-an-allowed-project";
const FOREIGN_JOB: &str = "glcbt-of-another-project";
const DEPLOY: &str = "gldt-of-the-project";

fn config() -> Config {
    Config::new(TOKEN)
        .delivery(Delivery::Direct)
        .token(GUEST, Access::Guest)
        .token(OUTSIDER, Access::Outsider)
        .token(WITHOUT_SCOPE, Access::WithoutScope)
        .token_of_kind(JOB, TokenKind::Job, Access::Developer)
        .token_of_kind(FOREIGN_JOB, TokenKind::Job, Access::Outsider)
        .token_of_kind(DEPLOY, TokenKind::Deploy, Access::Developer)
}

/// How the token is sent; none at all when empty.
const NOTHING: &str = "";
const PRIVATE: &str = ",header=PRIVATE-TOKEN";
const BEARER: &str = ",bearer";
const BASIC: &str = ",basic=somebody";
const AS_JOB: &str = ",header=JOB-TOKEN";
const AS_DEPLOY: &str = ",header=DEPLOY-TOKEN";

/// The place of `gitlab-archive` among the fetchers.
const ARCHIVE: usize = 2;

/// Runs every fetcher once for a caller, and demands what the user reads: of artifact, package,
/// archive, file and release, in this order.
#[track_caller]
fn check(standin: &Standin, placement: &str, token: &str, expected: [&str; 5]) {
    let lines = [
        CommandLine::zip(standin),
        package(standin),
        // Its hash is not known, so that a fetch which works ends with a mismatch.
        archive(standin),
        file(standin),
        release(standin),
    ];
    for (index, (line, expected)) in lines.into_iter().zip(expected).enumerate() {
        standin.take_requests();
        let sandbox = Sandbox::new().variable(TOKEN_VARIABLE, token);
        let line = line.with("--to", sandbox.cache(""));
        let line = if placement == NOTHING {
            line.without("--credential")
        } else {
            line.set(
                "--credential",
                format!("token=env:{TOKEN_VARIABLE}{placement}"),
            )
        };
        let finished = sandbox.run(line);
        let who = format!("{token}{placement}, fetcher {index}: {}", finished.stderr);
        if expected == WORKS {
            let code = if index == ARCHIVE { 4 } else { 0 };
            assert_eq!(finished.code, code, "{who}");
        } else {
            assert_eq!(finished.code, 1, "{who}");
            assert!(finished.stderr.contains(expected), "{who}");
            assert!(finished.stderr.contains("hint: "), "{who}");
            assert_eq!(standin.requests().len(), 1, "asked once: {who}");
        }
        assert!(
            !finished.stderr.contains(token) || token.is_empty(),
            "{who}"
        );
    }
}

#[test]
fn a_private_project_tells_each_caller_what_is_the_matter() {
    let standin = Standin::start(config()).unwrap();
    let hidden_but_package = [
        HIDDEN_WITHOUT,
        NONE_SENT,
        HIDDEN_WITHOUT,
        HIDDEN_WITHOUT,
        HIDDEN_WITHOUT,
    ];
    check(&standin, NOTHING, "unused", hidden_but_package);
    check(&standin, PRIVATE, TOKEN, [WORKS; 5]);
    check(&standin, BEARER, TOKEN, [WORKS; 5]);
    check(&standin, PRIVATE, "glpat-unknown", [WRONG; 5]);
    check(&standin, PRIVATE, OUTSIDER, [HIDDEN; 5]);
    check(&standin, PRIVATE, WITHOUT_SCOPE, [NOT_ALLOWED; 5]);
    check(
        &standin,
        PRIVATE,
        GUEST,
        [NOT_ALLOWED, WORKS, NOT_ALLOWED, NOT_ALLOWED, WORKS],
    );
}

#[test]
fn a_private_project_takes_each_kind_of_token_where_gitlab_does() {
    let standin = Standin::start(config()).unwrap();
    check(&standin, AS_JOB, JOB, [WORKS, WORKS, HIDDEN, WORKS, WORKS]);
    check(&standin, AS_JOB, FOREIGN_JOB, [HIDDEN; 5]);
    check(
        &standin,
        AS_JOB,
        "glcbt-of-a-job-that-ended",
        [WRONG, WRONG, HIDDEN, WRONG, WRONG],
    );
    check(
        &standin,
        AS_DEPLOY,
        DEPLOY,
        [HIDDEN, WORKS, HIDDEN, HIDDEN, HIDDEN],
    );
    check(
        &standin,
        BASIC,
        TOKEN,
        [HIDDEN, WORKS, HIDDEN, HIDDEN, HIDDEN],
    );
    check(
        &standin,
        BASIC,
        "glpat-unknown",
        [HIDDEN, WRONG, HIDDEN, HIDDEN, HIDDEN],
    );
}

#[test]
fn a_public_project_serves_everybody_but_with_a_token_that_is_wrong() {
    let standin = Standin::start(config().public()).unwrap();
    check(&standin, NOTHING, "unused", [WORKS; 5]);
    check(&standin, PRIVATE, OUTSIDER, [WORKS; 5]);
    check(
        &standin,
        AS_JOB,
        FOREIGN_JOB,
        [HIDDEN, WORKS, WORKS, WORKS, WORKS],
    );
    check(&standin, BASIC, "glpat-unknown", [WORKS; 5]);
    check(&standin, PRIVATE, "glpat-unknown", [WRONG; 5]);
}

#[test]
fn a_job_token_in_the_header_of_another_kind_is_told_which_headers_there_are() {
    let standin = Standin::start(config()).unwrap();
    check(&standin, PRIVATE, JOB, [WRONG; 5]);
    let sandbox = Sandbox::new().variable(TOKEN_VARIABLE, JOB);
    let line = CommandLine::zip(&standin).with("--to", sandbox.cache(""));
    sandbox
        .run(line)
        .exits(1)
        .says([WRONG, "`JOB-TOKEN`", "`,header=NAME`"]);
}

#[test]
fn artifacts_that_are_not_public_are_refused_by_name() {
    let standin = Standin::start(config().public().without_public_builds()).unwrap();
    let refused = "may not be read without a credential (403)";
    check(
        &standin,
        NOTHING,
        "unused",
        [refused, WORKS, WORKS, WORKS, WORKS],
    );
    check(
        &standin,
        PRIVATE,
        OUTSIDER,
        [NOT_ALLOWED, WORKS, WORKS, WORKS, WORKS],
    );
    check(&standin, PRIVATE, TOKEN, [WORKS; 5]);
}

#[test]
fn an_artifact_that_is_not_there_is_told_as_missing_or_hidden() {
    let standin = Standin::start(config()).unwrap();
    let latest = || {
        CommandLine::zip(&standin)
            .without("--job-id")
            .with("--ref", sample::REF)
            .with("--job", sample::JOB)
    };
    for line in [
        CommandLine::zip(&standin).set("--job-id", 77),
        CommandLine::zip(&standin).set("--job-id", sample::EXPIRED_JOB_ID),
        CommandLine::member(&standin).set("--path", "share/none"),
        latest().set("--job", "none"),
        latest().set("--ref", "none"),
    ] {
        let sandbox = Sandbox::new();
        let line = line.with("--to", sandbox.cache(""));
        sandbox.run(line).exits(1).says([HIDDEN, "hint: "]);
    }
    // A path that GitLab finds fault with, though the fetcher did not.
    let sandbox = Sandbox::new();
    standin.script(Side::Api, "/api/", Fault::Status(400), 1);
    sandbox
        .run(CommandLine::member(&standin).with("--to", sandbox.cache("")))
        .exits(1)
        .says(["answered with status 400"]);
    sandbox
        .run(latest().with("--to", sandbox.cache("")))
        .exits(0);
}

#[test]
fn what_is_not_there_is_told_as_missing_or_hidden() {
    let standin = Standin::start(config()).unwrap();
    for line in [
        package(&standin).set("--version", "9"),
        package(&standin).set("--package", "none"),
        package(&standin).set("--file", "none"),
        archive(&standin).set("--ref", "none"),
        archive(&standin).set("--project", "acme/none"),
        file(&standin).set("--ref", "none"),
        file(&standin).set("--path", "docs/none"),
        release(&standin).set("--tag", "none"),
    ] {
        let sandbox = Sandbox::new();
        sandbox
            .run(line.with("--to", sandbox.cache("")))
            .exits(1)
            .says([HIDDEN, "hint: "]);
    }
    let sandbox = Sandbox::new();
    let line = release(&standin)
        .set("--asset", "none")
        .with("--to", sandbox.cache(""));
    sandbox.run(line).exits(1).says([
        "links to no asset called `none`",
        sample::ASSET,
        sample::PERMALINKED_ASSET,
    ]);
}

#[test]
fn a_limit_without_a_word_about_when_is_told_and_one_with_is_waited_for() {
    let artifact = CommandLine::zip as fn(&Standin) -> CommandLine;
    let lines = [artifact, package, archive, file, release];
    for (fetcher, line) in lines.into_iter().enumerate() {
        let (sandbox, standin) = (Sandbox::new(), Standin::start(config()).unwrap());
        let throttle = |seconds| Fault::Throttle {
            retry_after_seconds: seconds,
        };
        let line = line(&standin).with("--to", sandbox.cache(""));
        standin.script(Side::Api, "/api/", throttle(Some(1)), 1);
        let works = if fetcher == ARCHIVE { 4 } else { 0 };
        sandbox.run(line.clone()).exits(works);
        standin.script(Side::Api, "/api/", throttle(None), usize::MAX);
        let again = sandbox.run(line.flag("--refetch")).exits(1);
        again.says(["is rate limited (429)"]);
    }
}
