//! Modules that behave, and modules that do not: components in text form, the one of `tests/hostile`, and a built-in one.
#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod cache;
mod echo;
mod guest;
mod load;
mod run;
mod schema;
mod signer;
mod signing;
