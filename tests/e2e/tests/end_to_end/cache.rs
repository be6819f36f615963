//! `nix-fetchhost cache`, with caches that real Nix made and reads.

mod gc;
mod sign;
mod verify;
