//! What is done to whole caches.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;
mod gc;
mod repair;
mod verify;
