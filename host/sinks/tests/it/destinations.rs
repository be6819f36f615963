//! What may follow `--to`.

use std::path::PathBuf;

use fetchhost_cache::{CachePlace, CacheUrl, Writing};
use fetchhost_formats::Compression;
use fetchhost_sinks::{Destination, StoreUrl};

fn parsed(text: &str) -> Destination {
    text.parse()
        .unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn cache(text: &str) -> CacheUrl {
    match parsed(text) {
        Destination::Cache(cache) => cache.url().clone(),
        other => panic!("{other:?}"),
    }
}

/// The error and its hint.
fn refused(text: &str) -> (String, String) {
    let error = text.parse::<Destination>().expect_err(text);
    (error.to_string(), error.hint().unwrap_or_default())
}

#[test]
fn out_takes_a_path_as_it_is() {
    for path in [
        "result",
        "/srv/file",
        "./a:b",
        "dir/",
        "a?b=c",
        "%41",
        "-",
        "ü",
    ] {
        let destination = parsed(&format!("out:{path}"));
        assert_eq!(destination, Destination::Out(PathBuf::from(path)));
        assert_eq!(destination.label(), format!("out:{path}"));
    }
}

#[test]
fn out_needs_a_name_that_can_be_created() {
    for path in ["", "/", "..", "a/..", "."] {
        let (error, hint) = refused(&format!("out:{path}"));
        assert_eq!(
            error,
            format!("`out:{path}` does not name a file or folder that can be created")
        );
        assert!(hint.contains("out:result"));
    }
    refused("out:a\0b");
}

#[test]
fn a_cache_has_our_defaults() {
    assert_eq!(
        cache("file:///srv/cache"),
        CacheUrl {
            place: CachePlace::Folder("/srv/cache".into()),
            writing: Writing {
                compression: Compression::Zstd,
                level: None,
                secret_keys: Vec::new(),
                priority: 30,
                want_mass_query: true,
                listing: false,
                ..Writing::default()
            },
        }
    );
    assert_eq!(
        parsed("file:///srv/cache?compression=none").label(),
        "file:///srv/cache"
    );
}

#[test]
fn a_cache_takes_the_parameters_of_nix() {
    let url = "file:///srv/a%20b+c?compression=xz&compression-level=9&secret-key=/k%2C1&secret-keys=/k2,/k3\
               &priority=10&want-mass-query=false";
    assert_eq!(
        cache(url),
        CacheUrl {
            place: CachePlace::Folder("/srv/a b+c".into()),
            writing: Writing {
                compression: Compression::Xz,
                level: Some(9),
                secret_keys: ["/k,1", "/k2", "/k3"].map(PathBuf::from).to_vec(),
                priority: 10,
                want_mass_query: false,
                ..Writing::default()
            },
        }
    );
    assert_eq!(
        cache("file:///c?compression=none").writing.compression,
        Compression::None
    );
    assert_eq!(cache("file:///c?compression-level=-1").writing.level, None);
    assert_eq!(cache("file:///c?").place, CachePlace::Folder("/c".into()));
}

#[test]
fn an_unknown_parameter_is_refused_by_name_with_the_known_ones() {
    let (error, hint) = refused("file:///c?compresion=xz");
    assert_eq!(error, "unknown parameter `compresion` of a `file://` cache");
    assert_eq!(
        hint,
        "the parameters are `compression`, `compression-level`, `parallel-compression`, `secret-key`, `secret-keys`, `priority`, `want-mass-query`, `write-nar-listing`"
    );
}

#[test]
fn values_that_a_parameter_cannot_have_are_refused() {
    for (query, message) in [
        (
            "compression=bzip2",
            "the parameter `compression` is `none`, `xz` or `zstd`, not `bzip2`",
        ),
        (
            "compression",
            "the parameter `compression` is `none`, `xz` or `zstd`, not ``",
        ),
        (
            "compression-level=fast",
            "the parameter `compression-level` is a number, not `fast`",
        ),
        (
            "compression-level=23",
            "the parameter `compression-level` is 1 to 22 with `compression=zstd`, not `23`",
        ),
        (
            "compression-level=0",
            "the parameter `compression-level` is 1 to 22 with `compression=zstd`, not `0`",
        ),
        (
            "compression-level=10&compression=xz",
            "the parameter `compression-level` is 0 to 9 with `compression=xz`, not `10`",
        ),
        (
            "compression=none&compression-level=3",
            "the parameter `compression-level` is left out with `compression=none`, not `3`",
        ),
        (
            "priority=-1",
            "the parameter `priority` is a number that is not negative, not `-1`",
        ),
        (
            "want-mass-query=maybe",
            "the parameter `want-mass-query` is `true` or `false`, not `maybe`",
        ),
        (
            "secret-key=",
            "the parameter `secret-key` is the path of a file, not ``",
        ),
        (
            "secret-keys=/a,",
            "the parameter `secret-keys` is the path of a file, not `/a,`",
        ),
        (
            "secret-key=a%00b",
            "the parameter `secret-key` is the path of a file, not `a\\u{0}b`",
        ),
        (
            "priority=1&priority=2",
            "the parameter `priority` is given twice",
        ),
        (
            "\u{1b}[2J=1",
            "unknown parameter `\\u{1b}[2J` of a `file://` cache",
        ),
    ] {
        assert_eq!(refused(&format!("file:///c?{query}")).0, message);
    }
}

#[test]
fn a_cache_is_an_absolute_path_on_this_machine() {
    for url in [
        "file:",
        "file:/c",
        "file://",
        "file:///c#x",
        "file:///a%00b",
        "file:c",
        "file://host/c",
        "file://~/c",
    ] {
        let (error, hint) = refused(url);
        assert_eq!(
            error,
            format!("`{url}` is not `file://` and an absolute path")
        );
        assert!(hint.contains("file:///srv/cache"));
    }
}

#[test]
fn other_kinds_are_refused_with_what_this_version_offers() {
    for bucket in ["s3://bucket", "s3://bucket?region=eu"] {
        let (error, _) = refused(bucket);
        assert_eq!(error, "a bucket needs a network to be reached by");
    }
    for (bad, says) in [
        ("s3://", "`s3://BUCKET"),
        (
            "s3://bucket?regon=eu",
            "unknown parameter `regon` of a `s3://` cache",
        ),
        ("s3://bucket?region=EU", "the parameter `region`"),
        ("s3://bucket?compression=br", "the parameter `compression`"),
    ] {
        let (error, _) = refused(bad);
        assert!(error.contains(says), "{bad}: {error}");
    }
    for unknown in ["", "storage", "http://x", "FILE:///c", "result"] {
        let (error, hint) = refused(unknown);
        assert_eq!(error, format!("unknown destination `{unknown}`"));
        assert!(hint.contains("out:PATH"), "{hint}");
    }
    assert_eq!(
        refused("./result").1,
        "a file or folder is written `out:./result`"
    );
}

fn store(text: &str) -> StoreUrl {
    match parsed(text) {
        Destination::Store(store) => store.url,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_store_takes_the_forms_in_which_nix_names_one_on_this_machine() {
    let root = || Some(PathBuf::from("/r"));
    let unix = |root| StoreUrl::Unix {
        socket: "/s".into(),
        root,
    };
    for (text, url, label) in [
        ("store", StoreUrl::Auto, "store"),
        ("store=auto", StoreUrl::Auto, "store"),
        (
            "store=daemon",
            StoreUrl::Daemon { root: None },
            "store=daemon",
        ),
        (
            "store=daemon?root=/r",
            StoreUrl::Daemon { root: root() },
            "store=daemon?root=/r",
        ),
        ("store=unix:///s", unix(None), "store=unix:///s"),
        (
            "store=unix:///s?root=%2Fr",
            unix(root()),
            "store=unix:///s?root=/r",
        ),
        ("store=local", StoreUrl::Local { root: None }, "store=local"),
        (
            "store=local?root=/r",
            StoreUrl::Local { root: root() },
            "store=local?root=/r",
        ),
        (
            "store=/r",
            StoreUrl::Local { root: root() },
            "store=local?root=/r",
        ),
    ] {
        assert_eq!(store(text), url, "{text}");
        assert_eq!(parsed(text).label(), label, "{text}");
    }
}

#[test]
fn another_machine_is_no_store_of_ours() {
    for url in [
        "",
        "ssh://host",
        "ssh-ng://host",
        "https://cache",
        "s3://b",
        "dummy://",
        "./x",
        "x",
        "DAEMON",
    ] {
        let (error, hint) = refused(&format!("store={url}"));
        assert_eq!(error, format!("`{url}` is not a Nix store on this machine"));
        assert!(
            hint.contains("store=daemon") && hint.contains("nix copy"),
            "{hint}"
        );
    }
}

#[test]
fn a_store_refuses_parameters_by_name() {
    for (query, message) in [
        (
            "daemon?state=/x",
            "unknown parameter `state` of a Nix store",
        ),
        (
            "local?read-only=true",
            "unknown parameter `read-only` of a Nix store",
        ),
        ("auto?root=/r", "unknown parameter `root` of a Nix store"),
        (
            "local?root=/a&root=/b",
            "the parameter `root` is given twice",
        ),
        ("local?root=a", "`a` is not an absolute path"),
        ("local?root=", "`` is not an absolute path"),
        ("local?root=/a%00", "`/a%00` is not an absolute path"),
        ("unix://sock", "`sock` is not an absolute path"),
        ("unix://", "`` is not an absolute path"),
        (
            "local?\u{1b}[2J=1",
            "unknown parameter `\\u{1b}[2J` of a Nix store",
        ),
    ] {
        assert_eq!(refused(&format!("store={query}")).0, message);
    }
}
