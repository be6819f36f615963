//! From scheme and secret to the header that is sent.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use fetchhost_policy::Scheme;
use http::{HeaderName, HeaderValue, header::AUTHORIZATION};
use zeroize::Zeroizing;

use crate::{CredentialError, Secret};

/// The header that carries `secret` the way `scheme` says, marked sensitive.
///
/// The header's own copy of the secret lives as long as the request and is not wiped: the `http`
/// crate's buffers are shared and immutable. Build it right before sending.
///
/// # Errors
/// [`CredentialError::AccessKeys`] for a scheme that signs ([`aws_headers`](crate::aws_headers) does),
/// [`CredentialError::HeaderName`] when the scheme names no valid header,
/// [`CredentialError::NoLogin`] when it wants a user name that the secret does not bring,
/// [`CredentialError::HeaderValue`] when the secret cannot be a header's value. (The
/// [`Keyring`](crate::Keyring) refuses such secrets earlier, and names their source.)
pub fn header_for(
    scheme: &Scheme,
    secret: &Secret,
) -> Result<(HeaderName, HeaderValue), CredentialError> {
    let (name, value) = match scheme {
        Scheme::Bearer => (
            AUTHORIZATION,
            Zeroizing::new(format!("Bearer {}", secret.expose())),
        ),
        Scheme::Basic { username } => basic(username, secret),
        Scheme::BasicLogin => basic(secret.login().ok_or(CredentialError::NoLogin)?, secret),
        Scheme::Header { name } => {
            let parsed = HeaderName::try_from(name.as_str())
                .map_err(|_| CredentialError::HeaderName { name: name.clone() })?;
            (parsed, Zeroizing::new(secret.expose().to_owned()))
        }
        // It signs the request, of which nothing is known here.
        Scheme::AwsSigV4(_) => return Err(CredentialError::AccessKeys),
    };
    let mut value = HeaderValue::from_str(&value)
        .map_err(|_| CredentialError::HeaderValue { name: name.clone() })?;
    value.set_sensitive(true);
    Ok((name, value))
}

fn basic(username: &str, secret: &Secret) -> (HeaderName, Zeroizing<String>) {
    let pair = Zeroizing::new(format!("{username}:{}", secret.expose()));
    let encoded = Zeroizing::new(STANDARD.encode(pair.as_bytes()));
    (
        AUTHORIZATION,
        Zeroizing::new(format!("Basic {}", encoded.as_str())),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(scheme: &Scheme, secret: &str) -> (HeaderName, HeaderValue) {
        header_for(scheme, &Secret::from(secret.to_owned())).unwrap()
    }

    #[test]
    fn each_scheme_writes_its_header() {
        let custom = Scheme::Header {
            name: String::from("PRIVATE-TOKEN"),
        };
        let basic = Scheme::Basic {
            username: String::from("gitlab-ci-token"),
        };
        for (scheme, name, value) in [
            (Scheme::Bearer, "authorization", "Bearer t0k"),
            (custom, "private-token", "t0k"),
            (basic, "authorization", "Basic Z2l0bGFiLWNpLXRva2VuOnQwaw=="),
        ] {
            let (found, content) = header(&scheme, "t0k");
            assert_eq!((found.as_str(), content.to_str().unwrap()), (name, value));
        }
    }

    #[test]
    fn basic_without_a_user_name_takes_the_one_that_came_with_the_secret() {
        let secret = |login: Option<&str>| {
            Secret::from(String::from("t0k")).with_login(login.map(str::to_owned))
        };
        let (_, value) = header_for(&Scheme::BasicLogin, &secret(Some("gitlab-ci-token"))).unwrap();
        assert_eq!(
            value.to_str().unwrap(),
            "Basic Z2l0bGFiLWNpLXRva2VuOnQwaw=="
        );
        let error = header_for(&Scheme::BasicLogin, &secret(None)).unwrap_err();
        assert!(matches!(error, CredentialError::NoLogin), "{error}");
    }

    #[test]
    fn the_header_is_marked_so_that_its_debug_hides_it() {
        let custom = Scheme::Header {
            name: String::from("X-Key"),
        };
        for scheme in [
            Scheme::Bearer,
            custom,
            Scheme::Basic {
                username: String::from("u"),
            },
        ] {
            let (name, value) = header(&scheme, "canary");
            assert!(value.is_sensitive());
            let map: http::HeaderMap = [(name, value)].into_iter().collect();
            assert!(!format!("{map:?}").contains("canary"));
        }
    }

    #[test]
    fn a_secret_that_would_start_another_header_is_refused_without_being_shown() {
        let secret = Secret::from(String::from("canary\r\nX-Evil: 1"));
        let custom = Scheme::Header {
            name: String::from("X-Key"),
        };
        for scheme in [Scheme::Bearer, custom] {
            let error = header_for(&scheme, &secret).unwrap_err();
            assert!(matches!(error, CredentialError::HeaderValue { .. }));
            assert!(!format!("{error} {error:?}").contains("canary"));
        }
        let bad = Scheme::Header {
            name: String::from("a b"),
        };
        let error = header_for(&bad, &Secret::from(String::from("x"))).unwrap_err();
        assert!(matches!(error, CredentialError::HeaderName { .. }));
    }
}
