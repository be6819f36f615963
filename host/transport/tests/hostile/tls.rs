//! Certificates, and the way down from `https` to `http`.

use std::{io, io::Write as _, sync::Arc};

use fetchhost_transport::{AuthorityFile, Category, Client, Settings, TlsProblem, TransportError};
use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::NamedTempFile;
use tokio::{io::AsyncWriteExt as _, net::TcpStream};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        self, RootCertStore,
        server::{WebPkiClientVerifier, danger::ClientCertVerifier},
    },
    server::TlsStream,
};

use crate::support::{
    Granted, Linger, Received, Server, Step, answer, body, get, keyring, quick, redirect,
};

impl Linger for TlsStream<TcpStream> {
    fn end_with_reset(&self) {
        self.get_ref().0.set_zero_linger().unwrap();
    }
}

/// A certificate authority of one test, and its certificate as a file.
pub struct Authority {
    pub issuer: CertifiedIssuer<'static, KeyPair>,
    pub file: NamedTempFile,
}

impl Authority {
    pub fn new() -> Self {
        Self::called("authority")
    }

    pub fn called(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(issuer.pem().as_bytes()).unwrap();
        Self { issuer, file }
    }

    /// What a server with a certificate for `name` makes of a connection.
    pub fn acceptor(&self, name: &str) -> TlsAcceptor {
        TlsAcceptor::from(Arc::new(self.config(name, None)))
    }

    /// As [`acceptor`](Self::acceptor), with clients judged by `verifier`.
    pub fn acceptor_with(&self, name: &str, verifier: Arc<dyn ClientCertVerifier>) -> TlsAcceptor {
        TlsAcceptor::from(Arc::new(self.config_with(name, verifier)))
    }

    /// A server with a certificate for `name`, that asks for certificates of `clients`.
    pub fn config(&self, name: &str, clients: Option<&Self>) -> rustls::ServerConfig {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = match clients {
            None => WebPkiClientVerifier::no_client_auth(),
            Some(clients) => {
                let mut roots = RootCertStore::empty();
                roots.add(clients.issuer.der().clone()).unwrap();
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                    .allow_unauthenticated()
                    .build()
                    .unwrap()
            }
        };
        self.config_with(name, verifier)
    }

    /// A server with a certificate for `name`, that has clients judged by `verifier`.
    fn config_with(
        &self,
        name: &str,
        verifier: Arc<dyn ClientCertVerifier>,
    ) -> rustls::ServerConfig {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new([name.to_owned()])
            .unwrap()
            .signed_by(&key, &self.issuer)
            .unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![certificate.der().clone()], key.into())
            .unwrap()
    }

    pub async fn server(
        &self,
        name: &str,
        script: impl Fn(usize, &Received) -> Vec<Step> + Send + Sync + 'static,
    ) -> Server {
        let acceptor = self.acceptor(name);
        Server::start_with(script, move |stream| {
            let acceptor = acceptor.clone();
            async move { acceptor.accept(stream).await.map_err(io::Error::other) }
        })
        .await
    }

    /// The authority's file, as a variable names it.
    pub fn named_by(&self, named_by: &'static str) -> AuthorityFile {
        let path = self.file.path().to_owned();
        AuthorityFile { path, named_by }
    }

    /// Settings that trust this authority.
    pub fn settings(&self) -> Settings {
        Settings {
            attempts: 1,
            authorities: vec![self.named_by("NIX_SSL_CERT_FILE")],
            ..quick()
        }
    }

    pub fn client(&self) -> Client {
        Client::new(self.settings(), keyring())
    }
}

pub fn https(server: &Server) -> String {
    format!("https://127.0.0.1:{}", server.port)
}

#[tokio::test]
async fn an_authority_from_a_file_is_trusted() {
    let authority = Authority::new();
    let server = authority
        .server("127.0.0.1", |_, _| answer("200 OK", "x"))
        .await;
    let broker = Granted::to(https(&server)).credential("bearer").broker();
    let url = format!("{}/", https(&server)).parse().unwrap();
    let response = get(&authority.client(), &broker, &url).await.unwrap();
    assert_eq!(body(response).await.unwrap(), "x");
    assert!(server.received()[0].has_secret());
}

#[tokio::test]
async fn the_authorities_of_both_variables_are_trusted() {
    let (nix, ssl) = (Authority::called("nix"), Authority::called("ssl"));
    let settings = Settings {
        authorities: vec![
            nix.named_by("NIX_SSL_CERT_FILE"),
            ssl.named_by("SSL_CERT_FILE"),
        ],
        ..quick()
    };
    let client = Client::new(settings, keyring());
    for authority in [nix, ssl] {
        let server = authority
            .server("127.0.0.1", |_, _| answer("200 OK", "x"))
            .await;
        let broker = Granted::to(https(&server)).broker();
        let url = format!("{}/", https(&server)).parse().unwrap();
        let response = get(&client, &broker, &url).await.unwrap();
        assert_eq!(body(response).await.unwrap(), "x");
    }
}

#[tokio::test]
async fn an_unknown_authority_is_refused_with_what_to_do() {
    let trusted = Authority::called("trusted");
    // The second one only took the name of the one that is trusted.
    for name in ["unknown", "trusted"] {
        let server = Authority::called(name)
            .server("127.0.0.1", |_, _| answer("200 OK", "x"))
            .await;
        let broker = Granted::to(https(&server)).broker();
        let url = format!("{}/", https(&server)).parse().unwrap();
        let error = get(&trusted.client(), &broker, &url).await.unwrap_err();
        let unknown = matches!(
            error,
            TransportError::Tls {
                problem: TlsProblem::UnknownAuthority,
                ..
            }
        );
        assert!(unknown, "{error:?}");
        // The file of the other variable is nobody's to edit.
        assert_eq!(
            error.hint().unwrap(),
            "if the server uses a private certificate authority, name its certificate: set `SSL_CERT_FILE=FILE` (the platform's authorities stay trusted)"
        );
        let settings = Settings {
            authorities: vec![trusted.named_by("SSL_CERT_FILE")],
            ..trusted.settings()
        };
        let named = get(&Client::new(settings, keyring()), &broker, &url).await;
        let hint = named.unwrap_err().hint().unwrap();
        let file = format!(
            "add its certificate to `{}`, which",
            trusted.file.path().display()
        );
        assert!(hint.contains(&file), "{hint}");
        assert!(server.received().is_empty());
    }
}

#[tokio::test]
async fn a_certificate_of_another_host_is_refused_also_under_a_trusted_authority() {
    let authority = Authority::new();
    let server = authority
        .server("gitlab.example.com", |_, _| answer("200 OK", "x"))
        .await;
    let broker = Granted::to(https(&server)).broker();
    let url = format!("{}/", https(&server)).parse().unwrap();
    let error = get(&authority.client(), &broker, &url).await.unwrap_err();
    assert!(
        matches!(
            error,
            TransportError::Tls {
                problem: TlsProblem::OtherHost,
                ..
            }
        ),
        "{error:?}"
    );
    assert!(
        error.hint().unwrap().contains("another host"),
        "{:?}",
        error.hint()
    );
}

#[tokio::test]
async fn a_server_that_speaks_no_tls_is_not_asked_in_the_clear() {
    let server = Server::start_with(
        |_, _| Vec::new(),
        |mut stream: TcpStream| async move {
            stream
                .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                .await?;
            Ok(stream)
        },
    )
    .await;
    let broker = Granted::to(https(&server)).broker();
    let url = format!("{}/", https(&server)).parse().unwrap();
    let error = get(&Authority::new().client(), &broker, &url)
        .await
        .unwrap_err();
    let told = matches!(
        error,
        TransportError::Tls {
            problem: TlsProblem::NotTls,
            ..
        }
    );
    assert!(told, "{error:?}");
    assert!(
        error.to_string().ends_with(": what it answers is no TLS"),
        "{error}"
    );
    let plain = format!("(`http://127.0.0.1:{}`)", server.port);
    assert!(error.hint().unwrap().contains(&plain), "{error:?}");
    assert!(server.received().is_empty());
}

#[tokio::test]
async fn a_server_that_speaks_tls_only_is_told_to_be_asked_so() {
    let server = Authority::new()
        .server("127.0.0.1", |_, _| answer("200 OK", "x"))
        .await;
    let broker = Granted::to(server.origin()).broker();
    let client = crate::support::client(Settings {
        attempts: 1,
        ..quick()
    });
    let error = get(&client, &broker, &server.url("/")).await.unwrap_err();
    let hint = error.hint().unwrap();
    assert!(hint.contains(&format!("`{}`", https(&server))), "{hint}");
}

#[tokio::test]
async fn a_server_with_its_authoritys_own_certificate_is_told_to_be_so() {
    let authority = Authority::new();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let shown = params.self_signed(&key).unwrap();
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(shown.pem().as_bytes()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![shown.der().clone()], key.into())
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let server = Server::start_with(
        |_, _| answer("200 OK", "x"),
        move |stream| {
            let acceptor = acceptor.clone();
            async move { acceptor.accept(stream).await.map_err(io::Error::other) }
        },
    )
    .await;
    let broker = Granted::to(https(&server)).broker();
    let url = format!("{}/", https(&server)).parse().unwrap();
    // Whether it is trusted or not.
    for path in [file.path(), authority.file.path()] {
        let settings = Settings {
            authorities: vec![AuthorityFile {
                path: path.to_owned(),
                named_by: "SSL_CERT_FILE",
            }],
            ..authority.settings()
        };
        let client = Client::new(settings, keyring());
        let error = get(&client, &broker, &url).await.unwrap_err();
        let text = error.to_string();
        assert!(
            text.ends_with(": it shows the certificate of an authority as its own"),
            "{text}"
        );
        let hint = error.hint().unwrap();
        assert!(
            hint.contains("`CA:FALSE`") && hint.contains("`SSL_CERT_FILE=FILE`"),
            "{hint}"
        );
    }
    assert!(server.received().is_empty());
}

#[tokio::test]
async fn a_redirect_from_https_to_http_is_denied_even_where_both_are_granted() {
    let authority = Authority::new();
    let plain = Server::start(|_, _| answer("200 OK", "x")).await;
    let target = plain.url("/file");
    let server = authority
        .server("127.0.0.1", move |_, _| redirect(302, &target))
        .await;
    let mut granted = Granted::to(https(&server)).redirects(&[plain.origin()]);
    granted.origins.push(plain.origin());
    let url = format!("{}/", https(&server)).parse().unwrap();
    let error = get(&authority.client(), &granted.broker(), &url)
        .await
        .unwrap_err();
    assert!(matches!(error, TransportError::Denied(_)), "{error}");
    assert_eq!(error.category(), Category::Denied);
    assert_eq!(plain.connections(), 0);
}

#[tokio::test]
async fn a_bundle_that_holds_no_certificate_is_an_error_that_names_it() {
    let mut file = NamedTempFile::new().unwrap();
    writeln!(file, "not a certificate").unwrap();
    let path = file.path().to_owned();
    for bundle in [path.clone(), path.with_extension("missing")] {
        let settings = Settings {
            authorities: vec![AuthorityFile {
                path: bundle.clone(),
                named_by: "NIX_SSL_CERT_FILE",
            }],
            ..quick()
        };
        let broker = Granted::to("https://127.0.0.1:1").broker();
        let error = get(
            &Client::new(settings, keyring()),
            &broker,
            &"https://127.0.0.1:1/".parse().unwrap(),
        )
        .await
        .unwrap_err();
        let shown = error.to_string();
        assert!(shown.contains(&bundle.display().to_string()), "{shown}");
        assert!(shown.contains("`NIX_SSL_CERT_FILE`"), "{shown}");
        assert_eq!(error.category(), Category::Credential);
    }
}
