//! The program as its users meet it: real binary, real Nix, real sockets.

#![allow(clippy::unwrap_used, missing_docs)]

mod demo;
mod exec;
mod expressions;
mod flake;
mod gateway;
mod gitlab_fetchers;
mod hostile_modules;
mod killed;
mod memory;
mod namespace;
mod output;
mod real_nix;
mod realise;
mod record;
mod refusals;
mod repetition;
mod secrets;
mod servers;
mod store;
