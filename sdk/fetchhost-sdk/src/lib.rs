#![doc = include_str!("../README.md")]
//!
//! ```no_run
#![doc = include_str!("../../../examples/rust-fetcher/src/lib.rs")]
//! ```

// The paths that the generated code is told must hold in this crate too.
extern crate self as fetchhost_sdk;

mod artifact;
#[doc(hidden)]
pub mod bindings;
mod describe;
mod error;
mod export;
mod fetcher;
pub mod http;
pub mod inputs;
pub mod keys;
pub mod log;
mod schema;
pub mod url;

pub use artifact::{ArchiveFormat, Blob, Plan, Source, Tree};
pub use describe::{Envelope, FetcherDescription, KeySlot, OutputRule, Scheme, Slot};
pub use error::{ErrorKind, FetchError};
#[doc(hidden)]
pub use export::__private;
pub use fetcher::{Fetcher, description, parameters};
pub use http::{Method, Request, Response};
pub use inputs::Input;
