//! Who may ask what of whom.
//!
//! A fetcher module is untrusted. What it may do is what it **asks** (its
//! [`describe`] document) cut with what the user or the administrator
//! **granted** (a [`Config`] and, for commands that were typed, a
//! [`Consent`]). The [`Broker`] holds both sides and is the only maker of a
//! [`Permit`]; the transport sends nothing else.
//!
//! The crate is pure: it does no I/O, knows no sandbox and no HTTP client, and
//! parses the text that it is given. "May this request go out?" is answered in
//! [`broker`]; "what does this spelling mean?" in [`origin`], [`path`],
//! [`headers`] and [`address`].

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test fails by panicking"))]

pub mod address;
pub mod broker;
mod bucket;
mod builtin;
mod certificate;
pub mod config;
mod consent;
mod credential;
mod deny;
pub mod describe;
mod display;
mod domain;
mod grant;
pub mod headers;
mod ids;
mod key;
mod key_server;
pub mod limits;
mod method;
pub mod origin;
pub mod path;
mod presigned;
pub mod proxy;
mod route;
mod s3;
mod scheme;
mod signing;
mod source;
mod suggest;
mod upstream;

pub use address::{AddressDenied, AddressRule};
pub use broker::command::word as shell_word;
pub use broker::{Arrival, Broker, Denial, DenialKind, Explanation, Permit, PolicyError, Reach};
pub use builtin::{S3_SERVER, composed_origin};
pub use certificate::{CERTIFICATE_SCHEME, CERTIFICATE_SLOT, ClientCertificate};
pub use config::{Config, ConfigError, DaemonPeers, GatewayConfig, MemoConfig};
pub use consent::{ArgvCredential, ArgvCredentialError, ArgvSource, Consent};
pub use credential::CredentialSpec;
pub use deny::Deny;
pub use display::{DisplayUrl, printable};
pub use domain::{Domain, DomainError};
pub use grant::{Grant, Provenance, Remember};
pub use ids::{CredentialName, HostPart, IdError, InputName, ModuleId, SlotName};
pub use key::{KeyName, KeyNameError, KeySource, KeySpec, Pin, Use, UseError, Uses};
pub use key_server::{KeyServer, KeyServerError};
pub use limits::{Limit, Limits, Overrun};
pub use method::{Method, MethodError};
pub use origin::{Origin, OriginError, OriginPattern, parse_url};
pub use path::{NormalPath, PathDenial, PathPattern, PathPatternError};
pub use presigned::is_presigned;
pub use proxy::{EnvironmentProxyError, Exception, Proxies, Proxy, ProxyError, ProxySource};
pub use route::{Route, RoutedUrl, UrlPattern, UrlPatternError};
pub use s3::{BucketUrl, BucketUrlError};
pub use scheme::{AwsScope, Scheme, SchemeError};
pub use signing::{KeyPermit, Leave, SigningPolicy};
pub use source::{AWS_KEY_VARIABLES, Program, SourceError, SourceSpec};
pub use suggest::nearest;
pub use upstream::{UpstreamUrl, UpstreamUrlError};
