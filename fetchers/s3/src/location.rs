//! The URL of an object, as Nix's own `s3://` finds it.
//!
//! | `endpoint` | `addressing-style` | URL |
//! |---|---|---|
//! | none | auto, `bucket` is a label; virtual | `https://BUCKET.s3.REGION.amazonaws.com/KEY` |
//! | none | auto, it is none; path | `https://s3.REGION.amazonaws.com/BUCKET/KEY` |
//! | `https://HOST/BASE` | auto, path | `https://HOST/BASE/BUCKET/KEY` |
//! | `https://HOST/BASE` | virtual | `https://BUCKET.HOST/BASE/KEY` |
//!
//! A label is made of small letters, digits and `-`. Nothing else is put in front of a name: no certificate
//! covers what has a dot, and with capital letters made small it would be another bucket. The host composes
//! the same origins to tell what a user consents to (`fetchhost-policy`).

use fetchhost_sdk::{FetchError, url};

use crate::{AddressingStyle, Params};

/// The region when none is given, as for Nix.
const DEFAULT_REGION: &str = "us-east-1";

/// Where an object is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Location {
    /// Scheme, host and path up to the key.
    base: String,
    key: String,
    version: Option<String>,
}

impl Location {
    pub(crate) fn of(params: &Params) -> Result<Self, FetchError> {
        let bucket = bucket(&params.bucket)?;
        let is_label = is_label(bucket);
        let (scheme, rest) = match &params.endpoint {
            Some(endpoint) => {
                if params.region.is_some() {
                    return Err(FetchError::bad_params(
                        "`region` is part of the server's name in AWS, and `endpoint` names another server; the region to sign for belongs to the credential",
                    ));
                }
                let endpoint = url::base("endpoint", endpoint)?;
                let (scheme, rest) = endpoint.split_once("://").unwrap_or(("https", endpoint));
                (scheme, rest.trim_end_matches('/').to_owned())
            }
            None => ("https", aws(params.region.as_deref())?),
        };
        let is_virtual = match params.addressing_style {
            AddressingStyle::Auto => params.endpoint.is_none() && is_label,
            AddressingStyle::Path => false,
            AddressingStyle::Virtual => true,
        };
        if is_virtual && !is_label {
            return Err(FetchError::bad_params(
                "`addressing-style` virtual is only possible for a `bucket` of small letters, digits and `-`",
            ));
        }
        let base = if is_virtual {
            format!("{scheme}://{bucket}.{rest}")
        } else {
            format!("{scheme}://{rest}/{bucket}")
        };
        Ok(Self {
            base,
            key: key(&params.key)?.to_owned(),
            version: params.version_id.clone(),
        })
    }

    pub(crate) fn url(&self) -> String {
        let Self { base, key, version } = self;
        let version = version.as_ref();
        let query = version.map(|version| format!("?versionId={}", url::query(version)));
        format!("{base}/{}{}", url::path(key), query.unwrap_or_default())
    }
}

/// AWS's server for a region.
fn aws(region: Option<&str>) -> Result<String, FetchError> {
    let region = region.unwrap_or(DEFAULT_REGION);
    let is_region = !region.is_empty()
        && region
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if !is_region {
        return Err(FetchError::bad_params(
            "`region` is made of `a` to `z`, `0` to `9` and `-`",
        ));
    }
    let end = if region.starts_with("cn-") { ".cn" } else { "" };
    Ok(format!("s3.{region}.amazonaws.com{end}"))
}

/// A bucket's name: what is none could make another host, or another path, of the URL.
fn bucket(name: &str) -> Result<&str, FetchError> {
    let is_name = (1..=255).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
        && !name.starts_with('.')
        && !name.contains("..");
    if is_name {
        Ok(name)
    } else {
        Err(FetchError::bad_params(
            "`bucket` is made of letters, digits, `-`, `_` and single dots, and begins with no dot",
        ))
    }
}

/// Whether a bucket's name can stand in the name of a server.
fn is_label(bucket: &str) -> bool {
    bucket.len() <= 63
        && !bucket.starts_with('-')
        && !bucket.ends_with('-')
        && bucket
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// A key that a URL can carry: `.` and `..` would be taken away on the way.
fn key(key: &str) -> Result<&str, FetchError> {
    if key.is_empty() {
        return Err(FetchError::bad_params("`key` is empty"));
    }
    if key.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err(FetchError::bad_params(
            "`key` holds a `.` or `..` segment, which no URL carries",
        ));
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::S3Object;

    fn location(members: &str) -> Result<String, String> {
        let json = format!("{{ {members} }}");
        let params =
            fetchhost_sdk::parameters::<S3Object>(&json).map_err(|error| error.to_string())?;
        let location = Location::of(&params).map_err(|error| error.to_string())?;
        Ok(location.url())
    }

    #[test]
    fn the_bucket_stands_where_the_style_says() {
        for (members, url) in [
            (r#""bucket": "b""#, "https://b.s3.us-east-1.amazonaws.com/k"),
            (
                r#""bucket": "b", "region": "eu-west-1""#,
                "https://b.s3.eu-west-1.amazonaws.com/k",
            ),
            (
                r#""bucket": "b", "region": "cn-north-1""#,
                "https://b.s3.cn-north-1.amazonaws.com.cn/k",
            ),
            (
                r#""bucket": "b.c""#,
                "https://s3.us-east-1.amazonaws.com/b.c/k",
            ),
            (
                r#""bucket": "My_Bucket""#,
                "https://s3.us-east-1.amazonaws.com/My_Bucket/k",
            ),
            (
                r#""bucket": "b", "addressing-style": "path""#,
                "https://s3.us-east-1.amazonaws.com/b/k",
            ),
            (
                r#""bucket": "b", "endpoint": "http://h:9000""#,
                "http://h:9000/b/k",
            ),
            (
                r#""bucket": "b", "endpoint": "https://h/base/""#,
                "https://h/base/b/k",
            ),
            (
                r#""bucket": "b", "endpoint": "https://h/base", "addressing-style": "virtual""#,
                "https://b.h/base/k",
            ),
        ] {
            assert_eq!(location(&format!(r#"{members}, "key": "k""#)).unwrap(), url);
        }
    }

    #[test]
    fn keys_and_versions_are_encoded() {
        let url =
            location(r#""bucket": "b", "key": "a b/+%41/é?#", "version-id": "v/1&x""#).unwrap();
        assert_eq!(
            url,
            "https://b.s3.us-east-1.amazonaws.com/a%20b/%2B%2541/%C3%A9%3F%23?versionId=v%2F1%26x"
        );
    }

    #[test]
    fn what_would_lead_elsewhere_is_refused() {
        for (members, says) in [
            (r#""bucket": "b/c", "key": "k""#, "`bucket`"),
            (r#""bucket": "b@evil.example", "key": "k""#, "`bucket`"),
            (r#""bucket": "", "key": "k""#, "`bucket`"),
            (r#""bucket": "..", "key": "k""#, "`bucket`"),
            (r#""bucket": "b", "key": """#, "`key`"),
            (r#""bucket": "b", "key": "a/../b""#, "`key`"),
            (
                r#""bucket": "b", "key": "k", "region": "eu.evil.example/""#,
                "`region`",
            ),
            (r#""bucket": "b", "key": "k", "region": """#, "`region`"),
            (
                r#""bucket": "b", "key": "k", "region": "eu", "endpoint": "https://h""#,
                "`region`",
            ),
            (
                r#""bucket": "b", "key": "k", "endpoint": "https://u@h""#,
                "`endpoint`",
            ),
            (
                r#""bucket": "b", "key": "k", "endpoint": "h""#,
                "`endpoint`",
            ),
            (
                r#""bucket": "b.c", "key": "k", "addressing-style": "virtual""#,
                "`addressing-style`",
            ),
            (
                r#""bucket": "B", "key": "k", "addressing-style": "virtual""#,
                "`addressing-style`",
            ),
        ] {
            let told = location(members).unwrap_err();
            assert!(told.contains(says), "{members}: {told}");
        }
    }
}
