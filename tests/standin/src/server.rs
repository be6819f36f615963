//! Two loopback listeners on a thread of their own.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request as HttpRequest;
use axum::response::Response;
use http::{HeaderValue, Method, StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use crate::answer::Answer;
use crate::fault::{self, Fault, Scripted};
use crate::record::headers_of;
use crate::storage::Store;
use crate::{Config, Request, Side, gitlab};

/// How long is waited after a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The two running origins. Dropping it closes them and every connection.
pub struct Standin {
    shared: Arc<Shared>,
    api_origin: String,
    storage_origin: String,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    config: Config,
    store: Store,
    api_origin: String,
    requests: Mutex<Vec<Request>>,
    script: Mutex<Vec<Scripted>>,
}

impl Standin {
    /// Opens both origins on free ports of 127.0.0.1.
    ///
    /// # Errors
    /// When a port cannot be opened or the server's thread not started.
    pub fn start(config: Config) -> io::Result<Self> {
        let (api, api_origin) = listen()?;
        let (storage, storage_origin) = listen()?;
        let shared = Arc::new(Shared {
            store: Store::new(storage_origin.clone(), &config),
            config,
            api_origin: api_origin.clone(),
            requests: Mutex::default(),
            script: Mutex::default(),
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (stop, stopped) = oneshot::channel();
        let served = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("standin".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    // Dropping the runtime afterwards drops stalled connections too, for which a
                    // graceful shutdown would wait for ever.
                    tokio::select! {
                        result = serve(api, Side::Api, Arc::clone(&served)) => drop(result),
                        result = serve(storage, Side::Storage, served) => drop(result),
                        _ = stopped => {}
                    }
                });
            })?;
        Ok(Self {
            shared,
            api_origin,
            storage_origin,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// What a user types as `--url`: the API origin and the path prefix, if there is one.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}{}", self.api_origin, self.shared.config.relative_root)
    }

    /// The origin that plays GitLab, as `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn api_origin(&self) -> &str {
        &self.api_origin
    }

    /// The origin that plays object storage, as `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn storage_origin(&self) -> &str {
        &self.storage_origin
    }

    /// Every request so far, in order of arrival.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        lock(&self.shared.requests).clone()
    }

    /// Every request since the last call.
    pub fn take_requests(&self) -> Vec<Request> {
        std::mem::take(&mut lock(&self.shared.requests))
    }

    /// Spoils the next `times` answers of one side to paths that start with `path_prefix`. Faults
    /// for the same path are served in the order in which they were scripted.
    pub fn script(&self, side: Side, path_prefix: &str, fault: Fault, times: usize) {
        let path_prefix = path_prefix.to_owned();
        lock(&self.shared.script).push(Scripted {
            side,
            path_prefix,
            fault,
            times,
        });
    }
}

impl Drop for Standin {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic over there has been printed; there is nothing to add to it here.
            drop(thread.join());
        }
    }
}

fn listen() -> io::Result<(TcpListener, String)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    let origin = format!("http://{}", listener.local_addr()?);
    Ok((listener, origin))
}

async fn serve(listener: TcpListener, side: Side, shared: Arc<Shared>) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(attend(stream, side, Arc::clone(&shared)))),
            // No descriptor is free, or whoever asked has gone.
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

async fn attend(stream: TcpStream, side: Side, shared: Arc<Shared>) {
    // Without it, small answers on a kept connection wait for a delayed acknowledgement.
    drop(stream.set_nodelay(true));
    let service = service_fn(move |request: http::Request<Incoming>| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, Infallible>(handle(side, &shared, request.map(Body::new)).await) }
    });
    // A client that breaks off ends its connection, and nothing else.
    drop(
        http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service)
            .await,
    );
}

async fn handle(side: Side, shared: &Shared, request: HttpRequest) -> Response {
    let (head, body) = request.into_parts();
    // Bodies are of no interest, but must be read for the connection to be kept.
    drop(axum::body::to_bytes(body, 1024 * 1024).await);
    let (path, query) = (head.uri.path(), head.uri.query());
    lock(&shared.requests).push(Request {
        side,
        method: head.method.to_string(),
        path: path.to_owned(),
        query: query.map(str::to_owned),
        headers: headers_of(&head.headers),
    });
    if !shared.config.latency.is_zero() {
        tokio::time::sleep(shared.config.latency).await;
    }

    let fault = fault::next(&mut lock(&shared.script), side, path);
    if fault == Some(Fault::Silence) {
        std::future::pending::<()>().await;
    }
    if let Some(answer) = fault
        .as_ref()
        .and_then(|fault| fault.instead(&head.headers))
    {
        return fault::respond(answer, None);
    }
    let answer = if !matches!(head.method, Method::GET | Method::HEAD) {
        let mut answer = Answer::failure(StatusCode::METHOD_NOT_ALLOWED);
        answer
            .headers
            .insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        answer
    } else {
        match side {
            Side::Api => gitlab::answer(
                &shared.config,
                &shared.store,
                &shared.api_origin,
                path,
                query,
                &head.headers,
            ),
            Side::Storage => shared
                .store
                .answer(&shared.config, path, query, &head.headers),
        }
    };
    fault::respond(answer, fault.as_ref())
}

/// A panic of another request's handler leaves a list that is still a list.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
