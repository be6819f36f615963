//! Real Nix reads from the bucket what `run` has written.

use std::path::Path;

use anyhow::{Result, ensure};

use super::rights::granted;
use super::{Outcome, Scene};
use crate::acceptance::client::{encoded, hash};
use crate::acceptance::nix::S3;
use crate::acceptance::policies;
use crate::acceptance::program::Gateway;
use crate::acceptance::server::{Rights, User};
use crate::acceptance::web::Web;

const CONTENT: &[u8] = b"from a fetcher by a bucket to Nix\n";

/// Has `run` write a cache on disk, puts its files into a bucket, and returns the path that is in it.
fn published(scene: &Scene<'_>, bucket: &'static str) -> Result<String> {
    let folder = scene.program.place(bucket);
    let web = Web::with(CONTENT)?;
    let (to, hash) = (
        format!("file://{}?compression=zstd", folder.display()),
        hash(CONTENT)?,
    );
    let words = [
        "run",
        "http-file",
        "--url",
        &web.url,
        "--hash",
        &hash,
        "--to",
        &to,
    ];
    let path = scene
        .program
        .run(None, &words)?
        .ends(0, &[])?
        .result()
        .to_owned();
    let bucket = scene.bucket(bucket)?;
    upload(scene, &folder, &folder, bucket)?;
    Ok(path)
}

fn upload(scene: &Scene<'_>, root: &Path, folder: &Path, bucket: &str) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            upload(scene, root, &path, bucket)?;
            continue;
        }
        let names = path.strip_prefix(root)?.iter();
        let names: Vec<_> = names.map(|name| encoded(&name.to_string_lossy())).collect();
        let target = format!("/{bucket}/{}", names.join("/"));
        scene.owner().put(&target, &std::fs::read(&path)?)?;
    }
    Ok(())
}

pub(super) fn directly(scene: &Scene<'_>) -> Result<Outcome> {
    let readers = scene.nix.iter().filter(|nix| match nix.s3 {
        S3::Nothing => false,
        // Of what is public; and only a policy makes something public.
        S3::Unsigned => scene.server.habits().policies,
        S3::Signed => true,
    });
    let readers: Vec<_> = readers.collect();
    if readers.is_empty() {
        return Ok(Outcome::Skipped(
            "no Nix is here that could read it".to_owned(),
        ));
    }
    let bucket = "read-directly";
    let path = published(scene, bucket)?;
    granted(scene, User::Reader, Rights::ReadOnly, bucket)?;
    for nix in readers {
        let reader = scene.keys(User::Reader);
        let keys = match nix.s3 {
            S3::Signed => Some(&reader),
            _ => {
                let policy = policies::of_bucket("*", &format!("{bucket}/*"));
                scene
                    .owner()
                    .put(&format!("/{bucket}?policy="), policy.as_bytes())?;
                None
            }
        };
        let read = nix.store()?.substitute(&scene.cache(bucket), &path, keys)?;
        ensure!(
            read == CONTENT,
            "Nix {} has read something else",
            nix.version
        );
    }
    Ok(Outcome::Passed)
}

pub(super) fn by_gateway(scene: &Scene<'_>) -> Result<Outcome> {
    if scene.nix.is_empty() {
        return Ok(Outcome::Skipped("no Nix is here".to_owned()));
    }
    let bucket = "by-gateway";
    let path = published(scene, bucket)?;
    granted(scene, User::Reader, Rights::ReadOnly, bucket)?;
    is_read(scene, User::Reader, bucket, &path, CONTENT)?;
    Ok(Outcome::Passed)
}

/// What only a signature vouches for: with it, Nix takes it from the bucket; without, or by another key, not.
pub(super) fn signed(scene: &Scene<'_>) -> Result<Outcome> {
    if scene.nix.is_empty() {
        return Ok(Outcome::Skipped("no Nix is here".to_owned()));
    }
    let bucket = scene.bucket("signatures")?;
    granted(scene, User::Reader, Rights::ReadOnly, bucket)?;
    let key = |name: &str| -> Result<(String, String)> {
        let file = scene.program.place(name).display().to_string();
        let made = scene.program.run(None, &["key", "generate", name, &file])?;
        Ok((file, made.ends(0, &[])?.result().to_owned()))
    };
    let ((secret, public), (_, other)) = (key("signer-1")?, key("other-1")?);
    for nix in scene.nix {
        let store = nix.store()?;
        let (path, tool) = store.build(&format!("by Nix {}", nix.version))?;
        let folder = scene.program.place(&format!("signed-{}", nix.version));
        let to = format!("file://{}?secret-key={secret}", folder.display());
        store.copy_to(&to, &path, None)?;
        upload(scene, &folder, &folder, bucket)?;
        let gateway = gateway(scene, User::Reader, bucket)?;
        ensure!(
            store.trusts(&gateway.url, &path, &public)?,
            "the signature is not seen"
        );
        ensure!(
            !store.trusts(&gateway.url, &path, &other)?,
            "any key is trusted"
        );
        let another = nix.store()?;
        for trusted in ["", &other] {
            let taken = another.realise(&gateway.url, &path, None, trusted);
            ensure!(taken.is_err(), "Nix {} takes it unsigned", nix.version);
        }
        another.realise(&gateway.url, &path, None, &public)?;
        ensure!(
            another.physical(&tool).exists(),
            "what it refers to is not there"
        );
    }
    Ok(Outcome::Passed)
}

/// Every Nix, none of which has keys, reads a path of a private bucket through the gateway, which has a user's.
pub(super) fn is_read(
    scene: &Scene<'_>,
    user: User,
    bucket: &str,
    path: &str,
    content: &[u8],
) -> Result<()> {
    let gateway = gateway(scene, user, bucket)?;
    for nix in scene.nix {
        let read = nix.store()?.substitute(&gateway.url, path, None)?;
        ensure!(
            read == content,
            "Nix {} has read something else",
            nix.version
        );
    }
    Ok(())
}

/// The gateway, with a bucket as its upstream.
pub(super) fn gateway(scene: &Scene<'_>, user: User, bucket: &str) -> Result<Gateway> {
    let (server, region) = (scene.server.url(), scene.server.region());
    scene.program.configure(&format!(
        "[gateway]\nupstreams = [\"{}\"]\n\
         [credential.team]\nsource = {{ aws = true }}\nscheme = \"aws-sigv4\"\nregion = \"{region}\"\n\
         origins = [\"{server}\"]\n\
         [[grant]]\nmodule = \"host:substituter\"\norigins = [\"{server}\"]\n\
         credentials = {{ auth = \"team\" }}\n",
        scene.cache(bucket)
    ))?;
    let gateway = scene.program.serve(&scene.keys(user));
    // Read at the start: what runs later is typed alone.
    scene.program.configure("")?;
    gateway
}
