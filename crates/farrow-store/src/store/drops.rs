//! What ends versions: dropping, retention, expiry.

use std::num::NonZeroU64;

use super::readers::{find, not_found};
use super::{Store, Writer, segments_of};
use crate::catalog::{Body, PrefixDropped};
use crate::error::{Result, StoreError};
use crate::frame::Dropped;
use crate::name::FrameName;

impl Store {
    /// Drops one version, or with `None` all versions of a frame. They are gone at once; their extents are
    /// free when no other version has them and nobody holds them.
    ///
    /// # Errors
    /// [`StoreError::FrameNotFound`], [`StoreError::VersionGone`], [`StoreError::Foreign`]; as for every change.
    pub fn drop_frame(&self, name: &FrameName, version: Option<u64>) -> Result<Dropped> {
        self.not_foreign(name)?;
        self.change(|writer| {
            // `None` finds the latest: the frame is there.
            find(&writer.ledger.state(), name, version)?;
            self.drop_by(writer, Body::VersionDropped { name: name.clone(), number: version })
        })
    }

    /// Drops all versions of all frames whose names begin with `prefix`, by one record: all of them are gone, or,
    /// after a crash, none. An empty prefix means every frame.
    ///
    /// # Errors
    /// [`StoreError::NoFrames`]; as for every change.
    pub fn drop_prefix(&self, prefix: &str) -> Result<Dropped> {
        self.change(|writer| {
            if writer.ledger.state().names_with(prefix).next().is_none() {
                return Err(StoreError::NoFrames { prefix: prefix.to_owned() });
            }
            let meant = PrefixDropped { prefix: prefix.to_owned(), until_micros: i64::MAX, latest: true };
            self.drop_by(writer, Body::PrefixDropped(meant))
        })
    }

    /// Drops the versions committed at `until_micros` (microseconds since the Unix epoch) or before, of all frames
    /// whose names begin with `prefix`, by one record. The latest version of a frame stays, however old it is,
    /// unless `latest` is set. There may be none to drop.
    ///
    /// The store reads no clock: times are those that the callers of [`commit`](Self::commit) gave.
    ///
    /// # Errors
    /// As for every change.
    pub fn expire(&self, prefix: &str, until_micros: i64, latest: bool) -> Result<Dropped> {
        let body = Body::PrefixDropped(PrefixDropped { prefix: prefix.to_owned(), until_micros, latest });
        self.change(|writer| {
            if writer.ledger.state().dropped_by(&body).is_empty() {
                return Ok(Dropped::default());
            }
            self.drop_by(writer, body)
        })
    }

    /// Keeps the `last` latest versions of a frame from now on, or with `None` all of them. Older ones are dropped
    /// at once, and later by each commit that makes them too many, by the same record.
    ///
    /// The retention is the frame's: it ends when the frame does, with its last version.
    ///
    /// # Errors
    /// [`StoreError::FrameNotFound`], [`StoreError::CatalogFull`], [`StoreError::Foreign`]; as for every change.
    pub fn retain(&self, name: &FrameName, last: Option<NonZeroU64>) -> Result<Dropped> {
        self.not_foreign(name)?;
        let last = last.map_or(0, NonZeroU64::get);
        self.change(|writer| {
            let found = {
                let state = writer.ledger.state();
                state.frame(name).ok_or_else(|| not_found(&state, name))?.retention
            };
            if found == last {
                return Ok(Dropped::default());
            }
            self.drop_by(writer, Body::RetentionSet { name: name.clone(), last })
        })
    }

    /// Writes a record that drops versions, and frees what only they had.
    fn drop_by(&self, writer: &mut Writer, body: Body) -> Result<Dropped> {
        let (dropped, held_before) = {
            let state = writer.ledger.state();
            (state.dropped_by(&body), state.totals().held)
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
        let bytes_freed = self.reclaim(writer, segments_of(&dropped))?;
        let versions = dropped.len() as u64;
        Ok(Dropped { frames, versions, bytes_freed, bytes_held: given_up - bytes_freed })
    }
}
