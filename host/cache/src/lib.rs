//! Binary caches in Nix's format, on disk and in buckets of S3.
//!
//! ```text
//! nix-cache-info                 once, by whoever publishes first
//! nar/<nix32 of the file>.nar…   first
//! <hash part>.narinfo            last, so that a record never precedes its NAR
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
mod folder;
mod folders;
mod objects;
mod push;
mod temporary;
mod url;
mod write;

pub use bucket::{Bucket, BucketError, Refusal, uploads_ended};
pub use cache::{Cache, Judged, Published, Recorded, lacks};
pub use compress::{Compressed, Compressor};
pub use decompress::{Archive, decompressed};
pub use error::{CacheError, failed};
pub use folder::Folder;
pub use folders::NewFolders;
pub use objects::{Key, Kind, Listed, Object, Objects, Upload, Version};
pub use push::{Course, Offered, Outcome, Push, PushError, SourceError};
pub use temporary::{name as temporary_name, without_name as without_temporary_name};
pub use url::{CachePlace, CacheUrl, CacheUrlError, Writing};
pub use write::write_all_slices;
