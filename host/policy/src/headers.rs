//! Which headers may travel where.
//!
//! **The threat.** A module plants a credential of its own making, or a header
//! that makes a server read another method, path, host or length than the one
//! that was granted. A server redirects to another origin to collect headers,
//! or answers with a header that carries a secret, for the module to read.
//!
//! **The rule.** Names are compared without case. Modules cannot set headers
//! that carry credentials, direct the request or belong to the transport, nor
//! AWS's own on a request that is signed for AWS. Over a change of origin only a short safe list travels. Response headers that
//! carry credentials or addresses with signatures are not shown to modules.
//!
//! | header | module may set | survives a new origin | may carry a credential | module sees it |
//! |---|---|---|---|---|
//! | `Accept`, `Accept-Language`, `User-Agent` | yes, `User-Agent` no | yes | no | yes |
//! | `Range`, `If-Range`, `Accept-Encoding` | no (the transport's) | yes | no | yes |
//! | `Authorization`, `PRIVATE-TOKEN`, `X-Api-Key`, … | no | no | yes | no |
//! | `Cookie`, `Set-Cookie` | no | no | no | no |
//! | `Host`, `Content-Length`, `Connection`, `Proxy-*`, … | no | no | no | yes |
//! | `X-HTTP-Method-Override`, `X-Original-URL`, `X-Forwarded-*` | no | no | no | yes |
//! | `X-Amz-*`, `X-Goog-*` | yes, but not on a request that is signed | no | yes | yes |
//! | `X-Amz-Meta-*` and other `x-*-meta-*` | as these | no | no | yes |
//! | `Location`, `Content-Location`, `Refresh` | yes (means nothing there) | no | no | no |
//! | anything else that is a header name | yes | no | yes | yes |

/// Words that make a header credential-bearing wherever they stand between
/// dashes: `X-Auth-Token`, `X-Amz-Security-Token`, `Authentication-Info`.
const CREDENTIAL_WORDS: [&str; 23] = [
    "apikey",
    "auth",
    "authenticate",
    "authentication",
    "authorization",
    "bearer",
    "cookie",
    "cookie2",
    "credential",
    "credentials",
    "csrf",
    "jwt",
    "passwd",
    "password",
    "secret",
    "session",
    "sessionid",
    "sid",
    "signature",
    "ticket",
    "token",
    "tokens",
    "xsrf",
];

/// What makes a following `key` a credential: `X-Api-Key`,
/// `Ocp-Apim-Subscription-Key`. An `Idempotency-Key` is none.
const SECRET_KEYS: [&str; 10] = [
    "access",
    "account",
    "api",
    "auth",
    "customer",
    "functions",
    "master",
    "private",
    "secret",
    "subscription",
];

/// Headers between two neighbours only, not end to end.
const HOP_BY_HOP: [&str; 8] = [
    "connection",
    "keep-alive",
    "http2-settings",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "proxy-connection",
];

/// Headers that make some servers read another request than the one sent.
const DIRECTING: [&str; 17] = [
    // Servers hand it to CGI programs as `HTTP_PROXY`.
    "proxy",
    "host",
    "x-host",
    "forwarded",
    "via",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-url",
    "x-original-host",
    "x-rewrite-url",
    "x-real-ip",
    "x-client-ip",
    "true-client-ip",
    "destination",
    "service-worker",
    "early-data",
];

/// Headers that only the transport writes.
const TRANSPORT: [&str; 12] = [
    "accept-encoding",
    "alt-used",
    "content-length",
    "date",
    "expect",
    "if-range",
    "max-forwards",
    "origin",
    "range",
    "referer",
    "referrer",
    "user-agent",
];

/// All that travels to another origin.
const SAFE: [&str; 6] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "if-range",
    "range",
    "user-agent",
];

/// Whether `name` can be a header name at all: a non-empty HTTP token.
#[must_use]
pub fn is_header_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// Whether a request header called `name` is one that carries a credential by
/// its name: `Authorization`, `Cookie`, `PRIVATE-TOKEN`, `JOB-TOKEN`,
/// `X-Api-Key`, `X-Amz-Security-Token` and their like.
#[must_use]
pub fn is_credential_bearing_request(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let words: Vec<&str> = name.split(['-', '_', '.']).collect();
    words.iter().any(|word| CREDENTIAL_WORDS.contains(word))
        || words
            .windows(2)
            .any(|pair| pair[1] == "key" && SECRET_KEYS.contains(&pair[0]))
}

/// Whether a module may not set the header `name`.
#[must_use]
pub fn forbidden_for_guests(name: &str) -> bool {
    !is_header_name(name)
        || is_credential_bearing_request(name)
        || directs(name)
        || is_one_of(name, &TRANSPORT)
}

/// Whether a module may not set the header `name` on a request that the host
/// signs for AWS, or for those who speak its protocol: such a header can make
/// another request of it (`X-Amz-Copy-Source`, `X-Amz-Target`), which the
/// owner of the access keys would be taken to have signed.
#[must_use]
pub fn forbidden_beside_signature(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    ["x-amz-", "x-goog-"]
        .iter()
        .any(|prefix| lower.starts_with(prefix))
}

/// Whether a header called `name` may still be sent when a redirect has led to
/// another origin. Whatever is dropped is never restored.
#[must_use]
pub fn survives_origin_change(name: &str) -> bool {
    is_one_of(name, &SAFE)
}

/// Whether the response header `name` is kept from modules.
#[must_use]
pub fn hidden_from_guests_in_response(name: &str) -> bool {
    // Targets of redirects are often presigned: their query is a credential.
    is_credential_bearing_request(name)
        || is_one_of(name, &["location", "content-location", "refresh"])
}

/// Whether a user may have his credential sent in the header `name`. Never in
/// one that directs the request (`Host`, `Cookie`, `Range`, `Content-*`,
/// hop-by-hop) or that stores publish as metadata (`x-*-meta-*`).
#[must_use]
pub fn can_carry_credential(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    is_header_name(name)
        && !directs(name)
        && !is_one_of(name, &TRANSPORT)
        && !is_one_of(name, &SAFE)
        && !is_metadata(&lower)
        && !lower.starts_with("content-")
        && !lower.starts_with("if-")
        && !matches!(
            lower.as_str(),
            "cookie" | "cookie2" | "set-cookie" | "set-cookie2" | "location"
        )
}

/// `x-amz-meta-owner`, `x-goog-meta-a`, `x-ms-meta-b`.
fn is_metadata(lower: &str) -> bool {
    lower.starts_with("x-") && (lower.contains("-meta-") || lower.ends_with("-meta"))
}

fn directs(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    is_one_of(&lower, &HOP_BY_HOP)
        || is_one_of(&lower, &DIRECTING)
        || ["proxy-", "sec-", "x-forwarded-", ":"]
            .iter()
            .any(|prefix| lower.starts_with(prefix))
}

fn is_one_of(name: &str, names: &[&str]) -> bool {
    names.iter().any(|known| name.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// name, module may set, survives, may carry a credential, module sees it
    const TABLE: [(&str, bool, bool, bool, bool); 38] = [
        ("Accept", true, true, false, true),
        ("accept-language", true, true, false, true),
        ("User-Agent", false, true, false, true),
        ("Range", false, true, false, true),
        ("If-Range", false, true, false, true),
        ("Accept-Encoding", false, true, false, true),
        ("Authorization", false, false, true, false),
        ("AUTHORIZATION", false, false, true, false),
        ("Proxy-Authorization", false, false, false, false),
        ("PRIVATE-TOKEN", false, false, true, false),
        ("Private-Token", false, false, true, false),
        ("JOB-TOKEN", false, false, true, false),
        ("Deploy-Token", false, false, true, false),
        ("X-Api-Key", false, false, true, false),
        ("X-Amz-Security-Token", false, false, true, false),
        ("X_Auth_Token", false, false, true, false),
        ("Cookie", false, false, false, false),
        ("Set-Cookie", false, false, false, false),
        ("WWW-Authenticate", false, false, true, false),
        ("Authentication-Info", false, false, true, false),
        ("Host", false, false, false, true),
        ("Content-Length", false, false, false, true),
        ("Content-Type", true, false, false, true),
        ("Connection", false, false, false, true),
        ("Transfer-Encoding", false, false, false, true),
        ("TE", false, false, false, true),
        ("X-HTTP-Method-Override", false, false, false, true),
        ("X-Original-URL", false, false, false, true),
        ("X-Forwarded-Host", false, false, false, true),
        ("Sec-Fetch-Site", false, false, false, true),
        ("x-amz-meta-owner", true, false, false, true),
        ("Location", true, false, false, false),
        ("Ocp-Apim-Subscription-Key", false, false, true, false),
        ("Idempotency-Key", true, false, true, true),
        ("ETag", true, false, true, true),
        ("X-Author", true, false, true, true),
        ("a b", false, false, false, true),
        ("", false, false, false, true),
    ];

    #[test]
    fn each_header_travels_as_the_table_says() {
        for (name, settable, survives, carries, seen) in TABLE {
            assert_eq!(!forbidden_for_guests(name), settable, "set {name:?}");
            assert_eq!(survives_origin_change(name), survives, "survive {name:?}");
            assert_eq!(can_carry_credential(name), carries, "carry {name:?}");
            assert_eq!(!hidden_from_guests_in_response(name), seen, "see {name:?}");
        }
    }

    #[test]
    fn what_a_signature_could_be_made_to_mean_is_for_the_host_to_say() {
        for name in [
            "X-Amz-Copy-Source",
            "x-amz-target",
            "X-AMZ-META-A",
            "x-goog-copy-source",
        ] {
            assert!(forbidden_beside_signature(name), "{name}");
        }
        for name in ["Accept", "X-Amzn-Trace-Id", "Content-Type", "X-Project"] {
            assert!(!forbidden_beside_signature(name), "{name}");
        }
    }

    #[test]
    fn a_name_that_would_split_a_header_is_forbidden() {
        for name in ["a\r\nb", "a:b", ":path", "ä", "a\0"] {
            assert!(forbidden_for_guests(name), "{name:?}");
            assert!(!can_carry_credential(name), "{name:?}");
        }
    }

    #[test]
    fn nothing_that_carries_a_credential_survives_a_new_origin() {
        for name in SAFE {
            assert!(!is_credential_bearing_request(name), "{name}");
        }
    }
}
