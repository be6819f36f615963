//! Rule 3: the host follows redirects; every hop is a new permit; what belongs to one origin stays
//! with it.

use fetchhost_transport::{Category, TransportError};

use crate::support::{Granted, Server, answer, body, client, get, get_with, post, quick, redirect};

#[tokio::test]
async fn a_redirect_to_another_origin_carries_no_credential() {
    for scheme in [
        "header:PRIVATE-TOKEN",
        "header:JOB-TOKEN",
        "bearer",
        "basic:me",
        "header:X-Custom",
    ] {
        let storage = Server::start(|_, _| answer("200 OK", "zip")).await;
        let target = storage.url("/bucket/object?X-Amz-Signature=abc");
        let api = Server::start(move |_, _| redirect(302, &target)).await;
        let broker = Granted::to(api.origin())
            .redirects(&[storage.origin()])
            .credential(scheme)
            .broker();

        let client = client(quick());
        let response = get(&client, &broker, &api.url("/artifacts")).await.unwrap();
        assert!(response.redirected());
        assert_eq!(response.credential().unwrap().to_string(), "tok");
        assert_eq!(body(response).await.unwrap(), "zip");

        assert!(
            api.received()[0].has_secret() || scheme == "basic:me",
            "{scheme}"
        );
        assert!(
            !storage.received()[0].has_secret(),
            "{scheme}: {:?}",
            storage.received()
        );
        let contacts = client.journal();
        assert_eq!(contacts[0].credential.as_ref().unwrap().to_string(), "tok");
        assert!(contacts[0].header_name.is_some());
        assert_eq!(contacts[0].status, Some(302));
        assert!(contacts[1].credential.is_none() && contacts[1].header_name.is_none());
        assert_eq!(
            contacts[1].redirected_from,
            Some(contacts[0].origin.clone())
        );
        assert!(
            !contacts[1].url.contains("Signature"),
            "{}",
            contacts[1].url
        );
    }
}

#[tokio::test]
async fn a_redirect_to_another_port_of_the_same_host_is_another_origin() {
    let other = Server::start(|_, _| answer("200 OK", "x")).await;
    let target = other.url("/");
    let api = Server::start(move |_, _| redirect(307, &target)).await;
    // The credential may go to both; having changed the origin is what drops it.
    let mut granted = Granted::to(api.origin()).redirects(&[other.origin()]);
    granted.credential = Some(("bearer", vec![api.origin(), other.origin()]));
    get(&client(quick()), &granted.broker(), &api.url("/"))
        .await
        .unwrap();
    assert!(api.received()[0].has_secret());
    assert!(!other.received()[0].has_secret());
}

#[tokio::test]
async fn a_redirect_within_the_origin_keeps_the_credential() {
    let api = Server::start(|number, _| match number {
        0 => redirect(301, "/renamed"),
        _ => answer("200 OK", "x"),
    })
    .await;
    let broker = Granted::to(api.origin())
        .credential("header:PRIVATE-TOKEN")
        .broker();
    get(&client(quick()), &broker, &api.url("/old"))
        .await
        .unwrap();
    assert!(
        api.received()
            .iter()
            .all(crate::support::Received::has_secret)
    );
}

#[tokio::test]
async fn nothing_that_was_dropped_is_restored_when_a_redirect_comes_back() {
    // Both servers have to know each other's port, so the first learns it from the query.
    let first = Server::start(|number, request| match number {
        0 => redirect(302, request.target.split_once("to=").unwrap().1),
        _ => answer("200 OK", "x"),
    })
    .await;
    let back = first.url("/back");
    let second = Server::start(move |_, _| redirect(302, &back)).await;
    let broker = Granted::to(first.origin())
        .redirects(&[second.origin()])
        .credential("header:PRIVATE-TOKEN")
        .broker();
    let url = first.url(&format!("/start?to={}", second.url("/")));
    let headers = [("X-Project", "7"), ("Accept", "application/zip")];
    let response = get_with(&client(quick()), &broker, &url, &headers)
        .await
        .unwrap();
    assert_eq!(response.status(), 200);

    let seen = first.received();
    assert!(seen[0].has_secret());
    assert_eq!(seen[0].header("x-project"), Some("7"));
    assert!(!seen[1].has_secret());
    assert_eq!(seen[1].header("x-project"), None);
    assert_eq!(seen[1].header("accept"), Some("application/zip"));
}

#[tokio::test]
async fn headers_of_a_guest_stay_with_the_origin_but_for_the_harmless_ones() {
    let storage = Server::start(|_, _| answer("200 OK", "x")).await;
    let target = storage.url("/");
    let api = Server::start(move |_, _| redirect(302, &target)).await;
    let broker = Granted::to(api.origin())
        .redirects(&[storage.origin()])
        .broker();
    let headers = [
        ("X-Custom", "1"),
        ("Accept", "text/plain"),
        ("X-Amz-Meta-A", "b"),
    ];
    get_with(&client(quick()), &broker, &api.url("/"), &headers)
        .await
        .unwrap();
    let (first, second) = (&api.received()[0], &storage.received()[0]);
    for name in ["x-custom", "x-amz-meta-a", "accept"] {
        assert!(first.header(name).is_some(), "{name}");
    }
    let mut names: Vec<_> = second
        .headers
        .iter()
        .map(|(name, _)| name.to_lowercase())
        .collect();
    names.sort();
    assert_eq!(names, ["accept", "accept-encoding", "host", "user-agent"]);
}

#[tokio::test]
async fn a_referer_is_never_sent() {
    let storage = Server::start(|_, _| answer("200 OK", "x")).await;
    let target = storage.url("/");
    let api = Server::start(move |number, _| match number {
        0 => redirect(302, "/next?secret=query"),
        _ => redirect(302, &target),
    })
    .await;
    let broker = Granted::to(api.origin())
        .redirects(&[storage.origin()])
        .broker();
    get(&client(quick()), &broker, &api.url("/?private_token=x"))
        .await
        .unwrap();
    for request in api.received().iter().chain(&storage.received()) {
        assert_eq!(request.header("referer"), None);
    }
}

#[tokio::test]
async fn a_redirect_to_an_origin_that_is_not_granted_is_denied_unseen() {
    let storage = Server::start(|_, _| answer("200 OK", "x")).await;
    let target = storage.url("/");
    let api = Server::start(move |_, _| redirect(302, &target)).await;
    let broker = Granted::to(api.origin()).broker();
    let error = get(&client(quick()), &broker, &api.url("/"))
        .await
        .unwrap_err();
    assert!(matches!(error, TransportError::Denied(_)), "{error}");
    assert_eq!(error.category(), Category::Denied);
    assert!(
        error.hint().unwrap().contains(&storage.origin()),
        "{:?}",
        error.hint()
    );
    assert_eq!(storage.connections(), 0);
}

#[tokio::test]
async fn a_redirect_loop_ends_after_five_hops() {
    let api = Server::start(|number, _| redirect(302, format!("/{number}"))).await;
    let broker = Granted::to(api.origin()).broker();
    let error = get(&client(quick()), &broker, &api.url("/start?q=1"))
        .await
        .unwrap_err();
    assert!(
        matches!(error, TransportError::TooManyRedirects { limit: 5, .. }),
        "{error}"
    );
    assert!(error.to_string().contains("/start?…"), "{error}");
    assert_eq!(api.received().len(), 6);
}

#[tokio::test]
async fn a_redirect_to_nowhere_is_an_error() {
    for head in ["302 Found", "302 Found\r\nLocation: http://["] {
        let head = head.to_owned();
        let api = Server::start(move |_, _| answer(&head, "")).await;
        let broker = Granted::to(api.origin()).broker();
        let error = get(&client(quick()), &broker, &api.url("/"))
            .await
            .unwrap_err();
        assert!(
            matches!(error, TransportError::BadRedirect { .. }),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_redirect_to_another_scheme_or_with_userinfo_is_denied() {
    for target in [
        "file:///etc/passwd",
        "ftp://127.0.0.1/",
        "http://u:p@127.0.0.1/",
        "data:,x",
    ] {
        let api = Server::start(move |_, _| redirect(302, target)).await;
        let broker = Granted::to(api.origin())
            .redirects(&["http://127.0.0.1".to_owned()])
            .broker();
        let error = get(&client(quick()), &broker, &api.url("/"))
            .await
            .unwrap_err();
        assert!(
            matches!(error, TransportError::Denied(_)),
            "{target}: {error}"
        );
    }
}

#[tokio::test]
async fn a_307_repeats_a_post_within_its_origin_with_its_body() {
    let api = Server::start(|number, _| match number {
        0 => redirect(307, "/elsewhere"),
        _ => answer("200 OK", "x"),
    })
    .await;
    let broker = Granted::to(api.origin())
        .credential("bearer")
        .posts()
        .broker();
    post(&client(quick()), &broker, &api.url("/"), "payload")
        .await
        .unwrap();
    let second = &api.received()[1];
    assert_eq!(
        (second.method.as_str(), second.body.as_slice()),
        ("POST", &b"payload"[..])
    );
    assert!(second.has_secret());
}

#[tokio::test]
async fn a_307_takes_no_post_to_another_origin() {
    let other = Server::start(|_, _| answer("200 OK", "x")).await;
    let target = other.url("/");
    let api = Server::start(move |_, _| redirect(307, &target)).await;
    let broker = Granted::to(api.origin())
        .redirects(&[other.origin()])
        .posts()
        .broker();
    let error = post(&client(quick()), &broker, &api.url("/"), "payload")
        .await
        .unwrap_err();
    assert!(matches!(error, TransportError::Denied(_)), "{error}");
    assert_eq!(other.connections(), 0);
}

#[tokio::test]
async fn a_303_turns_a_post_into_a_get_without_body() {
    for status in [301, 302, 303] {
        let api = Server::start(move |number, _| match number {
            0 => redirect(status, "/result"),
            1 => redirect(307, "/final"),
            _ => answer("200 OK", "x"),
        })
        .await;
        let broker = Granted::to(api.origin()).posts().broker();
        post(&client(quick()), &broker, &api.url("/"), "payload")
            .await
            .unwrap();
        for later in &api.received()[1..] {
            assert_eq!(later.method, "GET");
            assert!(later.body.is_empty());
            assert_eq!(later.header("content-type"), None);
        }
    }
}

#[tokio::test]
async fn a_redirect_to_the_login_page_names_the_credential() {
    let api = Server::start(|_, _| redirect(302, "/users/sign_in?r=%2Fsecret")).await;
    let with = Granted::to(api.origin())
        .credential("header:PRIVATE-TOKEN")
        .broker();
    let error = get(&client(quick()), &with, &api.url("/artifacts?job=x"))
        .await
        .unwrap_err();
    assert!(matches!(error, TransportError::LoginRedirect { .. }));
    let message = error.to_string();
    assert!(
        message.contains("credential `tok` is not accepted"),
        "{message}"
    );
    assert!(
        message.contains("/users/sign_in?…") && !message.contains("secret"),
        "{message}"
    );
    assert!(error.hint().unwrap().contains("`tok`"));
    assert_eq!(api.received().len(), 1);

    let without = Granted::to(api.origin()).broker();
    let error = get(&client(quick()), &without, &api.url("/"))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("none was sent"), "{error}");
}

#[tokio::test]
async fn a_login_page_elsewhere_is_named_before_it_is_denied() {
    let api =
        Server::start(|_, _| redirect(302, "https://sso.example.com/oauth2/authorize?x=1")).await;
    let broker = Granted::to(api.origin()).credential("bearer").broker();
    let error = get(&client(quick()), &broker, &api.url("/"))
        .await
        .unwrap_err();
    assert!(
        matches!(error, TransportError::LoginRedirect { .. }),
        "{error}"
    );
}
