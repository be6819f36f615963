//! From a response to a tree to a NAR, hashed once in one pass.
//!
//! ```text
//! Layout (what the plan says) ── prepare ──▶ Ready ── emit ──▶ batches to every sink
//!   Input: bytes, spool, stream     │          one file, or        │
//!                                   │          an index of a tree  └─▶ Measured ─▶ Verified
//!                             decode, unpack,
//!                             cap, refuse paths
//! ```
//!
//! [`prepare`] does what cannot be done while streaming: it decodes, unpacks and indexes. A file of
//! known length passes through untouched. [`Ready::emit`] is the one pass: every byte is read once
//! and goes, without being copied, to the hashing threads and to all sinks. [`Verified`] can be
//! made from the result of that pass only.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test fails by panicking"))]

mod batch;
mod decode;
mod emit;
mod error;
mod hashing;
mod input;
mod layout;
mod member;
mod meter;
mod path;
mod prepare;
mod reader;
mod sniff;
mod spool;
mod tar;
mod tree;
mod verified;
mod walk;
mod zip;

pub use emit::{Batch, FEED_CAPACITY, Feed, Measured, Want};
pub use error::ArtifactError;
pub use input::{BoxError, BoxStream, Input};
pub use layout::{ArchiveFormat, Layout, TreeEntry, UnknownArchiveFormat};
pub use path::PathProblem;
pub use prepare::{Ready, prepare};
pub use spool::{Spool, SpooledBlob};
pub use verified::{HashMismatch, Verified, VerifyError};
