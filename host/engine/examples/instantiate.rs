//! How long a guest takes from the compile cache to its first instruction, and to its end.
//!
//! `cargo run --release -p fetchhost-engine --example instantiate -- MODULE.wasm FETCHER` loads the
//! module once, runs its fetcher again and again with `{}` as parameters, which most fetchers refuse
//! at once, and prints the median: what is left is making the store, the instance and its memory, one
//! call, and taking everything down.

#![allow(clippy::print_stdout, reason = "it prints what it measured")]

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use fetchhost_credentials::Keyring;
use fetchhost_engine::{CompileMode, Engine, Module, Options, Session, Trust};
use fetchhost_policy::{Broker, Config, Limits, ModuleId};
use fetchhost_transport::{Client, Settings};

const RUNS: u32 = 2_000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(file), Some(fetcher)) = (arguments.next(), arguments.next()) else {
        return Err("usage: instantiate MODULE.wasm FETCHER".into());
    };
    let wasm = std::fs::read(file)?;
    let cache = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let engine = || {
            Engine::new(Options {
                cache_dir: Some(cache.path().to_owned()),
                limits: Limits::default(),
                compile: CompileMode::InProcess,
            })
        };
        engine().load(&wasm, Trust::Embedded).await?;
        let start = Instant::now();
        let module = engine().load(&wasm, Trust::Embedded).await?;
        println!("engine and module from the cache: {:?}", start.elapsed());

        let mut runs = Vec::new();
        for _ in 0..RUNS {
            let session = session(&module, &fetcher)?;
            let start = Instant::now();
            // How it ends does not matter here.
            drop(module.fetch(&fetcher, "{}", session).await);
            runs.push(start.elapsed());
        }
        runs.sort();
        println!(
            "instance, call and end: {} ns",
            runs[runs.len() / 2].as_nanos()
        );
        Ok(())
    })
}

fn session(module: &Module, fetcher: &str) -> Result<Session, Box<dyn Error>> {
    let description = &module.description().fetchers[fetcher];
    let id = ModuleId::Digest(module.digest());
    let broker = Broker::new(id, fetcher, description, &Config::default(), None)?;
    Ok(Session {
        client: Client::new(Settings::default(), Arc::new(Keyring::new())),
        broker: Arc::new(broker),
        limits: Limits::default(),
        tmp: std::env::temp_dir(),
        log: Arc::new(|_| ()),
        inputs: BTreeMap::new(),
        desk: None,
    })
}
