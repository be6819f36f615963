//! Compiling in a child process. This test is its own child, so it has its own `main`.
#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a test fails by panicking"
)]

use std::path::PathBuf;
use std::process::ExitCode;

use fetchhost_engine::{
    COMPILE_WORKER_ARGUMENT, CompileMode, Engine, ModuleError, Options, Trust, compile_worker,
};
use fetchhost_policy::Limits;

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some(COMPILE_WORKER_ARGUMENT) {
        return compile_worker();
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        a_valid_module_is_compiled().await;
        an_invalid_module_is_told_by_the_compiler().await;
        a_child_that_is_no_compiler_is_reported().await;
        an_embedded_module_needs_no_child().await;
    });
    ExitCode::SUCCESS
}

async fn load(program: PathBuf, wasm: &str, trust: Trust) -> ModuleError {
    let engine = Engine::new(Options {
        cache_dir: None,
        limits: Limits::default(),
        compile: CompileMode::Child(program),
    });
    engine
        .load(&wat::parse_str(wasm).unwrap(), trust)
        .await
        .unwrap_err()
}

/// A component whose exports have the right names and the wrong types: it compiles, and is refused
/// afterwards.
const UNFIT: &str = r#"(component
    (core module $m (func (export "f")))
    (core instance $i (instantiate $m))
    (func (export "describe") (canon lift (core func $i "f")))
    (func (export "fetch") (canon lift (core func $i "f"))))"#;

/// A component that parses, and whose code does not validate.
const INVALID: &str = r#"(component
    (core module $m (func (export "f") drop))
    (core instance $i (instantiate $m))
    (func (export "describe") (canon lift (core func $i "f")))
    (func (export "fetch") (canon lift (core func $i "f"))))"#;

async fn a_valid_module_is_compiled() {
    let error = load(std::env::current_exe().unwrap(), UNFIT, Trust::ThirdParty).await;
    assert!(matches!(error, ModuleError::Unfit { .. }), "{error}");
}

async fn an_invalid_module_is_told_by_the_compiler() {
    let error = load(std::env::current_exe().unwrap(), INVALID, Trust::ThirdParty).await;
    let ModuleError::Invalid { detail } = error else {
        panic!("{error}")
    };
    assert!(detail.contains("type mismatch"), "{detail}");
}

async fn a_child_that_is_no_compiler_is_reported() {
    let missing = PathBuf::from("/nonexistent/compiler");
    let error = load(missing, UNFIT, Trust::ThirdParty).await;
    assert!(matches!(error, ModuleError::Compiler { .. }), "{error}");
    let error = load(PathBuf::from("/bin/false"), UNFIT, Trust::ThirdParty).await;
    assert!(matches!(error, ModuleError::Compiler { .. }), "{error}");
}

async fn an_embedded_module_needs_no_child() {
    let error = load(
        PathBuf::from("/nonexistent/compiler"),
        UNFIT,
        Trust::Embedded,
    )
    .await;
    assert!(matches!(error, ModuleError::Unfit { .. }), "{error}");
}
