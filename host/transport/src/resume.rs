//! Whether bytes really continue the body that broke off.
//!
//! **The threat.** The rest of another file is appended to the beginning of this one: the file changed
//! in between, a presigned URL leads elsewhere now, a cache answers with a part of its own choosing.
//! The declared hash would notice, hours later; a `prefetch` has none.
//!
//! **The rule.** Bytes are appended only under the strong `ETag` of the first answer, and only when the
//! server says that they begin where the others ended, in a whole of the same size and encoding.
//!
//! | first answer | answer to `Range: bytes=N-` with `If-Range` | verdict |
//! |---|---|---|
//! | `ETag: "a"` | 206, `bytes N-…/same` | continued |
//! | `ETag: "a"` | 206, other start, total, unit, or none | refused |
//! | `ETag: "a"`, length unknown | 206, `bytes N-…/*` | refused: a part could pass for the end |
//! | `ETag: "a"` | 206 or 200 with another `ETag` or encoding | refused: changed |
//! | `ETag: "a"` | 200, `ETag: "a"`, same size | continued after skipping `N` bytes |
//! | `ETag: "a"` | 416 | refused: changed |
//! | `ETag: W/"a"`, none | (not asked) | refused, unless nothing was delivered yet |
//! | any, nothing delivered yet | (asked without `Range`) 200, same `ETag`, size and encoding | begun again |

use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG},
};

/// The part that is still missing, as a request asks for it.
#[derive(Clone, Debug)]
pub(crate) struct Rest {
    /// The number of bytes that are already there.
    pub(crate) from: u64,
    /// The strong `ETag` that the rest must belong to.
    pub(crate) validator: HeaderValue,
}

/// What the first answer said about its body.
#[derive(Debug)]
pub(crate) struct Original {
    etag: Option<HeaderValue>,
    encoding: Option<HeaderValue>,
    /// The size of the body in bytes, if it was announced.
    pub(crate) length: Option<u64>,
}

/// How an answer continues the body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Continuation {
    /// Bytes at its beginning that are already there.
    pub(crate) skip: u64,
    /// The length of the whole, if any of the answers told it.
    pub(crate) length: Option<u64>,
}

/// Why an answer does not continue the body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The content is another one now; how that shows.
    Changed(String),
    /// The server sent another part than the one asked for; which.
    WrongPart(String),
    /// The server answered with this status.
    Status(u16),
}

impl Original {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        Self {
            etag: headers.get(ETAG).cloned(),
            encoding: headers.get(CONTENT_ENCODING).cloned(),
            length: content_length(headers),
        }
    }

    /// The `ETag`, if it vouches for every byte.
    pub(crate) fn strong_validator(&self) -> Option<&HeaderValue> {
        self.etag.as_ref().filter(|etag| {
            let etag = etag.as_bytes();
            etag.len() >= 2 && etag.starts_with(b"\"") && etag.ends_with(b"\"")
        })
    }

    /// How an answer's body goes on at byte `from`.
    pub(crate) fn continuation(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        from: u64,
    ) -> Result<Continuation, Refusal> {
        let partial = status == StatusCode::PARTIAL_CONTENT && from > 0;
        if status == StatusCode::RANGE_NOT_SATISFIABLE {
            return Err(Refusal::Changed(format!(
                "it ends before byte {from}, which was already received"
            )));
        }
        if status != StatusCode::OK && !partial {
            return Err(Refusal::Status(status.as_u16()));
        }
        // A 206 may leave out the headers that the first answer had; a 200 may not.
        let etag = headers.get(ETAG);
        if etag != self.etag.as_ref() && (!partial || etag.is_some()) {
            return Err(Refusal::Changed(String::from("it has another `ETag` now")));
        }
        let encoding = headers.get(CONTENT_ENCODING);
        if encoding != self.encoding.as_ref() && (!partial || encoding.is_some()) {
            return Err(Refusal::Changed(String::from(
                "it comes in another `Content-Encoding` now",
            )));
        }
        if partial {
            let part = headers
                .get(CONTENT_RANGE)
                .and_then(|value| Part::parse(value.to_str().ok()?))
                .ok_or_else(|| {
                    Refusal::WrongPart(String::from("it has no usable `Content-Range`"))
                })?;
            if part.start != from {
                return Err(Refusal::WrongPart(format!(
                    "it begins at byte {} instead of {from}",
                    part.start
                )));
            }
            let length = self.same_length(part.total)?;
            // Else a part that ends too early would pass for the end.
            if length.is_none() {
                return Err(Refusal::WrongPart(String::from(
                    "it is not said how long the whole is",
                )));
            }
            Ok(Continuation { skip: 0, length })
        } else {
            let length = self.same_length(content_length(headers))?;
            Ok(Continuation { skip: from, length })
        }
    }

    /// The length of the whole by what was said before and is said now.
    fn same_length(&self, now: Option<u64>) -> Result<Option<u64>, Refusal> {
        match (self.length, now) {
            (Some(before), Some(now)) if before != now => Err(Refusal::Changed(format!(
                "it had {before} bytes and has {now} now"
            ))),
            (before, now) => Ok(before.or(now)),
        }
    }
}

/// `Content-Length`, when it is a number.
pub(crate) fn content_length(headers: &HeaderMap) -> Option<u64> {
    let text = headers.get(CONTENT_LENGTH)?.to_str().ok()?;
    decimal(text)
}

/// `Content-Range: bytes START-END/TOTAL`, TOTAL perhaps `*`.
#[derive(Debug, PartialEq, Eq)]
struct Part {
    start: u64,
    total: Option<u64>,
}

impl Part {
    fn parse(text: &str) -> Option<Self> {
        let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
        let (start, end) = range.split_once('-')?;
        let (start, end) = (decimal(start)?, decimal(end)?);
        let total = match total {
            "*" => None,
            total => Some(decimal(total)?),
        };
        let consistent = start <= end && total.is_none_or(|total| end < total);
        consistent.then_some(Self { start, total })
    }
}

/// Digits only: `str::parse` would take `+5` too.
fn decimal(text: &str) -> Option<u64> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (
                    name.parse::<http::HeaderName>().unwrap(),
                    value.parse().unwrap(),
                )
            })
            .collect()
    }

    fn original() -> Original {
        Original::of(&headers(&[("etag", "\"a\""), ("content-length", "10")]))
    }

    fn verdict(status: u16, pairs: &[(&str, &str)]) -> Result<u64, Refusal> {
        let status = StatusCode::from_u16(status).unwrap();
        let continuation = original().continuation(status, &headers(pairs), 4)?;
        assert_eq!(continuation.length, Some(10));
        Ok(continuation.skip)
    }

    #[test]
    fn only_a_quoted_etag_without_w_is_strong() {
        for (etag, strong) in [
            ("\"a\"", true),
            ("\"\"", true),
            ("W/\"a\"", false),
            ("a", false),
            ("\"", false),
            ("\"a", false),
        ] {
            let original = Original::of(&headers(&[("etag", etag)]));
            assert_eq!(original.strong_validator().is_some(), strong, "{etag}");
        }
        assert!(Original::of(&HeaderMap::new()).strong_validator().is_none());
    }

    #[test]
    fn the_rest_is_taken_when_it_begins_where_the_others_ended() {
        assert_eq!(verdict(206, &[("content-range", "bytes 4-9/10")]), Ok(0));
        assert_eq!(verdict(206, &[("content-range", "bytes 4-9/*")]), Ok(0));
        assert_eq!(
            verdict(206, &[("content-range", "bytes 4-6/10"), ("etag", "\"a\"")]),
            Ok(0)
        );
        assert_eq!(
            verdict(200, &[("etag", "\"a\""), ("content-length", "10")]),
            Ok(4)
        );
    }

    #[test]
    fn another_part_than_the_one_asked_for_is_refused() {
        for range in [
            "bytes 0-9/10",
            "bytes 3-9/10",
            "bytes 5-9/10",
            "bytes 4-3/10",
            "bytes 4-10/10",
            "bytes */10",
            "items 4-9/10",
            "bytes 4-9",
            "bytes +4-9/10",
            "bytes=4-9/10",
            "",
        ] {
            let refusal = verdict(206, &[("content-range", range)]).unwrap_err();
            assert!(
                matches!(refusal, Refusal::WrongPart(_)),
                "{range}: {refusal:?}"
            );
        }
        assert!(matches!(verdict(206, &[]), Err(Refusal::WrongPart(_))));
    }

    #[test]
    fn another_content_is_refused() {
        for (status, pairs) in [
            (206, &[("content-range", "bytes 4-11/12")][..]),
            (206, &[("content-range", "bytes 4-9/10"), ("etag", "\"b\"")]),
            (
                206,
                &[
                    ("content-range", "bytes 4-9/10"),
                    ("content-encoding", "gzip"),
                ],
            ),
            (200, &[("etag", "\"b\""), ("content-length", "10")]),
            (200, &[("etag", "\"a\""), ("content-length", "11")]),
            (200, &[("content-length", "10")]),
            (416, &[]),
        ] {
            let refusal = verdict(status, pairs).unwrap_err();
            assert!(
                matches!(refusal, Refusal::Changed(_)),
                "{status} {pairs:?}: {refusal:?}"
            );
        }
        assert_eq!(verdict(404, &[]), Err(Refusal::Status(404)));
        assert_eq!(verdict(204, &[]), Err(Refusal::Status(204)));
    }

    #[test]
    fn without_a_byte_delivered_only_the_same_content_begins_again() {
        let weak = Original::of(&headers(&[("etag", "W/\"a\"")]));
        let again = |pairs| weak.continuation(StatusCode::OK, &headers(pairs), 0);
        assert_eq!(again(&[("etag", "W/\"a\"")]).unwrap().skip, 0);
        assert!(again(&[("etag", "W/\"b\"")]).is_err());
        let unasked = weak.continuation(StatusCode::PARTIAL_CONTENT, &HeaderMap::new(), 0);
        assert_eq!(unasked, Err(Refusal::Status(206)));
    }

    #[test]
    fn a_part_of_a_whole_of_unknown_length_must_tell_it() {
        let chunked = Original::of(&headers(&[("etag", "\"a\"")]));
        let part = |range| {
            let headers = headers(&[("content-range", range)]);
            chunked.continuation(StatusCode::PARTIAL_CONTENT, &headers, 4)
        };
        assert_eq!(part("bytes 4-6/10").unwrap().length, Some(10));
        assert!(matches!(part("bytes 4-6/*"), Err(Refusal::WrongPart(_))));
    }
}
