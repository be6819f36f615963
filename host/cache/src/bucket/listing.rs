//! What is in a bucket: `ListObjectsV2` of S3's API.
//!
//! Names are given as they are. `object_store` takes slashes off them, and ends at the first one that it would not
//! have given itself.
//!
//! | answer | |
//! |---|---|
//! | `ListBucketResult` with `Contents`, each with `Key`, `Size`, `LastModified` | objects |
//! | `EncodingType` `url`, which is asked for | `Key` is encoded as in a form: XML has no control characters |
//! | `IsTruncated` with `NextContinuationToken` | the next page is asked for with that |
//! | `IsTruncated` without one that is new, another element, no XML | refused: what is not listed would be taken for absent |

use std::time::SystemTime;

use fetchhost_policy::Method;
use percent_encoding::percent_decode_str;
use serde::Deserialize;

use super::Bucket;
use crate::error::CacheError;
use crate::objects::Listed;

/// One page.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Page {
    #[serde(default)]
    is_truncated: bool,
    next_continuation_token: Option<String>,
    encoding_type: Option<String>,
    #[serde(default)]
    contents: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    key: String,
    size: u64,
    last_modified: String,
}

impl Bucket {
    /// Names all objects.
    pub(super) fn list_all(
        &self,
        each: &mut dyn FnMut(Listed) -> Result<(), CacheError>,
    ) -> Result<(), CacheError> {
        let mut after: Option<String> = None;
        loop {
            let mut url = self.0.sender.root();
            let mut query = url.query_pairs_mut();
            query
                .append_pair("list-type", "2")
                .append_pair("encoding-type", "url");
            if let Some(token) = &after {
                query.append_pair("continuation-token", token);
            }
            drop(query);
            let text = self.text(Method::Get, &url, "list", "")?;
            let page = page(&text).ok_or_else(|| self.broken("list", "", "its list is none"))?;
            let is_encoded = page.encoding_type.as_deref() == Some("url");
            for entry in page.contents {
                each(entry.listed(is_encoded))?;
            }
            if !page.is_truncated {
                return Ok(());
            }
            match page.next_continuation_token {
                Some(token) if after.as_ref() != Some(&token) => after = Some(token),
                _ => return Err(self.broken("list", "", "its list does not go on")),
            }
        }
    }
}

fn page(text: &str) -> Option<Page> {
    // The parser takes any element for the outermost one.
    let is_list = text.contains("<ListBucketResult");
    is_list.then(|| quick_xml::de::from_str(text).ok())?
}

impl Entry {
    fn listed(self, is_encoded: bool) -> Listed {
        let name = match is_encoded {
            true => {
                let spaced = self.key.replace('+', " ");
                let decoded: Vec<u8> = percent_decode_str(&spaced).collect();
                String::from_utf8_lossy(&decoded).into_owned()
            }
            false => self.key,
        };
        // What does not say its age is as young as can be: nothing young is taken away.
        let modified = humantime::parse_rfc3339_weak(&self.last_modified);
        Listed {
            name,
            size: self.size,
            modified: modified.unwrap_or_else(|_| SystemTime::now()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use proptest::prelude::*;

    use super::*;

    fn names(page: Page) -> Vec<String> {
        let is_encoded = page.encoding_type.is_some();
        let entries = page.contents.into_iter();
        entries.map(|entry| entry.listed(is_encoded).name).collect()
    }

    fn text(encoding: &str, key: &str) -> String {
        format!(
            "<?xml version=\"1.0\"?><ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
             <Name>b</Name><IsTruncated>false</IsTruncated>{encoding}<Contents><Key>{key}</Key>\
             <LastModified>1970-01-01T00:00:07.000Z</LastModified><ETag>&quot;x&quot;</ETag><Size>3</Size>\
             </Contents></ListBucketResult>"
        )
    }

    #[test]
    fn names_are_given_as_they_are() {
        let encoded = "<EncodingType>url</EncodingType>";
        for (encoding, key, name) in [
            ("", "nar/a.nar", "nar/a.nar"),
            ("", "a//b/", "a//b/"),
            ("", "/x.narinfo", "/x.narinfo"),
            ("", "a&amp;b+c%20", "a&b+c%20"),
            (encoded, "a%01b%2Bc+d%2F%2F", "a\u{1}b+c d//"),
        ] {
            let page = page(&text(encoding, key)).unwrap();
            assert_eq!(names(page), [name]);
        }
        let listed = page(&text("", "k")).unwrap().contents.remove(0);
        let listed = listed.listed(false);
        assert_eq!(listed.size, 3);
        assert_eq!(listed.modified, UNIX_EPOCH + Duration::from_secs(7));
    }

    #[test]
    fn what_is_no_list_is_not_an_empty_one() {
        for text in [
            "",
            "<html></html>",
            "<Error><Code>X</Code></Error>",
            "<ListBucketResult>",
        ] {
            assert!(page(text).is_none(), "{text}");
        }
        let empty = "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>";
        assert!(page(empty).unwrap().contents.is_empty());
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in "(<ListBucketResult>)?[<>/A-Za-z&;%0-9 ]{0,80}") {
            let _ = page(&text);
        }
    }
}
