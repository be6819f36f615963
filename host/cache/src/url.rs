//! The URLs of caches, with Nix's own parameters.
//!
//! | URL | |
//! |---|---|
//! | `file:///srv/cache`, `file:///srv/a%20b` | a folder |
//! | `s3://BUCKET?endpoint=URL&region=REGION` | a bucket; also `scheme`, `addressing-style`, `profile` ([`BucketUrl`]) |
//! | `?compression=none`, `xz`, `zstd` | ours is `zstd` |
//! | `&compression-level=N` | 1 to 22 for zstd, 0 to 9 for xz; -1 is the default, as in Nix |
//! | `&parallel-compression=BOOL` | compress one NAR on all processors |
//! | `&secret-key=FILE`, `&secret-keys=FILE,FILE` | sign each record |
//! | `&priority=N`, `&want-mass-query=BOOL` | for a new `nix-cache-info` |
//! | `&write-nar-listing=BOOL` | write `HASH.ls` beside each record |
//! | `&multipart-chunk-size=BYTES` (or `buffer-size`), `&multipart-threshold=BYTES`, `&storage-class=CLASS` | of a bucket |
//! | `&single-writer=BOOL` | ours: nobody else writes to the bucket meanwhile |
//! | `&trusted=…`, `local-nar-cache`, `multipart-upload`, `retry-…` | for Nix's own reading and sending: without effect here |
//! | `file:x`, `file://host/x`, `file:///x#y`, another parameter, a parameter twice | refused |

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;
use std::str::FromStr;

use fetchhost_formats::Compression;
use fetchhost_policy::{BucketUrl, BucketUrlError, printable};
use percent_encoding::percent_decode_str;
use thiserror::Error;

/// What `nix-cache-info` says when nothing else is asked for. Nix asks caches with lower numbers
/// first, and `cache.nixos.org` has 40: what is private is asked before that.
const DEFAULT_PRIORITY: u32 = 30;

/// The least and the default length of a part of an upload, in bytes. Servers refuse smaller ones, and at most
/// 10,000 of them: these suffice for 80 GiB.
const MIN_PART: u64 = 5 * 1024 * 1024;
const DEFAULT_PART: u64 = 8 * 1024 * 1024;
/// The greatest, which is held in memory several times.
const MAX_PART: u64 = 1024 * 1024 * 1024;

/// The parameters of all caches, by Nix's names.
const PARAMETERS: [&str; 8] = [
    "compression",
    "compression-level",
    "parallel-compression",
    "secret-key",
    "secret-keys",
    "priority",
    "want-mass-query",
    "write-nar-listing",
];

/// Those of buckets alone.
const OF_BUCKETS: [&str; 10] = [
    "endpoint",
    "region",
    "profile",
    "scheme",
    "addressing-style",
    "multipart-chunk-size",
    "buffer-size",
    "multipart-threshold",
    "storage-class",
    "single-writer",
];

/// Those that say how Nix itself reads or sends.
const NIXS_OWN: [&str; 7] = [
    "trusted",
    "local-nar-cache",
    "multipart-upload",
    "retry-attempts",
    "retry-delay",
    "retry-delay-rate-limited",
    "retry-max-delay",
];

/// A binary cache and how to write to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheUrl {
    /// Where it is.
    pub place: CachePlace,
    /// How to write to it.
    pub writing: Writing,
}

/// Where a binary cache is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CachePlace {
    /// In a folder.
    Folder(PathBuf),
    /// In a bucket.
    Bucket(Box<BucketUrl>),
}

/// How to write to a binary cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Writing {
    /// How NARs are compressed: `none`, `xz` or `zstd`.
    pub compression: Compression,
    /// The compressor's level; its own default without one.
    pub level: Option<i32>,
    /// Whether one NAR is compressed on all processors.
    pub parallel: bool,
    /// Files with secret keys; each record is signed with all of them.
    pub secret_keys: Vec<PathBuf>,
    /// For `nix-cache-info`, if that does not exist yet.
    pub priority: u32,
    /// For `nix-cache-info`, if that does not exist yet: whether Nix may ask for many paths at once.
    pub want_mass_query: bool,
    /// Whether each record gets a listing of its NAR.
    pub listing: bool,
    /// The length of the parts in which a bucket gets what is large, in bytes.
    pub part: u64,
    /// What is longer than this comes in parts; in bytes.
    pub threshold: u64,
    /// The storage class of what a bucket gets.
    pub storage_class: Option<String>,
    /// Whether nobody else writes to the bucket meanwhile.
    pub single_writer: bool,
}

impl Default for Writing {
    /// zstd, no signature, priority 30, mass queries wanted.
    fn default() -> Self {
        Self {
            compression: Compression::Zstd,
            level: None,
            parallel: false,
            secret_keys: Vec::new(),
            priority: DEFAULT_PRIORITY,
            want_mass_query: true,
            listing: false,
            part: DEFAULT_PART,
            threshold: DEFAULT_PART,
            storage_class: None,
            single_writer: false,
        }
    }
}

impl CacheUrl {
    /// A cache in `dir` with our defaults.
    #[must_use]
    pub fn folder(dir: PathBuf) -> Self {
        Self {
            place: CachePlace::Folder(dir),
            writing: Writing::default(),
        }
    }

    /// The URL without its parameters.
    #[must_use]
    pub fn label(&self) -> String {
        match &self.place {
            CachePlace::Folder(dir) => format!("file://{}", printable(&dir.to_string_lossy())),
            CachePlace::Bucket(bucket) => format!("s3://{}", printable(&bucket.bucket)),
        }
    }
}

impl FromStr for CacheUrl {
    type Err = CacheUrlError;

    fn from_str(text: &str) -> Result<Self, CacheUrlError> {
        if text.starts_with("s3:") {
            let (bucket, parameters) = BucketUrl::parse(text)?;
            let mut writing = Writing::default();
            for (name, value) in &parameters {
                set_of_bucket(&mut writing, name, value)?;
            }
            check_level(&writing)?;
            return Ok(Self {
                place: CachePlace::Bucket(Box::new(bucket)),
                writing,
            });
        }
        let (place, query) = text.split_once('?').unwrap_or((text, ""));
        let path = place
            .strip_prefix("file://")
            .filter(|path| path.starts_with('/') && !text.contains('#'));
        let dir = path
            .and_then(decoded_path)
            .ok_or_else(|| CacheUrlError::Url {
                given: text.to_owned(),
            })?;
        let mut writing = Writing::default();
        let mut seen = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if seen.contains(&name) {
                return Err(CacheUrlError::Twice {
                    name: name.to_owned(),
                });
            }
            seen.push(name);
            let value = percent_decode_str(value).collect();
            set(&mut writing, name, value, &[])?;
        }
        check_level(&writing)?;
        Ok(Self {
            place: CachePlace::Folder(dir),
            writing,
        })
    }
}

/// A path from a URL. NUL is in no path.
fn decoded_path(text: &str) -> Option<PathBuf> {
    path(percent_decode_str(text).collect())
}

fn path(bytes: Vec<u8>) -> Option<PathBuf> {
    (!bytes.is_empty() && !bytes.contains(&0)).then(|| OsString::from_vec(bytes).into())
}

fn refused(name: &str, value: &str, wanted: &'static str) -> CacheUrlError {
    CacheUrlError::Value {
        name: name.to_owned(),
        value: value.to_owned(),
        wanted,
    }
}

fn truth(name: &str, value: &str) -> Result<bool, CacheUrlError> {
    match value {
        "true" | "yes" | "1" => Ok(true),
        "false" | "no" | "0" => Ok(false),
        _ => Err(refused(name, value, "`true` or `false`")),
    }
}

fn set_of_bucket(writing: &mut Writing, name: &str, value: &str) -> Result<(), CacheUrlError> {
    let bytes = |least, wanted| {
        let bytes: Option<u64> = value.parse().ok();
        bytes
            .filter(|bytes| (least..=MAX_PART).contains(bytes))
            .ok_or_else(|| refused(name, value, wanted))
    };
    match name {
        "multipart-chunk-size" | "buffer-size" => {
            writing.part = bytes(MIN_PART, "a number of bytes from 5 MiB (5242880) to 1 GiB")?;
        }
        "multipart-threshold" => {
            writing.threshold = bytes(0, "a number of bytes up to 1 GiB")?;
        }
        "storage-class" => {
            let is_class = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
            if value.is_empty() || !value.bytes().all(is_class) {
                return Err(refused(name, value, "a word such as `STANDARD_IA`"));
            }
            writing.storage_class = Some(value.to_owned());
        }
        "single-writer" => writing.single_writer = truth(name, value)?,
        _ => set(writing, name, value.as_bytes().to_vec(), &OF_BUCKETS)?,
    }
    Ok(())
}

/// Sets a parameter of any cache. `known`: what else this kind of cache has.
fn set(
    writing: &mut Writing,
    name: &str,
    bytes: Vec<u8>,
    known: &'static [&'static str],
) -> Result<(), CacheUrlError> {
    let value = &*String::from_utf8_lossy(&bytes);
    let refused = |wanted| refused(name, value, wanted);
    let key_path = |bytes: &[u8]| path(bytes.to_vec()).ok_or_else(|| refused("the path of a file"));
    match name {
        "compression" => {
            writing.compression = value
                .parse()
                .ok()
                .filter(|found| {
                    matches!(
                        found,
                        Compression::None | Compression::Xz | Compression::Zstd
                    )
                })
                .ok_or_else(|| refused("`none`, `xz` or `zstd`"))?;
        }
        "compression-level" => {
            let level: i32 = value.parse().map_err(|_| refused("a number"))?;
            writing.level = (level != -1).then_some(level);
        }
        "parallel-compression" => writing.parallel = truth(name, value)?,
        "secret-key" => writing.secret_keys.push(key_path(&bytes)?),
        "secret-keys" => {
            for file in bytes.split(|byte| *byte == b',') {
                writing.secret_keys.push(key_path(file)?);
            }
        }
        "priority" => {
            writing.priority = value
                .parse()
                .map_err(|_| refused("a number that is not negative"))?;
        }
        "want-mass-query" => writing.want_mass_query = truth(name, value)?,
        "write-nar-listing" => writing.listing = truth(name, value)?,
        _ if NIXS_OWN.contains(&name) => {}
        _ => {
            return Err(CacheUrlError::Unknown {
                name: name.to_owned(),
                known,
            });
        }
    }
    Ok(())
}

fn check_level(writing: &Writing) -> Result<(), CacheUrlError> {
    let Some(level) = writing.level else {
        return Ok(());
    };
    let (levels, wanted) = match writing.compression {
        Compression::Zstd => (1..=22, "1 to 22 with `compression=zstd`"),
        Compression::Xz => (0..=9, "0 to 9 with `compression=xz`"),
        _ => {
            return Err(CacheUrlError::Level {
                level,
                wanted: "left out with `compression=none`",
            });
        }
    };
    if levels.contains(&level) {
        Ok(())
    } else {
        Err(CacheUrlError::Level { level, wanted })
    }
}

/// Why a text is not the URL of a cache.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum CacheUrlError {
    /// Not `file://` and an absolute path, nor `s3://`.
    #[error("`{}` is not `file://` and an absolute path", printable(given))]
    Url {
        /// The text.
        given: String,
    },
    /// Not a bucket.
    #[error(transparent)]
    Bucket(#[from] BucketUrlError),
    /// A parameter that this program does not know.
    #[error("unknown parameter `{}` of a `{}` cache", printable(name), if known.is_empty() { "file://" } else { "s3://" })]
    Unknown {
        /// Its name.
        name: String,
        /// What this kind of cache has beside what all have.
        known: &'static [&'static str],
    },
    /// A parameter that is given twice.
    #[error("the parameter `{}` is given twice", printable(name))]
    Twice {
        /// Its name.
        name: String,
    },
    /// A value that the parameter cannot have.
    #[error("the parameter `{name}` is {wanted}, not `{}`", printable(value))]
    Value {
        /// The parameter.
        name: String,
        /// The value given.
        value: String,
        /// What it can be.
        wanted: &'static str,
    },
    /// A level that the compressor does not have.
    #[error("the parameter `compression-level` is {wanted}, not `{level}`")]
    Level {
        /// The level given.
        level: i32,
        /// What it can be.
        wanted: &'static str,
    },
}

impl CacheUrlError {
    /// What to write instead.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Url { .. } => Some(
                "write it with three slashes, as in `file:///srv/cache`, `#` and other special characters as `%23` and so on; a bucket as `s3://BUCKET`"
                    .to_owned(),
            ),
            Self::Bucket(_) => None,
            Self::Unknown { known, .. } => {
                let names = PARAMETERS.iter().chain(*known).map(|name| format!("`{name}`"));
                Some(format!("the parameters are {}", names.collect::<Vec<_>>().join(", ")))
            }
            Self::Twice { .. } => Some("several keys are written `secret-keys=FILE,FILE`".to_owned()),
            Self::Value { .. } | Self::Level { .. } => None,
        }
    }
}
