//! Memory that does not grow with the artifact.

use std::fs;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use fetchhost_e2e::{
    ACCESS_KEY_ID, CommandLine, Installation, S3Server, SECRET_ACCESS_KEY, Sandbox, sri,
};
use fetchhost_standin::{Config, Standin, big_file};

const MIB: u64 = 1 << 20;

/// More than all that the program may keep.
const LARGE: u64 = 256 * MIB;

/// What any artifact may need.
const BOUND: u64 = 96 * MIB;

/// How much more than a small one a large one may need: what the allocator does not give back.
const SLACK: u64 = 12 * MIB;

/// The largest resident set of a run in bytes, as often as it can be asked for.
pub(crate) fn peak(sandbox: &Sandbox, line: CommandLine) -> u64 {
    peaks(sandbox, line)[0]
}

/// The same, and of it what is no file's: what the program keeps, without its own code, which is not optimised here.
fn peaks(sandbox: &Sandbox, line: CommandLine) -> [u64; 2] {
    let mut command = sandbox.command();
    command.args(line.into_words());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut run = command.spawn().unwrap();
    let status = format!("/proc/{}/status", run.id());
    let mut peaks = [0; 2];
    while run.try_wait().unwrap().is_none() {
        // It may end at any time.
        let text = fs::read_to_string(&status).unwrap_or_default();
        for (peak, name) in peaks.iter_mut().zip(["VmHWM:", "RssAnon:"]) {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            let kib =
                line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
            *peak = (*peak).max(kib.unwrap_or(0) * 1024);
        }
        thread::sleep(Duration::from_millis(2));
    }
    assert!(run.wait().unwrap().success());
    assert!(peaks.iter().all(|peak| *peak > 0));
    peaks
}

#[test]
fn every_sink_takes_an_artifact_of_any_size_in_the_same_memory() {
    let standin = Standin::start(Config::new("none")).unwrap();
    let line = |length: u64| {
        let content: Vec<u8> = big_file(length).flatten().collect();
        let url = format!("{}/public/big/{length}", standin.url());
        CommandLine::http_file(&url, &sri(&content))
    };
    let (small, large) = (line(MIB), line(LARGE));
    let mut destinations = vec!["file", "zstd", "out"];
    if !Installation::all("every_sink_takes_an_artifact_of_any_size").is_empty() {
        destinations.push("store");
    }
    // The module needs far less than this, and the artifact far more.
    let config = "[limits]\nmemory = \"4 MiB\"\n";
    for destination in destinations {
        let peak_of = |line: &CommandLine| {
            let sandbox = Sandbox::new()
                .configured(config)
                .variable("NIX_CONF_DIR", "/nowhere");
            let to = match destination {
                "file" => sandbox.cache("compression=none"),
                "zstd" => sandbox.cache("compression=zstd"),
                "out" => sandbox.out("result"),
                _ => format!("store=local?root={}", sandbox.path("root").display()),
            };
            peak(&sandbox, line.clone().with("--to", to))
        };
        let (small, large) = (peak_of(&small), peak_of(&large));
        assert!(large <= BOUND, "{destination}: {} MiB", large / MIB);
        assert!(
            large <= small + SLACK,
            "{destination}: {} MiB, and {} MiB for a small one",
            large / MIB,
            small / MIB
        );
    }
}

/// Parts are kept until they have arrived, and no more of them than some.
#[test]
fn a_bucket_takes_a_large_artifact_in_bounded_memory() {
    const LENGTH: u64 = 160 * MIB;
    /// What may be on its way at once, or wait to be: five parts.
    const PARTS: u64 = 40 * MIB;
    let (standin, server) = (
        Standin::start(Config::new("none")).unwrap(),
        S3Server::start(),
    );
    server.make_bucket("team");
    let to = format!("s3://team?endpoint={}&compression=none", server.url());
    let sandbox = Sandbox::new()
        .variable("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID)
        .variable("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY);
    let peak_of = |length: u64| {
        let content: Vec<u8> = big_file(length).flatten().collect();
        let url = format!("{}/public/big/{length}", standin.url());
        peaks(
            &sandbox,
            CommandLine::http_file(&url, &sri(&content)).with("--to", &to),
        )
    };
    let ([small, _], [large, kept]) = (peak_of(MIB), peak_of(LENGTH));
    assert!(kept <= BOUND, "{} MiB", kept / MIB);
    assert!(
        large <= small + PARTS,
        "{} MiB, and {} MiB for a small one",
        large / MIB,
        small / MIB
    );
}
