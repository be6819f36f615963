//! A server that does exactly what a test tells it to, down to the byte, and the shortest way from a
//! few origins to a permit.

use std::{
    collections::BTreeMap,
    io,
    net::IpAddr,
    path::{Path, PathBuf},
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use fetchhost_credentials::Keyring;
use fetchhost_policy::{Broker, Config, Method, ModuleId, SlotName, describe::Description};
use fetchhost_transport::{Client, Lookup, Outgoing, Response, Settings, TransportError};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use url::Url;

/// The secret of every test. It may appear in the headers that a server received, nowhere else.
pub const CANARY: &str = "canary-glpat-5ecret";

/// A request as a server saw it.
#[derive(Clone, Debug)]
pub struct Received {
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Received {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// Whether the secret is anywhere in the request, plain or as base64.
    pub fn has_secret(&self) -> bool {
        let all = format!("{self:?}");
        all.contains(CANARY) || self.header("authorization").is_some()
    }
}

/// What a server does with a request.
pub enum Step {
    Send(Vec<u8>),
    Wait(Duration),
    /// Ends the connection with RST instead of FIN.
    Reset,
}

/// Text to send, then the end of the connection.
pub fn say(text: impl Into<String>) -> Vec<Step> {
    vec![Step::Send(text.into().into_bytes())]
}

/// A whole answer with a right `Content-Length`. `head` is `"200 OK"`, or that and header lines.
pub fn answer(head: &str, body: &str) -> Vec<Step> {
    say(format!(
        "HTTP/1.1 {head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    ))
}

pub fn redirect(status: u16, to: impl std::fmt::Display) -> Vec<Step> {
    answer(&format!("{status} Elsewhere\r\nLocation: {to}"), "")
}

type Script = dyn Fn(usize, &Received) -> Vec<Step> + Send + Sync;

/// A server on a loopback port of its own, until dropped.
pub struct Server {
    pub port: u16,
    connections: Arc<AtomicUsize>,
    received: Arc<Mutex<Vec<Received>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    /// Answers each request as `script` says, given the number of the request (from 0) and the
    /// request; one request a connection.
    pub async fn start(
        script: impl Fn(usize, &Received) -> Vec<Step> + Send + Sync + 'static,
    ) -> Self {
        Self::start_with(script, |stream| async { Ok(stream) }).await
    }

    /// As [`start`](Self::start), over whatever `accept` makes of a connection.
    pub async fn start_with<S, F>(
        script: impl Fn(usize, &Received) -> Vec<Step> + Send + Sync + 'static,
        accept: impl Fn(TcpStream) -> F + Send + Sync + 'static,
    ) -> Self
    where
        S: AsyncRead + AsyncWrite + Linger + Unpin + Send,
        F: Future<Output = io::Result<S>> + Send,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let received = Arc::new(Mutex::new(Vec::new()));
        let (count, seen) = (Arc::clone(&connections), Arc::clone(&received));
        let (script, accept): (Arc<Script>, _) = (Arc::new(script), Arc::new(accept));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let (seen, script, accept) =
                    (Arc::clone(&seen), Arc::clone(&script), Arc::clone(&accept));
                tokio::spawn(async move {
                    if let Ok(stream) = accept(stream).await {
                        // The client may well hang up in the middle.
                        let _ = serve(stream, &seen, &*script).await;
                    }
                });
            }
        });
        Self {
            port,
            connections,
            received,
            task,
        }
    }

    pub fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn url(&self, path: &str) -> Url {
        format!("{}{path}", self.origin()).parse().unwrap()
    }

    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Streams that can be ended with RST.
pub trait Linger {
    fn end_with_reset(&self);
}

impl Linger for TcpStream {
    fn end_with_reset(&self) {
        self.set_zero_linger().unwrap();
    }
}

async fn serve<S>(mut stream: S, seen: &Mutex<Vec<Received>>, script: &Script) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Linger + Unpin,
{
    let request = read_request(&mut stream).await?;
    let number = {
        let mut seen = seen.lock().unwrap();
        seen.push(request.clone());
        seen.len() - 1
    };
    for step in script(number, &request) {
        match step {
            Step::Send(bytes) => stream.write_all(&bytes).await?,
            Step::Wait(time) => {
                stream.flush().await?;
                tokio::time::sleep(time).await;
            }
            Step::Reset => {
                stream.flush().await?;
                // What was sent has to be read before the reset throws it away.
                tokio::time::sleep(Duration::from_millis(50)).await;
                stream.end_with_reset();
                return Ok(());
            }
        }
    }
    stream.shutdown().await
}

async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Received> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.trim_end().split("\r\n");
    let mut first = lines.next().unwrap().split(' ');
    let mut request = Received {
        method: first.next().unwrap().to_owned(),
        target: first.next().unwrap().to_owned(),
        headers: lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        body: Vec::new(),
    };
    let length = request
        .header("content-length")
        .map_or(0, |length| length.parse().unwrap());
    request.body.resize(length, 0);
    stream.read_exact(&mut request.body).await?;
    Ok(request)
}

/// What a test grants. Everything is about one module and one fetcher with the slot `token`.
#[derive(Default)]
pub struct Granted {
    pub origins: Vec<String>,
    pub redirects: Vec<String>,
    /// Scheme and origins of the credential.
    pub credential: Option<(&'static str, Vec<String>)>,
    pub posts: bool,
    pub allow_metadata: bool,
    /// Certificate, key and origins of the client certificate.
    pub certificate: Option<(PathBuf, PathBuf, Vec<String>)>,
}

impl Granted {
    pub fn to(origin: impl Into<String>) -> Self {
        Self {
            origins: vec![origin.into()],
            ..Self::default()
        }
    }

    pub fn redirects(mut self, origins: &[String]) -> Self {
        self.redirects.extend_from_slice(origins);
        self
    }

    /// Binds the credential `tok` to the first origin.
    pub fn credential(mut self, scheme: &'static str) -> Self {
        self.credential = Some((scheme, self.origins[..1].to_vec()));
        self
    }

    pub fn posts(mut self) -> Self {
        self.posts = true;
        self
    }

    pub fn broker(&self) -> Arc<Broker> {
        let methods = if self.posts {
            r#"["GET", "HEAD", "POST"]"#
        } else {
            r#"["GET", "HEAD"]"#
        };
        let mut config = String::new();
        if self.allow_metadata {
            config.push_str("allow-metadata = true\n");
        }
        if let Some((certificate, key, origins)) = &self.certificate {
            config.push_str(&format!(
                "[credential.corp]\nsource = {{ client-certificate = {{ certificate = {certificate:?}, key = {key:?} }} }}\nscheme = \"mtls\"\norigins = {origins:?}\n"
            ));
        }
        if let Some((scheme, origins)) = &self.credential {
            config.push_str(&format!(
                "[credential.tok]\nsource = {{ env = \"TOKEN\" }}\nscheme = \"{scheme}\"\norigins = {origins:?}\n"
            ));
        }
        config.push_str(&format!(
            "[[grant]]\nmodule = \"builtin:test\"\norigins = {:?}\nmethods = {methods}\npaths = [\"/**\"]\nredirects = {:?}\n",
            self.origins, self.redirects
        ));
        let slots = [
            self.credential.as_ref().map(|_| "token = \"tok\""),
            self.certificate
                .as_ref()
                .map(|_| "client-certificate = \"corp\""),
        ];
        let slots: Vec<&str> = slots.into_iter().flatten().collect();
        if !slots.is_empty() {
            config.push_str(&format!("credentials = {{ {} }}\n", slots.join(", ")));
        }
        let config = Config::parse(&config, Path::new("config.toml")).unwrap();
        let description = serde_json::json!({
            "version": "1",
            "fetchers": { "test": {
                "summary": "a test",
                "parameters": { "type": "object", "properties": { "url": { "type": "string" } } },
                "slots": { "token": { "summary": "a token", "scheme": "bearer", "optional": true } },
                "needs": { "origin-parameter": "url", "methods": serde_json::from_str::<serde_json::Value>(methods).unwrap(), "paths": ["/**"] },
                "output": [{ "mode": "flat", "name": "file" }]
            } }
        });
        let description = Description::parse(description.to_string().as_bytes()).unwrap();
        let module: ModuleId = "builtin:test".parse().unwrap();
        Arc::new(Broker::new(module, "test", &description.fetchers["test"], &config, None).unwrap())
    }
}

/// Settings under which nothing takes long.
pub fn quick() -> Settings {
    Settings {
        connect_timeout: Duration::from_millis(500),
        first_byte_timeout: Duration::from_millis(1000),
        idle_timeout: Duration::from_millis(1000),
        backoff: Duration::from_millis(5),
        max_backoff: Duration::from_millis(20),
        max_retry_after: Duration::from_secs(2),
        ..Settings::default()
    }
}

pub fn keyring() -> Arc<Keyring> {
    Arc::new(Keyring::with_environment(|name| {
        (name == "TOKEN").then(|| CANARY.into())
    }))
}

pub fn client(settings: Settings) -> Client {
    Client::new(settings, keyring())
}

/// Names and their addresses, lookup by lookup; the last answer repeats.
#[derive(Default)]
pub struct Names {
    table: BTreeMap<&'static str, Vec<Vec<IpAddr>>>,
    pub lookups: Arc<AtomicUsize>,
}

impl Names {
    pub fn of(table: &[(&'static str, &[&[&str]])]) -> Self {
        let table = table
            .iter()
            .map(|(name, answers)| {
                let answers = answers
                    .iter()
                    .map(|addresses| {
                        addresses
                            .iter()
                            .map(|address| address.parse().unwrap())
                            .collect()
                    })
                    .collect();
                (*name, answers)
            })
            .collect();
        Self {
            table,
            lookups: Arc::default(),
        }
    }
}

impl Lookup for Names {
    fn lookup(
        &self,
        host: &str,
    ) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + '_>> {
        let number = self.lookups.fetch_add(1, Ordering::SeqCst);
        let found = match self.table.get(host) {
            Some(answers) => Ok(answers[number.min(answers.len() - 1)].clone()),
            None => Err(io::Error::other("no such name")),
        };
        Box::pin(async move { found })
    }
}

/// `GET` with the slot `token`.
pub async fn get(
    client: &Client,
    broker: &Arc<Broker>,
    url: &Url,
) -> Result<Response, TransportError> {
    get_with(client, broker, url, &[]).await
}

/// `GET` with the slot `token` and headers that the guest set.
pub async fn get_with(
    client: &Client,
    broker: &Arc<Broker>,
    url: &Url,
    headers: &[(&str, &str)],
) -> Result<Response, TransportError> {
    let slot: SlotName = "token".parse().unwrap();
    let permit = broker
        .authorize(Method::Get, url, Some(&slot), false)
        .unwrap();
    let headers = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    client
        .send(
            Arc::clone(broker),
            Outgoing {
                permit,
                headers,
                body: None,
            },
        )
        .await
}

/// `POST` with the slot `token`.
pub async fn post(
    client: &Client,
    broker: &Arc<Broker>,
    url: &Url,
    body: &'static str,
) -> Result<Response, TransportError> {
    let slot: SlotName = "token".parse().unwrap();
    let permit = broker
        .authorize(Method::Post, url, Some(&slot), true)
        .unwrap();
    let headers = vec![("Content-Type".to_owned(), "text/plain".to_owned())];
    let body = Some(Bytes::from_static(body.as_bytes()));
    client
        .send(
            Arc::clone(broker),
            Outgoing {
                permit,
                headers,
                body,
            },
        )
        .await
}

/// The whole body.
pub async fn body(mut response: Response) -> Result<String, TransportError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        body.extend_from_slice(&chunk);
    }
    Ok(String::from_utf8(body).unwrap())
}
