//! What is remembered: signatures, which may come out otherwise each time they are made, and hashes of fetches whose
//! user asked for that.
//!
//! **The threat.** Two that sign the same content at once go on with two signatures; an upgrade loses what was signed.
//! Whoever may write where entries are shared gives out another's signature, or a hash of their own file, or brings
//! back what was forgotten.
//!
//! **The rule.** The first one wins, here (a file of the user's) and together (a binary cache, if one is configured,
//! which decides). An entry lies under the digest of all that it belongs to, which is recomputed whenever it is read;
//! a signature is verified whenever it is used, by whoever uses it; a result from elsewhere counts by a trusted key's
//! signature. What was forgotten leaves a tombstone.
//!
//! | file | what it knows |
//! |---|---|
//! | `key.rs`, `id.rs`, `canonical.rs` | what an entry belongs to, and the name that follows from it |
//! | `record.rs`, `time.rs` | entries as they are written |
//! | `local.rs` | the local file; in it also what the user approved |
//! | `shared.rs` | entries in a binary cache |
//! | `memo.rs`, `judged.rs`, `forget.rs` | who was first, and what was forgotten |
//! | `signatures.rs`, `results.rs` | the two kinds of entries |
//! | `listing.rs`, `transfer.rs` | what there is; export and import |
//!
//! This crate signs nothing but results for the shared place, and runs nothing. All of it blocks.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test fails by panicking"))]

mod canonical;
mod error;
mod forget;
mod id;
mod judged;
mod key;
mod listing;
mod local;
mod memo;
mod record;
mod results;
mod shared;
mod signatures;
mod time;
mod transfer;

pub use error::{Flaw, MemoError};
pub use forget::Buried;
pub use id::{MemoId, MemoIdError};
pub use key::{ResultKey, SignatureKey};
pub use listing::{Listed, Shown};
pub use local::Approved;
pub use memo::{Found, Memo, Warn};
pub use record::{Record, RememberedResult, ResultRecord, SignatureRecord, Tombstone};
pub use signatures::Verify;
pub use transfer::{Imported, Refused, UnsignedResults};
