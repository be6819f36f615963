//! From derivations to the fetches that they will need, and those fetches, ahead of the build.
//!
//! ```text
//! DRV… or FILE ─▶ instantiate ─▶ closure: every derivation below ─▶ decision: ours, routed, or Nix's own
//!                                                                          │
//!                     report ◀─ fetches: all at once, a job each ◀─ plan: each output once
//! ```

pub(crate) mod closure;
pub(crate) mod decision;
pub(crate) mod drv;
pub(crate) mod fetches;
pub(crate) mod instantiate;
pub(crate) mod plan;
pub(crate) mod progress;
pub(crate) mod report;
