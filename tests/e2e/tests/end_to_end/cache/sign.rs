//! `cache sign`, judged by real Nix.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use fetchhost_e2e::{
    ACCESS_KEY_ID, CommandLine, Finished, Nix, S3Server, SECRET_ACCESS_KEY, Sandbox, files_below,
};
use fetchhost_formats::nar::{Encoder, Event};
use fetchhost_formats::{
    Compression, FixedOutput, Hash, HashAlgorithm, Hasher, NarInfo, NarUrl, OutputMode, Proof,
    PublicKey, SigningKey,
};

const INFO: &str = "StoreDir: /nix/store\n";

/// A key's file, and its public half.
fn key(sandbox: &Sandbox, name: &str) -> (String, PublicKey) {
    let file = sandbox.path(&format!("keys-{name}"));
    let key = SigningKey::from_seed(name, &[name.as_bytes()[0]; 32].into()).unwrap();
    fs::write(&file, key.secret_text().as_str()).unwrap();
    (file.to_str().unwrap().to_owned(), key.public_key())
}

fn sign(sandbox: &Sandbox, url: &str, words: &[&str]) -> Finished {
    let line = CommandLine::new(["cache", "sign", url]);
    sandbox.run(words.iter().fold(line, |line, word| line.flag(word)))
}

fn url(folder: &Path) -> String {
    format!("file://{}", folder.display())
}

/// The records of a cache, in the order of their names.
fn records(folder: &Path) -> Vec<(PathBuf, NarInfo)> {
    let files = files_below(folder).into_keys();
    let records = files.filter(|path| path.extension().is_some_and(|end| end == "narinfo"));
    records
        .map(|path| {
            let record = fs::read_to_string(&path).unwrap().parse().unwrap();
            (path, record)
        })
        .collect()
}

/// Something built, which mentions something else, and is known to this store only.
fn build(nix: &Nix) -> String {
    let expression = format!(
        "let text = builtins.toFile \"text\" \"what is mentioned\"; in derivation {{ name = \"built\"; system = \"{}-linux\"; \
         builder = \"/bin/sh\"; args = [ \"-c\" \"echo ${{text}} > $out\" ]; }}",
        std::env::consts::ARCH
    );
    nix.ask("nix-build", ["--no-out-link", "--expr", &expression])
}

/// Whether a store that trusts this key takes a path from a cache.
fn takes(nix: &Nix, cache: &str, key: &PublicKey, path: &str) -> bool {
    let key = key.to_string();
    let arguments = [
        "copy",
        "--from",
        cache,
        "--option",
        "trusted-public-keys",
        &key,
        path,
    ];
    nix.run("nix", arguments).code == 0
}

#[test]
fn what_nix_copied_unsigned_is_signed_by_its_store_and_taken_by_another() {
    let test = "what_nix_copied_unsigned_is_signed_by_its_store_and_taken_by_another";
    for (nix, other) in Nix::all(test).iter().zip(Nix::all(test)) {
        let sandbox = nix.sandbox();
        let folder = nix.path("cache");
        let cache = url(&folder);
        let path = build(nix);
        nix.run("nix", ["copy", "--to", &cache, &path]).exits(0);
        let (file, public) = key(&sandbox, "team.example-1");
        assert!(!takes(&other, &cache, &public, &path));

        // Nobody vouches for what was built but the store that built it.
        sign(&sandbox, &cache, &["--key", &file, "--no-store"])
            .exits(1)
            .says(["no store was asked", "1 of 2 records", "--trusted-key"]);
        assert!(!takes(&other, &cache, &public, &path));
        let before = files_below(&folder);
        let planned = sign(&sandbox, &cache, &["--key", &file, "--dry-run"]).exits(0);
        let line = format!("{path}  would be signed: the store holds the same");
        assert!(planned.stdout.contains(&line), "{}", planned.stdout);
        assert_eq!(files_below(&folder), before);

        let done = sign(&sandbox, &cache, &["--key", &file, "--json"]).exits(0);
        assert_eq!(done.json()["signed"][0]["ground"], "store");
        assert_eq!(done.json()["alreadySigned"], 1);
        assert!(takes(&other, &cache, &public, &path));
        assert_eq!(fs::read_to_string(other.physical(&path)).unwrap().len(), 49);

        // A second time there is nothing to do, and nothing is touched.
        let modified = |folder: &Path| -> Vec<_> {
            let files = files_below(folder).into_keys();
            files
                .map(|file| fs::metadata(file).unwrap().modified().unwrap())
                .collect()
        };
        let before = modified(&folder);
        let again = sign(&sandbox, &cache, &["--key", &file]).exits(0);
        assert!(
            again.stdout.contains("signed 0 records"),
            "{}",
            again.stdout
        );
        assert_eq!(modified(&folder), before);

        // Whoever trusts that key signs without any store, by its file or a configuration of Nix.
        let (second, public) = key(&sandbox, "upstream.example-1");
        let conf = sandbox.path("nix.conf");
        let trusted = records(&folder)[0].1.signatures[0].key_name().to_owned();
        assert_eq!(trusted, "team.example-1");
        let (_, first) = key(&sandbox, "team.example-1");
        let text = format!(
            "substituters =\nextra-trusted-public-keys = x:{} {first}\n",
            "A".repeat(43) + "="
        );
        fs::write(&conf, text).unwrap();
        let conf = format!("@{}", conf.display());
        let arguments = [
            "--key",
            &second,
            "--no-store",
            "--trusted-key",
            &conf,
            &path,
        ];
        let done = sign(&sandbox, &cache, &[&arguments[..], &["--json"]].concat()).exits(0);
        assert_eq!(done.json()["signed"][0]["trustedKey"], "team.example-1");
        let (_, record) = records(&folder)
            .into_iter()
            .find(|(_, record)| record.store_path.to_string() == path)
            .unwrap();
        assert_eq!(record.signers(&[public, first]).len(), 2);
    }
}

#[test]
fn a_store_vouches_for_what_it_holds_and_for_nothing_else() {
    let test = "a_store_vouches_for_what_it_holds_and_for_nothing_else";
    for (nix, other) in Nix::all(test).iter().zip(Nix::all(test)) {
        let sandbox = nix.sandbox();
        let folder = nix.path("cache");
        let cache = url(&folder);
        let path = build(nix);
        nix.run("nix", ["copy", "--to", &cache, &path]).exits(0);
        let (file, _) = key(&sandbox, "team.example-1");

        // Another store does not hold it.
        let elsewhere = format!("local?root={}", other.path("").display());
        sign(&sandbox, &cache, &["--key", &file, "--store", &elsewhere])
            .exits(1)
            .says(["the store does not hold it"]);
        // One that is not there is a failure where it was named, and a note where it was not.
        let nowhere = format!("local?root={}", sandbox.path("nowhere").display());
        sign(&sandbox, &cache, &["--key", &file, "--store", &nowhere])
            .exits(6)
            .says(["no Nix store"]);
        let homeless = other.sandbox().variable("NIX_REMOTE", &nowhere);
        sign(&homeless, &cache, &["--key", &file])
            .exits(1)
            .says(["no store was asked: ", "no Nix store"]);

        // What the cache says otherwise than the store is not signed.
        let (place, record) = records(&folder)
            .into_iter()
            .find(|(_, record)| record.store_path.to_string() == path)
            .unwrap();
        for (forged, part) in [
            (
                NarInfo {
                    nar_hash: Hasher::digest(HashAlgorithm::Sha256, b"evil"),
                    ..record.clone()
                },
                "with another NAR",
            ),
            (
                NarInfo {
                    references: BTreeSet::new(),
                    ..record.clone()
                },
                "with other references",
            ),
        ] {
            fs::write(&place, forged.to_string()).unwrap();
            sign(&sandbox, &cache, &["--key", &file])
                .exits(1)
                .says([part]);
            assert_eq!(fs::read_to_string(&place).unwrap(), forged.to_string());
        }
    }
}

/// What `nix_believes_a_signature_that_was_given_to_a_false_nar_hash` does cannot be done by our signature.
#[test]
fn a_false_nar_hash_below_a_true_content_address_is_not_signed() {
    let test = "a_false_nar_hash_below_a_true_content_address_is_not_signed";
    for nix in Nix::all(test) {
        let sandbox = nix.sandbox();
        let folder = nix.path("cache");
        let cache = format!("{}?compression=zstd", url(&folder));
        fs::write(nix.path("good"), "good").unwrap();
        fs::write(nix.path("evil"), "evil").unwrap();
        let path = nix.path("good");
        let path = nix.ask(
            "nix-store",
            ["--add-fixed", "sha256", path.to_str().unwrap()],
        );
        nix.run("nix", ["copy", "--to", &cache, &path]).exits(0);
        nix.run("nix-store", ["--delete", &path]).exits(0);
        let (file, public) = key(&sandbox, "team.example-1");

        let (place, honest) = records(&folder).remove(0);
        let evil = nix.dump(&nix.path("evil"));
        fs::write(folder.join("nar/evil.nar"), &evil).unwrap();
        let forged = NarInfo {
            url: "nar/evil.nar".parse().unwrap(),
            compression: Compression::None,
            nar_hash: Hasher::digest(HashAlgorithm::Sha256, &evil),
            nar_size: evil.len() as u64,
            file_hash: None,
            file_size: None,
            ..honest.clone()
        };
        assert_eq!(forged.proof(), Ok(Proof::Content));
        fs::write(&place, forged.to_string()).unwrap();
        for words in [&["--key", &file][..], &["--key", &file, "--unverified"]] {
            sign(&sandbox, &cache, words).exits(1).says([
                &format!("`{path}` is not signed"),
                "its content is not what its content address says",
                "read 1 NAR to prove",
            ]);
            assert_eq!(fs::read_to_string(&place).unwrap(), forged.to_string());
        }

        // The honest one is read, signed, and then taken without its address.
        fs::write(&place, honest.to_string()).unwrap();
        let done = sign(&sandbox, &cache, &["--key", &file, "--json"]).exits(0);
        assert_eq!(done.json()["signed"][0]["ground"], "content");
        assert_eq!(done.json()["narsRead"], 1);
        let signed = NarInfo {
            ca: None,
            ..records(&folder).remove(0).1
        };
        fs::write(&place, signed.to_string()).unwrap();
        assert!(takes(&nix, &url(&folder), &public, &path));
        assert_eq!(fs::read_to_string(nix.physical(&path)).unwrap(), "good");
    }
}

/// Many records that prove themselves, by file name.
fn many() -> Vec<(String, NarInfo)> {
    let records = (0..60_u32).map(|number| {
        let content = number.to_be_bytes();
        let mut encoder = Encoder::new();
        let events = [
            Event::File {
                executable: false,
                size: 4,
            },
            Event::Data(content.to_vec().into()),
            Event::EndFile,
        ];
        let nar: Vec<u8> = events
            .into_iter()
            .flat_map(|event| encoder.push(event).unwrap().nar.to_vec())
            .collect();
        let nar_hash: Hash = Hasher::digest(HashAlgorithm::Sha256, &nar);
        let output = FixedOutput {
            name: "many".parse().unwrap(),
            mode: OutputMode::Nar,
            hash: nar_hash.clone(),
        };
        let record = NarInfo {
            store_path: output.store_path(),
            url: NarUrl::for_file(&nar_hash, Compression::None),
            compression: Compression::None,
            file_hash: Some(nar_hash.clone()),
            file_size: Some(nar.len() as u64),
            nar_hash,
            nar_size: nar.len() as u64,
            references: BTreeSet::new(),
            deriver: None,
            signatures: Vec::new(),
            ca: Some(output.content_address().into()),
        };
        (format!("{}.narinfo", record.store_path.hash_part()), record)
    });
    records.collect()
}

/// Signs the same cache by several processes at once, each with a key of its own.
fn sign_at_once(sandbox: &Sandbox, url: &str) -> Vec<PublicKey> {
    let names = ["a.example-1", "b.example-1", "c.example-1", "d.example-1"];
    let begin = |name: &&str| -> (Child, PublicKey) {
        let (file, public) = key(sandbox, name);
        let mut command = sandbox.command();
        command.args(["cache", "sign", url, "--no-store", "--key", &file]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        (command.spawn().unwrap(), public)
    };
    let begun: Vec<_> = names.iter().map(begin).collect();
    begun
        .into_iter()
        .map(|(child, public)| {
            let done = Finished::new(&child.wait_with_output().unwrap()).exits(0);
            assert!(done.stdout.contains("signed 60 records"), "{}", done.stdout);
            public
        })
        .collect()
}

#[test]
fn processes_that_sign_a_folder_at_once_lose_no_signature() {
    let sandbox = Sandbox::new();
    let folder = sandbox.path("cache");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("nix-cache-info"), INFO).unwrap();
    for (name, record) in many() {
        fs::write(folder.join(name), record.to_string()).unwrap();
    }
    let keys = sign_at_once(&sandbox, &url(&folder));
    let records = records(&folder);
    assert_eq!(records.len(), 60);
    for (_, record) in records {
        assert_eq!(record.signers(&keys).len(), 4, "{record}");
    }
    // Nothing temporary is left.
    assert_eq!(files_below(&folder).len(), 61);
}

#[test]
fn processes_that_sign_a_bucket_at_once_lose_no_signature() {
    let server = S3Server::start();
    let sandbox = Sandbox::new()
        .variable("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID)
        .variable("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY);
    server.put("team", "nix-cache-info", INFO.as_bytes());
    for (name, record) in many() {
        server.put("team", &name, record.to_string().as_bytes());
    }
    let cache = format!("s3://team?endpoint={}&region=eu-west-1", server.url());
    let keys = sign_at_once(&sandbox, &cache);
    let texts: Vec<NarInfo> = many()
        .iter()
        .map(|(name, _)| {
            let text = server.get("team", name);
            String::from_utf8(text).unwrap().parse().unwrap()
        })
        .collect();
    for record in texts {
        assert_eq!(record.signers(&keys).len(), 4, "{record}");
    }
}

#[test]
fn what_lies_in_a_hostile_cache_is_named_and_left_alone() {
    let sandbox = Sandbox::new();
    let folder = sandbox.path("cache");
    fs::create_dir_all(folder.join("below")).unwrap();
    let (file, public) = key(&sandbox, "team.example-1");
    let cache = format!("{}?secret-key={file}", url(&folder));
    sign(&sandbox, &cache, &[])
        .exits(6)
        .says(["is no binary cache", "cache init"]);
    fs::write(folder.join("nix-cache-info"), INFO).unwrap();
    sign(&sandbox, &url(&folder), &[])
        .exits(2)
        .says(["no key to sign with", "--key FILE"]);
    sign(&sandbox, &url(&folder), &["--key", "none"])
        .exits(2)
        .says(["cannot read the secret key", "--key FILE"]);
    sign(&sandbox, &cache, &["--trusted-key", &"x".repeat(88)])
        .exits(2)
        .says(["is no public key"]);

    let many = many();
    let (name, good) = &many[0];
    let (other, _) = &many[1];
    fs::write(folder.join(name), good.to_string()).unwrap();
    fs::write(folder.join(other), good.to_string()).unwrap();
    fs::write(folder.join("below").join(name), good.to_string()).unwrap();
    fs::write(folder.join("\u{1b}[31mred.narinfo"), "").unwrap();
    let outside = sandbox.path("outside");
    fs::write(&outside, many[2].1.to_string()).unwrap();
    symlink(&outside, folder.join(&many[2].0)).unwrap();
    let references: Vec<_> = (0..5000)
        .map(|number| format!("{number:032}-x").replace('e', "f"))
        .collect();
    let full = many[3].1.to_string().replace(
        "References: \n",
        &format!("References: {}\n", references.join(" ")),
    );
    fs::write(folder.join(&many[3].0), &full).unwrap();

    let done = sign(&sandbox, &cache, &["--no-store"]).exits(1).says([
        "3 of 5 records were not signed; the reasons",
        "is not what it is named after",
        "32 characters",
        "references that its content address does not allow",
        "see who can write",
    ]);
    assert!(!done.stderr.contains('\u{1b}'), "{}", done.stderr);
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    assert_eq!(
        read(name)
            .parse::<NarInfo>()
            .unwrap()
            .signers(&[public])
            .len(),
        1
    );
    assert_eq!(read(other), good.to_string());
    assert_eq!(read(&format!("below/{name}")), good.to_string());
    assert_eq!(read(&many[3].0), full);
    assert_eq!(fs::read_to_string(&outside).unwrap(), many[2].1.to_string());

    // With --json it is one document, and no secret is in it.
    let done = sign(&sandbox, &cache, &["--no-store", "--json"]).exits(1);
    let json = done.json();
    assert_eq!(json["error"]["kind"], "unproved");
    assert_eq!(json["signed"]["skipped"].as_array().unwrap().len(), 3);
    let secret = fs::read_to_string(&file).unwrap();
    let (_, secret) = secret.split_once(':').unwrap();
    assert!(!done.stdout.contains(secret) && !done.stderr.contains(secret));
}

#[test]
fn what_nothing_proves_is_signed_with_a_warning_where_that_is_asked_for() {
    let sandbox = Sandbox::new();
    let folder = sandbox.path("cache");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("nix-cache-info"), INFO).unwrap();
    let (file, _) = key(&sandbox, "team.example-1");
    let (name, record) = many().remove(0);
    let built = NarInfo { ca: None, ..record };
    fs::write(folder.join(&name), built.to_string()).unwrap();
    let cache = url(&folder);
    let words = ["--key", &file, "--no-store", "--unverified"];
    // The NAR is away, which is seen where it is to be read.
    sign(&sandbox, &cache, &[&words[..], &["--verify"]].concat())
        .exits(1)
        .says(["its NAR `nar/"]);
    let done = sign(&sandbox, &cache, &words)
        .exits(0)
        .says(["warning", "decides what your keys vouch for"]);
    assert!(
        done.stdout.contains("nothing proves 1 of them"),
        "{}",
        done.stdout
    );
}
