//! One request, its redirects, its retries.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use fetchhost_policy::{Broker, DisplayUrl, Method, Origin, Permit};
use http::{HeaderMap, header::LOCATION};
use url::Url;

use crate::{
    Client, Contact, ProxyProblem, Stage, TransportError, connection::Passage, echo::Sent, headers,
    redirect, resume::Rest, retry,
};

/// A small body is read to its end so that its connection can be used again; a larger one is not
/// worth it.
const DRAINED_BYTES: u64 = 16 * 1024;

/// How long reading such a body may take.
const DRAIN_TIME: Duration = Duration::from_millis(200);

/// What the login of a proxy is called where a server sends it back.
const PROXY: &str = "proxy";

/// What is asked for, kept for as long as the answer may have to be continued.
pub(crate) struct Request {
    pub(crate) permit: Permit,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<Bytes>,
    pub(crate) broker: Arc<Broker>,
    pub(crate) deadline: Deadline,
}

/// The head of the answer at the end of all redirects.
pub(crate) struct Answer {
    pub(crate) response: reqwest::Response,
    /// The method of the last hop.
    pub(crate) method: Method,
    /// The URL of the last hop. Its query may be a credential.
    pub(crate) url: Url,
    pub(crate) origin: Origin,
    pub(crate) redirected: bool,
}

impl Client {
    /// Sends `request`, or for the `rest` of its body, until it is answered or not worth another
    /// try. Each try starts at the request's own URL: what a redirect led to may have expired.
    pub(crate) async fn exchange(
        &self,
        request: &Request,
        rest: Option<&Rest>,
    ) -> Result<Answer, TransportError> {
        let settings = &self.shared.settings;
        let method = request.permit.method();
        let mut failed = 0;
        loop {
            let outcome = self.follow(request, rest).await;
            failed += 1;
            let pause = match &outcome {
                Ok(answer) if retry::status_is_temporary(answer.response.status(), method) => {
                    match retry::retry_after(answer.response.headers()) {
                        Some(after) if after > settings.max_retry_after => {
                            return Err(TransportError::RetryLater {
                                origin: answer.origin.clone(),
                                status: answer.response.status().as_u16(),
                                after,
                                limit: settings.max_retry_after,
                            });
                        }
                        Some(after) => after,
                        None => retry::backoff(settings, failed),
                    }
                }
                Err(error) if retry::error_is_temporary(error, method) => {
                    retry::backoff(settings, failed)
                }
                _ => return outcome,
            };
            if failed >= settings.attempts {
                return outcome;
            }
            let url = DisplayUrl(request.permit.url());
            match outcome {
                Ok(answer) => {
                    let status = answer.response.status().as_u16();
                    tracing::info!(%url, status, ?pause, "trying again");
                    drain(answer.response).await;
                }
                Err(error) => tracing::info!(%url, %error, ?pause, "trying again"),
            }
            request
                .deadline
                .pause(pause, request.permit.origin())
                .await?;
        }
    }

    /// One try: the request and its redirects.
    async fn follow(
        &self,
        request: &Request,
        rest: Option<&Rest>,
    ) -> Result<Answer, TransportError> {
        let limit = self.shared.settings.max_redirects;
        let asked = || DisplayUrl(request.permit.url()).to_string();
        let mut hop: Option<Hop> = None;
        for _ in 0..=limit {
            let permit = hop.as_ref().map_or(&request.permit, |hop| &hop.permit);
            let (foreign, keeps_body) = hop
                .as_ref()
                .map_or((false, true), |hop| (hop.foreign, hop.keeps_body));
            let body = request.body.clone().filter(|_| keeps_body);
            let response = self
                .send_hop(request, permit, hop.as_ref(), body, rest)
                .await?;
            self.search_location(&response, permit.origin())?;
            let target = redirect::target(response.status(), response.headers(), permit.url())
                .map_err(|redirect::NoTarget| TransportError::BadRedirect { url: asked() })?;
            let Some(target) = target else {
                return Ok(Answer {
                    response,
                    method: permit.method(),
                    url: permit.url().clone(),
                    origin: permit.origin().clone(),
                    redirected: hop.is_some(),
                });
            };
            if redirect::is_login(permit.url(), &target) {
                return Err(TransportError::LoginRedirect {
                    url: asked(),
                    target: DisplayUrl(&target).to_string(),
                    credential: request.permit.credential().map(|spec| spec.name.clone()),
                });
            }
            let method = redirect::method(response.status(), permit.method());
            let next = request
                .broker
                .redirect(permit, method, &target)
                .map_err(TransportError::Denied)?;
            hop = Some(Hop {
                // The permit knows; counted here too, a slip there would cost a token.
                foreign: foreign || next.crossed_origin() || next.origin() != permit.origin(),
                keeps_body: keeps_body && method == permit.method(),
                from: permit.origin().clone(),
                permit: next,
            });
            drain(response).await;
        }
        Err(TransportError::TooManyRedirects {
            url: asked(),
            limit,
        })
    }

    /// Where an answer redirects to is searched before anything is done with it: the next request's
    /// URL, its traces and its record would show a secret in it. Its host and its escapes are searched
    /// as the server wrote them, before parsing changes their spelling.
    fn search_location(
        &self,
        response: &reqwest::Response,
        origin: &Origin,
    ) -> Result<(), TransportError> {
        for location in response.headers().get_all(LOCATION) {
            self.echo.check(location.as_bytes(), origin)?;
        }
        Ok(())
    }

    /// Sends to one origin and waits for the head of its answer.
    async fn send_hop(
        &self,
        request: &Request,
        permit: &Permit,
        hop: Option<&Hop>,
        body: Option<Bytes>,
        rest: Option<&Rest>,
    ) -> Result<reqwest::Response, TransportError> {
        let (settings, keyring) = (&self.shared.settings, &self.shared.keyring);
        let foreign = hop.is_some_and(|hop| hop.foreign);
        let pool = self.shared.connections.pool_for(&Passage {
            broker: &request.broker,
            permit,
            foreign,
            redirected: hop.is_some(),
        })?;
        let mut headers = headers::for_hop(&request.headers, foreign, body.is_some(), rest);
        let sent = body.as_deref().unwrap_or_default();
        let credential =
            headers::attach_credential(&mut headers, permit, sent, foreign, keyring, &self.echo)
                .await?;
        let (credential, header_name) = credential
            .map(|attached| (attached.credential, attached.header_name))
            .unzip();
        // Towards `https` the proxy alone sees it, before there is an answer.
        if let Some((user, password)) = pool.proxy.as_ref().and_then(|proxy| proxy.login())
            && !permit.origin().is_https()
            && let Ok(name) = PROXY.parse()
        {
            self.echo
                .note(Sent::login(name, user, password), permit.origin());
        }

        let mut outgoing =
            reqwest::Request::new(http_method(permit.method()), permit.url().clone());
        *outgoing.headers_mut() = headers;
        *outgoing.body_mut() = body.map(Into::into);

        let shown = DisplayUrl(permit.url());
        tracing::debug!(method = %permit.method(), url = %shown, credential = credential.as_ref().map(tracing::field::display), "sending");
        let number = self.journal.open(Contact {
            origin: permit.origin().clone(),
            method: permit.method(),
            url: shown.to_string(),
            credential,
            header_name: header_name.map(|name| name.as_str().to_owned()),
            certificate: pool.certificate.as_ref().map(|spec| spec.name.clone()),
            status: None,
            redirected_from: hop.map(|hop| hop.from.clone()),
        });
        let response = request
            .deadline
            .bound(
                settings.first_byte_timeout,
                Stage::FirstByte,
                permit.origin(),
                pool.http.execute(outgoing),
            )
            .await?
            .map_err(|error| {
                self.shared
                    .connections
                    .failure(error, permit.origin(), &pool)
            })?;
        let status = response.status().as_u16();
        self.journal.answered(number, status);
        tracing::debug!(url = %shown, status, "answered");
        // Only a proxy says so, and beside an unencrypted request it does so in the origin's place.
        // Out of a tunnel it is the origin's answer.
        if status == 407
            && !permit.origin().is_https()
            && let Some(proxy) = pool.proxy
        {
            return Err(TransportError::Proxy {
                proxy: proxy.to_string(),
                origin: permit.origin().clone(),
                problem: ProxyProblem::Authorization,
                named_by: Box::new(self.shared.settings.proxies.named_by.clone()),
                detail: String::from("proxy authorization required"),
            });
        }
        if status == 206 && rest.is_none() {
            return Err(TransportError::Protocol {
                origin: permit.origin().clone(),
                detail: String::from("it answers with a part where the whole was asked for"),
            });
        }
        Ok(response)
    }
}

/// A hop that a redirect led to.
struct Hop {
    permit: Permit,
    /// The origin that redirected here.
    from: Origin,
    /// Whether the origin changed on the way here, even if it changed back.
    foreign: bool,
    /// Whether every redirect so far kept the method, and with it the body.
    keeps_body: bool,
}

fn http_method(method: Method) -> http::Method {
    match method {
        Method::Get => http::Method::GET,
        Method::Head => http::Method::HEAD,
        Method::Post => http::Method::POST,
        Method::Put => http::Method::PUT,
        Method::Patch => http::Method::PATCH,
        Method::Delete => http::Method::DELETE,
    }
}

/// Reads what is left of a small body, so that the connection can carry the next request.
async fn drain(mut response: reqwest::Response) {
    if response
        .content_length()
        .is_some_and(|length| length <= DRAINED_BYTES)
    {
        let rest = async { while let Ok(Some(_)) = response.chunk().await {} };
        // Too slow only means that the connection is not used again.
        let _ = tokio::time::timeout(DRAIN_TIME, rest).await;
    }
}

/// When a transfer must be over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Option<(Instant, Duration)>);

impl Deadline {
    /// A deadline `total` from now.
    pub(crate) fn after(total: Option<Duration>) -> Self {
        // A total beyond what a clock can hold bounds nothing.
        Self(total.and_then(|total| Some((Instant::now().checked_add(total)?, total))))
    }

    /// Runs `work` for at most `limit` and not beyond the deadline. Running out of the one or the
    /// other is an error that names it.
    pub(crate) async fn bound<T>(
        &self,
        limit: Duration,
        stage: Stage,
        origin: &Origin,
        work: impl Future<Output = T>,
    ) -> Result<T, TransportError> {
        let (limit, stage, after) = match self.left() {
            Some((left, total)) if left < limit => (left, Stage::Total, total),
            _ => (limit, stage, limit),
        };
        let expired = || TransportError::Timeout {
            origin: origin.clone(),
            stage,
            after,
        };
        // A timeout lets work through that is ready at once, however late it is.
        if limit.is_zero() {
            return Err(expired());
        }
        tokio::time::timeout(limit, work)
            .await
            .map_err(|_| expired())
    }

    /// Waits, but not beyond the deadline.
    pub(crate) async fn pause(
        &self,
        pause: Duration,
        origin: &Origin,
    ) -> Result<(), TransportError> {
        match self.left() {
            Some((left, total)) if left < pause => Err(TransportError::Timeout {
                origin: origin.clone(),
                stage: Stage::Total,
                after: total,
            }),
            _ => {
                tokio::time::sleep(pause).await;
                Ok(())
            }
        }
    }

    fn left(&self) -> Option<(Duration, Duration)> {
        self.0
            .map(|(at, total)| (at.saturating_duration_since(Instant::now()), total))
    }
}
