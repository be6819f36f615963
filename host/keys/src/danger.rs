//! Contents that `raw` never signs.
//!
//! **The threat.** A raw signature says nothing of what it was made for. Whoever chooses the content could choose
//! what another protocol asks to be signed: a login, a certificate, the fingerprint of a store path.
//!
//! **The rule.** The host looks at how the content begins, whatever the key is for.
//!
//! | content begins with | verdict | because it is |
//! |---|---|---|
//! | `SSHSIG` | refused | what `sshsig` signs |
//! | a session id of 16 to 128 bytes with its length, and the byte 50 | refused | a login by SSH (RFC 4252, section 7) |
//! | a length and `…-cert-v…@openssh.com` | refused | a certificate of SSH's |
//! | 64 spaces and `TLS 1.3, ` | refused | how a server or client proves who it is in TLS (RFC 8446, section 4.4.3) |
//! | `1;/` | refused | the fingerprint of a path in a binary cache |
//! | anything else | accepted | |

/// What a content would be to another protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Danger {
    /// A login.
    #[error("begins like a login by SSH")]
    SshLogin,
    /// A certificate.
    #[error("begins like a certificate of SSH's")]
    SshCertificate,
    /// What the envelope `sshsig` signs.
    #[error("begins like what the envelope `sshsig` signs")]
    SshSignature,
    /// A handshake.
    #[error("begins like what TLS 1.3 signs in a handshake")]
    Tls,
    /// A store path's fingerprint.
    #[error("begins like the fingerprint of a store path (`1;/…`)")]
    Narinfo,
}

/// SSH's number for a request to log in.
const USERAUTH_REQUEST: u8 = 50;

/// What the content with this `opening` must not be signed for.
pub(crate) fn find(opening: &[u8]) -> Option<Danger> {
    if opening.starts_with(b"SSHSIG") {
        return Some(Danger::SshSignature);
    }
    if opening.starts_with(b"1;/") {
        return Some(Danger::Narinfo);
    }
    let handshake = opening.strip_prefix(&[b' '; 64]);
    if handshake.is_some_and(|rest| rest.starts_with(b"TLS 1.3, ")) {
        return Some(Danger::Tls);
    }
    let (length, rest) = opening.split_first_chunk::<4>()?;
    let length = u32::from_be_bytes(*length) as usize;
    let (first, rest) = rest.split_at_checked(length)?;
    if (16..=128).contains(&length) && rest.first() == Some(&USERAUTH_REQUEST) {
        return Some(Danger::SshLogin);
    }
    if first.ends_with(b"@openssh.com") && first.windows(7).any(|part| part == b"-cert-v") {
        return Some(Danger::SshCertificate);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn string(bytes: &[u8]) -> Vec<u8> {
        let mut wire = u32::try_from(bytes.len()).unwrap().to_be_bytes().to_vec();
        wire.extend_from_slice(bytes);
        wire
    }

    #[test]
    fn what_other_protocols_sign_is_found() {
        for length in [20, 32, 48, 64] {
            let mut login = string(&vec![7; length]);
            login.push(50);
            login.extend(string(b"root"));
            assert_eq!(find(&login), Some(Danger::SshLogin), "{length}");
        }
        let certificate = string(b"ssh-ed25519-cert-v01@openssh.com");
        assert_eq!(find(&certificate), Some(Danger::SshCertificate));
        assert_eq!(find(b"SSHSIG\0\0\0\x04file"), Some(Danger::SshSignature));
        let handshake = [&[b' '; 64][..], b"TLS 1.3, server CertificateVerify\0"].concat();
        assert_eq!(find(&handshake), Some(Danger::Tls));
        let fingerprint = b"1;/nix/store/00000000000000000000000000000000-a;sha256:";
        assert_eq!(find(fingerprint), Some(Danger::Narinfo));
        assert_eq!(find(b"1;/gnu/store/"), Some(Danger::Narinfo));
    }

    #[test]
    fn ordinary_contents_are_not() {
        let mut film = string(b"ftypisom\0\0\x02\0isomiso2mp41free");
        film.extend_from_slice(b"moov");
        for content in [
            b"" as &[u8],
            b"1",
            b"1;",
            b"SSHSI",
            b"\x7fELF\x02\x01\x01",
            b"\0\0\0",
            b"\0\0\0\x20",
            b"#!/bin/sh\necho 2\n",
            &film,
        ] {
            assert_eq!(find(content), None, "{content:?}");
        }
    }
}
