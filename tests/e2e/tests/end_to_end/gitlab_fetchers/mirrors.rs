//! `http-file`: one file in several places, and archives of every form.

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::process::{Command, Stdio};

use fetchhost_e2e::{CommandLine, Sandbox, TOKEN, TOKEN_VARIABLE, sri};
use fetchhost_standin::sample::{self, ENTRIES};
use fetchhost_standin::{Config, Fault, Side, Standin};

const CONTENT: &str = "the same everywhere\n";

fn place() -> Standin {
    Standin::start(Config::new(TOKEN).public_file("/file", CONTENT)).unwrap()
}

fn url(place: &Standin) -> String {
    format!("{}/file", place.url())
}

/// `run http-file` for the file at a URL, with mirrors that are all granted.
fn mirrored(first: &str, mirrors: &[&Standin]) -> CommandLine {
    let line = CommandLine::http_file(first, &sri(CONTENT.as_bytes()));
    mirrors.iter().fold(line, |line, mirror| {
        line.with("--mirror", url(mirror))
            .with("--allow", mirror.api_origin())
    })
}

/// An origin at which nobody listens.
fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[test]
fn a_place_that_cannot_help_is_passed_over() {
    for fault in [Fault::Status(404), Fault::Status(410), Fault::Status(503)] {
        let (sandbox, first, second, third) = (Sandbox::new(), place(), place(), place());
        first.script(Side::Api, "/file", fault.clone(), usize::MAX);
        let line = mirrored(&url(&first), &[&second, &third]).with("--to", sandbox.cache(""));
        let finished = sandbox.run(line).exits(0);
        assert!(finished.stderr.contains(&url(&first)), "{fault:?} is told");
        assert_eq!(second.requests().len(), 1, "{fault:?}");
        assert_eq!(third.requests(), [], "{fault:?}");
    }
    let (sandbox, mirror) = (Sandbox::new(), place());
    let line = mirrored(&format!("{}/file", nobody()), &[&mirror]);
    sandbox
        .run(line.with("--to", sandbox.cache("")))
        .exits(0)
        .says(["cannot be connected to"]);
}

#[test]
fn the_first_place_that_has_the_file_is_the_only_one_asked() {
    let (sandbox, first, mirror) = (Sandbox::new(), place(), place());
    let line = mirrored(&url(&first), &[&mirror]).without("--allow");
    sandbox.run(line.with("--to", sandbox.cache(""))).exits(0);
    assert_eq!(mirror.requests(), []);
}

#[test]
fn a_refused_credential_and_a_limit_are_not_passed_over() {
    for (fault, message) in [
        (Fault::Status(401), "(401)"),
        (Fault::Status(403), "(403)"),
        (
            Fault::Throttle {
                retry_after_seconds: None,
            },
            "(429)",
        ),
    ] {
        let (sandbox, first, mirror) = (Sandbox::new(), place(), place());
        first.script(Side::Api, "/file", fault, usize::MAX);
        let line = mirrored(&url(&first), &[&mirror])
            .with("--credential", format!("auth=env:{TOKEN_VARIABLE}"))
            .with("--to", sandbox.cache(""));
        sandbox.run(line).exits(1).says([message]);
        assert_eq!(mirror.requests(), []);
    }
}

#[test]
fn if_nobody_has_the_file_the_first_answer_is_told() {
    let (sandbox, first, mirror) = (Sandbox::new(), place(), place());
    first.script(Side::Api, "/file", Fault::Status(404), usize::MAX);
    mirror.script(Side::Api, "/file", Fault::Status(503), usize::MAX);
    let line = mirrored(&url(&first), &[&mirror])
        .with("--credential", format!("auth=env:{TOKEN_VARIABLE}"))
        .with("--to", sandbox.cache(""));
    let told = format!(
        "error: `{}` is missing, expired, or not visible to the credential `auth` (404)",
        url(&first)
    );
    sandbox.run(line).exits(1).says([&told]);
}

#[test]
fn a_mirror_without_a_grant_is_passed_over_and_told_if_nobody_else_helps() {
    let (sandbox, first, closed, open) = (Sandbox::new(), place(), place(), place());
    first.script(Side::Api, "/file", Fault::Status(404), usize::MAX);
    let line = CommandLine::http_file(&url(&first), &sri(CONTENT.as_bytes()))
        .with("--mirror", url(&closed))
        .with("--to", sandbox.cache(""));
    let flag = format!("--allow {}", closed.api_origin());
    let before = sandbox.files();
    let helped = line
        .clone()
        .with("--mirror", url(&open))
        .with("--allow", open.api_origin());
    sandbox.run(helped).exits(0);
    assert_eq!(closed.requests(), []);
    assert_ne!(sandbox.files(), before);
    sandbox.run(line.flag("--refetch")).exits(3).says([&flag]);
}

#[test]
fn a_mirror_gets_the_credential_that_is_bound_to_it_and_no_other() {
    let (sandbox, first, second, third) = (Sandbox::new(), place(), place(), place());
    for place in [&first, &second] {
        place.script(Side::Api, "/file", Fault::Status(404), usize::MAX);
    }
    let source = format!("auth=env:{TOKEN_VARIABLE}");
    let line = mirrored(&url(&first), &[&second, &third])
        .with("--credential", format!("{source}@{}", first.api_origin()))
        .with("--credential", format!("{source}@{}", third.api_origin()))
        .with("--to", sandbox.cache(""));
    sandbox.run(line).exits(0);
    assert_eq!(first.requests()[0].credentials(), ["authorization"]);
    assert_eq!(second.requests()[0].credentials(), [""; 0]);
    assert_eq!(third.requests()[0].credentials(), ["authorization"]);
}

#[test]
fn a_mirrored_download_that_breaks_off_goes_on_where_it_broke() {
    let (sandbox, first, mirror) = (Sandbox::new(), place(), place());
    first.script(Side::Api, "/file", Fault::CutAfter(5), 1);
    let line = mirrored(&url(&first), &[&mirror]).with("--to", sandbox.cache(""));
    sandbox.run(line).exits(0);
    let requests = first.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[1].header("range"), Some("bytes=5-"));
    assert_eq!(mirror.requests(), []);
}

#[test]
fn a_mirror_that_is_no_url_is_named_before_anything_is_asked() {
    let (sandbox, first) = (Sandbox::new(), place());
    let line = CommandLine::http_file(&url(&first), &sri(CONTENT.as_bytes()))
        .with("--mirror", "ftp://mirror.example/file")
        .with("--to", sandbox.cache(""));
    sandbox
        .run(line)
        .exits(2)
        .says(["`mirror[0]` has to start with `https://` or `http://`"]);
    assert_eq!(first.requests(), []);
}

/// A tar of one file in a folder, as archivers wrote it before there was a magic.
fn old_tar(path: &str, content: &[u8]) -> Vec<u8> {
    let mut block = vec![0; 512];
    let mut put =
        |at: usize, text: &str| block[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, path);
    put(100, "0000644\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, &format!("{:011o}\0", content.len()));
    put(136, "00000000000\0");
    put(148, "        ");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block.extend_from_slice(content);
    block.resize(block.len().next_multiple_of(512) + 1024, 0);
    block
}

#[test]
fn archives_are_unpacked_by_their_first_bytes_or_by_the_format_that_is_named() {
    let mut program_and_zip = b"#!/bin/sh\nexit\n".to_vec();
    program_and_zip.extend_from_slice(&sample::archive().unwrap());
    let config = Config::new(TOKEN)
        .public_file("/zip", sample::archive().unwrap())
        .public_file("/self-extracting", program_and_zip)
        .public_file("/tar", old_tar("top/folder/file", CONTENT.as_bytes()));
    let standin = Standin::start(config).unwrap();
    let line = |path: &str| {
        CommandLine::new(["prefetch", "http-file"])
            .with("--url", format!("{}{path}", standin.url()))
            .flag("--unpack")
    };
    let (first, _) = ENTRIES[0];
    for (line, file) in [
        (line("/zip"), first),
        (line("/zip").with("--format", "zip"), first),
        (line("/self-extracting").with("--format", "zip"), first),
        (line("/zip").with("--strip-components", 1), "engine"),
        (line("/tar").with("--format", "tar"), "top/folder/file"),
        (
            line("/tar")
                .with("--format", "tar")
                .with("--strip-components", 2),
            "file",
        ),
    ] {
        let sandbox = Sandbox::new();
        sandbox.run(line.with("--to", sandbox.out("tree"))).exits(0);
        assert!(
            fs::exists(sandbox.path("tree").join(file)).unwrap(),
            "{file}"
        );
    }
    let sandbox = Sandbox::new();
    for line in [
        line("/tar"),
        line("/self-extracting"),
        line("/zip").with("--format", "tar.xz"),
    ] {
        sandbox.run(line.with("--to", sandbox.out("tree"))).exits(1);
    }
    sandbox
        .run(line("/zip").with("--format", "rar"))
        .exits(2)
        .says(["format"]);
}

/// What `program` makes of `content`.
fn filtered(program: &str, content: &[u8]) -> Vec<u8> {
    let mut child = Command::new(program)
        .arg("-c")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(content).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{program}");
    output.stdout
}

#[test]
fn tars_of_every_compression_give_the_same_tree() {
    let tar = old_tar("top/folder/file", CONTENT.as_bytes());
    let mut hashes = Vec::new();
    for (program, format) in [
        ("cat", "tar"),
        ("gzip", "tar.gz"),
        ("bzip2", "tar.bz2"),
        ("xz", "tar.xz"),
        ("zstd", "tar.zst"),
    ] {
        let packed = match program {
            "cat" => tar.clone(),
            program => filtered(program, &tar),
        };
        let config = Config::new(TOKEN).public_file("/archive", packed);
        let standin = Standin::start(config).unwrap();
        let sandbox = Sandbox::new();
        let line = CommandLine::new(["prefetch", "http-file"])
            .with("--url", format!("{}/archive", standin.url()))
            .flag("--unpack")
            .with("--format", format)
            .with("--to", sandbox.out("tree"));
        let finished = sandbox.run(line).exits(0);
        let file = sandbox.path("tree").join("top/folder/file");
        assert_eq!(fs::read_to_string(file).unwrap(), CONTENT, "{format}");
        hashes.push(finished.stdout.lines().next().unwrap().to_owned());
    }
    hashes.dedup();
    assert_eq!(hashes.len(), 1, "{hashes:?}");
}

#[test]
fn a_repository_archive_can_be_had_by_its_url() {
    let (sandbox, standin) = (Sandbox::new(), Standin::start(Config::new(TOKEN)).unwrap());
    let line = CommandLine::new(["prefetch", "http-file"])
        .with(
            "--url",
            format!(
                "{}/api/v4/projects/42/repository/archive.tar.gz?sha=HEAD",
                standin.url()
            ),
        )
        .with("--credential", format!("auth=env:{TOKEN_VARIABLE}"))
        .flag("--unpack")
        .with("--format", "tar.gz")
        .with("--strip-components", 1)
        .with("--to", sandbox.out("tree"));
    sandbox.run(line).exits(0);
    let read = fs::read_to_string(sandbox.path("tree").join(sample::FILE)).unwrap();
    assert_eq!(read, sample::FILE_CONTENT);
}
