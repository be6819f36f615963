//! Other binary caches, served again.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::{Arc, Mutex};

use fetchhost_formats::{FixedOutput, NarInfo};
use fetchhost_gateway::Folder;
use fetchhost_policy::DaemonPeers;
use serde_json::json;
use tempfile::TempDir;

use crate::approved::approve;
use crate::substituter::names;
use crate::world::{Answer, BUILD_USER, OWNER, Setup, World, flat, sha256};

/// A path of another cache: input-addressed, with a signature.
pub(crate) const HASH: &str = "00000000000000000000000000000000";
pub(crate) const NAR: &[u8] = b"what stands for a NAR";

pub(crate) fn record(hash: &str, url: &str, more: &str) -> String {
    let nar_hash = sha256(NAR).prefixed_nix32();
    format!(
        "StorePath: /nix/store/{hash}-tool\nURL: {url}\nCompression: xz\nNarHash: {nar_hash}\n\
         NarSize: {}\nReferences: {hash}-tool\nX-Unknown: kept\nSig: team-1:{}==\n{more}",
        NAR.len(),
        "A".repeat(86),
    )
}

/// A folder with one path of that kind.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("nar")).unwrap();
    fs::write(folder.path().join("nar/x.nar.xz"), NAR).unwrap();
    put(folder.path(), HASH, "nar/x.nar.xz");
    folder
}

fn put(folder: &Path, hash: &str, url: &str) {
    let text = record(hash, url, "");
    fs::write(folder.join(format!("{hash}.narinfo")), text).unwrap();
}

type Told = Arc<Mutex<Vec<String>>>;

fn serving(folder: &Path, setup: Setup) -> (World, Told) {
    let told = Told::default();
    let upstream = Folder::new(folder.to_owned(), {
        let told = Arc::clone(&told);
        move |text| told.lock().unwrap().push(text.to_owned())
    });
    let world = World::with(Setup {
        upstreams: vec![Arc::new(upstream)],
        ..setup
    });
    (world, told)
}

/// Where a record that was passed on says that its NAR is.
pub(crate) fn url(record: &Answer) -> String {
    assert_eq!(record.status, 200, "{record:?}");
    let url = record
        .text()
        .lines()
        .find_map(|line| line.strip_prefix("URL: "));
    format!("/{}", url.unwrap())
}

#[test]
fn a_signed_path_is_passed_on_as_it_is_but_for_its_url() {
    let folder = folder();
    let (world, told) = serving(folder.path(), Setup::default());
    let answer = world.get(&format!("/{HASH}.narinfo"));
    let nar = url(&answer);
    assert_eq!(answer.text(), record(HASH, &nar[1..], ""));
    let read = NarInfo::parse(answer.text()).unwrap();
    assert_eq!(read.signatures.len(), 1);
    assert!(nar.starts_with("/upstream/") && nar.ends_with(&format!("/{HASH}.nar.xz")));
    let answer = world.get(&nar);
    assert_eq!((answer.status, answer.body.as_slice()), (200, NAR));
    assert_eq!(answer.header("content-type"), Some("application/x-nix-nar"));
    let length = NAR.len().to_string();
    assert_eq!(answer.header("content-length"), Some(length.as_str()));
    for wrong in [
        nar.replace(".nar.xz", ".nar"),
        nar.replace(HASH, "11111111111111111111111111111111"),
        nar.replace("/upstream/", "/upstream/0"),
        format!("{nar}?x"),
        format!("{nar}/x"),
        "/upstream/x".to_owned(),
    ] {
        assert_eq!(world.get(&wrong).status, 404, "{wrong}");
    }
    assert_eq!(told.lock().unwrap().as_slice(), &[] as &[String]);
}

#[test]
fn a_daemon_gets_it_where_it_is_shared_and_nobody_else_ever() {
    let folder = folder();
    for (rule, shares, who, gets) in [
        (DaemonPeers::None, false, OWNER, true),
        (DaemonPeers::Open, true, BUILD_USER, true),
        (DaemonPeers::Approved, true, BUILD_USER, true),
        (DaemonPeers::None, true, BUILD_USER, false),
        (DaemonPeers::Open, false, BUILD_USER, false),
        (DaemonPeers::Approved, false, BUILD_USER, false),
        (DaemonPeers::Open, true, 1000, false),
    ] {
        let setup = Setup {
            daemon_peers: rule,
            shares,
            ..Setup::default()
        };
        let (world, _) = serving(folder.path(), setup);
        let narinfo = format!("/{HASH}.narinfo");
        let nar = url(&world.get(&narinfo));
        world.becomes(who);
        let missing = world.get("/11111111111111111111111111111111.narinfo");
        for target in [&narinfo, &nar] {
            let answer = world.get(target);
            assert_eq!(answer.status == 200, gets, "{rule} {shares} {who} {target}");
            assert!(gets || answer == missing, "{answer:?}");
        }
        let page = world.ask("GET", &nar, &["Sec-Fetch-Mode: no-cors"]);
        assert_eq!(page.status, 403);
    }
}

/// Puts a content-addressed path into a folder, and gives its names.
fn put_addressed(folder: &Path, output: &FixedOutput, claims: &FixedOutput) {
    let path = output.store_path();
    let text = format!(
        "StorePath: {path}\nURL: nar/x.nar.xz\nCompression: xz\nNarHash: {}\nNarSize: {}\n\
         References: \nCA: {}\n",
        sha256(NAR).prefixed_nix32(),
        NAR.len(),
        claims.content_address()
    );
    fs::write(folder.join(format!("{}.narinfo", path.hash_part())), text).unwrap();
}

#[test]
fn of_what_is_not_shared_a_daemon_gets_what_is_approved_and_content_addressed() {
    let folder = folder();
    let [approved, liar, other] =
        ["approved", "liar", "other"].map(|text| flat(text, json!({ "fail": "x" })));
    put_addressed(folder.path(), &approved.output, &approved.output);
    put_addressed(folder.path(), &liar.output, &other.output);
    put_addressed(folder.path(), &other.output, &other.output);
    for rule in [DaemonPeers::Open, DaemonPeers::Approved] {
        let setup = Setup {
            daemon_peers: rule,
            ..Setup::default()
        };
        let (world, _) = serving(folder.path(), setup);
        // Each in a file of its own, of which the first request starts all.
        for fetch in [&approved, &liar] {
            let file = format!("/{}", fetch.output.hash.hex());
            approve(&world, &file, std::slice::from_ref(fetch));
        }
        let owners: Vec<String> = [&approved, &liar, &other]
            .map(|fetch| url(&world.get(&names(fetch)[0])))
            .into();
        world.becomes(BUILD_USER);
        let [record, _] = names(&approved);
        assert_eq!(world.get(&url(&world.get(&record))).body, NAR);
        for (fetch, nar) in [(&liar, &owners[1]), (&other, &owners[2])] {
            assert_eq!(world.get(&names(fetch)[0]).status, 404, "{rule}");
            assert_eq!(world.get(nar).status, 404, "{rule}");
        }
        assert_eq!(world.runs(), 1, "{rule}: the liar was fetched instead");
    }
}

#[test]
fn a_record_that_nix_would_stop_at_is_a_miss() {
    let folder = folder();
    let good = record(HASH, "nar/x.nar.xz", "");
    let (world, told) = serving(folder.path(), Setup::default());
    let broken = [
        String::new(),
        good.replace(HASH, "11111111111111111111111111111111"),
        good.replace("/nix/store/", "/other/store/"),
        good.replace("NarSize: ", "NarSize: -"),
        good.replace("NarHash: sha256:", "NarHash: sha256:0"),
        good.replace("URL: nar/x.nar.xz\n", ""),
        good.replace("URL: ", "URL: nar/y.nar.xz\nURL: "),
        good.replace("Compression: xz", "Compression: unheard-of"),
        good.trim_end().to_owned(),
        good.replace("kept", "\u{1b}[31m"),
        format!("{good}CA: nonsense\n"),
        format!("{good}CA: fixed:sha256:short\n"),
        format!("{good}CA: text:sha256:short\n"),
    ];
    for text in &broken {
        assert_ne!(*text, good);
        fs::write(folder.path().join(format!("{HASH}.narinfo")), text).unwrap();
        assert_eq!(world.get(&format!("/{HASH}.narinfo")).status, 404, "{text}");
    }
    assert_eq!(told.lock().unwrap().len(), 1, "once is enough: {told:?}");
    assert!(
        told.lock()
            .unwrap()
            .iter()
            .all(|line| !line.contains('\u{1b}'))
    );
    let (sha256, sha1) = (sha256(b"").nix32(), "0".repeat(32));
    for address in [
        format!("text:sha256:{sha256}"),
        format!("fixed:git:sha1:{sha1}"),
    ] {
        let text = format!("{good}CA: {address}\n");
        fs::write(folder.path().join(format!("{HASH}.narinfo")), &text).unwrap();
        let answer = world.get(&format!("/{HASH}.narinfo"));
        assert!(
            answer.text().ends_with(&format!("CA: {address}\n")),
            "{answer:?}"
        );
    }
}

#[test]
fn nothing_but_plain_files_below_the_folder_is_read() {
    let folder = folder();
    let secret = tempfile::NamedTempFile::new().unwrap();
    fs::write(secret.path(), "s3cret").unwrap();
    let root = folder.path();
    symlink(secret.path(), root.join("nar/link.nar.xz")).unwrap();
    symlink("x.nar.xz", root.join("nar/inside.nar.xz")).unwrap();
    symlink("/", root.join("nar/root")).unwrap();
    let made = std::process::Command::new("mkfifo")
        .arg(root.join("nar/pipe"))
        .status();
    assert!(made.unwrap().success());
    let (world, told) = serving(root, Setup::default());
    let nar = url(&world.get(&format!("/{HASH}.narinfo")));
    let absolute = secret.path().to_str().unwrap().to_owned();
    for place in [
        "nar/link.nar.xz",
        &format!("nar/root{absolute}"),
        &absolute,
        &format!("../../../../../../..{absolute}"),
        &format!("file://{absolute}"),
        "http://127.0.0.1:1/x.nar.xz",
        "nar/none",
        "nar/x.nar.xz/y",
        "nar",
        "nar/pipe",
        "/proc/self/environ",
    ] {
        put(root, HASH, place);
        let answer = world.get(&nar);
        assert_eq!(answer.status, 404, "{place}");
    }
    put(root, HASH, "nar/inside.nar.xz");
    assert_eq!(world.get(&nar).body, NAR);
    assert_eq!(told.lock().unwrap().as_slice(), &[] as &[String]);
}

#[test]
fn what_the_gateway_holds_is_not_asked_for_elsewhere() {
    let folder = folder();
    let file = flat("content", json!({}));
    put_addressed(folder.path(), &file.output, &file.output);
    let (world, _) = serving(folder.path(), Setup::default());
    assert_eq!(world.fetch(&file).status, 200);
    let [record, nar] = names(&file);
    assert_eq!(url(&world.get(&record)), nar);
}
