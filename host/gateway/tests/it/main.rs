//! The gateway as its clients meet it: real sockets, hostile requests, a fetcher of the tests' own.
#![allow(clippy::unwrap_used, missing_docs)]

mod cache;
mod callers;
mod clients;
mod fetching;
mod nix;
mod url;
mod world;
