//! What a remembered thing belongs to.
//!
//! **The threat.** An entry is handed out for something else than it was made for: another content, another key, another
//! module's parameters.
//!
//! **The rule.** All of that is in the key, the code that made it is not, and an entry lies under the digest of its key.
//! The digests are the same in all versions of this program: an upgrade forgets nothing.

use std::collections::BTreeMap;

use fetchhost_formats::hex;
use fetchhost_keys::{Algorithm, ContentDigests, Envelope, Padding, PublicKey};
use fetchhost_policy::{Domain, Use};
use serde_json::{Map, Value, json};

use crate::id::MemoId;

/// The version of the members below. With another one all ids are others.
const VERSION: u64 = 1;

/// What a remembered signature belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureKey {
    /// Whose it is.
    pub domain: Domain,
    /// The SHA-256 of what is signed.
    pub content: [u8; 32],
    /// The public key's fingerprint, as [`PublicKey::fingerprint`] gives it.
    pub key: String,
    /// Which envelope.
    pub format: Use,
    /// What else the envelope says.
    pub parameters: BTreeMap<String, String>,
}

impl SignatureKey {
    /// That of the signature by `key`, in this envelope, of this content.
    ///
    /// | envelope | parameters |
    /// |---|---|
    /// | `minisign` | `trusted-comment` |
    /// | `sshsig` | `namespace` |
    /// | `raw` | `padding`, `pss` or `pkcs1`, of RSA alone: others have none |
    #[must_use]
    pub fn new(
        domain: Domain,
        content: &ContentDigests,
        key: &PublicKey,
        envelope: &Envelope,
    ) -> Self {
        let parameter = match envelope {
            Envelope::Minisign {
                trusted_comment, ..
            } => Some(("trusted-comment", trusted_comment.as_str())),
            Envelope::Sshsig { namespace } => Some(("namespace", namespace.as_str())),
            Envelope::Raw { padding } if key.algorithm() == Algorithm::Rsa => {
                let padding = match padding {
                    Padding::Pss => "pss",
                    Padding::Pkcs1 => "pkcs1",
                };
                Some(("padding", padding))
            }
            Envelope::Raw { .. } => None,
        };
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Self {
            domain,
            content: *content.sha256(),
            key: key.fingerprint(),
            format: envelope.asks(),
            parameters: parameter.map(owned).into_iter().collect(),
        }
    }

    /// The name of its entry.
    #[must_use]
    pub fn id(&self) -> MemoId {
        MemoId::of(&json!({
            "version": VERSION,
            "kind": "signature",
            "domain": self.domain,
            "content": hex(&self.content),
            "key": self.key,
            "format": self.format.name(),
            "parameters": self.parameters,
        }))
    }
}

/// What the remembered result of another fetcher belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultKey {
    /// Whose it is.
    pub domain: Domain,
    /// The fetcher.
    pub fetcher: String,
    /// Its parameters, as they were checked.
    pub parameters: Map<String, Value>,
}

impl ResultKey {
    /// The name of its entry.
    #[must_use]
    pub fn id(&self) -> MemoId {
        MemoId::of(&json!({
            "version": VERSION,
            "kind": "result",
            "domain": self.domain,
            "fetcher": self.fetcher,
            "parameters": self.parameters,
        }))
    }
}

#[cfg(test)]
mod tests {
    use fetchhost_policy::ModuleId;
    use proptest::prelude::*;

    use super::*;

    /// Made by `openssl genrsa 3072`, whose secret half nobody has.
    const RSA: &str = "\
-----BEGIN PUBLIC KEY-----\n\
MIIBojANBgkqhkiG9w0BAQEFAAOCAY8AMIIBigKCAYEAxKKCnXCahE7lJG8Zh0Lf\n\
TlSEveOqLheO1uiqAlRT6i2JyfOIX2ACs08r1T42PiA7r+ZMYQJk4Xe9yjNoYvMu\n\
70lZW0xF6+Exp76Z8peqOlEhzSORtVwK2Vvuj/PaFthtODh5y7kL4yuyNAA3aacw\n\
k1DcnWLgGaVKfR9E4NvJ6PoJqsVgoY5DODPeGJIjCGZss4luRzWCUdAWd1nbZBYE\n\
cTKoWkENJQwwga5D+ZYQ5juIygkw6YM+oNj1MNw8JpCpV2HPXCl0NMD/uyyBnBNz\n\
IWdKDpEM+b8okK6EyHPE9vfHfKk0tzTcSpI8gU1LsjIhH8YbBHyhDfYQsyhORdvU\n\
Av57rOkOeu9tzB6q/PelcSgEuTRwF9RvhFED+EwqnMYxxtfut8fl2RjWQkmBy5//\n\
e9WvVngpKikH9XDE/jj/B1Wmzsz5Ml/wLPeAG5Z/RuE598CCYPNHRqYGoK9rlv4t\n\
VSesp0U8JUFk+aplpuCs8RGM4vxu+6gQuPv36GqFHJJDAgMBAAE=\n\
-----END PUBLIC KEY-----\n\
";

    fn signature_key() -> SignatureKey {
        SignatureKey {
            domain: "acme".parse().unwrap(),
            content: [7; 32],
            key: format!("minisign-ed25519:sha256:{}", "0a".repeat(32)),
            format: Use::Minisign,
            parameters: [("trusted-comment".to_owned(), "file:a é".to_owned())].into(),
        }
    }

    fn result_key() -> ResultKey {
        let parameters =
            json!({"url": "https://example.com/x", "n": 3, "list": ["b", "a"], "é": null});
        let Value::Object(parameters) = parameters else {
            unreachable!()
        };
        ResultKey {
            domain: Domain::of_module(ModuleId::Builtin("http".to_owned())),
            fetcher: "http-file".to_owned(),
            parameters,
        }
    }

    /// These never change: everything that was ever remembered lies under such names. Python's `json` and `hashlib` give
    /// the same.
    #[test]
    fn ids_are_the_same_in_every_version() {
        assert_eq!(
            signature_key().id().to_string(),
            "9d92f0024a548062d49a7c44cb0a354ece7b356b7a7f8b0cb424eb40cfaee0fa"
        );
        assert_eq!(
            result_key().id().to_string(),
            "cfbf294d62b5b0aa54f86a3945e47c937f352f6eaa131c5fc3429ef678226922"
        );
        let of_module = SignatureKey {
            domain: Domain::of_module(ModuleId::Digest([15; 32])),
            format: Use::Raw,
            parameters: BTreeMap::new(),
            ..signature_key()
        };
        assert_eq!(
            of_module.id().to_string(),
            "0765e9356792f65135e8a78e86c0b2f1302351bf9543a220e6c5d6c844a2fdf2"
        );
    }

    #[test]
    fn an_envelope_gives_its_own_parameters_and_no_others() {
        let content = ContentDigests::read(&b"content"[..]).unwrap();
        let key: PublicKey = "RWQAAAAAAAAAANdamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea"
            .parse()
            .unwrap();
        let of = |envelope: &Envelope| {
            SignatureKey::new("acme".parse().unwrap(), &content, &key, envelope)
        };
        let minisign = |untrusted: &str| Envelope::Minisign {
            untrusted_comment: untrusted.parse().unwrap(),
            trusted_comment: "ours".parse().unwrap(),
        };
        let made = of(&minisign("a"));
        assert_eq!(made.key, key.fingerprint());
        assert_eq!(made.content, *content.sha256());
        assert_eq!(made.parameters["trusted-comment"], "ours");
        assert_eq!(made.id(), of(&minisign("b")).id());
        let sshsig = of(&Envelope::Sshsig {
            namespace: "file".parse().unwrap(),
        });
        assert_eq!(sshsig.parameters["namespace"], "file");
        let raw = |padding| of(&Envelope::Raw { padding });
        assert!(raw(Padding::Pss).parameters.is_empty());
        assert_eq!(raw(Padding::Pss).id(), raw(Padding::Pkcs1).id());
        // RSA pads in two ways.
        let rsa: PublicKey = RSA.parse().unwrap();
        let [pss, pkcs1] = [Padding::Pss, Padding::Pkcs1].map(|padding| {
            let domain = "acme".parse().unwrap();
            SignatureKey::new(domain, &content, &rsa, &Envelope::Raw { padding })
        });
        assert_eq!(pss.parameters["padding"], "pss");
        assert_eq!(pkcs1.parameters["padding"], "pkcs1");
        assert_ne!(pss.id(), pkcs1.id());
    }

    proptest! {
        /// Two keys that differ have two ids; the order in which parameters came does not matter.
        #[test]
        fn each_member_matters(
            content: [u8; 32],
            domain in "[a-e][a-z0-9]{0,5}",
            key in "[a-z0-9:-]{1,20}",
            parameters in prop::collection::btree_map("[a-z]{1,5}", ".{0,8}", 0..4),
            format in 0_usize..3,
        ) {
            let first = signature_key();
            let other = SignatureKey {
                domain: domain.parse().unwrap(),
                content,
                key,
                format: Use::ALL[format],
                parameters,
            };
            prop_assert_eq!(first.id() == other.id(), first == other);
            for changed in [
                SignatureKey { domain: "other".parse().unwrap(), ..other.clone() },
                SignatureKey { content: content.map(|byte| !byte), ..other.clone() },
                SignatureKey { key: format!("{}x", other.key), ..other.clone() },
                SignatureKey { format: Use::ALL[(format + 1) % 3], ..other.clone() },
            ] {
                prop_assert_ne!(changed.id(), other.id());
            }
        }

        #[test]
        fn the_order_of_parameters_does_not_matter(names in prop::collection::btree_set("[a-z]{1,6}", 0..6)) {
            let members = names.iter().map(|name| (name.clone(), Value::from(name.len())));
            let there: Map<_, _> = members.clone().collect();
            let back: Map<_, _> = members.rev().collect();
            let key = |parameters| ResultKey { parameters, ..result_key() };
            prop_assert_eq!(key(there).id(), key(back).id());
        }
    }
}
