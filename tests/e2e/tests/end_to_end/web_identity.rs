//! `aws` with a web identity: a token for STS, and the keys that it gives for S3.

mod sts;

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use fetchhost_e2e::{CommandLine, Finished, S3Server, SECRET_ACCESS_KEY, Sandbox, Secret, sri};
use tempfile::TempDir;

use crate::gateway::serve::Serve;
use sts::{Reply, SESSION_TOKEN, Sts};

const CONTENT: &[u8] = b"an object\n";
const ROLE: &str = "arn:aws:iam::123456789012:role/fetch";
/// The token of the identity: a canary.
const TOKEN: &str = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJjYW5hcnkifQ.Y2FuYXJ5LXNpZ25hdHVyZQ";
/// Later than is believed.
const LATER: &str = "2999-01-01T00:00:00Z";

/// A token in a file, as an identity provider writes it, an STS and an S3.
struct Cloud {
    sts: Sts,
    s3: S3Server,
    folder: TempDir,
    sandbox: Sandbox,
}

impl Cloud {
    fn new(reply: Reply) -> Self {
        let s3 = S3Server::start();
        s3.put("artifacts", "tool", CONTENT);
        let (sts, folder) = (Sts::start(reply), TempDir::new().unwrap());
        let token = folder.path().join("token");
        fs::write(&token, format!("{TOKEN}\n")).unwrap();
        let sandbox = Sandbox::new()
            .variable("AWS_ROLE_ARN", ROLE)
            .variable("AWS_WEB_IDENTITY_TOKEN_FILE", token.to_str().unwrap())
            .variable("AWS_REGION", "eu-west-1")
            .variable("AWS_ENDPOINT_URL_STS", &sts.url());
        Self {
            sts,
            s3,
            folder,
            sandbox,
        }
    }

    fn with(mut self, variable: &str, value: &str) -> Self {
        self.sandbox = self.sandbox.variable(variable, value);
        self
    }

    fn configured(mut self, toml: &str) -> Self {
        self.sandbox = self.sandbox.configured(toml);
        self
    }

    fn token(&self) -> PathBuf {
        self.folder.path().join("token")
    }

    fn object(&self) -> CommandLine {
        CommandLine::new(["run", "s3-object"])
            .with("--endpoint", self.s3.url())
            .with("--bucket", "artifacts")
            .with("--key", "tool")
            .with("--hash", sri(CONTENT))
            .with("--to", self.sandbox.out("object"))
            .with("--credential", "aws=aws")
    }

    /// A run with all that it could say, of which nothing is a secret.
    #[track_caller]
    fn run(&self, line: CommandLine) -> Finished {
        let done = self.sandbox.run(line.flag("-vvv"));
        for (name, secret) in [
            ("token", TOKEN),
            ("key", SECRET_ACCESS_KEY),
            ("session", SESSION_TOKEN),
        ] {
            let secret = Secret::new(name, secret);
            secret.is_not_in("stdout", done.stdout.as_bytes());
            secret.is_not_in("stderr", done.stderr.as_bytes());
            secret.is_not_below(&self.sandbox.path(""));
        }
        done
    }
}

#[test]
fn a_token_is_exchanged_for_keys_that_sign_the_request() {
    let cloud = Cloud::new(Reply::Keys(LATER)).with("RUST_LOG", "trace");
    cloud.run(cloud.object()).exits(0);
    assert_eq!(fs::read(cloud.sandbox.path("object")).unwrap(), CONTENT);
    let asked = cloud.sts.asked();
    assert_eq!(asked.len(), 1, "{asked:?}");
    let head = asked[0].head.to_lowercase();
    assert!(head.starts_with("post / http/1.1\r\n"), "{head}");
    assert!(head.contains("content-type: application/x-www-form-urlencoded"));
    assert!(!head.contains("authorization"), "{head}");
    let expected = [
        "Action=AssumeRoleWithWebIdentity",
        "Version=2011-06-15",
        "RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Ffetch",
        "RoleSessionName=nix-fetchhost",
        &format!("WebIdentityToken={TOKEN}"),
    ];
    assert_eq!(asked[0].body.split('&').collect::<Vec<_>>(), expected);
    let requests = cloud.s3.requests();
    assert_eq!(requests.len(), 1, "{requests:?}");
    assert!(requests[0].contains("AWS4-HMAC-SHA256") && requests[0].contains(SESSION_TOKEN));
    assert!(!requests[0].contains(SECRET_ACCESS_KEY) && !requests[0].contains(TOKEN));
}

#[test]
fn a_profile_names_a_web_identity_and_credential_test_asks_for_it() {
    let cloud = Cloud::new(Reply::Keys(LATER));
    let url = cloud.s3.url();
    let cloud = cloud.configured(&format!(
        "[credential.ci]\nsource = {{ aws = \"ci\" }}\nscheme = \"aws-sigv4\"\norigins = [\"{url}\"]\n\
         [credential.job]\nsource = {{ aws = true }}\nscheme = \"aws-sigv4\"\norigins = [\"{url}\"]\n"
    ));
    let folder = cloud.sandbox.path("home/.aws");
    fs::create_dir(&folder).unwrap();
    let profile = format!(
        "[profile ci]\nrole_arn = {ROLE}\nrole_session_name = job.1\nweb_identity_token_file = {}\n",
        cloud.token().display()
    );
    fs::write(folder.join("config"), profile).unwrap();
    cloud
        .run(cloud.object().set("--credential", "aws=ci"))
        .exits(0);
    assert!(cloud.sts.asked()[0].body.contains("RoleSessionName=job.1"));

    // Looking asks nobody.
    let told = cloud.run(CommandLine::new(["doctor"]));
    for name in ["ci", "job"] {
        let asks = format!("`nix-fetchhost credential test {name}` asks");
        let line = told.stdout.lines().find(|line| line.contains(&asks));
        assert!(
            line.is_some_and(|line| line.contains("a server of AWS")),
            "{}",
            told.stdout
        );
    }
    let listed = cloud.run(CommandLine::new(["credential", "list"])).exits(0);
    assert!(listed.stdout.contains("aws:ci"), "{}", listed.stdout);
    cloud.run(cloud.object().flag("--dry-run").flag("--refetch"));
    assert_eq!(cloud.sts.asked().len(), 1);

    let tested = cloud
        .run(CommandLine::new(["credential", "test", "job"]))
        .exits(0);
    assert!(tested.stdout.contains("job: aws has a secret"));
    let object = format!("{url}/artifacts/tool");
    cloud
        .run(CommandLine::new(["credential", "test", "ci", &object]))
        .exits(0);
    assert_eq!(cloud.sts.asked().len(), 3);
    fs::remove_file(cloud.token()).unwrap();
    let told = cloud.run(CommandLine::new(["doctor"])).exits(1);
    assert!(told.stdout.contains("No such file"), "{}", told.stdout);
}

#[test]
fn what_sts_refuses_is_a_credential_that_cannot_be_had() {
    let refused = |reply: Reply, says: [&str; 2]| {
        let cloud = Cloud::new(reply);
        cloud.run(cloud.object()).exits(2).says(says);
        assert_eq!(cloud.s3.requests(), [""; 0]);
        assert_eq!(cloud.sts.asked().len(), 1);
    };
    let error = |status, code, message: &str| Reply::Error(status, code, message.to_owned());
    refused(
        error(400, "ExpiredTokenException", "Token expired"),
        ["ExpiredTokenException: Token expired", "written anew"],
    );
    refused(
        error(400, "InvalidIdentityToken", &format!("cannot read {TOKEN}")),
        ["InvalidIdentityToken", "OIDC identity provider"],
    );
    refused(
        error(403, "AccessDenied", "Not authorized"),
        ["AccessDenied: Not authorized", "trust policy"],
    );
    refused(
        Reply::Plain(502, format!("<html>{TOKEN}</html>")),
        ["answers 502", "AWS_ENDPOINT_URL_STS"],
    );
    refused(
        Reply::Plain(200, format!("<html>{TOKEN}</html>")),
        ["does not answer as AWS does", "AWS_ENDPOINT_URL_STS"],
    );
    refused(Reply::Keys("2001-01-01T00:00:00Z"), ["expired", "clock"]);
    refused(Reply::Flood, ["64 KiB", "hint: "]);
}

#[test]
fn the_token_goes_to_the_named_server_and_nowhere_else() {
    let elsewhere = Sts::start(Reply::Keys(LATER));
    let cloud = Cloud::new(Reply::Redirect(format!("{}/", elsewhere.url())));
    cloud
        .run(cloud.object())
        .exits(2)
        .says(["redirects, which no server of keys does"]);
    let own = Cloud::new(Reply::Redirect("/other".to_owned()));
    own.run(own.object()).exits(2).says(["redirects"]);
    assert_eq!(own.sts.asked().len(), 1);

    // To a proxy it would be readable.
    let proxied = Cloud::new(Reply::Keys(LATER))
        .with("AWS_ENDPOINT_URL_STS", "http://sts.example")
        .with("http_proxy", &elsewhere.url());
    proxied
        .run(proxied.object())
        .exits(2)
        .says(["unencrypted", "`https` endpoint"]);
    assert!(elsewhere.asked().is_empty());

    let metadata =
        Cloud::new(Reply::Keys(LATER)).with("AWS_ENDPOINT_URL_STS", "http://169.254.169.254");
    metadata
        .run(metadata.object())
        .exits(2)
        .says(["metadata service"]);
}

#[test]
fn what_is_not_there_or_not_reached_is_named() {
    let gone = Sts::start(Reply::Silence).url();
    let unreached = Cloud::new(Reply::Silence).with("AWS_ENDPOINT_URL_STS", &gone);
    unreached.run(unreached.object()).exits(2).says([
        "cannot be asked",
        &gone,
        "AWS_ENDPOINT_URL_STS",
    ]);
    let region = Cloud::new(Reply::Silence)
        .with("AWS_ENDPOINT_URL_STS", "")
        .with("AWS_REGION", "eu west");
    region
        .run(region.object())
        .exits(2)
        .says(["`AWS_REGION` is none"]);
    let missing = Cloud::new(Reply::Silence);
    fs::remove_file(missing.token()).unwrap();
    missing
        .run(missing.object())
        .exits(2)
        .says(["No such file", "AWS_WEB_IDENTITY_TOKEN_FILE"]);
    assert!(missing.sts.asked().is_empty());
}

#[test]
fn a_run_that_is_given_up_does_not_wait_for_sts() {
    let cloud = Cloud::new(Reply::Silence);
    let start = Instant::now();
    cloud
        .run(cloud.object().with("--timeout", "1s"))
        .exits(1)
        .says(["did not end within 1 seconds"]);
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn the_gateway_reads_a_private_cache_with_it_and_asks_once_for_many_requests() {
    let cloud = Cloud::new(Reply::Keys(LATER));
    let url = cloud.s3.url();
    let cloud = cloud.configured(&format!(
        "[gateway]\nupstreams = [\"s3://artifacts?endpoint={url}\"]\n\
         [credential.job]\nsource = {{ aws = true }}\nscheme = \"aws-sigv4\"\norigins = [\"{url}\"]\n\
         [[grant]]\nmodule = \"host:substituter\"\norigins = [\"{url}\"]\ncredentials = {{ auth = \"job\" }}\n"
    ));
    let serve = Serve::start(&cloud.sandbox);
    for digit in ["0", "1"] {
        serve.get(&format!("/{}.narinfo", digit.repeat(32)));
    }
    let requests = cloud.s3.requests();
    assert_eq!(requests.len(), 2, "{requests:?}");
    for request in requests {
        assert!(request.contains("AWS4-HMAC-SHA256") && request.contains(SESSION_TOKEN));
    }
    assert_eq!(cloud.sts.asked().len(), 1);
    assert!(!serve.said().contains(TOKEN) && !serve.said().contains(SESSION_TOKEN));
}
