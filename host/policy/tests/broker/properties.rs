//! What must hold for every chain of redirects and every request.

use fetchhost_policy::Method;
use proptest::prelude::*;

use crate::*;

/// A generous configuration: every origin of the chains is granted, listed as
/// a redirect of every other, and may receive the credential.
const GENEROUS: &str = r#"
[credential.work]
source = { env = "T" }
scheme = "header:PRIVATE-TOKEN"
origins = ["https://a.example.com", "https://b.example.com", "https://a.example.com:8443", "http://a.example.com", "http://127.0.0.1:8080"]

[[grant]]
module = "builtin:gitlab"
origins = ["https://a.example.com", "https://b.example.com", "https://a.example.com:8443", "http://a.example.com", "http://127.0.0.1:8080"]
methods = ["GET", "HEAD", "POST"]
redirects = ["https://a.example.com", "https://b.example.com", "https://a.example.com:8443", "http://a.example.com", "http://127.0.0.1:8080", "https://*.storage.example.net"]
credentials = { token = "work" }
"#;

fn place() -> impl Strategy<Value = String> {
    let origin = prop_oneof![
        Just("https://a.example.com"),
        Just("https://A.example.com:443"),
        Just("https://b.example.com"),
        Just("https://a.example.com:8443"),
        Just("http://a.example.com"),
        Just("http://127.0.0.1:8080"),
        Just("http://127.1:8080"),
        Just("https://x.storage.example.net"),
        Just("https://evil.example"),
        Just("https://user:pass@a.example.com"),
    ];
    let path = prop_oneof![
        Just("/api/v4/x"),
        Just("/api/v4/a%2Fb?q=1"),
        Just("/other"),
        Just("/api/v4/%2e%2e/x"),
        Just("/")
    ];
    (origin, path).prop_map(|(origin, path)| format!("{origin}{path}"))
}

fn method() -> impl Strategy<Value = Method> {
    prop::sample::select(Method::ALL.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn no_permit_after_a_change_of_origin_carries_a_credential(
        first in place(),
        chain in prop::collection::vec((method(), place()), 1..8),
        allow in prop::collection::vec(0_usize..3, 0..3),
    ) {
        let extra = ["https://evil.example", "https://a.example.com", "http://127.0.0.1:8080"];
        let allow: Vec<&str> = allow.into_iter().map(|index| extra[index]).collect();
        let consent = consent("https://a.example.com", &allow.join(" "), "token=env:X");
        let broker = try_broker(GITLAB, &gitlab(), GENEROUS, Some(&consent)).unwrap();
        let Ok(mut permit) = get_with_token(&broker, &first) else { return Ok(()) };
        let mut crossed = false;
        for (method, to) in chain {
            let before = permit.origin().clone();
            // A refused hop ends a real chain; going on asks more of the broker.
            let Ok(next) = broker.redirect(&permit, method, &url(&to)) else { continue };
            crossed |= *next.origin() != before;
            prop_assert!(!before.is_https() || next.origin().is_https(), "{} to {}", before, next.origin());
            prop_assert_eq!(next.crossed_origin(), crossed);
            if crossed {
                prop_assert!(next.credential().is_none(), "{:?}", next);
                prop_assert!(next.method().is_reading() || next.method() == Method::Post);
            }
            if let Some(spec) = next.credential() {
                prop_assert!(spec.is_for(next.origin()));
            }
            prop_assert_eq!(&fetchhost_policy::Origin::of_url(next.url()).unwrap(), next.origin());
            permit = next;
        }
    }

    #[test]
    fn a_permitted_request_is_declared_and_its_credential_is_for_its_origin(to in place(), method in method()) {
        let broker = configured(GENEROUS);
        if let Ok(permit) = broker.authorize(method, &url(&to), Some(&slot("token")), false) {
            prop_assert!(permit.path().as_str().contains("/api/v4"));
            prop_assert!(gitlab().needs.methods.contains(&permit.method()));
            prop_assert!(permit.credential().is_some_and(|spec| spec.is_for(permit.origin())));
            // Judging what is sent once more changes nothing.
            let again = broker.authorize(method, permit.url(), None, false).unwrap();
            prop_assert_eq!(again.url(), permit.url());
        }
    }
}
