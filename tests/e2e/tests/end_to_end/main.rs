//! The program as its users meet it: real binary, real Nix, real sockets.

#![allow(clippy::unwrap_used, missing_docs)]

mod cache;
mod cache_info;
mod demo;
mod examples;
mod exec;
mod expressions;
mod flake;
mod formats;
mod gateway;
mod gitlab_fetchers;
mod hostile_modules;
mod keys;
mod killed;
mod lock;
mod memory;
mod namespace;
mod output;
mod real_nix;
mod realise;
mod record;
mod refusals;
mod repetition;
mod s3;
mod s3_conditions;
mod s3_sink;
mod secrets;
mod servers;
mod signatures;
mod signing;
mod store;
mod web_identity;
