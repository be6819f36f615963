//! Binary caches that commands name: opened, and worked on away from the thread that sends requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fetchhost_cache::{
    Bucket, Cache, CacheError, CachePlace, CacheUrl, CacheUrlError, Key, uploads_ended,
};
use fetchhost_credentials::ask_hidden;
use fetchhost_policy::{Broker, BucketUrl, Method};
use fetchhost_transport::{Category, Client};

use crate::args::cache::CacheArgs;
use crate::context::Context;
use crate::exit::ExitStatus;
use crate::failure::{Failure, with_causes};
use crate::signals::Stops;
use crate::unattended::denied;

/// The longest `nix-cache-info`, in bytes.
const MAX_INFO: u64 = 64 * 1024;

/// How long a server may take to forget what was sent of an upload that is given up.
const GIVING_UP: Duration = Duration::from_secs(10);

/// What a command does with a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// It reads it.
    Reading,
    /// It writes one output.
    One,
    /// It writes much, which is synced all at once where the cache is a folder.
    Many,
}

impl Purpose {
    /// Much is written, if anything.
    pub(crate) const fn writing(writes: bool) -> Self {
        if writes { Self::Many } else { Self::Reading }
    }
}

/// Opens the cache of a `cache` command.
pub(crate) fn of_command(
    context: &Context,
    args: &CacheArgs,
    purpose: Purpose,
) -> Result<Cache, Failure> {
    of_url(context, url_of(args)?, purpose)
}

/// The URL that a `cache` command was given.
pub(crate) fn url_of(args: &CacheArgs) -> Result<CacheUrl, Failure> {
    let mut url = parse(&args.url)?;
    url.writing.single_writer |= args.single_writer;
    Ok(url)
}

/// Opens the cache of a `cache` command by its URL.
pub(crate) fn of_url(context: &Context, url: CacheUrl, purpose: Purpose) -> Result<Cache, Failure> {
    let keyring = context.keyring().asking(ask_hidden);
    let client = context.client(Arc::new(keyring));
    open(context, &client, url, purpose)
}

/// What a cache says about itself, without which it is none.
pub(crate) fn info(cache: &Cache) -> Result<Vec<u8>, Failure> {
    let said = cache.objects().get(&Key::info(), MAX_INFO)?;
    let said = said.ok_or_else(|| CacheError::NoCache {
        label: cache.label(),
    })?;
    Ok(said.bytes)
}

/// The URL of a cache.
pub(crate) fn parse(text: &str) -> Result<CacheUrl, Failure> {
    text.parse().map_err(|error: CacheUrlError| {
        let mut failure = Failure::usage(with_causes(&error));
        failure.hint = error.hint();
        failure
    })
}

/// Opens a cache that the user typed.
pub(crate) fn open(
    context: &Context,
    client: &Client,
    url: CacheUrl,
    purpose: Purpose,
) -> Result<Cache, Failure> {
    let bucket = match &url.place {
        CachePlace::Folder(_) => None,
        CachePlace::Bucket(bucket) => Some(bucket.clone()),
    };
    match bucket {
        Some(place) => {
            let bucket = reach(context, client, &place, &url, purpose)?;
            Ok(Cache::new(url, Arc::new(bucket)))
        }
        // What is no bucket is a folder.
        None => Cache::on_disk(url, purpose != Purpose::One)
            .ok_or_else(|| Failure::usage("the cache is nowhere")),
    }
}

fn reach(
    context: &Context,
    client: &Client,
    place: &BucketUrl,
    url: &CacheUrl,
    purpose: Purpose,
) -> Result<Bucket, Failure> {
    let config = &context.settings.config;
    // Without any access keys a public bucket can be read.
    let is_signed = place.profile.is_some() || context.environment.has_aws_keys;
    let (broker, slot) = Broker::for_bucket(place, config, is_signed)?;
    // What no request may do is found before anything is asked.
    let (method, has_body) = match purpose {
        Purpose::Reading => (Method::Get, false),
        Purpose::One | Purpose::Many => (Method::Put, true),
    };
    broker
        .authorize(method, &place.url, slot.as_ref(), has_body)
        .map_err(|denial| denied(&denial))?;
    let bucket = Bucket::new(place, &url.writing, client.clone(), Arc::new(broker), slot);
    Ok(bucket?)
}

/// Waits until servers have forgotten what was sent of uploads that were given up, unless a signal comes.
pub(crate) async fn given_up() {
    let mut stops = Stops::listen();
    tokio::select! {
        () = uploads_ended(GIVING_UP) => {}
        _ = stops.next() => {}
    }
}

/// Whether work is to end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stopping(Arc<AtomicBool>);

impl Stopping {
    /// Whether a signal came: nothing more is to be begun.
    pub(crate) fn is_asked_for(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Does what blocks on a thread of its own. A signal lets it end what it has begun; a second one does not.
pub(crate) async fn work<T: Send + 'static>(
    job: impl FnOnce(&Stopping) -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let mut stops = Stops::listen();
    let stopping = Stopping::default();
    let asked = stopping.clone();
    let mut running = tokio::task::spawn_blocking(move || job(&asked));
    let ended = tokio::select! {
        ended = &mut running => ended,
        stop = stops.next() => {
            stopping.0.store(true, Ordering::Relaxed);
            tokio::select! {
                ended = running => match ended {
                    Ok(Ok(_)) => Ok(Err(Failure::stopped_at_work(stop))),
                    ended => ended,
                },
                stop = stops.next() => return Err(Failure::stopped_at_work(stop)),
            }
        }
    };
    given_up().await;
    match ended {
        Ok(ended) => ended,
        Err(stopped) => match stopped.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(Failure::usage("the work was given up")),
        },
    }
}

impl From<CacheError> for Failure {
    fn from(error: CacheError) -> Self {
        let category = match &error {
            CacheError::Bucket { source, .. } => source.category(),
            _ => None,
        };
        let (status, kind) = match category {
            Some(Category::Denied) => (ExitStatus::Denied, "denied"),
            _ if error.is_configuration() => (ExitStatus::Usage, "usage"),
            _ => (ExitStatus::Sink, "sink"),
        };
        Self {
            status,
            kind,
            hint: error.hint(),
            ..Self::usage(with_causes(&error))
        }
    }
}
