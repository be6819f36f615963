//! Where verified artifacts go.
//!
//! Every sink works in two steps. It is *fed* while the artifact arrives, on a thread of its own,
//! and keeps what it gets under names that nobody takes for a result. It *commits* when it is handed
//! a [`Verified`](fetchhost_artifact::Verified), the proof that the bytes are those that were asked
//! for; only then does a final name appear, whole. A sink that is dropped instead leaves nothing.
//!
//! A store can also be read, by a [`StoreReader`]: its records, closures and archives.
//!
//! | destination | what it is |
//! |---|---|
//! | `out:PATH` | a plain file, or a folder when the artifact is a tree |
//! | `store`, `store=URI` | a Nix store on this machine |
//! | `file:///DIR?…`, `s3://BUCKET?…` | a binary cache on disk or in a bucket, in Nix's format and with Nix's parameter names |
//!
//! ```text
//! Destination ── lookup ──▶ Held ── read ──▶ Archive, for the others
//!                            Held ── confirm ──▶ (Existing, Kept)
//! Destination ── open ──▶ Staged ── spawn ──▶ (Feed, thread) ── batches… ──▶ Staged ── commit(&Verified) ──▶ (Committed, Kept)
//! ```

mod cache;
mod destination;
mod error;
mod feed;
mod held;
mod out;
mod packing;
mod staged;
mod store;

pub use destination::{Destination, DestinationError};
pub use error::SinkError;
pub use feed::{Running, spawn};
pub use fetchhost_cache::Archive;
pub use held::{Held, Kept};
pub use staged::{Committed, Existing, Incoming, SinkKind, Staged};
pub use store::{
    Place, Reached, Spare, Step, Store, StoreError, StoreReader, StoreSession, StoreUrl,
    StoreUrlError, resolve_logical,
};
