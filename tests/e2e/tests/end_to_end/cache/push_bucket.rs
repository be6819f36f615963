//! `cache push` into a bucket, whose folder real Nix reads.

use std::fs;
use std::process::Stdio;

use fetchhost_e2e::{ACCESS_KEY_ID, CommandLine, Nix, S3Server, SECRET_ACCESS_KEY, Sandbox};

use super::shelf::{Shelf, fetch, key, times, whole_records};

const BUCKET: &str = "team-cache";

fn sandbox(nix: &Nix) -> Sandbox {
    nix.sandbox()
        .variable("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID)
        .variable("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY)
}

fn push(server: &S3Server, query: &str) -> CommandLine {
    let endpoint = server.url();
    let url = format!("s3://{BUCKET}?endpoint={endpoint}&region=eu-west-1{query}");
    CommandLine::new(["cache", "push", &url])
}

#[test]
fn nix_reads_from_a_bucket_what_was_pushed_to_it() {
    for nix in Nix::all("nix_reads_from_a_bucket_what_was_pushed_to_it") {
        let (shelf, sandbox, server) = (Shelf::build(&nix), sandbox(&nix), S3Server::start());
        server.make_bucket(BUCKET);
        let (file, public) = key(&sandbox, "team-1");
        sandbox.run(push(&server, "").flag(&shelf.top)).exits(0);
        let line = push(&server, &format!("&secret-key={file}")).flag(&shelf.top);
        let signed = sandbox.run(line.clone().flag("-vv")).exits(0);
        let signed = signed.says(["4 signed"]);
        assert!(!signed.stderr.contains(SECRET_ACCESS_KEY));
        let bucket = server.bucket(BUCKET);
        let before = times(&bucket);
        sandbox.run(line).exits(0).says(["4 there before"]);
        assert_eq!(times(&bucket), before);
        assert!(fetch(&nix.another(), &bucket, &shelf.top, &public));
        assert!(!server.requests().concat().contains(SECRET_ACCESS_KEY));
    }
}

#[test]
fn many_small_paths_go_into_a_bucket() {
    let Some(nix) = Nix::all("many_small_paths_go_into_a_bucket")
        .into_iter()
        .next()
    else {
        return;
    };
    let (sandbox, server) = (sandbox(&nix), S3Server::start());
    server.make_bucket(BUCKET);
    let mut add = nix.command("nix-store");
    add.arg("--add");
    for number in 0..1000 {
        let file = sandbox.path(&format!("tmp/file-{number}"));
        fs::write(&file, format!("{number}\n")).unwrap();
        add.arg(file);
    }
    let added = add.output().unwrap();
    assert!(added.status.success());
    fs::write(sandbox.path("list"), &added.stdout).unwrap();
    let mut command = sandbox.command();
    command.args(push(&server, "").flag("--stdin").into_words());
    command.stdin(fs::File::open(sandbox.path("list")).unwrap());
    command.stdout(Stdio::null());
    assert!(command.status().unwrap().success());
    assert_eq!(whole_records(&server.bucket(BUCKET)).len(), 1000);
}

#[test]
fn a_server_that_is_away_ends_the_push_with_one_message() {
    let Some(nix) = Nix::all("a_server_that_is_away_ends_the_push")
        .into_iter()
        .next()
    else {
        return;
    };
    let (shelf, sandbox, server) = (Shelf::build(&nix), sandbox(&nix), S3Server::start());
    let line = push(&server, "").flag(&shelf.top);
    drop(server);
    let failed = sandbox.run(line).exits(6);
    assert_eq!(failed.stdout, "");
    let told = failed.stderr.matches("error: ").count();
    assert!(told <= 5, "{}", failed.stderr);
}
