//! Which requests are answered at all.
//!
//! **The threat.** A page in the owner's browser reaches loopback as the owner: by a form, an image, a
//! script, or a name of its own that it lets resolve to 127.0.0.1.
//!
//! **The rule.** Only what Nix's own fetcher sends is answered, and nothing ever says that a page may
//! read an answer.
//!
//! | request | answer |
//! |---|---|
//! | `GET`, `HEAD` | goes on |
//! | any other method | 405 |
//! | one `Host` of `127.0.0.1:PORT`, `localhost:PORT`, `[::1]:PORT` with our port | goes on |
//! | no `Host`, two, another name or port, a target that names another host | 421 |
//! | `Origin`, `Referer`, `Sec-Fetch-…`, a `User-Agent` of `Mozilla/…`: a browser | 403 |
//! | `Authorization`: a `default` line of a netrc file | removed unread |

use http::header::{AUTHORIZATION, HOST, ORIGIN, PROXY_AUTHORIZATION, REFERER, USER_AGENT};
use http::{HeaderMap, Method, Request, StatusCode, Uri};

/// Why a request is not answered: a status, and what to tell whoever sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) text: &'static str,
}

/// Lets a request for the gateway at `port` pass, without what must not be read.
pub(crate) fn admit<B>(request: &mut Request<B>, port: u16) -> Result<(), Refusal> {
    let headers = request.headers_mut();
    headers.remove(AUTHORIZATION);
    headers.remove(PROXY_AUTHORIZATION);
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Err(Refusal {
            status: StatusCode::METHOD_NOT_ALLOWED,
            text: "only GET and HEAD are answered",
        });
    }
    if !names_us(request.uri(), request.headers(), port) {
        return Err(Refusal {
            status: StatusCode::MISDIRECTED_REQUEST,
            text: "this is the gateway of nix-fetchhost: ask 127.0.0.1, localhost or [::1], with its port",
        });
    }
    if is_from_browser(request.headers()) {
        return Err(Refusal {
            status: StatusCode::FORBIDDEN,
            text: "this gateway is for Nix; browsers are not answered",
        });
    }
    Ok(())
}

fn names_us(uri: &Uri, headers: &HeaderMap, port: u16) -> bool {
    let ours = |host: &str| {
        ["127.0.0.1", "localhost", "[::1]"]
            .iter()
            .any(|name| host == format!("{name}:{port}"))
    };
    let mut hosts = headers.get_all(HOST).iter();
    let is_host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().is_ok_and(ours),
        _ => false,
    };
    is_host
        && uri
            .authority()
            .is_none_or(|authority| ours(authority.as_str()))
}

fn is_from_browser(headers: &HeaderMap) -> bool {
    headers.contains_key(ORIGIN)
        || headers.contains_key(REFERER)
        // Every browser calls itself so, and a page cannot change it in what needs no consent.
        || headers
            .get_all(USER_AGENT)
            .iter()
            .any(|agent| agent.as_bytes().starts_with(b"Mozilla/"))
        || headers
            .keys()
            .any(|name| name.as_str().starts_with("sec-fetch-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(method: &str, target: &str, headers: &[(&str, &str)]) -> u16 {
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(()).unwrap();
        match admit(&mut request, 8459) {
            Ok(()) => {
                assert!(!request.headers().contains_key("authorization"));
                200
            }
            Err(refusal) => refusal.status.as_u16(),
        }
    }

    #[test]
    fn only_our_own_names_with_our_port_are_answered() {
        for host in ["127.0.0.1:8459", "localhost:8459", "[::1]:8459"] {
            assert_eq!(status("GET", "/healthz", &[("host", host)]), 200, "{host}");
            let target = format!("http://{host}/healthz");
            assert_eq!(status("GET", &target, &[("host", host)]), 200, "{host}");
        }
        for host in [
            "127.0.0.1",
            "127.0.0.1:80",
            "127.0.0.1:08459",
            "127.0.0.2:8459",
            "localhost.:8459",
            "LOCALHOST:8459",
            "evil.example:8459",
            "127.0.0.1:8459.evil.example",
            "user@127.0.0.1:8459",
            "::1:8459",
            "",
        ] {
            assert_eq!(status("GET", "/healthz", &[("host", host)]), 421, "{host}");
        }
        assert_eq!(status("GET", "/healthz", &[]), 421);
        let host = ("host", "127.0.0.1:8459");
        assert_eq!(status("GET", "/healthz", &[host, host]), 421);
        assert_eq!(status("GET", "http://evil.example/healthz", &[host]), 421);
    }

    #[test]
    fn browsers_and_other_methods_are_refused() {
        let host = ("host", "127.0.0.1:8459");
        for name in ["origin", "referer", "sec-fetch-site", "sec-fetch-mode"] {
            assert_eq!(status("GET", "/", &[host, (name, "null")]), 403, "{name}");
        }
        let agent = |agent| status("GET", "/", &[host, ("user-agent", agent)]);
        assert_eq!(agent("Mozilla/5.0 (Macintosh) Safari/605.1.15"), 403);
        assert_eq!(agent("curl/8.17.0 Nix/2.34.0"), 200);
        for method in [
            "POST", "PUT", "DELETE", "OPTIONS", "CONNECT", "TRACE", "get", "X",
        ] {
            let target = if method == "CONNECT" {
                "127.0.0.1:8459"
            } else {
                "/"
            };
            assert_eq!(status(method, target, &[host]), 405, "{method}");
        }
        assert_eq!(status("HEAD", "/", &[host]), 200);
    }

    #[test]
    fn a_password_of_netrc_is_not_kept() {
        let headers = [("host", "127.0.0.1:8459"), ("authorization", "Basic eDp5")];
        assert_eq!(status("GET", "/", &headers), 200);
    }
}
