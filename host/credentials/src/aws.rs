//! Access keys of AWS, and the signature that they make for a request.
//!
//! The secret access key is not sent: it signs the request's method, host, path, query and body, and the
//! time. A session token is sent.
//!
//! | form of the secret | |
//! |---|---|
//! | `ID:SECRET`, `ID:SECRET:SESSION-TOKEN` | as one would type it |
//! | a JSON object with `AccessKeyId`, `SecretAccessKey` and perhaps `SessionToken` | as programs for `credential_process` print it; after `Expiration` its source is asked again, and other members are passed over |

use std::borrow::Cow;
use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use fetchhost_policy::{AwsScope, Origin};
use http::{HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{CredentialError, Problem, Secret, timestamp};

/// The service whose rules for paths are its own.
const S3: &str = "s3";
/// What is encoded in a path that is signed for S3. What is encoded already stays so.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/')
    .remove(b'%');

/// What requests are signed with.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AccessKeys {
    /// Which keys these are: public.
    access_key_id: String,
    secret_access_key: Zeroizing<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session_token: Option<Zeroizing<String>>,
    /// When they expire, if that is said.
    #[serde(default, skip_serializing)]
    expiration: serde_json::Value,
}

impl AccessKeys {
    /// Keys, perhaps of a session.
    pub(crate) fn new(
        id: String,
        secret: Zeroizing<String>,
        session: Option<Zeroizing<String>>,
    ) -> Self {
        Self {
            access_key_id: id,
            secret_access_key: secret,
            session_token: session,
            expiration: serde_json::Value::Null,
        }
    }

    /// Whether they are those of a session, which ends.
    pub(crate) const fn is_of_session(&self) -> bool {
        self.session_token.is_some()
    }

    /// When they expire, where it is said.
    pub(crate) fn expire(&self) -> Option<SystemTime> {
        timestamp::parse(self.expiration.as_str()?)
    }

    /// The keys in a secret.
    ///
    /// # Errors
    /// When it holds none, without a word of it.
    pub fn read(secret: &str) -> Result<Self, Problem> {
        let keys = if secret.trim_start().starts_with('{') {
            serde_json::from_str(secret).map_err(|_| Problem::NoAccessKeys)?
        } else {
            let mut parts = secret.splitn(3, ':').map(str::to_owned);
            let id = parts.next().unwrap_or_default();
            let secret = parts.next().ok_or(Problem::NoAccessKeys)?;
            Self::new(id, Zeroizing::new(secret), parts.next().map(Zeroizing::new))
        };
        // They stand between commas and slashes in a header.
        let is_id = |text: &str| {
            (1..=128).contains(&text.len())
                && text
                    .bytes()
                    .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b',' | b'/' | b':'))
        };
        let is_text = |text: &Zeroizing<String>| {
            !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
        };
        if !is_id(&keys.access_key_id)
            || !is_text(&keys.secret_access_key)
            || !keys.session_token.as_ref().is_none_or(is_text)
        {
            return Err(Problem::NoAccessKeys);
        }
        Ok(keys)
    }

    /// These keys as the secret that [`AccessKeys::read`] reads.
    pub(crate) fn into_secret(self) -> Secret {
        // Strings only, which are always JSON.
        let text = serde_json::to_string(&self).unwrap_or_default();
        Secret::from(Zeroizing::new(text))
    }

    /// What of them is secret, or gives access to whoever has it: the secret access key, which is never
    /// sent, and the session token.
    pub fn secrets(&self) -> impl Iterator<Item = &Zeroizing<String>> {
        [&self.secret_access_key]
            .into_iter()
            .chain(&self.session_token)
    }
}

/// A request that is about to be sent.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// Its method.
    pub method: &'a str,
    /// Its URL, spelt as it will be sent.
    pub url: &'a str,
    /// Where it goes.
    pub origin: &'a Origin,
    /// Its body.
    pub body: &'a [u8],
    /// Headers of AWS's own that it has: no such header may stand beside a signature that is not over it.
    pub headers: &'a [(&'a str, &'a str)],
}

/// The headers that prove at `time` that `request` comes from the owner of the access keys in `secret`;
/// those that give access to whoever has them are marked sensitive.
///
/// # Errors
/// [`CredentialError::AccessKeys`] when the secret holds no keys, or the request cannot be signed.
pub fn aws_headers(
    scope: &AwsScope,
    secret: &Secret,
    request: Outgoing<'_>,
    time: SystemTime,
) -> Result<Vec<(HeaderName, HeaderValue)>, CredentialError> {
    let keys = AccessKeys::read(secret.expose()).map_err(|_| CredentialError::AccessKeys)?;
    let session = keys.session_token.as_ref().map(|token| token.to_string());
    let identity = Credentials::new(
        keys.access_key_id.clone(),
        keys.secret_access_key.to_string(),
        session,
        None,
        "nix-fetchhost",
    )
    .into();
    let region = scope.region_for(request.origin);
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(&region)
        .name(scope.service())
        .time(time)
        .settings(settings(scope))
        .build()
        .map_err(|_| CredentialError::AccessKeys)?
        .into();
    let body = SignableBody::Bytes(request.body);
    let url = match scope.service() {
        S3 => with_canonical_path(request.url),
        _ => Cow::Borrowed(request.url),
    };
    let (signed, _) =
        SignableRequest::new(request.method, &*url, request.headers.iter().copied(), body)
            .and_then(|signable| sign(signable, &params))
            .map_err(|_| CredentialError::AccessKeys)?
            .into_parts();
    signed
        .headers()
        .map(|(name, value)| {
            let name = HeaderName::try_from(name).map_err(|_| CredentialError::AccessKeys)?;
            let mut value =
                HeaderValue::try_from(value).map_err(|_| CredentialError::AccessKeys)?;
            value.set_sensitive(matches!(
                name.as_str(),
                "authorization" | "x-amz-security-token"
            ));
            Ok((name, value))
        })
        .collect()
}

/// `url` with a path in which all is encoded but what never needs to be. Servers of S3 decode the path that
/// was sent and sign it in this form, however it was sent.
fn with_canonical_path(url: &str) -> Cow<'_, str> {
    let authority = url.find("://").map_or(0, |at| at + "://".len());
    let end = url.find(['?', '#']).unwrap_or(url.len());
    let Some((start, path)) = url[authority..end].find('/').map(|at| {
        let start = authority + at;
        (start, &url[start..end])
    }) else {
        return Cow::Borrowed(url);
    };
    let encoded = percent_encoding::utf8_percent_encode(path, ENCODED);
    Cow::Owned(format!("{}{encoded}{}", &url[..start], &url[end..]))
}

/// S3 does not encode the path once more, as other services do, and wants to know the body's hash.
fn settings(scope: &AwsScope) -> SigningSettings {
    let mut settings = SigningSettings::default();
    if scope.service() == S3 {
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    }
    settings
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// The keys of AWS's own examples.
    const KEYS: &str = "AKIAIOSFODNN7EXAMPLE:wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

    fn headers(secret: &str, url: &str) -> Vec<(HeaderName, HeaderValue)> {
        let scope = AwsScope::new(Some("us-east-1"), None).unwrap();
        let origin = "https://examplebucket.s3.amazonaws.com".parse().unwrap();
        let request = Outgoing {
            method: "GET",
            url,
            origin: &origin,
            body: b"",
            headers: &[],
        };
        // 2013-05-24T00:00:00Z
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_369_353_600);
        aws_headers(&scope, &Secret::from(secret.to_owned()), request, time).unwrap()
    }

    fn value<'a>(headers: &'a [(HeaderName, HeaderValue)], name: &str) -> &'a HeaderValue {
        &headers.iter().find(|(header, _)| header == name).unwrap().1
    }

    /// AWS documents the signature of this request, as of one with a query and no other headers.
    #[test]
    fn the_signature_is_the_one_in_awss_documentation() {
        let signed = headers(KEYS, "https://examplebucket.s3.amazonaws.com/?lifecycle");
        let authorization = value(&signed, "authorization");
        assert_eq!(
            authorization.to_str().unwrap(),
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, \
             SignedHeaders=host;x-amz-content-sha256;x-amz-date, \
             Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"
        );
        assert!(authorization.is_sensitive());
        assert_eq!(value(&signed, "x-amz-date"), "20130524T000000Z");
    }

    #[test]
    fn a_path_is_signed_as_servers_of_s3_encode_it_however_it_was_sent() {
        let authorization = |path: &str| {
            let signed = headers(KEYS, &format!("https://b.example{path}"));
            value(&signed, "authorization").clone()
        };
        assert_eq!(
            authorization("/b/a!'()*@$&=+:,;~/x%2Fy?q=(1)"),
            authorization("/b/a%21%27%28%29%2A%40%24%26%3D%2B%3A%2C%3B~/x%2Fy?q=(1)")
        );
        assert_ne!(authorization("/b/x%2Fy"), authorization("/b/x/y"));
        assert_ne!(authorization("/b//x"), authorization("/b/x"));
        assert_ne!(authorization("/b/x%252Fy"), authorization("/b/x%2Fy"));
    }

    #[test]
    fn a_session_token_goes_along_and_is_signed() {
        let signed = headers(&format!("{KEYS}:session+token=="), "https://b.example/k");
        let token = value(&signed, "x-amz-security-token");
        assert_eq!(token, "session+token==");
        assert!(token.is_sensitive());
        let authorization = value(&signed, "authorization").to_str().unwrap();
        assert!(
            authorization.contains("x-amz-security-token"),
            "{authorization}"
        );
        for (_, value) in &signed {
            assert!(!value.as_bytes().windows(8).any(|part| part == b"bPxRfiCY"));
        }
    }

    #[test]
    fn keys_are_read_in_both_forms_and_nothing_else_is() {
        let json = r#"{ "Version": 1, "AccessKeyId": "A", "SecretAccessKey": "s:/+=",
                       "SessionToken": "t", "Expiration": "2030-01-01T00:00:00Z" }"#;
        let read = AccessKeys::read(json).unwrap();
        let again = AccessKeys::read(read.into_secret().expose()).unwrap();
        let secrets: Vec<&str> = again.secrets().map(|secret| secret.as_str()).collect();
        assert_eq!(
            (again.access_key_id.as_str(), &secrets[..]),
            ("A", &["s:/+=", "t"][..])
        );
        for text in [
            "",
            "AKIA",
            ":secret",
            "A:",
            "A:s:",
            "A/B:secret",
            "A,B:secret",
            "A B:secret",
            "A:sec ret",
            "A:sec\nret",
            "A:sécret",
            "{}",
            r#"{"AccessKeyId":"A","SecretAccessKey":""}"#,
            r#"{"AccessKeyId":"A","SecretAccessKey":"s","SessionToken":"a\nb"}"#,
        ] {
            assert!(AccessKeys::read(text).is_err(), "{text}");
        }
    }
}
