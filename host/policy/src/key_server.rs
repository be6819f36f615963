//! The servers that give AWS's access keys, and what a credential's source may ask of them.
//!
//! **The threat.** A token that stands for an identity goes to a server that nobody meant: a region that is part
//! of a host's name leads elsewhere, or the server redirects the request and the token with it. Or a metadata
//! service, which gives keys to whoever asks, is asked although nobody said so.
//!
//! **The rule.** Nobody grants anything to `host:sts`, `host:sso` and `host:imds`, and no grant adds anything:
//! whoever gives a credential the source has said yes to the one server that AWS's own variables and files
//! name, as exactly as if it were written in a grant. There it may send what its kind takes, and follow no
//! redirect to another origin. Without `allow-metadata` a metadata service is reached by `host:imds` alone, for a
//! source that only a configuration names. What the administrator denies stays denied.
//!
//! | part | what names the server | server | sends |
//! |---|---|---|---|
//! | `host:sts` | `AWS_ENDPOINT_URL_STS` or `AWS_ENDPOINT_URL`: `http://127.0.0.1:4566`, `https://minio.lan/sts` | that URL | `POST` |
//! | | region `eu-west-1` | `https://sts.eu-west-1.amazonaws.com/` | |
//! | | region `cn-north-1` | `https://sts.cn-north-1.amazonaws.com.cn/` | |
//! | | nothing | `https://sts.amazonaws.com/` | |
//! | `host:sso` | the endpoint or the region of the session | `https://portal.sso.eu-west-1.amazonaws.com/` | `GET` |
//! | `host:imds` | AWS's own variables, else nothing | that URL, else `http://169.254.169.254/` | `GET`, `PUT` |
//! | any | region `eu.evil.example/`, `EU`, empty; a URL with user name, query or fragment | none | |

use std::collections::BTreeMap;
use std::fmt;

use serde_json::json;
use url::Url;

use crate::describe::{FetcherDescription, Needs, SlotDescription};
use crate::{
    AwsScope, Broker, Config, CredentialName, CredentialSpec, Denial, Grant, HostPart, Method,
    ModuleId, Origin, OriginError, Permit, PolicyError, Provenance, Scheme, SlotName, SourceSpec,
    parse_url, s3,
};

/// STS's server that all regions share.
const GLOBAL_STS: &str = "https://sts.amazonaws.com/";
/// The metadata service of a machine of EC2.
const IMDS: &str = "http://169.254.169.254/";
/// What the header is called that proves who asks, as a slot, as a credential and as its variable.
const SLOT: &str = "session";
const VARIABLE: &str = "SESSION";

/// A server that is asked for access keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyServer {
    part: HostPart,
    url: Url,
    origin: Origin,
}

/// Why something names no server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyServerError {
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

impl KeyServer {
    /// AWS's STS for `region`, or the one that all regions share.
    ///
    /// # Errors
    /// [`KeyServerError::Region`] when that is no name of a region.
    pub fn sts(region: Option<&str>) -> Result<Self, KeyServerError> {
        match region {
            None => Self::at(HostPart::Sts, GLOBAL_STS),
            Some(region) => Self::regional(HostPart::Sts, "sts", region),
        }
    }

    /// AWS's access portal in `region`.
    ///
    /// # Errors
    /// [`KeyServerError::Region`] when that is no name of a region.
    pub fn sso(region: &str) -> Result<Self, KeyServerError> {
        Self::regional(HostPart::Sso, "portal.sso", region)
    }

    /// The metadata service of the machine.
    ///
    /// # Errors
    /// None: its address is one.
    pub fn imds() -> Result<Self, KeyServerError> {
        Self::at(HostPart::Imds, IMDS)
    }

    fn regional(part: HostPart, name: &str, region: &str) -> Result<Self, KeyServerError> {
        AwsScope::new(Some(region), None).map_err(|_| KeyServerError::Region)?;
        Self::at(
            part,
            &format!("https://{name}.{region}.{}/", s3::domain(region)),
        )
    }

    /// The server of `part` at a URL that the user wrote, and the path there.
    ///
    /// # Errors
    /// When that is no URL of `http` or `https`, or more than a place.
    pub fn at(part: HostPart, text: &str) -> Result<Self, KeyServerError> {
        if text.contains(['?', '#', '@']) {
            return Err(KeyServerError::More);
        }
        let url = parse_url(text)?;
        let origin = Origin::of_url(&url)?;
        Ok(Self { part, url, origin })
    }

    /// Where it is.
    #[must_use]
    pub const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Its own URL.
    #[must_use]
    pub const fn url(&self) -> &Url {
        &self.url
    }

    /// The URL of `path` below its own.
    #[must_use]
    pub fn below(&self, path: &str) -> Url {
        let mut url = self.url.clone();
        url.set_path(&format!("{}/{path}", url.path().trim_end_matches('/')));
        url
    }

    const fn methods(&self) -> &'static [Method] {
        match self.part {
            HostPart::Sts => &[Method::Post],
            HostPart::Imds => &[Method::Get, Method::Put],
            HostPart::Sso | HostPart::Substituter | HostPart::Cache => &[Method::Get],
        }
    }

    /// The broker of this server's part of the host, which permits requests to it and to nothing else. Of
    /// `config` only `[[deny]]` and `allow-metadata` count. With a `header` its permits carry a credential of that
    /// header, whose secret is in the environment variable that [`KeyServer::variable`] names.
    ///
    /// # Errors
    /// When the configuration does not fit itself.
    pub fn broker(&self, config: &Config, header: Option<&Scheme>) -> Result<Broker, PolicyError> {
        let module = ModuleId::Host(self.part);
        let mut config = config.clone();
        config.allow_metadata |= self.part == HostPart::Imds;
        let (mut slots, mut credentials) = (BTreeMap::new(), BTreeMap::new());
        if let (Some(scheme), Some(slot), Ok(name)) =
            (header, Self::slot(), SLOT.parse::<CredentialName>())
        {
            let summary = "What proves who asks".to_owned();
            let (scheme, optional) = (scheme.clone(), false);
            let spec = CredentialSpec {
                name: name.clone(),
                source: SourceSpec::Env(VARIABLE.to_owned()),
                scheme: scheme.clone(),
                origins: vec![self.origin.clone()],
            };
            config.credentials.insert(name.clone(), spec);
            credentials.insert(slot.clone(), name);
            let slot_description = SlotDescription {
                summary,
                scheme,
                optional,
            };
            slots.insert(slot, slot_description);
        }
        config.grants = vec![Grant {
            module: module.clone(),
            origins: vec![self.origin.clone().into()],
            methods: self.methods().to_vec(),
            paths: None,
            redirects: Vec::new(),
            credentials,
            keys: BTreeMap::new(),
            domain: None,
            remember: None,
            from: Provenance::BuiltIn,
        }];
        let description = FetcherDescription {
            summary: "Has a server give access keys".to_owned(),
            parameters: json!({ "type": "object" }),
            slots,
            needs: Needs {
                origin_parameter: None,
                origins: vec![self.origin.clone().into()],
                methods: self.methods().to_vec(),
                paths: "/**".parse().into_iter().collect(),
            },
            inputs: BTreeMap::new(),
            keys: BTreeMap::new(),
            output: Vec::new(),
        };
        Broker::new(module, self.part.name(), &description, &config, None)
    }

    /// The permit for a request of this server's [`broker`](Self::broker).
    ///
    /// # Errors
    /// When the administrator denies the server, or its address is none that may be contacted.
    pub fn permit(
        broker: &Broker,
        method: Method,
        url: &Url,
        has_header: bool,
        has_body: bool,
    ) -> Result<Permit, Denial> {
        let slot = Self::slot().filter(|_| has_header);
        broker.authorize(method, url, slot.as_ref(), has_body)
    }

    /// The environment variable of a keyring that resolves the credential of such a permit.
    #[must_use]
    pub const fn variable() -> &'static str {
        VARIABLE
    }

    fn slot() -> Option<SlotName> {
        SLOT.parse().ok()
    }
}

impl fmt::Display for KeyServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.url.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::DenialKind;

    fn region(name: &str) -> Result<String, KeyServerError> {
        KeyServer::sts(Some(name)).map(|server| server.to_string())
    }

    fn sts_at(text: &str) -> Result<KeyServer, KeyServerError> {
        KeyServer::at(HostPart::Sts, text)
    }

    fn post(server: &KeyServer, broker: &Broker) -> Result<Permit, Denial> {
        KeyServer::permit(broker, Method::Post, server.url(), false, true)
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
        let global = KeyServer::sts(None).unwrap();
        assert_eq!(global.to_string(), GLOBAL_STS);
        for name in ["", "eu.evil.example/", "evil.example#", "EU", "a@b", "a/b"] {
            assert_eq!(region(name), Err(KeyServerError::Region), "{name}");
        }
    }

    #[test]
    fn an_endpoint_is_a_place_and_nothing_more() {
        for text in [
            "http://127.0.0.1:4566/",
            "https://minio.lan/sts",
            "https://[::1]:9000/",
        ] {
            assert_eq!(sts_at(text).unwrap().to_string(), text);
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
            let error = sts_at(text).unwrap_err().to_string();
            assert!(!error.contains("s3cret"), "{text}: {error}");
        }
    }

    #[test]
    fn it_posts_to_its_own_server_and_follows_no_redirect_elsewhere() {
        let server = sts_at("http://127.0.0.1:4566/").unwrap();
        let broker = server.broker(&Config::default(), None).unwrap();
        let permit = post(&server, &broker).unwrap();
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
        let metadata = sts_at("http://169.254.169.254/").unwrap();
        let broker = metadata.broker(&Config::default(), None).unwrap();
        let denial = post(&metadata, &broker).unwrap_err();
        assert_eq!(denial.kind(), DenialKind::Address);
    }

    #[test]
    fn what_is_denied_stays_denied_and_no_grant_is_needed_or_taken() {
        let server = KeyServer::sts(Some("eu-west-1")).unwrap();
        for text in [
            "[[deny]]\norigins = [\"https://*.amazonaws.com\"]\n",
            "[[deny]]\nmodules = [\"host:sts\"]\n",
        ] {
            let broker = server.broker(&config(text), None).unwrap();
            let denial = post(&server, &broker).unwrap_err();
            assert_eq!(denial.kind(), DenialKind::Administrator, "{text}");
        }
        let grant = "[[grant]]\nmodule = \"host:sts\"\norigins = [\"https://a.example\"]\n";
        let error = Config::parse(grant, Path::new("/etc/c.toml")).unwrap_err();
        assert!(error.to_string().contains("takes no grant"), "{error}");
    }

    #[test]
    fn only_host_imds_reaches_a_metadata_service_and_it_reaches_nothing_else() {
        let server = KeyServer::imds().unwrap();
        let header = Scheme::header("X-aws-ec2-metadata-token").unwrap();
        let broker = server.broker(&Config::default(), Some(&header)).unwrap();
        let url = server.below("latest/meta-data/iam/security-credentials/");
        let permit = KeyServer::permit(&broker, Method::Get, &url, true, false).unwrap();
        assert_eq!(permit.credential().unwrap().scheme, header);
        let addresses = permit.addresses();
        assert!(addresses.check("169.254.169.254".parse().unwrap()).is_ok());
        for url in [
            "http://169.254.170.2/",
            "http://10.0.0.1/",
            "https://a.example/",
        ] {
            let url = Url::parse(url).unwrap();
            assert!(KeyServer::permit(&broker, Method::Get, &url, false, false).is_err());
        }
        assert!(post(&server, &broker).is_err());
        let denied = config("[[deny]]\nmodules = [\"host:imds\"]\n");
        let broker = server.broker(&denied, Some(&header)).unwrap();
        assert!(KeyServer::permit(&broker, Method::Get, &url, true, false).is_err());
    }

    #[test]
    fn the_access_portal_is_asked_in_the_regions_own_name() {
        let server = KeyServer::sso("eu-west-1").unwrap();
        assert_eq!(
            server.below("federation/credentials").as_str(),
            "https://portal.sso.eu-west-1.amazonaws.com/federation/credentials"
        );
        assert_eq!(KeyServer::sso("a/b"), Err(KeyServerError::Region));
    }
}
