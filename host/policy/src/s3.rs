//! Where the buckets of S3, and of storage that speaks its protocol, are.

use crate::{Origin, OriginError};

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
