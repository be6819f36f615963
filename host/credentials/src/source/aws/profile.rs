//! A profile in a file of AWS's.
//!
//! | line | |
//! |---|---|
//! | `[NAME]`, in a configuration `[profile NAME]`, with or without quotes | the lines below are the profile's; one that comes twice is one |
//! | `KEY = VALUE`, indented like the one before or less | a setting; the last of several counts |
//! | indented more than the setting before | a part of that setting, and not read |
//! | empty, or beginning with `#` or `;` | passed over |
//! | ` #` or ` ;` after a value of ours | a comment: keys have no blanks |

use zeroize::Zeroizing;

/// No file of profiles is larger.
pub(super) const MAX_BYTES: usize = 1024 * 1024;
/// The role, of a web identity or of another profile.
const ROLE: &str = "role_arn";
/// Keys of a profile that say where its keys are to be had. A role is elsewhere, unless the profile has a
/// web identity.
const ELSEWHERE: [&str; 6] = [
    "credential_process",
    "credential_source",
    ROLE,
    "source_profile",
    "sso_session",
    "sso_start_url",
];

/// The sections of a file that are looked through.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sections {
    /// `[NAME]`: profiles, in the file of credentials.
    Credentials,
    /// `[profile NAME]` and `[default]`: profiles, in the configuration.
    Config,
    /// `[sso-session NAME]`, in the configuration.
    #[cfg(feature = "aws-sso")]
    SsoSessions,
}

/// What a profile says of SSO.
#[cfg(feature = "aws-sso")]
#[derive(Default)]
pub(super) struct Sso {
    pub(super) session: Option<String>,
    pub(super) start_url: Option<String>,
    pub(super) region: Option<String>,
    pub(super) account: Option<String>,
    pub(super) role: Option<String>,
}

/// What a profile says of its keys.
#[derive(Default)]
pub(super) struct Profile {
    pub(super) id: Option<String>,
    pub(super) secret: Option<Zeroizing<String>>,
    pub(super) session: Option<Zeroizing<String>>,
    /// The file of a web identity's token, the role that it is for, and the name of the session.
    pub(super) token_file: Option<String>,
    pub(super) role: Option<String>,
    pub(super) session_name: Option<String>,
    pub(super) region: Option<String>,
    #[cfg(feature = "aws-sso")]
    pub(super) sso: Sso,
    /// A setting that says where they are to be had.
    pub(super) elsewhere: Option<&'static str>,
}

impl Profile {
    /// What the file says of the profile called `name`; none when it has no such section.
    ///
    /// # Errors
    /// What is wrong with the file, without a word of it.
    pub(super) fn find(
        content: &[u8],
        name: &str,
        sections: Sections,
    ) -> Result<Option<Self>, &'static str> {
        if content.len() > MAX_BYTES {
            return Err("it is longer than 1 MiB");
        }
        let text = str::from_utf8(content).map_err(|_| "it is not UTF-8")?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut found: Option<Self> = None;
        let mut is_ours = false;
        // The indentation of the setting that deeper lines belong to.
        let mut setting: Option<usize> = None;
        for line in text.lines() {
            let trimmed = line.trim();
            if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
                continue;
            }
            let indentation = line.len() - line.trim_start().len();
            if setting.is_some_and(|setting| indentation > setting) {
                continue;
            }
            if let Some(section) = trimmed.strip_prefix('[') {
                let (section, _) = section.split_once(']').ok_or("a `[` has no `]`")?;
                is_ours = is_section(section.trim(), name, sections);
                setting = None;
                if is_ours {
                    found.get_or_insert_default();
                }
                continue;
            }
            setting = Some(indentation);
            let Some(profile) = found.as_mut().filter(|_| is_ours) else {
                continue;
            };
            let (key, value) = trimmed
                .split_once('=')
                .ok_or("a line is neither `[NAME]` nor `KEY = VALUE`")?;
            profile.set(key.trim_end(), value.trim_start());
        }
        Ok(found)
    }

    fn set(&mut self, key: &str, value: &str) {
        let key = key.to_ascii_lowercase();
        let value = without_comment(value);
        let secret = || Some(Zeroizing::new(value.to_owned()));
        let text = || Some(value.to_owned()).filter(|value| !value.is_empty());
        match key.as_str() {
            "aws_access_key_id" => self.id = Some(value.to_owned()),
            "aws_secret_access_key" => self.secret = secret(),
            "aws_session_token" => self.session = secret().filter(|token| !token.is_empty()),
            "web_identity_token_file" => self.token_file = text(),
            "role_session_name" => self.session_name = text(),
            "region" => self.region = text(),
            key => {
                if key == ROLE {
                    self.role = text();
                }
                #[cfg(feature = "aws-sso")]
                self.sso.set(key, text);
                let known = ELSEWHERE.into_iter().find(|known| *known == key);
                self.elsewhere = self.elsewhere.or(known);
            }
        }
    }
}

#[cfg(feature = "aws-sso")]
impl Sso {
    fn set(&mut self, key: &str, value: impl Fn() -> Option<String>) {
        let place = match key {
            "sso_session" => &mut self.session,
            "sso_start_url" => &mut self.start_url,
            "sso_region" => &mut self.region,
            "sso_account_id" => &mut self.account,
            "sso_role_name" => &mut self.role,
            _ => return,
        };
        *place = value();
    }
}

fn is_section(section: &str, name: &str, sections: Sections) -> bool {
    let unquoted = |text: &str| {
        let inner = text
            .strip_prefix('"')
            .and_then(|text| text.strip_suffix('"'));
        inner.unwrap_or(text) == name
    };
    let prefix = match sections {
        Sections::Credentials => return unquoted(section),
        Sections::Config => "profile",
        #[cfg(feature = "aws-sso")]
        Sections::SsoSessions => "sso-session",
    };
    match section.strip_prefix(prefix) {
        Some(rest) if rest.starts_with([' ', '\t']) => unquoted(rest.trim()),
        _ => sections == Sections::Config && name == "default" && unquoted(section),
    }
}

fn without_comment(value: &str) -> &str {
    let comment = value
        .match_indices(['#', ';'])
        .find(|(at, _)| *at == 0 || value[..*at].ends_with([' ', '\t']));
    match comment {
        Some((at, _)) => value[..at].trim_end(),
        None => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Id, secret and session token of the profile.
    fn found(text: &str, name: &str, is_config: bool) -> Option<[String; 3]> {
        let sections = match is_config {
            true => Sections::Config,
            false => Sections::Credentials,
        };
        let profile = Profile::find(text.as_bytes(), name, sections).unwrap()?;
        let text = |secret: Option<Zeroizing<String>>| {
            secret.map_or_else(String::new, |it| it.to_string())
        };
        Some([
            profile.id.unwrap_or_default(),
            text(profile.secret),
            text(profile.session),
        ])
    }

    #[test]
    fn keys_are_found_however_the_file_is_laid_out() {
        for text in [
            "[work]\naws_access_key_id = A\naws_secret_access_key = s/+=\naws_session_token = t\n",
            "\u{feff}[work]\r\naws_access_key_id=A\r\naws_secret_access_key=s/+=\r\naws_session_token=t",
            "[other]\naws_access_key_id = B\n[ work ] # mine\n\nAWS_ACCESS_KEY_ID = A\n# x\n; y\n  # z\naws_secret_access_key =\ts/+=  \naws_session_token = t",
            "[work]\n  aws_access_key_id = A\n  aws_secret_access_key = s/+=\n  aws_session_token = t\n",
            "[work]\naws_access_key_id = A # the old one\naws_secret_access_key = s/+= ;x\naws_session_token = t\t# y\n",
            "[work]\naws_access_key_id = A\naws_secret_access_key = old\n[x]\n[work]\naws_secret_access_key = s/+=\naws_session_token = t\n",
            "[work]\naws_access_key_id = A\naws_secret_access_key = s/+=\ns3 =\n  aws_secret_access_key = nested\n  aws_session_token = nested\n[other]\n[work]\naws_session_token = t\n",
            "[\"work\"]\naws_access_key_id = A\naws_secret_access_key = s/+=\naws_session_token = t\n[Work]\naws_access_key_id = B",
        ] {
            let keys = found(text, "work", false).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(keys, ["A", "s/+=", "t"], "{text}");
        }
    }

    #[test]
    fn a_configuration_calls_its_sections_by_another_name() {
        let keys = "aws_access_key_id = A\naws_secret_access_key = s";
        for (section, name) in [
            ("[profile work]", "work"),
            ("[profile \"my work\"]", "my work"),
            ("[profile\twork]", "work"),
            ("[default]", "default"),
            ("[profile default]", "default"),
        ] {
            let text = format!("{section}\n{keys}\n");
            assert!(found(&text, name, true).is_some(), "{section}");
        }
        for section in [
            "[work]",
            "[profilework]",
            "[sso-session work]",
            "[services work]",
        ] {
            let text = format!("{section}\n{keys}\n");
            assert!(found(&text, "work", true).is_none(), "{section}");
        }
        assert!(found("[profile work]\n", "work", false).is_none());
    }

    #[test]
    fn what_is_no_file_of_profiles_is_an_error_without_its_words() {
        for text in [
            "[work\naws_access_key_id = A",
            "[work]\naws_secret_access_key canary",
            "[work]\ncanary",
        ] {
            let told = Profile::find(text.as_bytes(), "work", Sections::Credentials)
                .err()
                .unwrap();
            assert!(!told.contains("canary"), "{told}");
        }
        assert!(Profile::find(b"[work]\n\xff", "work", Sections::Credentials).is_err());
        assert!(Profile::find(&[b'\n'; MAX_BYTES + 1], "work", Sections::Credentials).is_err());
        // What another profile looks like is its own matter.
        assert!(found("[other]\ncanary\n[work]\n", "work", false).is_some());
        assert!(
            found("[work]\naws_secret_access_key =\n  canary\n", "work", false)
                .is_some_and(|keys| keys[1].is_empty())
        );
    }
}
