//! `cache push` into a folder, judged by real Nix.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::Stdio;

use fetchhost_e2e::{Finished, Nix};

use super::shelf::{Shelf, fetch, key, push, times, told, whole_records};

#[test]
fn nix_reads_a_pushed_closure_if_it_trusts_the_key() {
    for nix in Nix::all("nix_reads_a_pushed_closure_if_it_trusts_the_key") {
        let (shelf, sandbox) = (Shelf::build(&nix), nix.sandbox());
        let (file, public) = key(&sandbox, "team-1");
        for query in ["compression=none", "compression=xz", "compression=zstd"] {
            let cache = sandbox.path("cache");
            let line = push(&sandbox, &format!("{query}&secret-key={file}")).flag(&shelf.top);
            let done = sandbox.run(line).exits(0).says(["4 pushed"]);
            let pushed: Vec<_> = done.stdout.lines().collect();
            // Each after those that it refers to.
            assert_eq!(pushed.len(), 4);
            let place = |path: &str| pushed.iter().position(|one| *one == path).unwrap();
            assert!(place(&shelf.base) < place(&shelf.middle));
            assert!(place(&shelf.middle) < place(&shelf.top));
            assert_eq!(whole_records(&cache).len(), 4);

            let other = nix.another();
            assert!(!fetch(&other, &cache, &shelf.top, ""), "without a key");
            assert!(fetch(&other, &cache, &shelf.top, &public));
            for path in shelf.all() {
                let content = |nix: &Nix| fs::read(nix.physical(path)).unwrap();
                assert_eq!(content(&other), content(&nix));
                let known = |nix: &Nix, what| nix.ask("nix-store", ["--query", what, path]);
                for what in ["--hash", "--size", "--references", "--deriver"] {
                    // The deriver of a text is none.
                    assert_eq!(known(&other, what), known(&nix, what), "{path} {what}");
                }
            }
            fs::remove_dir_all(cache).unwrap();
        }
    }
}

#[test]
fn a_second_push_writes_nothing_and_a_missing_signature_is_added_in_place() {
    for nix in Nix::all("a_second_push_writes_nothing") {
        let (shelf, sandbox) = (Shelf::build(&nix), nix.sandbox());
        let cache = sandbox.path("cache");
        let line = |query: &str| push(&sandbox, query).flag(&shelf.top);
        sandbox.run(line("")).exits(0);
        let before = times(&cache);
        let again = sandbox.run(line("")).exits(0).says(["4 there before"]);
        assert_eq!(again.stdout, "");
        assert_eq!(times(&cache), before);

        let (one, public) = key(&sandbox, "team-1");
        let planned = sandbox
            .run(line(&format!("secret-key={one}")).flag("--dry-run"))
            .exits(0);
        assert_eq!(planned.stdout.matches("would be signed").count(), 4);
        assert_eq!(times(&cache), before);
        let (two, _) = key(&sandbox, "another-1");
        for (query, signatures) in [
            (format!("secret-key={one}"), 1),
            (format!("secret-keys={one},{two}"), 2),
        ] {
            let signed = sandbox.run(line(&query)).exits(0).says(["4 signed"]);
            assert_eq!(signed.stdout.lines().count(), 4);
            for record in whole_records(&cache) {
                assert_eq!(record.signatures.len(), signatures);
            }
            let archives = |files: &std::collections::BTreeMap<_, _>| {
                let is_archive = |path: &std::path::PathBuf| path.starts_with(cache.join("nar"));
                let all = files.iter().filter(|(path, _)| is_archive(path));
                all.map(|(path, time)| (path.clone(), *time))
                    .collect::<Vec<_>>()
            };
            assert_eq!(archives(&times(&cache)), archives(&before));
        }
        assert!(fetch(&nix.another(), &cache, &shelf.top, &public));
    }
}

#[test]
fn what_is_not_what_the_store_knows_is_not_published_nor_what_refers_to_it() {
    for nix in Nix::all("what_is_not_what_the_store_knows_is_not_published") {
        let (shelf, sandbox) = (Shelf::build(&nix), nix.sandbox());
        let file = nix.physical(&shelf.middle);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        let content = fs::read(&file).unwrap();
        for damaged in [
            [&content[1..], b"!"].concat(),
            content[1..].to_vec(),
            [&content[..], &[0; 100]].concat(),
        ] {
            fs::write(&file, damaged).unwrap();
            let line = push(&sandbox, "compression=zstd&write-nar-listing=true").flag(&shelf.top);
            let failed = sandbox.run(line.clone()).exits(4);
            let parts = [
                &format!("`{}` is not what the store knows of it", shelf.middle),
                &format!("nix-store --verify-path {}", shelf.middle),
                &format!("`{}` is left out, because it refers to", shelf.top),
                "2 of 4 paths were not pushed",
            ];
            told(&failed, parts);
            assert_eq!(failed.stdout.lines().count(), 2);
            let json = sandbox.run(line.flag("--json")).exits(4).json();
            assert_eq!(json["error"]["kind"], "hash-mismatch");
            let statuses = json["pushed"]["paths"].as_array().unwrap().iter();
            let mut statuses: Vec<_> = statuses.map(|one| &one["status"]).collect();
            statuses.sort_by_key(ToString::to_string);
            assert_eq!(statuses, ["failed", "left-out", "present", "present"]);
            assert_eq!(whole_records(&sandbox.path("cache")).len(), 2);
            let archives = fs::read_dir(sandbox.path("cache/nar")).unwrap().count();
            // That of the top is an orphan until it is pushed again.
            assert_eq!(archives, 3);
            fs::remove_dir_all(sandbox.path("cache")).unwrap();
        }
        fs::write(&file, content).unwrap();
        let line = push(&sandbox, "").flag(&shelf.top);
        sandbox.run(line).exits(0).says(["4 pushed"]);
    }
}

#[test]
fn without_the_closure_a_path_whose_references_are_missing_is_refused() {
    for nix in Nix::all("without_the_closure_a_path_whose_references_are_missing_is_refused") {
        let (shelf, sandbox) = (Shelf::build(&nix), nix.sandbox());
        let line = |paths: &[&str]| {
            let line = push(&sandbox, "").flag("--no-closure");
            paths.iter().fold(line, |line, path| line.flag(path))
        };
        sandbox.run(line(&[&shelf.top])).exits(1).says([
            &shelf.middle,
            &shelf.text,
            "hint: ",
            "`--closure`",
        ]);
        assert!(!sandbox.path("cache").exists());
        // It refers to itself, which is no reason.
        sandbox.run(line(&[&shelf.middle, &shelf.base])).exits(0);
        sandbox.run(line(&[&shelf.text])).exits(0);
        let last = sandbox.run(line(&[&shelf.top])).exits(0);
        assert_eq!(last.stdout.trim_end(), shelf.top);
        assert_eq!(whole_records(&sandbox.path("cache")).len(), 4);
    }
}

#[test]
fn only_what_its_content_address_proves_is_pushed_where_that_is_asked_for() {
    for nix in Nix::all("only_what_its_content_address_proves_is_pushed") {
        let (shelf, sandbox) = (Shelf::build(&nix), nix.sandbox());
        let line = |path: &str| {
            push(&sandbox, "")
                .flag("--only-content-addressed")
                .flag(path)
        };
        let skipped = sandbox.run(line(&shelf.top)).exits(1);
        let parts = [
            &format!("`{}` is skipped: it has no content address", shelf.base),
            "3 of 4 paths were skipped, one of them by name",
        ];
        told(&skipped, parts);
        assert_eq!(skipped.stdout.trim_end(), shelf.text);
        // Nix needs no key for these. A derivation is a text that refers to other texts.
        let drv = nix.ask("nix-store", ["--query", "--deriver", &shelf.top]);
        sandbox.run(line(&drv)).exits(0);
        let cache = sandbox.path("cache");
        assert!(whole_records(&cache).len() >= 4);
        assert!(fetch(&nix.another(), &cache, &drv, ""));
    }
}

#[test]
fn another_build_that_is_there_stays_without_our_signature() {
    const EXPRESSION: &str = r#"derivation {
        name = "other";
        system = builtins.currentSystem;
        builder = "/bin/sh";
        args = [ "-c" "read id < /proc/sys/kernel/random/uuid; echo $id > $out" ];
    }"#;
    for nix in Nix::all("another_build_that_is_there_stays_without_our_signature") {
        let other = nix.another();
        let build = |nix: &Nix| nix.ask("nix-build", ["--no-out-link", "--expr", EXPRESSION]);
        let path = build(&nix);
        assert_eq!(build(&other), path);
        let sandbox = nix.sandbox();
        sandbox.run(push(&sandbox, "").flag(&path)).exits(0);
        let before = times(&sandbox.path("cache"));
        let (file, _) = key(&sandbox, "team-1");
        let line = push(&sandbox, &format!("secret-key={file}")).flag(&path);
        let store = format!("local?root={}", other.path("").display());
        let store = store.trim_end_matches('/');
        sandbox
            .run(line.with("--store", store))
            .exits(0)
            .says(["another build of", "stays as it is"]);
        assert_eq!(times(&sandbox.path("cache")), before);
    }
}

#[test]
fn a_listing_is_the_one_that_nix_writes() {
    for nix in Nix::all("a_listing_is_the_one_that_nix_writes") {
        let sandbox = nix.sandbox();
        let tree = sandbox.path("tree");
        fs::create_dir_all(tree.join("bin")).unwrap();
        fs::write(tree.join("bin/tool"), vec![7; 200_000]).unwrap();
        fs::set_permissions(tree.join("bin/tool"), fs::Permissions::from_mode(0o755)).unwrap();
        symlink("bin/tool", tree.join("link")).unwrap();
        let path = nix.ask("nix-store", ["--add", tree.to_str().unwrap()]);
        let query = "compression=zstd&write-nar-listing=true";
        sandbox.run(push(&sandbox, query).flag(&path)).exits(0);
        let theirs = format!("file://{}?{query}", sandbox.path("theirs").display());
        nix.ask("nix", ["copy", "--to", &theirs, &path]);
        let listing = |cache: &str| {
            let files = fs::read_dir(sandbox.path(cache)).unwrap();
            let paths = files.map(|file| file.unwrap().path());
            let found = paths.filter(|path| path.extension().is_some_and(|ls| ls == "ls"));
            let found: Vec<_> = found.collect();
            assert_eq!(found.len(), 1);
            let text = fs::read_to_string(&found[0]).unwrap();
            (
                found[0].file_name().unwrap().to_owned(),
                serde_json::from_str::<serde_json::Value>(&text).unwrap(),
            )
        };
        assert_eq!(listing("cache"), listing("theirs"));
        // A name that JSON cannot hold costs the listing, and nothing else.
        fs::remove_dir_all(sandbox.path("cache")).unwrap();
        let name = <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"\xff");
        fs::write(tree.join(name), "").unwrap();
        let path = nix.ask("nix-store", ["--add", tree.to_str().unwrap()]);
        let done = sandbox.run(push(&sandbox, query).flag(&path));
        done.exits(0).says(["gets no listing", "1 pushed"]);
        assert_eq!(whole_records(&sandbox.path("cache")).len(), 1);
    }
}

#[test]
fn paths_are_named_on_stdin_by_links_and_by_what_is_in_them() {
    for nix in Nix::all("paths_are_named_on_stdin_by_links_and_by_what_is_in_them") {
        let (shelf, sandbox) = (Shelf::build(&nix), nix.sandbox());
        symlink(&shelf.text, sandbox.path("result")).unwrap();
        let mut command = sandbox.command();
        let line = push(&sandbox, "").flag("--stdin").flag("./result");
        command.args(line.into_words()).stdin(Stdio::piped());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut run = command.spawn().unwrap();
        let mut stdin = run.stdin.take().unwrap();
        writeln!(stdin, "{}/bin/x\n\n{}", shelf.base, shelf.base).unwrap();
        drop(stdin);
        let done = Finished::new(&run.wait_with_output().unwrap()).exits(0);
        assert_eq!(done.stdout.lines().count(), 2);

        let gone = format!("/nix/store/{}-gone", "0".repeat(32));
        let line = push(&sandbox, "").flag(&shelf.top).flag(&gone);
        sandbox
            .run(line)
            .exits(6)
            .says(["-gone` is not valid", "nix-store --realise"]);
        sandbox.run(push(&sandbox, "")).exits(2).says(["`--stdin`"]);
        let line = push(&sandbox, "").flag("/etc/passwd");
        sandbox.run(line).exits(2).says(["is not in the store"]);
        let line = push(&sandbox, "").flag(&shelf.top).flag("--json");
        let json = sandbox.run(line).exits(0).json();
        assert_eq!(json["paths"].as_array().unwrap().len(), 4);
        assert_eq!(json["paths"][3]["status"], "pushed");
    }
}
