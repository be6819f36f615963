//! `artifact`: blobs and plans.

use bytes::Bytes;
use fetchhost_artifact::{ArchiveFormat, Spool, SpooledBlob};
use fetchhost_policy::Origin;
use fetchhost_transport::Echo;
use wasmtime::component::Resource;

use super::error;
use super::http::permitted;
use super::response::{READ_BYTES, Response, Unread};
use crate::bindings::nix_fetchhost::fetcher::artifact::{
    Host as ArtifactHost, HostBlob, HostPlan, Source as GuestSource,
};
use crate::bindings::nix_fetchhost::fetcher::types::FetchError;
use crate::echo::{check_content, check_part};
use crate::plan::{Entry, Plan, Source};
use crate::session::{Fetch, Held};
use crate::store::Host;
use crate::trap::Stop;

/// Bytes that a guest hands over at once, in `source.bytes` or to a blob.
const BYTES: usize = 16 * 1024 * 1024;

/// What an entry of a tree counts for at least.
const ENTRY_BYTES: usize = 64;

/// Bytes in a temporary file, and which of them came from whom.
#[expect(unreachable_pub, reason = "the bindings re-export it")]
#[derive(Default)]
pub struct Blob {
    state: State,
    /// Where each answer begins, and who gave it. Bytes of the guest's own count as the last one's.
    answers: Vec<(u64, Origin)>,
}

impl Blob {
    /// Who sent the byte at `position`.
    fn origin(&self, position: u64) -> Option<&Origin> {
        let (_, origin) = self
            .answers
            .iter()
            .rev()
            .find(|(start, _)| *start <= position)
            .or(self.answers.first())?;
        Some(origin)
    }

    /// Searches each answer in `content`, which is what this blob holds.
    fn search_answers(&self, content: &SpooledBlob, echo: &Echo) -> wasmtime::Result<()> {
        for (index, (start, origin)) in self.answers.iter().enumerate() {
            let end = self
                .answers
                .get(index + 1)
                .map_or(content.len(), |(next, _)| *next);
            let origin = |position| self.origin(position).unwrap_or(origin).clone();
            check_content(echo, content, *start..end, origin)?;
        }
        Ok(())
    }
}

/// First written and then read.
#[derive(Default)]
enum State {
    #[default]
    Empty,
    Writing(Spool),
    Complete(SpooledBlob),
}

impl State {
    /// Where to append to; there is none once reading has begun.
    fn spool(&mut self, fetch: &Fetch) -> wasmtime::Result<Result<&mut Spool, FetchError>> {
        if let Self::Empty = self {
            *self = Self::Writing(Spool::create(&fetch.session.tmp).map_err(error::temporary)?);
        }
        match self {
            Self::Writing(spool) => Ok(Ok(spool)),
            _ => Ok(Err(error::invalid("a blob that was read is complete"))),
        }
    }

    /// Ends writing.
    fn complete(&mut self, fetch: &Fetch) -> wasmtime::Result<&SpooledBlob> {
        let spool = match std::mem::replace(self, Self::Empty) {
            Self::Empty => Spool::create(&fetch.session.tmp).map_err(error::temporary)?,
            Self::Writing(spool) => spool,
            Self::Complete(blob) => {
                *self = Self::Complete(blob);
                return self.completed();
            }
        };
        *self = Self::Complete(spool.finish().map_err(error::temporary)?);
        self.completed()
    }

    fn completed(&self) -> wasmtime::Result<&SpooledBlob> {
        match self {
            Self::Complete(blob) => Ok(blob),
            _ => Err(error::HostTrouble("a temporary file is not complete".to_owned()).into()),
        }
    }

    fn len(&self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Writing(spool) => spool.len(),
            Self::Complete(blob) => blob.len(),
        }
    }
}

/// A plan in the guest's hands.
#[expect(unreachable_pub, reason = "the bindings re-export it")]
pub struct Planned {
    pub(crate) plan: Plan,
    /// What it has in memory.
    held: Held,
}

impl HostBlob for Host {
    async fn new(&mut self) -> wasmtime::Result<Resource<Blob>> {
        let (table, _) = self.parts()?;
        Ok(table.push(Blob::default())?)
    }

    async fn write(
        &mut self,
        this: Resource<Blob>,
        bytes: Vec<u8>,
    ) -> wasmtime::Result<Result<(), FetchError>> {
        let (table, fetch) = self.parts()?;
        if bytes.len() > BYTES {
            return Ok(Err(error::new("too-large", "more than 16 MiB at once")));
        }
        let spool = match table.get_mut(&this)?.state.spool(fetch)? {
            Ok(spool) => spool,
            Err(told) => return Ok(Err(told)),
        };
        fetch.spooled.count(bytes.len())?;
        spool.append(&bytes).map_err(error::temporary)?;
        Ok(Ok(()))
    }

    async fn append(
        &mut self,
        this: Resource<Blob>,
        content: Resource<Response>,
    ) -> wasmtime::Result<Result<u64, FetchError>> {
        let (table, fetch) = self.parts()?;
        let content = table.delete(content)?;
        let blob = table.get_mut(&this)?;
        let spool = match blob.state.spool(fetch)? {
            Ok(spool) => spool,
            Err(told) => return Ok(Err(told)),
        };
        let before = spool.len();
        blob.answers.push((before, content.origin().clone()));
        let spooled = std::sync::Arc::clone(&fetch.spooled);
        let drained = content
            .drain(fetch, |chunk| {
                spooled.count(chunk.len())?;
                spool.append(chunk).map_err(error::temporary)
            })
            .await?;
        Ok(drained.map(|()| spool.len() - before))
    }

    async fn size(&mut self, this: Resource<Blob>) -> wasmtime::Result<u64> {
        let (table, _) = self.parts()?;
        Ok(table.get(&this)?.state.len())
    }

    async fn read(
        &mut self,
        this: Resource<Blob>,
        offset: u64,
        len: u32,
    ) -> wasmtime::Result<Result<Vec<u8>, FetchError>> {
        let (table, fetch) = self.parts()?;
        let blob = table.get_mut(&this)?;
        let content = blob.state.complete(fetch)?.clone();
        let left = usize::try_from(content.len().saturating_sub(offset)).unwrap_or(usize::MAX);
        let length = left.min(len as usize).min(READ_BYTES);
        fetch.count_read(length)?;
        if length == 0 {
            return Ok(Ok(Vec::new()));
        }
        // What holds nothing but the guest's own bytes cannot tell it anything.
        if let Some(last) = blob.origin(u64::MAX) {
            let origin = |position| blob.origin(position).unwrap_or(last).clone();
            check_part(&fetch.echo, &content, offset, length, origin)?;
        }
        let bytes = content.read(offset, length).map_err(error::temporary)?;
        Ok(Ok(bytes.into()))
    }

    async fn drop(&mut self, this: Resource<Blob>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl Host {
    /// Takes content out of the guest's hands, and what it holds in memory.
    fn source(
        &mut self,
        source: GuestSource,
    ) -> wasmtime::Result<Result<(Source, Held), FetchError>> {
        let (table, fetch) = self.parts()?;
        let nothing = fetch.hold(0)?;
        Ok(match source {
            GuestSource::Bytes(bytes) if bytes.len() > BYTES => Err(error::new(
                "too-large",
                "more than 16 MiB of bytes; a blob holds more",
            )),
            GuestSource::Bytes(bytes) => {
                let held = fetch.hold(bytes.len())?;
                Ok((Source::Bytes(Bytes::from(bytes)), held))
            }
            GuestSource::Response(response) => {
                let response = table.delete(response)?;
                let origin = response.origin().clone();
                match response.unread() {
                    Ok(Unread::Network(response)) => Ok((Source::Response(response), nothing)),
                    Ok(Unread::Spooled(blob)) => {
                        let whole = 0..blob.len();
                        check_content(&fetch.echo, &blob, whole, |_| origin.clone())?;
                        Ok((Source::Blob(blob), nothing))
                    }
                    Err(told) => Err(told),
                }
            }
            GuestSource::Request(request) => permitted(fetch, table.delete(request)?)?
                .map(|(outgoing, held)| (Source::Request(Box::new(outgoing)), held)),
            GuestSource::Blob(blob) => {
                let mut blob = table.delete(blob)?;
                let content = blob.state.complete(fetch)?.clone();
                blob.search_answers(&content, &fetch.echo)?;
                Ok((Source::Blob(content), nothing))
            }
        })
    }

    /// Makes a plan out of one piece of content.
    fn plan(
        &mut self,
        content: GuestSource,
        layout: impl FnOnce(Source) -> Plan,
    ) -> wasmtime::Result<Result<Resource<Planned>, FetchError>> {
        match self.source(content)? {
            Ok((source, held)) => {
                let plan = layout(source);
                Ok(Ok(self.table.push(Planned { plan, held })?))
            }
            Err(told) => Ok(Err(told)),
        }
    }

    /// Drops content that no plan is made of: the guest has given it away, and what it holds with the
    /// host would stay until the end.
    fn refused<T>(
        &mut self,
        content: GuestSource,
        told: FetchError,
    ) -> wasmtime::Result<Result<T, FetchError>> {
        match content {
            GuestSource::Bytes(_) => {}
            GuestSource::Response(response) => drop(self.table.delete(response)?),
            GuestSource::Request(request) => drop(self.table.delete(request)?),
            GuestSource::Blob(blob) => drop(self.table.delete(blob)?),
        }
        Ok(Err(told))
    }

    /// Adds to a tree, as part of a call that was counted.
    fn entry(
        &mut self,
        this: &Resource<Planned>,
        text: usize,
        content: Option<Held>,
        entry: Entry,
    ) -> wasmtime::Result<Result<(), FetchError>> {
        let (table, fetch) = self.parts_again()?;
        let planned = table.get_mut(this)?;
        let Plan::Tree(entries) = &mut planned.plan else {
            return Ok(Err(error::invalid("the plan is no tree")));
        };
        let limits = &fetch.session.limits;
        if entries.len() as u64 >= limits.entries {
            return Err(Stop::Limit(limits.overrun(fetchhost_policy::Limit::Entries)).into());
        }
        planned.held.grow(text + ENTRY_BYTES, limits)?;
        if let Some(content) = content {
            planned.held.absorb(content);
        }
        entries.push(entry);
        Ok(Ok(()))
    }
}

fn format(word: &str) -> Result<ArchiveFormat, FetchError> {
    word.parse().map_err(|_| {
        error::new(
            "unsupported",
            format!("no archive format `{}`", crate::trap::shown(word)),
        )
    })
}

impl HostPlan for Host {
    async fn file(
        &mut self,
        content: GuestSource,
        executable: bool,
    ) -> wasmtime::Result<Result<Resource<Planned>, FetchError>> {
        self.plan(content, |source| Plan::File { source, executable })
    }

    async fn archive(
        &mut self,
        content: GuestSource,
        word: String,
        strip: u32,
    ) -> wasmtime::Result<Result<Resource<Planned>, FetchError>> {
        match format(&word) {
            Ok(format) => self.plan(content, |source| Plan::Archive {
                source,
                format,
                strip,
            }),
            Err(told) => self.refused(content, told),
        }
    }

    async fn member(
        &mut self,
        content: GuestSource,
        word: String,
        path: String,
    ) -> wasmtime::Result<Result<Resource<Planned>, FetchError>> {
        let text = self.parts_again()?.1.hold(path.len())?;
        let format = match format(&word) {
            Ok(format) => format,
            Err(told) => return self.refused(content, told),
        };
        let plan = self.plan(content, |source| Plan::Member {
            source,
            format,
            path,
        })?;
        if let Ok(plan) = &plan {
            self.table.get_mut(plan)?.held.absorb(text);
        }
        Ok(plan)
    }

    async fn tree(&mut self) -> wasmtime::Result<Resource<Planned>> {
        let (table, fetch) = self.parts()?;
        let planned = Planned {
            plan: Plan::Tree(Vec::new()),
            held: fetch.hold(0)?,
        };
        Ok(table.push(planned)?)
    }

    async fn add(
        &mut self,
        this: Resource<Planned>,
        path: String,
        content: GuestSource,
        executable: bool,
    ) -> wasmtime::Result<Result<(), FetchError>> {
        match self.source(content)? {
            Ok((source, held)) => self.entry(
                &this,
                path.len(),
                Some(held),
                Entry::File {
                    path,
                    source,
                    executable,
                },
            ),
            Err(told) => Ok(Err(told)),
        }
    }

    async fn symlink(
        &mut self,
        this: Resource<Planned>,
        path: String,
        target: String,
    ) -> wasmtime::Result<Result<(), FetchError>> {
        self.fetch()?;
        self.entry(
            &this,
            path.len() + target.len(),
            None,
            Entry::Symlink { path, target },
        )
    }

    async fn directory(
        &mut self,
        this: Resource<Planned>,
        path: String,
    ) -> wasmtime::Result<Result<(), FetchError>> {
        self.fetch()?;
        self.entry(&this, path.len(), None, Entry::Directory { path })
    }

    async fn drop(&mut self, this: Resource<Planned>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl ArtifactHost for Host {}
