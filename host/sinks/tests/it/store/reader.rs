//! Reading a store before the judge who knows: real Nix says the same of each path.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use fetchhost_formats::{HashAlgorithm, Hasher, SigningKey, StoreEntry, StorePath};
use fetchhost_sinks::{Store, StoreReader};
use serde_json::Value;

use crate::nix::{Nix, settle};

/// A folder with all that an archive can hold, beside the store.
fn add_tree(nix: &Nix) -> StorePath {
    let tree = nix.root.path().join("tree");
    fs::create_dir_all(tree.join("bin/empty")).unwrap();
    fs::write(tree.join("bin/tool"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(tree.join("bin/tool"), fs::Permissions::from_mode(0o755)).unwrap();
    // More than what is read at once.
    fs::write(tree.join("large"), vec![7; 1_000_003]).unwrap();
    symlink("bin/tool", tree.join("link")).unwrap();
    let added = nix.ask("nix-store", ["--add", tree.to_str().unwrap()]);
    added.parse().unwrap()
}

/// Builds something that mentions itself, `tree`, and a text that mentions `tree`. Its shell writes a file.
fn build(nix: &Nix, tree: &StorePath) -> StorePath {
    let expression = format!(
        r#"derivation {{
            name = "self";
            system = builtins.currentSystem;
            builder = "/bin/sh";
            args = [ "-c" "echo $out $tree $text > $out" ];
            tree = builtins.storePath "{tree}";
            text = builtins.toFile "text" "see ${{builtins.storePath "{tree}"}}";
        }}"#
    );
    let built = nix.ask("nix-build", ["--no-out-link", "-E", &expression]);
    built.parse().unwrap()
}

/// The key that signs, in a file.
fn sign(nix: &Nix, path: &StorePath) {
    let key = SigningKey::from_seed("test-1", &[7; 32].into()).unwrap();
    let file = nix.root.path().join("key");
    fs::write(&file, key.secret_text().as_bytes()).unwrap();
    let file = file.to_str().unwrap();
    nix.ask(
        "nix",
        ["store", "sign", "--key-file", file, &path.to_string()],
    );
}

/// Demands that Nix says the same of a path.
fn check(nix: &Nix, entry: &StoreEntry) {
    let path = entry.path.to_string();
    let query = |what: &str| nix.ask("nix-store", ["-q", what, &path]);
    assert_eq!(query("--hash"), entry.nar_hash.prefixed_nix32());
    assert_eq!(query("--size"), entry.nar_size.to_string());
    let references: BTreeSet<StorePath> = query("--references")
        .lines()
        .map(|line| line.parse().unwrap())
        .collect();
    assert_eq!(references, entry.references);
    let deriver = entry.deriver.as_ref().map(ToString::to_string);
    assert_eq!(
        query("--deriver"),
        deriver.unwrap_or("unknown-deriver".to_owned())
    );

    let infos: Value =
        serde_json::from_str(&nix.ask("nix", ["path-info", "--json", &path])).unwrap();
    // A list once, an object by path since.
    let info = infos.get(0).unwrap_or_else(|| &infos[&path]);
    assert_eq!(
        info["ca"].as_str(),
        entry.ca.as_ref().map(ToString::to_string).as_deref()
    );
    assert_eq!(
        info["ultimate"].as_bool().unwrap_or_default(),
        entry.is_ultimate
    );
    let signatures: Vec<_> = entry.signatures.iter().map(ToString::to_string).collect();
    let told = info["signatures"].as_array().into_iter().flatten();
    let told: Vec<_> = told.map(|signature| signature.as_str().unwrap()).collect();
    assert_eq!(signatures, told);
}

fn archive(reader: &StoreReader, entry: &StoreEntry) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut archive = reader.archive(entry).unwrap();
    archive.read_to_end(&mut bytes).unwrap();
    // There is no more, however often one asks.
    assert_eq!(archive.read(&mut [0]).unwrap(), 0);
    bytes
}

fn dump(nix: &Nix, path: &Path) -> Vec<u8> {
    let output = nix.command("nix-store").arg("--dump").arg(path).output();
    output.unwrap().stdout
}

/// A store whose files are not where they are looked for: only Nix gets at them.
fn without_files(nix: &Nix) -> Store {
    let root = nix.root.path().display();
    Store::new(
        format!("unix://{root}/socket?root={root}/elsewhere")
            .parse()
            .unwrap(),
    )
}

#[test]
fn nix_says_the_same_of_each_path_of_a_closure_and_its_archive() {
    let test = "nix_says_the_same_of_each_path_of_a_closure_and_its_archive";
    for nix in Nix::all(test) {
        let tree = add_tree(&nix);
        let built = build(&nix, &tree);
        sign(&nix, &built);
        let readers =
            [nix.store(), without_files(&nix)].map(|store| StoreReader::open(store).unwrap());
        for reader in &readers {
            let entries = reader.closure(std::slice::from_ref(&built)).unwrap();
            let order: Vec<_> = entries.iter().map(|entry| entry.path.name()).collect();
            assert_eq!(order, ["tree", "text", "self"]);
            let [_, text, last] = entries.as_slice() else {
                panic!("{entries:?}");
            };
            assert!(last.is_ultimate && last.references.contains(&built) && last.ca.is_none());
            assert_eq!((last.deriver.is_some(), last.signatures.len()), (true, 1));
            assert!(
                text.ca
                    .as_ref()
                    .unwrap()
                    .to_string()
                    .starts_with("text:sha256:")
            );
            for entry in &entries {
                check(&nix, entry);
                assert_eq!(reader.info(&entry.path).unwrap().as_ref(), Some(entry));
                let bytes = archive(reader, entry);
                assert!(bytes == dump(&nix, &nix.physical(&entry.path)));
                assert_eq!(
                    Hasher::digest(HashAlgorithm::Sha256, &bytes),
                    entry.nar_hash
                );
                assert_eq!(bytes.len() as u64, entry.nar_size);
            }
            // From several threads at once, some of which give up.
            std::thread::scope(|scope| {
                for entry in entries.iter().cycle().take(9) {
                    scope.spawn(|| {
                        drop(reader.archive(entry).unwrap());
                        assert_eq!(archive(reader, entry).len() as u64, entry.nar_size);
                    });
                }
            });
        }
    }
}

#[test]
fn a_store_without_a_daemon_is_read_alike() {
    let Some(nix) = Nix::or_skip("a_store_without_a_daemon_is_read_alike") else {
        return;
    };
    let built = build(&nix, &add_tree(&nix));
    let url = format!("local?root={}", nix.root.path().display());
    let reader = StoreReader::open(Store::new(url.parse().unwrap())).unwrap();
    let entries = reader.closure(&[built.clone(), built.clone()]).unwrap();
    assert_eq!(entries.len(), 3);
    for entry in &entries {
        check(&nix, entry);
        assert!(archive(&reader, entry) == dump(&nix, &nix.physical(&entry.path)));
    }
    // As it is typed: by a link that only this store can follow.
    let link = nix.root.path().join("result");
    symlink(built.to_string(), &link).unwrap();
    for typed in [link, nix.physical(&built), built.to_string().into()] {
        assert_eq!(reader.resolve(&typed).unwrap(), built);
    }
}

#[test]
fn a_closure_is_kept_as_long_as_its_reader_lives() {
    let Some(nix) = Nix::or_skip("a_closure_is_kept_as_long_as_its_reader_lives") else {
        return;
    };
    let tree = add_tree(&nix);
    let built = build(&nix, &tree);
    let reader = StoreReader::open(nix.store()).unwrap();
    reader.closure(std::slice::from_ref(&built)).unwrap();
    settle();
    nix.collect_garbage();
    assert!(nix.has(&built) && nix.has(&tree));
    drop(reader);
    let reader = StoreReader::open(nix.store()).unwrap();
    assert!(reader.hold(std::slice::from_ref(&tree)).unwrap()[0].is_some());
    settle();
    nix.collect_garbage();
    assert!(!nix.has(&built) && nix.has(&tree));
    drop(reader);
    settle();
    nix.collect_garbage();
    assert!(!nix.has(&tree));

    let reader = StoreReader::open(nix.store()).unwrap();
    assert_eq!(reader.info(&built).unwrap(), None);
    let error = reader.closure(&[tree.clone(), built.clone()]).unwrap_err();
    let expected = format!("`{tree}`, `{built}` are not valid");
    assert!(error.to_string().contains(&expected), "{error}");
    assert!(error.hint().unwrap().contains("nix-store --realise"));
    // It goes on.
    assert_eq!(reader.infos(&[tree, built]).unwrap(), [None, None]);
}

#[test]
fn a_store_that_is_not_there_is_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("local?root={}/root", folder.path().display());
    let error = StoreReader::open(Store::new(url.parse().unwrap())).unwrap_err();
    assert!(
        error.to_string().contains("there is no Nix store in"),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("NIX_REMOTE"));
    assert!(fs::read_dir(folder.path()).unwrap().next().is_none());
}
