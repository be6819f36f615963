//! What a signature of AWS Signature Version 4 is for.

use std::fmt;
use std::str::FromStr;

use super::SchemeError;
use crate::Origin;

/// The service when none is named.
const S3: &str = "s3";
/// The region of servers that know none, and of AWS's oldest name for S3.
const DEFAULT_REGION: &str = "us-east-1";
/// Domains whose names of S3 hold the region: `s3.REGION.` and the like.
const REGIONAL: [&str; 4] = [
    "amazonaws.com",
    "amazonaws.com.cn",
    "backblazeb2.com",
    "wasabisys.com",
];
/// The longest name of a region or service.
const MAX_NAME: usize = 64;

/// The region and the service that requests are signed for. In text:
/// `:REGION:SERVICE`, of which both or the latter may be left out.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AwsScope {
    region: Option<String>,
    service: String,
}

impl Default for AwsScope {
    /// S3, in the region that the origin's name holds.
    fn default() -> Self {
        Self {
            region: None,
            service: S3.to_owned(),
        }
    }
}

impl AwsScope {
    /// The scope of a region, if one is given, and a service, S3 if none is.
    ///
    /// # Errors
    /// When one of them is not made of `a`-`z`, `0`-`9` and `-`, or a service
    /// other than S3 has no region: only names of S3 tell it.
    pub fn new(region: Option<&str>, service: Option<&str>) -> Result<Self, SchemeError> {
        let service = service.unwrap_or(S3);
        let is_known = region.is_some() || service == S3;
        if !is_known || !region.is_none_or(is_name) || !is_name(service) {
            return Err(SchemeError::AwsScope);
        }
        Ok(Self {
            region: region.map(str::to_owned),
            service: service.to_owned(),
        })
    }

    /// The service.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.service
    }

    /// The region for requests to `origin`: the one that was said, else the one
    /// in the origin's name where that has one, else `us-east-1`, which servers
    /// without regions expect.
    #[must_use]
    pub fn region_for(&self, origin: &Origin) -> String {
        match &self.region {
            Some(region) => region.clone(),
            None => region_in(&origin.host())
                .unwrap_or(DEFAULT_REGION)
                .to_owned(),
        }
    }
}

fn is_name(text: &str) -> bool {
    (1..=MAX_NAME).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// The region in a name such as `BUCKET.s3.REGION.amazonaws.com`.
fn region_in(host: &str) -> Option<&str> {
    let rest = REGIONAL
        .iter()
        .find_map(|domain| host.strip_suffix(domain)?.strip_suffix('.'))?;
    // A bucket's own labels come first, and may look like anything.
    let mut labels = rest.rsplit('.');
    let region = labels.next()?;
    let mut before = labels.next()?;
    if before == "dualstack" {
        before = labels.next()?;
    }
    (matches!(before, "s3" | "s3-fips" | "s3-accesspoint") && is_name(region)).then_some(region)
}

impl fmt::Display for AwsScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(region) = &self.region else {
            return Ok(());
        };
        write!(f, ":{region}")?;
        if self.service == S3 {
            return Ok(());
        }
        write!(f, ":{}", self.service)
    }
}

impl FromStr for AwsScope {
    type Err = SchemeError;

    /// Reads `REGION` or `REGION:SERVICE`.
    fn from_str(text: &str) -> Result<Self, SchemeError> {
        match text.split_once(':') {
            None => Self::new(Some(text), None),
            Some((region, service)) => Self::new(Some(region), Some(service)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_region_is_the_one_that_was_said_or_that_of_the_name() {
        let silent = AwsScope::default();
        for (host, region) in [
            ("s3.eu-west-1.amazonaws.com", "eu-west-1"),
            ("bucket.s3.eu-west-1.amazonaws.com", "eu-west-1"),
            ("s3.us-east-2.s3.eu-west-1.amazonaws.com", "eu-west-1"),
            ("b.s3.dualstack.eu-west-1.amazonaws.com", "eu-west-1"),
            ("s3.cn-north-1.amazonaws.com.cn", "cn-north-1"),
            ("s3.eu-central-003.backblazeb2.com", "eu-central-003"),
            ("s3.amazonaws.com", "us-east-1"),
            ("bucket.s3.amazonaws.com", "us-east-1"),
            ("s3.eu-west-1.amazonaws.com.evil.example", "us-east-1"),
            ("s3.eu-west-1.evilamazonaws.com", "us-east-1"),
            ("minio.lan", "us-east-1"),
        ] {
            let origin: Origin = format!("https://{host}").parse().unwrap();
            assert_eq!(silent.region_for(&origin), region, "{host}");
            let said = AwsScope::new(Some("garage"), None).unwrap();
            assert_eq!(said.region_for(&origin), "garage");
        }
    }

    #[test]
    fn what_is_no_region_or_service_is_refused() {
        for (region, service) in [
            (Some(""), None),
            (Some("EU"), None),
            (Some("eu/x"), None),
            (Some("eu-west-1"), Some("")),
            (Some("eu-west-1"), Some("s3:x")),
            (None, Some("execute-api")),
        ] {
            assert!(
                AwsScope::new(region, service).is_err(),
                "{region:?} {service:?}"
            );
        }
        for text in ["", "a:", "a:b:c", ":s3"] {
            assert!(text.parse::<AwsScope>().is_err(), "{text}");
        }
    }
}
