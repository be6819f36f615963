//! What publishers began in parts and never ended: the server keeps it, it costs, and no listing of objects shows it.
//!
//! `ListMultipartUploads` and `AbortMultipartUpload` of S3's API, which `object_store` does not have. What lies
//! elsewhere in the bucket than NARs do is somebody else's.

use std::time::SystemTime;

use fetchhost_policy::Method;
use serde::Deserialize;
use url::Url;

use super::Bucket;
use super::refusal::BucketError;
use crate::error::CacheError;
use crate::inventory::is_nar;
use crate::objects::{Key, UnfinishedUpload};

/// The most pages of a listing, each of up to 1,000 uploads.
const MAX_PAGES: usize = 10_000;

/// One page.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Page {
    is_truncated: bool,
    next_key_marker: Option<String>,
    next_upload_id_marker: Option<String>,
    upload: Vec<Listed>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    key: String,
    upload_id: String,
    initiated: String,
}

impl Bucket {
    /// Lists unfinished uploads of NARs.
    pub(super) fn list_unfinished(&self) -> Result<Vec<UnfinishedUpload>, CacheError> {
        let mut found = Vec::new();
        let mut after: Option<(String, String)> = None;
        for _ in 0..MAX_PAGES {
            let mut url = self.0.sender.root();
            let mut query = url.query_pairs_mut();
            query
                .append_pair("uploads", "")
                .append_pair("prefix", "nar/");
            if let Some((key, id)) = &after {
                query
                    .append_pair("key-marker", key)
                    .append_pair("upload-id-marker", id);
            }
            drop(query);
            let text = self.text(Method::Get, &url, "list", "")?;
            let page: Page = quick_xml::de::from_str(&text)
                .map_err(|_| self.broken("list", "", "its list of unfinished uploads is none"))?;
            found.extend(page.upload.into_iter().filter_map(known));
            let next = page.next_key_marker.unwrap_or_default();
            let next = (next, page.next_upload_id_marker.unwrap_or_default());
            // A server that gives the same page again would never end.
            if !page.is_truncated || after.as_ref() == Some(&next) {
                return Ok(found);
            }
            after = Some(next);
        }
        Ok(found)
    }

    /// Takes away what has arrived of one.
    pub(super) fn abort(&self, upload: &UnfinishedUpload) -> Result<(), CacheError> {
        let failed = |detail| self.broken("give up", &upload.key, detail);
        let key = Key::parse(&upload.key).ok_or_else(|| failed("its name makes no URL"))?;
        let url = self.0.sender.url_of(&key);
        let mut url = url.map_err(|_| failed("its name makes no URL"))?;
        url.query_pairs_mut().append_pair("uploadId", &upload.id);
        self.text(Method::Delete, &url, "give up", &upload.key)
            .map(drop)
    }

    /// The answer to a request without a body; empty when there is nothing of that name.
    pub(super) fn text(
        &self,
        method: Method,
        url: &Url,
        action: &'static str,
        key: &str,
    ) -> Result<String, CacheError> {
        let asked = self.0.sender.text(method, url);
        self.0
            .handle
            .block_on(asked)
            .map_err(|source| CacheError::Bucket {
                label: self.0.label.clone(),
                action,
                key: key.to_owned(),
                source,
            })
    }

    pub(super) fn broken(&self, action: &'static str, key: &str, detail: &str) -> CacheError {
        CacheError::Bucket {
            label: self.0.label.clone(),
            action,
            key: key.to_owned(),
            source: std::sync::Arc::new(BucketError::Broken {
                detail: detail.to_owned(),
            }),
        }
    }
}

/// An upload of a NAR whose age is known.
fn known(listed: Listed) -> Option<UnfinishedUpload> {
    let key = Key::parse(&listed.key).filter(is_nar)?;
    let begun: SystemTime = humantime::parse_rfc3339_weak(&listed.initiated).ok()?;
    Some(UnfinishedUpload {
        key: key.to_string(),
        id: listed.upload_id,
        begun,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::proptest;

    use super::*;

    #[test]
    fn a_page_is_read_as_servers_write_it() {
        let text = r#"<?xml version="1.0" encoding="UTF-8"?>
<ListMultipartUploadsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Bucket>b</Bucket><KeyMarker/>
<NextKeyMarker>nar/2.nar.xz</NextKeyMarker><NextUploadIdMarker>i2</NextUploadIdMarker><MaxUploads>2</MaxUploads>
<IsTruncated>true</IsTruncated>
<Upload><Key>nar/1.nar.zst</Key><UploadId>a&amp;b</UploadId><Initiator><ID>x</ID></Initiator>
<StorageClass>STANDARD</StorageClass><Initiated>2024-11-10T20:48:33.000Z</Initiated></Upload>
<Upload><Key>../x.nar</Key><UploadId>i2</UploadId><Initiated>2024-11-10T20:48:33.000Z</Initiated></Upload>
<Upload><Key>films/x.mkv</Key><UploadId>i3</UploadId><Initiated>2024-11-10T20:48:33.000Z</Initiated></Upload>
<Upload><Key>nar/2.nar.xz</Key><UploadId>i4</UploadId><Initiated>yesterday</Initiated></Upload>
</ListMultipartUploadsResult>"#;
        let page: Page = quick_xml::de::from_str(text).unwrap();
        assert!(page.is_truncated);
        assert_eq!(page.next_upload_id_marker.as_deref(), Some("i2"));
        let found: Vec<_> = page.upload.into_iter().filter_map(known).collect();
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].key.as_str(), found[0].id.as_str()),
            ("nar/1.nar.zst", "a&b")
        );
    }

    proptest! {
        #[test]
        fn no_answer_breaks_the_reader(text in ".{0,300}") {
            let _ = quick_xml::de::from_str::<Page>(&text);
        }
    }
}
