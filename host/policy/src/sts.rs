//! AWS's security token service (STS), and what a credential's source may ask of it.
//!
//! **The threat.** A token that stands for an identity is posted to a server that nobody meant: a region
//! that is part of a host's name leads elsewhere, or the server redirects the request and the token with it.
//!
//! **The rule.** Nobody grants anything to `host:sts`, and no grant adds anything: whoever gives a
//! credential the source `aws` has said yes to the one server that AWS's own variables and files name, as
//! exactly as if it were written in a grant. There it may `POST`, and follow no redirect to another origin.
//! What the administrator denies stays denied.
//!
//! | what names the server | server |
//! |---|---|
//! | `AWS_ENDPOINT_URL_STS` or `AWS_ENDPOINT_URL`: `http://127.0.0.1:4566`, `https://minio.lan/sts` | that URL |
//! | region `eu-west-1` | `https://sts.eu-west-1.amazonaws.com/` |
//! | region `cn-north-1` | `https://sts.cn-north-1.amazonaws.com.cn/` |
//! | nothing | `https://sts.amazonaws.com/` |
//! | region `eu.evil.example/`, `EU`, empty; a URL with user name, query or fragment | none |

use std::collections::BTreeMap;
use std::fmt;

use serde_json::json;
use url::Url;

use crate::describe::{FetcherDescription, Needs};
use crate::{
    AwsScope, Broker, Config, Denial, Grant, HostPart, Method, ModuleId, Origin, OriginError,
    Permit, PolicyError, Provenance, parse_url, s3,
};

/// What messages call the part of the host that asks.
const NAME: &str = "sts";
/// The server that all regions share.
const GLOBAL: &str = "https://sts.amazonaws.com/";

/// The server that is asked for access keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StsServer {
    url: Url,
    origin: Origin,
}

/// Why something names no server of STS.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StsServerError {
    /// Not a URL of a server.
    #[error(transparent)]
    Origin(#[from] OriginError),
    /// More than a place.
    #[error("the URL of an endpoint has no user name, password, query or fragment")]
    More,
    /// Not the name of a region.
    #[error("the name of a region is made of `a`-`z`, `0`-`9` and `-`")]
    Region,
}

impl StsServer {
    /// AWS's server for `region`, or the one that all regions share.
    ///
    /// # Errors
    /// [`StsServerError::Region`] when that is no name of a region.
    pub fn of_region(region: Option<&str>) -> Result<Self, StsServerError> {
        let Some(region) = region else {
            return Self::at(GLOBAL);
        };
        AwsScope::new(Some(region), None).map_err(|_| StsServerError::Region)?;
        Self::at(&format!("https://sts.{region}.{}/", s3::domain(region)))
    }

    /// The server at a URL that the user wrote, and the path there.
    ///
    /// # Errors
    /// When that is no URL of `http` or `https`, or more than a place.
    pub fn at(text: &str) -> Result<Self, StsServerError> {
        if text.contains(['?', '#', '@']) {
            return Err(StsServerError::More);
        }
        let url = parse_url(text)?;
        let origin = Origin::of_url(&url)?;
        Ok(Self { url, origin })
    }

    /// Where it is.
    #[must_use]
    pub const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The broker of `host:sts`, which permits a `POST` to this server and nothing else. Of `config` only
    /// what it denies counts.
    ///
    /// # Errors
    /// When the configuration does not fit itself.
    pub fn broker(&self, config: &Config) -> Result<Broker, PolicyError> {
        let module = ModuleId::Host(HostPart::Sts);
        let needs = Needs {
            origin_parameter: None,
            origins: vec![self.origin.clone().into()],
            methods: vec![Method::Post],
            paths: "/**".parse().into_iter().collect(),
        };
        let description = FetcherDescription {
            summary: "Has STS give access keys".to_owned(),
            parameters: json!({ "type": "object" }),
            slots: BTreeMap::new(),
            needs,
            output: Vec::new(),
        };
        let grant = Grant {
            module: module.clone(),
            origins: vec![self.origin.clone().into()],
            methods: vec![Method::Post],
            paths: None,
            redirects: Vec::new(),
            credentials: BTreeMap::new(),
            from: Provenance::BuiltIn,
        };
        let mut config = config.clone();
        config.grants = vec![grant];
        Broker::new(module, NAME, &description, &config, None)
    }

    /// The permit for the one request, of this server's [`broker`](Self::broker).
    ///
    /// # Errors
    /// When the administrator denies the server, or its address is none that may be contacted.
    pub fn permit(&self, broker: &Broker) -> Result<Permit, Denial> {
        broker.authorize(Method::Post, &self.url, None, true)
    }
}

impl fmt::Display for StsServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.url.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::DenialKind;

    fn region(name: &str) -> Result<String, StsServerError> {
        StsServer::of_region(Some(name)).map(|server| server.to_string())
    }

    fn config(text: &str) -> Config {
        Config::parse(text, Path::new("/etc/c.toml")).unwrap()
    }

    #[test]
    fn a_region_is_a_part_of_the_servers_name_and_cannot_be_more() {
        for (name, url) in [
            ("eu-west-1", "https://sts.eu-west-1.amazonaws.com/"),
            ("cn-north-1", "https://sts.cn-north-1.amazonaws.com.cn/"),
        ] {
            assert_eq!(region(name).unwrap(), url);
        }
        let global = StsServer::of_region(None).unwrap();
        assert_eq!(global.to_string(), GLOBAL);
        for name in ["", "eu.evil.example/", "evil.example#", "EU", "a@b", "a/b"] {
            assert_eq!(region(name), Err(StsServerError::Region), "{name}");
        }
    }

    #[test]
    fn an_endpoint_is_a_place_and_nothing_more() {
        for text in [
            "http://127.0.0.1:4566/",
            "https://minio.lan/sts",
            "https://[::1]:9000/",
        ] {
            assert_eq!(StsServer::at(text).unwrap().to_string(), text);
        }
        for text in [
            "",
            "sts.lan",
            "ftp://sts.lan",
            "https://user:s3cret@sts.lan",
            "https://sts.lan?s3cret",
            "https://sts.lan/#s3cret",
            "https://sts.lan/../x",
            "https://",
        ] {
            let error = StsServer::at(text).unwrap_err().to_string();
            assert!(!error.contains("s3cret"), "{text}: {error}");
        }
    }

    #[test]
    fn it_posts_to_its_own_server_and_follows_no_redirect_elsewhere() {
        let server = StsServer::at("http://127.0.0.1:4566/").unwrap();
        let broker = server.broker(&Config::default()).unwrap();
        let permit = server.permit(&broker).unwrap();
        assert_eq!(permit.method(), Method::Post);
        assert!(permit.credential().is_none());
        let to = |text: &str| Url::parse(text).unwrap();
        for url in ["http://127.0.0.1:4567/", "https://sts.amazonaws.com/"] {
            assert!(
                broker
                    .authorize(Method::Post, &to(url), None, true)
                    .is_err()
            );
            for method in [Method::Post, Method::Get] {
                assert!(broker.redirect(&permit, method, &to(url)).is_err());
            }
        }
        let own = to("http://127.0.0.1:4566/");
        assert!(broker.authorize(Method::Get, &own, None, false).is_err());
        let metadata = StsServer::at("http://169.254.169.254/").unwrap();
        let broker = metadata.broker(&Config::default()).unwrap();
        let denial = metadata.permit(&broker).unwrap_err();
        assert_eq!(denial.kind(), DenialKind::Address);
    }

    #[test]
    fn what_is_denied_stays_denied_and_no_grant_is_needed_or_taken() {
        let server = StsServer::of_region(Some("eu-west-1")).unwrap();
        for text in [
            "[[deny]]\norigins = [\"https://*.amazonaws.com\"]\n",
            "[[deny]]\nmodules = [\"host:sts\"]\n",
        ] {
            let broker = server.broker(&config(text)).unwrap();
            let denial = server.permit(&broker).unwrap_err();
            assert_eq!(denial.kind(), DenialKind::Administrator, "{text}");
        }
        let grant = "[[grant]]\nmodule = \"host:sts\"\norigins = [\"https://a.example\"]\n";
        let error = Config::parse(grant, Path::new("/etc/c.toml")).unwrap_err();
        assert!(error.to_string().contains("takes no grant"), "{error}");
    }
}
