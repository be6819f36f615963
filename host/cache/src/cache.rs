//! Records and NARs.

use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fetchhost_formats::{
    CacheInfo, Hash, NarInfo, NarUrl, PublicKey, SigningKey, StorePath, add_signatures,
};
use zeroize::Zeroizing;

use crate::compress::{Compressed, Compressor};
use crate::error::CacheError;
use crate::folder::Folder;
use crate::objects::{Key, Kind, Object, Objects, Version};
use crate::url::{CachePlace, CacheUrl, Writing};

/// The longest record, in bytes. Each reference takes some 60.
pub(crate) const MAX_RECORD: u64 = 1024 * 1024;

/// How often a record that others change meanwhile is tried again, and after which pause.
const ATTEMPTS: usize = 20;
const PAUSE: Duration = Duration::from_millis(50);

/// A binary cache. Its methods block.
#[derive(Clone)]
pub struct Cache {
    url: CacheUrl,
    objects: Arc<dyn Objects>,
}

/// A record as it was read.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// What it says.
    pub record: NarInfo,
    /// Its text.
    pub text: String,
    /// Its state; none where the place tells none.
    pub version: Option<Version>,
}

/// What a record is that is there already, to whoever has one of the same path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It says the same, and its NAR is there.
    Same,
    /// It says something else that Nix can use: another build of the path.
    Another,
    /// Nix cannot use it.
    Broken,
}

/// What became of a record that was to be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Published {
    /// It is there.
    New,
    /// Another one was there, whose NAR stays. Where it says the same, it has the same signatures.
    Kept(Box<NarInfo>),
}

impl Cache {
    /// The cache that `objects` hold.
    #[must_use]
    pub fn new(url: CacheUrl, objects: Arc<dyn Objects>) -> Self {
        Self { url, objects }
    }

    /// The cache at `url` where that is a folder; `many`: what is written comes in numbers, and is synced by
    /// [`Objects::settle`]. None for a bucket.
    #[must_use]
    pub fn on_disk(url: CacheUrl, many: bool) -> Option<Self> {
        let CachePlace::Folder(dir) = &url.place else {
            return None;
        };
        let folder = if many {
            Folder::for_many(dir.clone())
        } else {
            Folder::new(dir.clone())
        };
        Some(Self::new(url, Arc::new(folder)))
    }

    /// Where it is, and how it is written to.
    #[must_use]
    pub const fn url(&self) -> &CacheUrl {
        &self.url
    }

    /// How it is written to.
    #[must_use]
    pub const fn writing(&self) -> &Writing {
        &self.url.writing
    }

    /// The URL without its parameters.
    #[must_use]
    pub fn label(&self) -> String {
        self.url.label()
    }

    /// What holds it.
    #[must_use]
    pub fn objects(&self) -> &dyn Objects {
        &*self.objects
    }

    /// Refuses a cache that belongs to another store: its records could not name our paths.
    ///
    /// # Errors
    /// [`CacheError::ForeignStore`], or when it cannot be read.
    pub fn check_store_dir(&self) -> Result<(), CacheError> {
        let found = match self.objects.get(&Key::info(), MAX_RECORD) {
            Err(error) if error.is_denied() => None,
            found => found?,
        };
        let Some(found) = found else {
            return Ok(());
        };
        let text = String::from_utf8_lossy(&found.bytes);
        let info: CacheInfo = text.parse().map_err(|source| CacheError::Info {
            label: self.label(),
            source,
        })?;
        match info.foreign_store() {
            Some(store_dir) => Err(CacheError::ForeignStore {
                label: self.label(),
                store_dir: store_dir.to_owned(),
            }),
            None => Ok(()),
        }
    }

    /// Writes `nix-cache-info` unless there is one; an existing one belongs to whoever wrote it. Whether it
    /// was written.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn ensure_info(&self) -> Result<bool, CacheError> {
        let key = Key::info();
        let is_hidden = match self.objects.size(&key) {
            Ok(Some(_)) => return Ok(false),
            Ok(None) => false,
            Err(error) if error.is_denied() => true,
            Err(error) => return Err(error),
        };
        let writing = self.writing();
        let text = CacheInfo::new(writing.want_mass_query, writing.priority).to_string();
        // Whoever comes first wins, and both wrote the same kind of thing.
        match self.objects.create(&key, Kind::Info, text.as_bytes()) {
            // Access keys that may not even look: it is for whoever made the cache to have written it.
            Err(error) if is_hidden && error.is_denied() => Ok(false),
            created => created,
        }
    }

    /// The keys that sign records.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn read_keys(&self) -> Result<Vec<SigningKey>, CacheError> {
        let label = self.label();
        let files = self.writing().secret_keys.iter();
        files.map(|path| read_key(&label, path)).collect()
    }

    /// The record of a path; none when there is none, or something that is none. Where the bucket cannot be
    /// listed, one that is missing is forbidden.
    ///
    /// # Errors
    /// When the cache cannot be read.
    pub fn record(&self, path: &StorePath) -> Result<Option<Recorded>, CacheError> {
        let found = match self.objects.get(&Key::record(path), MAX_RECORD) {
            Err(error) if error.is_denied() => None,
            found => found?,
        };
        Ok(found.and_then(|found| parsed(found, path)))
    }

    /// Whether the NAR of a record is there, as long as the record says where it says that.
    ///
    /// # Errors
    /// When the cache cannot be asked.
    pub fn has_nar(&self, record: &NarInfo) -> Result<bool, CacheError> {
        let Some(key) = Key::nar(&record.url) else {
            return Ok(false);
        };
        // Where the bucket cannot be listed, what is missing is forbidden.
        let found = match self.objects.size(&key) {
            Err(error) if error.is_denied() => None,
            found => found?,
        };
        let Some(found) = found else {
            return Ok(false);
        };
        // Nix asks for no length of the file, and takes 0 for none.
        let is_plain = record.compression == fetchhost_formats::Compression::None;
        let file_size = record.file_size.filter(|&length| length != 0);
        let nar_size = is_plain.then_some(record.nar_size);
        let mut lengths = file_size.into_iter().chain(nar_size);
        Ok(lengths.all(|length| length == found))
    }

    /// Begins a NAR; of `nar_size` bytes, where that is known.
    ///
    /// # Errors
    /// When the cache cannot be written to.
    pub fn begin(&self, nar_size: Option<u64>) -> Result<Compressor, CacheError> {
        let suffix = format!(".nar{}", self.writing().compression.extension());
        let upload = self.objects.upload(Kind::Nar, &suffix)?;
        Compressor::new(self.label(), self.writing(), upload, nar_size)
    }

    /// Gives a NAR its name, where `nar_hash` and `nar_size` are those of what was written. Returns the
    /// record's `URL`, `FileHash` and `FileSize`.
    ///
    /// # Errors
    /// When it cannot appear.
    pub fn complete(
        &self,
        compressed: Compressed,
        nar_hash: &Hash,
        nar_size: u64,
    ) -> Result<(NarUrl, Hash, u64), CacheError> {
        let (hash, size) = match compressed.file {
            Some(file) => file,
            None => (nar_hash.clone(), nar_size),
        };
        let wanted = NarUrl::for_file(&hash, self.writing().compression);
        let Some(key) = Key::nar(&wanted) else {
            return Ok((wanted, hash, size));
        };
        let named = compressed.upload.finish(&key)?;
        // A key of ours is visible ASCII.
        let url = named.as_str().parse().unwrap_or(wanted);
        Ok((url, hash, size))
    }

    /// Takes our own NAR away after another publisher's record stayed, unless that names it or its contents
    /// name it: then a record of another path may name it too. Who fails leaves an orphan, which harms nobody.
    pub fn discard(&self, own: &NarUrl, kept: &NarUrl) {
        let Some(key) = Key::nar(own).filter(|key| own != kept && key.is_chosen()) else {
            return;
        };
        if let Err(error) = self.objects.delete(&key) {
            tracing::warn!(%error, "a NAR that nobody needs stays");
        }
    }

    /// Writes a record unless there is one that stays, by what `judge` says of it: one that says the same gets
    /// the signatures of `keys` that it lacks. Our own NAR stays in any case: a record of another path with the
    /// same contents may name it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn publish(
        &self,
        record: &NarInfo,
        keys: &[SigningKey],
        judge: &dyn Fn(&Recorded) -> Result<Standing, CacheError>,
    ) -> Result<Published, CacheError> {
        let key = Key::record(&record.store_path);
        let text = record.to_string();
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                std::thread::sleep(PAUSE);
            }
            if self.objects.create(&key, Kind::Record, text.as_bytes())? {
                return Ok(Published::New);
            }
            let Some(there) = self.objects.get(&key, MAX_RECORD)? else {
                continue;
            };
            let version = there.version.clone();
            if let Some(found) = parsed(there, &record.store_path) {
                match judge(&found)? {
                    Standing::Same => {
                        if self.add_signatures(&found, keys)? {
                            return Ok(Published::Kept(Box::new(found.record)));
                        }
                        continue;
                    }
                    Standing::Another => return Ok(Published::Kept(Box::new(found.record))),
                    Standing::Broken => {}
                }
            }
            // What is there is no record that Nix could use.
            let of_it = version.map(|version| {
                let text = text.as_bytes();
                self.objects.replace(&key, Kind::Record, text, &version)
            });
            match of_it {
                Some(Ok(false)) => {}
                Some(Ok(true)) => return Ok(Published::New),
                None | Some(Err(CacheError::Unconditional { .. })) => {
                    self.objects.put(&key, Kind::Record, text.as_bytes())?;
                    return Ok(Published::New);
                }
                Some(Err(error)) => return Err(error),
            }
        }
        Err(self.contended(&key))
    }

    /// Adds the signatures of `keys` that the record of a path lacks, where `judge` takes it for the same, and what it
    /// was; none where there is no record.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn add_keys(
        &self,
        path: &StorePath,
        keys: &[SigningKey],
        judge: &dyn Fn(&Recorded) -> Result<Standing, CacheError>,
    ) -> Result<Option<Standing>, CacheError> {
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                std::thread::sleep(PAUSE);
            }
            let Some(found) = self.record(path)? else {
                return Ok(None);
            };
            let standing = judge(&found)?;
            if standing != Standing::Same || self.add_signatures(&found, keys)? {
                return Ok(Some(standing));
            }
        }
        Err(self.contended(&Key::record(path)))
    }

    fn contended(&self, key: &Key) -> CacheError {
        CacheError::Contended {
            label: self.label(),
            key: key.to_string(),
        }
    }

    /// Adds the signatures that a record lacks; false when somebody else changed it meanwhile.
    fn add_signatures(&self, found: &Recorded, keys: &[SigningKey]) -> Result<bool, CacheError> {
        let fingerprint = found.record.fingerprint();
        let lacking = lacks(&found.record, keys).into_iter();
        let signatures: Vec<_> = lacking.map(|key| key.sign(&fingerprint)).collect();
        if signatures.is_empty() {
            return Ok(true);
        }
        let text =
            add_signatures(&found.text, &signatures).map_err(|source| CacheError::Record {
                label: self.label(),
                key: Key::record(&found.record.store_path).to_string(),
                source,
            })?;
        self.rewrite(found, &text)
    }

    /// Writes a record's text over the state that was read; false when it was changed meanwhile.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn rewrite(&self, found: &Recorded, text: &str) -> Result<bool, CacheError> {
        let key = Key::record(&found.record.store_path);
        match &found.version {
            Some(version) => self
                .objects
                .replace(&key, Kind::Record, text.as_bytes(), version),
            None => Err(CacheError::Unconditional {
                label: self.label(),
                what: "signatures",
            }),
        }
    }
}

/// Those of `keys` that have not signed `record`.
#[must_use]
pub fn lacks<'a>(record: &NarInfo, keys: &'a [SigningKey]) -> Vec<&'a SigningKey> {
    let public: Vec<_> = keys.iter().map(SigningKey::public_key).collect();
    let signers = record.signers(&public);
    let has = |key: &PublicKey| signers.contains(&key);
    keys.iter()
        .zip(&public)
        .filter(|(_, public)| !has(public))
        .map(|(key, _)| key)
        .collect()
}

/// The same place, written to in the same way.
impl PartialEq for Cache {
    fn eq(&self, other: &Self) -> bool {
        self.url == other.url
    }
}

impl Eq for Cache {}

impl fmt::Debug for Cache {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Cache").field(&self.url).finish()
    }
}

/// The record of `path` in an object, if that is one.
fn parsed(object: Object, path: &StorePath) -> Option<Recorded> {
    if object.bytes.len() as u64 > MAX_RECORD {
        return None;
    }
    let text = String::from_utf8(object.bytes).ok()?;
    let record = NarInfo::parse(&text).ok()?;
    (record.store_path == *path).then_some(Recorded {
        record,
        text,
        version: object.version,
    })
}

fn read_key(label: &str, path: &Path) -> Result<SigningKey, CacheError> {
    let text = fs::read_to_string(path)
        .map(Zeroizing::new)
        .map_err(|source| CacheError::SecretKeyFile {
            label: label.to_owned(),
            path: path.to_owned(),
            source,
        })?;
    SigningKey::parse(&text).map_err(|source| CacheError::SecretKey {
        label: label.to_owned(),
        path: path.to_owned(),
        source,
    })
}
