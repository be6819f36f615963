//! What a user allows by typing it.
//!
//! Only commands whose parameters come from the user's own hands (`run`,
//! `prefetch`) have a [`Consent`]; where parameters come from a Nix expression
//! there is none, and only the configuration counts.

use std::collections::BTreeSet;
use std::str::FromStr;

use crate::scheme::AWS;
use crate::suggest::nearest;
use crate::{
    AwsScope, CredentialName, Origin, OriginError, Scheme, SchemeError, SlotName, SourceError,
    SourceSpec,
};

/// All consent of one command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Consent {
    /// Origins of origin parameters that were typed as flags. Values from
    /// `--params`, defaults and the like do not belong here.
    pub typed_origins: Vec<Origin>,
    /// `--allow`: reach, direct and by redirect, never a credential.
    pub allow: Vec<Origin>,
    /// `--credential`.
    pub credentials: Vec<ArgvCredential>,
    /// Parameters that name keys and were typed as flags.
    pub keys: BTreeSet<String>,
}

/// One `--credential SLOT=SOURCE[,header=NAME|,bearer|,basic=USER|,aws-sigv4=REGION][@ORIGIN]`.
///
/// What does not fit the syntax (a path with a comma) goes into the
/// configuration and is referred to by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArgvCredential {
    /// The slot that it fills.
    pub slot: SlotName,
    /// Where the secret lies.
    pub source: ArgvSource,
    /// How it is sent, when that was said.
    pub scheme: Option<Scheme>,
    /// The origin that it is for, when that was said.
    pub origin: Option<Origin>,
}

/// Where the secret of an [`ArgvCredential`] lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArgvSource {
    /// A source that was typed.
    Source(SourceSpec),
    /// A configured credential.
    Configured(CredentialName),
}

/// A `--credential` that cannot be read. What stands in the place of slot, source
/// or option is not repeated: it may be the secret itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArgvCredentialError {
    /// No `=`, so no slot.
    #[error("`--credential` names no slot; write `--credential SLOT=SOURCE`")]
    Form,
    /// What stands before `=` is no slot.
    #[error(
        "`--credential` names no slot: what stands before `=` is not made of `a`–`z`, `0`–`9` and inner `-`"
    )]
    Slot,
    /// Not a source.
    #[error("`--credential {slot}=…`: {error}")]
    Source {
        /// The slot.
        slot: SlotName,
        /// What is wrong.
        error: SourceError,
    },
    /// Not a scheme.
    #[error(transparent)]
    Scheme(#[from] SchemeError),
    /// Not an origin.
    #[error(transparent)]
    Origin(#[from] OriginError),
    /// An option that does not exist.
    #[error(
        "what stands after `,` is no option of `--credential`; known are `bearer`, `basic=USER`, `header=NAME` and `aws-sigv4=REGION`"
    )]
    Option {
        /// What may have been meant.
        meant: Option<&'static str>,
    },
}

impl ArgvCredentialError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Form | Self::Slot => Some("for example `--credential token=env:GITLAB_TOKEN`".to_owned()),
            Self::Option { meant: Some(meant), .. } => Some(format!("did you mean `{meant}`?")),
            Self::Source { error: SourceError::Variable, .. } => {
                Some("an origin after `@` starts with `https://`".to_owned())
            }
            Self::Option { meant: None, .. } | Self::Source { .. } => Some(
                "what does not fit here goes into `config.toml` as `[credential.NAME]`, and its name can stand here"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}

impl ArgvCredential {
    /// Reads the value of `--credential`.
    ///
    /// # Errors
    /// When a part of it is not what the syntax wants.
    pub fn parse(text: &str) -> Result<Self, ArgvCredentialError> {
        let (slot, rest) = text.split_once('=').ok_or(ArgvCredentialError::Form)?;
        // A secret in base64 ends so.
        if rest.bytes().all(|byte| byte == b'=') {
            return Err(ArgvCredentialError::Form);
        }
        let slot: SlotName = slot.parse().map_err(|_| ArgvCredentialError::Slot)?;
        let (rest, origin) = split_origin(rest)?;
        let (source, option) = match rest.split_once(',') {
            Some((source, option)) => (source, Some(option)),
            None => (rest, None),
        };
        let source = read_source(source).map_err(|error| ArgvCredentialError::Source {
            slot: slot.clone(),
            error,
        })?;
        let scheme = match (&source, option) {
            (ArgvSource::Source(source), Some("basic")) if source.knows_login() => {
                Some(Scheme::BasicLogin)
            }
            (_, option) => option.map(read_option).transpose()?,
        };
        Ok(Self {
            slot,
            source,
            scheme,
            origin,
        })
    }
}

impl FromStr for ArgvCredential {
    type Err = ArgvCredentialError;

    fn from_str(text: &str) -> Result<Self, ArgvCredentialError> {
        Self::parse(text)
    }
}

/// Splits off `@https://…`. Another `@` belongs to a path or user name.
fn split_origin(text: &str) -> Result<(&str, Option<Origin>), OriginError> {
    let Some(at) = text.rfind("@http") else {
        return Ok((text, None));
    };
    let origin = &text[at + 1..];
    if !origin.contains("://") {
        return Ok((text, None));
    }
    Ok((&text[..at], Some(Origin::parse(origin)?)))
}

fn read_source(text: &str) -> Result<ArgvSource, SourceError> {
    if text.contains(':') || crate::source::is_source_kind(text) {
        return text.parse().map(ArgvSource::Source);
    }
    // A text that is no name may be a secret; the name's own error shows it.
    text.parse()
        .map(ArgvSource::Configured)
        .map_err(|_| SourceError::Form)
}

fn read_option(text: &str) -> Result<Scheme, ArgvCredentialError> {
    let scheme = match text.split_once('=') {
        None if text == "bearer" => Scheme::Bearer,
        None if text == "basic" => return Err(SchemeError::Username.into()),
        Some(("basic", username)) => Scheme::basic(username)?,
        Some(("header", name)) => Scheme::header(name)?,
        None if text == AWS => Scheme::AwsSigV4(AwsScope::default()),
        Some((AWS, scope)) => Scheme::AwsSigV4(scope.parse()?),
        _ => {
            let word = text.split(['=', ':']).next().unwrap_or_default();
            let meant = nearest(word, ["bearer", "basic", "header", AWS]).map(|word| match word {
                "basic" => "basic=USER",
                "header" => "header=NAME",
                AWS => "aws-sigv4=REGION",
                _ => "bearer",
            });
            return Err(ArgvCredentialError::Option { meant });
        }
    };
    Ok(scheme)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> ArgvCredential {
        ArgvCredential::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn the_documented_spellings_are_read() {
        let plain = read("token=env:GITLAB_TOKEN");
        assert_eq!(plain.slot.as_str(), "token");
        assert_eq!(
            plain.source,
            ArgvSource::Source("env:GITLAB_TOKEN".parse().unwrap())
        );
        assert_eq!((plain.scheme, plain.origin), (None, None));

        let full = read("token=file:/run/t,header=JOB-TOKEN@https://gitlab.lan:8443");
        assert_eq!(
            full.source,
            ArgvSource::Source("file:/run/t".parse().unwrap())
        );
        assert_eq!(full.scheme, Some(Scheme::header("JOB-TOKEN").unwrap()));
        assert_eq!(full.origin.unwrap().to_string(), "https://gitlab.lan:8443");

        assert_eq!(read("auth=env:A,bearer").scheme, Some(Scheme::Bearer));
        for (option, text) in [
            ("aws-sigv4", "aws-sigv4"),
            ("aws-sigv4=eu-west-1", "aws-sigv4:eu-west-1"),
        ] {
            let scheme = read(&format!("aws=aws:work,{option}")).scheme.unwrap();
            assert_eq!(
                (scheme.to_string().as_str(), scheme.argv_option().as_str()),
                (text, option)
            );
        }
        let netrc = read("auth=netrc,basic");
        assert_eq!(netrc.source, ArgvSource::Source(SourceSpec::netrc()));
        assert_eq!(netrc.scheme, Some(Scheme::BasicLogin));
        for source in ["age:/x/t.age", "systemd:gitlab-token"] {
            assert_eq!(
                read(&format!("auth={source}")).source,
                ArgvSource::Source(source.parse().unwrap())
            );
        }
        assert_eq!(
            read("auth=work-gitlab@http://127.0.0.1:8080").source,
            ArgvSource::Configured("work-gitlab".parse().unwrap())
        );
    }

    #[test]
    fn an_at_sign_that_starts_no_origin_belongs_to_what_it_stands_in() {
        let user = read("auth=env:A,basic=me@example.com@https://h.example");
        assert_eq!(user.scheme, Some(Scheme::basic("me@example.com").unwrap()));
        assert_eq!(user.origin.unwrap().to_string(), "https://h.example");
        assert_eq!(
            read("auth=file:/home/me@work/t").source,
            ArgvSource::Source("file:/home/me@work/t".parse().unwrap())
        );
    }

    #[test]
    fn slips_are_refused_with_what_was_meant() {
        for (text, hint) in [
            ("GITLAB_TOKEN", "token=env:GITLAB_TOKEN"),
            ("token=env:A,headr=X", "header=NAME"),
            ("token=env:A,header:X", "header=NAME"),
            ("token=env:A@gitlab.com", "https://"),
            ("token=command:/x", "config.toml"),
            ("token=keyring:x", "config.toml"),
        ] {
            let error = ArgvCredential::parse(text).unwrap_err();
            assert!(error.hint().unwrap().contains(hint), "{text}: {error}");
        }
        for text in [
            "=env:A",
            "Token=env:A",
            "token=",
            "token=helper",
            "token=env:A,",
            "token=env:A,basic",
            "token=env:A,header=Host",
            "token=env:A@https://",
            "token=env:A@https://a/b",
            "token=env:A@https://*.example.com",
        ] {
            assert!(ArgvCredential::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_secret_typed_in_place_of_a_source_is_not_repeated() {
        for text in [
            "glpat-s3cret",
            "token=s3cret.x",
            "token=s3cret:x",
            "token=env:s3cret-x",
            "token=env:s3cret@x",
            "s3cretABC=",
            "s3cret==",
            "S3cret_s3cret==x",
            "token=env:A,s3cret",
            "token=env:A,s3cret=x",
            "token=env:A,headr=s3cret",
        ] {
            let error = ArgvCredential::parse(text).unwrap_err();
            assert!(
                !format!("{error} {error:?} {:?}", error.hint()).contains("s3cret"),
                "{text}"
            );
        }
    }
}
