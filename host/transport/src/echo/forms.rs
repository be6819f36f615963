//! What a secret can look like in an answer.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use fetchhost_credentials::{AccessKeys, Secret};
use fetchhost_policy::{CredentialName, Scheme};
use zeroize::Zeroizing;

use super::SHORTEST;

/// Words that a header's value begins with when a credential follows.
const AUTH_SCHEMES: [&str; 12] = [
    "apikey",
    "basic",
    "bearer",
    "digest",
    "dpop",
    "hoba",
    "key",
    "negotiate",
    "ntlm",
    "oauth",
    "token",
    "vapid",
];

/// A secret that goes out with a request, in each text that gives it away.
#[derive(PartialEq, Eq)]
pub(crate) struct Sent {
    pub(super) credential: CredentialName,
    texts: Vec<Zeroizing<String>>,
}

impl Sent {
    /// What goes out when `secret` is sent as `scheme` says.
    pub(crate) fn new(credential: CredentialName, scheme: &Scheme, secret: &Secret) -> Self {
        let value = secret.expose();
        let texts = match scheme {
            Scheme::Bearer => vec![
                Zeroizing::new(value.to_owned()),
                Zeroizing::new(format!("Bearer {value}")),
            ],
            Scheme::Basic { username } => login(username, value),
            Scheme::BasicLogin => login(secret.login().unwrap_or_default(), value),
            Scheme::Header { .. } => whole_header(value),
            // The secret access key is not sent; should it come back all the same, it is a secret.
            Scheme::AwsSigV4(_) => AccessKeys::read(value)
                .map(|keys| keys.secrets().cloned().collect())
                .unwrap_or_default(),
        };
        Self { credential, texts }
    }

    /// The login that a proxy is shown.
    pub(crate) fn login(name: CredentialName, user: &str, password: &str) -> Self {
        Self {
            credential: name,
            texts: login(user, password),
        }
    }

    /// The byte strings to search for.
    pub(super) fn forms(&self) -> Vec<Vec<u8>> {
        let mut forms: Vec<_> = self.texts.iter().flat_map(|text| forms_of(text)).collect();
        forms.sort();
        forms.dedup();
        forms
    }
}

/// The password, its pair with the user name, and that as it travels: a short password is found by them.
fn login(user: &str, password: &str) -> Vec<Zeroizing<String>> {
    let pair = Zeroizing::new(format!("{user}:{password}"));
    let encoded = Zeroizing::new(STANDARD_NO_PAD.encode(pair.as_bytes()));
    vec![Zeroizing::new(password.to_owned()), pair, encoded]
}

/// The value, what follows its scheme, and what that is the base64 of.
fn whole_header(value: &str) -> Vec<Zeroizing<String>> {
    let mut texts = vec![Zeroizing::new(value.to_owned())];
    let Some((word, rest)) = value.split_once(' ') else {
        return texts;
    };
    let (word, rest) = (word.to_ascii_lowercase(), rest.trim_start());
    if !AUTH_SCHEMES.contains(&word.as_str()) {
        return texts;
    }
    texts.push(Zeroizing::new(rest.to_owned()));
    let pair = STANDARD
        .decode(rest)
        .ok()
        .filter(|_| word == "basic")
        .and_then(|pair| String::from_utf8(pair).ok())
        .map(Zeroizing::new);
    if let Some((user, password)) = pair.as_ref().and_then(|pair| pair.split_once(':')) {
        texts.extend(login(user, password));
    }
    texts
}

/// The forms that one text is searched for in.
fn forms_of(text: &str) -> Vec<Vec<u8>> {
    if text.len() < SHORTEST {
        return Vec::new();
    }
    let mut forms = vec![
        text.as_bytes().to_vec(),
        text.replace(' ', "+").into_bytes(),
    ];
    for offset in 0..3 {
        for alphabet in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
            let shifted = [&[0; 2][..offset], text.as_bytes()].concat();
            let encoded = alphabet.encode(&shifted).into_bytes();
            // Characters that hold bits of the neighbours depend on those.
            let first = (offset * 8).div_ceil(6);
            let last = shifted.len() * 8 / 6;
            forms.push(encoded[first..last].to_vec());
        }
    }
    forms
}

/// `bytes` with every percent-encoding undone, whatever an encoder thought worth encoding.
pub(super) fn percent_decoded(bytes: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut position = 0;
    while position < bytes.len() {
        let rest = &bytes[position..];
        let plain = rest.iter().position(|byte| *byte == b'%');
        let plain = plain.unwrap_or(rest.len());
        decoded.extend_from_slice(&rest[..plain]);
        position += plain;
        if position < bytes.len() {
            let (byte, length) = unit(bytes, position);
            decoded.push(byte);
            position += length;
        }
    }
    decoded
}

/// Where the last byte lies in `bytes` of what is at `decoded` when they are decoded.
pub(super) fn encoded_position(bytes: &[u8], decoded: usize) -> usize {
    let mut position = 0;
    for _ in 0..decoded {
        position += unit(bytes, position).1;
    }
    position + unit(bytes, position).1 - 1
}

/// The byte that is written at `position`, and with how many characters.
fn unit(bytes: &[u8], position: usize) -> (u8, usize) {
    let digit = |position: usize| char::from(*bytes.get(position)?).to_digit(16);
    let pair = (bytes[position] == b'%').then(|| digit(position + 1).zip(digit(position + 2)));
    match pair.flatten() {
        Some((high, low)) => ((high * 16 + low) as u8, 3),
        None => (bytes[position], 1),
    }
}
