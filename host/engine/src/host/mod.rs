//! The functions that guests call: the host side of `wit/`.
//!
//! Each function answers in one of two ways when something is wrong. What a careful fetcher can run
//! into (a server that is down, a denied request, a bad URL) is returned to it. What only a broken
//! or hostile one does (passing a limit) ends it.
//!
//! Threat: an error tells the guest about the host: its paths, its addresses, its configuration, a
//! secret. Rule: errors for guests are fixed texts, and the full story is kept for the user.

pub(crate) mod artifact;
pub(crate) mod error;
pub(crate) mod http;
pub(crate) mod inputs;
mod keys;
mod log;
pub(crate) mod response;

use crate::bindings::nix_fetchhost::fetcher::types;
use crate::store::Host;

impl types::Host for Host {}
