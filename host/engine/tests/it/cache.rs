//! The compile cache, as seen from outside.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use fetchhost_engine::{CompileMode, Engine, Module, ModuleError, Options, Trust};
use fetchhost_policy::Limits;
use sha2::{Digest as _, Sha256};

use crate::guest::{Guest, engine, run};

/// An engine that cannot compile: what it loads was in the cache.
fn without_compiler(cache: &Path) -> Engine {
    Engine::new(Options {
        cache_dir: Some(cache.to_owned()),
        limits: Limits::default(),
        compile: CompileMode::Child(PathBuf::from("/nonexistent/compiler")),
    })
}

async fn load(engine: &Engine, guest: &Guest) -> Result<Module, ModuleError> {
    engine.load(&guest.wasm(), Trust::ThirdParty).await
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// The files in `dir` whose names end in `ending`.
fn files(dir: &Path, ending: &str) -> Vec<PathBuf> {
    let paths = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    paths
        .filter(|path| path.to_str().unwrap().ends_with(ending))
        .collect()
}

#[tokio::test]
async fn the_second_load_compiles_nothing_and_runs() {
    let temp = tempfile::tempdir().unwrap();
    let cache = temp.path().join("cache");
    let guest = Guest::default();
    assert!(load(&without_compiler(&cache), &guest).await.is_err());
    load(&engine(Some(&cache), Limits::default()), &guest)
        .await
        .unwrap();
    assert_eq!(files(&cache, ".cwasm").len(), 1);
    assert_eq!(files(&cache, ".describe.json").len(), 1);
    let module = load(&without_compiler(&cache), &guest).await.unwrap();
    run(&module, Limits::default()).await.0.unwrap();
}

#[tokio::test]
async fn an_embedded_module_is_unpacked_only_to_be_compiled() {
    let temp = tempfile::tempdir().unwrap();
    let cache = temp.path().join("cache");
    // Imports of all kinds: of the contract, of WASI, and one that brings nothing but a type.
    let guest = Guest {
        imports: r#"
            (import "wasi:io/error@0.2.6" (instance $error (export "error" (type (sub resource)))))
            (import "wasi:sockets/nothing@0.2.0" (instance (export "x" (func))))
            (alias export $error "error" (type $e))
            (import "another" (type (eq $e)))"#
            .to_owned(),
        ..Guest::default()
    };
    let wasm = guest.wasm();
    let digest = <[u8; 32]>::from(Sha256::digest(&wasm));
    let bytes = wasm.len() as u64;
    let engine = || engine(Some(&cache), Limits::default());
    let damaged = || Err(io::Error::other("no end"));

    let error = engine()
        .load_embedded(digest, bytes, damaged)
        .await
        .unwrap_err();
    assert!(matches!(error, ModuleError::Packed { .. }), "{error}");
    let fresh = engine()
        .load_embedded(digest, bytes, || Ok(wasm.clone()))
        .await
        .unwrap();
    let kept = engine()
        .load_embedded(digest, bytes, damaged)
        .await
        .unwrap();
    assert_eq!(kept.digest(), digest);
    assert_eq!(kept.imports(), fresh.imports());
    assert_eq!(kept.imports().len(), 4, "{:?}", kept.imports());
    assert_eq!(kept.trapped_imports(), ["wasi:sockets/nothing@0.2.0"]);
    run(&kept, Limits::default()).await.0.unwrap();
}

#[tokio::test]
async fn an_embedded_module_of_another_digest_keeps_its_own() {
    let temp = tempfile::tempdir().unwrap();
    let cache = temp.path().join("cache");
    let wasm = Guest::default().wasm();
    let module = engine(Some(&cache), Limits::default())
        .load_embedded([7; 32], wasm.len() as u64, || Ok(wasm.clone()))
        .await
        .unwrap();
    assert_eq!(module.digest(), <[u8; 32]>::from(Sha256::digest(&wasm)));
    assert!(files(&cache, ".cwasm").iter().all(|file| {
        let name = file.file_name().unwrap().to_str().unwrap();
        !name.starts_with("0707")
    }));
}

#[tokio::test]
async fn an_embedded_module_is_no_larger_than_allowed() {
    let limits = Limits {
        module_bytes: 100,
        ..Limits::default()
    };
    let error = engine(None, limits)
        .load_embedded([7; 32], 101, || Ok(Vec::new()))
        .await
        .unwrap_err();
    assert!(matches!(error, ModuleError::TooLarge(_)), "{error}");
}

#[tokio::test]
async fn a_kept_description_is_not_asked_for_again() {
    let temp = tempfile::tempdir().unwrap();
    let cache = temp.path().join("cache");
    let guest = Guest::default();
    load(&engine(Some(&cache), Limits::default()), &guest)
        .await
        .unwrap();
    // A module that is not run cannot run out of fuel.
    let limits = Limits {
        fuel: 1,
        ..Limits::default()
    };
    load(&engine(Some(&cache), limits), &guest).await.unwrap();
}

#[tokio::test]
async fn a_cache_open_to_others_is_ignored() {
    let temp = tempfile::tempdir().unwrap();
    let cache = temp.path().join("cache");
    let guest = Guest::default();
    load(&engine(Some(&cache), Limits::default()), &guest)
        .await
        .unwrap();
    chmod(&cache, 0o755);
    let error = load(&without_compiler(&cache), &guest).await.unwrap_err();
    assert!(matches!(error, ModuleError::Compiler { .. }), "{error}");
    load(&engine(Some(&cache), Limits::default()), &guest)
        .await
        .unwrap();
}

#[tokio::test]
async fn code_kept_for_another_module_is_not_used() {
    let temp = tempfile::tempdir().unwrap();
    let cache = temp.path().join("cache");
    let other = Guest {
        fetch: "unreachable",
        ..Guest::default()
    };
    load(&engine(Some(&cache), Limits::default()), &other)
        .await
        .unwrap();
    let error = load(&without_compiler(&cache), &Guest::default())
        .await
        .unwrap_err();
    assert!(matches!(error, ModuleError::Compiler { .. }), "{error}");
}

#[tokio::test]
async fn code_kept_by_another_engine_is_not_used() {
    let temp = tempfile::tempdir().unwrap();
    let cache = temp.path().join("cache");
    let guest = Guest::default();
    load(&engine(Some(&cache), Limits::default()), &guest)
        .await
        .unwrap();
    let file = files(&cache, ".cwasm").remove(0);
    let digest = &file.file_name().unwrap().to_str().unwrap()[..64];
    fs::rename(
        &file,
        cache.join(format!("{digest}-{}.cwasm", "0".repeat(64))),
    )
    .unwrap();
    let error = load(&without_compiler(&cache), &guest).await.unwrap_err();
    assert!(matches!(error, ModuleError::Compiler { .. }), "{error}");
}

#[tokio::test]
async fn damaged_code_is_made_anew() {
    let temp = tempfile::tempdir().unwrap();
    let cache = temp.path().join("cache");
    let guest = Guest::default();
    load(&engine(Some(&cache), Limits::default()), &guest)
        .await
        .unwrap();
    let file = files(&cache, ".cwasm").remove(0);
    for damaged in [&b""[..], b"not code"] {
        // By renaming, as everything in the cache is written: the old file may be mapped.
        let new = cache.join("new");
        fs::write(&new, damaged).unwrap();
        chmod(&new, 0o600);
        fs::rename(&new, &file).unwrap();
        let module = load(&engine(Some(&cache), Limits::default()), &guest)
            .await
            .unwrap();
        run(&module, Limits::default()).await.0.unwrap();
        assert!(fs::metadata(&file).unwrap().len() > 1000);
    }
}

#[tokio::test]
async fn a_damaged_description_is_asked_for_again() {
    let temp = tempfile::tempdir().unwrap();
    let cache = temp.path().join("cache");
    let guest = Guest::default();
    load(&engine(Some(&cache), Limits::default()), &guest)
        .await
        .unwrap();
    let file = files(&cache, ".describe.json").remove(0);
    fs::write(&file, "{").unwrap();
    let module = load(&engine(Some(&cache), Limits::default()), &guest)
        .await
        .unwrap();
    assert!(module.description().fetchers.contains_key("demo"));
}
