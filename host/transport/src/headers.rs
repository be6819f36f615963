//! What a request carries.
//!
//! **The threat.** A guest plants a header that the server reads as a credential, or that the host
//! means to set itself. A redirect carries a token to another origin: every well-known client drops
//! `Authorization` there, and nearly every one sends `PRIVATE-TOKEN` on.
//!
//! **The rule.** A guest's headers are vetted again at the moment of sending, whatever was checked
//! before. When the origin changes, only a short list of harmless names survives, and what was
//! dropped stays dropped when a later redirect comes back. The credential is set last, over anything
//! of the same name, and only where both the permit and the credential's own list of origins say so.
//!
//! | header | same origin | after a change of origin |
//! |---|---|---|
//! | `Accept`, … (`survives_origin_change`) | sent | sent |
//! | any other that a guest set | sent | dropped for good |
//! | `X-Amz-…` of the host's own, as of a cache in a bucket | sent, and signed | dropped for good |
//! | the credential | as the permit says; a signature is over method, URL and body as they are sent | never |
//! | `Accept-Encoding: identity`, `User-Agent`, `Range`, `If-Range` | the host's own | sent |

use std::{sync::Arc, time::SystemTime};

use fetchhost_credentials::{Keyring, Outgoing, aws_headers, header_for};
use fetchhost_policy::{CredentialName, ModuleId, Permit, Scheme, headers as rules, printable};
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, IF_RANGE, RANGE},
};

use crate::{Echo, TransportError, echo::Sent, resume::Rest};

/// A guest's headers, refused as a whole when one of them is not for guests, or not on a request that
/// `permit` has signed. What the host itself sets of AWS's own headers is signed along.
pub(crate) fn vetted(
    headers: &[(String, String)],
    permit: &Permit,
    module: &ModuleId,
) -> Result<HeaderMap, TransportError> {
    let is_hosts = matches!(module, ModuleId::Host(_));
    let is_signed = !is_hosts
        && permit
            .credential()
            .is_some_and(|spec| matches!(spec.scheme, Scheme::AwsSigV4(_)));
    let mut vetted = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        let refused = || TransportError::Header {
            name: printable(name).into_owned(),
        };
        if rules::forbidden_for_guests(name) || is_signed && rules::forbidden_beside_signature(name)
        {
            return Err(refused());
        }
        let name = HeaderName::try_from(name.as_str()).map_err(|_| refused())?;
        let value = HeaderValue::from_str(value).map_err(|_| refused())?;
        vetted.append(name, value);
    }
    Ok(vetted)
}

/// The headers of one hop, without the credential. `foreign`: some hop changed the origin.
pub(crate) fn for_hop(
    guest: &HeaderMap,
    foreign: bool,
    has_body: bool,
    rest: Option<&Rest>,
) -> HeaderMap {
    let mut headers: HeaderMap = guest
        .iter()
        .filter(|(name, _)| !foreign || rules::survives_origin_change(name.as_str()))
        .filter(|(name, _)| has_body || *name != CONTENT_TYPE)
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    if let Some(Rest { from, validator }) = rest
        && let Ok(range) = HeaderValue::try_from(format!("bytes={from}-"))
    {
        headers.insert(RANGE, range);
        headers.insert(IF_RANGE, validator.clone());
    }
    headers
}

/// What AWS's own headers begin with.
const OF_AWS: &str = "x-amz-";

/// A credential that is about to be sent.
pub(crate) struct Attached {
    pub(crate) credential: CredentialName,
    pub(crate) header_name: HeaderName,
}

/// Adds the credential that `permit` allows for a request with this body, after `echo` has noted it.
pub(crate) async fn attach_credential(
    headers: &mut HeaderMap,
    permit: &Permit,
    body: &[u8],
    foreign: bool,
    keyring: &Arc<Keyring>,
    echo: &Echo,
) -> Result<Option<Attached>, TransportError> {
    let Some(spec) = permit.credential() else {
        return Ok(None);
    };
    // The broker never permits this; a mistake there must not cost a token.
    if foreign || !spec.origins.contains(permit.origin()) {
        return Ok(None);
    }
    let (keyring, wanted, origin) = (Arc::clone(keyring), spec.clone(), permit.origin().clone());
    // Reading a source can block, for as long as a pipe likes.
    let resolved = tokio::task::spawn_blocking(move || keyring.resolve(&wanted, &origin)).await;
    let secret = match resolved {
        Ok(secret) => secret?,
        Err(stopped) => match stopped.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => {
                return Err(TransportError::Client {
                    detail: String::from("the runtime is shutting down"),
                });
            }
        },
    };
    let attached = match &spec.scheme {
        Scheme::AwsSigV4(scope) => {
            let of_aws: Vec<(&str, &str)> = headers
                .iter()
                .filter(|(name, _)| name.as_str().starts_with(OF_AWS))
                .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
                .collect();
            let outgoing = Outgoing {
                method: permit.method().as_str(),
                url: permit.url().as_str(),
                origin: permit.origin(),
                body,
                headers: &of_aws,
            };
            aws_headers(scope, &secret, outgoing, SystemTime::now())?
        }
        scheme => vec![header_for(scheme, &secret)?],
    };
    let credential = spec.name.clone();
    echo.note(
        Sent::new(credential.clone(), &spec.scheme, &secret),
        permit.origin(),
    );
    for (name, value) in attached {
        headers.insert(name, value);
    }
    // What the rules allow as the name of a header is one.
    let header_name = HeaderName::try_from(spec.scheme.header_name()).unwrap_or(AUTHORIZATION);
    Ok(Some(Attached {
        credential,
        header_name,
    }))
}
