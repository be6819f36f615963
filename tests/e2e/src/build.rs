//! Builds what the tests run, so that no test ever meets a stale binary.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

/// The program under test.
pub(crate) fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let mut cargo = cargo();
        // The test target is named along with the program because it brings the development
        // dependencies' features with it: the same as in `cargo test`, so that nothing is built
        // twice.
        cargo.args(["build", "--bin", "nix-fetchhost", "--test", "end_to_end"]);
        cargo.args(["--profile", &profile()]);
        artifact(cargo, |message| {
            let named = message["target"]["name"] == "nix-fetchhost";
            message["executable"].as_str().filter(|_| named)
        })
    })
}

/// The component of `tests/hostile`.
pub(crate) fn hostile_component() -> &'static Path {
    static COMPONENT: OnceLock<PathBuf> = OnceLock::new();
    COMPONENT.get_or_init(|| component("fetcher-hostile", "hostile.wasm"))
}

/// The component of `fetchers/signer`, as anybody may build it.
#[must_use]
pub fn signer_component() -> &'static Path {
    static COMPONENT: OnceLock<PathBuf> = OnceLock::new();
    COMPONENT.get_or_init(|| component("fetcher-signer", "signer.wasm"))
}

fn component(package: &str, file_name: &str) -> PathBuf {
    let guests = target_folder().join("guests");
    let mut cargo = cargo();
    // As host/modules builds the first-party fetchers, flags included, so that what they have
    // in common is built once.
    for name in [
        "RUSTFLAGS",
        "RUSTC_WORKSPACE_WRAPPER",
        "CLIPPY_ARGS",
        "CARGO_BUILD_TARGET",
    ] {
        cargo.env_remove(name);
    }
    cargo.env("CARGO_BUILD_BUILD_DIR", &guests);
    cargo.env("CARGO_ENCODED_RUSTFLAGS", remapped_paths());
    cargo.args(["build", "--package", package, "--target", "wasm32-wasip2"]);
    cargo
        .args(["--profile", "guest", "--target-dir"])
        .arg(&guests);
    artifact(cargo, |message| {
        let mut files = message["filenames"]
            .as_array()?
            .iter()
            .filter_map(Value::as_str);
        files.find(|file| file.ends_with(file_name))
    })
}

/// Where cargo puts what it builds for this test.
pub(crate) fn target_folder() -> PathBuf {
    let (folder, _) = target_and_profile();
    folder
}

fn profile() -> String {
    let (_, profile) = target_and_profile();
    // The one profile whose folder is named otherwise.
    if profile == "debug" {
        "dev".to_owned()
    } else {
        profile
    }
}

/// Reads `<target>/<profile>/deps/<test>`.
fn target_and_profile() -> (PathBuf, String) {
    let test = env::current_exe().expect("a test knows where it lies");
    let folder = test
        .ancestors()
        .nth(2)
        .expect("cargo puts tests into <profile>/deps");
    let profile = folder
        .file_name()
        .expect("a profile has a name")
        .to_string_lossy();
    let target = folder
        .parent()
        .expect("a profile lies in the target folder");
    (target.to_owned(), profile.into_owned())
}

/// The root of the repository.
#[must_use]
pub fn workspace() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest
        .join("../..")
        .canonicalize()
        .expect("the workspace is there")
}

fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace());
    command
}

fn remapped_paths() -> OsString {
    let mut flags = OsString::from("--remap-path-prefix=");
    flags.push(workspace());
    flags.push("=/nix-fetchhost");
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    if let Some(home) = home.or_else(|| Some(env::home_dir()?.join(".cargo"))) {
        flags.push("\x1f--remap-path-prefix=");
        flags.push(home);
        flags.push("=/cargo");
    }
    flags
}

/// Runs a build and picks one file from what cargo says it has made.
fn artifact(mut cargo: Command, pick: impl Fn(&Value) -> Option<&str>) -> PathBuf {
    cargo.args(["--locked", "--message-format", "json-render-diagnostics"]);
    let output = cargo.stderr(Stdio::inherit()).output().expect("cargo runs");
    assert!(output.status.success(), "{cargo:?} failed");
    let lines = output.stdout.split(|byte| *byte == b'\n');
    let messages: Vec<Value> = lines
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect();
    let found = messages.iter().find_map(pick);
    PathBuf::from(found.unwrap_or_else(|| panic!("{cargo:?} made no such file")))
}
