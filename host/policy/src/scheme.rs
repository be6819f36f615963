//! How a credential is put into a request.

use std::fmt;
use std::str::FromStr;

use crate::headers;
use crate::ids::text_form;
use crate::printable;

/// The form of a credential on the wire. In text: `bearer`, `basic:USER` or
/// `header:NAME`.
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
}

/// A text that is no scheme.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemeError {
    /// None of the known forms.
    #[error(
        "`{0}` is not a scheme; write `bearer`, `basic:USER`, `basic` (of a netrc), `header:NAME` or `mtls` (of a client certificate)"
    )]
    Unknown(String),
    /// A scheme of a later version.
    #[error(
        "scheme `{0}` is not available in this version; known are `bearer`, `basic:USER`, `basic` (of a netrc), `header:NAME` and `mtls` (of a client certificate)"
    )]
    Later(String),
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
            Self::Bearer | Self::Basic { .. } | Self::BasicLogin => "Authorization",
            Self::Header { name } => name,
        }
    }

    /// The option of `--credential` that says this scheme: `bearer`,
    /// `basic=USER` or `header=NAME`.
    #[must_use]
    pub fn argv_option(&self) -> String {
        match self {
            Self::Bearer => "bearer".to_owned(),
            Self::Basic { username } => format!("basic={username}"),
            Self::BasicLogin => "basic".to_owned(),
            Self::Header { name } => format!("header={name}"),
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
        }
    }
}

impl FromStr for Scheme {
    type Err = SchemeError;

    fn from_str(text: &str) -> Result<Self, SchemeError> {
        match text.split_once(':') {
            None if text == "bearer" => Ok(Self::Bearer),
            None if text == "basic" => Err(SchemeError::Username),
            None if text == "aws-sigv4" => Err(SchemeError::Later(text.to_owned())),
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
            "aws-sigv4",
            "digest:x",
        ] {
            assert!(text.parse::<Scheme>().is_err(), "{text:?}");
        }
    }
}
