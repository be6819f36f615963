//! The gateway: whether one answers, what it keeps, and whether Nix would ask it.

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use fetchhost_policy::{Origin, Proxies};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Checks, Finding, bad};
use crate::commands::serve::{CACHE_FOLDER, DEFAULT_CACHE_SIZE, DEFAULT_PORT};
use crate::context::Context;
use crate::serving::upstreams;

/// How long an answer over loopback may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// An answer about its health is no longer, in bytes.
const MAX_ANSWER: u64 = 4096;

/// `nix` is what `nix --version` prints.
pub(super) async fn check(context: &Context, nix: Option<&str>) -> Checks {
    let config = &context.settings.config.gateway;
    let port = config.port.unwrap_or(DEFAULT_PORT);
    let limit = config.cache_size.unwrap_or(DEFAULT_CACHE_SIZE);
    let mut checks: Checks = Vec::new();
    if context.broken.is_some() {
        checks.push((
            "gateway",
            Finding::Note(
                "not looked for, because the configuration cannot be used, which may say its port"
                    .to_owned(),
            ),
        ));
    } else {
        checks.push(("gateway", answering(port).await));
    }
    // What `serve` would refuse to start with. Nobody is asked.
    if let Err(failure) = upstreams(context, &[]) {
        checks.push(("gateway", bad(failure)));
    }
    if let Some(cache) = &context.environment.cache {
        let limit = context.broken.is_none().then_some(limit);
        checks.push(("gateway's cache", kept(&cache.join(CACHE_FOLDER), limit)));
    }
    // Nix's HTTP library does not read the capital form.
    let proxies = Proxies::from_environment(|name| {
        (name != "HTTP_PROXY")
            .then(|| std::env::var_os(name))
            .flatten()
    });
    if goes_to_a_proxy(&proxies, port) {
        checks.push((
            "gateway",
            Finding::Note(
                "`http_proxy` is set and `no_proxy` does not hold `127.0.0.1`: Nix would ask the proxy for the gateway's URLs; add `127.0.0.1,localhost` to `no_proxy`, for a daemon in the daemon's own environment"
                    .to_owned(),
            ),
        ));
    }
    let remote = std::env::var("NIX_REMOTE").unwrap_or_default();
    let outside = out_of_reach(nix.unwrap_or_default(), &remote);
    checks.extend(outside.map(|why| ("gateway", Finding::Note(why))));
    checks
}

/// Why builds of this Nix may not come to the gateway, and what does without it.
fn out_of_reach(version: &str, remote: &str) -> Option<String> {
    let instead = "`nix-fetchhost realise` before the build does without it";
    if !cfg!(target_os = "linux") {
        return Some(format!(
            "it cannot tell who asks on this system, and serves nobody; {instead}"
        ));
    }
    let scheme = remote.split("://").next().unwrap_or_default();
    if matches!(scheme, "ssh" | "ssh-ng" | "http" | "https" | "s3") {
        return Some(format!(
            "NIX_REMOTE names a store elsewhere (`{scheme}://`): its builds have another loopback interface; \
             fetch there, or into a binary cache that it asks (`run --to file://…`)"
        ));
    }
    version.contains("Lix").then(|| {
        format!(
            "Lix gives fixed outputs a network of their own where its `pasta-path` is set, from which nothing \
             reaches the gateway; {instead}, and so does the gateway as a substituter"
        )
    })
}

async fn answering(port: u16) -> Finding {
    let place = format!("http://127.0.0.1:{port}");
    match tokio::time::timeout(PATIENCE, health(port)).await {
        Ok(Ok(answer)) if is_healthy(&answer) => Finding::Good(format!("answers on {place}")),
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => Finding::Note(
            format!("none on {place}; `nix-fetchhost serve` starts one, for Nix expressions that fetch through it"),
        ),
        Ok(Ok(_) | Err(_)) => Finding::Bad(
            format!("what listens on {place} does not answer as a gateway"),
            "find out what it is, or name another port as `port` below `[gateway]` and in the expressions".to_owned(),
        ),
        Err(_) => Finding::Bad(
            format!("what listens on {place} has not answered within {} seconds", PATIENCE.as_secs()),
            "start `nix-fetchhost serve` anew if it is one, or name another port as `port` below `[gateway]`".to_owned(),
        ),
    }
}

/// What `/healthz` on this port answers, with its head.
async fn health(port: u16) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    let request =
        format!("GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER).read_to_end(&mut answer).await?;
    Ok(answer)
}

fn is_healthy(answer: &[u8]) -> bool {
    let answer = answer.trim_ascii_end();
    answer.starts_with(b"HTTP/1.1 200 ") && answer.ends_with(b"\r\n\r\nok")
}

/// What is in the cache, of `limit` bytes that it may have.
fn kept(folder: &Path, limit: Option<u64>) -> Finding {
    let shown = folder.display();
    let found = match fs::symlink_metadata(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Finding::Note(format!("nothing yet in {shown}"));
        }
        found => found.and_then(|found| {
            if !found.is_dir() || found.uid() != rustix::process::geteuid().as_raw() {
                return Err(io::Error::other("it is no folder of yours"));
            }
            Ok(bytes_below(folder)? + bytes_below(&folder.join("nar"))?)
        }),
    };
    match found {
        Ok(bytes) => {
            let bytes = indicatif::HumanBytes(bytes);
            let of = limit
                .map(|limit| format!(" of at most {}", indicatif::HumanBytes(limit)))
                .unwrap_or_default();
            Finding::Good(format!("{bytes}{of} in {shown}"))
        }
        Err(error) => Finding::Bad(
            format!("`{shown}` cannot be used: {error}"),
            "move it away; `nix-fetchhost serve` makes it anew".to_owned(),
        ),
    }
}

/// The lengths of the files in `folder`, not of those below it.
fn bytes_below(folder: &Path) -> io::Result<u64> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        entries => entries?,
    };
    let mut bytes = 0;
    for entry in entries {
        // A gateway that runs may have removed it meanwhile.
        let found = entry?.metadata().ok().filter(fs::Metadata::is_file);
        bytes += found.map_or(0, |found| found.len());
    }
    Ok(bytes)
}

/// Whether a program that takes its proxies from here would ask one for the gateway.
fn goes_to_a_proxy(proxies: &Proxies, port: u16) -> bool {
    let Ok(gateway) = format!("http://127.0.0.1:{port}").parse::<Origin>() else {
        return false;
    };
    let is_excepted = |list: &Vec<fetchhost_policy::Exception>| {
        list.iter().any(|exception| exception.matches(&gateway))
    };
    !matches!(proxies.http, Ok(None)) && !proxies.except.as_ref().is_ok_and(is_excepted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builds_that_cannot_reach_the_gateway_are_told_what_does_without_it() {
        for (version, remote, says) in [
            ("nix (Lix, like Nix) 2.93.0", "", "realise"),
            ("nix (Nix) 2.34.8", "ssh-ng://builder", "ssh-ng"),
            ("", "https://user:s3cret@a.example", "`https://`"),
        ] {
            let told = out_of_reach(version, remote).unwrap();
            assert!(told.contains(says) && !told.contains("s3cret"), "{told}");
        }
        for remote in ["", "daemon", "local?root=/x", "unix:///run/socket"] {
            assert_eq!(out_of_reach("nix (Nix) 2.34.8", remote), None, "{remote}");
        }
    }
}
