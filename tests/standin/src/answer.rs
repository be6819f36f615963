//! One answer before it becomes a response: status, headers, and a part of some content.

use std::ops::Range;

use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::Content;

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) content: Content,
    /// The part of `content` that is the body.
    pub(crate) part: Range<u64>,
    /// Whether its length is said beforehand.
    pub(crate) is_announced: bool,
}

impl Answer {
    fn new(status: StatusCode, content_type: &'static str, content: Content) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        let part = 0..content.len();
        Self {
            status,
            headers,
            content,
            part,
            is_announced: true,
        }
    }

    /// JSON, as the API writes it.
    pub(crate) fn json(body: &serde_json::Value) -> Self {
        Self::text(StatusCode::OK, "application/json", body.to_string())
    }

    /// A file that is made while it is sent: of unknown length, and without ranges.
    pub(crate) fn streamed(content: Content) -> Self {
        Self {
            is_announced: false,
            ..Self::new(StatusCode::OK, "application/octet-stream", content)
        }
    }

    /// With the headers that tell how often one may still ask.
    pub(crate) fn with_rate_limit(mut self) -> Self {
        for (name, value) in [
            ("ratelimit-limit", "2000"),
            ("ratelimit-name", "throttle_authenticated_api"),
            ("ratelimit-observed", "1"),
            ("ratelimit-remaining", "1999"),
            ("ratelimit-reset", "4102444800"),
        ] {
            let value = HeaderValue::from_static(value);
            self.headers.insert(name, value);
        }
        self
    }

    /// A body that is all there is to say.
    pub(crate) fn text(status: StatusCode, content_type: &'static str, body: String) -> Self {
        Self::new(status, content_type, Content::Bytes(body.into()))
    }

    /// A failure as GitLab's API words it: `{"message":"404 Not Found"}`.
    pub(crate) fn failure(status: StatusCode) -> Self {
        let reason = status.canonical_reason().unwrap_or("Error");
        Self::message(status, &format!("{} {reason}", status.as_u16()))
    }

    /// A failure with a message of its own, which must need no escaping.
    pub(crate) fn message(status: StatusCode, message: &str) -> Self {
        Self::text(
            status,
            "application/json",
            format!("{{\"message\":\"{message}\"}}"),
        )
    }

    /// 302 to another place.
    pub(crate) fn redirect(to: &str) -> Self {
        let mut answer = Self::text(StatusCode::FOUND, "text/html", String::new());
        if let Ok(location) = HeaderValue::from_str(to) {
            answer.headers.insert(header::LOCATION, location);
        }
        answer
    }

    /// A file, whole or the range that was asked for.
    pub(crate) fn file(content: Content, content_type: &'static str, asked: &HeaderMap) -> Self {
        let tag = content.entity_tag();
        let length = content.len();
        let mut answer = Self::new(StatusCode::OK, content_type, content);
        answer
            .headers
            .insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        set(&mut answer.headers, header::ETAG, &tag);

        let unchanged = asked
            .get(header::IF_RANGE)
            .is_none_or(|known| known == tag.as_str());
        let Some(range) = asked.get(header::RANGE).filter(|_| unchanged) else {
            return answer;
        };
        match range
            .to_str()
            .ok()
            .and_then(|range| parse_range(range, length))
        {
            Some(part) => {
                answer.status = StatusCode::PARTIAL_CONTENT;
                let shown = format!("bytes {}-{}/{length}", part.start, part.end - 1);
                set(&mut answer.headers, header::CONTENT_RANGE, &shown);
                answer.part = part;
            }
            None => {
                answer.status = StatusCode::RANGE_NOT_SATISFIABLE;
                set(
                    &mut answer.headers,
                    header::CONTENT_RANGE,
                    &format!("bytes */{length}"),
                );
                answer.part = 0..0;
            }
        }
        answer
    }
}

fn set(headers: &mut HeaderMap, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// The one kind of range that downloaders ask for: `bytes=FIRST-` or `bytes=FIRST-LAST`.
fn parse_range(range: &str, length: u64) -> Option<Range<u64>> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let first: u64 = first.parse().ok()?;
    let end = match last {
        "" => length,
        last => last.parse::<u64>().ok()?.checked_add(1)?.min(length),
    };
    (first < end).then_some(first..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_http_means_them() {
        for (range, expected) in [
            ("bytes=0-", Some(0..10)),
            ("bytes=3-4", Some(3..5)),
            ("bytes=9-99", Some(9..10)),
            ("bytes=10-", None),
            ("bytes=4-3", None),
            ("lines=0-", None),
        ] {
            assert_eq!(parse_range(range, 10), expected, "{range}");
        }
    }
}
