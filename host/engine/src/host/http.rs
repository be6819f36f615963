//! `http`: requests go to the broker first and to the transport with its permit only.

use std::sync::Arc;

use bytes::Bytes;
use fetchhost_policy::{Method, Origin, SlotName, headers, parse_url};
use fetchhost_transport::Outgoing;
use futures_util::future::join_all;
use wasmtime::component::Resource;

use super::error;
use super::response::{Failed, READ_BYTES, Response, spooled};
use crate::bindings::nix_fetchhost::fetcher::http::{
    Header, Host as HttpHost, HostRequest, HostResponse, Method as GuestMethod,
};
use crate::bindings::nix_fetchhost::fetcher::types::FetchError;
use crate::session::{Fetch, Held};
use crate::store::Host;
use crate::trap::Stop;

/// Requests in one `send-all`.
const SIDE_BY_SIDE: usize = 64;

/// Headers of one request, and bytes of their names and values.
const HEADERS: usize = 64;
const HEADER_BYTES: usize = 64 * 1024;

/// Bytes of a request's body.
const BODY_BYTES: usize = 16 * 1024 * 1024;

/// A request as the guest puts it together.
#[expect(unreachable_pub, reason = "the bindings re-export it")]
pub struct Request {
    method: Method,
    url: String,
    headers: Vec<(String, String)>,
    body: Option<Bytes>,
    /// Set when the slot has a credential for the URL's origin.
    slot: Option<SlotName>,
    /// All of the above, for as long as the host has it.
    held: Held,
}

/// Asks the broker. The request counts, whatever the answer.
pub(crate) fn permitted(
    fetch: &mut Fetch,
    request: Request,
) -> Result<Result<(Outgoing, Held), FetchError>, Stop> {
    fetch.count_request()?;
    let Request {
        method,
        url,
        headers,
        body,
        slot,
        held,
    } = request;
    let url = match parse_url(&url) {
        Ok(url) => url,
        Err(reason) => return Ok(Err(error::invalid(reason.to_string()))),
    };
    match fetch
        .session
        .broker
        .authorize(method, &url, slot.as_ref(), body.is_some())
    {
        Ok(permit) => {
            let outgoing = Outgoing {
                permit,
                headers,
                body,
            };
            Ok(Ok((outgoing, held)))
        }
        Err(denial) => {
            fetch.verdict.denied(denial);
            Ok(Err(error::denied()))
        }
    }
}

impl HostRequest for Host {
    async fn new(
        &mut self,
        method: GuestMethod,
        url: String,
    ) -> wasmtime::Result<Resource<Request>> {
        let (table, fetch) = self.parts()?;
        let held = fetch.hold(url.len())?;
        let method = match method {
            GuestMethod::Get => Method::Get,
            GuestMethod::Head => Method::Head,
            GuestMethod::Post => Method::Post,
            GuestMethod::Put => Method::Put,
            GuestMethod::Patch => Method::Patch,
            GuestMethod::Delete => Method::Delete,
        };
        let request = Request {
            method,
            url,
            headers: Vec::new(),
            body: None,
            slot: None,
            held,
        };
        Ok(table.push(request)?)
    }

    async fn set_header(
        &mut self,
        this: Resource<Request>,
        name: String,
        value: String,
    ) -> wasmtime::Result<Result<(), FetchError>> {
        let (table, fetch) = self.parts()?;
        let request = table.get_mut(&this)?;
        if !headers::is_header_name(&name) || ::http::HeaderValue::from_str(&value).is_err() {
            return Ok(Err(error::invalid("HTTP does not allow this header")));
        }
        if headers::forbidden_for_guests(&name) {
            let message = format!("the header `{name}` is for the host to set");
            fetch.verdict.header(name);
            return Ok(Err(error::new("denied", message)));
        }
        let size = |headers: &[(String, String)]| -> usize {
            let each = |(name, value): &(String, String)| name.len() + value.len();
            headers.iter().map(each).sum()
        };
        let before = size(&request.headers);
        request
            .headers
            .retain(|(known, _)| !known.eq_ignore_ascii_case(&name));
        let kept = size(&request.headers);
        request.held.shrink(before - kept);
        let added = name.len() + value.len();
        if request.headers.len() >= HEADERS || kept + added > HEADER_BYTES {
            return Ok(Err(error::invalid("the request has too many headers")));
        }
        request.held.grow(added, &fetch.session.limits)?;
        request.headers.push((name, value));
        Ok(Ok(()))
    }

    async fn set_body(
        &mut self,
        this: Resource<Request>,
        body: Vec<u8>,
    ) -> wasmtime::Result<Result<(), FetchError>> {
        let (table, fetch) = self.parts()?;
        let request = table.get_mut(&this)?;
        if request.method.is_reading() {
            return Ok(Err(error::invalid("a request that reads has no body")));
        }
        if body.len() > BODY_BYTES {
            return Ok(Err(error::new(
                "too-large",
                "the body is longer than 16 MiB",
            )));
        }
        request
            .held
            .shrink(request.body.as_ref().map_or(0, Bytes::len));
        request.held.grow(body.len(), &fetch.session.limits)?;
        request.body = Some(body.into());
        Ok(Ok(()))
    }

    async fn authorize(
        &mut self,
        this: Resource<Request>,
        slot: String,
    ) -> wasmtime::Result<Result<bool, FetchError>> {
        let (table, fetch) = self.parts()?;
        let request = table.get_mut(&this)?;
        let Some(slot) = fetch
            .declared
            .slots
            .iter()
            .find(|known| known.as_str() == slot)
        else {
            return Ok(Err(error::invalid(
                "the fetcher's description names no such slot",
            )));
        };
        let origin = match parse_url(&request.url).and_then(|url| Origin::of_url(&url)) {
            Ok(origin) => origin,
            Err(reason) => return Ok(Err(error::invalid(reason.to_string()))),
        };
        let bound = fetch.session.broker.credential_for(slot, &origin).is_some();
        request.slot = bound.then(|| slot.clone());
        Ok(Ok(bound))
    }

    async fn drop(&mut self, this: Resource<Request>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl HostResponse for Host {
    async fn status(&mut self, this: Resource<Response>) -> wasmtime::Result<u16> {
        let (table, _) = self.parts()?;
        Ok(table.get(&this)?.head.status)
    }

    async fn url(&mut self, this: Resource<Response>) -> wasmtime::Result<String> {
        let (table, fetch) = self.parts()?;
        let url = &table.get(&this)?.head.url;
        fetch.count_read(url.len())?;
        Ok(url.clone())
    }

    async fn headers(&mut self, this: Resource<Response>) -> wasmtime::Result<Vec<Header>> {
        let (table, fetch) = self.parts()?;
        let headers = &table.get(&this)?.head.headers;
        let bytes = headers.iter().map(|(name, value)| name.len() + value.len());
        fetch.count_read(bytes.sum())?;
        let header = |(name, value): &(String, String)| Header {
            name: name.clone(),
            value: value.clone(),
        };
        Ok(headers.iter().map(header).collect())
    }

    async fn header(
        &mut self,
        this: Resource<Response>,
        name: String,
    ) -> wasmtime::Result<Option<String>> {
        let (table, fetch) = self.parts()?;
        let headers = &table.get(&this)?.head.headers;
        let found = headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(&name))
            .map(|(_, value)| value.clone());
        fetch.count_read(found.as_ref().map_or(0, String::len))?;
        Ok(found)
    }

    async fn read(
        &mut self,
        this: Resource<Response>,
        max: u32,
    ) -> wasmtime::Result<Result<Vec<u8>, FetchError>> {
        let (table, fetch) = self.parts()?;
        let response = table.get_mut(&this)?;
        if max == 0 {
            return Ok(Err(error::invalid("nothing is read with a `max` of 0")));
        }
        match response.read(READ_BYTES.min(max as usize), fetch).await {
            Ok(bytes) => {
                fetch.count_read(bytes.len())?;
                Ok(Ok(bytes))
            }
            Err(failed) => failed.tell(fetch),
        }
    }

    async fn drop(&mut self, this: Resource<Response>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl HttpHost for Host {
    async fn send(
        &mut self,
        request: Resource<Request>,
    ) -> wasmtime::Result<Result<Resource<Response>, FetchError>> {
        let (table, fetch) = self.parts()?;
        let (outgoing, _held) = match permitted(fetch, table.delete(request)?)? {
            Ok(outgoing) => outgoing,
            Err(told) => return Ok(Err(told)),
        };
        let waiting = fetch.progress.waiting();
        let sent = fetch
            .session
            .client
            .send(Arc::clone(&fetch.session.broker), outgoing)
            .await;
        drop(waiting);
        match sent {
            Ok(response) => Ok(Ok(table.push(Response::new(response, fetch)?)?)),
            Err(error) => Failed::Transport(error).tell(fetch),
        }
    }

    async fn send_all(
        &mut self,
        requests: Vec<Resource<Request>>,
        max_body: u64,
    ) -> wasmtime::Result<Vec<Result<Resource<Response>, FetchError>>> {
        let (table, fetch) = self.parts()?;
        let requests: Vec<_> = requests
            .into_iter()
            .map(|request| table.delete(request))
            .collect::<Result<_, _>>()?;
        if requests.len() > SIDE_BY_SIDE {
            let refused = || Err(error::invalid("more than 64 requests at once"));
            return Ok(requests.iter().map(|_| refused()).collect());
        }
        let mut outgoing = Vec::with_capacity(requests.len());
        for request in requests {
            outgoing.push(permitted(fetch, request)?);
        }
        let shared: &Fetch = fetch;
        let answers = join_all(outgoing.into_iter().map(|outgoing| async move {
            match outgoing {
                Ok((outgoing, _held)) => spooled(shared, outgoing, max_body).await,
                Err(told) => Err(Failed::Told(told)),
            }
        }))
        .await;
        let mut results = Vec::with_capacity(answers.len());
        for answer in answers {
            results.push(match answer {
                Ok(response) => Ok(table.push(response)?),
                Err(failed) => failed.tell(fetch)?,
            });
        }
        Ok(results)
    }
}
