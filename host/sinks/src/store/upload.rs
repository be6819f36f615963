//! One artifact on its way into a store.

use fetchhost_artifact::Verified;
use fetchhost_formats::OutputMode;
use fetchhost_formats::nar::Piece;

use super::daemon::{Connection, PathInfo};
use super::error::StoreError;
use super::gc_root::Root;
use super::{Place, Spare};
use crate::error::SinkError;
use crate::held::Kept;
use crate::staged::{Committed, SinkKind, Staged, archive_len, check_complete};

/// An artifact of which Nix has heard all but the end: of a flat file the frame that ends it, of an
/// archive also its last bytes, since Nix registers an archive as soon as it has been parsed. When the
/// end never comes, because the connection is dropped or this program dies, Nix forgets it.
pub(super) struct Upload {
    pub(super) label: String,
    pub(super) connection: Connection,
    pub(super) place: Place,
    pub(super) root: Option<Root>,
    pub(super) mode: OutputMode,
    /// Bytes of the archive so far.
    pub(super) written: u64,
    /// Where the connection goes afterwards.
    pub(super) spare: Option<Spare>,
}

impl Staged for Upload {
    fn write(&mut self, batch: &[Piece]) -> Result<(), SinkError> {
        self.written += archive_len(batch);
        self.connection
            .add_batch(self.mode, batch)
            .map_err(SinkError::of_store(&self.label))
    }

    fn commit(self: Box<Self>, verified: &Verified) -> Result<(Committed, Kept), SinkError> {
        let Self {
            label,
            mut connection,
            place,
            root,
            written,
            spare,
            ..
        } = *self;
        check_complete(&label, written, verified)?;
        let failed = SinkError::of_store(&label);
        let path = verified.store_path();
        let (reported, info) = connection.end_adding().map_err(failed)?;
        compare("store path", &path.to_string(), &reported).map_err(failed)?;
        compare_info(&info, verified).map_err(failed)?;
        if let Some(root) = root {
            root.add(path, &mut connection)
                .map_err(|source| StoreError::Unrooted {
                    path: path.to_string(),
                    source: Box::new(source),
                })
                .map_err(failed)?;
        }
        let committed = Committed {
            physical: place.physical(path),
            label,
            kind: SinkKind::Store,
            narinfo: None,
        };
        let Some(spare) = spare else {
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
    compare("number of references", "0", &info.references.to_string())?;
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
