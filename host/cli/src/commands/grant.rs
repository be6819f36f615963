//! `nix-fetchhost grant`

pub(crate) mod explain;
