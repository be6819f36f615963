//! `cache init` and `cache info`.

use std::fs;

use fetchhost_e2e::{
    ACCESS_KEY_ID, CommandLine, Finished, Nix, Quirk, S3Server, SECRET_ACCESS_KEY, Sandbox,
    private_project,
};

fn cache(sandbox: &Sandbox, words: &[&str]) -> Finished {
    let line = CommandLine::new(["cache"]);
    sandbox.run(words.iter().fold(line, |line, word| line.flag(word)))
}

#[test]
fn nix_opens_a_cache_that_was_made_empty() {
    for nix in Nix::all("nix_opens_a_cache_that_was_made_empty") {
        let sandbox = Sandbox::new();
        let url = sandbox.cache("priority=7&want-mass-query=false");
        cache(&sandbox, &["init", &url]).exits(0);
        let text = fs::read_to_string(sandbox.path("cache/nix-cache-info")).unwrap();
        assert_eq!(
            text,
            "StoreDir: /nix/store\nWantMassQuery: 0\nPriority: 7\n"
        );
        let again = cache(&sandbox, &["init", &sandbox.cache("")]).exits(0);
        assert!(again.stdout.contains("already"), "{}", again.stdout);
        assert_eq!(
            fs::read_to_string(sandbox.path("cache/nix-cache-info")).unwrap(),
            text
        );
        let folder = format!("file://{}", sandbox.path("cache").display());
        let asked = nix
            .command("nix")
            .args(["--extra-experimental-features", "nix-command"])
            .args(["path-info", "--all", "--store", &folder])
            .output()
            .unwrap();
        Finished::new(&asked).exits(0);
    }
}

#[test]
fn info_counts_what_is_there_and_says_what_is_no_cache() {
    let (standin, sandbox) = (private_project(), Sandbox::new());
    let url = sandbox.cache("");
    cache(&sandbox, &["info", &url])
        .exits(6)
        .says(["no binary cache", "cache init"]);
    let line = CommandLine::tree(&standin).with("--to", &url);
    sandbox.run(line).exits(0);
    let told = cache(&sandbox, &["info", &url, "--json"]).exits(0).json();
    assert_eq!((&told["paths"], &told["nars"]), (&1.into(), &1.into()));
    assert!(told["bytes"].as_u64().unwrap() > 0 && told["server"].is_null());
    let told = cache(&sandbox, &["info", &url]).exits(0).stdout;
    assert!(told.contains("paths: 1, NARs: 1, in all "), "{told}");
}

#[test]
fn info_tells_which_conditions_a_server_honours_and_changes_nothing() {
    for (quirk, honoured) in [(Quirk::None, true), (Quirk::IgnoresConditions, false)] {
        let server = S3Server::with(quirk);
        server.make_bucket("team");
        let sandbox = Sandbox::new()
            .variable("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID)
            .variable("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY);
        let url = format!("s3://team?endpoint={}", server.url());
        cache(&sandbox, &["init", &url]).exits(0);
        let file = server.bucket("team").join("nix-cache-info");
        let before = fs::read(&file).unwrap();
        let told = cache(&sandbox, &["info", &url, "--json"]).exits(0).json();
        assert_eq!(
            told["conditionalWrites"],
            serde_json::json!({ "create": honoured, "update": honoured })
        );
        assert_eq!(told["server"], format!("{}/team/", server.url()));
        assert_eq!(fs::read(&file).unwrap(), before);
    }
}

#[test]
fn the_hint_to_make_a_cache_names_no_other_bucket() {
    let server = S3Server::start();
    server.make_bucket("team");
    let sandbox = Sandbox::new()
        .variable("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID)
        .variable("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY);
    let url = format!("s3://team?endpoint={}&region=eu-west-1", server.url());
    cache(&sandbox, &["info", &url])
        .exits(6)
        .says(["`nix-fetchhost cache init` with the same URL"]);
}

#[test]
fn what_the_server_makes_of_conditions_is_not_said_where_nobody_can_tell() {
    let server = S3Server::with(Quirk::Refuses("PUT", 403, "AccessDenied"));
    server.put("team", "nix-cache-info", b"StoreDir: /nix/store\n");
    let sandbox = Sandbox::new()
        .variable("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID)
        .variable("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY);
    let url = format!("s3://team?endpoint={}", server.url());
    let told = cache(&sandbox, &["info", &url, "--json"]).exits(0).json();
    assert!(told["conditionalWrites"].is_null(), "{told}");
}

#[test]
fn a_url_that_is_none_is_refused_with_what_to_write() {
    let sandbox = Sandbox::new();
    for (url, says) in [
        ("/srv/cache", "file:///"),
        ("file://host/x", "file:///"),
        ("s3://", "s3://BUCKET"),
        ("s3://b?regon=x", "`regon`"),
        ("https://cache.example.com", "file:///"),
    ] {
        cache(&sandbox, &["info", url]).exits(2).says([says]);
    }
}
