//! State and catalog, moved together: a change is in both or in neither.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard};

use farrow_region::Media;
use uuid::Uuid;

use crate::allocator::FreeSpace;
use crate::catalog::{Body, CatalogFile, HALF_HEADER_LEN, Place, Record, retention_record_len};
use crate::changes::Recent;
use crate::error::{Result, StoreError};
use crate::state::State;
use crate::volume::PoolFile;

/// The bytes that a version, and each of its new segments, can need in a checkpoint beyond the record in the log: a
/// record header of its own, and padding.
const CHECKPOINT_EXTRA: u64 = 40;

/// The number of compactions that a reader beside the master bears before it gives up.
pub(crate) const ATTEMPTS: usize = 16;

/// The state of a region, and the catalog that it can be had from again.
pub(crate) struct Ledger {
    view: Arc<View>,
    catalog: CatalogFile,
}

/// The state as everybody may look at it while one writes the catalog, which takes long: only applying a record,
/// which does not, keeps others out.
pub(crate) struct View {
    state: RwLock<State>,
    /// Set for ever once it is open whether a record exists.
    stopped: AtomicBool,
    /// Committed bytes of the catalog's live half, and the bytes of a half.
    committed: AtomicU64,
    half_len: u64,
    /// Only locked while `state` is, so that the two fit.
    recent: Mutex<Recent>,
    wake: OnceLock<Wake>,
}

type Wake = Box<dyn Fn(u64) + Send + Sync>;

impl View {
    /// The state after all records so far; [`StoreError::Stopped`] once it cannot be relied on.
    pub(crate) fn state(&self) -> Result<RwLockReadGuard<'_, State>> {
        self.check_running()?;
        Ok(self.look())
    }

    /// The state after all records that are known to exist: for figures, which are still of use after the store has
    /// stopped.
    pub(crate) fn look(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Committed bytes of the catalog's live half, and the bytes of a half.
    pub(crate) fn catalog_bytes(&self) -> (u64, u64) {
        (self.committed.load(Ordering::Relaxed), self.half_len)
    }

    /// The last changes. The state is locked as long as they are.
    pub(crate) fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls `wake` after each change that [`recent`](Self::recent) has, from now on. Only the first one is called.
    pub(crate) fn on_change(&self, wake: Wake) {
        let _ = self.wake.set(wake);
    }

    /// Fails with [`StoreError::Stopped`] once the state cannot be relied on.
    fn check_running(&self) -> Result<()> {
        if self.stopped.load(Ordering::Acquire) { Err(StoreError::Stopped) } else { Ok(()) }
    }
}

/// While this lives it is open what the catalog says. Unless it is decided, by neither error nor panic, nothing that
/// depends on it is answered any more.
struct Undecided<'a>(&'a View);

impl Undecided<'_> {
    fn decided(self) {
        std::mem::forget(self);
    }
}

impl Drop for Undecided<'_> {
    fn drop(&mut self) {
        self.0.stopped.store(true, Ordering::Release);
    }
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
        let view = View {
            recent: Mutex::new(Recent::new(state.seq())),
            wake: OnceLock::new(),
            state: RwLock::new(state),
            stopped: AtomicBool::new(false),
            committed: AtomicU64::new(catalog.committed()),
            half_len: catalog.half_len(),
        };
        Self { view: Arc::new(view), catalog }
    }

    /// The state after all records that are known to exist, also once the store has stopped.
    pub(crate) fn state(&self) -> RwLockReadGuard<'_, State> {
        self.view.look()
    }

    /// The state for those who do not write.
    pub(crate) fn view(&self) -> &Arc<View> {
        &self.view
    }

    /// The catalog on its medium.
    pub(crate) fn catalog(&self) -> &CatalogFile {
        &self.catalog
    }

    /// Fails with [`StoreError::Stopped`] once [`state`](Self::state) cannot be relied on.
    pub(crate) fn check_running(&self) -> Result<()> {
        self.view.check_running()
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
        let Self { view, catalog } = self;
        let undecided = Undecided(view);
        let state = view.look();
        catalog.rewrite(media, state.epoch(), state.seq(), state.checkpoint())?;
        view.committed.store(catalog.committed(), Ordering::Relaxed);
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
        let undecided = Undecided(&self.view);
        self.catalog.check_word(media)?;
        undecided.decided();
        Ok(())
    }

    /// One more pool file is there.
    pub(crate) fn add_pool(&mut self, pool: u32, len: u64) -> Result<()> {
        let mut state = self.view.state.write().map_err(|_| StoreError::Stopped)?;
        state.add_pool(pool, len);
        Ok(())
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

        let Self { view, catalog } = self;
        let undecided = Undecided(view);
        catalog.append(media, &bytes, epoch)?;
        view.committed.store(catalog.committed(), Ordering::Relaxed);
        let changed = {
            let mut state = view.state.write().map_err(|_| StoreError::Stopped)?;
            let names = state.latest_changed_by(&record.body);
            let changed = !names.is_empty();
            state.apply(Place::Log, &record).map_err(|fault| StoreError::Unreadable { fault })?;
            view.recent().add(seq, names);
            changed
        };
        undecided.decided();
        if changed && let Some(wake) = view.wake.get() {
            wake(seq);
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
