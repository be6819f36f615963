//! What a binary cache in a bucket is asked, and who allows it.
//!
//! **The threat.** A cache is written with the user's own access keys: a request that goes to another bucket,
//! or a key that goes to another server, damages or gives away what is not this cache's.
//!
//! **The rule.** Who types `s3://BUCKET` consents to requests below the bucket's own URL, signed with the
//! access keys of the profile that the URL names or of the environment, and to no redirect out of it. A `[[grant]]` for
//! `host:cache` that holds for the bucket's server takes the place of that consent, and is needed where the
//! administrator turned consent off.

use std::collections::BTreeMap;

use serde_json::json;

use crate::describe::{FetcherDescription, Needs, SlotDescription};
use crate::{
    AwsScope, Broker, BucketUrl, Config, CredentialName, CredentialSpec, Grant, HostPart, Method,
    ModuleId, PathPattern, PolicyError, Provenance, Scheme, SlotName, SourceSpec,
};

/// The slot of the access keys.
const SLOT: &str = "auth";
/// What a cache sends: reading, writing, multipart uploads, and taking away.
const METHODS: [Method; 5] = [
    Method::Get,
    Method::Head,
    Method::Put,
    Method::Post,
    Method::Delete,
];

/// What a cache in a bucket asks of its server.
pub(crate) fn needs() -> FetcherDescription {
    let slot = SlotDescription {
        summary: "Access keys for the bucket".to_owned(),
        scheme: Scheme::AwsSigV4(AwsScope::default()),
        optional: true,
    };
    FetcherDescription {
        summary: "Reads and writes a binary cache in a bucket".to_owned(),
        parameters: json!({ "type": "object" }),
        slots: SLOT.parse().map(|name| (name, slot)).into_iter().collect(),
        needs: Needs {
            origin_parameter: Some("bucket".to_owned()),
            origins: Vec::new(),
            methods: METHODS.to_vec(),
            paths: "/**".parse().into_iter().collect(),
        },
        inputs: BTreeMap::new(),
        keys: BTreeMap::new(),
        output: Vec::new(),
    }
}

impl Broker {
    /// The broker for a cache in a bucket whose URL was typed, and the slot of its access keys. `is_signed`: what
    /// that allows is signed, and not anonymous.
    ///
    /// # Errors
    /// When the configuration does not fit itself.
    pub fn for_bucket(
        bucket: &BucketUrl,
        config: &Config,
        is_signed: bool,
    ) -> Result<(Self, Option<SlotName>), PolicyError> {
        let module = ModuleId::Host(HostPart::Cache);
        let slot: Option<SlotName> = SLOT.parse().ok();
        let is_configured = config
            .grants
            .iter()
            .any(|grant| grant.module == module && grant.pattern_for(&bucket.origin).is_some());
        let mut config = config.clone();
        if !is_configured && config.no_argv_consent().is_none() {
            let credential = slot.as_ref().filter(|_| is_signed).map(|slot| {
                let name = CredentialName::of_slot(slot);
                let spec = CredentialSpec {
                    name: name.clone(),
                    source: SourceSpec::Aws(bucket.profile.clone()),
                    scheme: Scheme::AwsSigV4(bucket.scope()),
                    origins: vec![bucket.origin.clone()],
                };
                config.credentials.insert(name.clone(), spec);
                (slot.clone(), name)
            });
            config.grants.push(Grant {
                module: module.clone(),
                origins: vec![bucket.origin.clone().into()],
                methods: METHODS.to_vec(),
                paths: Some(bucket.paths()),
                redirects: Vec::new(),
                credentials: credential.into_iter().collect::<BTreeMap<_, _>>(),
                keys: BTreeMap::new(),
                domain: None,
                remember: None,
                from: Provenance::Argv,
            });
        }
        let broker = Self::new(module, HostPart::Cache.name(), &needs(), &config, None)?;
        Ok((broker, slot))
    }
}

impl BucketUrl {
    /// What requests are signed for.
    fn scope(&self) -> AwsScope {
        // A region that this type holds is one.
        AwsScope::new(self.region.as_deref(), None).unwrap_or_default()
    }

    /// The bucket itself, which is listed, and all that lies in it.
    fn paths(&self) -> Vec<PathPattern> {
        let below = self.url.path().trim_end_matches('/');
        let patterns = [format!("{below}/**"), below.to_owned()];
        let is_path = |pattern: &&String| !pattern.is_empty();
        patterns
            .iter()
            .filter(is_path)
            .filter_map(|pattern| pattern.parse().ok())
            .collect()
    }
}
