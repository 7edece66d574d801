//! The store of one region: what the master's agent asks.

mod drops;
mod foreign;
mod growth;
mod holds;
mod readers;
mod retention;
mod writers;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use famfs_format::{FormatError, Superblock};
use farrow_region::Media;
use uuid::Uuid;

use crate::catalog::Body;
use crate::error::{Result, StoreError};
use crate::foreign::FollowedLog;
use crate::frame::Extent;
use crate::identity;
use crate::ledger::{Ledger, View};
use crate::mkfs::{self, FormatOptions, FormatReport};
use crate::quota::Charge;
use crate::reservation::Reservation;
use crate::state::{OfUser, Orphan, total_len};
use crate::usage::Usage;
use crate::volume::{self, PoolFile, Volume};
pub use foreign::Listed;
use holds::Holds;
pub use readers::ListedVersion;
pub(crate) use readers::{find, list, versions};
pub use retention::AgeCursor;
pub(crate) use retention::{name_retentions, prefix_retentions};
pub use writers::CommitOptions;

/// The one writer of a region.
///
/// All methods may be called from any thread. Those that change something take one lock, and hold it while a record or
/// a checkpoint is written. Looking something up, acquiring and releasing do not wait for it. The famfs log has a lock
/// of its own; who has it waits for no other.
pub struct Store {
    media: Arc<dyn Media>,
    superblock: Superblock,
    /// The place of the catalog on the medium: offset and length.
    catalog: (u64, u64),
    log: Mutex<FollowedLog>,
    /// They grow in number.
    pools: RwLock<Arc<[PoolFile]>>,
    view: Arc<View>,
    /// Taken after `view` where both are needed.
    holds: Mutex<Holds>,
    /// Taken before both.
    writer: Mutex<Writer>,
}

/// The parts of the store that only one thread at a time may use.
struct Writer {
    ledger: Ledger,
    /// Reservations whose bytes are being persisted outside the lock.
    committing: HashSet<u64>,
}

impl Store {
    /// Makes a region: a famfs file system with farrow's files in it.
    ///
    /// The superblock is written last: until then there is no region. What the medium held is lost.
    ///
    /// # Errors
    /// [`StoreError::Occupied`] if there is a famfs file system already, unless it is forced;
    /// [`StoreError::MediaTooSmall`]; what the medium says.
    pub fn format(media: &dyn Media, options: &FormatOptions) -> Result<FormatReport> {
        mkfs::format(media, options)
    }

    /// Opens a region as its master, in the next epoch.
    ///
    /// Reservations are as they were. Extents of dropped versions wait for
    /// [`lift_quarantine`](Self::lift_quarantine).
    ///
    /// # Errors
    /// [`StoreError::NotMaster`] unless `host` is the one in the superblock; [`StoreError::NotFarrow`] for a
    /// famfs file system without farrow's files; what is wrong with superblock, log or catalog.
    pub fn open(media: Arc<dyn Media>, host: Uuid) -> Result<Self> {
        let mut volume = Volume::read(&*media)?;
        let master = volume.superblock.system_uuid;
        if host != master {
            return Err(StoreError::NotMaster { host, master });
        }
        volume.mend_counters(&*media)?;
        let files = volume.farrow_files()?;
        let mut ledger = Ledger::replay(&*media, files.catalog, volume.superblock.uuid, &files.pools)?;
        let opened = ledger.start_master(&*media, host)?;
        let view = ledger.view().clone();
        let holds = Mutex::new(Holds::new(opened));
        let writer = Mutex::new(Writer { ledger, committing: HashSet::new() });
        let log = Mutex::new(FollowedLog::read(&*media, &volume.superblock)?);
        let (superblock, catalog) = (volume.superblock, files.catalog);
        let pools = RwLock::new(files.pools.into());
        Ok(Self { media, superblock, catalog, log, pools, view, holds, writer })
    }

    /// The UUID of the region: that of its famfs file system.
    pub fn region_uuid(&self) -> Uuid {
        self.superblock.uuid
    }

    /// The famfs superblock.
    pub fn superblock(&self) -> &Superblock {
        &self.superblock
    }

    /// The medium.
    pub fn media(&self) -> &Arc<dyn Media> {
        &self.media
    }

    /// The fault of the famfs log, if it had one when it was looked at last: that of the first entry that could not
    /// be read. Farrow's files stand before it; others behind it are not served.
    pub fn log_fault(&self) -> Option<FormatError> {
        self.followed().fault().cloned()
    }

    /// The pool files, by index.
    pub fn pools(&self) -> Arc<[PoolFile]> {
        Arc::clone(&self.pools.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The places of the bytes that describe the region: superblock and famfs log, and the catalog, as (offset, length) on
    /// the medium in bytes. What is lost elsewhere is lost of single frames.
    pub fn metadata_ranges(&self) -> [(u64, u64); 2] {
        [(0, self.superblock.data_offset()), self.catalog]
    }

    /// The places of extents on the medium, in their order: (offset, length) in bytes. Neighbours are joined.
    ///
    /// # Errors
    /// [`StoreError::NoSuchExtent`] for one that is not within a pool.
    pub fn media_ranges(&self, extents: &[Extent]) -> Result<Vec<(u64, u64)>> {
        volume::media_ranges(&self.pools(), extents)
    }

    /// The master's epoch.
    pub fn epoch(&self) -> u64 {
        self.view.look().epoch()
    }

    /// The sequence number of the last record: it grows with every change.
    pub fn seq(&self) -> u64 {
        self.view.look().seq()
    }

    /// All reservations, oldest first.
    pub fn reservations(&self) -> Vec<Reservation> {
        self.view.look().reservations().values().cloned().collect()
    }

    /// One reservation, if it has not ended.
    pub fn reservation(&self, id: u64) -> Option<Reservation> {
        self.view.look().reservations().get(&id).cloned()
    }

    /// The use of the region's space.
    pub fn usage(&self) -> Usage {
        // A medium that cannot be read is an error of whoever asks for a frame.
        let log = self.follow().unwrap_or_else(|_| self.followed());
        Usage::new(&self.view, &self.pools(), log.header(), log.namespace())
    }

    /// The bytes that count for a user.
    pub fn charge(&self, uid: u32) -> Charge {
        let state = self.view.look();
        let (OfUser { published, reserved, dropped }, of_dropped) =
            (state.owned_by(uid), self.holds().dropped(uid));
        // A release may be a moment ahead of the record that frees.
        let dropped = dropped.saturating_sub(of_dropped.of_others);
        Charge { published, reserved, dropped, held: of_dropped.held - of_dropped.own }
    }

    /// The first free extent behind a place (a pool, and an offset in it), as far as it lies behind that. It may have
    /// been given out by the time this returns.
    pub fn free_from(&self, place: (u32, u64)) -> Option<Extent> {
        self.view.look().free().from(place)
    }

    /// Fails unless changes can be made: waits for whoever makes one, and looks whether this is still the master.
    ///
    /// # Errors
    /// [`StoreError::Fenced`], [`StoreError::Stopped`], what the medium says.
    pub fn check_master(&self) -> Result<()> {
        self.writer.lock().map_err(|_| StoreError::Stopped)?.ledger.look_whether_master(&*self.media)
    }

    /// Fails unless the medium still has the file system that was opened. It costs two cache lines.
    ///
    /// # Errors
    /// [`StoreError::Replaced`]; what the medium says.
    pub fn check_identity(&self) -> Result<()> {
        identity::check_superblock(&*self.media, &self.superblock)
    }

    /// Frees what dropped versions had and nobody holds, from now on at once. Returns the bytes freed now.
    ///
    /// The agent calls it once no process that an earlier agent knew maps anything of the region, or each of
    /// them has its holds again by [`acquire`](Self::acquire). Versions that were dropped cannot be acquired:
    /// as long as one of those processes may map one, the quarantine stays.
    ///
    /// # Errors
    /// As for every change: [`StoreError::Fenced`], [`StoreError::Stopped`], what the medium says.
    pub fn lift_quarantine(&self) -> Result<u64> {
        self.change(|writer| {
            self.holds().lift_quarantine();
            let waiting = writer.ledger.state().orphans().keys().copied().collect();
            self.reclaim(writer, waiting)
        })
    }

    /// Rewrites the catalog without what is no longer of use. The store does so itself when it has to. Readers go on
    /// meanwhile; writers wait.
    ///
    /// # Errors
    /// As for every change.
    pub fn compact(&self) -> Result<()> {
        self.change(|writer| writer.ledger.compact(&*self.media))
    }

    /// Makes a change, alone.
    fn change<T>(&self, change: impl FnOnce(&mut Writer) -> Result<T>) -> Result<T> {
        let result = {
            // Whoever panicked while holding the lock may have left a change half done.
            let mut writer = self.writer.lock().map_err(|_| StoreError::Stopped)?;
            writer.ledger.check_running()?;
            self.check_identity()?;
            self.free_released(&mut writer)?;
            change(&mut writer)
        };
        self.settle();
        result
    }

    /// Frees what was released while somebody made a change. If somebody is at it again, they will.
    fn settle(&self) {
        while self.holds().any_released() {
            let Ok(mut writer) = self.writer.try_lock() else { return };
            // After an error the store has stopped, and says so from now on.
            if self.free_released(&mut writer).is_err() {
                return;
            }
        }
    }

    fn free_released(&self, writer: &mut Writer) -> Result<()> {
        if !self.holds().any_released() {
            return Ok(());
        }
        // Of another file system not a byte is written.
        self.check_identity()?;
        let released = self.holds().take_released();
        self.reclaim(writer, released).map(drop)
    }

    /// Frees those of the given segments that are in no version, held by nobody and not in quarantine.
    /// Returns the bytes freed.
    fn reclaim(&self, writer: &mut Writer, segments: Vec<u64>) -> Result<u64> {
        let mut freed = 0;
        let mut ids = Vec::new();
        {
            let state = writer.ledger.state();
            let mut holds = self.holds();
            for id in segments {
                let Some(Orphan { segment, uid }) = state.orphans().get(&id) else { continue };
                if holds.keep(segment) {
                    holds.orphan(segment, *uid);
                } else {
                    freed += total_len(&segment.extents);
                    ids.push(id);
                }
            }
        }
        // Nobody can acquire them any more: they are in no version.
        for segments in ids.chunks(writer.ledger.most_freed()) {
            writer.ledger.record(&*self.media, Body::ExtentsFreed { segments: segments.to_vec() })?;
        }
        Ok(freed)
    }

    fn holds(&self) -> MutexGuard<'_, Holds> {
        // Nothing in there panics half way.
        self.holds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let place = self.media.describe();
        f.debug_struct("Store").field("region", &self.superblock.uuid).field("media", &place).finish()
    }
}
