//! What real Nix puts into a cache, and what `host/formats` makes of it.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Output;

use fetchhost_e2e::{Nix, nix_string};
use fetchhost_formats::nar::{self, Event};
use fetchhost_formats::{
    CacheInfo, Hash, HashAlgorithm, Hasher, NarInfo, OutputMode, Proof, RecordedAddress,
    SigningKey, Unproved, add_signatures,
};
use serde_json::Value;

/// A folder that Nix uses as a cache.
fn cache(nix: &Nix) -> PathBuf {
    nix.path("cache")
}

/// `nix` with git hashes, where it knows them.
fn run(nix: &Nix, arguments: &[&str]) -> Output {
    nix.command("nix")
        .args(arguments)
        .env("NIX_CONFIG", "extra-experimental-features = git-hashing")
        .output()
        .unwrap()
}

/// Copies a path with what it needs; whether Nix could.
fn copy(nix: &Nix, path: &str) -> bool {
    let cache = cache(nix);
    let cache = format!(
        "file://{}?write-nar-listing=true&compression=none",
        cache.display()
    );
    let mut arguments = vec!["copy", "--to", &cache, path];
    // Its outputs would be built otherwise.
    arguments.extend(path.ends_with(".drv").then_some("--derivation"));
    run(nix, &arguments).status.success()
}

/// The files of the cache with this extension.
fn files(nix: &Nix, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(cache(nix)).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|end| end == extension))
        .collect();
    found.sort();
    found
}

/// The archive that a record is about.
fn archive(nix: &Nix, record: &NarInfo) -> Vec<u8> {
    fs::read(cache(nix).join(record.url.as_str())).unwrap()
}

fn make_executable(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A tree with everything that an archive can hold.
fn lay_out(tree: &Path) {
    fs::create_dir_all(tree.join("sub/deep/er")).unwrap();
    fs::create_dir(tree.join("empty")).unwrap();
    for (name, content) in [
        ("a", "hello"),
        ("a.b", "1234567"),
        ("zero", ""),
        ("run", "#!/bin/sh\n"),
        ("quote\"back\\slash", "1"),
        ("new\nline\u{1}\u{7f}", "12345678"),
        (" blank ", "123456789"),
        ("ü€😀", "x"),
        ("sub/deep/er/file", "contents"),
        ("sub/run-nothing", ""),
    ] {
        fs::write(tree.join(name), content).unwrap();
    }
    make_executable(&tree.join("run"));
    make_executable(&tree.join("sub/run-nothing"));
    symlink("../a \"target\"\n", tree.join("sub/link")).unwrap();
    symlink("ü", tree.join("sub/ü")).unwrap();
}

#[test]
fn nix_lists_archives_as_we_do() {
    for nix in Nix::all("nix_lists_archives_as_we_do") {
        lay_out(&nix.path("tree"));
        fs::write(nix.path("file"), "one file").unwrap();
        fs::write(nix.path("nothing"), "").unwrap();
        fs::create_dir(nix.path("no-entries")).unwrap();
        for name in ["tree", "file", "nothing", "no-entries"] {
            let path = nix.path(name);
            let added = nix.ask("nix-store", ["--add", path.to_str().unwrap()]);
            assert!(copy(&nix, &added), "{name}");
        }
        let listings = files(&nix, &nar::Listing::EXTENSION[1..]);
        assert_eq!(listings.len(), 4);
        for listing in listings {
            let text = fs::read_to_string(listing.with_extension("narinfo")).unwrap();
            let archive = archive(&nix, &text.parse().unwrap());
            let ours = nar::list(&mut archive.as_slice()).unwrap();
            let ours: Value = serde_json::from_slice(&ours).unwrap();
            let theirs: Value = serde_json::from_slice(&fs::read(&listing).unwrap()).unwrap();
            assert_eq!(ours, theirs, "{}", nix.installation.version);
        }
    }
}

#[test]
fn no_nix_lists_a_name_that_is_no_text() {
    for nix in Nix::all("no_nix_lists_a_name_that_is_no_text") {
        let tree = nix.path("tree");
        fs::create_dir(&tree).unwrap();
        fs::write(tree.join(OsStr::from_bytes(b"x\xff")), "").unwrap();
        let added = nix.ask("nix-store", ["--add", tree.to_str().unwrap()]);
        // Newer versions fail; the old one writes what nobody can read.
        if copy(&nix, &added) {
            for listing in files(&nix, "ls") {
                assert!(serde_json::from_slice::<Value>(&fs::read(listing).unwrap()).is_err());
            }
        }
        assert!(nar::list(&mut nix.dump(&tree).as_slice()).is_err());
    }
}

/// Puts paths of every kind into the cache, and returns whether a git-hashed one is among them.
fn fill(nix: &Nix) -> bool {
    let (file, tree) = (nix.path("file"), nix.path("tree"));
    fs::write(&file, "contents").unwrap();
    lay_out(&tree);
    let (file, tree) = (file.to_str().unwrap(), tree.to_str().unwrap());
    let mut paths = vec![nix.ask("nix-store", ["--add", tree])];
    for algorithm in ["md5", "sha1", "sha256", "sha512"] {
        paths.push(nix.ask("nix-store", ["--add-fixed", algorithm, file]));
        paths.push(nix.ask("nix-store", ["--add-fixed", "--recursive", algorithm, tree]));
    }
    let text = nix_string("a text\n");
    let expression = format!(
        "derivation {{ name = \"d\"; system = \"x\"; builder = builtins.toFile \"b\" {text}; }}"
    );
    paths.push(nix.ask("nix-instantiate", ["--expr", &expression]));
    let git = ["store", "add", "--mode", "git", "--hash-algo", "sha1", tree];
    let git = run(nix, &git);
    let has_git = git.status.success();
    let git = String::from_utf8(git.stdout).unwrap();
    paths.extend(has_git.then(|| git.trim_end().to_owned()));
    for path in paths {
        assert!(copy(nix, &path), "{path}");
    }
    has_git
}

/// The hashes of an archive, and of its file when it is one, that the address of its record needs.
fn measure(record: &NarInfo, archive: &[u8]) -> (Vec<Hash>, Option<Vec<Hash>>) {
    let Some(said) = record.said_of_content() else {
        return (Vec::new(), None);
    };
    let algorithm = said.hash.algorithm();
    let mut events = Vec::new();
    nar::decode(&mut &archive[..], |event| {
        events.push(event);
        Ok::<(), String>(())
    })
    .unwrap();
    let plain = matches!(
        events[0],
        Event::File {
            executable: false,
            ..
        }
    );
    let file: Vec<u8> = events
        .iter()
        .filter_map(|event| match event {
            Event::Data(data) => Some(&data[..]),
            _ => None,
        })
        .collect::<Vec<_>>()
        .concat();
    let file = plain.then(|| vec![Hasher::digest(algorithm, &file)]);
    (vec![Hasher::digest(algorithm, archive)], file)
}

#[test]
fn the_addresses_that_nix_writes_are_read_proved_and_agree_with_the_content() {
    let test = "the_addresses_that_nix_writes_are_read_proved_and_agree_with_the_content";
    for nix in Nix::all(test) {
        let has_git = fill(&nix);
        let (mut texts, mut unknown, mut seen) = (0, 0, Vec::new());
        for path in files(&nix, "narinfo") {
            let text = fs::read_to_string(&path).unwrap();
            let record = NarInfo::parse(&text).unwrap();
            assert_eq!(record.to_string(), text);
            let (nar, file) = measure(&record, &archive(&nix, &record));
            let agrees = record.agrees(&nar, file.as_deref());
            match record.ca.as_ref().unwrap() {
                RecordedAddress::Fixed(address) => {
                    let algorithm = address.hash.algorithm();
                    let is_archive =
                        address.mode == OutputMode::Nar && algorithm.name() == "sha256";
                    let expected = [Proof::Content, Proof::Archive][usize::from(is_archive)];
                    assert_eq!(record.proof(), Ok(expected), "{text}");
                    assert_eq!(agrees, Some(true), "{text}");
                    seen.push((address.mode, algorithm));
                }
                RecordedAddress::Text(_) => {
                    assert_eq!(record.proof(), Ok(Proof::Content), "{text}");
                    assert_eq!(agrees, Some(true), "{text}");
                    texts += 1;
                }
                RecordedAddress::Unknown(_) => {
                    let refused = matches!(record.proof(), Err(Unproved::Unknown { .. }));
                    assert!(refused && agrees.is_none(), "{text}");
                    unknown += 1;
                }
            }
        }
        seen.sort();
        seen.dedup();
        assert_eq!((seen.len(), texts, unknown), (8, 2, usize::from(has_git)));

        let info = fs::read_to_string(cache(&nix).join(CacheInfo::FILE)).unwrap();
        assert_eq!(info.parse::<CacheInfo>().unwrap().foreign_store(), None);
    }
}

#[test]
fn a_record_that_was_signed_in_place_is_what_nix_would_have_made_of_it() {
    let test = "a_record_that_was_signed_in_place_is_what_nix_would_have_made_of_it";
    for nix in Nix::all(test) {
        fill(&nix);
        // Where one name begins with another, 2.34 has another order than the versions before it.
        let keys = ["z.example-1", "a.example-1", "m.example-1"]
            .map(|name| SigningKey::from_seed(name, &[name.as_bytes()[0]; 32].into()).unwrap());
        let records = files(&nix, "narinfo");
        let sign = |text: &str, keys: &[SigningKey]| {
            let fingerprint = NarInfo::parse(text).unwrap().fingerprint();
            let signatures: Vec<_> = keys.iter().map(|key| key.sign(&fingerprint)).collect();
            add_signatures(text, &signatures).unwrap().into_owned()
        };
        let unsigned: Vec<_> = records
            .iter()
            .map(|path| fs::read_to_string(path).unwrap())
            .collect();
        let store = format!("file://{}", cache(&nix).display());
        for (index, key) in keys.iter().enumerate() {
            let file = nix.path(key.name());
            fs::write(&file, key.secret_text().as_str()).unwrap();
            let file = file.to_str().unwrap();
            let arguments = ["store", "sign", "--all", "-k", file, "--store", &store];
            assert!(run(&nix, &arguments).status.success());
            for (path, unsigned) in records.iter().zip(&unsigned) {
                let theirs = fs::read_to_string(path).unwrap();
                assert_eq!(sign(unsigned, &keys[..=index]), theirs);
            }
        }
        // One by one they come to the same.
        for (path, unsigned) in records.iter().zip(&unsigned) {
            let step = |text: String, key: &SigningKey| sign(&text, std::slice::from_ref(key));
            let ours = keys.iter().fold(unsigned.clone(), step);
            assert_eq!(ours, fs::read_to_string(path).unwrap());
            let public: Vec<_> = keys.iter().map(SigningKey::public_key).collect();
            assert_eq!(NarInfo::parse(&ours).unwrap().signers(&public).len(), 3);
        }
    }
}

/// Why [`Proof::Content`] is not enough for a signature: the record was proved when it was signed, and what
/// Nix then takes is something else.
#[test]
fn nix_believes_a_signature_that_was_given_to_a_false_nar_hash() {
    for nix in Nix::all("nix_believes_a_signature_that_was_given_to_a_false_nar_hash") {
        fs::write(nix.path("good"), "good").unwrap();
        fs::write(nix.path("evil"), "evil").unwrap();
        let path = nix.path("good");
        let path = nix.ask(
            "nix-store",
            ["--add-fixed", "sha256", path.to_str().unwrap()],
        );
        assert!(copy(&nix, &path));
        nix.run("nix-store", ["--delete", &path]).exits(0);

        let record = files(&nix, "narinfo").remove(0);
        let mut forged: NarInfo = fs::read_to_string(&record).unwrap().parse().unwrap();
        let evil = nix.dump(&nix.path("evil"));
        fs::write(cache(&nix).join(forged.url.as_str()), &evil).unwrap();
        forged.nar_hash = Hasher::digest(HashAlgorithm::Sha256, &evil);
        forged.file_hash = Some(forged.nar_hash.clone());
        assert_eq!(forged.proof(), Ok(Proof::Content));
        let (nar, file) = measure(&forged, &evil);
        assert_eq!(forged.agrees(&nar, file.as_deref()), Some(false));

        let key = SigningKey::from_seed("team.example-1", &[1; 32].into()).unwrap();
        forged.sign(&key);
        forged.ca = None;
        fs::write(&record, forged.to_string()).unwrap();
        let (store, trusted) = (
            format!("file://{}", cache(&nix).display()),
            key.public_key(),
        );
        let trusted = trusted.to_string();
        let arguments = [
            "copy",
            "--from",
            &store,
            "--option",
            "trusted-public-keys",
            &trusted,
            &path,
        ];
        assert!(run(&nix, &arguments).status.success());
        assert_eq!(fs::read_to_string(nix.physical(&path)).unwrap(), "evil");
    }
}
