//! One artifact on its way into a store.

use fetchhost_artifact::Verified;
use fetchhost_formats::nar::Piece;

use super::daemon::{Connection, PathInfo};
use super::error::StoreError;
use super::gc_root::Root;
use super::{Place, Store};
use crate::error::SinkError;
use crate::held::Kept;
use crate::staged::{Committed, Incoming, SinkKind, Staged, archive_len, check_complete};

/// An artifact of which Nix has heard all but the end: of a flat file the frame that ends it, of an
/// archive also its last bytes, since Nix registers an archive as soon as it has been parsed. When the
/// end never comes, because the connection is dropped or this program dies, Nix forgets it.
pub(super) struct Upload {
    store: Store,
    incoming: Incoming,
    root: Option<Root>,
    /// Where it goes, as soon as Nix has heard of it.
    begun: Option<(Place, Connection)>,
    /// Bytes of the archive so far.
    written: u64,
}

impl Upload {
    /// Has Nix hear of it; in a session only with its first bytes, so that no connection waits for a
    /// server.
    pub(super) fn open(
        store: &Store,
        incoming: &Incoming,
        root: Option<Root>,
    ) -> Result<Self, StoreError> {
        let mut upload = Self {
            store: store.clone(),
            incoming: incoming.clone(),
            root,
            begun: None,
            written: 0,
        };
        if store.spare.is_none() {
            upload.connection()?;
        }
        Ok(upload)
    }

    fn connection(&mut self) -> Result<&mut Connection, StoreError> {
        let begun = match self.begun.take() {
            Some(begun) => begun,
            None => {
                let (place, mut connection) = self.store.spare_or_new()?;
                connection.begin_adding(&self.incoming)?;
                (place, connection)
            }
        };
        Ok(&mut self.begun.insert(begun).1)
    }

    /// Ends it, and compares what Nix reports with what was verified.
    fn end(&mut self, verified: &Verified) -> Result<(), StoreError> {
        let path = verified.store_path();
        let root = self.root.take();
        let connection = self.connection()?;
        let (reported, info) = connection.end_adding()?;
        compare("store path", &path.to_string(), &reported)?;
        compare_info(&info, verified)?;
        let Some(root) = root else {
            return Ok(());
        };
        root.add(path, connection)
            .map_err(|source| StoreError::Unrooted {
                path: path.to_string(),
                source: Box::new(source),
            })
    }
}

impl Staged for Upload {
    fn write(&mut self, batch: &[Piece]) -> Result<(), SinkError> {
        self.written += archive_len(batch);
        let mode = self.incoming.mode;
        self.connection()
            .and_then(|connection| connection.add_batch(mode, batch))
            .map_err(SinkError::of_store(&self.store.label()))
    }

    fn commit(mut self: Box<Self>, verified: &Verified) -> Result<(Committed, Kept), SinkError> {
        let label = self.store.label();
        check_complete(&label, self.written, verified)?;
        self.end(verified).map_err(SinkError::of_store(&label))?;
        let Some((place, connection)) = self.begun else {
            return Err(SinkError::Stopped { label });
        };
        let committed = Committed {
            physical: place.physical(verified.store_path()),
            label,
            kind: SinkKind::Store,
            narinfo: None,
        };
        let Some(spare) = self.store.spare else {
            return Ok((committed, Kept::by(connection)));
        };
        // Whoever wants the connection back protects the path himself.
        spare.put(place, connection);
        Ok((committed, Kept::without()))
    }
}

/// Demands that what is in the store is what was verified.
fn compare_info(info: &PathInfo, verified: &Verified) -> Result<(), StoreError> {
    let nar_hash = verified.nar_hash().sri();
    compare("NAR hash", &nar_hash, &info.nar_hash.sri())?;
    let (size, reported) = (verified.nar_size(), info.nar_size);
    compare("NAR size", &size.to_string(), &reported.to_string())?;
    let references = info.references.len().to_string();
    compare("number of references", "0", &references)?;
    let address = verified.fixed_output().content_address();
    // What was there before, without a content address, stays as it is.
    if info.has(&address) || info.content_address.is_empty() {
        return Ok(());
    }
    compare(
        "content address",
        &address.to_string(),
        &info.content_address,
    )
}

fn compare(what: &'static str, expected: &str, got: &str) -> Result<(), StoreError> {
    if expected == got {
        return Ok(());
    }
    Err(StoreError::Other {
        what,
        expected: expected.to_owned(),
        got: got.to_owned(),
    })
}
