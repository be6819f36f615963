//! Other binary caches, which the gateway serves again.
//!
//! **The threat.** Nix asks for hundreds of paths at once. A cache that does not answer would hold up every
//! build, and one that answers something else would break them.
//!
//! **The rule.** A cache that fails is left alone for a minute, as Nix itself does, and the owner is told once.
//! Whatever it does, to Nix it lacks the path.

mod folder;

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use fetchhost_formats::{HashAlgorithm, Hasher};
use fetchhost_policy::{UpstreamUrl, printable};
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use tokio::sync::Semaphore;

use crate::cache::{Content, chunks};
use crate::substituter::Foreign;

pub use folder::Folder;

/// The longest record of a path, in bytes. Each reference takes some 60.
const MAX_RECORD: usize = 1024 * 1024;
/// How long a record may take to come.
const RECORD_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a NAR may take to begin.
const NAR_TIMEOUT: Duration = Duration::from_secs(90);
/// How long a cache that failed is left alone.
const REST: Duration = Duration::from_secs(60);
/// Records that one cache is asked for at once.
const AT_ONCE: usize = 25;

/// A binary cache that is served again.
pub trait Upstream: Send + Sync + 'static {
    /// Which one it is.
    fn url(&self) -> &UpstreamUrl;

    /// Opens what lies at `place`, as records of the cache name it; nothing when nothing is there, or when
    /// that is not below the cache. The error is for the owner's eyes.
    fn open<'a>(&'a self, place: &'a str) -> BoxFuture<'a, Result<Option<Opened>, String>>;

    /// Tells the owner what went wrong.
    fn tell(&self, reason: &str);
}

/// Something that a cache has.
pub struct Opened {
    /// Its length in bytes, if that is known.
    pub length: Option<u64>,
    /// Its bytes, read as they are asked for.
    pub body: BoxStream<'static, io::Result<Bytes>>,
}

impl From<Content> for Opened {
    fn from(content: Content) -> Self {
        Self {
            length: Some(content.length),
            body: chunks(Arc::new(content)).boxed(),
        }
    }
}

/// All of them, in the order in which they are asked.
pub(crate) struct Upstreams(Vec<Source>);

/// One of them, and how it does.
pub(crate) struct Source {
    /// Names it in URLs, whatever place it has among others.
    pub(crate) id: String,
    upstream: Arc<dyn Upstream>,
    turns: Semaphore,
    /// When it failed last.
    failed: Last,
    /// When it had a record that was none.
    misread: Last,
}

impl Upstreams {
    pub(crate) fn new(upstreams: Vec<Arc<dyn Upstream>>) -> Self {
        Self(upstreams.into_iter().map(Source::new).collect())
    }

    /// The first record of a path that any of them has and that is `fit`.
    pub(crate) async fn record(
        &self,
        hash: &str,
        fit: impl Fn(&Foreign) -> bool,
    ) -> Option<(&Source, Foreign)> {
        for source in &self.0 {
            if let Some(record) = source.record(hash).await
                && fit(&record)
            {
                return Some((source, record));
            }
        }
        None
    }

    /// The one that is called so in URLs.
    pub(crate) fn called(&self, id: &str) -> Option<&Source> {
        self.0.iter().find(|source| source.id == id)
    }
}

impl Source {
    fn new(upstream: Arc<dyn Upstream>) -> Self {
        let mut hasher = Hasher::new(HashAlgorithm::Sha256);
        hasher.update(upstream.url().to_string().as_bytes());
        let mut id = hasher.finish().hex();
        id.truncate(16);
        Self {
            id,
            upstream,
            turns: Semaphore::new(AT_ONCE),
            failed: Last::default(),
            misread: Last::default(),
        }
    }

    /// The record of the path with this hash.
    pub(crate) async fn record(&self, hash: &str) -> Option<Foreign> {
        // The semaphore is never closed.
        let _turn = self.turns.acquire().await;
        if self.rests() {
            return None;
        }
        let read = async {
            let place = format!("{hash}.narinfo");
            match self.upstream.open(&place).await? {
                Some(opened) => read_all(opened).await.map(Some),
                None => Ok(None),
            }
        };
        let text = match tokio::time::timeout(RECORD_TIMEOUT, read).await {
            Ok(Ok(text)) => text?,
            Ok(Err(reason)) => return self.fail(&reason),
            Err(_) => return self.fail(&silent(RECORD_TIMEOUT)),
        };
        match Foreign::parse(&text, hash) {
            Ok(record) => Some(record),
            // One bad record says nothing of the others.
            Err(reason) => {
                if self.misread.happens() {
                    self.say(&format!("has a bad record, `{hash}.narinfo`: {reason}"));
                }
                None
            }
        }
    }

    /// The NAR that a record of this cache names, with its first bytes there.
    pub(crate) async fn nar(&self, record: &Foreign) -> Option<Opened> {
        let open = async {
            let Some(Opened { length, mut body }) = self.upstream.open(&record.url).await? else {
                return Ok(None);
            };
            let first = match body.next().await {
                Some(Err(error)) => return Err(error.to_string()),
                first => first,
            };
            let body = stream::iter(first).chain(body).boxed();
            Ok(Some(Opened { length, body }))
        };
        match tokio::time::timeout(NAR_TIMEOUT, open).await {
            Ok(Ok(opened)) => opened,
            Ok(Err(reason)) => self.fail(&reason),
            Err(_) => self.fail(&silent(NAR_TIMEOUT)),
        }
    }

    fn rests(&self) -> bool {
        self.failed.is_fresh()
    }

    /// Leaves the cache alone for a while.
    fn fail<T>(&self, reason: &str) -> Option<T> {
        if self.failed.happens() {
            let seconds = REST.as_secs();
            self.say(&format!(
                "failed, and is not asked for {seconds} s: {reason}"
            ));
        }
        None
    }

    /// Tells the owner, who is sent no control characters of others.
    fn say(&self, what: &str) {
        let url = self.upstream.url();
        let lines: Vec<_> = what.lines().map(printable).collect();
        self.upstream
            .tell(&format!("upstream `{url}` {}", lines.join("\n")));
    }
}

/// When something happened last.
#[derive(Default)]
struct Last(Mutex<Option<Instant>>);

impl Last {
    fn is_fresh(&self) -> bool {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.is_some_and(|at| at.elapsed() < REST)
    }

    /// Notes that it happens now, unless it did of late. Whether it is the first time.
    fn happens(&self) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_first = last.is_none_or(|at| at.elapsed() >= REST);
        if is_first {
            *last = Some(Instant::now());
        }
        is_first
    }
}

fn silent(timeout: Duration) -> String {
    format!("it did not answer within {} s", timeout.as_secs())
}

/// All of a record.
async fn read_all(opened: Opened) -> Result<String, String> {
    let mut body = opened.body;
    let mut bytes = Vec::new();
    while let Some(chunk) = body.next().await {
        bytes.extend_from_slice(&chunk.map_err(|error| error.to_string())?);
        if bytes.len() > MAX_RECORD {
            return Err(format!("a record is longer than {MAX_RECORD} bytes"));
        }
    }
    // What is no text is no record either, as the reader of records says.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
