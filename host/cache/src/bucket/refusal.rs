//! What a server's refusal means, and what to do about it.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use fetchhost_policy::BucketUrl;
use fetchhost_transport::{Category, TransportError};

/// A bucket's server did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum BucketError {
    /// It says so.
    #[error("{why}")]
    Refused {
        /// The status of its answer.
        status: u16,
        /// Why.
        why: Refusal,
        /// The bucket's own region, where the server tells it.
        region: Option<String>,
        /// Whether the request was signed.
        is_signed: bool,
        /// The region that the URL names.
        asked_for: Option<String>,
    },
    /// The request, or its answer, did not come through.
    #[error("{}", with_causes(.0))]
    Transport(#[from] TransportError),
    /// It sends the request on to where that may not go.
    #[error("the server sends the request on: {}", with_causes(.0))]
    SentOn(TransportError),
    /// What came is not what the protocol says.
    #[error("{detail}")]
    Broken {
        /// What is wrong with it.
        detail: String,
    },
}

/// Why a server refuses, by its own code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such bucket.
    NoBucket,
    /// The access key id is not known.
    UnknownKey,
    /// The signature does not fit the key.
    WrongSignature,
    /// The session of the access keys has ended.
    Expired,
    /// The session token is none.
    InvalidToken,
    /// The clocks differ.
    Skewed,
    /// It was signed for another region, or sent to another region's server.
    OtherRegion,
    /// These access keys, or nobody's, may not do it.
    Denied,
    /// It is asked too often.
    SlowDown,
    /// It has no room left, or no more for this user.
    Full,
    /// A part or object is too small or too large for it.
    Size,
    /// Something else, by its status and perhaps its code.
    Other(u16, Option<String>),
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::NoBucket => "there is no such bucket",
            Self::UnknownKey => "the server does not know the access key id",
            Self::WrongSignature => {
                "the signature is wrong: the secret access key is not that of the access key id"
            }
            Self::Expired => "the session of the access keys has expired",
            Self::InvalidToken => "the server does not take the session token of the access keys",
            Self::Skewed => "the clock of this machine is too far from the server's",
            Self::OtherRegion => "the bucket is in another region",
            Self::Denied => "access is denied",
            Self::SlowDown => "the server asks for fewer requests",
            Self::Full => "the server has no room for it",
            Self::Size => "the server does not take a part of this size",
            Self::Other(status, None) => return write!(formatter, "the server answered {status}"),
            Self::Other(status, Some(code)) => {
                return write!(formatter, "the server answered {status} ({code})");
            }
        })
    }
}

impl Refusal {
    fn of(status: u16, code: Option<&str>) -> Self {
        match (status, code) {
            (_, Some("NoSuchBucket")) => Self::NoBucket,
            (_, Some("InvalidAccessKeyId" | "NotSignedUp" | "InvalidClientTokenId")) => {
                Self::UnknownKey
            }
            (_, Some("SignatureDoesNotMatch")) => Self::WrongSignature,
            (_, Some("ExpiredToken" | "TokenRefreshRequired" | "ExpiredTokenException")) => {
                Self::Expired
            }
            (_, Some("InvalidToken")) => Self::InvalidToken,
            (_, Some("RequestTimeTooSkewed" | "RequestExpired")) => Self::Skewed,
            (
                _,
                Some(
                    "AuthorizationHeaderMalformed"
                    | "PermanentRedirect"
                    | "TemporaryRedirect"
                    | "IllegalLocationConstraintException",
                ),
            )
            | (301 | 307, _) => Self::OtherRegion,
            (_, Some("SlowDown" | "TooManyRequests")) => Self::SlowDown,
            (507, _)
            | (_, Some("QuotaExceeded" | "XMinioStorageFull" | "EntityTooLargeForQuota")) => {
                Self::Full
            }
            (_, Some("EntityTooSmall" | "EntityTooLarge")) => Self::Size,
            (401 | 403, _) => Self::Denied,
            (status, code) => Self::Other(status, code.map(str::to_owned)),
        }
    }
}

impl BucketError {
    /// What an answer means.
    pub(super) fn told(
        status: u16,
        body: &str,
        region: Option<String>,
        is_signed: bool,
        url: &BucketUrl,
    ) -> Self {
        Self::Refused {
            status,
            why: Refusal::of(status, element(body, "Code")),
            region: region.or_else(|| element(body, "Region").map(str::to_owned)),
            is_signed,
            asked_for: url.region.clone(),
        }
    }

    /// What `error` carries of ours.
    pub(super) fn in_error(error: &object_store::Error) -> Arc<Self> {
        let mut cause: Option<&(dyn Error + 'static)> = Some(error);
        while let Some(error) = cause {
            if let Some(Carried(ours)) = error.downcast_ref::<Carried>() {
                return Arc::clone(ours);
            }
            cause = error.source();
        }
        Arc::new(Self::Broken {
            detail: fetchhost_policy::printable(&error.to_string()).into_owned(),
        })
    }

    /// What to do about it, when `action` failed.
    #[must_use]
    pub fn hint(&self, action: &str) -> Option<String> {
        let (why, region, is_signed, asked_for) = match self {
            Self::Refused {
                why,
                region,
                is_signed,
                asked_for,
                ..
            } => (why, region, *is_signed, asked_for),
            Self::SentOn(_) => {
                return Some(
                    "give the bucket's own `region`, or its own `endpoint`, in the URL".to_owned(),
                );
            }
            Self::Transport(error) => return error.hint(),
            Self::Broken { .. } => return None,
        };
        Some(match why {
            Refusal::NoBucket => "check the bucket's name, and its `endpoint` and `region`; buckets are not made here".to_owned(),
            Refusal::UnknownKey => "check `AWS_ACCESS_KEY_ID`, or the profile that `profile=NAME` in the URL names".to_owned(),
            Refusal::WrongSignature => "check `AWS_SECRET_ACCESS_KEY`, or the profile that `profile=NAME` in the URL names".to_owned(),
            Refusal::Expired => "get new ones: by `aws sso login`, or whatever made them".to_owned(),
            Refusal::InvalidToken => "check `AWS_SESSION_TOKEN`: long-term access keys have none".to_owned(),
            Refusal::Skewed => "set the clock right".to_owned(),
            Refusal::OtherRegion => match (region, asked_for) {
                (Some(region), _) => format!("write `region={region}` into the URL"),
                (None, Some(asked)) => format!("write another `region` than `{asked}` into the URL"),
                (None, None) => "write the bucket's `region=…` into the URL".to_owned(),
            },
            Refusal::Denied if !is_signed => "it was asked without access keys: set `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, or name a profile with `profile=NAME` in the URL".to_owned(),
            Refusal::Denied => match action {
                "write" | "upload" => "these access keys may only read: use some that may put objects (`s3:PutObject`)",
                "remove" => "these access keys may not take objects away (`s3:DeleteObject`)",
                "list" => "these access keys may not list the bucket (`s3:ListBucket`)",
                _ => "these access keys may not read it (`s3:GetObject`), or it is not there and they may not list the bucket (`s3:ListBucket`)",
            }
            .to_owned(),
            Refusal::SlowDown => "try again later".to_owned(),
            Refusal::Full => "free some room in the bucket".to_owned(),
            Refusal::Size => "give another `multipart-chunk-size` in the URL".to_owned(),
            Refusal::Other(..) => return None,
        })
    }

    /// What kind of failure of the network it is, if it is one.
    #[must_use]
    pub fn category(&self) -> Option<Category> {
        match self {
            Self::Transport(error) | Self::SentOn(error) => Some(error.category()),
            Self::Refused { .. } | Self::Broken { .. } => None,
        }
    }

    /// Whether the remedy is in what the user wrote.
    #[must_use]
    pub fn is_configuration(&self) -> bool {
        matches!(self, Self::Transport(error) if error.category() == Category::Credential)
    }

    /// Whether the server does not know what it was asked for.
    #[must_use]
    pub fn is_unsupported(&self) -> bool {
        matches!(
            self,
            Self::Refused {
                why: Refusal::Other(405 | 501, _),
                ..
            }
        )
    }

    /// Whether whoever asked may not do it.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        matches!(
            self,
            Self::Refused {
                why: Refusal::Denied,
                ..
            }
        )
    }
}

/// Takes one of ours through errors of others.
#[derive(Debug)]
pub(super) struct Carried(pub(super) Arc<BucketError>);

impl fmt::Display for Carried {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl Error for Carried {}

fn with_causes(error: &TransportError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let told = error.to_string();
        if !text.contains(&told) {
            text = format!("{text}: {told}");
        }
        cause = error.source();
    }
    text
}

/// The text of the first XML element called `name`, when it is a plain word: nothing else that a server says
/// is repeated.
fn element<'a>(body: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = body.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    ((1..=64).contains(&text.len()) && text.bytes().all(is_plain)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(status: u16, code: &str, is_signed: bool) -> BucketError {
        let (url, _) = BucketUrl::parse("s3://b?region=eu-west-1").unwrap();
        let body = format!("<?xml?><Error><Code>{code}</Code><Region>eu-1</Region></Error>");
        BucketError::told(status, &body, None, is_signed, &url)
    }

    #[test]
    fn each_refusal_says_what_to_do() {
        for (status, code, says, hint) in [
            (404, "NoSuchBucket", "no such bucket", "`endpoint`"),
            (
                403,
                "InvalidAccessKeyId",
                "access key id",
                "`AWS_ACCESS_KEY_ID`",
            ),
            (
                403,
                "SignatureDoesNotMatch",
                "secret access key",
                "`AWS_SECRET_ACCESS_KEY`",
            ),
            (400, "ExpiredToken", "expired", "new ones"),
            (403, "RequestTimeTooSkewed", "clock", "clock"),
            (
                400,
                "AuthorizationHeaderMalformed",
                "region",
                "`region=eu-1`",
            ),
            (301, "PermanentRedirect", "region", "`region=eu-1`"),
            (403, "AccessDenied", "denied", "may only read"),
            (503, "SlowDown", "fewer", "later"),
            (507, "", "room", "room"),
        ] {
            let error = told(status, code, true);
            let hint_given = error.hint("write").unwrap();
            assert!(error.to_string().contains(says), "{code}: {error}");
            assert!(hint_given.contains(hint), "{code}: {hint_given}");
        }
        let anonymous = told(403, "AccessDenied", false).hint("read").unwrap();
        assert!(anonymous.contains("without access keys"), "{anonymous}");
        assert_eq!(
            told(500, "a b", true).to_string(),
            "the server answered 500"
        );
        assert_eq!(
            told(500, "Odd", true).to_string(),
            "the server answered 500 (Odd)"
        );
    }
}
