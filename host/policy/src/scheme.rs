//! How a credential is put into a request.

mod aws;

use std::fmt;
use std::str::FromStr;

use crate::headers;
use crate::ids::text_form;
use crate::printable;

pub use aws::AwsScope;

/// The word for [`Scheme::AwsSigV4`].
pub(crate) const AWS: &str = "aws-sigv4";

/// The form of a credential on the wire. In text: `bearer`, `basic:USER`,
/// `header:NAME` or `aws-sigv4[:REGION[:SERVICE]]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// `Authorization: Bearer SECRET`.
    Bearer,
    /// `Authorization: Basic base64(USER:SECRET)`.
    Basic {
        /// The user name, without `:` and control characters.
        username: String,
    },
    /// The same with the user name that the source knows (netrc). In text:
    /// `basic`; it is read only where such a source is named.
    BasicLogin,
    /// `NAME: SECRET`.
    Header {
        /// A header that [`headers::can_carry_credential`] allows.
        name: String,
    },
    /// A signature over the request by AWS Signature Version 4, in
    /// `Authorization`. The secret itself is not sent.
    AwsSigV4(AwsScope),
}

/// A text that is no scheme.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemeError {
    /// None of the known forms.
    #[error(
        "`{0}` is not a scheme; write `bearer`, `basic:USER`, `basic` (of a netrc), `header:NAME`, `aws-sigv4` or `mtls` (of a client certificate)"
    )]
    Unknown(String),
    /// `aws-sigv4` for a region or service that cannot be one.
    #[error(
        "`aws-sigv4` takes the region and the service that requests are signed for, made of `a`-`z`, `0`-`9` and `-`, as in `aws-sigv4:eu-west-1` or `aws-sigv4:eu-west-1:s3`"
    )]
    AwsScope,
    /// `basic` without or with an impossible user name.
    #[error("`basic` needs a user name without `:` and control characters: `basic:USER`")]
    Username,
    /// A header that must not carry a credential.
    #[error(
        "header `{0}` cannot carry a credential: it directs the request or is not a header name"
    )]
    Header(String),
}

impl Scheme {
    /// Basic authentication as `username`.
    ///
    /// # Errors
    /// When the name is empty or holds `:` or a control character.
    pub fn basic(username: &str) -> Result<Self, SchemeError> {
        if username.is_empty() || username.contains(|c: char| c == ':' || c.is_control()) {
            return Err(SchemeError::Username);
        }
        Ok(Self::Basic {
            username: username.to_owned(),
        })
    }

    /// The header called `name`.
    ///
    /// # Errors
    /// When `name` is not a header name, or one that directs the request
    /// (see [`headers::can_carry_credential`]).
    pub fn header(name: &str) -> Result<Self, SchemeError> {
        if !headers::can_carry_credential(name) {
            return Err(SchemeError::Header(printable(name).into_owned()));
        }
        Ok(Self::Header {
            name: name.to_owned(),
        })
    }

    /// The header that carries the credential.
    #[must_use]
    pub fn header_name(&self) -> &str {
        match self {
            Self::Bearer | Self::Basic { .. } | Self::BasicLogin | Self::AwsSigV4(_) => {
                "Authorization"
            }
            Self::Header { name } => name,
        }
    }

    /// The option of `--credential` that says this scheme: `bearer`,
    /// `basic=USER`, `header=NAME` or `aws-sigv4=REGION`.
    #[must_use]
    pub fn argv_option(&self) -> String {
        match self {
            Self::Bearer => "bearer".to_owned(),
            Self::Basic { username } => format!("basic={username}"),
            Self::BasicLogin => "basic".to_owned(),
            Self::Header { name } => format!("header={name}"),
            Self::AwsSigV4(_) => self.to_string().replacen(':', "=", 1),
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bearer => f.write_str("bearer"),
            Self::Basic { username } => write!(f, "basic:{username}"),
            Self::BasicLogin => f.write_str("basic"),
            Self::Header { name } => write!(f, "header:{name}"),
            Self::AwsSigV4(scope) => write!(f, "{AWS}{scope}"),
        }
    }
}

impl FromStr for Scheme {
    type Err = SchemeError;

    fn from_str(text: &str) -> Result<Self, SchemeError> {
        match text.split_once(':') {
            None if text == "bearer" => Ok(Self::Bearer),
            None if text == "basic" => Err(SchemeError::Username),
            None if text == AWS => Ok(Self::AwsSigV4(AwsScope::default())),
            Some((AWS, scope)) => scope.parse().map(Self::AwsSigV4),
            Some(("basic", username)) => Self::basic(username),
            Some(("header", name)) => Self::header(name),
            _ => Err(SchemeError::Unknown(printable(text).into_owned())),
        }
    }
}

text_form!(Scheme);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes_are_read_back_as_written() {
        for text in [
            "bearer",
            "basic:me@example.com",
            "header:PRIVATE-TOKEN",
            "header:Authorization",
            "aws-sigv4",
            "aws-sigv4:eu-west-1",
            "aws-sigv4:eu-west-1:execute-api",
        ] {
            assert_eq!(text.parse::<Scheme>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_scheme_is_refused() {
        for text in [
            "",
            "Bearer",
            "basic",
            "basic:",
            "basic:a:b",
            "basic:a\nb",
            "header:",
            "header:Host",
            "header:cookie",
            "header:Range",
            "header:Content-Type",
            "header:x-amz-meta-a",
            "header:Connection",
            "header:a b",
            "header:a\r\nb",
            "header",
            "aws-sigv4:",
            "aws-sigv4:EU",
            "digest:x",
        ] {
            assert!(text.parse::<Scheme>().is_err(), "{text:?}");
        }
    }
}
