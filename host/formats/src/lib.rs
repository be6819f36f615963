//! What Nix writes down, and nothing else: hashes, store names and paths, content addresses, the
//! NAR archive, narinfo records and their signatures.
//!
//! Everything here is a pure function of its input: no files, no network, no clock, no async. It
//! can be read beside the Nix manual, tested with vectors made by Nix, and fuzzed alone.
//!
//! The crates `nix-derivation` and `nix-narinfo` do the encoding below; no other crate of this
//! workspace uses them, so that replacing one is a change to one file. What they accept but Nix or
//! a careful reader would not (a hash without its padding, a record without its last newline) is
//! refused here.
//!
//! | subject | types |
//! |---|---|
//! | hashes | [`HashAlgorithm`], [`struct@Hash`], [`Hasher`] |
//! | names and paths | [`StoreName`], [`StorePath`], [`STORE_DIR`], [`StoreEntry`] |
//! | what a fixed output is | [`OutputMode`], [`ContentAddress`], [`FixedOutput`] |
//! | what is to be built | [`Derivation`] |
//! | archives | [`nar::Event`], [`nar::Piece`], [`nar::Encoder`], [`nar::Listing`] |
//! | binary caches | [`CacheInfo`], [`Compression`], [`NarUrl`], [`NarInfo`], [`RecordedAddress`] |
//! | signatures | [`SigningKey`], [`PublicKey`], [`Signature`] |

mod cache_info;
mod compression;
mod content_address;
mod derivation;
mod hash;
mod hasher;
pub mod nar;
mod narinfo;
mod quote;
mod recorded_address;
mod signing;
mod store_entry;
mod store_name;
mod store_path;

pub use cache_info::{CacheInfo, CacheInfoError};
pub use compression::{Compression, UnknownCompression};
pub use content_address::{
    ContentAddress, ContentAddressError, FixedOutput, OutputMode, UnknownMode,
};
pub use derivation::{Derivation, DerivationError, MAX_DERIVATION_BYTES};
pub use hash::{Hash, HashAlgorithm, HashError, hex};
pub use hasher::Hasher;
pub use narinfo::{
    MAX_NARINFO_BYTES, NarInfo, NarInfoError, NarUrl, NarUrlError, Proof, Unproved, add_signatures,
};
pub use recorded_address::{RecordedAddress, TextAddress, UnknownAddress};
pub use signing::{KeyError, PublicKey, Signature, SignatureError, SigningKey};
pub use store_entry::StoreEntry;
pub use store_name::{StoreName, StoreNameError};
pub use store_path::{STORE_DIR, StorePath, StorePathError};
