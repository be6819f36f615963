//! The transport against servers that mean harm, or are merely broken: rules 1 to 7, one file a rule
//! or two.

#![allow(
    clippy::unwrap_used,
    missing_docs,
    unreachable_pub,
    reason = "a test fails by panicking and is read, not documented"
)]

mod addresses;
mod bodies;
mod certificates;
mod echoes;
mod http2;
mod proxies;
mod proxy_failures;
mod redirects;
mod requests;
mod retries;
mod secrets;
mod signatures;
mod support;
mod tls;
mod tunnel;
