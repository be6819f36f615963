//! `cache push --post-build-hook`, run by real builds.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use fetchhost_e2e::{CommandLine, Finished, Nix, Sandbox};

use super::shelf::{key, push, whole_records};

const EXPRESSION: &str = r#"derivation {
    name = "built";
    outputs = [ "out" "doc" ];
    system = builtins.currentSystem;
    builder = "/bin/sh";
    args = [ "-c" "echo $doc > $out; echo doc > $doc" ];
}"#;

#[track_caller]
fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(60), "not so: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// A script for `post-build-hook`.
fn hook(sandbox: &Sandbox, url: &str) -> PathBuf {
    let program = sandbox.command().get_program().to_owned();
    let script = sandbox.path("hook");
    let text = format!(
        "#!/bin/sh\nexec '{}' cache push '{url}' --post-build-hook --queue '{}'\n",
        Path::new(&program).display(),
        sandbox.path("queue").display()
    );
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    script
}

/// Builds with the hook.
fn build(nix: &Nix, hook: &Path) -> Finished {
    let hook = hook.to_str().unwrap();
    let arguments = [
        "--no-out-link",
        "--option",
        "post-build-hook",
        hook,
        "--expr",
        EXPRESSION,
    ];
    nix.run("nix-build", arguments)
}

/// What waits in the queue.
fn waiting(sandbox: &Sandbox) -> (usize, usize) {
    let count = |folder: &str, end: &str| {
        let files = fs::read_dir(sandbox.path(folder)).into_iter().flatten();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.ends_with(end)).count()
    };
    (count("queue", ".paths"), count("queue/roots", ""))
}

#[test]
fn what_nix_builds_is_pushed_in_the_background() {
    for nix in Nix::all("what_nix_builds_is_pushed_in_the_background") {
        let sandbox = nix.sandbox();
        let (file, _) = key(&sandbox, "team-1");
        let cache = sandbox.path("cache");
        let url = sandbox.cache(&format!("secret-key={file}"));
        let built = build(&nix, &hook(&sandbox, &url)).exits(0);
        assert!(
            !built.stderr.contains("warning: what was built"),
            "{}",
            built.stderr
        );
        eventually("all is pushed", || {
            waiting(&sandbox) == (0, 0) && cache.join("nix-cache-info").exists()
        });
        let records = whole_records(&cache);
        assert_eq!(records.len(), 2);
        assert!(records.iter().all(|record| record.signatures.len() == 1));
        // Nothing of the key is in the queue.
        for (path, content) in fetchhost_e2e::files_below(&sandbox.path("queue")) {
            let content = String::from_utf8_lossy(&content);
            let secret = fs::read_to_string(&file).unwrap();
            let secret = secret.split(':').next_back().unwrap();
            assert!(!content.contains(secret), "{}", path.display());
        }
    }
}

#[test]
fn a_cache_that_fails_costs_no_build_and_what_waits_is_not_collected() {
    for nix in Nix::all("a_cache_that_fails_costs_no_build") {
        let sandbox = nix.sandbox();
        // There is a file where the folder is to be.
        fs::write(sandbox.path("cache"), "").unwrap();
        let url = sandbox.cache("compression=zstd");
        let built = build(&nix, &hook(&sandbox, &url)).exits(0);
        let log = sandbox.path("queue/log");
        let says = || fs::read_to_string(&log).unwrap_or_default();
        eventually("a failure is told", || says().contains("error: "));
        assert_eq!(waiting(&sandbox), (1, 2));
        let out = built.stdout.lines().next().unwrap().to_owned();
        nix.ask("nix-store", ["--gc"]);
        assert!(nix.physical(&out).exists());

        // Another cache's queue is not this one's.
        let other = format!("file://{}", sandbox.path("elsewhere").display());
        let drain = |url: &str| {
            CommandLine::new(["cache", "push", url, "--drain"])
                .with("--queue", sandbox.path("queue").display())
        };
        sandbox.run(drain(&other)).exits(2).says(["is that of"]);

        fs::remove_file(sandbox.path("cache")).unwrap();
        // By whoever is first: it waits for the one in the background.
        sandbox.run(drain(&url)).exits(0);
        assert_eq!(waiting(&sandbox), (0, 0));
        assert_eq!(whole_records(&sandbox.path("cache")).len(), 2);
        nix.ask("nix-store", ["--gc"]);
        assert!(!nix.physical(&out).exists());
    }
}

#[test]
fn what_is_gone_or_damaged_does_not_stop_the_queue() {
    for nix in Nix::all("what_is_gone_or_damaged_does_not_stop_the_queue") {
        let sandbox = nix.sandbox();
        let add = |name: &str| {
            fs::write(sandbox.path(name), name).unwrap();
            let file = sandbox.path(name);
            nix.ask("nix-store", ["--add", file.to_str().unwrap()])
        };
        let (good, bad) = (add("good"), add("bad"));
        let gone = format!("/nix/store/{}-gone", "0".repeat(32));
        fs::set_permissions(nix.physical(&bad), fs::Permissions::from_mode(0o644)).unwrap();
        fs::write(nix.physical(&bad), "BAD").unwrap();
        fs::create_dir(sandbox.path("queue")).unwrap();
        for (name, text) in [
            ("1", format!("{bad}\n")),
            ("2", format!("{gone}\nno path\n{good}\n")),
        ] {
            fs::write(sandbox.path(&format!("queue/{name}.paths")), text).unwrap();
        }
        let line = push(&sandbox, "").flag("--drain").with("--queue", "queue");
        sandbox.run(line).exits(0).says([
            "-gone` is gone, and not pushed",
            "-bad` is not what the store knows of it",
        ]);
        assert_eq!(waiting(&sandbox), (0, 0));
        assert_eq!(whole_records(&sandbox.path("cache")).len(), 1);
    }
}

#[test]
fn the_hook_ends_well_whatever_is_wrong() {
    let sandbox = Sandbox::new();
    let url = sandbox.cache("compression=zstd");
    let line = |url: &str| {
        CommandLine::new(["cache", "push", url, "--post-build-hook"]).with("--queue", "queue")
    };
    sandbox
        .run(line(&url))
        .exits(0)
        .says(["`OUT_PATHS` is not set"]);
    let path = format!("/nix/store/{}-x", "0".repeat(32));
    let sandbox = sandbox.variable("OUT_PATHS", &format!("{path} {path}"));
    sandbox
        .run(line("ftp://x"))
        .exits(0)
        .says(["is not pushed"]);
    fs::write(sandbox.path("queue"), "").unwrap();
    sandbox
        .run(line(&url))
        .exits(0)
        .says(["is not pushed", "`--queue DIR`"]);
    fs::remove_file(sandbox.path("queue")).unwrap();
    fs::create_dir(sandbox.path("queue")).unwrap();
    let shared = fs::Permissions::from_mode(0o777);
    fs::set_permissions(sandbox.path("queue"), shared).unwrap();
    sandbox
        .run(line(&url))
        .exits(0)
        .says(["others than this user can write"]);
    // Nothing is made there either.
    let made = fs::read_dir(sandbox.path("queue")).unwrap().count();
    assert_eq!(made, 0);
    let sandbox = sandbox.configured("this is no configuration");
    sandbox.run(line(&url)).exits(0).says(["is not pushed"]);
    let sandbox = Sandbox::new().variable("OUT_PATHS", "/etc/passwd");
    sandbox.run(line(&url)).exits(0).says(["is no store path"]);
}
