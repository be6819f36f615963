//! What is remembered, by several at once, and against those who write what they like.

#![allow(clippy::unwrap_used, missing_docs)]

mod agreement;
mod approvals;
mod bucket;
mod common;
mod file;
mod forgetting;
mod poison;
mod races;
mod results;
mod transfer;
