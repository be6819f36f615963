//! Damage done by hand to caches that real Nix made: found, repaired, and judged by real Nix again.

use std::fs;
use std::path::PathBuf;

use fetchhost_e2e::{
    ACCESS_KEY_ID, CommandLine, Nix, S3Server, SECRET_ACCESS_KEY, Sandbox, files_below,
};
use fetchhost_formats::NarInfo;

/// Three texts, each of which refers to the one before, in a cache that Nix made of them. The last is returned.
pub(super) fn copied(nix: &Nix, query: &str) -> String {
    let expression = "let a = builtins.toFile \"a\" \"first\"; b = builtins.toFile \"b\" \"${a}\"; \
                      in builtins.toFile \"c\" \"${b}\"";
    let path = nix.ask(
        "nix-instantiate",
        ["--eval", "--read-write-mode", "--expr", expression],
    );
    let path = path.trim_matches('"').to_owned();
    let to = format!("file://{}?{query}", nix.path("cache").display());
    nix.run("nix", ["copy", "--to", &to, &path]).exits(0);
    path
}

pub(super) fn verify(url: &str) -> CommandLine {
    CommandLine::new(["cache", "verify"]).flag(url)
}

pub(super) fn url(nix: &Nix) -> String {
    format!("file://{}", nix.path("cache").display())
}

/// The records of a cache, with the names of their files.
pub(super) fn records(nix: &Nix) -> Vec<(PathBuf, NarInfo)> {
    let files = files_below(&nix.path("cache")).into_iter();
    let records = files.filter(|(path, _)| path.extension().is_some_and(|end| end == "narinfo"));
    records
        .map(|(path, text)| (path, String::from_utf8(text).unwrap().parse().unwrap()))
        .collect()
}

pub(super) fn record(nix: &Nix, name: &str) -> (PathBuf, NarInfo) {
    let mut records = records(nix).into_iter();
    records
        .find(|(_, record)| record.store_path.name() == name)
        .unwrap()
}

/// Takes what is in the cache into a store that is empty.
pub(super) fn substituted(nix: &Nix, path: &str) -> bool {
    let empty = nix.path("empty-store");
    let copied = nix.run(
        "nix",
        [
            "copy",
            "--no-check-sigs",
            "--from",
            &url(nix),
            "--to",
            empty.to_str().unwrap(),
            path,
        ],
    );
    copied.code == 0
}

#[test]
fn what_nix_made_is_sound_in_each_compression() {
    for nix in Nix::all("what_nix_made_is_sound_in_each_compression") {
        for compression in ["none", "xz", "zstd", "gzip", "bzip2"] {
            fs::create_dir_all(nix.path("cache")).unwrap();
            fs::remove_dir_all(nix.path("cache")).unwrap();
            let path = copied(
                &nix,
                &format!("compression={compression}&write-nar-listing=true"),
            );
            let found = nix
                .sandbox()
                .run(verify(&url(&nix)).flag("--json"))
                .exits(0)
                .json();
            assert_eq!(found["records"], 3, "{compression}: {found}");
            for nothing in ["damaged", "unread", "unchecked", "dangling"] {
                assert_eq!(
                    found[nothing].as_array().unwrap().len(),
                    0,
                    "{compression}: {found}"
                );
            }
            assert_eq!(found["orphanedNars"]["keys"].as_array().unwrap().len(), 0);
            assert_eq!(found["unsigned"], 0, "texts prove themselves");
            assert!(substituted(&nix, &path));
        }
    }
}

#[test]
fn what_is_damaged_comes_anew_from_the_store_and_nix_reads_it() {
    for nix in Nix::all("what_is_damaged_comes_anew_from_the_store_and_nix_reads_it") {
        let path = copied(&nix, "compression=xz");
        let nar = |name: &str| nix.path("cache").join(record(&nix, name).1.url.as_str());
        fs::remove_file(nar("a")).unwrap();
        let mut bytes = fs::read(nar("b")).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(nar("b"), bytes).unwrap();
        assert!(!substituted(&nix, &path));

        let sandbox = nix.sandbox();
        let done = sandbox.run(verify(&url(&nix)));
        assert_eq!(done.code, 1, "{done:?}");
        assert!(done.stdout.contains("-a: its NAR") && done.stdout.contains("is not there"));
        assert!(done.stdout.contains("2 damaged"), "{}", done.stdout);
        assert!(
            done.stderr.contains("2 entries are damaged"),
            "{}",
            done.stderr
        );

        let done = sandbox.run(verify(&url(&nix)).flag("--repair")).exits(0);
        assert_eq!(
            done.stdout.matches("restored from the Nix store").count(),
            2
        );
        sandbox.run(verify(&url(&nix))).exits(0);
        assert!(substituted(&nix, &path));
    }
}

#[test]
fn what_nobody_has_is_taken_away_so_that_nix_goes_on_without_it() {
    for nix in Nix::all("what_nobody_has_is_taken_away_so_that_nix_goes_on_without_it") {
        let path = copied(&nix, "compression=xz");
        let (file, hurt) = record(&nix, "c");
        let nar = nix.path("cache").join(hurt.url.as_str());
        fs::write(&nar, "damaged").unwrap();
        let sandbox = nix.sandbox();
        let repair = || verify(&url(&nix)).flag("--repair").flag("--no-store");
        let done = sandbox.run(repair().flag("--json"));
        assert_eq!(done.code, 1, "what is lost is said");
        let found = done.json();
        assert_eq!(found["damaged"][0]["repair"], "removed");
        assert_eq!(found["damaged"][0]["path"], path);
        assert_eq!(found["removedNars"][0], hurt.url.to_string());
        assert!(!file.exists() && !nar.exists());
        sandbox.run(repair()).exits(0);
        let kept = record(&nix, "b").1.store_path.to_string();
        assert!(substituted(&nix, &kept));
    }
}

#[test]
fn a_bucket_is_verified_and_repaired_from_a_folder() {
    for nix in Nix::all("a_bucket_is_verified_and_repaired_from_a_folder")
        .into_iter()
        .take(1)
    {
        let server = S3Server::start();
        copied(&nix, "compression=zstd");
        let (_, hurt) = record(&nix, "b");
        for (file, content) in files_below(&nix.path("cache")) {
            let key = file.strip_prefix(nix.path("cache")).unwrap();
            let content = match key.to_str().unwrap() == hurt.url.as_str() {
                true => &b"damaged"[..],
                false => &content,
            };
            server.put("team", key.to_str().unwrap(), content);
        }
        let sandbox = Sandbox::new()
            .variable("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID)
            .variable("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY);
        let bucket = format!("s3://team?endpoint={}&region=us-east-1", server.url());
        let found = sandbox.run(verify(&bucket).flag("--json"));
        assert_eq!(found.code, 1, "{found:?}");
        assert_eq!(
            found.json()["damaged"][0]["path"],
            hurt.store_path.to_string()
        );
        let repair = verify(&bucket).flag("--repair").flag("--no-store");
        let done = sandbox.run(repair.with("--from", url(&nix))).exits(0);
        assert!(
            done.stdout.contains("restored from file://"),
            "{}",
            done.stdout
        );
        sandbox.run(verify(&bucket)).exits(0);

        // With the wrong key nothing is known of it, and nothing is done to it.
        let sandbox = sandbox.variable("AWS_SECRET_ACCESS_KEY", "another");
        let done = sandbox.run(verify(&bucket).flag("--repair").flag("--no-store"));
        assert_eq!(done.code, 6, "{done:?}");
    }
}
