//! State and catalog, moved together: a change is in both or in neither.

use std::sync::{Arc, RwLockReadGuard};

use farrow_region::Media;
use uuid::Uuid;

use crate::allocator::FreeSpace;
use crate::catalog::{Body, CatalogFile, HALF_HEADER_LEN, Place, Record, retention_record_len};
use crate::error::{Result, StoreError};
use crate::shared_state::SharedState;
use crate::state::State;
use crate::volume::PoolFile;

/// The bytes that a version, and each of its new segments, can need in a checkpoint beyond the record in the log: a
/// record header of its own, and padding.
const CHECKPOINT_EXTRA: u64 = 40;

/// The number of compactions that a reader beside the master bears before it gives up.
pub(crate) const ATTEMPTS: usize = 16;

/// The state of a region, and the catalog that it can be had from again.
pub(crate) struct Ledger {
    state: Arc<SharedState>,
    catalog: CatalogFile,
}

/// Replays a catalog beside its master, with nobody else to look at the state. `None` if the catalog was compacted
/// meanwhile: what was read may have been written over by the compaction after that one.
pub(crate) fn replay_beside(
    media: &dyn Media,
    place: (u64, u64),
    region: Uuid,
    pools: &[PoolFile],
) -> Result<Option<(State, CatalogFile)>> {
    let before = CatalogFile::look_at(media, place.0)?;
    let replayed = replay(media, place, region, pools);
    let after = CatalogFile::look_at(media, place.0)?;
    if after.serial == before.serial { replayed.map(Some) } else { Ok(None) }
}

fn replay(
    media: &dyn Media,
    (offset, len): (u64, u64),
    region: Uuid,
    pools: &[PoolFile],
) -> Result<(State, CatalogFile)> {
    let catalog = CatalogFile::open(media, offset, len, region)?;
    let free = FreeSpace::new(pools.iter().map(|pool| (pool.index, pool.len)));
    let (epoch, seq) = catalog.start();
    let mut state = State::new(free, epoch, seq, catalog.half_len());
    catalog.replay(media, |place, record| state.apply(place, record))?;
    state.end_checkpoint();
    Ok((state, catalog))
}

impl Ledger {
    /// Replays the catalog in `(offset, len)` on the medium. Writes nothing.
    pub(crate) fn replay(
        media: &dyn Media,
        place: (u64, u64),
        region: Uuid,
        pools: &[PoolFile],
    ) -> Result<Self> {
        replay(media, place, region, pools).map(|(state, catalog)| Self::new(state, catalog))
    }

    /// A ledger of a replayed catalog and its state.
    pub(crate) fn new(state: State, catalog: CatalogFile) -> Self {
        Self { state: Arc::new(SharedState::new(state, &catalog)), catalog }
    }

    /// The state after all records that are known to exist, also once the store has stopped.
    pub(crate) fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.look()
    }

    /// The state for those who do not write.
    pub(crate) fn shared_state(&self) -> &Arc<SharedState> {
        &self.state
    }

    /// The catalog on its medium.
    pub(crate) fn catalog(&self) -> &CatalogFile {
        &self.catalog
    }

    /// Fails with [`StoreError::Stopped`] once [`state`](Self::state) cannot be relied on.
    pub(crate) fn check_running(&self) -> Result<()> {
        self.state.check_running()
    }

    /// Takes over as the region's master, in the next epoch.
    pub(crate) fn start_master(&mut self, media: &dyn Media, host: Uuid) -> Result<u64> {
        // At the end of the numbers `verify` refuses it.
        let epoch = self.state().epoch().saturating_add(1);
        self.write(media, epoch, Body::MasterStarted { host })
    }

    /// Makes one change: in the catalog, which is the commit, then in the state. Returns its sequence number.
    pub(crate) fn record(&mut self, media: &dyn Media, body: Body) -> Result<u64> {
        let epoch = self.state().epoch();
        self.write(media, epoch, body)
    }

    /// Rewrites the catalog without what is no longer of use. Others may look at the state meanwhile.
    pub(crate) fn compact(&mut self, media: &dyn Media) -> Result<()> {
        self.check_running()?;
        let Self { state: shared, catalog } = self;
        let undecided = shared.undecided();
        let state = shared.look();
        catalog.rewrite(media, state.epoch(), state.seq(), state.checkpoint())?;
        shared.set_committed(catalog);
        undecided.decided();
        Ok(())
    }

    /// Fails unless this is still the master, and then, unlike [`check_master`](Self::check_master), stops nothing.
    pub(crate) fn look_whether_master(&self, media: &dyn Media) -> Result<()> {
        self.check_running()?;
        self.catalog.check_word(media)
    }

    /// Fails, and stops the store, unless this is still the master, which may write outside the catalog as well.
    pub(crate) fn check_master(&self, media: &dyn Media) -> Result<()> {
        self.check_running()?;
        let undecided = self.state.undecided();
        self.catalog.check_word(media)?;
        undecided.decided();
        Ok(())
    }

    /// One more pool file is there.
    pub(crate) fn add_pool(&mut self, pool: u32, len: u64) -> Result<()> {
        self.state.add_pool(pool, len)
    }

    /// The most segments that one record may free, so that it always finds room.
    pub(crate) fn most_freed(&self) -> usize {
        let ids = (self.slack() / 2 / 8).clamp(1, 4096);
        usize::try_from(ids).unwrap_or(1)
    }

    fn write(&mut self, media: &dyn Media, epoch: u64, body: Body) -> Result<u64> {
        self.check_running()?;
        let seq = self.state().seq().saturating_add(1);
        let record = Record { seq, epoch, body };
        self.state().verify(Place::Log, &record).map_err(|fault| StoreError::Unreadable { fault })?;
        let bytes = record.encode().map_err(|len| StoreError::RecordTooLong { len })?;
        self.make_room(media, bytes.len() as u64, &record.body)?;

        let Self { state, catalog } = self;
        let undecided = state.undecided();
        catalog.append(media, &bytes, epoch)?;
        state.set_committed(catalog);
        let changed = state.apply(&record)?;
        undecided.decided();
        if changed {
            state.wake(seq);
        }
        Ok(seq)
    }

    fn make_room(&mut self, media: &dyn Media, need: u64, body: &Body) -> Result<()> {
        let state = self.state();
        let live = HALF_HEADER_LEN + state.checkpoint_len();
        let capacity = self.catalog.half_len();
        // What makes the state grow leaves room for the records that make it shrink again: a full catalog
        // can always be emptied.
        let kept = match body {
            Body::VersionCommitted(version) => {
                let retention = version.keep.map_or(0, |_| retention_record_len(version.name.as_str()));
                CHECKPOINT_EXTRA * (1 + version.added.len() as u64) + retention + self.slack()
            }
            Body::ReservationTaken { .. } => CHECKPOINT_EXTRA + self.slack(),
            Body::RetentionSet(set) if set.retention.is_some() => CHECKPOINT_EXTRA + self.slack(),
            _ => 0,
        };
        if live + need + kept > capacity {
            let versions = state.totals().versions;
            let (reservations, retentions) = (state.reservations().len(), state.retentions());
            let (segments, segments_len) = (state.segments(), state.totals().segments_len);
            return Err(StoreError::CatalogFull {
                need,
                live,
                capacity,
                versions,
                reservations,
                retentions,
                segments,
                segments_len,
            });
        }
        drop(state);
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
