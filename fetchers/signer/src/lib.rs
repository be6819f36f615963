//! The built-in module `signer`: signs a file with a key that stays in the host, in a form that minisign, OpenSSH or
//! OpenSSL verifies.

use fetchhost_sdk::inputs::{self, Digest, Input};
use fetchhost_sdk::keys::{self, Padding};
use fetchhost_sdk::{
    Envelope, ErrorKind, FetchError, Fetcher, FetcherDescription, KeySlot, OutputRule, Plan,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The slot of the key.
const KEY: &str = "key";

/// The file that is signed.
const CONTENT: &str = "content";

/// The namespace of signatures over files, as `ssh-keygen -Y sign` says it in its examples.
const NAMESPACE: &str = "file";

/// The file `content` is signed with a key of the configuration.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Params {
    /// The name of the key: NAME of a `[key.NAME]`.
    #[schemars(example = &"release")]
    #[expect(dead_code, reason = "the host finds the key by it")]
    key_id: String,

    /// Who verifies the signature: `minisign -V`, `ssh-keygen -Y verify` (sshsig), or `openssl` (raw).
    format: Format,

    /// What a signature of the format sshsig is for: it is valid for nothing else. `file` if none is given.
    #[schemars(example = &"release@example.com")]
    namespace: Option<String>,

    /// The trusted comment of a signature of the format minisign: one line, signed along with the file. The file's
    /// SHA-256, `sha256:` and hexadecimal digits, if none is given.
    #[schemars(example = &"example 1.2.3")]
    comment: Option<String>,

    /// How RSA pads a signature of the format raw. `pss` if nothing is given; other algorithms have no padding.
    padding: Option<PaddingWord>,
}

/// The forms of signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Format {
    Minisign,
    Sshsig,
    Raw,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum PaddingWord {
    Pss,
    Pkcs1,
}

impl From<PaddingWord> for Padding {
    fn from(word: PaddingWord) -> Self {
        match word {
            PaddingWord::Pss => Self::Pss,
            PaddingWord::Pkcs1 => Self::Pkcs1,
        }
    }
}

struct Signer;

impl Fetcher for Signer {
    const NAME: &'static str = "signer";
    type Params = Params;

    fn describe() -> FetcherDescription {
        let envelopes = [Envelope::Minisign, Envelope::Sshsig, Envelope::Raw];
        FetcherDescription::new("A signature over a file")
            .input(CONTENT, "the file to be signed")
            .key(KeySlot::new(
                KEY,
                "key-id",
                envelopes,
                "the key to sign with",
            ))
            .output(OutputRule::flat("signature.minisig").when("format", "minisign"))
            .output(OutputRule::flat("signature.sig").when("format", "sshsig"))
            .output(OutputRule::flat("signature.raw"))
    }

    fn fetch(params: Params) -> Result<Plan, FetchError> {
        let wanted = params.wanted()?;
        let content = inputs::open(CONTENT)?;
        Plan::file(wanted.sign(&content)?)
    }
}

/// A signature, as it is asked for.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    Minisign { comment: Option<String> },
    Sshsig { namespace: String },
    Raw { padding: Padding },
}

impl Params {
    /// What the parameters ask for. One that belongs to another format would have no effect, which nobody means.
    fn wanted(self) -> Result<Wanted, FetchError> {
        let others = [
            ("namespace", Format::Sshsig, self.namespace.is_some()),
            ("comment", Format::Minisign, self.comment.is_some()),
            ("padding", Format::Raw, self.padding.is_some()),
        ];
        for (name, format, is_given) in others {
            if is_given && format != self.format {
                return Err(FetchError::bad_params(format!(
                    "`{name}` belongs to the format `{}`",
                    format.word()
                )));
            }
        }
        Ok(match self.format {
            Format::Minisign => Wanted::Minisign {
                comment: self.comment,
            },
            Format::Sshsig => Wanted::Sshsig {
                namespace: self.namespace.unwrap_or_else(|| NAMESPACE.to_owned()),
            },
            Format::Raw => Wanted::Raw {
                padding: self.padding.map(Padding::from).unwrap_or_default(),
            },
        })
    }
}

impl Format {
    const fn word(self) -> &'static str {
        match self {
            Self::Minisign => "minisign",
            Self::Sshsig => "sshsig",
            Self::Raw => "raw",
        }
    }
}

impl Wanted {
    fn sign(self, content: &Input) -> Result<Vec<u8>, FetchError> {
        match self {
            Self::Minisign { comment } => {
                let comment = match comment {
                    Some(comment) => comment,
                    None => named(&content.digest(Digest::Sha256)?),
                };
                keys::minisign(KEY, content, &comment).map_err(|error| refused("comment", error))
            }
            Self::Sshsig { namespace } => {
                keys::sshsig(KEY, content, &namespace).map_err(|error| refused("namespace", error))
            }
            Self::Raw { padding } => keys::raw(KEY, content, padding),
        }
    }
}

/// A content's name by its SHA-256.
fn named(sha256: &[u8]) -> String {
    let digits: String = sha256.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{digits}")
}

/// The host judges the texts that go into an envelope; what it refuses is the user's parameter.
fn refused(parameter: &str, error: FetchError) -> FetchError {
    match error.kind() {
        ErrorKind::Invalid => FetchError::bad_params(format!("`{parameter}`: {}", error.message())),
        _ => error,
    }
}

fetchhost_sdk::export!(Signer);

#[cfg(test)]
mod tests;
