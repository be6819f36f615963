//! URLs that are credentials themselves: whoever reads one has what it leads to.

use url::Url;

/// Parts of a query that are a credential, in lower case: presigned requests and tokens.
const SIGNATURES: [&str; 9] = [
    "x-amz-signature",
    "x-amz-security-token",
    "x-goog-signature",
    "signature",
    "sig",
    "access_token",
    "private_token",
    "job_token",
    "token",
];

/// Whether the query of `url` names a signature or a token.
#[must_use]
pub fn is_presigned(url: &Url) -> bool {
    url.query_pairs()
        .any(|(name, _)| SIGNATURES.contains(&name.to_ascii_lowercase().as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_that_are_credentials_are_known_by_their_names() {
        let presigned = |text: &str| is_presigned(&text.parse().unwrap());
        for query in [
            "a=1&X-Amz-Signature=x",
            "x-amz-signature=x",
            "X-Goog-Signature=x",
            "sv=1&sig=x",
            "Expires=1&Signature=x",
            "private_token=x",
            "%73ig=x",
        ] {
            assert!(presigned(&format!("http://a/x?{query}")), "{query}");
        }
        for url in ["http://a/sig", "http://a/?ref=sig", "http://a/?signed=1"] {
            assert!(!presigned(url), "{url}");
        }
    }
}
