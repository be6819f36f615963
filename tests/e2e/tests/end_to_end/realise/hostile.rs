//! Files in the store that no Nix has written.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use fetchhost_e2e::{CommandLine, Finished, Nix, Sandbox, sri};

use super::{files, granted, instantiate, lines, public, realise};

/// Puts something where a derivation should be.
type Make<'a> = &'a dyn Fn(&PathBuf);

/// A derivation file's logical path, and where it lies.
fn drv(nix: &Nix, name: &str) -> (String, PathBuf) {
    let path = format!("/nix/store/{}-{name}.drv", "0".repeat(32));
    let file = nix.physical(&path);
    (path, file)
}

#[track_caller]
fn refused(sandbox: &Sandbox, line: CommandLine, part: &str) -> Finished {
    let finished = sandbox.run(line).exits(2);
    assert!(
        finished.stderr.contains(part),
        "no {part} in {}",
        finished.stderr
    );
    for word in ["panicked", "\u{1b}[31m"] {
        assert!(!finished.stderr.contains(word), "{}", finished.stderr);
    }
    finished
}

#[test]
fn what_is_no_derivation_is_refused_by_its_name() {
    let Some(nix) = Nix::all("what_is_no_derivation_is_refused_by_its_name").pop() else {
        return;
    };
    let sandbox = nix.sandbox();
    for (text, part) in [
        ("nonsense", "neither a store path nor a link"),
        ("/etc/passwd", "neither a store path nor a link"),
        ("/nix/store", "not below"),
        ("/nix/store/x.drv", "not a store path"),
        (
            "/nix/store/00000000000000000000000000000000-out",
            "not a derivation but something that one may have made",
        ),
        (
            "/nix/store/00000000000000000000000000000000-x.drv!../y",
            "names of outputs",
        ),
    ] {
        refused(&sandbox, realise(&[text]), part);
    }
    refused(
        &sandbox,
        realise(&[".#app"]),
        "\"$(nix path-info --derivation .#app)\"",
    );
    let file = sandbox.path("default.nix");
    std::fs::write(&file, "{ }").unwrap();
    let file = file.to_str().unwrap();
    refused(&sandbox, realise(&[file]), &format!("`--file {file}`"));
    refused(&sandbox, CommandLine::new(["realise"]), "DRV");
    let json = sandbox.run(realise(&["nonsense"]).flag("--json")).exits(2);
    assert_eq!(json.json()["error"]["kind"], "usage");
}

#[test]
fn files_that_are_no_derivations_are_errors_and_the_others_are_fetched() {
    for nix in Nix::all("files_that_are_no_derivations_are_errors") {
        let standin = files(&[("/a", b"a")]);
        let sandbox = granted(&nix, &standin);
        let right = instantiate(&nix, &public(&standin, "/a", "a", &sri(b"a")));
        let content = fs::read_to_string(nix.physical(&right)).unwrap();
        let cases: [(&str, Make, &str); 9] = [
            ("missing", &|_| {}, "it is not in this store"),
            (
                "empty",
                &|file| fs::write(file, "").unwrap(),
                "not what Nix writes",
            ),
            (
                "text",
                &|file| fs::write(file, "Derive(\u{1b}[31m").unwrap(),
                "not what Nix writes",
            ),
            (
                "bytes",
                &|file| fs::write(file, [0xff; 1000]).unwrap(),
                "not what Nix writes",
            ),
            (
                "deep",
                &|file| fs::write(file, "Derive([(".repeat(100_000)).unwrap(),
                "not what Nix writes",
            ),
            (
                "huge",
                &|file| {
                    let file = fs::File::create(file).unwrap();
                    file.set_len(100 << 30).unwrap();
                },
                "larger than 64 MiB",
            ),
            (
                "folder",
                &|file| fs::create_dir(file).unwrap(),
                "not a plain file",
            ),
            (
                "pipe",
                &|file| assert!(Command::new("mkfifo").arg(file).status().unwrap().success()),
                "not a plain file",
            ),
            (
                "link",
                &|file| std::os::unix::fs::symlink("/etc/passwd", file).unwrap(),
                "cannot be read",
            ),
        ];
        for (name, make, part) in cases {
            let (path, file) = drv(&nix, name);
            make(&file);
            let finished = refused(&sandbox, realise(&[&path, &right]), part);
            assert!(finished.stderr.contains("a derivation cannot be read"));
            assert_eq!(
                lines(&finished).len(),
                1,
                "{name}: the right one is fetched"
            );
        }
        // What cannot be read below a derivation is told in the same way.
        let (path, file) = drv(&nix, "above");
        let (missing, _) = drv(&nix, "missing");
        let inputs = format!("[(\"{missing}\",[\"out\"]),(\"{right}\",[\"out\"])]");
        let text = content.replacen("],[],[],", &format!("],{inputs},[],"), 1);
        assert_ne!(text, content);
        fs::write(&file, text).unwrap();
        let finished = refused(&sandbox, realise(&[&path]), "it is not in this store");
        assert!(finished.stderr.contains(&missing), "{}", finished.stderr);
    }
}

#[test]
fn a_chain_that_comes_back_to_itself_ends() {
    for nix in Nix::all("a_chain_that_comes_back_to_itself_ends") {
        let standin = files(&[("/a", b"a")]);
        let sandbox = granted(&nix, &standin);
        let right = instantiate(&nix, &public(&standin, "/a", "a", &sri(b"a")));
        let ((one, first), (two, second)) = (drv(&nix, "one"), drv(&nix, "two"));
        for (file, next) in [(&first, &two), (&second, &one)] {
            let text = format!(
                "Derive([],[(\"{next}\",[\"out\"]),(\"{right}\",[\"out\"])],[],\"x\",\"x\",[],[])"
            );
            fs::write(file, text).unwrap();
        }
        let finished = sandbox.run(realise(&[&one, &two])).exits(0);
        assert_eq!(lines(&finished).len(), 1);
        assert_eq!(standin.requests().len(), 1);
    }
}

#[test]
fn a_store_that_is_not_there_is_not_made() {
    let Some(nix) = Nix::all("a_store_that_is_not_there_is_not_made").pop() else {
        return;
    };
    let root = nix.path("none");
    let sandbox = nix
        .sandbox()
        .variable("NIX_REMOTE", &format!("local?root={}", root.display()));
    let (path, _) = drv(&nix, "x");
    refused(&sandbox, realise(&[&path]), "it is not in this store");
    assert!(!root.exists());
}
