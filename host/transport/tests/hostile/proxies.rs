//! Proxies, honest and hostile: what they are given, and what they never are.

use std::{
    io,
    process::Command,
    sync::{Arc, Mutex},
};

use fetchhost_policy::{Proxies, Proxy};
use fetchhost_transport::{Category, Client, ProxyRefusal, Settings, TlsProblem, TransportError};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

use crate::{
    support::{
        CANARY, Granted, Names, Server, Step, answer, body, get, get_with, keyring, quick,
        redirect, say,
    },
    tls::Authority,
};

/// The proxy's own secret.
const LOGIN: &str = "canary-proxy-pass";

/// `Proxy-Authorization` for it.
const AUTHORIZATION: &str = "Basic bWU6Y2FuYXJ5LXByb3h5LXBhc3M=";

const ORIGIN: &str = "https://files.example.com";

/// What a proxy does after it has read a `CONNECT`.
#[derive(Clone)]
enum Manner {
    /// Leads to this port, whatever was asked for.
    To(u16),
    /// Says this and closes.
    Says(&'static str),
    /// Says yes, and then pretends to be the origin.
    Pretends(TlsAcceptor),
}

/// A proxy for `CONNECT`, with everything that it saw in the clear.
struct Tunnel {
    port: u16,
    heads: Arc<Mutex<Vec<String>>>,
    passed: Arc<Mutex<Vec<u8>>>,
}

impl Tunnel {
    async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let passed = Arc::new(Mutex::new(Vec::new()));
        let (noted, read) = (Arc::clone(&heads), Arc::clone(&passed));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (manner, noted, read) = (manner.clone(), Arc::clone(&noted), Arc::clone(&read));
                tokio::spawn(async move {
                    let _ = serve(stream, manner, &noted, &read).await;
                });
            }
        });
        Self {
            port,
            heads,
            passed,
        }
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }

    /// Demands that the proxy never saw the token.
    #[track_caller]
    fn saw_no_token(&self) {
        let passed = String::from_utf8_lossy(&self.passed.lock().unwrap()).into_owned();
        assert!(!passed.contains(CANARY), "{passed}");
        assert!(!self.heads().concat().contains(CANARY));
    }
}

async fn serve(
    mut stream: TcpStream,
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

fn through(port: u16) -> Option<Proxies> {
    let proxy: Proxy = format!("http://me:{LOGIN}@proxy.example.com:{port}")
        .parse()
        .unwrap();
    Some(Proxies {
        https: Some(proxy.clone()),
        http: Some(proxy),
        except: Vec::new(),
    })
}

/// A client that knows the address of the proxy, a private one, and of nothing else.
fn client(settings: Settings) -> Client {
    let names = Names::of(&[("proxy.example.com", &[&["127.0.0.1"]])]);
    Client::with_lookup(settings, keyring(), Arc::new(names))
}

fn settings(authority: &Authority, port: u16) -> Settings {
    Settings {
        proxies: through(port),
        ..authority.settings()
    }
}

#[tokio::test]
async fn https_goes_through_a_tunnel_and_neither_side_gets_the_others_secret() {
    let authority = Authority::new();
    let server = authority
        .server("files.example.com", |_, _| answer("200 OK", "x"))
        .await;
    let proxy = Tunnel::start(Manner::To(server.port)).await;
    let client = client(settings(&authority, proxy.port));
    let broker = Granted::to(ORIGIN)
        .credential("header:PRIVATE-TOKEN")
        .broker();
    let url = format!("{ORIGIN}/a?b").parse().unwrap();
    let response = get(&client, &broker, &url).await.unwrap();
    assert_eq!(body(response).await.unwrap(), "x");

    let heads = proxy.heads();
    assert_eq!(heads.len(), 1);
    assert!(
        heads[0].starts_with("CONNECT files.example.com:443 HTTP/1.1\r\n"),
        "{heads:?}"
    );
    assert!(heads[0].contains(AUTHORIZATION), "{heads:?}");
    proxy.saw_no_token();
    let seen = format!("{:?}", server.received());
    assert!(seen.contains(CANARY));
    assert!(
        !seen.contains(LOGIN) && !seen.contains("bWU6Y2FuY"),
        "{seen}"
    );
    assert!(server.received()[0].header("proxy-authorization").is_none());
}

#[tokio::test]
async fn a_proxy_that_pretends_to_be_the_origin_gets_no_request() {
    let (authority, other) = (Authority::new(), Authority::called("proxy"));
    let broker = Granted::to(ORIGIN).credential("bearer").broker();
    let url = format!("{ORIGIN}/").parse().unwrap();
    // With a name that nobody vouches for, and with a good name that is another's.
    for (acceptor, expected) in [
        (
            other.acceptor("files.example.com"),
            TlsProblem::UnknownAuthority,
        ),
        (
            authority.acceptor("proxy.example.com"),
            TlsProblem::OtherHost,
        ),
    ] {
        let proxy = Tunnel::start(Manner::Pretends(acceptor)).await;
        let client = client(settings(&authority, proxy.port));
        let error = get(&client, &broker, &url).await.unwrap_err();
        let TransportError::Tls { problem, .. } = error else {
            panic!("{error:?}")
        };
        assert_eq!(problem, expected);
        proxy.saw_no_token();
        assert_eq!(*proxy.passed.lock().unwrap(), b"");
    }
}

#[tokio::test]
async fn a_proxy_that_does_not_tunnel_is_named_and_told_nothing() {
    let authority = Authority::new();
    let broker = Granted::to(ORIGIN).credential("bearer").broker();
    let url = format!("{ORIGIN}/").parse().unwrap();
    for (says, hint) in [
        (
            "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
            "USER:PASSWORD",
        ),
        (
            "HTTP/1.1 302 Found\r\nLocation: https://evil.example/\r\n\r\n",
            "no_proxy",
        ),
        ("HTTP/1.1 500 No\r\n\r\n", "no_proxy"),
        ("nonsense\r\n\r\n", "no_proxy"),
        ("", "no_proxy"),
    ] {
        let proxy = Tunnel::start(Manner::Says(says)).await;
        let client = client(settings(&authority, proxy.port));
        let error = get(&client, &broker, &url).await.unwrap_err();
        let shown = format!("{error} | {}", error.hint().unwrap_or_default());
        assert!(
            matches!(error, TransportError::Proxy { .. }),
            "{says:?}: {error:?}"
        );
        assert!(
            shown.contains("proxy.example.com") && shown.contains(hint),
            "{shown}"
        );
        assert!(!shown.contains(LOGIN) && !shown.contains("me:"), "{shown}");
        assert_eq!(error.category(), Category::Network);
        proxy.saw_no_token();
    }
    let gone = Settings {
        proxies: through(1),
        ..quick()
    };
    let error = get(&client(gone), &broker, &url).await.unwrap_err();
    assert!(matches!(error, TransportError::Proxy { .. }), "{error:?}");
}

#[tokio::test]
async fn plain_http_without_a_credential_is_sent_to_the_proxy() {
    let proxy = Server::start(|_, _| answer("200 OK", "x")).await;
    let client = client(Settings {
        proxies: through(proxy.port),
        ..quick()
    });
    let broker = Granted::to("http://files.example.com").broker();
    let url = "http://files.example.com/a".parse().unwrap();
    let response = get(&client, &broker, &url).await.unwrap();
    assert_eq!(body(response).await.unwrap(), "x");
    let received = proxy.received();
    assert_eq!(received[0].target, "http://files.example.com/a");
    assert_eq!(
        received[0].header("proxy-authorization"),
        Some(AUTHORIZATION)
    );
}

#[tokio::test]
async fn plain_http_with_a_credential_is_refused_before_the_proxy_is_asked() {
    let proxy = Server::start(|_, _| answer("200 OK", "x")).await;
    let client = client(Settings {
        proxies: through(proxy.port),
        ..quick()
    });
    let broker = Granted::to("http://files.example.com")
        .credential("bearer")
        .broker();
    let url = "http://files.example.com/".parse().unwrap();
    let error = get(&client, &broker, &url).await.unwrap_err();
    let TransportError::ProxyRefused(ProxyRefusal::Readable { credential, .. }) = &error else {
        panic!("{error:?}")
    };
    assert_eq!(credential.as_str(), "tok");
    assert_eq!(error.category(), Category::Denied);
    assert!(error.hint().unwrap().contains("https"), "{error}");
    assert_eq!(proxy.connections(), 0);
}

#[tokio::test]
async fn an_origin_that_only_a_wildcard_grants_is_not_given_to_a_proxy() {
    let proxy = Tunnel::start(Manner::Says("HTTP/1.1 500 No\r\n\r\n")).await;
    let client = client(Settings {
        proxies: through(proxy.port),
        ..quick()
    });
    let broker = Granted::to("https://*.example.com").broker();
    let url = "https://metadata.example.com/".parse().unwrap();
    let error = get(&client, &broker, &url).await.unwrap_err();
    let refusal = matches!(
        &error,
        TransportError::ProxyRefused(ProxyRefusal::NotNamed { .. })
    );
    assert!(refusal, "{error:?}");
    let hint = error.hint().unwrap();
    assert!(hint.contains("`https://metadata.example.com`"), "{hint}");
    assert!(proxy.heads().is_empty());
}

#[tokio::test]
async fn a_redirect_through_a_proxy_is_judged_like_the_first_request() {
    let authority = Authority::new();
    let server = authority
        .server("files.example.com", |_, _| {
            redirect(302, "https://cdn.example.net/x")
        })
        .await;
    let proxy = Tunnel::start(Manner::To(server.port)).await;
    let url = format!("{ORIGIN}/").parse().unwrap();
    let redirected = async |to: &str| {
        let granted = Granted::to(ORIGIN)
            .redirects(&[to.to_owned()])
            .credential("bearer");
        get(
            &client(settings(&authority, proxy.port)),
            &granted.broker(),
            &url,
        )
        .await
    };
    let error = redirected("https://*.example.net").await.unwrap_err();
    let refusal = matches!(
        &error,
        TransportError::ProxyRefused(ProxyRefusal::NotNamed { .. })
    );
    assert!(refusal, "{error:?}");
    assert_eq!(proxy.heads().len(), 1);

    // To an exact one the tunnel is opened, and there the wrong certificate is noticed.
    let error = redirected("https://cdn.example.net").await.unwrap_err();
    assert!(matches!(error, TransportError::Tls { .. }), "{error:?}");
    assert!(proxy.heads()[2].starts_with("CONNECT cdn.example.net:443 "));
    assert_eq!(server.received().len(), 2, "never more than the first hops");
}

#[tokio::test]
async fn this_machine_and_exceptions_are_reached_directly() {
    let server = Server::start(|_, _| answer("200 OK", "x")).await;
    let client = client(Settings {
        proxies: through(1),
        ..quick()
    });
    // With a credential, unencrypted: it stays on this machine.
    let broker = Granted::to(server.origin()).credential("bearer").broker();
    get(&client, &broker, &server.url("/")).await.unwrap();
    assert!(server.received()[0].has_secret());
}

#[tokio::test]
async fn a_module_cannot_speak_to_the_proxy() {
    let proxy = Server::start(|_, _| answer("200 OK", "x")).await;
    let client = client(Settings {
        proxies: through(proxy.port),
        ..quick()
    });
    let broker = Granted::to("http://files.example.com").broker();
    let url = "http://files.example.com/".parse().unwrap();
    for name in [
        "Proxy-Authorization",
        "Proxy-Connection",
        "proxy",
        "Via",
        "Forwarded",
    ] {
        let sent = get_with(&client, &broker, &url, &[(name, "x")]).await;
        if name == "proxy" {
            continue;
        }
        assert!(matches!(sent, Err(TransportError::Header { .. })), "{name}");
    }
    assert!(proxy.received().len() <= 1);
}

#[tokio::test]
async fn a_proxy_that_wants_a_login_for_plain_http_is_not_taken_for_the_origin() {
    let proxy = Server::start(|number, _| match number {
        0 => answer("407 Proxy Authentication Required", ""),
        1 => vec![Step::Reset],
        _ => say(""),
    })
    .await;
    let client = client(Settings {
        proxies: through(proxy.port),
        attempts: 1,
        ..quick()
    });
    let broker = Granted::to("http://files.example.com").broker();
    let url = "http://files.example.com/".parse().unwrap();
    let error = get(&client, &broker, &url).await.unwrap_err();
    assert!(matches!(error, TransportError::Proxy { .. }), "{error:?}");
    assert!(error.hint().unwrap().contains("USER:PASSWORD"));
}

/// Says that this process is the child of the next test, and where the proxy is.
const CHILD: &str = "FETCHHOST_TEST_PROXY_CHILD";

#[test]
fn the_environment_names_the_proxy_when_the_configuration_does_not() {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    let settings = || Settings {
        proxies: None,
        attempts: 1,
        ..quick()
    };
    let broker = || Granted::to("http://files.example.com").broker();
    let url = || "http://files.example.com/".parse().unwrap();
    if std::env::var_os(CHILD).is_some() {
        let sent = runtime().block_on(async {
            let response = get(&client(settings()), &broker(), &url()).await?;
            body(response).await
        });
        assert_eq!(sent.unwrap(), "x");
        return;
    }
    runtime().block_on(async {
        let proxy = Server::start(|_, _| answer("200 OK", "x")).await;
        let name = "proxies::the_environment_names_the_proxy_when_the_configuration_does_not";
        let port = proxy.port;
        let child = tokio::task::spawn_blocking(move || {
            Command::new(std::env::current_exe().unwrap())
                .args(["--exact", name, "--nocapture"])
                .env(CHILD, "1")
                .env_remove("no_proxy")
                .env_remove("NO_PROXY")
                .env(
                    "http_proxy",
                    format!("http://me:{LOGIN}@proxy.example.com:{port}"),
                )
                .output()
                .unwrap()
        });
        let output = child.await.unwrap();
        assert!(output.status.success(), "{output:?}");
        assert_eq!(proxy.received().len(), 1);
    });
}
