//! Assets lie wherever their maintainer says; the token does not go everywhere.

use fetchhost_e2e::{CommandLine, Sandbox, TOKEN, TOKEN_VARIABLE, sri};
use fetchhost_standin::sample;
use fetchhost_standin::{
    Access, Config, Fault, Release, ReleaseLink, Side, Standin, Target, TokenKind,
};

use super::{credentials_stayed, release};

const CONTENT: &str = "an asset far away\n";

/// An origin that has nothing to do with GitLab.
fn elsewhere() -> Standin {
    let config = Config::new("unused").public_file("/files/engine.zip", CONTENT);
    Standin::start(config).unwrap()
}

/// An instance with a release `v3` whose one asset, `far`, lies at `target`.
fn linking_to(target: Target, direct_asset_path: Option<&str>) -> Standin {
    let config = Config::new(TOKEN).release(Release {
        tag: "v3".to_owned(),
        links: vec![ReleaseLink {
            name: "far".to_owned(),
            target,
            direct_asset_path: direct_asset_path.map(str::to_owned),
        }],
    });
    Standin::start(config).unwrap()
}

fn far(standin: &Standin) -> CommandLine {
    release(standin)
        .set("--tag", "v3")
        .set("--asset", "far")
        .set("--hash", sri(CONTENT.as_bytes()))
}

#[test]
fn an_asset_on_another_origin_needs_a_grant_and_gets_no_token() {
    for permalink in [None, Some("/bin/far")] {
        let other = elsewhere();
        let url = format!("{}/files/engine.zip", other.api_origin());
        let standin = linking_to(Target::Url(url), permalink);
        let sandbox = Sandbox::new();
        let line = far(&standin).with("--to", sandbox.cache(""));
        let allow = format!("--allow {}", other.api_origin());
        sandbox.run(line.clone()).exits(3).says([&allow]);
        assert_eq!(other.requests(), []);

        let allowed = line.with("--allow", other.api_origin());
        sandbox.run(allowed).exits(0);
        let requests = other.requests();
        assert_eq!(requests.len(), 1);
        assert_eq!(requests[0].credentials(), [""; 0]);
        credentials_stayed(&standin, "private-token");
    }
}

#[test]
fn a_job_token_that_a_permalink_does_not_take_leaves_the_asset_itself() {
    let other = elsewhere();
    let url = format!("{}/files/engine.zip", other.api_origin());
    let link = ReleaseLink {
        name: "far".to_owned(),
        target: Target::Url(url),
        direct_asset_path: Some("/bin/far".to_owned()),
    };
    let job = "glcbt-Zk3w8CanaryQ7vT1xN5y";
    let config = Config::new(TOKEN)
        .token_of_kind(job, TokenKind::Job, Access::Developer)
        .release(Release {
            tag: "v3".to_owned(),
            links: vec![link],
        });
    let standin = Standin::start(config).unwrap();
    let sandbox = Sandbox::new().variable(TOKEN_VARIABLE, job);
    let line = far(&standin)
        .set(
            "--credential",
            format!("token=env:{TOKEN_VARIABLE},header=JOB-TOKEN"),
        )
        .with("--allow", other.api_origin())
        .with("--to", sandbox.cache(""));
    sandbox.run(line).exits(0);
    credentials_stayed(&standin, "job-token");
    assert_eq!(other.requests()[0].credentials(), [""; 0]);
}

#[test]
fn a_permalink_leads_to_the_redirects_of_a_configured_grant() {
    let other = elsewhere();
    let url = format!("{}/files/engine.zip", other.api_origin());
    let standin = linking_to(Target::Url(url), Some("/bin/far"));
    let sandbox = Sandbox::new().configured(&format!(
        r#"
[credential.work]
source = {{ env = "{TOKEN_VARIABLE}" }}
scheme = "header:PRIVATE-TOKEN"
origins = ["{url}"]

[[grant]]
module = "builtin:gitlab"
origins = ["{url}"]
paths = ["/api/v4/**", "/**/-/releases/**"]
redirects = ["{other}"]
credentials = {{ token = "work" }}
"#,
        url = standin.api_origin(),
        other = other.api_origin(),
    ));
    let line = far(&standin)
        .without("--credential")
        .without("--allow")
        .with("--to", sandbox.cache(""));
    sandbox.run(line).exits(0);
    assert_eq!(other.requests()[0].credentials(), [""; 0]);
}

#[test]
fn a_link_into_the_instance_takes_the_token_to_downloads_only() {
    for (path, permalink) in [
        ("/api/v4/projects/42/variables", None),
        ("/api/v4/projects/42/variables", Some("/bin/far")),
        ("/api/v4/user", Some("/bin/far")),
    ] {
        let standin = linking_to(Target::Instance(path.to_owned()), permalink);
        let sandbox = Sandbox::new();
        let line = far(&standin).with("--to", sandbox.cache(""));
        sandbox.run(line).exits(1).says(["(404)"]);
        let requests = standin.requests();
        assert_eq!(requests.len(), 2);
        assert_eq!(requests[1].path, path);
        assert_eq!(requests[1].credentials(), [""; 0]);
    }
}

#[test]
fn an_asset_with_a_permalink_is_found_by_its_name_too() {
    let sandbox = Sandbox::new();
    let standin = Standin::start(Config::new(TOKEN)).unwrap();
    let line = release(&standin)
        .set("--asset", sample::PERMALINKED_ASSET)
        .with("--to", sandbox.cache(""));
    let finished = sandbox.run(line).exits(0);
    assert!(finished.stdout.trim_end().ends_with("-engine.bin"));
    credentials_stayed(&standin, "private-token");
}

#[test]
fn an_answer_that_is_no_release_is_told() {
    let (sandbox, standin) = (Sandbox::new(), Standin::start(Config::new(TOKEN)).unwrap());
    let line = release(&standin).with("--to", sandbox.cache(""));
    standin.script(Side::Api, "/api/", Fault::LoginPage, 1);
    sandbox
        .run(line.clone())
        .exits(1)
        .says(["/releases/release%2F2.1", "as a login page would"]);
    standin.script(Side::Api, "/api/", Fault::SignIn, 1);
    let finished = sandbox.run(line).exits(1);
    assert!(
        finished.stderr.to_lowercase().contains("login"),
        "{}",
        finished.stderr
    );
}
