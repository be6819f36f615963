//! A large object on its way to a bucket.

use std::io::{self, Write};
use std::mem;
use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use object_store::{MultipartUpload, ObjectStore as _, PutMode, PutMultipartOptions, PutPayload};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{Bucket, BucketError, failed, path};
use crate::error::CacheError;
use crate::objects::{Key, Kind, Upload};

/// Parts on their way at once. Each is in memory until it has arrived.
const AT_ONCE: usize = 3;
/// The most parts of one object, by S3's rules.
const MAX_PARTS: usize = 10_000;

/// How many uploads have neither ended nor been given up.
static UNFINISHED: LazyLock<watch::Sender<usize>> = LazyLock::new(|| watch::channel(0).0);

/// Waits until every upload that this process began in parts has ended or been given up, for as long as
/// `limit`: what a server has of one that is not given up stays there, and costs.
pub async fn uploads_ended(limit: Duration) {
    let mut unfinished = UNFINISHED.subscribe();
    // The sender is never dropped.
    let ended = unfinished.wait_for(|count| *count == 0);
    if tokio::time::timeout(limit, ended).await.is_err() {
        tracing::warn!("an unfinished upload stays on the server");
    }
}

/// One unfinished upload.
struct Unfinished;

impl Unfinished {
    fn begin() -> Self {
        UNFINISHED.send_modify(|count| *count += 1);
        Self
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        UNFINISHED.send_modify(|count| *count -= 1);
    }
}

/// What comes in one request as long as it is short, and then in parts.
pub(super) struct BucketUpload {
    bucket: Bucket,
    kind: Kind,
    suffix: String,
    buffer: Vec<u8>,
    parts: Option<Parts>,
    failure: Option<CacheError>,
}

struct Parts {
    key: Key,
    upload: Box<dyn MultipartUpload>,
    sending: JoinSet<Result<(), object_store::Error>>,
    count: usize,
    unfinished: Unfinished,
}

impl BucketUpload {
    pub(super) fn new(bucket: Bucket, kind: Kind, suffix: &str) -> Self {
        Self {
            bucket,
            kind,
            suffix: suffix.to_owned(),
            buffer: Vec::new(),
            parts: None,
            failure: None,
        }
    }

    /// How much waits before it is sent.
    fn room(&self) -> usize {
        let writing = &self.bucket.0.writing;
        let room = match self.parts {
            Some(_) => writing.part,
            None => writing.part.max(writing.threshold),
        };
        usize::try_from(room).unwrap_or(usize::MAX)
    }

    /// Sends all whole parts that wait.
    fn send_parts(&mut self) -> Result<(), CacheError> {
        let part = usize::try_from(self.bucket.0.writing.part).unwrap_or(usize::MAX);
        if self.parts.is_none() {
            self.parts = Some(self.begin()?);
        }
        let mut waiting = Bytes::from(mem::take(&mut self.buffer));
        while waiting.len() >= part {
            self.send(waiting.split_to(part))?;
        }
        self.buffer.reserve_exact(part);
        self.buffer.extend_from_slice(&waiting);
        Ok(())
    }

    /// Begins under a name of its own: that of the contents is known at their end.
    fn begin(&self) -> Result<Parts, CacheError> {
        let key = Key::chosen(&self.suffix).ok_or_else(|| CacheError::Bucket {
            label: self.bucket.0.label.clone(),
            action: "upload",
            key: self.suffix.clone(),
            source: std::sync::Arc::new(BucketError::Broken {
                detail: "it cannot be a name".to_owned(),
            }),
        })?;
        let unfinished = Unfinished::begin();
        let shared = &self.bucket.0;
        let options = PutMultipartOptions {
            attributes: self.bucket.attributes(self.kind),
            ..PutMultipartOptions::default()
        };
        let place = path(&key);
        let begun = shared.store.put_multipart_opts(&place, options);
        let upload = shared
            .handle
            .block_on(begun)
            .map_err(|error| failed(&shared.label, "upload", key.as_str(), &error))?;
        Ok(Parts {
            key,
            upload,
            sending: JoinSet::new(),
            count: 0,
            unfinished,
        })
    }

    fn send(&mut self, bytes: Bytes) -> Result<(), CacheError> {
        let shared = &self.bucket.0;
        let Some(parts) = &mut self.parts else {
            return Ok(());
        };
        let failed = |error| failed(&shared.label, "upload", parts.key.as_str(), &error);
        parts.count += 1;
        if parts.count > MAX_PARTS {
            return Err(CacheError::Parts {
                label: shared.label.clone(),
                limit: shared.writing.part.saturating_mul(MAX_PARTS as u64),
            });
        }
        let payload = PutPayload::from_bytes(bytes);
        parts
            .sending
            .spawn_on(parts.upload.put_part(payload), &shared.handle);
        while parts.sending.len() >= AT_ONCE {
            join_one(&shared.handle, &mut parts.sending).map_err(failed)?;
        }
        Ok(())
    }
}

/// Waits for one part to arrive.
fn join_one(
    handle: &tokio::runtime::Handle,
    sending: &mut JoinSet<Result<(), object_store::Error>>,
) -> Result<(), object_store::Error> {
    match handle.block_on(sending.join_next()) {
        None => Ok(()),
        Some(Ok(sent)) => sent,
        Some(Err(stopped)) => Err(object_store::Error::JoinError { source: stopped }),
    }
}

impl Write for BucketUpload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let free = self.room() - self.buffer.len().min(self.room());
        let taken = free.min(bytes.len());
        self.buffer.extend_from_slice(&bytes[..taken]);
        // What fills the last part exactly may still be all of it.
        if taken < bytes.len() && self.buffer.len() >= self.room() {
            if let Err(error) = self.send_parts() {
                self.failure = Some(error);
                return Err(io::ErrorKind::Other.into());
            }
            if taken == 0 {
                return self.write(bytes);
            }
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Upload for BucketUpload {
    fn failure(&mut self, error: io::Error) -> CacheError {
        self.failure
            .take()
            .unwrap_or_else(|| CacheError::Compression {
                label: self.bucket.0.label.clone(),
                source: error,
            })
    }

    fn finish(mut self: Box<Self>, wanted: &Key) -> Result<Key, CacheError> {
        let bytes = mem::take(&mut self.buffer);
        if self.parts.is_none() {
            let put = self
                .bucket
                .write(wanted, self.kind, &bytes, PutMode::Overwrite);
            return put
                .map(|()| wanted.clone())
                .map_err(self.bucket.failed("upload", wanted.as_str()));
        }
        if !bytes.is_empty() {
            self.send(Bytes::from(bytes))?;
        }
        let shared = std::sync::Arc::clone(&self.bucket.0);
        let Some(parts) = &mut self.parts else {
            return Ok(wanted.clone());
        };
        let key = parts.key.clone();
        let failed = |error| failed(&shared.label, "upload", key.as_str(), &error);
        while !parts.sending.is_empty() {
            join_one(&shared.handle, &mut parts.sending).map_err(failed)?;
        }
        let completed = shared.handle.block_on(parts.upload.complete());
        completed.map_err(failed)?;
        // There is nothing left to give up.
        self.parts = None;
        Ok(key)
    }
}

impl Drop for BucketUpload {
    /// Gives up what is not complete. Whoever drops this need not be allowed to block.
    fn drop(&mut self) {
        let Some(mut parts) = self.parts.take() else {
            return;
        };
        let label = self.bucket.0.label.clone();
        self.bucket.0.handle.spawn(async move {
            parts.sending.shutdown().await;
            if let Err(error) = parts.upload.abort().await {
                let error = failed(&label, "give up", parts.key.as_str(), &error);
                tracing::warn!(%error, "an unfinished upload stays on the server");
            }
            drop(parts.unfinished);
        });
    }
}
