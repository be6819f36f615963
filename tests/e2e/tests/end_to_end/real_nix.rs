//! Nix 2.8 or later is the judge of what the program made.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use fetchhost_e2e::{CommandLine, Nix, Sandbox, TREE_HASH, member_content, private_project, sri};
use fetchhost_standin::sample::{ENTRIES, Entry};

/// `nix/cached.nix` applied: a fixed output whose builder always fails.
fn cached(name: &str, hash: &str, mode: &str) -> String {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../nix/cached.nix");
    format!("import {file} {{ name = \"{name}\"; hash = \"{hash}\"; mode = \"{mode}\"; }}")
}

/// The one narinfo in a cache: its path and text.
fn narinfo(cache: &Path) -> (std::path::PathBuf, String) {
    let files = fs::read_dir(cache)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|end| end == "narinfo"))
        .collect();
    assert_eq!(found.len(), 1, "{found:?}");
    let path = found.remove(0);
    let text = fs::read_to_string(&path).unwrap();
    (path, text)
}

fn field<'a>(narinfo: &'a str, name: &str) -> &'a str {
    let line = narinfo
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    line.unwrap_or_else(|| panic!("no {name} in:\n{narinfo}"))
}

/// Lays the sample tree out as an unpacker should.
fn lay_out_sample(folder: &Path) {
    for (path, entry) in ENTRIES {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match entry {
            Entry::File {
                content,
                executable,
            } => {
                fs::write(&path, content).unwrap();
                let mode = if *executable { 0o755 } else { 0o644 };
                fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            }
            Entry::Symlink(target) => std::os::unix::fs::symlink(target, &path).unwrap(),
            Entry::EmptyFolder => fs::create_dir(&path).unwrap(),
        }
    }
}

#[test]
fn nix_agrees_on_the_hash_of_the_sample_tree() {
    for nix in Nix::all("nix_agrees_on_the_hash_of_the_sample_tree") {
        let tree = nix.path("tree");
        lay_out_sample(&tree);
        assert_eq!(
            nix.ask("nix", ["hash", "path", tree.to_str().unwrap()]),
            TREE_HASH
        );
    }
}

#[test]
fn a_flat_output_is_substituted_from_the_unsigned_cache_though_its_builder_fails() {
    for nix in Nix::all("a_flat_output_is_substituted_from_the_unsigned_cache") {
        let (sandbox, standin) = (Sandbox::new(), private_project());
        let hash = sri(member_content().as_bytes());
        let expression = cached("manual.txt", &hash, "flat");
        let empty = sandbox.path("empty");
        fs::create_dir(&empty).unwrap();
        nix.build(&expression, &empty)
            .exits(1)
            .says(["nix-fetchhost run", &hash]);

        let run = sandbox
            .run(CommandLine::member(&standin).with("--to", sandbox.cache("")))
            .exits(0);
        let store_path = run.stdout.trim_end();
        let built = nix.build(&expression, &sandbox.path("cache")).exits(0);
        assert_eq!(built.stdout.trim_end(), store_path);
        assert_eq!(
            fs::read_to_string(nix.physical(store_path)).unwrap(),
            member_content()
        );
        nix.run("nix-store", ["--verify-path", store_path]).exits(0);
    }
}

#[test]
fn a_tree_is_substituted_under_every_compression() {
    for compression in ["none", "zstd", "xz"] {
        for nix in Nix::all("a_tree_is_substituted_under_every_compression") {
            let (sandbox, standin) = (Sandbox::new(), private_project());
            let cache = sandbox.cache(&format!("compression={compression}"));
            let run = sandbox
                .run(CommandLine::tree(&standin).with("--to", cache))
                .exits(0);
            let store_path = run.stdout.trim_end();
            let expression = cached("source", TREE_HASH, "nar");
            let built = nix.build(&expression, &sandbox.path("cache")).exits(0);
            assert_eq!(built.stdout.trim_end(), store_path, "{compression}");
            nix.run("nix-store", ["--verify-path", store_path]).exits(0);

            let expected = nix.path("tree");
            lay_out_sample(&expected);
            assert_eq!(
                nix.dump(&nix.physical(store_path)),
                nix.dump(&expected),
                "{compression}"
            );
            let (_, narinfo) = narinfo(&sandbox.path("cache"));
            assert_eq!(field(&narinfo, "Compression"), compression);
        }
    }
}

#[test]
fn nar_and_narinfo_are_those_that_nix_itself_would_write() {
    for nix in Nix::all("nar_and_narinfo_are_those_that_nix_itself_would_write") {
        let (sandbox, standin) = (Sandbox::new(), private_project());
        let ours = sandbox.path("cache");
        for (line, expression) in [
            (
                CommandLine::tree(&standin),
                cached("source", TREE_HASH, "nar"),
            ),
            (
                CommandLine::member(&standin),
                cached("manual.txt", &sri(member_content().as_bytes()), "flat"),
            ),
        ] {
            let run = sandbox.run(line.with("--to", sandbox.cache(""))).exits(0);
            let store_path = run.stdout.trim_end();
            nix.build(&expression, &ours).exits(0);

            let theirs = nix.path("written-by-nix");
            let to = format!("file://{}?compression=none", theirs.display());
            nix.run("nix", ["copy", "--to", &to, store_path]).exits(0);
            let (path, expected) = narinfo(&theirs);
            let made = fs::read_to_string(ours.join(path.file_name().unwrap())).unwrap();
            assert_eq!(made, expected);
            let nar = field(&made, "URL");
            assert_eq!(
                fs::read(ours.join(nar)).unwrap(),
                fs::read(theirs.join(nar)).unwrap()
            );
            fs::remove_dir_all(theirs).unwrap();
            fs::remove_dir_all(&ours).unwrap();
        }
    }
}

#[test]
fn the_store_path_is_the_one_that_nix_computes() {
    for nix in Nix::all("the_store_path_is_the_one_that_nix_computes") {
        let content = b"some bytes\n";
        for (name, algorithm) in [
            ("hello.txt", "sha256"),
            ("a+b-1.0_x?=.tar.gz", "sha512"),
            ("old", "sha1"),
            ("x", "md5"),
        ] {
            let sandbox = Sandbox::new();
            let config = fetchhost_standin::Config::new("none").public_file("/file", &content[..]);
            let standin = fetchhost_standin::Standin::start(config).unwrap();
            let file = sandbox.path("content");
            fs::write(&file, content).unwrap();
            let file = file.to_str().unwrap();
            let hash = nix.ask("nix", ["hash", "file", "--sri", "--type", algorithm, file]);
            let run = sandbox.run(
                CommandLine::http_file(&format!("{}/file", standin.url()), &hash)
                    .with("--name", name)
                    .with("--to", sandbox.cache("")),
            );
            let ours = run.exits(0).stdout.trim_end().to_owned();

            let hex = nix.ask("nix", ["hash", "to-base16", "--type", algorithm, &hash]);
            let fixed = ["--print-fixed-path", algorithm, &hex, name];
            assert_eq!(nix.ask("nix-store", fixed), ours, "{algorithm}");
            let expression = format!("({}).outPath", cached(name, &hash, "flat"));
            let evaluated = nix.ask("nix-instantiate", ["--eval", "--expr", &expression]);
            assert_eq!(evaluated, format!("\"{ours}\""), "{algorithm}");
        }
    }
}

#[test]
fn a_signature_alone_makes_nix_accept_the_path() {
    for nix in Nix::all("a_signature_alone_makes_nix_accept_the_path") {
        let (sandbox, standin) = (Sandbox::new(), private_project());
        for name in ["ours", "other"] {
            let (secret, public) = (sandbox.path(name), sandbox.path(&format!("{name}.pub")));
            let (secret, public) = (secret.to_str().unwrap(), public.to_str().unwrap());
            let key = [
                "--generate-binary-cache-key",
                &format!("{name}-1"),
                secret,
                public,
            ];
            nix.run("nix-store", key).exits(0);
        }
        let public = |name: &str| fs::read_to_string(sandbox.path(&format!("{name}.pub"))).unwrap();
        let query = format!(
            "compression=none&secret-key={}",
            sandbox.path("ours").display()
        );
        let run = sandbox
            .run(CommandLine::tree(&standin).with("--to", sandbox.cache(&query)))
            .exits(0);
        let store_path = run.stdout.trim_end();

        let (file, narinfo) = narinfo(&sandbox.path("cache"));
        assert!(field(&narinfo, "Sig").starts_with("ours-1:"));
        let cache = format!("file://{}", sandbox.path("cache").display());
        let verify = |key: &str| {
            let arguments = [
                "store",
                "verify",
                "--store",
                &cache,
                "--trusted-public-keys",
                key,
                store_path,
            ];
            nix.run("nix", arguments)
        };
        verify(&public("ours")).exits(0);

        // A content-addressed path is trusted without any signature. Without its address, all hangs on
        // the signature.
        let lines = narinfo.lines().filter(|line| !line.starts_with("CA: "));
        fs::write(
            file,
            lines.map(|line| format!("{line}\n")).collect::<String>(),
        )
        .unwrap();
        assert_ne!(verify(&public("other")).code, 0);
        verify(&public("ours")).exits(0);
    }
}
