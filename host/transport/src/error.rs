//! What can go wrong between a permit and the last byte of its answer.
//!
//! Every text in here is meant for the user's eyes: URLs appear without query and userinfo, foreign
//! text has its control characters escaped, and no header value is quoted.

use std::{fmt, time::Duration};

use fetchhost_credentials::CredentialError;
use fetchhost_policy::{AddressDenied, CredentialName, Denial, Origin, ProxySource};

use crate::{ProxyRefusal, SetupError, failure, tls::HOW_TO_ADD};

/// Why a transfer failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// The broker says no, most often to the target of a redirect.
    #[error("{0}")]
    Denied(Denial),
    /// The host's address, or one of the addresses of its name, may not be contacted.
    #[error("`{host}` may not be contacted: {denied}")]
    Address {
        /// The host as the URL has it.
        host: String,
        /// Which address, and why.
        denied: AddressDenied,
    },
    /// The credential cannot be had.
    #[error("{0}")]
    Credential(#[from] CredentialError),
    /// Something that the user set up for connections cannot be used.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The request may not go through the proxy that is in force for it.
    #[error(transparent)]
    ProxyRefused(Box<ProxyRefusal>),
    /// The proxy did not open the connection.
    #[error("the proxy `{proxy}` does not lead to `{origin}`: {detail}")]
    Proxy {
        /// The proxy, without its login.
        proxy: String,
        /// Where to.
        origin: Origin,
        /// What kind of trouble it is.
        problem: ProxyProblem,
        /// Where the proxy is named.
        named_by: Box<ProxySource>,
        /// What the system or the proxy said.
        detail: String,
    },
    /// A guest set a header that only the host sets.
    #[error("the header `{name}` is not for a fetcher to set")]
    Header {
        /// The header's name.
        name: String,
    },
    /// The name has no address, or the resolver did not answer.
    #[error("cannot resolve `{host}`: {detail}")]
    Resolve {
        /// The name.
        host: String,
        /// What the resolver said.
        detail: String,
    },
    /// No connection.
    #[error("cannot connect to `{origin}`: {detail}")]
    Connect {
        /// Where to.
        origin: Origin,
        /// What the system said.
        detail: String,
    },
    /// The server's certificate or its TLS is not acceptable.
    #[error("no trustworthy TLS connection to `{origin}`: {detail}")]
    Tls {
        /// Where to.
        origin: Origin,
        /// What kind of trouble it is.
        problem: TlsProblem,
        /// What TLS said.
        detail: String,
        /// What the user can do about it.
        hint: String,
    },
    /// Something took too long.
    #[error("`{origin}`: {}", failure::timed_out(*.stage, *.after))]
    Timeout {
        /// With whom.
        origin: Origin,
        /// What took too long.
        stage: Stage,
        /// The time allowed for it.
        after: Duration,
    },
    /// The connection broke before the head of an answer was there.
    #[error("`{origin}` closed the connection without an answer: {detail}")]
    Reset {
        /// With whom.
        origin: Origin,
        /// What the connection said.
        detail: String,
    },
    /// What the server sent is not HTTP, or breaks its rules.
    #[error("`{origin}` does not speak proper HTTP: {detail}")]
    Protocol {
        /// With whom.
        origin: Origin,
        /// What is wrong.
        detail: String,
    },
    /// More redirects than allowed, a loop in most cases.
    #[error("`{url}` redirects more than {limit} times")]
    TooManyRedirects {
        /// The URL that was asked for, without its query.
        url: String,
        /// The number allowed.
        limit: usize,
    },
    /// A redirect that says nowhere to go, or nowhere that is a URL.
    #[error("`{url}` redirects without a usable `Location`")]
    BadRedirect {
        /// The URL that was asked for, without its query.
        url: String,
    },
    /// Instead of the answer the server offered its login page.
    #[error("{}", login_message(.url, .target, .credential.as_ref()))]
    LoginRedirect {
        /// The URL that was asked for, without its query.
        url: String,
        /// The login page, without its query.
        target: String,
        /// The credential that was sent, if any.
        credential: Option<CredentialName>,
    },
    /// A server sent a secret back, in an answer or in the target of a redirect. What it leads to, or
    /// what is made of it, would show the secret.
    #[error("`{origin}` sent credential `{credential}` back")]
    Echoed {
        /// Who answered.
        origin: Origin,
        /// Which credential.
        credential: CredentialName,
    },
    /// The server wants a longer pause than is waited for.
    #[error("`{origin}` answers {status} and wants {} of pause, longer than the {} that are waited for", Seconds(*.after), Seconds(*.limit))]
    RetryLater {
        /// Who.
        origin: Origin,
        /// The status.
        status: u16,
        /// The pause asked for.
        after: Duration,
        /// The longest one waited for.
        limit: Duration,
    },
    /// The body broke off and could not be continued.
    #[error("the answer of `{url}` broke off after {received} bytes{}: {cause}; {reason}", of_total(*.expected))]
    Truncated {
        /// The URL that was asked for, without its query.
        url: String,
        /// Bytes received.
        received: u64,
        /// Bytes promised.
        expected: Option<u64>,
        /// What broke it.
        cause: String,
        /// Why it could not be continued.
        reason: NotContinued,
    },
    /// The body is longer than the server said.
    #[error("the answer of `{url}` is longer than the {expected} bytes that were announced")]
    TooLong {
        /// The URL that was asked for, without its query.
        url: String,
        /// Bytes announced.
        expected: u64,
    },
    /// While a broken body was continued it turned out to be another one.
    #[error("`{url}` changed while it was fetched: {detail}")]
    Changed {
        /// The URL that was asked for, without its query.
        url: String,
        /// What differs.
        detail: String,
    },
    /// Asked for the rest of a broken body, the server sent another part.
    #[error(
        "`{url}` broke off and cannot be continued: of what the server sent as the rest, {detail}"
    )]
    WrongPart {
        /// The URL that was asked for, without its query.
        url: String,
        /// What is wrong with the part.
        detail: String,
    },
    /// The HTTP client itself cannot be set up.
    #[error("cannot set up HTTP: {detail}")]
    Client {
        /// What is wrong.
        detail: String,
    },
}

/// What the client was doing when time ran out. Reads on after "timed out after 5 s".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Looking up the name, TCP, TLS.
    Connecting,
    /// Request sent, no answer yet.
    FirstByte,
    /// In the middle of the body.
    Idle,
    /// The whole transfer, by `total_timeout`.
    Total,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connecting => "while connecting",
            Self::FirstByte => "waiting for the answer to begin",
            Self::Idle => "waiting for more of the body",
            Self::Total => "for the whole transfer",
        })
    }
}

/// Why TLS failed, as far as the user can do something about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsProblem {
    /// Nobody who is trusted has signed the certificate.
    UnknownAuthority,
    /// The certificate is not valid yet, or no longer.
    OutOfDate,
    /// The certificate is for another name or address.
    OtherHost,
    /// The server wants a client certificate, or not the one that it was shown.
    ClientCertificate,
    /// The server shows the certificate of an authority as its own.
    AuthorityShown,
    /// What the server answers is no TLS; most often it is plain HTTP.
    NotTls,
    /// Any other trouble.
    Other,
}

/// Why a proxy did not lead to the origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyProblem {
    /// It wants a user name and a password, or others.
    Authorization,
    /// Its own certificate, or its TLS, is not acceptable.
    Tls(TlsProblem),
    /// It said no, broke off, took too long or has no address right now: another try may help.
    Passing,
    /// There is no way to it.
    Unreachable,
}

impl ProxyProblem {
    fn hint(self, origin: &Origin, named_by: &ProxySource) -> String {
        let directly = named_by.how_to_except(&origin.host());
        match (self, named_by) {
            (Self::Authorization, ProxySource::Environment) => String::from(
                "write user name and password into its variable: `https_proxy=http://USER:PASSWORD@HOST:PORT`",
            ),
            (Self::Authorization, ProxySource::Configuration(place)) => format!(
                "remove `[proxy]` at {place} and name the proxy in the environment, with user name and password: `https_proxy=http://USER:PASSWORD@HOST:PORT`"
            ),
            (Self::Tls(TlsProblem::UnknownAuthority), _) => format!(
                "if the proxy uses a private certificate authority, name its certificate: {HOW_TO_ADD}; or {directly}"
            ),
            (_, ProxySource::Environment) => {
                format!("check `https_proxy` and `http_proxy`, or {directly}")
            }
            (_, ProxySource::Configuration(place)) => {
                format!("check `[proxy]` at {place}, or {directly}")
            }
        }
    }
}

/// Why a broken body was not continued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotContinued {
    /// No strong `ETag`: the rest could belong to other content.
    #[error("it cannot be continued, because the server gave no strong `ETag`")]
    NoStrongValidator,
    /// Only the body of a `GET` answered 200 is continued.
    #[error("only a `GET` answered with 200 can be continued")]
    NotAContent,
    /// It was tried as often as allowed.
    #[error("it broke off as often as it may be continued")]
    AttemptsExhausted,
    /// The server answered the request for the rest with this status.
    #[error("the server answered {0} to the request for the rest")]
    Status(u16),
}

/// What kind of failure it is: decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Category {
    /// The user's grants, or the address rules, say no.
    Denied,
    /// What the user set up cannot be had or used: a credential, a certificate, a proxy.
    Credential,
    /// The fetcher did what it may not, or had a server do it.
    Module,
    /// The network or the server failed.
    Network,
}

impl TransportError {
    /// What kind of failure it is.
    #[must_use]
    pub fn category(&self) -> Category {
        match self {
            Self::Denied(_) | Self::Address { .. } | Self::ProxyRefused(_) => Category::Denied,
            Self::Credential(_) | Self::Setup(_) => Category::Credential,
            Self::Header { .. } | Self::Echoed { .. } => Category::Module,
            _ => Category::Network,
        }
    }
}

impl TransportError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Denied(denial) => denial.hint(),
            Self::Address { denied, .. } => denied.hint(),
            Self::Credential(error) => error.hint(),
            Self::Setup(error) => error.hint(),
            Self::ProxyRefused(refusal) => Some(refusal.hint()),
            Self::Proxy {
                origin,
                problem,
                named_by,
                ..
            } => Some(problem.hint(origin, named_by)),
            Self::Connect { .. } | Self::Resolve { .. } => Some(String::from(
                "check the host in the URL, and that this machine can reach it",
            )),
            Self::Tls { hint, .. } => Some(hint.clone()),
            Self::Reset { origin, .. } | Self::Protocol { origin, .. } if !origin.is_https() => {
                Some(format!(
                    "check the scheme and the port in the URL: if the server speaks TLS there, it is `{}`",
                    origin.to_string().replacen("http:", "https:", 1)
                ))
            }
            Self::LoginRedirect { credential, .. } => Some(match credential {
                Some(name) => format!(
                    "credential `{name}` may have expired or lack a scope: renew it at the server"
                ),
                None => String::from("give the fetcher a credential: `--credential SLOT=env:NAME`"),
            }),
            Self::Echoed { credential, .. } => Some(format!(
                "a page that shows its visitors' headers is not for `{credential}`: leave its path out of the grant, and renew the credential if others can see that page"
            )),
            Self::RetryLater { after, .. } => {
                Some(format!("run the same command again in {}", Seconds(*after)))
            }
            Self::Changed { .. } => {
                Some(String::from("run the same command again to fetch it whole"))
            }
            _ => None,
        }
    }
}

fn login_message(url: &str, target: &str, credential: Option<&CredentialName>) -> String {
    match credential {
        Some(name) => format!(
            "`{url}` redirects to the login page `{target}`: credential `{name}` is not accepted"
        ),
        None => format!(
            "`{url}` redirects to the login page `{target}`: it wants a credential, and none was sent"
        ),
    }
}

fn of_total(expected: Option<u64>) -> String {
    expected.map_or_else(String::new, |expected| format!(" of {expected}"))
}

/// A duration as people read it: `5 s`, `0.25 s`.
pub(crate) struct Seconds(pub(crate) Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} s", self.0.as_secs_f64())
    }
}
