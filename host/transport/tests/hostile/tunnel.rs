//! A proxy for `CONNECT` that does what a test tells it to, and the clients that go through it.

use std::{
    io,
    sync::{Arc, Mutex},
};

use fetchhost_policy::{Proxies, Proxy};
use fetchhost_transport::{Client, ProxyRefusalReason, Settings, TransportError};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

use crate::{
    support::{CANARY, Names, keyring},
    tls::Authority,
};

/// The proxy's own secret.
pub const LOGIN: &str = "canary-proxy-pass";

/// `Proxy-Authorization` for it.
pub const AUTHORIZATION: &str = "Basic bWU6Y2FuYXJ5LXByb3h5LXBhc3M=";

pub const ORIGIN: &str = "https://files.example.com";

/// What a proxy does after it has read a `CONNECT`.
#[derive(Clone)]
pub enum Manner {
    /// Leads to this port, whatever was asked for.
    To(u16),
    /// Says this and closes.
    Says(&'static str),
    /// Says yes, and then pretends to be the origin.
    Pretends(TlsAcceptor),
    /// Says nothing and stays.
    Waits,
}

/// A proxy for `CONNECT`, with everything that it saw in the clear.
pub struct Tunnel {
    pub port: u16,
    pub heads: Arc<Mutex<Vec<String>>>,
    pub passed: Arc<Mutex<Vec<u8>>>,
}

impl Tunnel {
    pub async fn start(manner: Manner) -> Self {
        Self::start_over(None, manner).await
    }

    /// As [`start`](Self::start), over TLS.
    pub async fn start_over(tls: Option<TlsAcceptor>, manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let passed = Arc::new(Mutex::new(Vec::new()));
        let (noted, read) = (Arc::clone(&heads), Arc::clone(&passed));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (manner, noted, read) = (manner.clone(), Arc::clone(&noted), Arc::clone(&read));
                let tls = tls.clone();
                tokio::spawn(async move {
                    let _ = match tls {
                        None => serve(stream, manner, &noted, &read).await,
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => serve(stream, manner, &noted, &read).await,
                            Err(error) => Err(error),
                        },
                    };
                });
            }
        });
        Self {
            port,
            heads,
            passed,
        }
    }

    pub fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }

    /// Demands that the proxy never saw the token.
    #[track_caller]
    pub fn saw_no_token(&self) {
        let passed = String::from_utf8_lossy(&self.passed.lock().unwrap()).into_owned();
        assert!(!passed.contains(CANARY), "{passed}");
        assert!(!self.heads().concat().contains(CANARY));
    }
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    manner: Manner,
    heads: &Mutex<Vec<String>>,
    passed: &Mutex<Vec<u8>>,
) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    heads.lock().unwrap().push(String::from_utf8(head).unwrap());
    let yes = b"HTTP/1.1 200 Connection established\r\n\r\n";
    match manner {
        Manner::Says(text) => {
            stream.write_all(text.as_bytes()).await?;
            stream.shutdown().await
        }
        Manner::Waits => std::future::pending().await,
        Manner::To(port) => {
            stream.write_all(yes).await?;
            let mut server = TcpStream::connect(("127.0.0.1", port)).await?;
            let (mut first, mut buffer) = (vec![0; 64 * 1024], Vec::new());
            let length = stream.read(&mut first).await?;
            buffer.extend_from_slice(&first[..length]);
            passed.lock().unwrap().extend_from_slice(&buffer);
            server.write_all(&buffer).await?;
            copy_bidirectional(&mut stream, &mut server).await.map(drop)
        }
        Manner::Pretends(acceptor) => {
            stream.write_all(yes).await?;
            let mut stream = acceptor.accept(stream).await?;
            let mut all = Vec::new();
            let read = stream.read_to_end(&mut all).await;
            passed.lock().unwrap().extend_from_slice(&all);
            read.map(drop)
        }
    }
}

pub fn through(port: u16) -> Proxies {
    proxies(&format!("http://me:{LOGIN}@proxy.example.com:{port}"))
}

pub fn proxies(url: &str) -> Proxies {
    let proxy: Proxy = url.parse().unwrap();
    Proxies {
        https: Ok(Some(proxy.clone())),
        http: Ok(Some(proxy)),
        ..Proxies::default()
    }
}

/// A client that knows the address of the proxy, a private one, and of nothing else.
pub fn client(settings: Settings) -> Client {
    let names = Names::of(&[("proxy.example.com", &[&["127.0.0.1"]])]);
    Client::with_lookup(settings, keyring(), Arc::new(names))
}

/// Why the proxy was not given the request.
#[track_caller]
pub fn refusal(error: &TransportError) -> &ProxyRefusalReason {
    match error {
        TransportError::ProxyRefused(refusal) => &refusal.reason,
        other => panic!("{other:?}"),
    }
}

pub fn settings(authority: &Authority, port: u16) -> Settings {
    Settings {
        proxies: through(port),
        ..authority.settings()
    }
}
