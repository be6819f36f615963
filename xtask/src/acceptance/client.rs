//! Requests that the program under test does not make: another implementation of the protocol, curl's, signs
//! them. Presigned URLs, which curl cannot make, are signed with openssl.

use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use super::processes::{Folder, output};
use super::server::{Keys, Server, User};

/// An answer to one request.
pub(super) struct Answer {
    pub(super) status: u16,
    headers: String,
    pub(super) body: Vec<u8>,
}

impl Answer {
    /// The value of a header.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.headers.lines().filter_map(|line| line.split_once(':'));
        let (_, value) = lines.find(|(found, _)| found.eq_ignore_ascii_case(name))?;
        Some(value.trim())
    }
}

/// One user at one server.
pub(super) struct Client<'a> {
    server: &'a dyn Server,
    keys: Keys,
}

impl<'a> Client<'a> {
    pub(super) fn new(server: &'a dyn Server, user: User) -> Self {
        Self {
            server,
            keys: server.keys(user),
        }
    }

    /// Sends a signed request. The target is a path with its query, both encoded, the members of the query
    /// with a `=` each and in their order, as they are signed.
    pub(super) fn ask(&self, method: &str, target: &str, body: &[u8]) -> Result<Answer> {
        let folder = Folder::new()?;
        let place = |name: &str| folder.path().join(name);
        std::fs::write(place("sent"), body)?;
        let digest = sha256(&place("sent"))?;
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--request", method]);
        curl.args([
            "--aws-sigv4",
            &format!("aws:amz:{}:s3", self.server.region()),
        ]);
        curl.args(["--user", &format!("{}:{}", self.keys.id, self.keys.secret)]);
        curl.args(["--header", &format!("x-amz-content-sha256: {digest}")]);
        if !body.is_empty() || method == "PUT" {
            curl.arg("--data-binary")
                .arg(format!("@{}", place("sent").display()));
        }
        curl.arg("--dump-header").arg(place("headers"));
        curl.arg("--output").arg(place("body"));
        curl.args(["--write-out", "%{http_code}"]);
        let status = output(curl.arg(format!("{}{target}", self.server.url())))?;
        Ok(Answer {
            status: status.parse()?,
            headers: std::fs::read_to_string(place("headers"))?,
            // Nothing is written for nothing.
            body: std::fs::read(place("body")).unwrap_or_default(),
        })
    }

    /// [`Self::ask`], where anything but a success is an error.
    fn succeed(&self, method: &str, target: &str, body: &[u8]) -> Result<Answer> {
        let answer = self.ask(method, target, body)?;
        if !(200..300).contains(&answer.status) {
            let text = String::from_utf8_lossy(&answer.body);
            bail!("{method} {target}: {} {text}", answer.status);
        }
        Ok(answer)
    }

    pub(super) fn get(&self, target: &str) -> Result<Answer> {
        self.succeed("GET", target, b"")
    }

    pub(super) fn put(&self, target: &str, body: &[u8]) -> Result<()> {
        self.succeed("PUT", target, body).map(drop)
    }

    /// Puts an object, and returns the id of the version that this made.
    pub(super) fn put_version(&self, target: &str, body: &[u8]) -> Result<String> {
        let answer = self.succeed("PUT", target, body)?;
        let id = answer.header("x-amz-version-id");
        Ok(id.context("there is no id of a version")?.to_owned())
    }

    pub(super) fn post(&self, target: &str, form: &str) -> Result<()> {
        self.succeed("POST", target, form.as_bytes()).map(drop)
    }

    pub(super) fn delete(&self, target: &str) -> Result<()> {
        self.succeed("DELETE", target, b"").map(drop)
    }

    /// The names of the objects of a bucket, of at most 1,000.
    pub(super) fn list(&self, bucket: &str) -> Result<Vec<String>> {
        let answer = self.get(&format!("/{bucket}?list-type=2"))?;
        let text = String::from_utf8(answer.body)?;
        let names = text.split("<Key>").skip(1);
        let names = names.filter_map(|rest| rest.split_once("</Key>"));
        Ok(names.map(|(name, _)| name.to_owned()).collect())
    }

    /// A URL by which whoever has it may get an object, signed at a time that `date` understands (`now`) and
    /// good for five minutes. The path is encoded.
    pub(super) fn presigned(&self, path: &str, time: &str) -> Result<String> {
        let mut date = Command::new("date");
        let time = output(date.args(["--utc", "--date", time, "+%Y%m%dT%H%M%SZ"]))?;
        let time = time.trim();
        let (day, region) = (&time[..8], self.server.region());
        let scope = format!("{day}/{region}/s3/aws4_request");
        let query = format!(
            "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={}&X-Amz-Date={time}&X-Amz-Expires=300\
             &X-Amz-SignedHeaders=host",
            encoded(&format!("{}/{scope}", self.keys.id))
        );
        let host = self.server.url().trim_start_matches("http://");
        let request = format!("GET\n{path}\n{query}\nhost:{host}\n\nhost\nUNSIGNED-PAYLOAD");
        let folder = Folder::new()?;
        let file = folder.path().join("signed");
        std::fs::write(&file, request)?;
        let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", sha256(&file)?);
        let mut key = hex(format!("AWS4{}", self.keys.secret).as_bytes());
        for part in [day, region, "s3", "aws4_request", &text] {
            std::fs::write(&file, part)?;
            let mut openssl = Command::new("openssl");
            openssl.args([
                "dgst",
                "-sha256",
                "-mac",
                "HMAC",
                "-macopt",
                &format!("hexkey:{key}"),
            ]);
            key = last_word(&output(openssl.arg(&file))?)?;
        }
        Ok(format!(
            "{}{path}?{query}&X-Amz-Signature={key}",
            self.server.url()
        ))
    }
}

/// The digest of a file in hex.
fn sha256(file: &std::path::Path) -> Result<String> {
    let mut openssl = Command::new("openssl");
    last_word(&output(openssl.args(["dgst", "-sha256"]).arg(file))?)
}

/// The hash of some content, as `--hash` takes it.
pub(super) fn hash(content: &[u8]) -> Result<String> {
    let folder = Folder::new()?;
    let file = folder.path().join("content");
    std::fs::write(&file, content)?;
    Ok(format!("sha256:{}", sha256(&file)?))
}

/// What openssl prints behind the name of the file.
fn last_word(line: &str) -> Result<String> {
    let word = line.trim().rsplit(' ').next().unwrap_or_default();
    ensure!(word.len() == 64, "openssl printed `{line}`");
    Ok(word.to_owned())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A text percent-encoded as a member of a query.
pub(super) fn encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}
