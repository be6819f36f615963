//! A bucket of S3, or of storage that speaks its protocol, as a place for a cache.
//!
//! **The threat.** A server that is slow, refuses, or overwrites where it was asked not to; a publisher that is
//! killed in the middle; an access key that may write but not read.
//!
//! **The rule.** `object_store` speaks the protocol, and [`Sender`] sends what it says, by permits of the broker
//! and signed by the transport: no key is known here. What is small comes whole in one request. What is large
//! comes in parts, of which nobody sees anything before all of them are there, under a name chosen beforehand.
//! A server is asked once whether it honours conditions of writing; where it does not, nothing relies on them.

mod conditions;
mod listing;
mod refusal;
mod sender;
mod unfinished;
mod upload;

use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;

use bytes::Bytes;
use fetchhost_policy::{Broker, BucketUrl, DisplayUrl, Method, SlotName};
use fetchhost_transport::Client;
use futures_util::StreamExt as _;
use object_store::aws::{AmazonS3, AmazonS3Builder, S3ConditionalPut};
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, ObjectStore, PutMode, PutOptions, PutPayload, RetryConfig,
    StaticCredentialProvider,
};
use tokio::runtime::Handle;

use crate::error::CacheError;
use crate::objects::{Key, Kind, Listed, Object, Objects, UnfinishedUpload, Upload, Version};
use crate::url::Writing;

pub use refusal::{BucketError, Refusal};
pub use upload::uploads_ended;

use conditions::{Condition, Conditions, is_unmet, is_unsupported};
use sender::{Answer, Sender};
use upload::BucketUpload;

/// A bucket.
#[derive(Clone)]
pub struct Bucket(Arc<Shared>);

struct Shared {
    label: String,
    store: AmazonS3,
    sender: Sender,
    handle: Handle,
    writing: Writing,
    conditions: Conditions,
}

impl Bucket {
    /// The bucket at `url`, of which `broker` permits what is sent through `client`, with what fills `slot`.
    /// Must be called on a runtime, which sends the requests.
    ///
    /// # Errors
    /// When its URL makes no requests.
    pub fn new(
        url: &BucketUrl,
        writing: &Writing,
        client: Client,
        broker: Arc<Broker>,
        slot: Option<SlotName>,
    ) -> Result<Self, CacheError> {
        let label = format!("s3://{}", url.bucket);
        let sender = Sender::new(url.clone(), client, broker, slot);
        // The URL holds the bucket already, in whichever style.
        let endpoint = url.url.as_str().trim_end_matches('/');
        let no_retries = RetryConfig {
            max_retries: 0,
            ..RetryConfig::default()
        };
        let nobody = object_store::aws::AwsCredential {
            key_id: String::new(),
            secret_key: String::new(),
            token: None,
        };
        let store = AmazonS3Builder::new()
            .with_bucket_name(&url.bucket)
            .with_endpoint(endpoint)
            .with_virtual_hosted_style_request(true)
            .with_allow_http(true)
            .with_skip_signature(true)
            .with_credentials(Arc::new(StaticCredentialProvider::new(nobody)))
            .with_conditional_put(S3ConditionalPut::ETagMatch)
            .with_disable_bulk_delete(true)
            .with_retry(no_retries)
            .with_http_connector(sender.clone())
            .build()
            .map_err(|error| failed(&label, "use", "", &error))?;
        Ok(Self(Arc::new(Shared {
            label,
            store,
            sender,
            handle: Handle::current(),
            writing: writing.clone(),
            conditions: Conditions::default(),
        })))
    }

    fn write(
        &self,
        key: &Key,
        kind: Kind,
        bytes: &[u8],
        mode: PutMode,
    ) -> Result<(), object_store::Error> {
        let options = PutOptions {
            mode,
            attributes: self.attributes(kind),
            ..PutOptions::default()
        };
        let payload = PutPayload::from_bytes(Bytes::copy_from_slice(bytes));
        let place = path(key);
        let put = self.0.store.put_opts(&place, payload, options);
        self.0.handle.block_on(put).map(drop)
    }

    /// Whether there is an object of that name. Where the bucket cannot be listed, what is missing is forbidden.
    fn is_there(&self, key: &Key) -> Result<bool, CacheError> {
        match self.size(key) {
            Err(error) if error.is_denied() => Ok(false),
            found => Ok(found?.is_some()),
        }
    }

    fn attributes(&self, kind: Kind) -> Attributes {
        let mut attributes = Attributes::new();
        attributes.insert(Attribute::ContentType, kind.media_type().into());
        // Records are read at once.
        if let (Kind::Nar, Some(class)) = (kind, &self.0.writing.storage_class) {
            attributes.insert(Attribute::StorageClass, class.clone().into());
        }
        attributes
    }

    fn ask(
        &self,
        method: Method,
        action: &'static str,
        key: &Key,
    ) -> Result<Option<Answer>, CacheError> {
        let asked = self.0.sender.ask(method, key);
        self.0
            .handle
            .block_on(asked)
            .map_err(|error| CacheError::Bucket {
                label: self.0.label.clone(),
                action,
                key: key.to_string(),
                source: error,
            })
    }

    fn failed(
        &self,
        action: &'static str,
        key: &str,
    ) -> impl Fn(object_store::Error) -> CacheError {
        let (label, key) = (self.0.label.clone(), key.to_owned());
        move |error| failed(&label, action, &key, &error)
    }
}

impl Objects for Bucket {
    fn label(&self) -> String {
        self.0.label.clone()
    }

    fn place_of(&self, key: &Key) -> String {
        match self.0.sender.url_of(key) {
            Ok(url) => DisplayUrl(&url).to_string(),
            Err(_) => key.to_string(),
        }
    }

    fn get(&self, key: &Key, limit: u64) -> Result<Option<Object>, CacheError> {
        let Some(answer) = self.ask(Method::Get, "read", key)? else {
            return Ok(None);
        };
        let version = answer.version.clone();
        let mut bytes = Vec::new();
        let mut body = self.reader(answer).take(limit.saturating_add(1));
        let read = body.read_to_end(&mut bytes);
        read.map_err(|error| self.0.unread(key, error))?;
        let is_all = bytes.len() as u64 <= limit;
        Ok(Some(Object {
            bytes,
            version: version.filter(|_| is_all),
        }))
    }

    fn size(&self, key: &Key) -> Result<Option<u64>, CacheError> {
        let answer = self.ask(Method::Head, "look at", key)?;
        Ok(answer.and_then(|answer| answer.length))
    }

    fn open(&self, key: &Key) -> Result<Option<Box<dyn Read + Send>>, CacheError> {
        let answer = self.ask(Method::Get, "read", key)?;
        Ok(answer.map(|answer| Box::new(self.reader(answer)) as Box<dyn Read + Send>))
    }

    fn create(&self, key: &Key, kind: Kind, bytes: &[u8]) -> Result<bool, CacheError> {
        // It is tried with this one, which whoever creates it has just looked for.
        let is_info = *key == Key::info();
        let known = match is_info {
            true => None,
            false => Some(self.create_condition()?),
        };
        // What may ignore the condition is asked first; it is sent nevertheless.
        if known.is_some_and(|known| known != Condition::Honoured) && self.is_there(key)? {
            return Ok(false);
        }
        if known == Some(Condition::Unsupported) {
            return self.put(key, kind, bytes).map(|()| true);
        }
        match self.write(key, kind, bytes, PutMode::Create) {
            Ok(()) => Ok(true),
            Err(error) if is_unmet(&error) => Ok(false),
            Err(error) if is_unsupported(&error) => match self.is_there(key)? {
                true => Ok(false),
                false => self.put(key, kind, bytes).map(|()| true),
            },
            Err(error) => Err(self.failed("write", key.as_str())(error)),
        }
    }

    fn put(&self, key: &Key, kind: Kind, bytes: &[u8]) -> Result<(), CacheError> {
        self.write(key, kind, bytes, PutMode::Overwrite)
            .map_err(self.failed("write", key.as_str()))
    }

    fn replace(
        &self,
        key: &Key,
        kind: Kind,
        bytes: &[u8],
        of: &Version,
    ) -> Result<bool, CacheError> {
        let known = self.update_condition()?;
        match (known.condition, self.0.writing.single_writer) {
            (Condition::Honoured, _) => {}
            (_, true) => return self.put(key, kind, bytes).map(|()| true),
            (_, false) => {
                return Err(CacheError::Unconditional {
                    label: self.0.label.clone(),
                    what: "signatures",
                });
            }
        }
        match self.write(key, kind, bytes, known.state(of)) {
            Ok(()) => Ok(true),
            Err(error) if is_unmet(&error) => Ok(false),
            Err(error) => Err(self.failed("write", key.as_str())(error)),
        }
    }

    fn delete(&self, key: &Key) -> Result<(), CacheError> {
        let one = futures_util::stream::iter([Ok(path(key))]).boxed();
        let mut deleted = self.0.store.delete_stream(one);
        match self.0.handle.block_on(deleted.next()) {
            Some(Err(object_store::Error::NotFound { .. })) | Some(Ok(_)) | None => Ok(()),
            Some(Err(error)) => Err(self.failed("remove", key.as_str())(error)),
        }
    }

    fn list(
        &self,
        each: &mut dyn FnMut(Listed) -> Result<(), CacheError>,
    ) -> Result<(), CacheError> {
        self.list_all(each)
    }

    fn upload(&self, kind: Kind, suffix: &str) -> Result<Box<dyn Upload>, CacheError> {
        Ok(Box::new(BucketUpload::new(self.clone(), kind, suffix)))
    }

    fn unfinished_uploads(&self) -> Result<Vec<UnfinishedUpload>, CacheError> {
        match self.list_unfinished() {
            // Some servers do not have it, and some keys may not ask.
            Err(CacheError::Bucket { source, .. }) if source.is_unsupported() => Ok(Vec::new()),
            listed => listed,
        }
    }

    fn give_up(&self, upload: &UnfinishedUpload) -> Result<(), CacheError> {
        self.abort(upload)
    }

    fn conditional_writes(&self) -> Option<[bool; 2]> {
        let create = self.create_condition().ok()?;
        let update = self.update_condition().ok()?.condition;
        let is_known = |found: &Condition| *found != Condition::Unknown;
        let all = [create, update];
        all.iter()
            .all(is_known)
            .then(|| all.map(|found| found == Condition::Honoured))
    }

    fn settle(&self) -> Result<(), CacheError> {
        Ok(())
    }
}

impl Shared {
    fn unread(&self, key: &Key, error: io::Error) -> CacheError {
        CacheError::Bucket {
            label: self.label.clone(),
            action: "read",
            key: key.to_string(),
            source: Arc::new(BucketError::Broken {
                detail: error.to_string(),
            }),
        }
    }
}

impl Bucket {
    fn reader(&self, answer: Answer) -> Body {
        Body {
            answer,
            handle: self.0.handle.clone(),
            rest: Bytes::new(),
        }
    }
}

/// A body that is read by blocking.
struct Body {
    answer: Answer,
    handle: Handle,
    rest: Bytes,
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            let next = self.answer.response.chunk();
            match self.handle.block_on(next).map_err(io::Error::other)? {
                Some(bytes) => self.rest = bytes,
                None => return Ok(0),
            }
        }
        let amount = buffer.len().min(self.rest.len());
        buffer[..amount].copy_from_slice(&self.rest.split_to(amount));
        Ok(amount)
    }
}

/// A key as `object_store` knows it.
fn path(key: &Key) -> Path {
    Path::from(key.as_str())
}

/// What an error of `object_store` means: where the sender said why, that.
fn failed(label: &str, action: &'static str, key: &str, error: &object_store::Error) -> CacheError {
    CacheError::Bucket {
        label: label.to_owned(),
        action,
        key: key.to_owned(),
        source: BucketError::in_error(error),
    }
}

impl fmt::Debug for Bucket {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("Bucket")
            .field(&self.0.label)
            .finish()
    }
}
