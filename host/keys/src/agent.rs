//! Keys in an agent of SSH's (draft-ietf-sshm-ssh-agent). The key never leaves it; what it is asked to sign is
//! always what `sshsig` signs, which cannot be a login.

use std::{
    ffi::OsString,
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use fetchhost_policy::printable;
use sha2::{Digest as _, Sha256};

use crate::{
    AgentProblem, Algorithm, KeyProblem, PublicKey,
    envelope::{Signed, from_wire},
    wire::{Reader, Short, put_string},
};

const FAILURE: u8 = 5;
const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;

/// The flag that asks for RSA with SHA-512.
const RSA_SHA2_512: u32 = 4;

/// The longest answer: what OpenSSH's own client takes.
const MAX_ANSWER_BYTES: u32 = 256 * 1024;

/// How long the agent may take to list its keys.
const LISTING: Duration = Duration::from_secs(15);

/// How long it may take to sign: it may ask its user, who may have to find a token first.
const SIGNING: Duration = Duration::from_secs(180);

/// A key that an agent holds.
pub(crate) struct AgentKey {
    socket: PathBuf,
    blob: Vec<u8>,
    algorithm: Algorithm,
}

/// The key `wanted` (`SHA256:…` or a line of OpenSSH's) of the agent at `socket`, and its public half.
pub(crate) fn find(
    socket: Option<&Path>,
    wanted: &str,
    environment: &dyn Fn(&str) -> Option<OsString>,
) -> Result<(AgentKey, PublicKey), KeyProblem> {
    let socket = match socket {
        Some(socket) => socket.to_owned(),
        None => environment("SSH_AUTH_SOCK")
            .filter(|path| !path.is_empty())
            .map(PathBuf::from)
            .ok_or(KeyProblem::Agent(AgentProblem::NoSocket))?,
    };
    let wanted = wanted.trim();
    let wanted_blob = match wanted.strip_prefix("SHA256:") {
        Some(_) => None,
        None => {
            let key: PublicKey = wanted.parse().map_err(KeyProblem::Public)?;
            Some(key.ssh_blob())
        }
    };
    let blobs = identities(&socket).map_err(KeyProblem::Agent)?;
    if blobs.is_empty() {
        return Err(KeyProblem::Agent(AgentProblem::Empty));
    }
    let blob = blobs
        .into_iter()
        .find(|blob| match &wanted_blob {
            Some(wanted) => wanted == blob,
            None => ssh_fingerprint(blob) == wanted,
        })
        .ok_or_else(|| KeyProblem::Agent(AgentProblem::NoKey(printable(wanted).into_owned())))?;
    let public = PublicKey::from_ssh(&blob).map_err(KeyProblem::Public)?;
    let key = AgentKey {
        socket,
        blob,
        algorithm: public.algorithm(),
    };
    Ok((key, public))
}

/// What `ssh-add -l` calls a key.
fn ssh_fingerprint(blob: &[u8]) -> String {
    format!("SHA256:{}", STANDARD_NO_PAD.encode(Sha256::digest(blob)))
}

impl AgentKey {
    /// The bare signature: of ECDSA in DER.
    pub(crate) fn sign(&self, signed: &Signed) -> Result<Vec<u8>, AgentProblem> {
        let flags = match self.algorithm {
            Algorithm::Rsa => RSA_SHA2_512,
            Algorithm::Ed25519 | Algorithm::EcdsaP256 => 0,
        };
        let mut request = vec![SIGN_REQUEST];
        put_string(&mut request, &self.blob);
        put_string(&mut request, signed.as_bytes());
        request.extend_from_slice(&flags.to_be_bytes());
        let answer = ask(&self.socket, &request, SIGNING)?;
        read_signature(&answer, self.algorithm)
    }
}

fn read_signature(answer: &[u8], algorithm: Algorithm) -> Result<Vec<u8>, AgentProblem> {
    let protocol = |_: Short| AgentProblem::Protocol;
    let mut reader = Reader::new(answer);
    match reader.byte().map_err(protocol)? {
        SIGN_RESPONSE => {}
        FAILURE => return Err(AgentProblem::Refused),
        _ => return Err(AgentProblem::Protocol),
    }
    let mut signature = Reader::new(reader.string().map_err(protocol)?);
    let kind = signature.string().map_err(protocol)?;
    let bytes = signature.string().map_err(protocol)?;
    match (algorithm, kind) {
        (Algorithm::Ed25519, b"ssh-ed25519") | (Algorithm::Rsa, b"rsa-sha2-512") => {
            Ok(bytes.to_vec())
        }
        (Algorithm::EcdsaP256, b"ecdsa-sha2-nistp256") => {
            from_wire(bytes).ok_or(AgentProblem::Protocol)
        }
        _ => Err(AgentProblem::Protocol),
    }
}

/// The public keys that the agent at `socket` holds.
fn identities(socket: &Path) -> Result<Vec<Vec<u8>>, AgentProblem> {
    let answer = ask(socket, &[REQUEST_IDENTITIES], LISTING)?;
    read_identities(&answer)
}

fn read_identities(answer: &[u8]) -> Result<Vec<Vec<u8>>, AgentProblem> {
    let protocol = |_: Short| AgentProblem::Protocol;
    let mut reader = Reader::new(answer);
    match reader.byte().map_err(protocol)? {
        IDENTITIES_ANSWER => {}
        // A locked agent may say nothing at all.
        FAILURE => return Ok(Vec::new()),
        _ => return Err(AgentProblem::Protocol),
    }
    let mut blobs = Vec::new();
    for _ in 0..reader.number().map_err(protocol)? {
        blobs.push(reader.string().map_err(protocol)?.to_vec());
        reader.string().map_err(protocol)?;
    }
    Ok(blobs)
}

/// One question and its answer, on a connection of its own.
fn ask(socket: &Path, request: &[u8], patience: Duration) -> Result<Vec<u8>, AgentProblem> {
    let connect = |error: io::Error| AgentProblem::Connect {
        socket: socket.to_owned(),
        error,
    };
    let mut stream = UnixStream::connect(socket).map_err(connect)?;
    stream
        .set_read_timeout(Some(patience))
        .and_then(|()| stream.set_write_timeout(Some(LISTING)))
        .map_err(broken)?;
    let mut message = Vec::with_capacity(4 + request.len());
    put_string(&mut message, request);
    stream.write_all(&message).map_err(broken)?;
    let mut length = [0; 4];
    stream.read_exact(&mut length).map_err(broken)?;
    let length = u32::from_be_bytes(length);
    if length > MAX_ANSWER_BYTES {
        return Err(AgentProblem::Protocol);
    }
    let mut answer = vec![0; length as usize];
    stream.read_exact(&mut answer).map_err(broken)?;
    Ok(answer)
}

/// What the system says of who is late or gone, in words for the user.
fn broken(error: io::Error) -> AgentProblem {
    let told = |text| io::Error::new(error.kind(), text);
    AgentProblem::Io(match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => told("it takes too long"),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe => told("it hung up"),
        _ => error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_that_are_cut_or_lie_about_their_length_are_refused() {
        let mut answer = vec![IDENTITIES_ANSWER, 0, 0, 0, 1];
        put_string(&mut answer, b"blob");
        put_string(&mut answer, b"comment");
        assert_eq!(read_identities(&answer).unwrap(), [b"blob"]);
        for length in 0..answer.len() {
            let refused = read_identities(&answer[..length]);
            assert!(matches!(refused, Err(AgentProblem::Protocol)), "{length}");
        }
        let many = [IDENTITIES_ANSWER, 0xff, 0xff, 0xff, 0xff];
        assert!(read_identities(&many).is_err());
        assert!(read_identities(&[FAILURE]).unwrap().is_empty());
    }

    #[test]
    fn a_signature_of_another_algorithm_is_refused() {
        let mut signature = Vec::new();
        put_string(&mut signature, b"ssh-rsa");
        put_string(&mut signature, &[1; 256]);
        let mut answer = vec![SIGN_RESPONSE];
        put_string(&mut answer, &signature);
        let refused = read_signature(&answer, Algorithm::Rsa).unwrap_err();
        assert!(matches!(refused, AgentProblem::Protocol));
        let refused = read_signature(&[FAILURE], Algorithm::Rsa).unwrap_err();
        assert!(matches!(refused, AgentProblem::Refused));
    }
}
