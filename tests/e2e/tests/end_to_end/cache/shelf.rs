//! What tests of caches push, and how they look at what came of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use fetchhost_e2e::{CommandLine, Finished, Nix, Sandbox};
use fetchhost_formats::{Hash, HashAlgorithm, Hasher, NarInfo, SigningKey};

/// Paths in a store of real Nix, each of which refers to those before.
pub(super) struct Shelf {
    pub(super) base: String,
    /// Refers to itself too.
    pub(super) middle: String,
    /// A text, which its content address proves.
    pub(super) text: String,
    pub(super) top: String,
}

/// Three builds and a text.
const EXPRESSION: &str = r#"
let
  make = name: command: derivation {
    inherit name;
    system = builtins.currentSystem;
    builder = "/bin/sh";
    args = [ "-c" command ];
  };
  base = make "base" "echo base > $out";
  middle = make "middle" "echo $out ${base} > $out";
  text = builtins.toFile "text" "a text";
in
make "top" "echo ${middle} ${text} > $out"
"#;

impl Shelf {
    /// Builds them.
    pub(super) fn build(nix: &Nix) -> Self {
        let top = nix.ask("nix-build", ["--no-out-link", "--expr", EXPRESSION]);
        let closure = nix.ask("nix-store", ["--query", "--requisites", &top]);
        let named = |name: &str| {
            let found = closure.lines().find(|path| path.ends_with(name));
            found.unwrap().to_owned()
        };
        Self {
            base: named("-base"),
            middle: named("-middle"),
            text: named("-text"),
            top,
        }
    }

    /// All of them.
    pub(super) fn all(&self) -> [&str; 4] {
        [&self.base, &self.text, &self.middle, &self.top]
    }
}

/// A key in a file of the sandbox, and its public half.
pub(super) fn key(sandbox: &Sandbox, name: &str) -> (String, String) {
    let seed = [name.len() as u8; 32];
    let key = SigningKey::from_seed(name, &seed.into()).unwrap();
    let file = sandbox.path(name);
    fs::write(&file, key.secret_text().as_bytes()).unwrap();
    (file.display().to_string(), key.public_key().to_string())
}

/// `cache push` to the sandbox's own cache.
pub(super) fn push(sandbox: &Sandbox, query: &str) -> CommandLine {
    let url = sandbox.cache(if query.is_empty() {
        "compression=zstd"
    } else {
        query
    });
    CommandLine::new(["cache", "push", &url])
}

/// Every file of a cache, and when it was written.
pub(super) fn times(cache: &Path) -> BTreeMap<PathBuf, SystemTime> {
    let files = fetchhost_e2e::files_below(cache).into_keys();
    let time = |path: &PathBuf| fs::metadata(path).unwrap().modified().unwrap();
    files.map(|path| (path.clone(), time(&path))).collect()
}

/// The records of a cache. Demands that each has its NAR and those of all its references.
pub(super) fn whole_records(cache: &Path) -> Vec<NarInfo> {
    let mut records = Vec::new();
    for file in fs::read_dir(cache).into_iter().flatten() {
        let path = file.unwrap().path();
        if path
            .extension()
            .is_some_and(|extension| extension == "narinfo")
        {
            records.push(NarInfo::parse(&fs::read_to_string(path).unwrap()).unwrap());
        }
    }
    let there: BTreeSet<_> = records.iter().map(|one| one.store_path.clone()).collect();
    for record in &records {
        let bytes = fs::read(cache.join(record.url.as_str())).unwrap();
        let hash: Hash = Hasher::digest(HashAlgorithm::Sha256, &bytes);
        assert_eq!(record.file_size, Some(bytes.len() as u64), "{record}");
        assert_eq!(record.file_hash, Some(hash), "{record}");
        let lacking: Vec<_> = record.references.difference(&there).collect();
        assert!(
            lacking.is_empty(),
            "{} lacks {lacking:?}",
            record.store_path
        );
    }
    records
}

/// Has Nix fetch a path from a cache into its own store, trusting these keys.
pub(super) fn fetch(nix: &Nix, cache: &Path, path: &str, keys: &str) -> bool {
    let cache = format!("file://{}", cache.display());
    let realised = nix.run(
        "nix-store",
        [
            "--realise",
            path,
            "--option",
            "substituters",
            &cache,
            "--option",
            "trusted-public-keys",
            keys,
        ],
    );
    realised.code == 0
}

/// Demands all of these in what a push told that did a part of its work.
#[track_caller]
pub(super) fn told<const N: usize>(done: &Finished, parts: [&str; N]) {
    for part in parts {
        let text = &done.stderr;
        assert!(text.contains(part), "no `{part}` in:\n{text}");
    }
}
