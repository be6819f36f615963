//! Loopback HTTP, through which Nix's own fetcher reaches this program.
//!
//! A fixed-output derivation with `builder = "builtin:fetchurl"` asks for one [URL](FetchUrl), which carries
//! fetcher, parameters, mode, name and hash. The answer is the verified content, or no content.
//!
//! | question | answered by |
//! |---|---|
//! | which fetch is meant? | [`url`](FetchUrl) |
//! | is this a request of Nix's, or of a web page's? | `rules` |
//! | who asks, and may they? | [`peers`](Peers), [`accounts`](Accounts) |
//! | is it approved for builds of a daemon? | [`approvals`](Approvals), made of [lock files](LockFile) |
//! | is it under way, or at hand, or known to fail? | `flight`, [`cache`](Cache), `failures` |
//! | what is asked for by its store path alone? | `substituter`, [`upstream`](Upstream) |
//! | a signature whose hash nobody knows? | `signature`, by its [URL](SignatureUrl) |
//! | who carries it out? | whoever implements [`Fetches`]: this crate fetches nothing by itself |
//!
//! No byte of what is fetched leaves before the hash is verified: it is only ever read from the cache, which
//! takes nothing else. What another binary cache has is passed on, for Nix to check.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test fails by panicking"))]

mod accounts;
mod activity;
mod answer;
mod approvals;
mod cache;
mod failures;
mod fetches;
mod flight;
mod gateway;
mod json;
mod lock;
mod metrics;
mod peers;
mod routes;
mod rules;
mod signature;
mod stall;
mod substituter;
mod upstream;
mod url;

pub use accounts::{AccountFiles, Accounts, Caller};
pub use approvals::{Approval, Approvals, Approved, approval_name};
pub use cache::Cache;
pub use fetches::{Failed, Fetch, Fetches, Unfit};
pub use gateway::{Ended, PATIENCE, STALLED, Settings, serve};
pub use lock::{LockFile, LockFileError, Locked, MAX_LOCK_FILE, is_fetch_name};
pub use peers::{Kernel, Peers, is_loopback};
pub use upstream::{Folder, Opened, Upstream};
pub use url::{FetchUrl, MAX_LENGTH, OwnerId, SignatureUrl, StoreInputs, UrlError};
