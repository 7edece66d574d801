//! The store of one region: what the master's agent asks.

mod drops;
mod growth;
mod retention;
mod writers;

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use farrow_region::Media;
use uuid::Uuid;

use crate::catalog::Body;
use crate::error::{Result, StoreError};
use crate::frame::Version;
use crate::ledger::Ledger;
use crate::mkfs::{self, FormatOptions, FormatReport};
use crate::state::{Orphan, total_len};
use crate::view::View;
use crate::volume::Volume;
pub use retention::AgeCursor;
pub use writers::CommitOptions;

/// The one writer of a region: its [`View`] is fed by what this commits.
///
/// All methods may be called from any thread. Those that change something take one lock, and hold it while a record or
/// a checkpoint is written. Looking something up, acquiring and releasing do not wait for it. The famfs log has a lock
/// of its own; who has it waits for no other.
pub struct Store {
    media: Arc<dyn Media>,
    view: Arc<View>,
    /// Taken before the locks of `view`.
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
        let place = (files.catalog, files.pools);
        let view = View::new(media.clone(), volume, place, ledger.shared_state().clone(), opened)?;
        let writer = Mutex::new(Writer { ledger, committing: HashSet::new() });
        Ok(Self { media, view: Arc::new(view), writer })
    }

    /// Takes back one hold of [`acquire`](View::acquire).
    ///
    /// # Errors
    /// As for [`release_as`](Self::release_as).
    pub fn release(&self, version: &Version) -> Result<()> {
        self.release_as(None, version)
    }

    /// Takes back one hold of a user. If the version was dropped and this was the last one, its extents are free: at once, or
    /// as soon as whoever makes a change at this moment is done.
    ///
    /// # Errors
    /// [`StoreError::NotHeld`] if it was not acquired so; [`StoreError::Stopped`].
    pub fn release_as(&self, user: Option<u32>, version: &Version) -> Result<()> {
        self.view.let_go(user, version)?;
        self.settle();
        Ok(())
    }

    /// The region as it is read.
    pub fn view(&self) -> &Arc<View> {
        &self.view
    }

    /// Fails unless changes can be made: waits for whoever makes one, and looks whether this is still the master.
    ///
    /// # Errors
    /// [`StoreError::Fenced`], [`StoreError::Stopped`], what the medium says.
    pub fn check_master(&self) -> Result<()> {
        self.writer.lock().map_err(|_| StoreError::Stopped)?.ledger.look_whether_master(&*self.media)
    }

    /// Frees what dropped versions had and nobody holds, from now on at once. Returns the bytes freed now.
    ///
    /// The agent calls it once no process that an earlier agent knew maps anything of the region, or each of
    /// them has its holds again by [`acquire`](View::acquire). Versions that were dropped cannot be acquired:
    /// as long as one of those processes may map one, the quarantine stays.
    ///
    /// # Errors
    /// As for every change: [`StoreError::Fenced`], [`StoreError::Stopped`], what the medium says.
    pub fn lift_quarantine(&self) -> Result<u64> {
        self.change(|writer| {
            self.view.holds().lift_quarantine();
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
            self.view.check_identity()?;
            self.free_released(&mut writer)?;
            change(&mut writer)
        };
        self.settle();
        result
    }

    /// Frees what was released while somebody made a change. If somebody is at it again, they will.
    fn settle(&self) {
        while self.view.holds().any_released() {
            let Ok(mut writer) = self.writer.try_lock() else { return };
            // After an error the store has stopped, and says so from now on.
            if self.free_released(&mut writer).is_err() {
                return;
            }
        }
    }

    fn free_released(&self, writer: &mut Writer) -> Result<()> {
        if !self.view.holds().any_released() {
            return Ok(());
        }
        // Of another file system not a byte is written.
        self.view.check_identity()?;
        let released = self.view.holds().take_released();
        self.reclaim(writer, released).map(drop)
    }

    /// Frees those of the given segments that are in no version, held by nobody and not in quarantine.
    /// Returns the bytes freed.
    fn reclaim(&self, writer: &mut Writer, segments: Vec<u64>) -> Result<u64> {
        let mut freed = 0;
        let mut ids = Vec::new();
        {
            let state = writer.ledger.state();
            let mut holds = self.view.holds();
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
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Store").field(&self.view).finish()
    }
}
