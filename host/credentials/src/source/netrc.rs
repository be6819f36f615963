//! `netrc`: the file that curl, git and Nix read.
//!
//! **The threat.** A `default` entry gives a password to every server there is; a reader that
//! guesses at unknown words takes one entry's password for another's host.
//!
//! **The rule.** An entry is for the host that it names, letter for letter, and its port is the
//! credential's business. `default` counts only where the configuration says so. What the file says
//! twice, or in words that no netrc has, is refused.
//!
//! | entry | verdict |
//! |---|---|
//! | `machine HOST login USER password SECRET`, on one line or several | read |
//! | `account NAME`, `macdef NAME` up to a blank line, `# …` to the end of the line | passed over |
//! | `"quoted words"` with `\"` and `\\` in them | read |
//! | any other `\` in quotes, which readers take differently | refused, naming the line |
//! | any other word, a keyword at the end of the file, `login` twice | refused, naming the line |

mod words;

use std::path::{Path, PathBuf};

use fetchhost_policy::{CredentialSpec, Origin, Scheme};
use zeroize::Zeroizing;

use super::{
    Surroundings,
    file::{Trust, read_file},
    refuse_file,
};
use crate::{CredentialError, FileKind, NetrcProblem, Secret};
use words::Words;

/// No netrc is larger.
const MAX_BYTES: usize = 1024 * 1024;

/// One entry. `machine` is `None` for `default`.
#[derive(Default)]
struct Entry {
    machine: Option<String>,
    login: Option<String>,
    password: Option<Zeroizing<String>>,
}

pub(super) fn read(
    spec: &CredentialSpec,
    path: PathBuf,
    use_default: bool,
    trust: Trust,
    origin: &Origin,
    surroundings: &Surroundings,
) -> Result<Secret, CredentialError> {
    let content = read_file(&path, trust, surroundings.user(), MAX_BYTES)
        .map_err(|error| refuse_file(spec, error, FileKind::Netrc))?;
    find(&content, &origin.host(), &spec.scheme, use_default).map_err(|problem| {
        CredentialError::Netrc {
            credential: spec.name.clone(),
            path,
            problem,
        }
    })
}

/// The file at `path`, else `$NETRC`, else `.netrc` in the user's home.
pub(super) fn file(
    spec: &CredentialSpec,
    path: Option<&Path>,
    surroundings: &Surroundings,
) -> Result<PathBuf, CredentialError> {
    path.map(Path::to_owned)
        .or_else(|| own_file(surroundings))
        .ok_or_else(|| CredentialError::NoHome {
            credential: spec.name.clone(),
            file: ".netrc",
        })
}

/// `$NETRC`, else `.netrc` in the user's home.
fn own_file(surroundings: &Surroundings) -> Option<PathBuf> {
    (surroundings.environment)("NETRC")
        .filter(|path| !path.is_empty())
        .map(PathBuf::from)
        .or_else(|| Some(surroundings.folder("HOME")?.join(".netrc")))
}

/// The password for `host`, and the user name when the scheme wants it.
fn find(
    content: &[u8],
    host: &str,
    scheme: &Scheme,
    use_default: bool,
) -> Result<Secret, NetrcProblem> {
    if content.len() > MAX_BYTES {
        return Err(NetrcProblem::TooLarge);
    }
    let text = str::from_utf8(content).map_err(|_| NetrcProblem::NotText)?;
    let entries = parse(text)?;
    let mut of_host: Vec<Entry> = Vec::new();
    let mut defaults: Vec<Entry> = Vec::new();
    for entry in entries {
        match &entry.machine {
            Some(machine) if machine.eq_ignore_ascii_case(host) => of_host.push(entry),
            None if use_default => defaults.push(entry),
            _ => {}
        }
    }
    let mut candidates = if of_host.is_empty() {
        defaults
    } else {
        of_host
    };
    if candidates.is_empty() {
        return Err(NetrcProblem::NoEntry(host.to_owned()));
    }
    if let Scheme::Basic { username } = scheme {
        candidates.retain(|entry| entry.login.as_ref() == Some(username));
    }
    let mut candidates = candidates.into_iter();
    let entry = candidates.next().ok_or_else(|| NetrcProblem::NoLogin {
        host: host.to_owned(),
    })?;
    if candidates.next().is_some() {
        return Err(NetrcProblem::Several(host.to_owned()));
    }
    if *scheme == Scheme::BasicLogin && entry.login.as_ref().is_none_or(String::is_empty) {
        return Err(NetrcProblem::NoUser(host.to_owned()));
    }
    let password = entry
        .password
        .ok_or_else(|| NetrcProblem::NoPassword(host.to_owned()))?;
    Ok(Secret::from(password).with_login(entry.login))
}

fn parse(text: &str) -> Result<Vec<Entry>, NetrcProblem> {
    let mut words = Words::new(text);
    let mut entries: Vec<Entry> = Vec::new();
    while let Some(word) = words.next()? {
        let line = word.line;
        match (word.text.as_str(), entries.last_mut()) {
            ("machine", _) => entries.push(Entry {
                machine: Some(words.value("machine", line)?.to_string()),
                ..Entry::default()
            }),
            ("default", _) => entries.push(Entry::default()),
            ("macdef", _) => {
                words.value("macdef", line)?;
                words.skip_macro();
            }
            ("login", Some(entry)) => {
                let login = words.value("login", line)?.to_string();
                if login.contains(|c: char| c == ':' || c.is_control()) {
                    return Err(NetrcProblem::User(line));
                }
                put(&mut entry.login, login, "login", line)?;
            }
            ("password", Some(entry)) => {
                let password = words.value("password", line)?;
                put(&mut entry.password, password, "password", line)?;
            }
            ("account", Some(_)) => {
                words.value("account", line)?;
            }
            _ => return Err(NetrcProblem::Word(line)),
        }
    }
    Ok(entries)
}

fn put<T>(
    place: &mut Option<T>,
    value: T,
    keyword: &'static str,
    line: usize,
) -> Result<(), NetrcProblem> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(NetrcProblem::Twice { line, keyword }),
    }
}

#[cfg(test)]
mod tests;
