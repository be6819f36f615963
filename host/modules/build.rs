//! Compiles the first-party fetchers to components, packs them, and writes the list of them for
//! `src/lib.rs`.
//!
//! The nested cargo runs while the outer one holds the lock of its build folder, so the two must not
//! share one: the guests live in `<target>/guests`, as target and as build folder. There they are built
//! once, whatever profile the host is built with. What the outer cargo sets for host code (compiler
//! flags, the wrapper that clippy puts around the compiler) must not reach the guests either: it would
//! give each outer command its own guests.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use flate2::Compression;
use flate2::write::ZlibEncoder;
use sha2::{Digest as _, Sha256};

/// The first-party modules by name, ordered: `NAME` is the crate `fetcher-NAME` in `fetchers/NAME`.
const MODULES: &[&str] = &["gitlab", "http", "s3", "signer"];

const TARGET: &str = "wasm32-wasip2";
const PROFILE: &str = "guest";

/// Names a folder of ready components, for packagers who build them separately.
const READY_MODULES: &str = "NIX_FETCHHOST_MODULES_DIR";

/// What the outer build sets for host code and the guests must not see.
const NOT_FOR_GUESTS: &[&str] = &[
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CLIPPY_ARGS",
    "CLIPPY_CONF_DIR",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTFLAGS",
];

/// Why there are no components.
enum Failure {
    /// One line says all.
    Line(String),
    /// The nested cargo has printed it.
    Printed,
}

impl From<String> for Failure {
    fn from(line: String) -> Self {
        Self::Line(line)
    }
}

fn main() -> ExitCode {
    match embed() {
        Ok(()) => ExitCode::SUCCESS,
        // Cargo fails the build for this line, and shows it alone as long as the script itself succeeds.
        Err(Failure::Line(line)) => {
            println!("cargo::error={line}");
            ExitCode::SUCCESS
        }
        // Cargo shows what a script printed only if the script fails.
        Err(Failure::Printed) => ExitCode::FAILURE,
    }
}

/// Places every component in `OUT_DIR`, packed, with the Rust expression that lists them.
fn embed() -> Result<(), Failure> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed={READY_MODULES}");
    let out = PathBuf::from(variable("OUT_DIR")?);
    let components = match env::var_os(READY_MODULES).filter(|folder| !folder.is_empty()) {
        Some(folder) => ready(Path::new(&folder)),
        None => build(&out)?,
    };
    let mut list = String::from("&[\n");
    for (name, component) in MODULES.iter().zip(components) {
        let wasm = fs::read(&component)
            .map_err(|error| format!("cannot read `{}`: {error}", component.display()))?;
        let file = format!("{name}.wasm.z");
        pack(&wasm)
            .and_then(|packed| fs::write(out.join(&file), packed))
            .map_err(|error| format!("cannot pack `{}`: {error}", component.display()))?;
        let digest: [u8; 32] = Sha256::digest(&wasm).into();
        list += &format!(
            "Builtin {{ name: \"{name}\", digest: {digest:?}, bytes: {}, \
             packed: include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{file}\")) }},\n",
            wasm.len()
        );
    }
    list += "]\n";
    fs::write(out.join("builtin.rs"), list)
        .map_err(|error| format!("cannot write the list of modules: {error}"))?;
    Ok(())
}

fn pack(wasm: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(wasm)?;
    encoder.finish()
}

/// The components as somebody else built them: `FOLDER/NAME.wasm`.
fn ready(folder: &Path) -> Vec<PathBuf> {
    let components: Vec<_> = MODULES
        .iter()
        .map(|name| folder.join(format!("{name}.wasm")))
        .collect();
    for component in &components {
        println!("cargo::rerun-if-changed={}", component.display());
    }
    components
}

/// Builds the components from source and returns where cargo left them.
fn build(out: &Path) -> Result<Vec<PathBuf>, Failure> {
    let package = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let workspace = package
        .ancestors()
        .nth(2)
        .ok_or_else(|| format!("no workspace above `{}`", package.display()))?;
    for source in ["Cargo.toml", "Cargo.lock", "fetchers", "sdk", "wit"] {
        println!(
            "cargo::rerun-if-changed={}",
            workspace.join(source).display()
        );
    }
    require_target()?;

    let guests = target_folder(out)?.join("guests");
    let mut cargo = Command::new(variable("CARGO")?);
    for name in NOT_FOR_GUESTS {
        cargo.env_remove(name);
    }
    cargo
        .current_dir(workspace)
        .env("CARGO_BUILD_BUILD_DIR", &guests)
        .env("CARGO_ENCODED_RUSTFLAGS", without_local_paths(workspace))
        // The outer cargo has just resolved and written this lock file.
        .args(["build", "--locked", "--target", TARGET])
        .args(["--profile", PROFILE, "--target-dir"])
        .arg(&guests);
    for name in MODULES {
        cargo.args(["--package", &format!("fetcher-{name}")]);
    }
    let status = cargo
        .status()
        .map_err(|error| format!("cannot run cargo for the first-party fetchers: {error}"))?;
    if !status.success() {
        return Err(Failure::Printed);
    }
    let built = guests.join(TARGET).join(PROFILE);
    Ok(MODULES
        .iter()
        .map(|name| built.join(format!("fetcher_{name}.wasm")))
        .collect())
}

/// Refuses to start a build that would end in pages of `can't find crate for std`.
fn require_target() -> Result<(), String> {
    let libraries = Command::new(variable("RUSTC")?)
        .args(["--print", "target-libdir", "--target", TARGET])
        .output()
        .map_err(|error| format!("cannot run rustc: {error}"))?;
    let folder = String::from_utf8_lossy(&libraries.stdout);
    if libraries.status.success() && Path::new(folder.trim_end()).is_dir() {
        Ok(())
    } else {
        Err(format!(
            "the fetchers are WebAssembly components: run `rustup target add {TARGET}`"
        ))
    }
}

/// Compiler flags that keep the builder's folders out of the components (panic messages name source
/// files), so that two machines build the same bytes.
fn without_local_paths(workspace: &Path) -> OsString {
    let cargo_home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| env::home_dir().map(|home| home.join(".cargo")));
    let mut flags = OsString::from("--remap-path-prefix=");
    flags.push(workspace);
    flags.push("=/nix-fetchhost");
    if let Some(cargo_home) = cargo_home {
        // The separator that cargo documents for this variable.
        flags.push("\x1f--remap-path-prefix=");
        flags.push(cargo_home);
        flags.push("=/cargo");
    }
    flags
}

/// Finds the outer target folder: cargo gives `<target>[/<triple>]/<profile>/build/<package>/out`.
fn target_folder(out: &Path) -> Result<PathBuf, String> {
    let triple = variable("TARGET")?;
    out.ancestors()
        .find(|folder| folder.ends_with("build"))
        .and_then(|build| build.parent()?.parent())
        .map(|target| match target.parent() {
            Some(parent) if target.ends_with(&triple) => parent.to_owned(),
            _ => target.to_owned(),
        })
        .ok_or_else(|| format!("cannot find the target folder above `{}`", out.display()))
}

/// Reads a variable that cargo always sets for a build script.
fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|error| format!("`{name}`: {error}"))
}
