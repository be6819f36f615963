//! HTTP/2, with a real server that speaks nothing else.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use fetchhost_transport::{Client, Settings, TransportError};
use http::{Request, Response};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::{
    support::{CANARY, Granted, body, get, get_with, keyring},
    tls::Authority,
};

/// What the server does with a request.
struct Reply {
    head: Response<()>,
    body: Bytes,
    /// Ends the stream in the middle instead.
    broken: bool,
    /// Says this instead of an answer.
    refused: Option<Refused>,
}

/// How a server ends what it did not answer.
#[derive(Clone, Copy, Debug)]
enum Refused {
    /// The one stream.
    Stream(h2::Reason),
    /// The connection, and all streams on it.
    Connection(h2::Reason),
}

fn reply(status: u16, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Reply {
    let mut head = Response::builder().status(status);
    for (name, value) in headers {
        head = head.header(*name, *value);
    }
    Reply {
        head: head.body(()).unwrap(),
        body: body.into(),
        broken: false,
        refused: None,
    }
}

struct H2 {
    port: u16,
    received: Arc<Mutex<Vec<Request<()>>>>,
}

impl H2 {
    async fn start(
        authority: &Authority,
        script: impl Fn(usize, &Request<()>) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let mut config = authority.config("127.0.0.1", None);
        config.alpn_protocols = vec![b"h2".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let received = Arc::new(Mutex::new(Vec::new()));
        let (seen, script) = (Arc::clone(&received), Arc::new(script));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, seen, script) =
                    (acceptor.clone(), Arc::clone(&seen), Arc::clone(&script));
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let Ok(mut connection) = h2::server::handshake(stream).await else {
                        return;
                    };
                    while let Some(Ok((request, mut respond))) = connection.accept().await {
                        let request = request.map(drop);
                        let number = {
                            let mut seen = seen.lock().unwrap();
                            seen.push(request.clone());
                            seen.len() - 1
                        };
                        let Reply {
                            head,
                            body,
                            broken,
                            refused,
                        } = script(number, &request);
                        match refused {
                            None => {}
                            Some(Refused::Stream(reason)) => {
                                respond.send_reset(reason);
                                continue;
                            }
                            Some(Refused::Connection(reason)) => {
                                connection.abrupt_shutdown(reason);
                                continue;
                            }
                        }
                        let Ok(mut stream) = respond.send_response(head, false) else {
                            return;
                        };
                        if !broken {
                            let _ = stream.send_data(body, true);
                            continue;
                        }
                        let _ = stream.send_data(body, false);
                        tokio::spawn(async move {
                            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                            stream.send_reset(h2::Reason::INTERNAL_ERROR);
                        });
                    }
                });
            }
        });
        Self { port, received }
    }

    fn origin(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    fn url(&self, path: &str) -> url::Url {
        format!("{}{path}", self.origin()).parse().unwrap()
    }

    fn received(&self) -> Vec<Request<()>> {
        self.received.lock().unwrap().clone()
    }
}

/// More than one frame, and more than one window.
fn large() -> Bytes {
    (0..300_000_u32).map(|number| number as u8).collect()
}

#[tokio::test]
async fn a_body_of_many_frames_arrives_whole_and_the_token_with_its_request() {
    let authority = Authority::new();
    let server = H2::start(&authority, |_, _| reply(200, &[], large())).await;
    let broker = Granted::to(server.origin())
        .credential("header:PRIVATE-TOKEN")
        .broker();
    let client = authority.client();
    for _ in 0..3 {
        let mut response = get_with(&client, &broker, &server.url("/x"), &[("Accept", "*/*")])
            .await
            .unwrap();
        let mut got = Vec::new();
        while let Some(chunk) = response.chunk().await.unwrap() {
            got.extend(chunk);
        }
        assert_eq!(got, large());
    }
    for request in server.received() {
        assert_eq!(request.version(), http::Version::HTTP_2);
        assert_eq!(request.headers()["private-token"], CANARY);
        assert_eq!(request.headers()["accept-encoding"], "identity");
        assert!(!request.headers().contains_key("referer"));
    }
}

#[tokio::test]
async fn a_redirect_between_two_servers_carries_no_token() {
    let authority = Authority::new();
    let storage = H2::start(&authority, |_, _| reply(200, &[], "content")).await;
    let target = storage.url("/object?sig=1").to_string();
    let api = H2::start(&authority, move |_, _| {
        reply(302, &[("location", &target)], "")
    })
    .await;
    let broker = Granted::to(api.origin())
        .redirects(&[storage.origin()])
        .credential("bearer")
        .broker();
    let response = get(&authority.client(), &broker, &api.url("/"))
        .await
        .unwrap();
    assert_eq!(body(response).await.unwrap(), "content");
    assert!(api.received()[0].headers().contains_key("authorization"));
    assert!(!format!("{:?}", storage.received()).contains(CANARY));
    assert!(
        !storage.received()[0]
            .headers()
            .contains_key("authorization")
    );
}

#[tokio::test]
async fn a_stream_that_is_reset_in_the_middle_is_continued() {
    let authority = Authority::new();
    let server = H2::start(&authority, |number, _| {
        let whole = large();
        if number == 0 {
            return Reply {
                broken: true,
                ..reply(
                    200,
                    &[("etag", "\"a\""), ("content-length", "300000")],
                    whole.slice(..1000),
                )
            };
        }
        let range = "bytes 1000-299999/300000";
        reply(
            206,
            &[("etag", "\"a\""), ("content-range", range)],
            whole.slice(1000..),
        )
    })
    .await;
    let settings = Settings {
        attempts: 3,
        ..authority.settings()
    };
    let client = Client::new(settings, keyring());
    let broker = Granted::to(server.origin()).broker();
    let mut response = get(&client, &broker, &server.url("/")).await.unwrap();
    let mut got = Vec::new();
    while let Some(chunk) = response.chunk().await.unwrap() {
        got.extend(chunk);
    }
    assert_eq!(got, large());
    assert_eq!(server.received()[1].headers()["range"], "bytes=1000-");
}

#[tokio::test]
async fn a_stream_that_is_reset_before_its_answer_is_tried_again_and_each_try_is_recorded() {
    let authority = Authority::new();
    for refused in [
        Refused::Stream(h2::Reason::REFUSED_STREAM),
        Refused::Stream(h2::Reason::INTERNAL_ERROR),
        Refused::Connection(h2::Reason::ENHANCE_YOUR_CALM),
        Refused::Connection(h2::Reason::NO_ERROR),
    ] {
        let server = H2::start(&authority, move |number, _| Reply {
            refused: (number < 2).then_some(refused),
            ..reply(200, &[], "x")
        })
        .await;
        let ask = async |attempts| {
            let settings = Settings {
                attempts,
                ..authority.settings()
            };
            let client = Client::new(settings, keyring());
            let broker = Granted::to(server.origin()).broker();
            let sent = get(&client, &broker, &server.url("/")).await;
            (sent, client.journal().len())
        };
        // Nobody tries again behind our back.
        let (error, recorded) = ask(1).await;
        let error = error.unwrap_err();
        assert!(
            matches!(error, TransportError::Reset { .. }),
            "{refused:?}: {error:?}"
        );
        assert_eq!((recorded, server.received().len()), (1, 1), "{refused:?}");
        let (response, recorded) = ask(3).await;
        assert_eq!(body(response.unwrap()).await.unwrap(), "x");
        assert_eq!((recorded, server.received().len()), (2, 3), "{refused:?}");
    }
}

#[tokio::test]
async fn headers_beyond_every_measure_end_the_request_and_nothing_else() {
    let authority = Authority::new();
    let server = H2::start(&authority, |number, _| {
        let huge = "x".repeat(1024 * 1024);
        match number {
            0 => reply(200, &[("x-huge", &huge)], ""),
            _ => reply(200, &[], "x"),
        }
    })
    .await;
    let client = authority.client();
    let broker = Granted::to(server.origin()).broker();
    let error = get(&client, &broker, &server.url("/")).await.unwrap_err();
    assert!(
        matches!(
            error,
            TransportError::Protocol { .. } | TransportError::Reset { .. }
        ),
        "{error:?}"
    );
    let response = get(&client, &broker, &server.url("/")).await.unwrap();
    assert_eq!(body(response).await.unwrap(), "x");
}
