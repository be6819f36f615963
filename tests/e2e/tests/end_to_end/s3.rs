//! `s3-object` against an S3 server that checks every signature.

use std::fs;

use fetchhost_e2e::{
    ACCESS_KEY_ID, CommandLine, Finished, Nix, S3Server, SECRET_ACCESS_KEY, Sandbox, files_below,
    sri,
};

use crate::gateway::serve::Serve;
use crate::gateway::upstreams::Signed;

const CONTENT: &[u8] = b"an object\n";
const KEY: &str = "releases/tool 1.0+x@é.txt";

fn server() -> S3Server {
    let server = S3Server::start();
    server.put("artifacts", KEY, CONTENT);
    server
}

fn object(server: &S3Server) -> CommandLine {
    CommandLine::new(["run", "s3-object"])
        .with("--endpoint", server.url())
        .with("--bucket", "artifacts")
        .with("--key", KEY)
        .with("--hash", sri(CONTENT))
}

/// With the keys in the environment, as AWS's tools want them.
fn with_keys() -> Sandbox {
    Sandbox::new()
        .variable("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID)
        .variable("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY)
}

#[test]
fn an_object_is_fetched_by_a_signed_request_that_does_not_hold_the_key() {
    let (server, sandbox) = (server(), with_keys());
    let line = object(&server)
        .with("--credential", "aws=aws")
        .with("--to", sandbox.out("object"))
        .flag("-vv");
    let done = sandbox.run(line).exits(0);
    assert!(
        done.stdout.trim_end().ends_with("-tool-1.0+x---.txt"),
        "{}",
        done.stdout
    );
    assert_eq!(fs::read(sandbox.path("object")).unwrap(), CONTENT);
    let requests = server.requests();
    assert_eq!(requests.len(), 1, "{requests:?}");
    assert!(requests[0].starts_with("GET /artifacts/releases/tool%201.0%2Bx%40%C3%A9.txt\n"));
    assert!(requests[0].contains("AWS4-HMAC-SHA256") && requests[0].contains("us-east-1/s3"));
    for text in [requests[0].as_str(), &done.stderr] {
        assert!(!text.contains(SECRET_ACCESS_KEY), "{text}");
    }
    // Neither is the signature, which would serve somebody for some minutes.
    assert!(!done.stderr.contains("Signature="), "{}", done.stderr);
    for (path, content) in sandbox.files() {
        let content = String::from_utf8_lossy(&content);
        assert!(!content.contains(SECRET_ACCESS_KEY), "{}", path.display());
    }
}

#[test]
fn keys_come_from_a_profile_from_one_text_and_from_the_configuration() {
    let server = server();
    let pair = format!("{ACCESS_KEY_ID}:{SECRET_ACCESS_KEY}");
    let json = serde_json::json!({
        "Version": 1, "AccessKeyId": ACCESS_KEY_ID, "SecretAccessKey": SECRET_ACCESS_KEY,
    });
    let sandbox = Sandbox::new()
        .variable("KEYS", &pair)
        .variable("PROCESS", &serde_json::to_string_pretty(&json).unwrap())
        .configured(&format!(
            "[credential.work]\nsource = {{ aws = \"work\" }}\nscheme = \"aws-sigv4\"\nregion = \"eu-west-1\"\n\
             origins = [\"{}\"]\n",
            server.url()
        ));
    let folder = sandbox.path("home/.aws");
    fs::create_dir(&folder).unwrap();
    let profile = format!(
        "# mine\n[default]\naws_access_key_id = other\naws_secret_access_key = other\n\n\
         [ work ]\naws_access_key_id={ACCESS_KEY_ID}\naws_secret_access_key = {SECRET_ACCESS_KEY}\n"
    );
    let file = folder.join("credentials");
    fs::write(&file, profile).unwrap();
    let fetch = |credential: &str| {
        sandbox.run(
            object(&server)
                .with("--credential", credential)
                .with("--to", sandbox.out("object"))
                .flag("--refetch"),
        )
    };
    fetch("aws=aws:work").exits(2).says(["chmod 600"]);
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    for credential in [
        "aws=aws:work",
        "aws=work",
        "aws=env:KEYS",
        "aws=env:PROCESS",
        "aws=env:KEYS,aws-sigv4=eu-west-1",
    ] {
        fetch(credential).exits(0);
    }
    assert!(
        server
            .requests()
            .iter()
            .any(|head| head.contains("eu-west-1/s3"))
    );
    fetch("aws=aws").exits(1).says(["access key id"]);
    fetch("aws=aws:none")
        .exits(2)
        .says(["no profile `none`", ".aws/credentials"]);
    fetch("aws=env:KEYS,bearer").exits(1);

    fs::write(
        folder.join("config"),
        "[profile sso]\nsso_session = x\nregion = eu\n",
    )
    .unwrap();
    fetch("aws=aws:sso")
        .exits(2)
        .says(["`sso_session`", "export-credentials"]);
}

#[test]
fn each_refusal_names_its_remedy() {
    let server = server();
    let fetch = |sandbox: &Sandbox, line: CommandLine| {
        sandbox.run(line.with("--to", sandbox.out("object")))
    };
    let anonymous = Sandbox::new();
    fetch(&anonymous, object(&server)).exits(1).says([
        "is not public",
        "slot `aws`",
        "`--credential aws=aws`",
    ]);
    let wrong = Sandbox::new().variable("KEYS", &format!("{ACCESS_KEY_ID}:wrong"));
    fetch(&wrong, object(&server).with("--credential", "aws=env:KEYS"))
        .exits(1)
        .says(["check the secret access key"]);
    let none = Sandbox::new().variable("KEYS", "glpat-canary");
    fetch(&none, object(&server).with("--credential", "aws=env:KEYS"))
        .exits(2)
        .says(["ID:SECRET"]);
    let half = Sandbox::new().variable("AWS_ACCESS_KEY_ID", "x");
    fetch(&half, object(&server).with("--credential", "aws=aws"))
        .exits(2)
        .says(["`AWS_SECRET_ACCESS_KEY` is not"]);

    let sandbox = with_keys();
    let signed = |flag: &str, value: &str| {
        fetch(
            &sandbox,
            object(&server)
                .set(flag, value)
                .with("--credential", "aws=aws"),
        )
    };
    signed("--key", "none").exits(1).says(["no object `none`"]);
    signed("--bucket", "none").exits(1).says(["`none`"]);
    signed("--bucket", "a/b").exits(2).says(["`bucket`"]);
    signed("--hash", &sri(b"other"))
        .exits(4)
        .says([&sri(CONTENT)]);
}

#[test]
fn the_server_that_the_parameters_compose_is_what_is_granted() {
    let sandbox = with_keys();
    let explained = |flags: &[&str]| {
        let line = CommandLine::new(["run", "s3-object", "--key", KEY])
            .with("--hash", sri(CONTENT))
            .with("--to", sandbox.out("object"))
            .with("--credential", "aws=aws")
            .flag("--dry-run");
        let line = flags.iter().fold(line, |line, flag| line.flag(flag));
        sandbox.run(line)
    };
    for (flags, origin) in [
        (
            &["--bucket", "b"][..],
            "https://b.s3.us-east-1.amazonaws.com",
        ),
        (
            &["--bucket", "b", "--region", "eu-west-1"],
            "https://b.s3.eu-west-1.amazonaws.com",
        ),
        (
            &["--bucket", "b.c", "--region", "eu-west-1"],
            "https://s3.eu-west-1.amazonaws.com",
        ),
        (
            &[
                "--bucket",
                "b",
                "--endpoint",
                "https://minio.lan:9000",
                "--addressing-style",
                "virtual",
            ],
            "https://b.minio.lan:9000",
        ),
    ] {
        let told = explained(flags).exits(0).stdout;
        let line = told.lines().find(|line| line.contains(origin));
        assert!(
            line.is_some() && told.contains("credential"),
            "{origin}: {told}"
        );
    }
    explained(&[
        "--bucket",
        "evil.example/x?",
        "--addressing-style",
        "virtual",
    ])
    .exits(2)
    .says(["name no server"]);

    // Of what is not typed, nothing is granted.
    let params = sandbox.path("params.json");
    fs::write(&params, r#"{ "bucket": "b" }"#).unwrap();
    explained(&[
        "--params",
        params.to_str().unwrap(),
        "--region",
        "eu-west-1",
    ])
    .exits(2)
    .says(["--credential"]);
}

#[test]
fn a_private_bucket_is_served_again_to_a_nix_that_has_no_keys() {
    for nix in Nix::all("a_private_bucket_is_served_again") {
        let (server, sandbox) = (S3Server::start(), with_keys().own_cache());
        let signed = Signed::new(&nix, &sandbox);
        for (path, content) in files_below(&signed.cache) {
            let key = path.strip_prefix(&signed.cache).unwrap();
            server.put("cache", key.to_str().unwrap(), &content);
        }
        let url = server.url();
        let sandbox = sandbox.configured(&format!(
            "[gateway]\nupstreams = [\"s3://cache?endpoint={url}&region=eu-west-1\"]\n\
             [credential.keys]\nsource = {{ aws = true }}\nscheme = \"aws-sigv4\"\norigins = [\"{url}\"]\n\
             [[grant]]\nmodule = \"host:substituter\"\norigins = [\"{url}\"]\n\
             credentials = {{ auth = \"keys\" }}\n"
        ));
        let serve = Serve::start(&sandbox);
        let root = nix.path("another");
        let store = format!("local?root={}", root.display());
        let gateway = format!("http://{}", serve.address);
        let fetched = nix
            .command("nix-store")
            .env("NIX_REMOTE", &store)
            .args(["--realise", &signed.path])
            .args(["--option", "substituters", &gateway])
            .args(["--option", "trusted-public-keys", &signed.public_key])
            .output()
            .unwrap();
        Finished::new(&fetched).exits(0);
        let tool = root.join(signed.path.trim_start_matches('/'));
        assert_eq!(fs::read_to_string(tool).unwrap(), "hello\n");
        let requests = server.requests();
        assert!(
            requests
                .iter()
                .all(|head| head.contains("AWS4-HMAC-SHA256")),
            "{requests:?}"
        );
        assert!(!requests.concat().contains(SECRET_ACCESS_KEY));
    }
}

/// Keys that have to be encoded for a URL, or look as if they were.
const ODD: [&str; 9] = [
    "a!b'c(d)e*f",
    "@a$b&c=d;e,f~g:h",
    " a+b  c ",
    "é/日本/🦀",
    "a%2Fb%20c%zz%",
    "a?b#c[d]{e}|^`\"<>",
    "..a/.b/c../...",
    "tool.tar.gz?versionId=1",
    "e\u{301}\u{a0}\u{feff}",
];

#[test]
fn keys_with_odd_characters_are_signed_as_servers_read_them_or_refused() {
    let (server, sandbox) = (server(), with_keys());
    let fetch = |key: &str| {
        sandbox.run(
            object(&server)
                .set("--key", key)
                .with("--name", "object")
                .with("--credential", "aws=aws")
                .with("--to", sandbox.out("object"))
                .flag("--refetch"),
        )
    };
    for key in ODD {
        server.put("artifacts", key, CONTENT);
        fetch(key).exits(0);
    }
    let asked = server.requests().len();
    for (key, code, says) in [
        ("", 2, "`key` is empty"),
        ("a/../b", 2, "`.` or `..` segment"),
        ("%2e%2e/b", 1, "climbs"),
        ("a\\b", 3, "backslash"),
        ("a\nb", 3, "control character"),
    ] {
        fetch(key).exits(code).says([says]);
    }
    assert_eq!(server.requests().len(), asked);
}

#[test]
fn a_url_is_signed_right_however_its_path_is_written() {
    let server = server();
    let pair = format!("{ACCESS_KEY_ID}:{SECRET_ACCESS_KEY}");
    let sandbox = Sandbox::new().variable("KEYS", &pair);
    server.put("artifacts", "a!b'(c)@d$&=;,~:.é", CONTENT);
    for path in [
        "a!b'(c)@d$&=;,~:.é",
        "a%21b%27%28c%29%40d%24%26%3D%3B%2C%7E%3A%2E%c3%a9",
        "a!b'(c)@d$&=;,~:.é?x=a+b%20c&y&&b=1&a=%2f|^`{}'\"!()*~",
    ] {
        let line = CommandLine::new(["run", "http-file"])
            .with("--url", format!("{}/artifacts/{path}", server.url()))
            .with("--hash", sri(CONTENT))
            .with("--name", "object")
            .with("--credential", "auth=env:KEYS,aws-sigv4")
            .with("--to", sandbox.out("object"))
            .flag("--refetch");
        sandbox.run(line).exits(0);
    }
}
