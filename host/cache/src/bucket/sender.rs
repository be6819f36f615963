//! Requests to a bucket's server: each by a permit.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use fetchhost_policy::{Broker, BucketUrl, Method, SlotName};
use fetchhost_transport::{Client, Outgoing, Response, TransportError};
use http::{StatusCode, header};
use http_body_util::BodyExt as _;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
};
use url::Url;

use super::refusal::{BucketError, Carried, Refusal};
use crate::objects::{Key, Version};

/// The longest answer that is not an object, in bytes. A listing of 1,000 keys takes some 400 KiB.
const MAX_ANSWER: usize = 16 * 1024 * 1024;
/// How the text of an error begins.
const ERROR: &[u8] = b"<Error";
/// The most of a refusal that is read, in bytes.
const MAX_REFUSAL: usize = 64 * 1024;

/// Sends requests to one bucket.
#[derive(Clone)]
pub(super) struct Sender(Arc<Parts>);

struct Parts {
    url: BucketUrl,
    client: Client,
    broker: Arc<Broker>,
    slot: Option<SlotName>,
}

/// An object that is about to come.
pub(super) struct Answer {
    pub(super) response: Response,
    pub(super) length: Option<u64>,
    pub(super) version: Option<Version>,
}

impl Sender {
    pub(super) fn new(
        url: BucketUrl,
        client: Client,
        broker: Arc<Broker>,
        slot: Option<SlotName>,
    ) -> Self {
        Self(Arc::new(Parts {
            url,
            client,
            broker,
            slot,
        }))
    }

    /// The URL of an object.
    pub(super) fn url_of(&self, key: &Key) -> Result<Url, BucketError> {
        let url = self.0.url.url.join(key.as_str());
        url.map_err(|_| BucketError::Broken {
            detail: "its name makes no URL".to_owned(),
        })
    }

    /// The URL of the bucket itself.
    pub(super) fn root(&self) -> Url {
        self.0.url.url.clone()
    }

    /// The text that answers a request without a body; empty when there is nothing of that name.
    pub(super) async fn text(&self, method: Method, url: &Url) -> Result<String, Arc<BucketError>> {
        let mut response = self.send(method, url, Vec::new(), None).await?;
        if !matches!(response.status(), 200..=299) {
            let is_absent = response.status() == 404 && method == Method::Delete;
            let refused = self.refused(response).await;
            return match refused {
                BucketError::Refused {
                    why: Refusal::NoBucket,
                    ..
                } => Err(Arc::new(refused)),
                _ if is_absent => Ok(String::new()),
                _ => Err(Arc::new(refused)),
            };
        }
        let mut body = BytesMut::new();
        while let Some(bytes) = response
            .chunk()
            .await
            .map_err(|error| Arc::new(error.into()))?
        {
            if body.len() + bytes.len() > MAX_ANSWER {
                return Err(Arc::new(BucketError::Broken {
                    detail: "the answer is longer than 16 MiB".to_owned(),
                }));
            }
            body.extend_from_slice(&bytes);
        }
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    /// Asks for an object, or about it; none when it is not there.
    pub(super) async fn ask(
        &self,
        method: Method,
        key: &Key,
    ) -> Result<Option<Answer>, Arc<BucketError>> {
        let response = self
            .send(method, &self.url_of(key)?, Vec::new(), None)
            .await?;
        match response.status() {
            200 => {}
            404 | 410 => {
                // A bucket that is not there is no object that is not there.
                let refused = self.refused(response).await;
                return match refused {
                    BucketError::Refused {
                        why: Refusal::NoBucket,
                        ..
                    } => Err(Arc::new(refused)),
                    _ => Ok(None),
                };
            }
            _ => return Err(Arc::new(self.refused(response).await)),
        }
        if let Some(encoding) = response.content_encoding() {
            return Err(Arc::new(BucketError::Broken {
                detail: format!("it came in encoding `{encoding}`, which was not asked for"),
            }));
        }
        Ok(Some(Answer {
            length: response.content_length(),
            // A weak one may stand for several states.
            version: response
                .header("etag")
                .filter(|tag| !tag.starts_with("W/"))
                .map(|tag| Version(tag.to_owned())),
            response,
        }))
    }

    async fn send(
        &self,
        method: Method,
        url: &Url,
        headers: Vec<(String, String)>,
        body: Option<Bytes>,
    ) -> Result<Response, Arc<BucketError>> {
        let Parts {
            client,
            broker,
            slot,
            ..
        } = &*self.0;
        let permit = broker
            .authorize(method, url, slot.as_ref(), body.is_some())
            .map_err(|denial| Arc::new(TransportError::Denied(denial).into()))?;
        let out = Outgoing {
            permit,
            headers,
            body,
        };
        let is_signed = slot.is_some();
        let sent = client.send(Arc::clone(broker), out).await;
        sent.map_err(|error| {
            Arc::new(match error {
                // So AWS answers for a bucket that is elsewhere.
                TransportError::BadRedirect { .. } => {
                    BucketError::told(301, "", None, is_signed, &self.0.url)
                }
                // What is sent was permitted above.
                TransportError::Denied(_) => BucketError::SentOn(error),
                error => error.into(),
            })
        })
    }

    /// What an answer that is no success means.
    async fn refused(&self, mut response: Response) -> BucketError {
        let status = response.status();
        let region = response.header("x-amz-bucket-region").map(str::to_owned);
        let is_signed = response.credential().is_some();
        let mut body = BytesMut::new();
        // Whatever breaks off, the status is known.
        while let Ok(Some(bytes)) = response.chunk().await {
            if body.len() + bytes.len() > MAX_REFUSAL {
                break;
            }
            body.extend_from_slice(&bytes);
        }
        BucketError::told(
            status,
            &String::from_utf8_lossy(&body),
            region,
            is_signed,
            &self.0.url,
        )
    }

    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, Arc<BucketError>> {
        let broken = |detail: &str| {
            Arc::new(BucketError::Broken {
                detail: detail.to_owned(),
            })
        };
        let (parts, body) = request.into_parts();
        let method = parts.method.as_str().parse();
        let method: Method = method.map_err(|_| broken("an unknown method"))?;
        let url = Url::parse(&parts.uri.to_string()).map_err(|_| broken("no URL"))?;
        let body = body.collect().await.map_err(|_| broken("no body"))?;
        let body = Some(body.to_bytes()).filter(|bytes| !bytes.is_empty());
        // The transport counts the body itself.
        let is_conditional = [header::IF_MATCH, header::IF_NONE_MATCH]
            .iter()
            .any(|name| parts.headers.contains_key(name));
        let is_of_object = url.query().is_none();
        let headers = parts
            .headers
            .iter()
            .filter(|(name, _)| !matches!(name.as_str(), "content-length" | "host" | "user-agent"));
        let headers = headers.filter_map(|(name, value)| {
            Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
        });
        let mut response = self.send(method, &url, headers.collect(), body).await?;
        let status = response.status();
        // What these mean `object_store` knows; of the others it would keep no more than the text.
        let is_understood = match status {
            404 => is_of_object && (is_conditional || method == Method::Delete),
            409 | 412 => is_conditional,
            status => (200..=299).contains(&status),
        };
        if !is_understood {
            return Err(Arc::new(self.refused(response).await));
        }
        let told = response.guest_headers();
        let mut body = BytesMut::new();
        while let Some(bytes) = response
            .chunk()
            .await
            .map_err(|error| Arc::new(error.into()))?
        {
            if body.len() + bytes.len() > MAX_ANSWER {
                return Err(broken("the answer is longer than 16 MiB"));
            }
            body.extend_from_slice(&bytes);
        }
        if !(200..=299).contains(&status) {
            let text = String::from_utf8_lossy(&body);
            let refused = BucketError::told(status, &text, None, true, &self.0.url);
            if let BucketError::Refused {
                why: Refusal::NoBucket,
                ..
            } = refused
            {
                return Err(Arc::new(refused));
            }
            // Errors repeat it.
            body.clear();
        }
        // A server that is long about it has said 200 before it knew.
        if method == Method::Post && body.windows(ERROR.len()).any(|part| part == ERROR) {
            let text = String::from_utf8_lossy(&body);
            let refused = BucketError::told(status, &text, None, true, &self.0.url);
            return Err(Arc::new(refused));
        }
        let mut answer = HttpResponse::new(body.freeze().into());
        *answer.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
        for (name, value) in told {
            if let (Ok(name), Ok(value)) = (
                http::HeaderName::try_from(name),
                http::HeaderValue::try_from(value),
            ) {
                answer.headers_mut().append(name, value);
            }
        }
        Ok(answer)
    }
}

#[async_trait]
impl HttpService for Sender {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        // The transport has tried again already what was worth it.
        self.call(request)
            .await
            .map_err(|error| HttpError::new(HttpErrorKind::Unknown, Carried(error)))
    }
}

impl HttpConnector for Sender {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("Sender")
            .field(&self.0.url.bucket)
            .finish()
    }
}
