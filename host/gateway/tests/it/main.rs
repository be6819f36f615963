//! The gateway as its clients meet it: real sockets, hostile requests, a fetcher of the tests' own.
#![allow(clippy::unwrap_used, missing_docs)]

mod approved;
mod cache;
mod callers;
mod clients;
mod failing_upstreams;
mod fetching;
mod lock;
mod nix;
mod pressure;
mod registered;
mod setup;
mod signature;
mod substituter;
mod upstreams;
mod url;
mod world;
