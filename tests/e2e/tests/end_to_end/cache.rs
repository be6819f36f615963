//! `nix-fetchhost cache`, with caches that real Nix made and reads.

mod gc;
mod push;
mod push_bucket;
mod push_hook;
mod push_interrupted;
mod shelf;
mod sign;
mod verify;
