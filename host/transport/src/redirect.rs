//! Where a redirect leads.
//!
//! | status | method afterwards |
//! |---|---|
//! | 301, 302 | `POST` becomes `GET` and loses its body, others stay |
//! | 303 | `GET`, without body; `HEAD` stays |
//! | 307, 308 | as it was, with its body |
//! | 300, 304 and others | not followed |

use fetchhost_policy::Method;
use http::{HeaderMap, StatusCode, header::LOCATION};
use url::Url;

/// The target of a redirect that names none.
#[derive(Debug)]
pub(crate) struct NoTarget;

/// Where an answer to a request for `from` redirects to; `None` when it is no redirect.
pub(crate) fn target(
    status: StatusCode,
    headers: &HeaderMap,
    from: &Url,
) -> Result<Option<Url>, NoTarget> {
    if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let location = headers.get(LOCATION).ok_or(NoTarget)?;
    let location = str::from_utf8(location.as_bytes()).map_err(|_| NoTarget)?;
    let mut target = from.join(location).map_err(|_| NoTarget)?;
    target.set_fragment(None);
    Ok(Some(target))
}

/// The method to follow a redirect with.
pub(crate) fn method(status: StatusCode, method: Method) -> Method {
    match (status.as_u16(), method) {
        (301 | 302, Method::Post) => Method::Get,
        (303, Method::Head) => Method::Head,
        (303, _) => Method::Get,
        (_, method) => method,
    }
}

/// Last path segments of login pages.
const LOGIN: [&str; 8] = [
    "sign_in",
    "sign-in",
    "signin",
    "login",
    "log_in",
    "log-in",
    "logon",
    "authorize",
];

/// Whether following from `from` to `target` would fetch a login page instead of the answer. A
/// request for something that itself is called `login` may be redirected to it.
pub(crate) fn is_login(from: &Url, target: &Url) -> bool {
    let last = |url: &Url| {
        url.path_segments()
            .and_then(|segments| segments.rev().find(|segment| !segment.is_empty()))
            .map(str::to_ascii_lowercase)
    };
    let Some(segment) = last(target) else {
        return false;
    };
    LOGIN.contains(&segment.as_str()) && last(from).is_none_or(|asked| asked != segment)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn the_method_after_a_redirect_follows_the_table() {
        use Method::{Delete, Get, Head, Post, Put};
        let table = [
            (301, Post, Get),
            (301, Put, Put),
            (302, Post, Get),
            (302, Head, Head),
            (302, Get, Get),
            (303, Post, Get),
            (303, Delete, Get),
            (303, Head, Head),
            (307, Post, Post),
            (308, Put, Put),
        ];
        for (status, before, after) in table {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(method(status, before), after, "{status} {before}");
        }
    }

    #[test]
    fn login_pages_are_known_by_their_last_segment() {
        let artifact = url("https://gitlab.example.com/api/v4/projects/1/jobs/2/artifacts");
        for login in [
            "https://gitlab.example.com/users/sign_in",
            "https://gitlab.example.com/users/sign_in/?redirect=x",
            "https://sso.example.com/LOGIN",
            "https://sso.example.com/oauth2/v1/authorize?client_id=1",
        ] {
            assert!(is_login(&artifact, &url(login)), "{login}");
        }
        for other in [
            "https://cdn.example.com/login/artifacts.zip",
            "https://cdn.example.com/file?x=/login",
            "https://cdn.example.com/",
        ] {
            assert!(!is_login(&artifact, &url(other)), "{other}");
        }
        assert!(!is_login(
            &url("https://example.com/files/login"),
            &url("https://cdn.example.com/files/login")
        ));
    }

    #[test]
    fn a_target_is_read_relative_to_the_url_and_without_its_fragment() {
        let mut headers = HeaderMap::new();
        let from = url("https://example.com/a/b?q");
        assert!(target(StatusCode::FOUND, &headers, &from).is_err());
        headers.insert(LOCATION, "../c#d".parse().unwrap());
        let found = target(StatusCode::FOUND, &headers, &from).unwrap().unwrap();
        assert_eq!(found.as_str(), "https://example.com/c");
        assert!(target(StatusCode::OK, &headers, &from).unwrap().is_none());
        assert!(
            target(StatusCode::NOT_MODIFIED, &headers, &from)
                .unwrap()
                .is_none()
        );
    }
}
