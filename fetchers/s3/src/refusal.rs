//! What a server's refusal means. It says so in XML, by a code; what to do about it depends on that and on
//! whether the request was signed.

use fetchhost_sdk::{FetchError, Response};

use crate::Params;

/// The most of a refusal that is read.
const MAX_BODY: usize = 64 * 1024;

/// The error that `response` is.
pub(crate) fn told(response: Response, params: &Params, is_signed: bool) -> FetchError {
    let status = response.status();
    let region = response.header("x-amz-bucket-region");
    let body = match response.bytes(MAX_BODY) {
        Ok(body) => String::from_utf8_lossy(&body).into_owned(),
        Err(error) if status == 200 => return error,
        // The status says enough.
        Err(_) => String::new(),
    };
    let region = region.or_else(|| element(&body, "Region").map(str::to_owned));
    judged(
        status,
        element(&body, "Code"),
        region.as_deref(),
        params,
        is_signed,
    )
}

/// The text of the first XML element called `name`, when it is plain.
fn element<'a>(body: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = body.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    let is_plain = (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    is_plain.then_some(text)
}

fn judged(
    status: u16,
    code: Option<&str>,
    region: Option<&str>,
    params: &Params,
    is_signed: bool,
) -> FetchError {
    let Params { bucket, key, .. } = params;
    let elsewhere = || match region {
        Some(region) => format!(
            "the bucket is in the region `{region}`: give `region` {region}, and sign for it if the credential names another (scheme `aws-sigv4:{region}`)"
        ),
        None => "the bucket is in another region: give its `region`, and sign for it".to_owned(),
    };
    match (status, code) {
        (_, Some("NoSuchBucket")) => {
            FetchError::not_found(format!("there is no bucket `{bucket}`"))
        }
        (_, Some("NoSuchVersion")) => FetchError::not_found(format!(
            "the object `{key}` of `{bucket}` has no such version; see `version-id`"
        )),
        (404, _) => FetchError::not_found(format!("`{bucket}` has no object `{key}`")),
        (_, Some("InvalidAccessKeyId" | "NotSignedUp")) => FetchError::unauthorized(
            "the server does not know the access key id; check the credential of slot `aws`",
        ),
        (_, Some("SignatureDoesNotMatch")) => FetchError::unauthorized(
            "the signature is wrong: check the secret access key of slot `aws`",
        ),
        (_, Some("ExpiredToken" | "TokenRefreshRequired")) => {
            FetchError::unauthorized("the session of the access keys has expired; get new ones")
        }
        (_, Some("InvalidToken")) => FetchError::unauthorized(
            "the server does not take the session token of the access keys",
        ),
        (_, Some("RequestTimeTooSkewed" | "RequestExpired")) => FetchError::unauthorized(
            "the clock of this machine is too far from the server's; set it right",
        ),
        (_, Some("AuthorizationHeaderMalformed" | "AuthorizationQueryParametersError")) => {
            FetchError::unauthorized(match region {
                Some(region) => format!(
                    "the request was signed for another region than the server's, which is `{region}`: write `region = \"{region}\"` for the credential, or `,aws-sigv4={region}` in `--credential`"
                ),
                None => "the server does not take the signature: is it for the server's region?"
                    .to_owned(),
            })
        }
        (
            _,
            Some("PermanentRedirect" | "TemporaryRedirect" | "IllegalLocationConstraintException"),
        )
        | (301 | 307, _) => FetchError::bad_params(elsewhere()),
        (_, Some("SlowDown")) => {
            FetchError::rate_limited("the server asks for fewer requests", None)
        }
        (401 | 403, _) if is_signed => FetchError::denied_upstream(format!(
            "the access keys may not read `{key}` of `{bucket}`, or there is no such object and they may not list the bucket"
        )),
        (401 | 403, _) => FetchError::unauthorized(format!(
            "`{key}` of `{bucket}` is not public: fill slot `aws` with access keys, by `--credential aws=aws` or in a grant"
        )),
        (500..=599, _) => FetchError::network(format!("the server answered {status}")),
        (_, Some(code)) => FetchError::other(format!("the server answered {status} ({code})")),
        (_, None) => FetchError::other(format!("the server answered {status}")),
    }
}

#[cfg(test)]
mod tests {
    use fetchhost_sdk::ErrorKind;

    use super::*;
    use crate::S3Object;

    fn judge(status: u16, body: &str, is_signed: bool) -> (ErrorKind, String) {
        let params = r#"{ "bucket": "b", "key": "k" }"#;
        let params = fetchhost_sdk::parameters::<S3Object>(params).unwrap();
        let region = element(body, "Region");
        let error = judged(status, element(body, "Code"), region, &params, is_signed);
        (error.kind(), error.to_string())
    }

    #[test]
    fn each_refusal_says_what_to_do() {
        for (status, code, kind, says) in [
            (404, "NoSuchKey", ErrorKind::NotFound, "no object `k`"),
            (404, "NoSuchBucket", ErrorKind::NotFound, "no bucket `b`"),
            (404, "NoSuchVersion", ErrorKind::NotFound, "version-id"),
            (
                403,
                "InvalidAccessKeyId",
                ErrorKind::Unauthorized,
                "access key id",
            ),
            (
                403,
                "SignatureDoesNotMatch",
                ErrorKind::Unauthorized,
                "secret access key",
            ),
            (400, "ExpiredToken", ErrorKind::Unauthorized, "expired"),
            (
                403,
                "RequestTimeTooSkewed",
                ErrorKind::Unauthorized,
                "clock",
            ),
            (
                403,
                "AccessDenied",
                ErrorKind::DeniedUpstream,
                "may not read",
            ),
            (301, "PermanentRedirect", ErrorKind::BadParams, "region"),
            (503, "SlowDown", ErrorKind::RateLimited, "fewer"),
            (500, "InternalError", ErrorKind::Network, "500"),
            (400, "Teapot", ErrorKind::Other, "Teapot"),
        ] {
            let body = format!("<?xml?><Error><Code>{code}</Code><Message>m</Message></Error>");
            let (found, told) = judge(status, &body, true);
            assert!(
                found == kind && told.contains(says),
                "{code}: {found:?} {told}"
            );
        }
        let (kind, told) = judge(403, "", false);
        assert!(
            kind == ErrorKind::Unauthorized && told.contains("slot `aws`"),
            "{told}"
        );
        let malformed =
            "<Error><Code>AuthorizationHeaderMalformed</Code><Region>garage</Region></Error>";
        let (_, told) = judge(400, malformed, true);
        assert!(told.contains("aws-sigv4=garage"), "{told}");
    }

    #[test]
    fn what_a_server_says_is_taken_only_where_it_is_a_plain_word() {
        for body in [
            "",
            "<Code>",
            "<Code></Code>",
            "<Code>a b</Code>",
            "<Code>`x`</Code>",
            "<Code><Code>x</Code>",
        ] {
            assert_eq!(element(body, "Code"), None, "{body}");
        }
        assert_eq!(element("<Error><Code>A1-b</Code>", "Code"), Some("A1-b"));
    }
}
