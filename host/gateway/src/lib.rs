//! Loopback HTTP, through which Nix's own fetcher reaches this program.

mod url;

pub use url::{FetchUrl, MAX_LENGTH, OwnerId, UrlError};
