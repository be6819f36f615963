//! Binary caches in Nix's format, on disk and in buckets of S3.
//!
//! ```text
//! nix-cache-info                 once, by whoever publishes first
//! nar/<nix32 of the file>.nar…   first
//! <hash part>.narinfo            last, so that a record never precedes its NAR
//! memo/<id>.json                 what is remembered, by `fetchhost-memo`: each may name a path
//! ```
//!
//! | file | what it knows |
//! |---|---|
//! | `url.rs` | the URLs of caches, with Nix's own parameters |
//! | `objects.rs` | what a place for a cache can do: keep small things whole and large ones as they come |
//! | `folder.rs` | a folder as such a place |
//! | `bucket.rs` | a bucket as such a place; its requests go through `fetchhost-transport` |
//! | `compress.rs` | from NAR to the file that is kept, hashed on the way |
//! | `decompress.rs` | and back |
//! | `cache.rs` | records and NARs over any such place |
//! | `measure.rs` | what a NAR really is, compared with its record |
//! | `flat.rs` | one small file as a path of the cache |
//! | `memo.rs` | which objects are remembered entries, and the path that each names |
//! | `prove.rs` | which records may be signed |
//! | `sign.rs` | signing them where they are |
//! | `inventory.rs` | what lies in a cache, by one listing |
//! | `gc.rs` | what of it nobody needs |
//! | `verify.rs` | what of it is damaged, and how that is repaired |
//! | `push.rs` | many paths of a store at once, each after what it refers to |
//!
//! All of it blocks; requests of a bucket run on the runtime of the process meanwhile, which therefore must
//! not be waited for on its own thread.

#![forbid(unsafe_code)]

mod bucket;
mod cache;
mod compress;
mod decompress;
mod error;
mod flat;
mod folder;
mod folders;
mod gc;
mod inventory;
mod measure;
mod memo;
mod objects;
mod prove;
mod push;
mod sign;
mod temporary;
mod url;
mod verify;
mod write;

pub use bucket::{Bucket, BucketError, Refusal, uploads_ended};
pub use cache::{Cache, Published, Recorded, Standing, lacks};
pub use compress::{Compressed, Compressor};
pub use decompress::{Archive, decompressed};
pub use error::{CacheError, failed};
pub use folder::Folder;
pub use folders::NewFolders;
pub use gc::{Collected, Keep, Plan, collect, plan};
pub use inventory::{HashPart, Inventory, Seen};
pub use measure::Mismeasured;
pub use memo::{MAX_MEMO, memo_key, memo_path};
pub use objects::{Key, Kind, Listed, Object, Objects, UnfinishedUpload, Upload, Version};
pub use prove::{Doubt, Ground, Judged, Known, Said, StoreDoubt, judge, record_named};
pub use push::{Course, Outcome, Push, PushError, SourceError};
pub use sign::{SignedRecord, Signing};
pub use temporary::{name as temporary_name, without_name as without_temporary_name};
pub use url::{CachePlace, CacheUrl, CacheUrlError, Writing};
pub use verify::{
    Checked, Checks, Fault, InfoFault, Measured, NarSource, Repair, Repaired, Repairs, Unchecked,
    Unread, Verified, Work, repair, verify,
};
pub use write::write_all_slices;
