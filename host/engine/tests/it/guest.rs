//! Small guests for tests.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex};

use fetchhost_credentials::Keyring;
use fetchhost_engine::{CompileMode, Engine, LogLine, Module, Options, Plan, Session, Trust};
use fetchhost_engine::{FetchFailure, ModuleError};
use fetchhost_policy::{Broker, Config, Limits, ModuleId};
use fetchhost_transport::{Client, Settings};

/// A description that is accepted, with one fetcher called `demo`.
pub(crate) const DESCRIPTION: &str = r#"{
    "version": "1.0.0",
    "fetchers": {
        "demo": {
            "summary": "For tests",
            "parameters": { "type": "object", "properties": {} },
            "output": [{ "mode": "nar", "name": "source" }]
        }
    }
}"#;

/// A guest under construction. Its core module has `$ok`, a function that makes an empty tree.
pub(crate) struct Guest {
    /// What `describe` returns.
    pub(crate) description: String,
    /// The instructions of `describe` before it returns.
    pub(crate) describe: &'static str,
    /// The instructions of `fetch`, which leave the address of its result.
    pub(crate) fetch: &'static str,
    /// Further imports of the component.
    pub(crate) imports: String,
    /// Further core functions for the module, lowered from `imports`, under the name `extra`.
    pub(crate) lowered: &'static str,
    /// Their declarations in the core module.
    pub(crate) declared: &'static str,
    /// Version in the import names.
    pub(crate) version: &'static str,
    /// Name of the export `fetch`.
    pub(crate) export: &'static str,
    /// What `fetch` reports when its instructions are [`FAIL`]: kind and message.
    pub(crate) report: (&'static str, &'static str),
}

/// Returns an empty tree.
pub(crate) const SUCCEED: &str = "(call $ok)";
/// Returns what `report` says.
pub(crate) const FAIL: &str = "(i32.const 4096)";
/// Never returns.
pub(crate) const LOOP: &str = "(loop $again (br $again)) unreachable";

impl Default for Guest {
    fn default() -> Self {
        Self {
            description: DESCRIPTION.to_owned(),
            describe: "",
            fetch: SUCCEED,
            imports: String::new(),
            lowered: "",
            declared: "",
            version: "0.1.0",
            export: "fetch",
            report: ("other", ""),
        }
    }
}

impl Guest {
    /// The component's bytes.
    pub(crate) fn wasm(&self) -> Vec<u8> {
        let Self {
            describe,
            fetch,
            imports,
            lowered,
            declared,
            version,
            export,
            ..
        } = self;
        let text = format!(
            r#"(component
  (import "nix-fetchhost:fetcher/types@{version}" (instance $types
    (type $record (record
      (field "kind" string) (field "message" string)
      (field "retry-after-seconds" (option u32)) (field "details" (option string))))
    (export "fetch-error" (type (eq $record)))))
  (alias export $types "fetch-error" (type $fetch-error))
  (import "nix-fetchhost:fetcher/artifact@{version}" (instance $artifact
    (export "plan" (type $plan (sub resource)))
    (export "[static]plan.tree" (func (result (own $plan))))))
  (alias export $artifact "plan" (type $plan))
  {imports}
  (core func $tree (canon lower (func $artifact "[static]plan.tree")))
  (core module $m
    (import "host" "tree" (func $tree (result i32)))
    {declared}
    (memory (export "memory") 64)
    (global $heap (mut i32) (i32.const 3000000))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (local $at i32)
      (local.set $at (global.get $heap))
      (global.set $heap (i32.add (global.get $heap) (i32.and (i32.add (local.get 3) (i32.const 7)) (i32.const -8))))
      (local.get $at))
    (func $ok (result i32)
      (i32.store8 (i32.const 8192) (i32.const 0))
      (i32.store (i32.const 8196) (call $tree))
      (i32.const 8192))
    (func (export "describe") (result i32) {describe} (i32.const 0))
    (func $hostile_fetch (export "fetch") (param i32 i32 i32 i32) (result i32) {fetch})
    (data (i32.const 0) "{pointers}")
    (data (i32.const 4096) "{report}")
    (data (i32.const 16384) "{description}"))
  (core instance $i (instantiate $m (with "host" (instance (export "tree" (func $tree)))) {lowered}))
  (func (export "describe") (result string)
    (canon lift (core func $i "describe") (memory (core memory $i "memory"))))
  (func (export "{export}") (param "fetcher" string) (param "params" string)
    (result (result (own $plan) (error $fetch-error)))
    (canon lift (core func $i "fetch") (memory (core memory $i "memory")) (realloc (core func $i "realloc")))))"#,
            pointers = bytes(&words(&[16384, self.description.len() as u32])),
            report = bytes(&self.report()),
            description = bytes(self.description.as_bytes()),
        );
        wat::parse_str(text).unwrap()
    }

    /// `result<_, fetch-error>::err` at address 4096, its texts behind it.
    fn report(&self) -> Vec<u8> {
        let (kind, message) = self.report;
        let texts = 4096 + 40;
        let mut bytes = words(&[
            1,
            texts,
            kind.len() as u32,
            texts + kind.len() as u32,
            message.len() as u32,
            0,
            0,
            0,
            0,
            0,
        ]);
        bytes.extend(kind.bytes().chain(message.bytes()));
        bytes
    }

    /// Loads the guest without a cache.
    pub(crate) async fn load(&self) -> Result<Module, ModuleError> {
        self.load_with(Limits::default()).await
    }

    pub(crate) async fn load_with(&self, limits: Limits) -> Result<Module, ModuleError> {
        engine(None, limits)
            .load(&self.wasm(), Trust::ThirdParty)
            .await
    }

    /// Loads the guest and runs its fetcher.
    pub(crate) async fn run(&self, limits: Limits) -> Result<Plan, FetchFailure> {
        run(&self.load().await.unwrap(), limits).await.0
    }
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn bytes(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "\\{byte:02x}").unwrap();
        text
    })
}

pub(crate) fn engine(cache: Option<&Path>, limits: Limits) -> Engine {
    Engine::new(Options {
        cache_dir: cache.map(Path::to_owned),
        limits,
        compile: CompileMode::InProcess,
    })
}

/// Runs the fetcher `demo` of a module that is granted nothing, and returns what it logged as well.
pub(crate) async fn run(
    module: &Module,
    limits: Limits,
) -> (Result<Plan, FetchFailure>, Vec<LogLine>) {
    let (session, lines) = session(module, limits);
    let outcome = module.fetch("demo", "{}", session).await;
    let lines = lines.lock().unwrap().clone();
    (outcome, lines)
}

pub(crate) fn session(module: &Module, limits: Limits) -> (Session, Arc<Mutex<Vec<LogLine>>>) {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&lines);
    let description = &module.description().fetchers["demo"];
    let id = ModuleId::Digest(module.digest());
    let broker = Broker::new(id, "demo", description, &Config::default(), None).unwrap();
    let session = Session {
        client: Client::new(Settings::default(), Arc::new(Keyring::new())),
        broker: Arc::new(broker),
        limits,
        tmp: std::env::temp_dir(),
        log: Arc::new(move |line| log.lock().unwrap().push(line)),
        inputs: BTreeMap::new(),
        desk: None,
    };
    (session, lines)
}
