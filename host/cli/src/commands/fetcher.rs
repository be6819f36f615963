//! `nix-fetchhost fetcher`

pub(crate) mod inspect;
pub(crate) mod list;
