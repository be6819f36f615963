//! What the suite knows of a server.

use anyhow::Result;

/// An access key.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    pub(super) id: String,
    pub(super) secret: String,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum User {
    /// Whom the buckets belong to.
    Owner,
    /// Who gets [`Rights::ReadOnly`].
    Reader,
    /// Who gets [`Rights::PushOnly`].
    Pusher,
    /// Whom a policy of the bucket lets read records only.
    Indexer,
}

impl User {
    pub(super) const ALL: [Self; 4] = [Self::Owner, Self::Reader, Self::Pusher, Self::Indexer];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Reader => "reader",
            Self::Pusher => "pusher",
            Self::Indexer => "indexer",
        }
    }
}

/// The rights of `docs/teams.md`.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rights {
    ReadOnly,
    PushOnly,
}

/// In which respects servers differ.
#[derive(Clone, Copy, Debug)]
pub(super) struct Habits {
    /// Has policies, of users and of buckets.
    pub(super) policies: bool,
    /// Keeps older versions of objects.
    pub(super) versions: bool,
    /// Refuses to overwrite where the request says so.
    pub(super) conditional_writes: bool,
    /// Refuses a signature for another region.
    pub(super) one_region: bool,
    /// Refuses a signature of two hours ago.
    pub(super) exact_clock: bool,
    /// Refuses a presigned URL that comes with an `Authorization`.
    pub(super) one_credential: bool,
    /// Says by a code of its own that it does not know a key, or that a signature is wrong.
    pub(super) says_why: bool,
}

/// A server that runs, with its users; dropping it ends it.
pub(super) trait Server {
    /// What it is called in the report.
    fn name(&self) -> &'static str;
    /// What it says of its version.
    fn version(&self) -> &str;
    /// What `--endpoint` names.
    fn url(&self) -> &str;
    /// The region to sign for.
    fn region(&self) -> &'static str;
    fn habits(&self) -> Habits;
    fn keys(&self, user: User) -> Keys;
    /// Makes a bucket of the owner's.
    fn create_bucket(&self, bucket: &str) -> Result<()>;
    /// Gives a user rights to a bucket, and takes away those to others.
    fn grant(&self, user: User, rights: Rights, bucket: &str) -> Result<()>;
}
