//! The use of the region's space.

use famfs_format::{LogHeader, Namespace};

use crate::catalog::HALF_HEADER_LEN;
use crate::shared_state::SharedState;
use crate::volume::PoolFile;

/// The use of a region's space. All sizes are bytes;
/// `used + held + reserved + free == pool_bytes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// All whole pages of the pool files together.
    pub pool_bytes: u64,
    /// Extents of segments that are in a version.
    pub used: u64,
    /// Extents of segments that are in no version any more and wait for readers or the quarantine.
    pub held: u64,
    /// Extents given to writers.
    pub reserved: u64,
    /// Extents that nobody has.
    pub free: u64,
    /// The longest free extent.
    pub largest_free: u64,
    /// Frames with at least one version.
    pub frames: u64,
    /// Versions of all frames.
    pub versions: u64,
    /// The most that one half of the catalog can hold.
    pub catalog_bytes: u64,
    /// The bytes in the live half of the catalog: its checkpoint and its log.
    pub catalog_committed: u64,
    /// The bytes that compaction would leave of it.
    pub catalog_live: u64,
    /// Entries of the famfs log.
    pub log_entries: u64,
    /// Entries that the famfs log can hold.
    pub log_capacity: u64,
    /// The largest range in no famfs file: what a further pool file can have.
    pub growable: u64,
}

impl Usage {
    pub(crate) fn new(shared: &SharedState, pools: &[PoolFile], log: &LogHeader, files: &Namespace) -> Self {
        let (catalog_committed, catalog_bytes) = shared.catalog_bytes();
        let state = shared.look();
        let totals = state.totals();
        Self {
            pool_bytes: pools.iter().map(PoolFile::page_bytes).sum(),
            used: totals.used,
            held: totals.held,
            reserved: totals.reserved,
            free: state.free().total(),
            largest_free: state.free().largest(),
            frames: state.frames() as u64,
            versions: totals.versions,
            catalog_bytes,
            catalog_committed,
            catalog_live: HALF_HEADER_LEN + state.checkpoint_len(),
            log_entries: log.next_index(),
            log_capacity: log.capacity(),
            growable: files.largest_free(),
        }
    }
}
