//! Binary caches that the gateway serves again: asked as fetchers' servers are, by what the configuration
//! grants to `host:substituter`.

use std::sync::Arc;

use fetchhost_formats::CacheInfo;
use fetchhost_gateway::{Folder, Opened, Upstream};
use fetchhost_policy::{Broker, HostPart, Method, ModuleId, SlotName, UpstreamUrl, printable};
use fetchhost_transport::{Client, Outgoing};
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use url::Url;

use crate::context::Context;
use crate::failure::{Failure, with_causes};
use crate::printer::Printer;
use crate::unattended::denied;

/// The file by which a folder is a binary cache.
const CACHE_INFO: &str = CacheInfo::FILE;

/// The caches of the configuration, and then those that were typed.
pub(crate) fn upstreams(
    context: &Context,
    typed: &[String],
) -> Result<Vec<Arc<dyn Upstream>>, Failure> {
    let config = &context.settings.config;
    let mut urls = config.gateway.upstreams.clone();
    for text in typed {
        // What was typed is not repeated: it may hold a password.
        let url = text
            .parse()
            .map_err(|error: fetchhost_policy::UpstreamUrlError| {
                Failure::usage(format!("`--upstream` cannot be used: {error}"))
            })?;
        urls.push(url);
    }
    let mut known: Vec<UpstreamUrl> = Vec::new();
    urls.retain(|url| {
        let is_new = !known.contains(url);
        known.push(url.clone());
        is_new
    });
    let part = HostPart::Substituter;
    let needs = UpstreamUrl::needs();
    let broker = Broker::new(ModuleId::Host(part), part.name(), &needs, config, None)?;
    let broker = Arc::new(broker);
    let client = context.client(Arc::new(context.keyring()));
    let printer = context.printer;
    let upstream = |url: UpstreamUrl| -> Result<Arc<dyn Upstream>, Failure> {
        if let UpstreamUrl::Folder(path) = url {
            if !path.join(CACHE_INFO).is_file() {
                printer.warning(&format!(
                    "the upstream `file://{}` is no binary cache yet: it has no `{CACHE_INFO}`",
                    printable(&path.to_string_lossy())
                ));
            }
            return Ok(Arc::new(Folder::new(path, move |reason| {
                printer.warning(reason);
            })));
        }
        let server = Server {
            url,
            slot: needs.slots.keys().next().cloned(),
            broker: Arc::clone(&broker),
            client: client.clone(),
            printer,
        };
        server.check()?;
        Ok(Arc::new(server))
    };
    urls.into_iter().map(upstream).collect()
}

/// A cache that is asked over HTTP.
struct Server {
    url: UpstreamUrl,
    slot: Option<SlotName>,
    broker: Arc<Broker>,
    client: Client,
    printer: Printer,
}

impl Server {
    /// Refuses a cache that no grant reaches.
    fn check(&self) -> Result<(), Failure> {
        let Some(url) = self.url.below(CACHE_INFO) else {
            return Ok(());
        };
        match self.permit(&url) {
            Ok(_) => Ok(()),
            Err(denial) => Err(denied(&denial)),
        }
    }

    fn permit(&self, url: &Url) -> Result<fetchhost_policy::Permit, fetchhost_policy::Denial> {
        self.broker
            .authorize(Method::Get, url, self.slot.as_ref(), false)
    }

    async fn ask(&self, url: &Url) -> Result<Option<Opened>, String> {
        let permit = self.permit(url).map_err(|denial| with_causes(&denial))?;
        let out = Outgoing {
            permit,
            headers: Vec::new(),
            body: None,
        };
        // What one answer is searched for is what was sent for it.
        let client = self.client.with_own_journal();
        let response =
            client
                .send(Arc::clone(&self.broker), out)
                .await
                .map_err(|error| match error.hint() {
                    Some(hint) => format!("{}\nhint: {hint}", with_causes(&error)),
                    None => with_causes(&error),
                })?;
        match (response.status(), response.credential()) {
            (200, _) => {}
            // As Nix takes it: where files cannot be listed, one that is missing is forbidden.
            (403 | 404 | 410, _) => return Ok(None),
            (401, Some(name)) => {
                return Err(format!(
                    "it answered 401: credential `{name}` is not accepted"
                ));
            }
            (401, None) => {
                return Err(
                    "it answered 401, and no credential is granted; write `credentials = { auth = \"NAME\" }` \
                     into its `[[grant]]` for `host:substituter`"
                        .to_owned(),
                );
            }
            (status, _) => return Err(format!("it answered {status}")),
        }
        if let Some(encoding) = response.content_encoding() {
            return Err(format!(
                "it answered in encoding `{encoding}`, which was not asked for"
            ));
        }
        let length = response.content_length();
        let body = fetchhost_pipeline::searched(response, client.echo())
            .map(|chunk| chunk.map_err(std::io::Error::other))
            .boxed();
        Ok(Some(Opened { length, body }))
    }
}

impl Upstream for Server {
    fn url(&self) -> &UpstreamUrl {
        &self.url
    }

    fn open<'a>(&'a self, place: &'a str) -> BoxFuture<'a, Result<Option<Opened>, String>> {
        Box::pin(async move {
            match self.url.below(place) {
                Some(url) => self.ask(&url).await,
                None => Ok(None),
            }
        })
    }

    fn tell(&self, reason: &str) {
        self.printer.warning(reason);
    }
}
