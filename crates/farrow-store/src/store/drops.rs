//! The ends of versions: dropping, expiry.

use super::{Store, Writer};
use crate::catalog::{Body, PrefixDropped};
use crate::error::{Result, StoreError};
use crate::frame::Dropped;
use crate::name::FrameName;
use crate::prefix::Prefix;
use crate::view::find;

impl Store {
    /// Drops one version, or with `None` all versions of a frame. They are gone at once; their extents are
    /// free when no other version has them and nobody holds them.
    ///
    /// # Errors
    /// [`StoreError::FrameNotFound`], [`StoreError::VersionGone`], [`StoreError::Foreign`]; as for every change.
    pub fn drop_frame(&self, name: &FrameName, version: Option<u64>) -> Result<Dropped> {
        self.view.not_foreign(name)?;
        self.change(|writer| {
            // `None` finds the latest: the frame is there.
            find(&writer.ledger.state(), name, version)?;
            self.drop_by(writer, Body::VersionDropped { name: name.clone(), number: version })
        })
    }

    /// Drops all versions of all frames of `prefix`, by one record: all of them are gone, or, after a crash, none.
    ///
    /// # Errors
    /// [`StoreError::NoFrames`]; as for every change.
    pub fn drop_prefix(&self, prefix: &Prefix) -> Result<Dropped> {
        self.change(|writer| {
            if writer.ledger.state().names_with(prefix).next().is_none() {
                return Err(StoreError::NoFrames { prefix: prefix.clone() });
            }
            let meant = PrefixDropped { prefix: prefix.clone(), until_micros: i64::MAX, latest: true };
            self.drop_by(writer, Body::PrefixDropped(meant))
        })
    }

    /// Drops the versions committed at `until_micros` (microseconds since the Unix epoch) or before, of all frames
    /// of `prefix`, by one record. The latest version of a frame stays, however old it is,
    /// unless `latest` is set. There may be none to drop.
    ///
    /// The store reads no clock: times are those that the callers of [`commit`](Self::commit) gave.
    ///
    /// # Errors
    /// As for every change.
    pub fn expire(&self, prefix: &Prefix, until_micros: i64, latest: bool) -> Result<Dropped> {
        let body = Body::PrefixDropped(PrefixDropped { prefix: prefix.clone(), until_micros, latest });
        self.change(|writer| {
            if writer.ledger.state().dropped_by(&body).is_empty() {
                return Ok(Dropped::default());
            }
            self.drop_by(writer, body)
        })
    }

    /// Writes a record that drops versions, and frees what only they had.
    pub(super) fn drop_by(&self, writer: &mut Writer, body: Body) -> Result<Dropped> {
        let (dropped, own, held_before) = {
            let state = writer.ledger.state();
            let dropped = state.dropped_by(&body);
            let own = state.own_segments(&dropped);
            (dropped, own, state.totals().held)
        };
        writer.ledger.record(&*self.media, body)?;
        let (frames, given_up) = {
            let state = writer.ledger.state();
            // The versions of a frame stand together.
            let mut names: Vec<&FrameName> = dropped.iter().map(|version| &version.name).collect();
            names.dedup();
            let gone = names.into_iter().filter(|name| state.frame(name).is_none()).count();
            (gone as u64, state.totals().held - held_before)
        };
        let bytes_freed = self.reclaim(writer, own)?;
        let versions = dropped.len() as u64;
        Ok(Dropped { frames, versions, bytes_freed, bytes_held: given_up - bytes_freed })
    }
}
