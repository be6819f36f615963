//! Runs fetcher modules in a sandbox.
//!
//! A module is a WebAssembly component for the world `nix-fetchhost:fetcher/fetcher` (the folder
//! `wit/`). It describes itself without any capability, and it fetches by asking this host for
//! everything: requests go to the broker of `fetchhost-policy` and, with its permit, to
//! `fetchhost-transport`. What a fetch gives is a [`Plan`]; the bytes of an artifact do not pass
//! through the module.
//!
//! ```text
//! bytes ─ imports ─ compile ─ cache ─ linker ─▶ Module ── fetch(Session) ──▶ Plan
//!         versions  in-process        inert              store: one instance,
//!         and names or child          WASI               limits, watchdog      FetchFailure
//!                                                        host/: http, artifact, inputs, keys, log
//! ```
//!
//! | file | decides |
//! |---|---|
//! | `imports.rs` | which imports a module may have; what it is told otherwise |
//! | `linker.rs` | what is behind them |
//! | `limits.rs`, `session.rs`, `progress.rs` | how much it may use, and for how long |
//! | `cache.rs`, `compile.rs` | where native code may come from |
//! | `host/` | what its calls do, and what it is told when they fail |
//! | `signing.rs` | what a fetcher may have signed, and by whom |
//! | `echo.rs` | whether an answer sends a credential back |
//! | `verdict.rs` | which story the user reads when a fetch fails |

#![deny(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test fails by panicking"))]

mod bindings;
mod cache;
mod capture;
mod compile;
mod config;
mod echo;
mod engine;
mod failure;
mod host;
mod imports;
mod limits;
mod linker;
mod module;
mod plan;
mod progress;
mod session;
mod signing;
mod store;
mod trap;
mod verdict;

pub use compile::{COMPILE_WORKER_ARGUMENT, CompileMode, compile_worker};
pub use engine::{Engine, Options, Trust};
pub use failure::{ErrorKind, FetchFailure, Misbehaved, Misbehaviour, ModuleError, Reported};
pub use imports::Version;
pub use module::Module;
pub use plan::{Entry, Plan, Source};
pub use session::{LogLevel, LogLine, Session};
pub use signing::{Desk, Input, InputError, SigningError, SigningErrorKind};
