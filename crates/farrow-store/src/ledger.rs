//! State and catalog, moved together: a change is in both or in neither.

use farrow_region::Media;
use uuid::Uuid;

use crate::allocator::FreeSpace;
use crate::catalog::{Body, CatalogFile, HALF_HEADER_LEN, Place, Record};
use crate::error::{Result, StoreError};
use crate::state::State;
use crate::volume::PoolFile;

/// What a version can need in a checkpoint beyond its record in the log: a second record header, and padding.
const CHECKPOINT_EXTRA: u64 = 64;

/// The state of a region, and the catalog that it can be had from again.
pub(crate) struct Ledger {
    state: State,
    catalog: CatalogFile,
    /// Set while it is open whether a record exists, and for ever if that cannot be found out.
    stopped: bool,
}

impl Ledger {
    /// Replays the catalog in `(offset, len)` on the medium. Writes nothing.
    pub(crate) fn replay(
        media: &dyn Media,
        (offset, len): (u64, u64),
        region: Uuid,
        pools: &[PoolFile],
    ) -> Result<Self> {
        let catalog = CatalogFile::open(media, offset, len, region)?;
        let free = FreeSpace::new(pools.iter().map(|pool| (pool.index, pool.len)));
        let (epoch, seq) = catalog.start();
        let mut state = State::new(free, epoch, seq);
        catalog.replay(media, |place, record| state.apply(place, record))?;
        Ok(Self { state, catalog, stopped: false })
    }

    /// What all records so far mean.
    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    /// The catalog on its medium.
    pub(crate) fn catalog(&self) -> &CatalogFile {
        &self.catalog
    }

    /// Whether what [`state`](Self::state) says can be relied on.
    pub(crate) fn check_running(&self) -> Result<()> {
        if self.stopped { Err(StoreError::Stopped) } else { Ok(()) }
    }

    /// Takes over as the region's master, in the next epoch.
    pub(crate) fn start_master(&mut self, media: &dyn Media, host: Uuid) -> Result<u64> {
        // At the end of the numbers `verify` refuses it.
        self.write(media, self.state.epoch().saturating_add(1), Body::MasterStarted { host })
    }

    /// Makes one change: in the catalog, which is the commit, then in the state. Returns its sequence number.
    pub(crate) fn record(&mut self, media: &dyn Media, body: Body) -> Result<u64> {
        self.write(media, self.state.epoch(), body)
    }

    /// Rewrites the catalog without what is no longer of use.
    pub(crate) fn compact(&mut self, media: &dyn Media) -> Result<()> {
        self.check_running()?;
        let Self { state, catalog, stopped } = self;
        *stopped = true;
        catalog.rewrite(media, state.epoch(), state.seq(), state.checkpoint())?;
        *stopped = false;
        Ok(())
    }

    /// The most segments that one record may free, so that it always finds room.
    pub(crate) fn most_freed(&self) -> usize {
        let ids = (self.slack() / 2 / 8).clamp(1, 4096);
        usize::try_from(ids).unwrap_or(1)
    }

    fn write(&mut self, media: &dyn Media, epoch: u64, body: Body) -> Result<u64> {
        self.check_running()?;
        let seq = self.state.seq().saturating_add(1);
        let record = Record { seq, epoch, body };
        self.state.verify(Place::Log, &record).map_err(|fault| StoreError::Unreadable { fault })?;
        let bytes = record.encode().map_err(|len| StoreError::RecordTooLong { len })?;
        self.make_room(media, bytes.len() as u64, &record.body)?;

        self.stopped = true;
        self.catalog.append(media, &bytes, epoch)?;
        self.state.apply(Place::Log, &record).map_err(|fault| StoreError::Unreadable { fault })?;
        self.stopped = false;
        Ok(seq)
    }

    fn make_room(&mut self, media: &dyn Media, need: u64, body: &Body) -> Result<()> {
        let live = HALF_HEADER_LEN + self.state.totals().checkpoint_len;
        let capacity = self.catalog.half_len();
        // What makes the state grow leaves room for the records that make it shrink again: a full catalog
        // can always be emptied.
        let grows = matches!(
            body,
            Body::ReservationTaken { .. } | Body::VersionCommitted(_) | Body::RetentionSet { .. }
        );
        let kept = if grows { CHECKPOINT_EXTRA + self.slack() } else { 0 };
        if live + need + kept > capacity {
            let versions = self.state.totals().versions;
            let reservations = self.state.reservations().len();
            return Err(StoreError::CatalogFull { need, live, capacity, versions, reservations });
        }
        if need > self.catalog.room() { self.compact(media) } else { Ok(()) }
    }

    /// Bytes of a half that only shrinking records may use. It also bounds how often a nearly full catalog
    /// is compacted.
    fn slack(&self) -> u64 {
        self.catalog.half_len() / 8
    }
}

#[cfg(test)]
mod tests;
