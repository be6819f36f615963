//! Rule 5, attempts: what is tried again, how long is waited, and what each timeout says.

use std::time::{Duration, Instant};

use fetchhost_transport::{Category, Settings, Stage, TransportError};

use crate::support::{
    Granted, Server, Step, answer, body, client, get, post, quick, redirect, say,
};

#[tokio::test]
async fn a_429_with_retry_after_is_waited_for() {
    let server = Server::start(|number, _| match number {
        0 => answer("429 Too Many Requests\r\nRetry-After: 1", "Retry later"),
        _ => answer("200 OK", "x"),
    })
    .await;
    let broker = Granted::to(server.origin()).broker();
    let start = Instant::now();
    let response = get(&client(quick()), &broker, &server.url("/"))
        .await
        .unwrap();
    assert_eq!(body(response).await.unwrap(), "x");
    let waited = start.elapsed();
    assert!(
        waited >= Duration::from_secs(1) && waited < Duration::from_secs(3),
        "{waited:?}"
    );
}

#[tokio::test]
async fn a_retry_after_beyond_the_limit_is_reported_instead_of_waited_for() {
    let head = "503 Busy\r\nDate: Tue, 03 Mar 2026 10:00:00 GMT\r\nRetry-After: Tue, 03 Mar 2026 11:00:00 GMT";
    let server = Server::start(move |_, _| answer(head, "")).await;
    let broker = Granted::to(server.origin()).broker();
    let error = get(&client(quick()), &broker, &server.url("/"))
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "`{}` answers 503 and wants 3600 s of pause, longer than the 2 s that are waited for",
            server.origin()
        )
    );
    assert!(error.hint().unwrap().contains("3600 s"));
    assert_eq!(server.received().len(), 1);
}

#[tokio::test]
async fn a_503_is_tried_again_as_often_as_allowed_and_then_returned() {
    let server = Server::start(|number, _| match number {
        0..=2 => answer("503 Busy", ""),
        _ => answer("200 OK", "x"),
    })
    .await;
    let broker = Granted::to(server.origin()).broker();
    let response = get(&client(quick()), &broker, &server.url("/"))
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(server.received().len(), 4);

    let server = Server::start(|_, _| answer("503 Busy\r\nRetry-After: 0", "busy")).await;
    let broker = Granted::to(server.origin()).broker();
    let response = get(&client(quick()), &broker, &server.url("/"))
        .await
        .unwrap();
    assert_eq!(
        (response.status(), response.retry_after()),
        (503, Some(Duration::ZERO))
    );
    assert_eq!(body(response).await.unwrap(), "busy");
    assert_eq!(server.received().len(), 4);
}

#[tokio::test]
async fn a_refusal_is_an_answer_and_not_tried_again() {
    for status in [400, 401, 403, 404, 410, 501] {
        let server = Server::start(move |_, _| answer(&format!("{status} No"), "no")).await;
        let broker = Granted::to(server.origin()).broker();
        let response = get(&client(quick()), &broker, &server.url("/"))
            .await
            .unwrap();
        assert_eq!(response.status(), status);
        assert_eq!(server.received().len(), 1);
    }
}

#[tokio::test]
async fn a_reset_before_the_answer_is_tried_again() {
    let server = Server::start(|number, _| match number {
        0 => vec![Step::Reset],
        1 => say("HTTP/1.1 200"),
        2 => Vec::new(),
        _ => answer("200 OK", "x"),
    })
    .await;
    let broker = Granted::to(server.origin()).broker();
    let response = get(&client(quick()), &broker, &server.url("/"))
        .await
        .unwrap();
    assert_eq!(body(response).await.unwrap(), "x");
}

#[tokio::test]
async fn a_server_that_always_resets_is_an_error_that_says_so() {
    let server = Server::start(|_, _| vec![Step::Reset]).await;
    let broker = Granted::to(server.origin()).broker();
    let error = get(&client(quick()), &broker, &server.url("/"))
        .await
        .unwrap_err();
    assert!(matches!(error, TransportError::Reset { .. }), "{error}");
    assert_eq!(error.category(), Category::Network);
    assert_eq!(server.received().len(), 4);
}

#[tokio::test]
async fn a_fault_behind_a_redirect_is_tried_again_from_the_beginning() {
    let storage = Server::start(|number, _| match number {
        0 => answer("503 Busy", ""),
        _ => answer("200 OK", "x"),
    })
    .await;
    let target = storage.url("/");
    let api = Server::start(move |_, _| redirect(302, &target)).await;
    let broker = Granted::to(api.origin())
        .redirects(&[storage.origin()])
        .broker();
    get(&client(quick()), &broker, &api.url("/")).await.unwrap();
    assert_eq!((api.received().len(), storage.received().len()), (2, 2));
}

#[tokio::test]
async fn a_post_is_not_repeated_after_a_fault_that_may_have_come_too_late() {
    for first in ["500", "reset"] {
        let server = Server::start(move |_, _| match first {
            "500" => answer("500 Oops", ""),
            _ => vec![Step::Reset],
        })
        .await;
        let broker = Granted::to(server.origin()).posts().broker();
        let _ = post(&client(quick()), &broker, &server.url("/"), "x").await;
        assert_eq!(server.received().len(), 1, "{first}");
    }
}

#[tokio::test]
async fn silence_is_a_timeout_that_says_what_was_waited_for() {
    let server = Server::start(|_, _| vec![Step::Wait(Duration::from_secs(30))]).await;
    let broker = Granted::to(server.origin()).broker();
    let settings = Settings {
        first_byte_timeout: Duration::from_millis(50),
        attempts: 2,
        ..quick()
    };
    let error = get(&client(settings), &broker, &server.url("/"))
        .await
        .unwrap_err();
    assert!(matches!(
        error,
        TransportError::Timeout {
            stage: Stage::FirstByte,
            ..
        }
    ));
    assert_eq!(
        error.to_string(),
        format!(
            "`{}`: timed out after 0.05 s waiting for the answer to begin",
            server.origin()
        )
    );
    assert_eq!(server.received().len(), 2);
}

#[tokio::test]
async fn a_handshake_that_never_ends_is_a_timeout_that_says_so() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("https://{}", listener.local_addr().unwrap());
    let broker = Granted::to(origin.clone()).broker();
    let settings = Settings {
        connect_timeout: Duration::from_millis(100),
        attempts: 1,
        ..quick()
    };
    let error = get(
        &client(settings),
        &broker,
        &format!("{origin}/").parse().unwrap(),
    )
    .await
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("`{origin}`: timed out after 0.1 s while connecting")
    );
}

#[tokio::test]
async fn nobody_listening_is_an_error_at_once() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let broker = Granted::to(origin.clone()).broker();
    let client = client(quick());
    let error = get(&client, &broker, &format!("{origin}/").parse().unwrap())
        .await
        .unwrap_err();
    assert!(matches!(error, TransportError::Connect { .. }), "{error}");
    assert!(error.to_string().contains("refused"), "{error}");
    assert_eq!(client.journal().len(), 1);
}

#[tokio::test]
async fn the_total_timeout_covers_the_pauses_between_attempts() {
    let server = Server::start(|_, _| answer("429 No\r\nRetry-After: 2", "")).await;
    let broker = Granted::to(server.origin()).broker();
    let settings = Settings {
        total_timeout: Some(Duration::from_millis(300)),
        ..quick()
    };
    let start = Instant::now();
    let error = get(&client(settings), &broker, &server.url("/"))
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            TransportError::Timeout {
                stage: Stage::Total,
                ..
            }
        ),
        "{error}"
    );
    assert!(
        start.elapsed() < Duration::from_millis(300),
        "a pause that cannot help is not made"
    );
}

#[tokio::test]
async fn what_is_not_http_is_an_error_that_says_so() {
    for garbage in [
        "SSH-2.0-OpenSSH_9.2\r\n",
        "HTTP/1.1 200 OK\r\nBad Header: x\r\n\r\n",
        "\u{0}\u{1}\u{2}",
    ] {
        let server = Server::start(move |_, _| say(garbage)).await;
        let broker = Granted::to(server.origin()).broker();
        let settings = Settings {
            attempts: 1,
            ..quick()
        };
        let error = get(&client(settings), &broker, &server.url("/"))
            .await
            .unwrap_err();
        let told = matches!(
            error,
            TransportError::Protocol { .. } | TransportError::Reset { .. }
        );
        assert!(told, "{garbage:?}: {error}");
    }
}

#[tokio::test]
async fn headers_without_end_are_an_error() {
    let server = Server::start(|_, _| {
        let many: String = (0..500)
            .map(|n| format!("X-{n}: {}\r\n", "a".repeat(100)))
            .collect();
        say(format!(
            "HTTP/1.1 200 OK\r\n{many}Content-Length: 1\r\n\r\nx"
        ))
    })
    .await;
    let broker = Granted::to(server.origin()).broker();
    let error = get(&client(quick()), &broker, &server.url("/"))
        .await
        .unwrap_err();
    assert!(matches!(error, TransportError::Protocol { .. }), "{error}");
}
