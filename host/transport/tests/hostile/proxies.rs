//! Proxies, honest and hostile: what they are given, and what they never are.

use std::sync::Arc;

use fetchhost_policy::{Exception, Proxies};
use fetchhost_transport::{
    Category, Client, ProxyRefusalReason, Settings, TlsProblem, TransportError,
};

use crate::{
    certificates::{User, asking_as},
    support::{
        CANARY, Granted, Names, Server, answer, body, get, get_with, keyring, quick, redirect,
    },
    tls::Authority,
    tunnel::{
        AUTHORIZATION, LOGIN, Manner, ORIGIN, Tunnel, client, proxies, refusal, settings, through,
    },
};

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
    let ProxyRefusalReason::Readable(credential) = refusal(&error) else {
        panic!("{error:?}")
    };
    assert_eq!(credential.as_str(), "tok");
    assert_eq!(error.category(), Category::Denied);
    let hint = error.hint().unwrap();
    assert!(
        hint.contains("https") && hint.contains("`no_proxy`"),
        "{hint}"
    );
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
    assert!(matches!(refusal(&error), ProxyRefusalReason::NotNamed(_)));
    let hint = error.hint().unwrap();
    // The exact lines, and where an exception would stand.
    assert!(
        hint.contains("\n  origins = [\"https://metadata.example.com\"]\n")
            && hint.contains("add `metadata.example.com` to `no_proxy`"),
        "{hint}"
    );
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
    assert!(matches!(refusal(&error), ProxyRefusalReason::NotNamed(_)));
    let hint = error.hint().unwrap();
    assert!(
        hint.contains("redirects = [\"https://*.example.net\", \"https://cdn.example.net\"]"),
        "{hint}"
    );
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
    let names = Names::of(&[("git.corp.example.com", &[&["127.0.0.1"]])]);
    let except = |entries: &[&str]| {
        let entries = entries.iter().map(|text| Exception::parse(text).unwrap());
        Settings {
            proxies: Proxies {
                except: Ok(entries.collect()),
                ..through(1)
            },
            ..quick()
        }
    };
    // With a credential, unencrypted: it stays on this machine.
    let client = Client::with_lookup(except(&[]), keyring(), Arc::new(names));
    let broker = Granted::to(server.origin()).credential("bearer").broker();
    get(&client, &broker, &server.url("/")).await.unwrap();
    assert!(server.received()[0].has_secret());

    let origin = format!("http://git.corp.example.com:{}", server.port);
    let url = format!("{origin}/").parse().unwrap();
    let broker = Granted::to(origin).broker();
    for (entries, direct) in [
        (&[][..], false),
        (&["other.example.com", "git.corp.example.com:1"], false),
        (&["other.example.com", "corp.example.com"], true),
    ] {
        let names = Names::of(&[
            ("git.corp.example.com", &[&["127.0.0.1"]]),
            ("proxy.example.com", &[&["127.0.0.1"]]),
        ]);
        let client = Client::with_lookup(except(entries), keyring(), Arc::new(names));
        let sent = get(&client, &broker, &url).await;
        assert_eq!(sent.is_ok(), direct, "{entries:?}: {sent:?}");
    }
    assert_eq!(server.received().len(), 2);
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
        assert!(matches!(sent, Err(TransportError::Header { .. })), "{name}");
    }
    assert!(proxy.received().is_empty());
}

#[tokio::test]
async fn a_query_that_is_a_credential_does_not_pass_a_proxy_unencrypted() {
    let proxy = Server::start(|_, request| match request.target.as_str() {
        "http://files.example.com/away" => redirect(302, "http://cdn.example.net/x?ticket=canary"),
        _ => answer("200 OK", "x"),
    })
    .await;
    let client = client(Settings {
        proxies: through(proxy.port),
        ..quick()
    });
    let broker = Granted::to("http://files.example.com")
        .redirects(&[String::from("http://cdn.example.net")])
        .broker();
    let ask = async |path: &str| {
        let url = format!("http://files.example.com{path}").parse().unwrap();
        get(&client, &broker, &url).await
    };
    ask("/x?ref=main").await.unwrap();
    for path in ["/x?X-Amz-Signature=canary", "/away"] {
        let error = ask(path).await.unwrap_err();
        assert_eq!(refusal(&error), &ProxyRefusalReason::Presigned, "{path}");
        let shown = format!("{error} {error:?} {:?}", error.hint());
        assert!(!shown.contains("canary"), "{shown}");
    }
    assert!(!format!("{:?}", proxy.received()).contains("canary"));
}

#[tokio::test]
async fn a_certificate_is_shown_to_the_origin_within_a_tunnel_and_to_no_https_proxy() {
    let authority = Authority::new();
    let user = User::of(&authority);
    let (server, shown) = asking_as(&authority, "files.example.com", |_, _| {
        answer("200 OK", "x")
    })
    .await;
    let proxy = Tunnel::start(Manner::To(server.port)).await;
    let client = client(settings(&authority, proxy.port));
    let granted = Granted {
        certificate: user.for_origins(&[ORIGIN.to_owned()]),
        ..Granted::to(ORIGIN)
    };
    let url = format!("{ORIGIN}/").parse().unwrap();
    let response = get(&client, &granted.broker(), &url).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(*shown.lock().unwrap(), [true]);
    let used = client.journal()[0].certificate.clone();
    assert_eq!(used.unwrap().as_str(), "corp");

    let https = Settings {
        proxies: proxies(&format!("https://proxy.example.com:{}", proxy.port)),
        ..authority.settings()
    };
    let error = get(&self::client(https), &granted.broker(), &url)
        .await
        .unwrap_err();
    let ProxyRefusalReason::Shown(name) = refusal(&error) else {
        panic!("{error:?}")
    };
    assert_eq!(name.as_str(), "corp");
    assert!(error.hint().unwrap().contains("`http://` proxy"));
    assert_eq!(proxy.heads().len(), 1);
}

#[tokio::test]
async fn an_address_of_ip_version_6_is_refused_before_the_proxy_is_asked() {
    let authority = Authority::new();
    let proxy = Tunnel::start(Manner::Says("")).await;
    let client = client(settings(&authority, proxy.port));
    let broker = Granted::to("https://[2001:db8::1]").broker();
    let url = "https://[2001:db8::1]/".parse().unwrap();
    let error = get(&client, &broker, &url).await.unwrap_err();
    assert!(error.to_string().contains("IP version 6"), "{error}");
    assert!(error.hint().unwrap().contains("`no_proxy`"), "{error}");
    assert!(proxy.heads().is_empty());
}
