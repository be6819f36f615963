//! What is tried with each server, step by step, as a user would.

mod fetch;
mod memo;
mod nix_reads;
mod presigned;
mod publish;
mod rights;
mod team;

use anyhow::{Context as _, Result};

use super::client::Client;
use super::nix::Nix;
use super::program::Program;
use super::server::{Keys, Server, User};

/// What a step needs.
pub(super) struct Scene<'a> {
    pub(super) server: &'a dyn Server,
    pub(super) program: &'a Program,
    pub(super) nix: &'a [Nix],
}

/// How a step ended, where it did not fail.
pub(super) enum Outcome {
    Passed,
    /// With the reason.
    Skipped(String),
}

pub(super) type Step = fn(&Scene<'_>) -> Result<Outcome>;

/// The steps in their order; none depends on another.
pub(super) const STEPS: &[(&str, Step)] = &[
    ("an object is fetched by a signed request", fetch::signed),
    ("keys with odd characters are signed right", fetch::odd_keys),
    ("a wrong secret access key is told", fetch::wrong_secret),
    ("an unknown access key id is told", fetch::unknown_key),
    ("a wrong region is told", fetch::wrong_region),
    ("a clock two hours off is told", fetch::wrong_clock),
    ("what is not there is told", fetch::not_there),
    ("a private object is refused without keys", fetch::private),
    ("a public object is fetched without keys", fetch::public),
    ("an older version is fetched by its id", fetch::version),
    (
        "a presigned URL is fetched and shown without its query",
        presigned::fetched,
    ),
    (
        "a redirect to a presigned URL takes no token along",
        presigned::redirected,
    ),
    (
        "a presigned URL that was changed or has expired is refused",
        presigned::refused,
    ),
    (
        "who may get records only is refused elsewhere",
        rights::records_only,
    ),
    (
        "the guide's read-only rights read, and no more",
        rights::read_only,
    ),
    (
        "the guide's push-only rights put and get, and do not delete",
        rights::push_only,
    ),
    (
        "Nix publishes and reads with the guide's rights",
        rights::by_nix,
    ),
    (
        "Nix reads s3:// that holds what `run` published",
        nix_reads::directly,
    ),
    (
        "Nix without keys reads it through the gateway",
        nix_reads::by_gateway,
    ),
    (
        "Nix takes what is signed from the bucket, and nothing else",
        nix_reads::signed,
    ),
    ("`run` publishes straight to the bucket", publish::published),
    (
        "two publishers at once leave one valid record",
        publish::at_once,
    ),
    (
        "after a killed publisher the next one is done",
        publish::killed,
    ),
    ("what a publisher is refused for is told", publish::refused),
    (
        "what is not as declared leaves nothing in the bucket",
        publish::mismatched,
    ),
    (
        "who may only read is refused as a publisher",
        publish::read_only,
    ),
    ("who may only push publishes", publish::push_only),
    (
        "a cache is begun, and says what its server can do",
        team::begun,
    ),
    (
        "a cache is pushed to, signed and verified",
        team::round_trip,
    ),
    (
        "what nobody refers to is found by a dry run",
        team::collected,
    ),
    ("pushing again sends nothing", team::push_again),
    (
        "machines that sign at once have the same signature",
        memo::at_once,
    ),
    (
        "a signature that was forgotten comes back by signing alone",
        memo::forgotten,
    ),
    (
        "without conditional writes a single writer is asked for",
        team::single_writer,
    ),
];

impl<'a> Scene<'a> {
    fn owner(&self) -> Client<'a> {
        Client::new(self.server, User::Owner)
    }

    fn keys(&self, user: User) -> Keys {
        self.server.keys(user)
    }

    /// A bucket of the owner's.
    fn bucket(&self, name: &'static str) -> Result<&'static str> {
        let made = self.server.create_bucket(name);
        made.with_context(|| format!("the bucket `{name}` cannot be made"))?;
        Ok(name)
    }

    /// The bucket as a binary cache, by Nix's own parameters.
    fn cache(&self, bucket: &str) -> String {
        let (url, region) = (self.server.url(), self.server.region());
        format!("s3://{bucket}?endpoint={url}&region={region}")
    }

    /// The flag of a command that promises that nobody else writes, where the server makes it necessary and the
    /// command asks for it.
    fn promise(&self, command: &[&str]) -> Result<Option<&'static str>> {
        const FLAG: &str = "--single-writer";
        if self.server.habits().conditional_writes {
            return Ok(None);
        }
        let words: Vec<_> = command.iter().copied().chain(["--help"]).collect();
        let help = self.program.run(None, &words)?;
        Ok(help.result().contains(FLAG).then_some(FLAG))
    }

    /// What `--credential` is told, with the region where the server insists on it.
    fn credential(&self) -> String {
        format!("aws=aws,aws-sigv4={}", self.server.region())
    }
}

/// For a step that the server cannot be asked for.
fn skipped(server: &dyn Server, why: &str) -> Result<Outcome> {
    Ok(Outcome::Skipped(format!("{} {why}", server.name())))
}
