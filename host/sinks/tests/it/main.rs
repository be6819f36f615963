//! Destinations as the pipeline meets them: folders, caches, the installed Nix, and daemons of the tests' own.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;
mod destinations;
mod feed;
mod file_cache;
mod file_cache_lookup;
mod nix;
mod out;
mod out_lookup;
mod scripted;
mod store;
