//! Where the buckets of S3, and of storage that speaks its protocol, are.

use std::collections::BTreeMap;

use thiserror::Error;
use url::Url;

use crate::{Origin, OriginError, parse_url, printable};

/// The region when none is given, as for Nix.
const DEFAULT_REGION: &str = "us-east-1";

/// The domain of AWS's servers in `region`.
pub(crate) fn domain(region: &str) -> &'static str {
    if region.starts_with("cn-") {
        "amazonaws.com.cn"
    } else {
        "amazonaws.com"
    }
}

/// What says where a bucket is, as the module `s3` understands it (`fetchers/s3/src/location.rs`).
#[derive(Clone, Copy, Debug)]
pub(crate) struct S3Place<'a> {
    /// The bucket's name, not yet checked.
    pub(crate) bucket: &'a str,
    /// The server, as a URL; none for AWS's.
    pub(crate) endpoint: Option<&'a str>,
    /// The region, which is part of the name of AWS's servers.
    pub(crate) region: Option<&'a str>,
    /// `path`, `virtual`, or anything else for what fits.
    pub(crate) style: Option<&'a str>,
}

impl S3Place<'_> {
    /// Whether the bucket stands in front of the server's name, and not in the path.
    pub(crate) fn is_virtual(&self) -> bool {
        match self.style {
            Some("virtual") => true,
            Some("path") => false,
            _ => self.endpoint.is_none() && self.is_label(),
        }
    }

    /// Whether the bucket's name can stand in front of a server's: no certificate covers what has a dot, and
    /// with capital letters made small it would be another bucket.
    pub(crate) fn is_label(&self) -> bool {
        let bucket = self.bucket;
        (1..=63).contains(&bucket.len())
            && !bucket.starts_with('-')
            && !bucket.ends_with('-')
            && bucket
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    }

    /// The bucket's server.
    ///
    /// # Errors
    /// When these make no origin.
    pub(crate) fn origin(&self) -> Result<Origin, OriginError> {
        let prefix = if self.is_virtual() {
            format!("{}.", self.bucket)
        } else {
            String::new()
        };
        let Some(endpoint) = self.endpoint else {
            let region = self.region.unwrap_or(DEFAULT_REGION);
            return Origin::parse(&format!("https://{prefix}s3.{region}.{}", domain(region)));
        };
        let origin = Origin::of_parameter(endpoint)?;
        if prefix.is_empty() {
            return Ok(origin);
        }
        let origin = origin.to_string();
        Origin::parse(&origin.replacen("://", &format!("://{prefix}"), 1))
    }
}

/// The parameters of an `s3://` URL that say where the bucket is, and as whom it is asked, by Nix's names.
const PLACE: [&str; 5] = [
    "endpoint",
    "region",
    "scheme",
    "addressing-style",
    "profile",
];

/// Where a bucket is: `s3://BUCKET?endpoint=…&region=…`, with Nix's own parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketUrl {
    /// The bucket's name.
    pub bucket: String,
    /// What lies in the bucket has a URL below this one, which ends with `/`.
    pub url: Url,
    /// The bucket's server.
    pub origin: Origin,
    /// The region to sign for, when it is said.
    pub region: Option<String>,
    /// The profile of AWS's own files whose access keys are used, when it is said.
    pub profile: Option<String>,
}

/// Why a text is not the URL of a bucket. It repeats nothing of the text but names of parameters: it may hold
/// a password.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum BucketUrlError {
    /// Not `s3://BUCKET`.
    #[error(
        "a bucket is written `s3://BUCKET?endpoint=URL&region=REGION`, with nothing else before the `?`"
    )]
    Form,
    /// A name that no bucket has, or none that can stand before a server's.
    #[error(
        "the bucket's name is made of letters, digits, `-`, `_` and `.`; with `addressing-style=virtual`, of small letters, digits and `-`"
    )]
    Name,
    /// A value that the parameter cannot have.
    #[error("the parameter `{name}` is {wanted}")]
    Value {
        /// The parameter.
        name: &'static str,
        /// What it can be.
        wanted: &'static str,
    },
    /// A parameter that is given twice.
    #[error("the parameter `{0}` is given twice")]
    Twice(String),
    /// Not a server.
    #[error("the bucket's `endpoint` has no usable host: {0}")]
    Origin(#[from] OriginError),
}

impl BucketUrl {
    /// Reads the URL, and gives the parameters that say nothing of the place, decoded.
    ///
    /// # Errors
    /// When it names no place where a bucket can be.
    pub fn parse(text: &str) -> Result<(Self, BTreeMap<String, String>), BucketUrlError> {
        let url = Url::parse(text).map_err(|_| BucketUrlError::Form)?;
        let bucket = url.host_str().unwrap_or_default();
        let is_plain = url.scheme() == "s3"
            && url.username().is_empty()
            && url.password().is_none()
            && url.port().is_none()
            && url.fragment().is_none()
            && matches!(url.path(), "" | "/");
        if !is_plain || bucket.is_empty() {
            return Err(BucketUrlError::Form);
        }
        let is_name = bucket
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'));
        if !is_name || bucket.starts_with('.') || bucket.contains("..") {
            return Err(BucketUrlError::Name);
        }
        let mut given = BTreeMap::new();
        for (name, value) in url.query_pairs() {
            if given.insert(name.to_string(), value.into_owned()).is_some() {
                return Err(BucketUrlError::Twice(printable(&name).into_owned()));
            }
        }
        let [endpoint, region, scheme, style, profile] = PLACE.map(|name| given.remove(name));
        let is_region = |region: &String| {
            let plain =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            (1..=64).contains(&region.len()) && region.bytes().all(plain)
        };
        check(
            "region",
            "made of `a` to `z`, `0` to `9` and `-`",
            region.as_ref().is_none_or(is_region),
        )?;
        let is_one_of = |value: &Option<String>, known: &[&str]| {
            value
                .as_ref()
                .is_none_or(|value| known.contains(&value.as_str()))
        };
        check(
            "scheme",
            "`https` or `http`",
            is_one_of(&scheme, &["https", "http"]),
        )?;
        let styles = ["auto", "path", "virtual"];
        check(
            "addressing-style",
            "`auto`, `path` or `virtual`",
            is_one_of(&style, &styles),
        )?;
        // Nix also takes a host alone, with the scheme beside it.
        let endpoint = endpoint.map(|endpoint| {
            if endpoint.contains("://") {
                endpoint
            } else {
                format!("{}://{endpoint}", scheme.as_deref().unwrap_or("https"))
            }
        });
        let place = S3Place {
            bucket,
            endpoint: endpoint.as_deref(),
            region: region.as_deref(),
            style: style.as_deref(),
        };
        if place.is_virtual() && !place.is_label() {
            return Err(BucketUrlError::Name);
        }
        let origin = place.origin()?;
        let base = match &endpoint {
            Some(endpoint) => {
                check(
                    "endpoint",
                    "a URL without user, query and fragment",
                    !endpoint.contains(['?', '#', '@']),
                )?;
                parse_url(endpoint)?.path().trim_end_matches('/').to_owned()
            }
            None => String::new(),
        };
        let folder = if place.is_virtual() {
            String::new()
        } else {
            format!("/{bucket}")
        };
        Ok((
            Self {
                url: parse_url(&format!("{origin}{base}{folder}/"))?,
                bucket: bucket.to_owned(),
                origin,
                region,
                profile,
            },
            given,
        ))
    }
}

fn check(name: &'static str, wanted: &'static str, is_right: bool) -> Result<(), BucketUrlError> {
    if is_right {
        Ok(())
    } else {
        Err(BucketUrlError::Value { name, wanted })
    }
}
