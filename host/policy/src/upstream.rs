//! Binary caches that the gateway serves again, and what its substituter asks of them.
//!
//! **The threat.** A record of such a cache names where its NAR lies. Whoever writes records there sends
//! the request, and with it the credential, to another server, to another place of the same one, or to
//! another file of the owner's.
//!
//! **The rule.** What is asked for lies below the cache's own URL, however it is spelt.
//!
//! | URL of a cache | |
//! |---|---|
//! | `https://cache.example.com`, `https://a.example/private/` | asked with the grants of `host:substituter` |
//! | `http://127.0.0.1:8080` | the same |
//! | `file:///srv/cache` | read, with no grant: a path of the owner's own writing |
//! | `s3://BUCKET?endpoint=…&region=…` | as its server's `https://` URL, with Nix's own parameters |
//! | others with a user name, a password, a query or a fragment | refused |
//!
//! | place of a NAR, for `https://a.example/private` | |
//! |---|---|
//! | `nar/x.nar.xz`, `x.nar?part=1`, `/private/x.nar`, `https://a.example/private/x.nar` | asked for |
//! | `../x`, `nar/..%2f..`, `/x`, `/private2/x`, `//b.example/x`, `https://b.example/x`, `x#y` | nowhere |

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde_json::json;
use url::Url;

use crate::describe::{FetcherDescription, Needs, SlotDescription};
use crate::s3::{BucketUrl, BucketUrlError};
use crate::{Method, Origin, OriginError, Scheme, parse_url};

/// The slot of the credential for a cache.
const SLOT: &str = "auth";

/// The URL of a binary cache that is served again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpstreamUrl {
    /// A folder.
    Folder(PathBuf),
    /// A server: its URL, which ends with `/`, and its origin.
    Http(Box<Url>, Origin),
}

/// Why a text is not the URL of a cache that can be served again. It does not repeat the text, which may
/// hold a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamUrlError {
    /// Another scheme.
    #[error(
        "an upstream is `https://HOST[/PATH]`, `http://HOST[/PATH]`, `s3://BUCKET` or `file:///DIR`"
    )]
    Scheme,
    /// Not a bucket of S3.
    #[error(
        "an upstream `s3://BUCKET` is followed by nothing but `?endpoint=URL`, `region`, `scheme` and `addressing-style`; its credential is `credentials = {{ {SLOT} = … }}` in a `[[grant]]` for `host:substituter`"
    )]
    S3,
    /// More than a place.
    #[error(
        "an upstream's URL has no user name, password, query or fragment; its credential is `credentials = {{ {SLOT} = … }}` in a `[[grant]]` for `host:substituter`"
    )]
    More,
    /// Not a folder's path.
    #[error("an upstream `file://` is followed by the absolute path of a folder")]
    Path,
    /// Not an origin.
    #[error("an upstream's URL has no usable host: {0}")]
    Origin(#[from] OriginError),
}

impl UpstreamUrl {
    /// The URL of what a record calls `place`, if that is below the cache's own. None for a folder.
    #[must_use]
    pub fn below(&self, place: &str) -> Option<Url> {
        let Self::Http(base, origin) = self else {
            return None;
        };
        let url = base.join(place).ok()?;
        let is_plain =
            url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
        // What a server may take for a separator, or for a step upwards.
        let path = url.path().to_ascii_lowercase();
        let is_ambiguous = ["%2f", "%5c", "%2e", "%00"]
            .iter()
            .any(|part| path.contains(part));
        let is_below = Origin::of_url(&url).as_ref() == Ok(origin)
            && url.path().starts_with(base.path())
            && url.path() != base.path();
        (is_plain && is_below && !is_ambiguous).then_some(url)
    }

    /// What the substituter asks of caches: to read anything below them, with a credential where one is
    /// granted.
    #[must_use]
    pub fn needs() -> FetcherDescription {
        let slot = SlotDescription {
            summary: "The credential for a private cache".to_owned(),
            scheme: Scheme::Bearer,
            optional: true,
        };
        FetcherDescription {
            summary: "Serves another binary cache again".to_owned(),
            parameters: json!({ "type": "object" }),
            slots: SLOT.parse().map(|name| (name, slot)).into_iter().collect(),
            needs: Needs {
                origin_parameter: Some("upstream".to_owned()),
                origins: Vec::new(),
                methods: vec![Method::Get],
                paths: "/**".parse().into_iter().collect(),
            },
            inputs: BTreeMap::new(),
            keys: BTreeMap::new(),
            output: Vec::new(),
        }
    }
}

impl FromStr for UpstreamUrl {
    type Err = UpstreamUrlError;

    fn from_str(text: &str) -> Result<Self, UpstreamUrlError> {
        let (scheme, _) = text.split_once("://").ok_or(UpstreamUrlError::Scheme)?;
        match scheme {
            "s3" => bucket(text),
            "file" => folder(text),
            "http" | "https" => server(text),
            _ => Err(UpstreamUrlError::Scheme),
        }
    }
}

fn folder(text: &str) -> Result<UpstreamUrl, UpstreamUrlError> {
    if text.contains(['?', '#']) {
        return Err(UpstreamUrlError::More);
    }
    let path = text
        .strip_prefix("file://")
        .filter(|path| path.starts_with('/') && !path.contains('\0'))
        .and_then(|_| Url::parse(text).ok())
        .and_then(|url| url.to_file_path().ok());
    path.map(UpstreamUrl::Folder).ok_or(UpstreamUrlError::Path)
}

/// A bucket, by Nix's own parameters. `region` is for AWS's servers; the one to sign for is the
/// credential's, so that beside `endpoint` it changes nothing.
fn bucket(text: &str) -> Result<UpstreamUrl, UpstreamUrlError> {
    let refused = |error| match error {
        BucketUrlError::Origin(error) => UpstreamUrlError::Origin(error),
        _ => UpstreamUrlError::S3,
    };
    let (bucket, parameters) = BucketUrl::parse(text).map_err(refused)?;
    if !parameters.is_empty() || bucket.profile.is_some() {
        return Err(UpstreamUrlError::S3);
    }
    Ok(UpstreamUrl::Http(Box::new(bucket.url), bucket.origin))
}

fn server(text: &str) -> Result<UpstreamUrl, UpstreamUrlError> {
    if text.contains(['?', '#', '@']) {
        return Err(UpstreamUrlError::More);
    }
    let mut url = parse_url(text)?;
    let origin = Origin::of_url(&url)?;
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    Ok(UpstreamUrl::Http(Box::new(url), origin))
}

impl fmt::Display for UpstreamUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => match Url::from_file_path(path) {
                Ok(url) => f.write_str(url.as_str()),
                Err(()) => write!(f, "file://{}", Path::display(path)),
            },
            Self::Http(url, _) => f.write_str(url.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<UpstreamUrl, UpstreamUrlError> {
        text.parse()
    }

    #[test]
    fn caches_are_folders_and_servers() {
        for (text, shown) in [
            ("https://a.example", "https://a.example/"),
            ("https://a.example/private", "https://a.example/private/"),
            ("http://127.0.0.1:8080/", "http://127.0.0.1:8080/"),
            ("file:///srv/cache", "file:///srv/cache"),
            ("file:///srv/a%20b", "file:///srv/a%20b"),
        ] {
            let url = parse(text).unwrap();
            assert_eq!(url.to_string(), shown);
            assert_eq!(parse(shown).unwrap(), url);
        }
        let folder = UpstreamUrl::Folder("/srv/a b".into());
        assert_eq!(parse("file:///srv/a%20b"), Ok(folder));
    }

    #[test]
    fn what_is_no_plain_place_is_refused_without_being_repeated() {
        for text in [
            "s3://",
            "s3://user:s3cret@bucket",
            "s3://bucket/s3cret",
            "s3://bucket?profile=s3cret",
            "s3://bucket?region=a&region=b",
            "s3://bucket?secret-key=s3cret",
            "s3://bucket#s3cret",
            "s3://bucket:80",
            "s3://Bucket?addressing-style=virtual",
            "s3://buck.et?addressing-style=virtual",
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error, UpstreamUrlError::S3, "{text}");
            assert!(!error.to_string().contains("s3cret"));
        }
        for text in [
            "s3://bucket?region=x.evil.example/",
            "s3://bucket?endpoint=https://u@h",
            "s3://bucket?endpoint=h/%2e%2e",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        for text in [
            "",
            "/srv",
            "ftp://a.example",
            "HTTPS://a.example",
            "file:/srv",
        ] {
            assert_eq!(parse(text), Err(UpstreamUrlError::Scheme), "{text}");
        }
        for text in ["file://srv/cache", "file://"] {
            assert_eq!(parse(text), Err(UpstreamUrlError::Path), "{text}");
        }
        for text in [
            "https://user:s3cret@a.example",
            "https://a.example?token=s3cret",
            "https://a.example/#s3cret",
            "file:///srv?s3cret",
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error, UpstreamUrlError::More, "{text}");
            assert!(!error.to_string().contains("s3cret"));
        }
        for text in ["https://", "https://a..b", "https://A.example."] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_bucket_is_its_servers_url() {
        for (text, shown) in [
            ("s3://b", "https://b.s3.us-east-1.amazonaws.com/"),
            (
                "s3://b?region=eu-west-1",
                "https://b.s3.eu-west-1.amazonaws.com/",
            ),
            (
                "s3://b.c?region=eu-west-1",
                "https://s3.eu-west-1.amazonaws.com/b.c/",
            ),
            (
                "s3://My_Bucket",
                "https://s3.us-east-1.amazonaws.com/My_Bucket/",
            ),
            ("s3://b?endpoint=https://minio.lan", "https://minio.lan/b/"),
            (
                "s3://b?endpoint=minio.lan:9000&scheme=http&region=x",
                "http://minio.lan:9000/b/",
            ),
            ("s3://b?endpoint=https://h/base/", "https://h/base/b/"),
            (
                "s3://b?endpoint=https%3A%2F%2Fh&addressing-style=virtual",
                "https://b.h/",
            ),
        ] {
            assert_eq!(parse(text).unwrap().to_string(), shown, "{text}");
        }
    }

    #[test]
    fn a_nar_lies_below_its_cache_or_nowhere() {
        let cache = parse("https://a.example/private").unwrap();
        for (place, url) in [
            ("nar/x.nar.xz", "https://a.example/private/nar/x.nar.xz"),
            ("./x.nar?part=1", "https://a.example/private/x.nar?part=1"),
            ("/private/x.nar", "https://a.example/private/x.nar"),
            ("nar/../x.nar", "https://a.example/private/x.nar"),
            (
                "https://a.example:443/private/x.nar",
                "https://a.example/private/x.nar",
            ),
        ] {
            assert_eq!(cache.below(place).unwrap().as_str(), url, "{place}");
        }
        for place in [
            "",
            ".",
            "..",
            "../x",
            "../privat%65",
            "nar/../../x",
            "nar/%2e%2e/%2e%2e/x",
            "nar/..%2f..%2fx",
            "nar\\..\\..\\x",
            "nar/..%5c..%5cx",
            "/x",
            "/private",
            "/private2/x",
            "/PRIVATE/x",
            "//b.example/private/x",
            "https://b.example/private/x",
            "https://a.example:8443/private/x",
            "http://a.example/private/x",
            "https://a.example@b.example/private/x",
            "https://user@a.example/private/x",
            "file:///private/x",
            "x#y",
            "x%00",
        ] {
            assert_eq!(cache.below(place), None, "{place}");
        }
        assert_eq!(parse("file:///srv").unwrap().below("nar/x"), None);
    }
}
