//! `--to s3://` against an S3 server that checks every signature, judged by real Nix, which reads the bucket's
//! folder.

use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use fetchhost_e2e::{
    ACCESS_KEY_ID, CommandLine, Finished, Nix, Quirk, S3Server, SECRET_ACCESS_KEY, Sandbox,
    files_below, private_project, sri,
};
use fetchhost_standin::{Config, Standin, big_file};

const BUCKET: &str = "team-cache";
/// Several parts of the smallest size.
const LENGTH: u64 = 24 << 20;

fn server(quirk: Quirk) -> S3Server {
    let server = S3Server::with(quirk);
    server.make_bucket(BUCKET);
    server
}

fn with_keys() -> Sandbox {
    Sandbox::new()
        .variable("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID)
        .variable("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY)
}

fn url(server: &S3Server, more: &str) -> String {
    format!(
        "s3://{BUCKET}?endpoint={}&region=eu-west-1{more}",
        server.url()
    )
}

/// What the bucket holds under `names`, by their ends.
fn held(server: &S3Server, end: &str) -> Vec<String> {
    let folder = server.bucket(BUCKET);
    let files = files_below(&folder).into_keys();
    let names = files.map(|path| path.strip_prefix(&folder).unwrap().display().to_string());
    names.filter(|name| name.ends_with(end)).collect()
}

/// The methods and targets of the requests, without their queries' values.
fn asked(server: &S3Server) -> Vec<String> {
    let heads = server.requests();
    let lines = heads
        .iter()
        .map(|head| head.lines().next().unwrap().to_owned());
    lines.collect()
}

#[test]
fn nix_reads_from_a_bucket_what_was_published_to_it() {
    for nix in Nix::all("nix_reads_from_a_bucket_what_was_published_to_it") {
        for query in [
            "",
            "&compression=none",
            "&compression=xz&compression-level=0",
        ] {
            let (standin, server, sandbox) = (private_project(), server(Quirk::None), with_keys());
            let line = CommandLine::tree(&standin)
                .with("--to", url(&server, query))
                .flag("-vv");
            let done = sandbox.run(line).exits(0);
            let path = done.stdout.trim_end();

            let heads = server.requests().concat();
            assert!(heads.contains("eu-west-1/s3"), "{heads}");
            assert!(!heads.contains(SECRET_ACCESS_KEY) && !done.stderr.contains(SECRET_ACCESS_KEY));
            assert!(!done.stderr.contains("Signature="), "{}", done.stderr);

            let cache = format!("file://{}", server.bucket(BUCKET).display());
            let copied = nix
                .command("nix")
                .args(["--extra-experimental-features", "nix-command"])
                .args(["copy", "--from", &cache, path])
                .output()
                .unwrap();
            Finished::new(&copied).exits(0);
            assert!(nix.physical(path).is_dir());
        }
    }
}

#[test]
fn what_a_bucket_has_is_neither_fetched_nor_written_again() {
    let (standin, server, sandbox) = (private_project(), server(Quirk::None), with_keys());
    let run = || {
        let line = CommandLine::tree(&standin).with("--to", url(&server, ""));
        sandbox.run(line).exits(0)
    };
    run();
    let before = asked(&server).len();
    let requests = standin.requests().len();
    run().says(["holds it already"]);
    let again = asked(&server).split_off(before);
    assert!(
        again.iter().all(|line| !line.starts_with("PUT")),
        "{again:?}"
    );
    assert_eq!(standin.requests().len(), requests);

    // What it holds is copied from there.
    let line = CommandLine::tree(&standin)
        .with("--to", url(&server, ""))
        .with("--to", sandbox.out("copy"));
    sandbox.run(line).exits(0);
    assert!(sandbox.path("copy").is_dir());
    assert_eq!(standin.requests().len(), requests);
}

fn large() -> (Standin, CommandLine) {
    let standin = Standin::start(Config::new("none")).unwrap();
    let content: Vec<u8> = big_file(LENGTH).flatten().collect();
    let url = format!("{}/public/big/{LENGTH}", standin.url());
    let line = CommandLine::http_file(&url, &sri(&content)).with("--name", "big");
    (standin, line)
}

#[test]
fn a_large_file_comes_in_parts_of_which_nobody_sees_anything_before_the_end() {
    let (standin, line) = large();
    let (server, sandbox) = (server(Quirk::None), with_keys());
    let place = url(&server, "&compression=none&multipart-chunk-size=5242880");
    sandbox.run(line.clone().with("--to", &place)).exits(0);
    let lines = asked(&server);
    let parts = lines
        .iter()
        .filter(|line| line.contains("partNumber="))
        .count();
    assert_eq!(parts, 5, "{lines:?}");
    let position = |part: &str| lines.iter().rposition(|line| line.contains(part)).unwrap();
    assert!(position("uploadId=") < position(".narinfo"), "{lines:?}");
    assert_eq!(
        (held(&server, ".narinfo").len(), held(&server, ".nar").len()),
        (1, 1)
    );

    // Bytes that are not what was declared leave nothing, not even an unfinished upload.
    let line = line.set("--hash", sri(b"other")).with(
        "--to",
        url(&server, "&compression=none&multipart-chunk-size=5242880"),
    );
    sandbox.run(line).exits(4);
    let lines = asked(&server);
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("DELETE") && line.contains("uploadId=")),
        "{lines:?}"
    );
    assert_eq!(
        (held(&server, ".narinfo").len(), held(&server, ".nar").len()),
        (1, 1)
    );
    drop(standin);
}

#[test]
fn what_the_host_says_to_the_server_itself_is_signed() {
    let (standin, server, sandbox) = (private_project(), server(Quirk::None), with_keys());
    let place = url(&server, "&storage-class=STANDARD");
    let line = CommandLine::tree(&standin).with("--to", place);
    sandbox.run(line).exits(0);
    let heads = server.requests();
    let written = |end: &str| {
        let is = |head: &&String| {
            let line = head.lines().next().unwrap_or_default();
            line.starts_with("PUT") && line.ends_with(end)
        };
        heads.iter().find(is).unwrap()
    };
    let nar = written(".nar.zst");
    let signed = nar.split("SignedHeaders=").nth(1).unwrap();
    let signed = signed.split(',').next().unwrap();
    assert!(
        nar.contains("\"x-amz-storage-class\": \"STANDARD\""),
        "{nar}"
    );
    assert!(signed.contains("x-amz-storage-class"), "{signed}");
    // Records are read at once.
    assert!(!written(".narinfo").contains("storage-class"));
}

#[test]
fn a_publisher_that_is_killed_leaves_no_record_and_the_next_one_completes() {
    let (standin, line) = large();
    let (server, sandbox) = (server(Quirk::None), with_keys());
    let place = url(&server, "&compression=none&multipart-chunk-size=5242880");
    let line = line.with("--to", &place);
    let started = Instant::now();
    let mut killed = 0;
    for step in 0..12 {
        let mut child = sandbox
            .command()
            .args(line.clone().into_words())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        thread::sleep(Duration::from_millis(40 * step));
        child.kill().unwrap();
        let is_done = child.wait().unwrap().success();
        let records = held(&server, ".narinfo").len();
        assert!(
            records == usize::from(is_done) || records == 1 && !held(&server, ".nar").is_empty()
        );
        killed += u32::from(!is_done);
        if records == 1 {
            break;
        }
    }
    assert!(killed > 0, "{:?}", started.elapsed());
    sandbox.run(line).exits(0);
    assert_eq!(held(&server, ".narinfo").len(), 1);
    drop(standin);
}

#[test]
fn several_publishers_at_once_make_one_valid_record() {
    for quirk in [
        Quirk::None,
        Quirk::IgnoresConditions,
        Quirk::RefusesConditions,
    ] {
        let (standin, server, sandbox) = (private_project(), server(quirk), with_keys());
        let line = CommandLine::tree(&standin).with("--to", url(&server, ""));
        let children: Vec<_> = (0..6)
            .map(|_| {
                sandbox
                    .command()
                    .args(line.clone().into_words())
                    .stdout(Stdio::piped())
                    .stderr(Stdio::piped())
                    .spawn()
                    .unwrap()
            })
            .collect();
        let mut paths: Vec<_> = children
            .into_iter()
            .map(|child| {
                Finished::new(&child.wait_with_output().unwrap())
                    .exits(0)
                    .stdout
            })
            .collect();
        paths.dedup();
        assert_eq!(paths.len(), 1);
        assert_eq!(held(&server, ".narinfo").len(), 1);
        sandbox.run(line).exits(0).says(["holds it already"]);
    }
}

#[test]
fn who_loses_the_race_takes_his_own_parts_away() {
    let (standin, line) = large();
    let (server, sandbox) = (server(Quirk::None), with_keys());
    let place = url(&server, "&compression=none&multipart-chunk-size=5242880");
    let line = line.with("--to", &place);
    sandbox.run(line.clone()).exits(0);
    let first = held(&server, ".nar");
    // Whoever comes second has looked before the first one published.
    sandbox.run(line.flag("--refetch")).exits(0);
    assert_eq!(held(&server, ".nar"), first);
    assert_eq!(
        (held(&server, ".narinfo").len(), held(&server, ".nar").len()),
        (1, 1)
    );
    drop(standin);
}

#[test]
fn each_refusal_has_its_own_message_and_remedy() {
    let standin = private_project();
    let publish = |server: &S3Server, sandbox: &Sandbox| {
        let line = CommandLine::tree(&standin).with("--to", url(server, ""));
        sandbox.run(line)
    };
    let nothing = |server: &S3Server| {
        assert_eq!(held(server, ".narinfo"), Vec::<String>::new());
    };
    let honest = server(Quirk::None);
    let sandbox = Sandbox::new()
        .variable("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID)
        .variable("AWS_SECRET_ACCESS_KEY", "wrong");
    publish(&honest, &sandbox)
        .exits(6)
        .says(["the signature is wrong", "`AWS_SECRET_ACCESS_KEY`"]);
    let sandbox = Sandbox::new()
        .variable("AWS_ACCESS_KEY_ID", "AKIDOTHER")
        .variable("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY);
    publish(&honest, &sandbox)
        .exits(6)
        .says(["access key id", "`AWS_ACCESS_KEY_ID`"]);
    publish(&honest, &Sandbox::new())
        .exits(6)
        .says(["without access keys"]);
    let line = CommandLine::tree(&standin).with("--to", url(&honest, "&profile=none"));
    with_keys().run(line).exits(2).says(["no profile `none`"]);
    nothing(&honest);

    for (method, status, code, says) in [
        (
            "GET",
            400,
            "ExpiredToken",
            "the session of the access keys has expired",
        ),
        (
            "GET",
            403,
            "RequestTimeTooSkewed",
            "the clock of this machine",
        ),
        ("GET", 400, "AuthorizationHeaderMalformed", "`region=eu-1`"),
        (
            "GET",
            301,
            "PermanentRedirect",
            "another `region` than `eu-west-1`",
        ),
        ("PUT", 403, "AccessDenied", "may only read"),
        ("PUT", 507, "InsufficientStorage", "no room"),
    ] {
        let server = server(Quirk::Refuses(method, status, code));
        publish(&server, &with_keys()).exits(6).says([says]);
        nothing(&server);
    }
}

#[test]
fn what_a_server_says_is_not_repeated_not_even_of_an_error_below_a_status_of_success() {
    let (standin, line) = large();
    for (quirk, says) in [
        (
            Quirk::FailsAtTheEnd,
            "the server answered 200 (InternalError)",
        ),
        (
            Quirk::Refuses("POST", 404, "NoSuchUpload"),
            "the server answered 404 (NoSuchUpload)",
        ),
        (
            Quirk::Refuses("PUT", 409, "OperationAborted"),
            "the server answered 409 (OperationAborted)",
        ),
    ] {
        let (server, sandbox) = (server(quirk), with_keys());
        let line = line
            .clone()
            .with("--to", url(&server, "&compression=none"))
            .flag("-vv");
        let told = sandbox.run(line).exits(6).says([says]).stderr;
        assert!(!told.contains("words of the server"), "{told}");
        assert_eq!(held(&server, ".narinfo"), Vec::<String>::new());
    }
    drop(standin);
}

#[test]
fn a_redirect_out_of_the_bucket_is_refused_and_no_grant_is_proposed_for_it() {
    let (standin, server, sandbox) = (private_project(), server(Quirk::SendsOn), with_keys());
    server.make_bucket("other-bucket");
    let line = CommandLine::tree(&standin).with("--to", url(&server, ""));
    let told = sandbox
        .run(line)
        .exits(6)
        .says(["sends the request on", "/other-bucket/object", "`region`"])
        .stderr;
    assert!(!told.contains("[[grant]]"), "{told}");
    assert!(files_below(&server.bucket("other-bucket")).is_empty());
    assert!(!asked(&server).concat().contains("other-bucket"));
}

#[test]
fn a_second_signal_waits_for_no_server() {
    let (standin, line) = large();
    let (server, sandbox) = (server(Quirk::SilentAboutParts), with_keys());
    let line = line.with("--to", url(&server, "&compression=none"));
    let mut child = sandbox
        .command()
        .args(line.into_words())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while !asked(&server)
        .iter()
        .any(|line| line.contains("partNumber="))
    {
        thread::sleep(Duration::from_millis(20));
    }
    let pid = child.id().to_string();
    let interrupt = || {
        let sent = Command::new("kill").args(["-INT", &pid]).status();
        assert!(sent.unwrap().success());
    };
    interrupt();
    thread::sleep(Duration::from_millis(300));
    let started = Instant::now();
    interrupt();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(started.elapsed() < Duration::from_secs(8));
    drop(standin);
}

#[test]
fn what_a_grant_does_not_hold_is_not_asked() {
    let (standin, server) = (private_project(), server(Quirk::None));
    let line = || CommandLine::tree(&standin).with("--to", url(&server, ""));
    let origin = server.url();
    let sandbox = with_keys().configured(&format!(
        "[credential.team]\nsource = {{ env = \"TEAM\" }}\nscheme = \"aws-sigv4\"\norigins = [\"{origin}\"]\n\
         [[grant]]\nmodule = \"host:cache\"\norigins = [\"{origin}\"]\nmethods = [\"GET\", \"HEAD\"]\n\
         credentials = {{ auth = \"team\" }}\n"
    ));
    // A grant takes the place of what typing would allow.
    sandbox.run(line()).exits(3).says(["PUT", "host:cache"]);
    assert_eq!(asked(&server), Vec::<String>::new());
}
