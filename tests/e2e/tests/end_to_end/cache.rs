//! `cache …`: whole binary caches.

mod push;
mod push_bucket;
mod push_hook;
mod push_interrupted;
mod shelf;
