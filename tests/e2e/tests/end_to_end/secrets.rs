//! The token reaches the API origin, and nothing else in the world.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::gitlab_fetchers::{file, release};
use fetchhost_e2e::{CommandLine, Finished, Sandbox, Secret, TOKEN, private_project};
use fetchhost_standin::{Access, Config, Fault, Side, Standin};

/// Demands that neither the token nor any presigned URL is in what a run said or left.
#[track_caller]
fn nothing_leaked(sandbox: &Sandbox, standin: &Standin, finished: &Finished) {
    let mut secrets = vec![Secret::new("token", TOKEN)];
    for request in standin
        .requests()
        .iter()
        .filter(|request| request.side == Side::Storage)
    {
        assert_eq!(request.credentials(), [""; 0], "{request:?}");
        secrets.push(Secret::new(
            "presigned query",
            request.query.as_deref().unwrap(),
        ));
    }
    for secret in secrets {
        secret.is_not_in("stdout", finished.stdout.as_bytes());
        secret.is_not_in("stderr", finished.stderr.as_bytes());
        secret.is_not_below(&sandbox.path(""));
        secret.is_not_below(&compile_cache(sandbox));
    }
}

/// Where the program keeps compiled modules in tests.
fn compile_cache(sandbox: &Sandbox) -> std::path::PathBuf {
    let command = sandbox.command();
    let (_, value) = command
        .get_envs()
        .find(|(name, _)| *name == "XDG_CACHE_HOME")
        .unwrap();
    Path::new(value.unwrap()).to_owned()
}

#[test]
fn the_token_reaches_the_api_origin_only() {
    for format in ["text", "json"] {
        for json in [false, true] {
            let (sandbox, standin) = (Sandbox::new(), private_project());
            let sandbox = sandbox
                .variable("RUST_LOG", "trace")
                .variable("RUST_BACKTRACE", "full");
            let mut line = CommandLine::tree(&standin)
                .with("--to", sandbox.cache(""))
                .with("--to", sandbox.out("tree"))
                .with("--log-format", format)
                .flag("-vvv");
            if json {
                line = line.flag("--json");
            }
            let finished = sandbox.run(line).exits(0);
            assert!(
                finished.stderr.contains("/artifacts"),
                "the trace is on: {}",
                finished.stderr
            );

            let requests = standin.requests();
            let sides: Vec<Side> = requests.iter().map(|request| request.side).collect();
            assert_eq!(sides, [Side::Api, Side::Storage]);
            assert_eq!(requests[0].header("private-token"), Some(TOKEN));
            assert_eq!(requests[0].credentials(), ["private-token"]);
            nothing_leaked(&sandbox, &standin, &finished);
        }
    }
}

#[test]
fn no_failure_tells_the_token() {
    let redirect = Fault::RedirectTo(format!("/api/v4/{TOKEN}?token={TOKEN}"));
    let none = (Side::Api, None);
    let fault = |side, fault| (side, Some(fault));
    let faults = [
        ("wrong hash", none, 4),
        ("401", fault(Side::Api, Fault::Status(401)), 1),
        ("404", fault(Side::Storage, Fault::Status(404)), 1),
        ("echo", fault(Side::Api, Fault::EchoHeaders), 5),
        ("echo in a redirect", fault(Side::Api, redirect), 5),
        ("login page", fault(Side::Api, Fault::LoginPage), 1),
        ("sign in", fault(Side::Api, Fault::SignIn), 1),
        ("cut", fault(Side::Storage, Fault::CutAfter(3)), 1),
    ];
    for (name, (side, fault), code) in faults {
        let (sandbox, standin) = (Sandbox::new(), private_project());
        let sandbox = sandbox.variable("RUST_LOG", "trace");
        if let Some(fault) = fault {
            standin.script(side, "/", fault, usize::MAX);
        }
        let line = CommandLine::tree(&standin)
            .set("--hash", fetchhost_e2e::sri(b"something else"))
            .with("--to", sandbox.cache(""))
            .with("--timeout", "20s")
            .flag("-vvv");
        let finished = sandbox.run(line);
        assert_eq!(finished.code, code, "{name}: {}", finished.stderr);
        nothing_leaked(&sandbox, &standin, &finished);
    }
}

#[test]
fn a_server_that_echoes_the_token_ends_the_run_and_nothing_is_emitted() {
    type Line = fn(&Standin) -> CommandLine;
    let lines: [(&str, Line); 6] = [
        ("artifact", CommandLine::tree),
        ("zip", CommandLine::zip),
        ("member", CommandLine::member),
        ("file", file),
        ("release", release),
        ("prefetch", |standin| {
            file(standin).without("--hash").subcommand("prefetch")
        }),
    ];
    for (name, line) in lines {
        let (sandbox, standin) = (Sandbox::new(), private_project());
        standin.script(Side::Api, "/", Fault::EchoHeaders, usize::MAX);
        let before = sandbox.files();
        let line = line(&standin)
            .with("--to", sandbox.out("result"))
            .flag("-vvv");
        let finished = sandbox
            .run(line)
            .exits(5)
            .says(["sent credential `token` back", standin.api_origin()]);
        assert_eq!(finished.stdout, "", "{name}");
        assert_eq!(sandbox.files(), before, "{name}");
        assert_eq!(standin.requests().len(), 1, "{name}");
        nothing_leaked(&sandbox, &standin, &finished);
    }
}

#[test]
fn a_redirect_back_to_the_api_origin_does_not_get_the_token_back() {
    let config = Config::new(TOKEN).public_file("/api/v4/public", "no archive");
    let (sandbox, standin) = (Sandbox::new(), Standin::start(config).unwrap());
    let there = format!("{}/back", standin.storage_origin());
    let back = format!("{}/api/v4/public", standin.api_origin());
    standin.script(Side::Api, "/api/v4/projects", Fault::RedirectTo(there), 1);
    standin.script(Side::Storage, "/back", Fault::RedirectTo(back), 1);
    let finished = sandbox.run(CommandLine::tree(&standin).with("--to", sandbox.cache("")));
    assert_ne!(finished.code, 0);
    let requests = standin.requests();
    assert_eq!(requests[0].credentials(), ["private-token"]);
    for request in &requests[1..] {
        assert_eq!(request.credentials(), [""; 0], "{request:?}");
    }
}

#[test]
fn a_token_in_a_file_serves_as_well_unless_others_can_read_it() {
    let (sandbox, standin) = (Sandbox::new(), private_project());
    let file = sandbox.path("home/token");
    fs::write(&file, format!("{TOKEN}\n")).unwrap();
    let line = CommandLine::tree(&standin)
        .set("--credential", format!("token=file:{}", file.display()))
        .with("--to", sandbox.cache(""));

    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let refused = sandbox.run(line.clone()).exits(2).says(["token", "hint: "]);
    Secret::new("token", TOKEN).is_not_in("stderr", refused.stderr.as_bytes());
    assert_eq!(standin.requests(), []);

    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    sandbox.run(line).exits(0);
    assert_eq!(standin.requests()[0].header("private-token"), Some(TOKEN));
}

#[test]
fn a_token_typed_where_its_source_belongs_is_not_told_again() {
    let (sandbox, standin) = (Sandbox::new(), private_project());
    for typed in [
        format!("token={TOKEN}"),
        format!("token=env:{TOKEN}"),
        TOKEN.to_owned(),
    ] {
        let line = CommandLine::tree(&standin)
            .set("--credential", typed)
            .with("--to", sandbox.cache(""))
            .flag("-vvv");
        let refused = sandbox.run(line).exits(2);
        Secret::new("token", TOKEN).is_not_in("stderr", refused.stderr.as_bytes());
        assert_eq!(standin.requests(), []);
    }
}

#[test]
fn a_configured_credential_goes_to_its_own_origins_only() {
    let (standin, other) = (
        private_project(),
        Standin::start(Config::new("unused").token(TOKEN, Access::Developer)).unwrap(),
    );
    let sandbox = Sandbox::new().configured(&format!(
        r#"
[credential.work]
source = {{ env = "{variable}" }}
scheme = "header:PRIVATE-TOKEN"
origins = ["{url}"]

[[grant]]
module = "builtin:gitlab"
origins = ["{url}", "{other}"]
redirects = ["{storage}", "{other_storage}"]
credentials = {{ token = "work" }}
"#,
        variable = fetchhost_e2e::TOKEN_VARIABLE,
        url = standin.api_origin(),
        storage = standin.storage_origin(),
        other = other.api_origin(),
        other_storage = other.storage_origin(),
    ));
    let line = |standin: &Standin| {
        CommandLine::tree(standin)
            .without("--credential")
            .without("--allow")
            .with("--to", sandbox.cache(""))
    };
    sandbox.run(line(&standin)).exits(0);
    assert_eq!(standin.requests()[0].header("private-token"), Some(TOKEN));
    let line = line(&other).flag("--refetch");
    sandbox.run(line).exits(1).says(["missing, expired"]);
    assert_eq!(other.requests()[0].credentials(), [""; 0]);

    let shown = sandbox.run(CommandLine::new(["config", "show"])).exits(0);
    Secret::new("token", TOKEN).is_not_in("config show", shown.stdout.as_bytes());
}
