//! A region as everybody reads it, in the master's process and in any other one.

mod foreign;
mod frames;
mod holds;
mod retentions;
mod usage;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use famfs_format::{FormatError, Superblock};
use farrow_region::Media;
use uuid::Uuid;

use crate::error::Result;
use crate::foreign::FollowedLog;
use crate::frame::Extent;
use crate::identity;
use crate::quota::Charge;
use crate::reservation::Reservation;
use crate::shared_state::SharedState;
use crate::state::OfUser;
use crate::volume::{self, PoolFile, Volume};
pub use foreign::Listed;
pub use frames::ListedVersion;
pub(crate) use frames::find;
use holds::Holds;
pub use usage::Usage;

/// All that is read of a region: frames and their versions, changes, retentions, files of other programs, and who holds
/// what.
///
/// A [`Store`](crate::Store) feeds it with what it commits, a [`Follower`](crate::Follower) with what the master has
/// committed. All methods may be called from any thread, and none waits for a change that is being written.
pub struct View {
    media: Arc<dyn Media>,
    superblock: Superblock,
    /// The place of the catalog on the medium: offset and length.
    catalog: (u64, u64),
    log: Mutex<FollowedLog>,
    /// They grow in number.
    pools: RwLock<Arc<[PoolFile]>>,
    state: Arc<SharedState>,
    /// Taken after `state` where both are needed.
    holds: Mutex<Holds>,
}

impl View {
    /// The view of a region whose catalog, at `catalog` of the medium, led to `state`. What was given out up to the record
    /// `quarantined_up_to` may be mapped by processes that nobody knows.
    pub(crate) fn new(
        media: Arc<dyn Media>,
        volume: Volume,
        (catalog, pools): ((u64, u64), Vec<PoolFile>),
        state: Arc<SharedState>,
        quarantined_up_to: u64,
    ) -> Result<Self> {
        let log = Mutex::new(FollowedLog::read(&*media, &volume.superblock)?);
        let (superblock, pools) = (volume.superblock, RwLock::new(pools.into()));
        let holds = Mutex::new(Holds::new(quarantined_up_to));
        Ok(Self { media, superblock, catalog, log, pools, state, holds })
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
    /// [`StoreError::NoSuchExtent`](crate::StoreError::NoSuchExtent) for one that is not within a pool.
    pub fn media_ranges(&self, extents: &[Extent]) -> Result<Vec<(u64, u64)>> {
        volume::media_ranges(&self.pools(), extents)
    }

    /// The master's epoch.
    pub fn epoch(&self) -> u64 {
        self.state.look().epoch()
    }

    /// The sequence number of the last record: it grows with every change.
    pub fn seq(&self) -> u64 {
        self.state.look().seq()
    }

    /// All reservations, oldest first.
    pub fn reservations(&self) -> Vec<Reservation> {
        self.state.look().reservations().values().cloned().collect()
    }

    /// One reservation, if it has not ended.
    pub fn reservation(&self, id: u64) -> Option<Reservation> {
        self.state.look().reservations().get(&id).cloned()
    }

    /// The use of the region's space.
    pub fn usage(&self) -> Usage {
        // A medium that cannot be read is an error of whoever asks for a frame.
        let log = self.follow().unwrap_or_else(|_| self.followed());
        Usage::new(&self.state, &self.pools(), log.header(), log.namespace())
    }

    /// The bytes that count for a user.
    pub fn charge(&self, uid: u32) -> Charge {
        let state = self.state.look();
        let (OfUser { published, reserved, dropped }, of_dropped) =
            (state.owned_by(uid), self.holds().dropped(uid));
        // A release may be a moment ahead of the record that frees.
        let dropped = dropped.saturating_sub(of_dropped.of_others);
        Charge { published, reserved, dropped, held: of_dropped.held - of_dropped.own }
    }

    /// The first free extent behind a place (a pool, and an offset in it), as far as it lies behind that. It may have
    /// been given out by the time this returns.
    pub fn free_from(&self, place: (u32, u64)) -> Option<Extent> {
        self.state.look().free().from(place)
    }

    /// Fails unless the medium still has the file system that was opened. It costs two cache lines.
    ///
    /// # Errors
    /// [`StoreError::Replaced`](crate::StoreError::Replaced); what the medium says.
    pub fn check_identity(&self) -> Result<()> {
        identity::check_superblock(&*self.media, &self.superblock)
    }

    /// The catalog's state as threads share it.
    pub(crate) fn state(&self) -> &SharedState {
        &self.state
    }

    /// The place of the catalog on the medium: offset and length.
    pub(crate) fn catalog(&self) -> (u64, u64) {
        self.catalog
    }

    /// There are other pool files from now on.
    pub(crate) fn set_pools(&self, pools: Vec<PoolFile>) {
        *self.pools.write().unwrap_or_else(PoisonError::into_inner) = pools.into();
    }

    pub(crate) fn holds(&self) -> MutexGuard<'_, Holds> {
        // Nothing in there panics half way.
        self.holds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for View {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (region, place, seq) = (self.region_uuid(), self.media.describe(), self.seq());
        f.debug_struct("View").field("region", &region).field("media", &place).field("seq", &seq).finish()
    }
}
