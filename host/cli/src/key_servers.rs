//! Servers that give access keys of AWS, asked through the same broker and transport as a fetch, as `host:sts`,
//! `host:sso` and `host:imds` ([`KeyServer`] says what these may do).

use std::ffi::OsString;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use fetchhost_credentials::{Cancel, KeyAnswer, KeyFailure, KeyRequest, Keyring};
use fetchhost_policy::{Config, KeyServer};
use fetchhost_transport::{Client, Outgoing, Response, Settings, TransportError};
use tokio::runtime::Handle;
use zeroize::Zeroizing;

use crate::context::Context;
use crate::failure::with_causes;

/// The largest answer; usual ones have a few KiB.
const MAX_BYTES: usize = 64 * 1024;
/// How long asking may take in all.
const TIME: Duration = Duration::from_secs(60);
/// How long it takes at most to notice that the answer is not wanted any more.
const GLANCE: Duration = Duration::from_millis(100);

/// What asks them, by the configuration and environment of a [`Context`].
pub(crate) struct KeyServers {
    config: Config,
    settings: Settings,
    /// Where requests are sent from. Whoever asks blocks a thread of its own.
    runtime: Handle,
}

impl KeyServers {
    /// None outside of a runtime, where nothing can be sent.
    pub(crate) fn new(context: &Context) -> Option<Arc<Self>> {
        Some(Arc::new(Self {
            config: context.settings.config.clone(),
            settings: Settings {
                total_timeout: Some(TIME),
                // They do not redirect, and what does is not sent what proves who asks.
                max_redirects: 0,
                ..context.transport_settings()
            },
            runtime: Handle::try_current().ok()?,
        }))
    }

    /// Sends the question and waits for the answer, unless `cancel` is fired. Not to be called on a thread of
    /// the runtime.
    pub(crate) fn ask(
        self: &Arc<Self>,
        request: KeyRequest,
        cancel: &Cancel,
    ) -> Result<KeyAnswer, KeyFailure> {
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

    async fn exchange(&self, request: KeyRequest) -> Result<KeyAnswer, KeyFailure> {
        let KeyRequest {
            server,
            method,
            url,
            header,
            form,
        } = request;
        self.check_way(&server)?;
        let (scheme, keyring) = match header {
            None => (None, Keyring::with_environment(|_| None)),
            Some((scheme, secret)) => {
                let value = move |name: &str| {
                    (name == KeyServer::variable()).then(|| OsString::from(secret.expose()))
                };
                (Some(scheme), Keyring::with_environment(value))
            }
        };
        let broker = server
            .broker(&self.config, scheme.as_ref())
            .map_err(|error| failure(with_causes(&error), error.hint()))?;
        let permit = KeyServer::permit(&broker, method, &url, scheme.is_some(), form.is_some())
            .map_err(|denial| failure(with_causes(&denial), denial.hint()))?;
        let type_of_form = (
            "Content-Type".to_owned(),
            "application/x-www-form-urlencoded".to_owned(),
        );
        let out = Outgoing {
            permit,
            headers: form.iter().map(|_| type_of_form.clone()).collect(),
            // Wiped when the last one who sends it is done.
            body: form.map(|form| bytes::Bytes::from_owner(form_bytes(form))),
        };
        let client = Client::new(self.settings.clone(), Arc::new(keyring));
        let mut response = client
            .send(Arc::new(broker), out)
            .await
            .map_err(unreached)?;
        if let Some(encoding) = response.content_encoding() {
            let reason = format!("it answers in encoding `{encoding}`, which was not asked for");
            return Err(failure(reason, None));
        }
        let status = response.status();
        let body = read(&mut response).await?;
        Ok(KeyAnswer { status, body })
    }

    /// Refuses to have a proxy read the question, or the keys in the answer.
    fn check_way(&self, server: &KeyServer) -> Result<(), KeyFailure> {
        let (origin, proxies) = (server.origin(), &self.settings.proxies);
        // What is wrong with the variables of a proxy the transport says.
        let proxy = proxies.for_origin(origin).ok().flatten();
        match proxy.filter(|_| !origin.is_https()) {
            None => Ok(()),
            Some(proxy) => Err(failure(
                format!("question and keys would pass the proxy `{proxy}` unencrypted"),
                Some(format!(
                    "name an `https` endpoint, or {}",
                    proxies.named_by.how_to_except(&origin.host())
                )),
            )),
        }
    }
}

/// The bytes of a form, in the same memory.
fn form_bytes(mut form: Zeroizing<String>) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(std::mem::take(&mut *form).into_bytes())
}

async fn read(response: &mut Response) -> Result<Zeroizing<Vec<u8>>, KeyFailure> {
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

fn unreached(error: TransportError) -> KeyFailure {
    match &error {
        TransportError::Denied(_)
        | TransportError::TooManyRedirects { .. }
        | TransportError::LoginRedirect { .. } => {
            failure("it redirects, which no server of keys does", None)
        }
        // What is said of URLs there was not typed here.
        TransportError::Connect { .. } | TransportError::Resolve { .. } => {
            failure(with_causes(&error), None)
        }
        _ => failure(with_causes(&error), error.hint()),
    }
}

fn failure(reason: impl Into<String>, hint: Option<String>) -> KeyFailure {
    KeyFailure {
        reason: reason.into(),
        hint,
    }
}
