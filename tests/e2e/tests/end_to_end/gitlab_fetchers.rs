//! Packages, archives, files and releases of GitLab, and files with mirrors.

mod mirrors;
mod release;
mod statuses;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use fetchhost_e2e::{CommandLine, Sandbox, TOKEN, TOKEN_VARIABLE, private_project, sri};
use fetchhost_standin::sample;
use fetchhost_standin::{Config, Delivery, Side, Standin, TokenKind};

/// `run` of a fetcher for the sample project, with a hash that nothing has.
fn run(fetcher: &str, standin: &Standin) -> CommandLine {
    CommandLine::new(["run", fetcher])
        .with("--url", standin.url())
        .with("--project", sample::PROJECT)
        .with("--credential", format!("token=env:{TOKEN_VARIABLE}"))
        .with("--allow", standin.storage_origin())
        .with("--hash", sri(b"not known beforehand"))
}

fn package(standin: &Standin) -> CommandLine {
    run("gitlab-package", standin)
        .with("--package", sample::PACKAGE)
        .with("--version", sample::VERSION)
        .with("--file", sample::PACKAGE_FILE)
        .set("--hash", sri(sample::PACKAGE_CONTENT.as_bytes()))
}

fn archive(standin: &Standin) -> CommandLine {
    run("gitlab-archive", standin).with("--ref", sample::REF)
}

pub(crate) fn file(standin: &Standin) -> CommandLine {
    run("gitlab-file", standin)
        .with("--ref", sample::REF)
        .with("--path", sample::FILE)
        .set("--hash", sri(sample::FILE_CONTENT.as_bytes()))
}

pub(crate) fn release(standin: &Standin) -> CommandLine {
    run("gitlab-release", standin)
        .with("--tag", sample::TAG)
        .with("--asset", sample::ASSET)
        .set("--hash", sri(sample::PACKAGE_CONTENT.as_bytes()))
}

/// Demands that credentials were sent to the API only, and there in this header.
#[track_caller]
fn credentials_stayed(standin: &Standin, header: &str) {
    for request in standin.requests() {
        let expected: &[&str] = match request.side {
            Side::Api => &[header],
            Side::Storage => &[],
        };
        assert_eq!(request.credentials(), expected, "{request:?}");
    }
}

#[test]
fn each_fetcher_brings_what_it_names_however_it_is_delivered() {
    let large = |standin: &Standin| {
        file(standin)
            .set("--path", sample::LFS_FILE)
            .flag("--lfs")
            .set("--hash", sri(sample::LFS_CONTENT.as_bytes()))
    };
    type Line = fn(&Standin) -> CommandLine;
    let cases: [(Line, &str, &str); 4] = [
        (package, sample::PACKAGE_CONTENT, "-engine-2.bin"),
        (file, sample::FILE_CONTENT, "-README.md"),
        (large, sample::LFS_CONTENT, "-blueprint--1.bin"),
        (release, sample::PACKAGE_CONTENT, "-engine--Linux-"),
    ];
    for delivery in [Delivery::Redirect, Delivery::Direct] {
        for (line, content, name) in cases {
            let sandbox = Sandbox::new();
            let standin = Standin::start(Config::new(TOKEN).delivery(delivery)).unwrap();
            let line = line(&standin).with("--to", sandbox.out("result"));
            let finished = sandbox.run(line).exits(0);
            assert!(
                finished.stdout.trim_end().ends_with(name),
                "{}",
                finished.stdout
            );
            let got = fs::read_to_string(sandbox.path("result")).unwrap();
            assert_eq!(got, content);
            credentials_stayed(&standin, "private-token");
        }
    }
}

#[test]
fn a_large_file_is_its_pointer_unless_its_content_is_asked_for() {
    let (sandbox, standin) = (Sandbox::new(), private_project());
    let line = file(&standin)
        .set("--path", sample::LFS_FILE)
        .without("--hash")
        .subcommand("prefetch")
        .with("--to", sandbox.out("pointer"));
    sandbox.run(line).exits(0);
    let pointer = fs::read_to_string(sandbox.path("pointer")).unwrap();
    assert!(pointer.starts_with("version https://git-lfs"), "{pointer}");
}

#[test]
fn an_archive_is_the_tree_below_its_top_folder() {
    let (sandbox, standin) = (Sandbox::new(), private_project());
    let line = archive(&standin).without("--hash").subcommand("prefetch");
    let whole = line.clone().with("--to", sandbox.out("whole"));
    let finished = sandbox.run(whole).exits(0);
    let read = |path: &str| fs::read_to_string(sandbox.path(path)).unwrap();
    assert_eq!(read("whole/docs/README.md"), sample::FILE_CONTENT);
    assert_eq!(
        read(&format!("whole/{}", sample::LFS_FILE)),
        sample::LFS_CONTENT
    );
    let link = fs::read_link(sandbox.path("whole/docs/latest")).unwrap();
    assert_eq!(link.to_str(), Some("README.md"));
    let mode = |path: &str| {
        let metadata = fs::metadata(sandbox.path(path)).unwrap();
        metadata.permissions().mode() & 0o111
    };
    assert_ne!(mode("whole/bin/start"), 0);
    assert_eq!(mode("whole/docs/README.md"), 0);

    // The same tree by its commit, in an archive whose bytes and top folder are others.
    let hash = finished.stdout.lines().next().unwrap().to_owned();
    let by_commit = archive(&standin)
        .set("--ref", sample::COMMIT)
        .set("--hash", hash)
        .with("--to", sandbox.cache(""));
    let finished = sandbox.run(by_commit).exits(0);
    assert!(finished.stdout.trim_end().ends_with("-source"));
    credentials_stayed(&standin, "private-token");

    let part = line
        .with("--subdirectory", "docs/assets")
        .with("--to", sandbox.out("part"));
    sandbox.run(part).exits(0);
    assert_eq!(
        read(&format!("part/{}", sample::LFS_FILE)),
        sample::LFS_CONTENT
    );
    assert!(!sandbox.path("part/docs/README.md").exists());
}

#[test]
fn a_job_token_and_a_deploy_token_go_where_gitlab_takes_them() {
    type Case = (TokenKind, &'static str, fn(&Standin) -> CommandLine);
    let cases: [Case; 4] = [
        (TokenKind::Job, "header=JOB-TOKEN", package),
        (TokenKind::Job, "header=JOB-TOKEN", file),
        (TokenKind::Job, "header=JOB-TOKEN", release),
        (TokenKind::Deploy, "header=DEPLOY-TOKEN", package),
    ];
    for (kind, option, line) in cases {
        let token = "glcbt-Zk3w8CanaryQ7vT1xN5y";
        let config =
            Config::new(TOKEN).token_of_kind(token, kind, fetchhost_standin::Access::Developer);
        let standin = Standin::start(config).unwrap();
        let sandbox = Sandbox::new().variable("CI_TOKEN", token);
        let line = line(&standin)
            .set("--credential", format!("token=env:CI_TOKEN,{option}"))
            .with("--to", sandbox.cache(""));
        sandbox.run(line).exits(0);
        let header = option.trim_start_matches("header=").to_lowercase();
        credentials_stayed(&standin, &header);
    }
}

#[test]
fn an_instance_below_a_path_is_served_as_well() {
    let mut config = Config::new(TOKEN);
    config.relative_root = "/git/lab".to_owned();
    let standin = Standin::start(config).unwrap();
    for line in [package(&standin), file(&standin), release(&standin)] {
        let sandbox = Sandbox::new();
        sandbox.run(line.with("--to", sandbox.cache(""))).exits(0);
    }
}

#[test]
fn a_parameter_that_makes_no_sense_is_named_before_anything_is_asked() {
    let (sandbox, standin) = (Sandbox::new(), private_project());
    for (line, message) in [
        (
            package(&standin).set("--package", "a/b"),
            "`package` may hold letters, digits",
        ),
        (
            package(&standin).set("--version", "1..2"),
            "`version` must not hold `..`",
        ),
        (
            package(&standin).set("--file", "dir/a~"),
            "`file` must not have a name that starts or ends with `~` or `@`",
        ),
        (
            package(&standin).set("--project", "../user"),
            "`project` must not hold empty, `.` or `..` segments",
        ),
        (
            archive(&standin).set("--ref", "main..dev"),
            "`ref` is no name of git's",
        ),
        (
            archive(&standin).with("--subdirectory", "/docs"),
            "`subdirectory` must not start or end with `/`",
        ),
        (
            file(&standin).set("--path", "docs/../../x"),
            "`path` must not hold empty, `.` or `..` segments",
        ),
        (
            release(&standin).set("--tag", "v1 beta"),
            "`tag` is no name of git's",
        ),
    ] {
        sandbox
            .run(line.with("--to", sandbox.cache("")))
            .exits(2)
            .says([message]);
    }
    assert_eq!(standin.requests(), []);
}

#[test]
fn no_output_is_called_like_a_derivation() {
    let (sandbox, standin) = (Sandbox::new(), private_project());
    let line = package(&standin)
        .set("--file", "engine.drv")
        .with("--to", sandbox.cache(""));
    sandbox.run(line).exits(2).says([".drv", "--name"]);
    assert_eq!(standin.requests(), []);
}
