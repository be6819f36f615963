//! Proxies that fail: whose failure it is told to be, and what is tried again.

use std::{io, net::IpAddr, pin::Pin, sync::Arc};

use fetchhost_policy::Proxies;
use fetchhost_transport::{
    Category, Client, Lookup, ProxyProblem, Settings, TlsProblem, TransportError,
};

use crate::{
    support::{Granted, Server, Step, answer, body, get, keyring, quick, say},
    tls::Authority,
    tunnel::{AUTHORIZATION, LOGIN, Manner, ORIGIN, Tunnel, client, proxies, settings, through},
};

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

#[tokio::test]
async fn an_https_proxy_is_judged_by_its_own_certificate_and_a_bad_one_is_told_as_the_proxys() {
    let (authority, other) = (Authority::new(), Authority::called("other"));
    let server = authority
        .server("files.example.com", |_, _| answer("200 OK", "x"))
        .await;
    let broker = Granted::to(ORIGIN).credential("bearer").broker();
    let url = format!("{ORIGIN}/").parse().unwrap();
    for (signer, trusted) in [(&authority, true), (&other, false)] {
        let acceptor = signer.acceptor("proxy.example.com");
        let proxy = Tunnel::start_over(Some(acceptor), Manner::To(server.port)).await;
        let client = client(Settings {
            proxies: proxies(&format!(
                "https://me:{LOGIN}@proxy.example.com:{}",
                proxy.port
            )),
            ..authority.settings()
        });
        let sent = get(&client, &broker, &url).await;
        proxy.saw_no_token();
        if trusted {
            assert_eq!(body(sent.unwrap()).await.unwrap(), "x");
            assert!(proxy.heads()[0].contains(AUTHORIZATION));
            continue;
        }
        let error = sent.unwrap_err();
        let TransportError::Proxy { problem, .. } = &error else {
            panic!("{error:?}")
        };
        assert_eq!(*problem, ProxyProblem::Tls(TlsProblem::UnknownAuthority));
        assert!(error.hint().unwrap().contains("the proxy uses"), "{error}");
        assert!(proxy.heads().is_empty());
    }
}

#[tokio::test]
async fn a_proxy_that_does_not_answer_is_told_as_the_proxy() {
    let authority = Authority::new();
    let proxy = Tunnel::start(Manner::Waits).await;
    let client = client(settings(&authority, proxy.port));
    let broker = Granted::to(ORIGIN).broker();
    let url = format!("{ORIGIN}/").parse().unwrap();
    let error = get(&client, &broker, &url).await.unwrap_err();
    let shown = error.to_string();
    assert!(matches!(error, TransportError::Proxy { .. }), "{error:?}");
    assert!(
        shown.contains("proxy.example.com") && shown.contains("timed out after 0.5 s"),
        "{shown}"
    );
}

#[tokio::test]
async fn what_breaks_within_a_tunnel_is_told_as_the_origins() {
    let authority = Authority::new();
    let proxy = Tunnel::start(Manner::Says("HTTP/1.1 200 Established\r\n\r\n")).await;
    let client = client(settings(&authority, proxy.port));
    let broker = Granted::to(ORIGIN).broker();
    let url = format!("{ORIGIN}/").parse().unwrap();
    let error = get(&client, &broker, &url).await.unwrap_err();
    let TransportError::Connect { origin, .. } = &error else {
        panic!("{error:?}")
    };
    assert_eq!(origin.to_string(), ORIGIN);
}

#[tokio::test]
async fn what_an_origin_answers_out_of_a_tunnel_is_its_own_answer() {
    let authority = Authority::new();
    let server = authority
        .server("files.example.com", |_, _| {
            answer("407 Proxy Authentication Required", "")
        })
        .await;
    let proxy = Tunnel::start(Manner::To(server.port)).await;
    let client = client(settings(&authority, proxy.port));
    let broker = Granted::to(ORIGIN).broker();
    let url = format!("{ORIGIN}/").parse().unwrap();
    let response = get(&client, &broker, &url).await.unwrap();
    assert_eq!(response.status(), 407);
}

#[tokio::test]
async fn a_proxy_that_fails_is_asked_again_unless_it_wants_a_login() {
    let authority = Authority::new();
    let broker = Granted::to(ORIGIN).broker();
    let url = format!("{ORIGIN}/").parse().unwrap();
    for (says, tries) in [
        ("HTTP/1.1 502 Bad Gateway\r\n\r\n", 3),
        ("HTTP/1.1 503 Service Unavailable\r\n\r\n", 3),
        ("", 3),
        ("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", 1),
    ] {
        let proxy = Tunnel::start(Manner::Says(says)).await;
        let client = client(Settings {
            attempts: 3,
            ..settings(&authority, proxy.port)
        });
        let error = get(&client, &broker, &url).await.unwrap_err();
        assert!(matches!(error, TransportError::Proxy { .. }), "{error:?}");
        assert_eq!(proxy.heads().len(), tries, "{says:?}");
        assert_eq!(client.journal().len(), tries, "{says:?}");
    }
}

#[tokio::test]
async fn a_proxys_name_that_is_not_found_right_now_is_looked_up_again() {
    for (detail, tries) in [
        ("Temporary failure in name resolution", 3),
        ("Name or service not known", 1),
    ] {
        let client = Client::with_lookup(
            Settings {
                proxies: through(1),
                attempts: 3,
                ..quick()
            },
            keyring(),
            Arc::new(NoNames(detail)),
        );
        let broker = Granted::to(ORIGIN).broker();
        let url = format!("{ORIGIN}/").parse().unwrap();
        let error = get(&client, &broker, &url).await.unwrap_err();
        assert!(matches!(error, TransportError::Proxy { .. }), "{error:?}");
        assert_eq!(client.journal().len(), tries, "{detail}");
    }
}

/// A resolver that finds nothing and says why.
struct NoNames(&'static str);

impl Lookup for NoNames {
    fn lookup(
        &self,
        _: &str,
    ) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + '_>> {
        let error = io::Error::other(self.0);
        Box::pin(async move { Err(error) })
    }
}

#[tokio::test]
async fn a_variable_that_cannot_be_used_harms_only_what_would_go_there() {
    let server = Server::start(|_, _| answer("200 OK", "x")).await;
    let proxies = Proxies::from_environment(|name| {
        (name == "all_proxy").then(|| "socks5://me:canary@proxy.example.com".into())
    });
    let client = client(Settings { proxies, ..quick() });
    let broker = Granted::to(server.origin()).broker();
    get(&client, &broker, &server.url("/")).await.unwrap();
    let broker = Granted::to(ORIGIN).broker();
    let url = format!("{ORIGIN}/").parse().unwrap();
    let error = get(&client, &broker, &url).await.unwrap_err();
    let shown = format!("{error} {error:?} {:?}", error.hint());
    assert!(shown.contains("`all_proxy`"), "{shown}");
    assert!(!shown.contains("canary"), "{shown}");
    assert_eq!(error.category(), Category::Credential);
}
