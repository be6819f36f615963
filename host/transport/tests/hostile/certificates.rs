//! Client certificates: shown to their origins, and to nobody else.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use fetchhost_credentials::FileError;
use fetchhost_transport::{Category, CertificateProblem, SetupError, TlsProblem, TransportError};
use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;
use tokio::io::AsyncReadExt as _;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{self, RootCertStore, server::WebPkiClientVerifier},
};

use crate::{
    support::{Granted, Received, Server, Step, answer, get, redirect},
    tls::{Authority, https},
};

/// A certificate of a user, and its key, as files.
pub struct User {
    folder: TempDir,
}

impl User {
    pub fn of(authority: &Authority) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let user = Self { folder };
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new([String::from("user")])
            .unwrap()
            .signed_by(&key, &authority.issuer)
            .unwrap();
        fs::write(user.certificate(), certificate.pem()).unwrap();
        user.write_key(&key.serialize_pem(), 0o600);
        user
    }

    fn certificate(&self) -> PathBuf {
        self.folder.path().join("user.pem")
    }

    fn key(&self) -> PathBuf {
        self.folder.path().join("user.key")
    }

    fn write_key(&self, pem: &str, mode: u32) {
        fs::write(self.key(), pem).unwrap();
        fs::set_permissions(self.key(), fs::Permissions::from_mode(mode)).unwrap();
    }

    pub fn for_origins(&self, origins: &[String]) -> Option<(PathBuf, PathBuf, Vec<String>)> {
        Some((self.certificate(), self.key(), origins.to_vec()))
    }
}

/// For each connection, whether it showed a certificate.
pub type Shown = Arc<Mutex<Vec<bool>>>;

/// A server that asks for certificates and does without.
async fn asking(
    authority: &Authority,
    script: impl Fn(usize, &Received) -> Vec<Step> + Send + Sync + 'static,
) -> (Server, Shown) {
    asking_as(authority, "127.0.0.1", script).await
}

/// The same with a certificate of its own for `name`.
pub async fn asking_as(
    authority: &Authority,
    name: &str,
    script: impl Fn(usize, &Received) -> Vec<Step> + Send + Sync + 'static,
) -> (Server, Shown) {
    let config = authority.config(name, Some(authority));
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let shown = Shown::default();
    let noted = Arc::clone(&shown);
    let server = Server::start_with(script, move |stream| {
        let (acceptor, noted) = (acceptor.clone(), Arc::clone(&noted));
        async move {
            let stream = acceptor.accept(stream).await?;
            let peer = stream.get_ref().1.peer_certificates();
            noted.lock().unwrap().push(peer.is_some());
            Ok(stream)
        }
    })
    .await;
    (server, shown)
}

#[tokio::test]
async fn a_certificate_is_shown_to_its_origin_together_with_the_token() {
    let authority = Authority::new();
    let user = User::of(&authority);
    let (server, shown) = asking(&authority, |_, _| answer("200 OK", "x")).await;
    let granted = Granted {
        certificate: user.for_origins(&[https(&server)]),
        ..Granted::to(https(&server)).credential("bearer")
    };
    let url = format!("{}/", https(&server)).parse().unwrap();
    let client = authority.client();
    let response = get(&client, &granted.broker(), &url).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(*shown.lock().unwrap(), [true]);
    assert!(server.received()[0].has_secret());
    let used = client.journal()[0].certificate.clone();
    assert_eq!(used.unwrap().as_str(), "corp");
}

#[tokio::test]
async fn a_certificate_is_not_shown_to_other_origins_nor_along_redirects_nor_back() {
    let authority = Authority::new();
    let user = User::of(&authority);
    let (other, shown_other) = asking(&authority, |number, request| {
        match (number, request.header("x-back")) {
            (0, _) => answer("200 OK", "x"),
            _ => redirect(
                302,
                format!("{}back", request.target.trim_start_matches("/to=")),
            ),
        }
    })
    .await;
    let away = https(&other);
    let (server, shown) = asking(&authority, move |_, request| {
        if request.target == "/back" {
            return answer("200 OK", "x");
        }
        let own = request.header("host").unwrap();
        redirect(302, format!("{away}/to=https://{own}/"))
    })
    .await;
    let mut granted = Granted::to(https(&server)).redirects(&[https(&other)]);
    granted.origins.push(https(&other));
    granted.certificate = user.for_origins(&[https(&server)]);
    let (client, broker) = (authority.client(), granted.broker());
    let url = |server: &Server| format!("{}/", https(server)).parse().unwrap();
    get(&client, &broker, &url(&other)).await.unwrap();
    let response = get(&client, &broker, &url(&server)).await.unwrap();
    assert!(response.redirected());
    assert_eq!(response.url().path(), "/back");
    assert_eq!(*shown_other.lock().unwrap(), [false, false]);
    assert_eq!(
        *shown.lock().unwrap(),
        [true, false],
        "there, and back again"
    );
}

#[tokio::test]
async fn connections_that_showed_a_certificate_are_not_shared_with_requests_that_must_not() {
    let authority = Authority::new();
    let user = User::of(&authority);
    // Connections that would stay open, to be used again.
    let (server, shown) = asking(&authority, |_, _| {
        crate::support::say("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")
    })
    .await;
    let bare = Granted::to(https(&server)).broker();
    let granted = Granted {
        certificate: user.for_origins(&[https(&server)]),
        ..Granted::to(https(&server))
    };
    let with = granted.broker();
    let client = authority.client();
    let url = format!("{}/", https(&server)).parse().unwrap();
    for broker in [&with, &bare, &with, &bare] {
        get(&client, broker, &url).await.unwrap();
    }
    assert_eq!(*shown.lock().unwrap(), [true, false, true, false]);
}

#[tokio::test]
async fn a_key_that_others_can_read_or_that_is_no_key_is_refused_before_anything_is_contacted() {
    let authority = Authority::new();
    let (server, _) = asking(&authority, |_, _| answer("200 OK", "x")).await;
    let url = format!("{}/", https(&server)).parse().unwrap();
    let refused = async |user: &User| {
        let granted = Granted {
            certificate: user.for_origins(&[https(&server)]),
            ..Granted::to(https(&server))
        };
        let error = get(&authority.client(), &granted.broker(), &url)
            .await
            .unwrap_err();
        assert_eq!(error.category(), Category::Credential);
        assert!(error.to_string().contains("`corp`"), "{error}");
        match error {
            TransportError::Setup(SetupError::Certificate { problem, .. }) => problem,
            other => panic!("{other:?}"),
        }
    };
    let user = User::of(&authority);
    for mode in [0o644, 0o640, 0o602] {
        fs::set_permissions(user.key(), fs::Permissions::from_mode(mode)).unwrap();
        let problem = refused(&user).await;
        assert!(
            matches!(
                problem,
                CertificateProblem::File(FileError::Permissions { .. })
            ),
            "{problem}"
        );
    }
    let foreign = KeyPair::generate().unwrap().serialize_pem();
    for pem in ["", "canary, no key", foreign.as_str()] {
        user.write_key(pem, 0o600);
        let problem = refused(&user).await;
        assert!(
            matches!(problem, CertificateProblem::Unusable { .. }),
            "{problem}"
        );
        assert!(!problem.to_string().contains("canary"), "{problem}");
    }
    fs::remove_file(user.key()).unwrap();
    let problem = refused(&user).await;
    assert!(
        matches!(
            problem,
            CertificateProblem::File(FileError::Unreadable { .. })
        ),
        "{problem}"
    );
    assert_eq!(server.connections(), 0);
}

/// A server that closes the door on whoever has no certificate of `clients`.
async fn demanding(authority: &Authority, clients: &Authority) -> Server {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(clients.issuer.der().clone()).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .unwrap();
    let acceptor = authority.acceptor_with("127.0.0.1", verifier);
    Server::start_with(
        |_, _| answer("200 OK", "x"),
        move |stream| {
            let acceptor = acceptor.clone();
            async move {
                match acceptor.accept(stream).into_fallible().await {
                    Ok(stream) => Ok(stream),
                    // What the client sent already is read, so that no reset overtakes the alert.
                    Err((error, mut stream)) => {
                        let mut rest = vec![0; 4096];
                        let read = async {
                            while stream.read(&mut rest).await? > 0 {}
                            io::Result::Ok(())
                        };
                        let _ = tokio::time::timeout(Duration::from_millis(500), read).await;
                        Err(error)
                    }
                }
            }
        },
    )
    .await
}

#[tokio::test]
async fn a_server_that_demands_a_certificate_is_told_with_the_lines_that_show_one() {
    let (authority, clients) = (Authority::new(), Authority::called("clients"));
    let server = demanding(&authority, &clients).await;
    let url = format!("{}/", https(&server)).parse().unwrap();
    let refused = async |granted: Granted| {
        let error = get(&authority.client(), &granted.broker(), &url)
            .await
            .unwrap_err();
        let TransportError::Tls { problem, .. } = &error else {
            panic!("{error:?}")
        };
        assert_eq!(*problem, TlsProblem::ClientCertificate);
        error.hint().unwrap()
    };
    let hint = refused(Granted::to(https(&server))).await;
    for line in [
        "[credential.NAME]".to_owned(),
        "source = { client-certificate = { certificate = \"PATH\", key = \"PATH\" } }".to_owned(),
        "scheme = \"mtls\"".to_owned(),
        format!("origins = [\"{}\"]", https(&server)),
        "credentials = { client-certificate = \"NAME\" }".to_owned(),
    ] {
        assert!(hint.contains(&format!("\n  {line}")), "{hint}");
    }

    // One of an authority that the server does not know.
    let user = User::of(&authority);
    let hint = refused(Granted {
        certificate: user.for_origins(&[https(&server)]),
        ..Granted::to(https(&server))
    })
    .await;
    let file = user.certificate().display().to_string();
    assert!(hint.contains("`corp`") && hint.contains(&file), "{hint}");

    let good = User::of(&clients);
    let granted = Granted {
        certificate: good.for_origins(&[https(&server)]),
        ..Granted::to(https(&server))
    };
    get(&authority.client(), &granted.broker(), &url)
        .await
        .unwrap();
}
