//! The crate as its users see it, with archives that the tests write themselves.
#![allow(
    clippy::unwrap_used,
    missing_docs,
    unreachable_pub,
    reason = "a test fails by panicking"
)]

mod cancel;
mod detection;
mod flat;
mod limits;
mod member;
mod plan;
mod same_tree;
mod support;
mod tar;
mod verify;
mod zip;
