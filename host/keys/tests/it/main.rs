//! Keys and envelopes through the front door, judged by the programs that everybody verifies with.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod agent;
mod forms;
mod hostile;
mod minisign;
mod openssl;
mod public;
mod refusals;
mod ssh;
mod support;
#[cfg(feature = "pkcs11")]
mod token;

/// The one rule of when a test may be skipped.
#[path = "../../../../tests/e2e/src/skip.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    reason = "shared with the end-to-end tests"
)]
mod skip;
