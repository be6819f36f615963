//! AWS's STS, asked for the access keys of a web identity: one request through the same broker and transport
//! as a fetch, as `host:sts` ([`StsServer`](fetchhost_policy::StsServer) says what that may do).

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use fetchhost_credentials::{Cancel, Keyring, StsAnswer, StsFailure, StsRequest};
use fetchhost_policy::{Config, Proxies, StsServer};
use fetchhost_transport::{Client, Outgoing, Response, TransportError};
use tokio::runtime::Handle;
use zeroize::Zeroizing;

use crate::context::Context;
use crate::failure::with_causes;

/// The largest answer; one of STS's has a few KiB.
const MAX_BYTES: usize = 64 * 1024;
/// How long asking may take in all.
const TIME: Duration = Duration::from_secs(60);
/// How long it takes at most to notice that the answer is not wanted any more.
const GLANCE: Duration = Duration::from_millis(100);

/// What asks STS, by the configuration and environment of `context`.
pub(crate) struct Sts {
    config: Config,
    proxies: Proxies,
    client: Client,
    /// Where requests are sent from. Whoever asks blocks a thread of its own.
    runtime: Handle,
}

impl Sts {
    /// None outside of a runtime, where nothing can be sent.
    pub(crate) fn new(context: &Context) -> Option<Arc<Self>> {
        let settings = fetchhost_transport::Settings {
            total_timeout: Some(TIME),
            // STS does not redirect, and what does is not sent the token.
            max_redirects: 0,
            ..context.transport_settings()
        };
        Some(Arc::new(Self {
            config: context.settings.config.clone(),
            proxies: context.proxies().clone(),
            // It has no credentials: the token is in the body.
            client: Client::new(settings, Arc::new(Keyring::new())),
            runtime: Handle::try_current().ok()?,
        }))
    }

    /// Sends the question and waits for the answer, unless `cancel` is fired. Not to be called on a thread of
    /// the runtime.
    pub(crate) fn ask(
        self: &Arc<Self>,
        request: StsRequest,
        cancel: &Cancel,
    ) -> Result<StsAnswer, StsFailure> {
        let (sender, answer) = channel();
        let this = Arc::clone(self);
        // A task of the runtime ends with it; one that this thread drove would find it gone.
        let task = self.runtime.spawn(async move {
            // Nobody listens once it was given up.
            let _ = sender.send(this.exchange(request).await);
        });
        loop {
            match answer.recv_timeout(GLANCE) {
                Ok(answered) => return answered,
                Err(RecvTimeoutError::Timeout) if !cancel.is_fired() => {}
                Err(_) => {
                    task.abort();
                    return Err(failure("the run was given up", None));
                }
            }
        }
    }

    async fn exchange(&self, request: StsRequest) -> Result<StsAnswer, StsFailure> {
        let StsRequest { server, form } = request;
        self.check_way(&server)?;
        let broker = server
            .broker(&self.config)
            .map_err(|error| failure(with_causes(&error), error.hint()))?;
        let permit = server
            .permit(&broker)
            .map_err(|denial| failure(with_causes(&denial), denial.hint()))?;
        let out = Outgoing {
            permit,
            headers: vec![(
                "Content-Type".to_owned(),
                "application/x-www-form-urlencoded".to_owned(),
            )],
            // Wiped when the last one who sends it is done.
            body: Some(bytes::Bytes::from_owner(form_bytes(form))),
        };
        let mut response = self
            .client
            .send(Arc::new(broker), out)
            .await
            .map_err(unreached)?;
        if let Some(encoding) = response.content_encoding() {
            let reason = format!("it answers in encoding `{encoding}`, which was not asked for");
            return Err(failure(reason, None));
        }
        let status = response.status();
        let body = read(&mut response).await?;
        Ok(StsAnswer { status, body })
    }

    /// Refuses to have a proxy read the token.
    fn check_way(&self, server: &StsServer) -> Result<(), StsFailure> {
        let origin = server.origin();
        // What is wrong with the variables of a proxy the transport says.
        let proxy = self.proxies.for_origin(origin).ok().flatten();
        match proxy.filter(|_| !origin.is_https()) {
            None => Ok(()),
            Some(proxy) => Err(failure(
                format!("the token would pass the proxy `{proxy}` unencrypted"),
                Some(format!(
                    "name an `https` endpoint, or {}",
                    self.proxies.named_by.how_to_except(&origin.host())
                )),
            )),
        }
    }
}

/// The bytes of a form, in the same memory.
fn form_bytes(mut form: Zeroizing<String>) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(std::mem::take(&mut *form).into_bytes())
}

async fn read(response: &mut Response) -> Result<Zeroizing<Vec<u8>>, StsFailure> {
    // Room for all of it at once: a vector that grows leaves unwiped copies behind.
    let mut body = Zeroizing::new(Vec::with_capacity(MAX_BYTES));
    while let Some(chunk) = response.chunk().await.map_err(unreached)? {
        if body.len() + chunk.len() > MAX_BYTES {
            return Err(failure("it answers with more than 64 KiB", None));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn unreached(error: TransportError) -> StsFailure {
    match &error {
        TransportError::Denied(_)
        | TransportError::TooManyRedirects { .. }
        | TransportError::LoginRedirect { .. } => {
            failure("it redirects, which STS does not do", None)
        }
        // What is said of URLs there was not typed here.
        TransportError::Connect { .. } | TransportError::Resolve { .. } => {
            failure(with_causes(&error), None)
        }
        _ => failure(with_causes(&error), error.hint()),
    }
}

fn failure(reason: impl Into<String>, hint: Option<String>) -> StsFailure {
    StsFailure {
        reason: reason.into(),
        hint,
    }
}
