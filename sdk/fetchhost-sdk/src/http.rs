//! Requests, which the host sends on the fetcher's behalf.
//!
//! The host decides whether a request may go out, attaches the credential, follows redirects, retries
//! and resumes. A fetcher sees neither secrets nor addresses. For anything large do not read the answer:
//! put the [`Request`] (or the unread [`Response`]) into the [`Plan`](crate::Plan).

use std::fmt;
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::FetchError;
use crate::bindings::nix_fetchhost::fetcher::http as raw;

/// The methods that a user can grant. `Get` and `Head` are granted by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the HTTP method of that name")]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
}

impl Method {
    /// The method as HTTP spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl From<Method> for raw::Method {
    fn from(method: Method) -> Self {
        match method {
            Method::Get => Self::Get,
            Method::Head => Self::Head,
            Method::Post => Self::Post,
            Method::Put => Self::Put,
            Method::Patch => Self::Patch,
            Method::Delete => Self::Delete,
        }
    }
}

/// A request that has not been sent.
///
/// At most 1,000 are sent in one fetch, those in the plan included.
#[derive(Debug)]
pub struct Request(raw::Request);

impl Request {
    /// A request for `url`, an absolute `https` or `http` URL. Nothing is checked or contacted yet.
    #[must_use]
    pub fn new(method: Method, url: &str) -> Self {
        Self(raw::Request::new(method.into(), url))
    }

    /// A GET request for `url`.
    #[must_use]
    pub fn get(url: &str) -> Self {
        Self::new(Method::Get, url)
    }

    /// A HEAD request for `url`.
    #[must_use]
    pub fn head(url: &str) -> Self {
        Self::new(Method::Head, url)
    }

    /// A POST request for `url`. It needs a grant that names POST, and the description must ask for it.
    #[must_use]
    pub fn post(url: &str) -> Self {
        Self::new(Method::Post, url)
    }

    /// Sets a header, replacing one of the same name.
    ///
    /// # Errors
    ///
    /// `Denied` for names that carry credentials or belong to the host (`authorization`, `cookie`,
    /// `range`, …): say [`authorize`](Self::authorize) instead. `Invalid` for what HTTP does not allow.
    pub fn header(self, name: &str, value: &str) -> Result<Self, FetchError> {
        self.0.set_header(name, value)?;
        Ok(self)
    }

    /// Sets the body, at most 16 MiB.
    ///
    /// # Errors
    ///
    /// `Invalid` for GET and HEAD, and for a body that is too long.
    pub fn body(self, body: &[u8]) -> Result<Self, FetchError> {
        self.0.set_body(body)?;
        Ok(self)
    }

    /// Asks the host to attach the credential that the user bound to `slot` when the request is sent.
    ///
    /// False: the user has none for this request's origin, and the request goes out without. Whether
    /// that is a failure is upstream's to say, so most fetchers need not look at the answer.
    ///
    /// # Errors
    ///
    /// `Invalid` for a slot that the description does not name, or a URL that does not parse.
    pub fn authorize(&self, slot: &str) -> Result<bool, FetchError> {
        Ok(self.0.authorize(slot)?)
    }

    /// Sends the request and waits for the headers of the answer.
    ///
    /// # Errors
    ///
    /// `Denied`, `Credential`, `Network` or `Invalid`. A status such as 404 is an answer and not an
    /// error; [`Response::error_for_status`] makes it one.
    pub fn send(self) -> Result<Response, FetchError> {
        Ok(Response(raw::send(self.0)?))
    }

    pub(crate) fn into_raw(self) -> raw::Request {
        self.0
    }
}

/// Sends up to 64 requests side by side and waits until every body has arrived at the host, which keeps
/// them outside of the fetcher's memory. The answers are in the order of the requests; a body longer than
/// `max_body` bytes is the error `TooLarge`.
#[must_use]
pub fn send_all(
    requests: impl IntoIterator<Item = Request>,
    max_body: u64,
) -> Vec<Result<Response, FetchError>> {
    let requests = requests.into_iter().map(Request::into_raw).collect();
    raw::send_all(requests, max_body)
        .into_iter()
        .map(|answer| answer.map(Response).map_err(FetchError::from))
        .collect()
}

/// The answer to a request: any status, its body not yet read.
#[derive(Debug)]
pub struct Response(raw::Response);

impl Response {
    /// The most that the host gives in one [`read`](Self::read), in bytes.
    const READ: u32 = 64 * 1024;

    /// The HTTP status. Redirects have been followed; 408, 425, 429 and 5xx have been retried.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.0.status()
    }

    /// Where the answer came from, after redirects, without query and fragment.
    #[must_use]
    pub fn url(&self) -> String {
        self.0.url()
    }

    /// The headers in order, names in lower case, without those that carry credentials.
    #[must_use]
    pub fn headers(&self) -> Vec<(String, String)> {
        self.0
            .headers()
            .into_iter()
            .map(|header| (header.name, header.value))
            .collect()
    }

    /// The first header called `name`, in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        self.0.header(name)
    }

    /// Turns every status but 2xx into the error that it means.
    ///
    /// # Errors
    ///
    /// `Unauthorized` for 401, `DeniedUpstream` for 403, `NotFound` for 404 and 410, `RateLimited` for
    /// 429, `Network` for 5xx, else `Other`.
    pub fn error_for_status(self) -> Result<Self, FetchError> {
        let status = self.status();
        if (200..300).contains(&status) {
            return Ok(self);
        }
        let retry_after = self.header("retry-after");
        Err(status_error(status, &self.url(), retry_after.as_deref()))
    }

    /// Reads the next bytes of the body: at least 1, at most `max` and at most 64 KiB; an empty list at
    /// its end. A fetcher reads at most 64 MiB in one fetch: what is larger belongs into the plan unread.
    /// After a request with a credential the last bytes that have arrived wait for the next ones, or for
    /// the end: an answer that holds the credential ends the fetch.
    ///
    /// # Errors
    ///
    /// `Network` when the body breaks off, `Invalid` when `max` is 0, `Unsupported` when the server
    /// compressed the body although nobody asked it to.
    pub fn read(&mut self, max: u32) -> Result<Vec<u8>, FetchError> {
        Ok(self.0.read(max)?)
    }

    /// Reads the whole body, at most `cap` bytes.
    ///
    /// # Errors
    ///
    /// `TooLarge` when there is more, `Network` when the body breaks off.
    pub fn bytes(mut self, cap: usize) -> Result<Vec<u8>, FetchError> {
        let mut body = Vec::new();
        loop {
            let chunk = self.read(Self::READ)?;
            if chunk.is_empty() {
                return Ok(body);
            }
            if chunk.len() > cap.saturating_sub(body.len()) {
                return Err(FetchError::too_large(format!(
                    "the answer of `{}` is longer than {cap} bytes",
                    self.url()
                )));
            }
            body.extend_from_slice(&chunk);
        }
    }

    /// Reads the whole body, at most `cap` bytes, as JSON.
    ///
    /// # Errors
    ///
    /// As for [`bytes`](Self::bytes), and `Other` when it is not the JSON that `T` wants.
    pub fn json<T: DeserializeOwned>(self, cap: usize) -> Result<T, FetchError> {
        let url = self.url();
        let body = self.bytes(cap)?;
        serde_json::from_slice(&body).map_err(|error| {
            FetchError::other(format!("the answer of `{url}` is not as expected: {error}"))
        })
    }

    pub(crate) fn into_raw(self) -> raw::Response {
        self.0
    }
}

/// What a status other than 2xx means.
fn status_error(status: u16, url: &str, retry_after: Option<&str>) -> FetchError {
    let message = format!("`{url}` answered {status}");
    match status {
        401 => FetchError::unauthorized(message),
        403 => FetchError::denied_upstream(message),
        404 | 410 => FetchError::not_found(message),
        429 => {
            // The other form, a date, needs a clock that can be trusted; the host has waited already.
            let seconds = retry_after.and_then(|value| value.trim().parse().ok());
            FetchError::rate_limited(message, seconds.map(Duration::from_secs))
        }
        500..=599 => FetchError::network(message),
        _ => FetchError::other(message),
    }
}

#[cfg(test)]
mod tests {
    use super::status_error;
    use crate::ErrorKind;
    use std::time::Duration;

    #[test]
    fn a_status_is_the_kind_of_error_that_it_means() {
        for (status, kind) in [
            (401, ErrorKind::Unauthorized),
            (403, ErrorKind::DeniedUpstream),
            (404, ErrorKind::NotFound),
            (410, ErrorKind::NotFound),
            (429, ErrorKind::RateLimited),
            (503, ErrorKind::Network),
            (304, ErrorKind::Other),
            (418, ErrorKind::Other),
        ] {
            let error = status_error(status, "https://api.example/x", None);
            assert_eq!(error.kind(), kind, "status {status}");
        }
    }

    #[test]
    fn a_wait_is_read_when_it_is_given_in_seconds_and_ignored_as_a_date() {
        let wait = |value| status_error(429, "https://api.example/x", Some(value)).retry_after();
        assert_eq!(wait("30"), Some(Duration::from_secs(30)));
        assert_eq!(wait("Fri, 31 Dec 2027 23:59:59 GMT"), None);
    }
}
