//! Rule 5, bodies: a broken one is continued only if the rest is certain to belong to it, and none is
//! shorter or longer than announced.

use std::time::Duration;

use fetchhost_policy::Method;
use fetchhost_transport::{NotContinued, Outgoing, Response, Settings, TransportError};

use crate::support::{
    Granted, Received, Server, Step, answer, body, client, get, quick, redirect, say,
};

const WHOLE: &str = "0123456789";

/// The first `sent` bytes of [`WHOLE`] under a `Content-Length` that promises all of it.
fn broken(headers: &str, sent: usize) -> Vec<Step> {
    say(format!(
        "HTTP/1.1 200 OK\r\n{headers}Content-Length: 10\r\n\r\n{}",
        &WHOLE[..sent]
    ))
}

/// The rest that `request` asks for, as a right server sends it.
fn rest(request: &Received) -> Vec<Step> {
    let from: usize = request
        .header("range")
        .unwrap()
        .strip_prefix("bytes=")
        .unwrap()
        .strip_suffix('-')
        .unwrap()
        .parse()
        .unwrap();
    answer(
        &format!("206 Partial Content\r\nETag: \"v1\"\r\nContent-Range: bytes {from}-9/10"),
        &WHOLE[from..],
    )
}

async fn fetch(server: &Server, settings: Settings) -> Result<String, TransportError> {
    let broker = Granted::to(server.origin()).broker();
    body(get(&client(settings), &broker, &server.url("/file?sig=1")).await?).await
}

#[tokio::test]
async fn a_broken_body_is_continued_under_its_strong_etag() {
    let server = Server::start(|number, request| match number {
        0 => broken("ETag: \"v1\"\r\n", 4),
        _ => rest(request),
    })
    .await;
    assert_eq!(fetch(&server, quick()).await.unwrap(), WHOLE);
    let second = &server.received()[1];
    assert_eq!(second.header("range"), Some("bytes=4-"));
    assert_eq!(second.header("if-range"), Some("\"v1\""));
}

#[tokio::test]
async fn a_body_that_breaks_by_reset_or_in_a_chunk_is_continued_too() {
    for first in ["reset", "chunk"] {
        let server = Server::start(move |number, request| match (number, first) {
            (0, "reset") => {
                let mut steps = broken("ETag: \"v1\"\r\n", 6);
                steps.push(Step::Reset);
                steps
            }
            (0, _) => say("HTTP/1.1 200 OK\r\nETag: \"v1\"\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n012\r\n4\r\n34"),
            _ => rest(request),
        })
        .await;
        assert_eq!(fetch(&server, quick()).await.unwrap(), WHOLE, "{first}");
    }
}

#[tokio::test]
async fn a_part_that_ends_early_does_not_pass_for_the_end() {
    let server = Server::start(|number, request| match number {
        0 => say(
            "HTTP/1.1 200 OK\r\nETag: \"v1\"\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n0123\r\n4\r\n",
        ),
        1 => answer("206 Partial Content\r\nContent-Range: bytes 4-5/10", "45"),
        _ => rest(request),
    })
    .await;
    assert_eq!(fetch(&server, quick()).await.unwrap(), WHOLE);
    assert_eq!(server.received()[2].header("range"), Some("bytes=6-"));
}

#[tokio::test]
async fn a_redirected_body_is_continued_from_the_original_url_with_a_fresh_redirect() {
    let storage = Server::start(|number, request| match number {
        0 => broken("ETag: \"v1\"\r\n", 5),
        _ => rest(request),
    })
    .await;
    let port = storage.port;
    let api = Server::start(move |number, _| {
        redirect(302, format!("http://127.0.0.1:{port}/o?sig={number}"))
    })
    .await;
    let broker = Granted::to(api.origin())
        .redirects(&[storage.origin()])
        .credential("bearer")
        .broker();
    let response = get(&client(quick()), &broker, &api.url("/")).await.unwrap();
    assert_eq!(body(response).await.unwrap(), WHOLE);
    assert_eq!(api.received().len(), 2);
    let seen = storage.received();
    assert_eq!(
        (seen[0].target.as_str(), seen[1].target.as_str()),
        ("/o?sig=0", "/o?sig=1")
    );
    assert_eq!(seen[1].header("range"), Some("bytes=5-"));
    assert!(seen.iter().all(|request| !request.has_secret()));
}

#[tokio::test]
async fn a_body_that_breaks_often_is_continued_as_often_as_allowed() {
    let server = Server::start(|number, request| match number {
        0 => broken("ETag: \"v1\"\r\n", 2),
        1 => say("HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 2-9/10\r\nContent-Length: 8\r\n\r\n234"),
        _ => rest(request),
    })
    .await;
    assert_eq!(fetch(&server, quick()).await.unwrap(), WHOLE);

    let server = Server::start(|number, _| match number {
        0 => broken("ETag: \"v1\"\r\n", 2),
        _ => say("HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 2-9/10\r\nContent-Length: 8\r\n\r\n"),
    })
    .await;
    let error = fetch(&server, quick()).await.unwrap_err();
    let exhausted = matches!(
        error,
        TransportError::Truncated {
            reason: NotContinued::AttemptsExhausted,
            received: 2,
            expected: Some(10),
            ..
        }
    );
    assert!(exhausted, "{error}");
    assert_eq!(server.received().len(), 4);
}

#[tokio::test]
async fn without_a_strong_validator_a_body_that_broke_is_an_error_that_says_so() {
    for headers in [
        "",
        "ETag: W/\"v1\"\r\n",
        "Last-Modified: Tue, 03 Mar 2026 10:00:00 GMT\r\n",
    ] {
        let server = Server::start(move |_, _| broken(headers, 4)).await;
        let error = fetch(&server, quick()).await.unwrap_err();
        let expected = matches!(
            error,
            TransportError::Truncated {
                reason: NotContinued::NoStrongValidator,
                received: 4,
                ..
            }
        );
        assert!(expected, "{headers}: {error}");
        let message = error.to_string();
        assert!(
            message.contains("4 bytes of 10") && message.contains("no strong `ETag`"),
            "{message}"
        );
        assert!(
            message.contains("/file?…") && !message.contains("sig"),
            "{message}"
        );
        assert_eq!(server.received().len(), 1);
    }
}

#[tokio::test]
async fn before_the_first_byte_a_body_is_simply_begun_again() {
    let server = Server::start(|number, _| match number {
        0 => broken("ETag: W/\"v1\"\r\n", 0),
        _ => broken("ETag: W/\"v1\"\r\n", 10),
    })
    .await;
    assert_eq!(fetch(&server, quick()).await.unwrap(), WHOLE);
    assert_eq!(server.received()[1].header("range"), None);
}

#[tokio::test]
async fn a_rest_that_is_not_the_one_asked_for_is_refused() {
    for range in [
        "bytes 0-9/10",
        "bytes 3-9/10",
        "bytes 5-9/10",
        "bytes 4-9/12",
        "items 4-9/10",
        "bytes */10",
    ] {
        let server = Server::start(move |number, _| match number {
            0 => broken("ETag: \"v1\"\r\n", 4),
            _ => answer(
                &format!("206 Partial Content\r\nContent-Range: {range}"),
                "456789",
            ),
        })
        .await;
        let error = fetch(&server, quick()).await.unwrap_err();
        let refused = matches!(
            error,
            TransportError::WrongPart { .. } | TransportError::Changed { .. }
        );
        assert!(refused, "{range}: {error}");
    }
}

#[tokio::test]
async fn content_that_changed_in_between_is_refused() {
    for again in [
        "200 OK\r\nETag: \"v2\"",
        "206 Partial Content\r\nETag: \"v2\"\r\nContent-Range: bytes 4-9/10",
        "416 Range Not Satisfiable",
    ] {
        let server = Server::start(move |number, _| match number {
            0 => broken("ETag: \"v1\"\r\n", 4),
            _ => answer(again, "abcdef"),
        })
        .await;
        let error = fetch(&server, quick()).await.unwrap_err();
        assert!(
            matches!(error, TransportError::Changed { .. }),
            "{again}: {error}"
        );
        assert!(
            error.to_string().contains("changed while it was fetched"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_server_without_ranges_sends_the_same_content_whole_and_the_known_part_is_skipped() {
    let server = Server::start(|number, _| match number {
        0 => broken("ETag: \"v1\"\r\n", 4),
        _ => answer("200 OK\r\nETag: \"v1\"", WHOLE),
    })
    .await;
    assert_eq!(fetch(&server, quick()).await.unwrap(), WHOLE);
}

#[tokio::test]
async fn a_refused_rest_names_the_status() {
    let server = Server::start(|number, _| match number {
        0 => broken("ETag: \"v1\"\r\n", 4),
        _ => answer("404 Not Found", "gone"),
    })
    .await;
    let error = fetch(&server, quick()).await.unwrap_err();
    assert!(
        matches!(
            error,
            TransportError::Truncated {
                reason: NotContinued::Status(404),
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn a_length_that_promises_too_much_is_an_error() {
    let server = Server::start(|_, _| {
        say("HTTP/1.1 200 OK\r\nContent-Length: 99\r\nConnection: close\r\n\r\n0123")
    })
    .await;
    let error = fetch(&server, quick()).await.unwrap_err();
    assert!(error.to_string().contains("after 4 bytes of 99"), "{error}");
}

#[tokio::test]
async fn bytes_beyond_the_announced_length_are_not_taken_for_the_body() {
    let server = Server::start(|_, _| {
        say("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\n0123456789")
    })
    .await;
    assert_eq!(fetch(&server, quick()).await.unwrap(), "0123");
}

#[tokio::test]
async fn two_lengths_that_differ_are_not_an_answer() {
    let server = Server::start(|_, _| {
        say("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 10\r\n\r\n0123456789")
    })
    .await;
    let error = fetch(&server, quick()).await.unwrap_err();
    assert!(matches!(error, TransportError::Protocol { .. }), "{error}");
}

#[tokio::test]
async fn a_length_beside_chunks_must_be_theirs() {
    let server = Server::start(|_, _| {
        say("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n0\r\n\r\n")
    })
    .await;
    match fetch(&server, quick()).await {
        Err(TransportError::TooLong { expected: 3, .. } | TransportError::Protocol { .. }) => {}
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_stall_is_a_timeout_that_says_what_was_waited_for() {
    let server = Server::start(|_, _| {
        let mut steps = broken("", 4);
        steps.push(Step::Wait(Duration::from_secs(30)));
        steps
    })
    .await;
    let settings = Settings {
        idle_timeout: Duration::from_millis(100),
        ..quick()
    };
    let error = fetch(&server, settings).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("timed out after 0.1 s waiting for more of the body"),
        "{error}"
    );
}

#[tokio::test]
async fn a_stall_is_continued_as_any_other_break() {
    let server = Server::start(|number, request| match number {
        0 => {
            let mut steps = broken("ETag: \"v1\"\r\n", 4);
            steps.push(Step::Wait(Duration::from_secs(30)));
            steps
        }
        _ => rest(request),
    })
    .await;
    let settings = Settings {
        idle_timeout: Duration::from_millis(100),
        ..quick()
    };
    assert_eq!(fetch(&server, settings).await.unwrap(), WHOLE);
}

#[tokio::test]
async fn the_total_timeout_covers_a_body_that_only_trickles() {
    let server = Server::start(|_, _| {
        let mut steps = say("HTTP/1.1 200 OK\r\nETag: \"v1\"\r\nContent-Length: 1000\r\n\r\n");
        for _ in 0..200 {
            steps.push(Step::Send(b"x".to_vec()));
            steps.push(Step::Wait(Duration::from_millis(20)));
        }
        steps
    })
    .await;
    let settings = Settings {
        total_timeout: Some(Duration::from_millis(200)),
        ..quick()
    };
    let error = fetch(&server, settings).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "`{}`: timed out after 0.2 s for the whole transfer",
            server.origin()
        )
    );
    assert_eq!(server.received().len(), 1);
}

#[tokio::test]
async fn a_part_that_nobody_asked_for_is_not_an_answer() {
    let server =
        Server::start(|_, _| answer("206 Partial Content\r\nContent-Range: bytes 0-3/10", "0123"))
            .await;
    let error = fetch(&server, quick()).await.unwrap_err();
    assert!(matches!(error, TransportError::Protocol { .. }), "{error}");
}

#[tokio::test]
async fn the_answer_to_a_head_has_a_length_and_no_body() {
    let server = Server::start(|_, _| {
        say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\n")
    })
    .await;
    let broker = Granted::to(server.origin()).broker();
    let permit = broker
        .authorize(Method::Head, &server.url("/"), None, false)
        .unwrap();
    let out = Outgoing {
        permit,
        headers: Vec::new(),
        body: None,
    };
    let mut response: Response = client(quick()).send(broker, out).await.unwrap();
    assert_eq!(response.content_length(), Some(10));
    assert!(response.chunk().await.unwrap().is_none());
}

#[tokio::test]
async fn the_body_of_a_failure_is_not_continued() {
    let server = Server::start(|_, _| {
        say("HTTP/1.1 404 Not Found\r\nETag: \"v1\"\r\nContent-Length: 10\r\n\r\n0123")
    })
    .await;
    let error = fetch(&server, quick()).await.unwrap_err();
    assert!(
        matches!(
            error,
            TransportError::Truncated {
                reason: NotContinued::NotAContent,
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn a_body_is_also_a_stream() {
    use futures_util::TryStreamExt;
    let server = Server::start(|number, request| match number {
        0 => broken("ETag: \"v1\"\r\n", 4),
        _ => rest(request),
    })
    .await;
    let broker = Granted::to(server.origin()).broker();
    let stream = get(&client(quick()), &broker, &server.url("/"))
        .await
        .unwrap()
        .into_stream();
    let pieces: Vec<_> = stream.try_collect().await.unwrap();
    assert_eq!(pieces.concat(), WHOLE.as_bytes());
}
