//! The region as the service sees it: the store, and the bytes of its frames mapped read-only.

mod commit;
mod foreign;
mod messages;
mod reserve;
mod residue;
mod segments;

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::ops::{ControlFlow, Deref};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use arrow_schema::SchemaRef;
use bytes::Bytes;
use farrow_ipc::{IpcError, Recorded, StreamEncoder, Trust};
use farrow_proto::{FIRST_FOREIGN_FILE, v1};
use farrow_region::{ReadMapping, RegionError};
use farrow_store::{
    AgeCursor, Dropped, Extent, FrameName, PoolFile, Segment, Store, Validation, Version, View,
};
use uuid::Uuid;

use crate::error::AgentError;
use crate::medium::Medium;
use crate::memory::SegmentMemory;

pub(crate) use commit::Commits;
pub(crate) use foreign::not_served;
pub(crate) use reserve::{Scrubber, Wanted};
use residue::Residue;
pub(crate) use segments::{HEAP_PER_METADATA, Segments};

/// The checks of written bytes before they are published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CommitCheck {
    /// The structure of the Arrow file: O(metadata); readers validate values, and no checksums are recorded.
    Structure,
    /// Structure and values: reads all offsets, strings and keys once, so that no reader has to, and records a
    /// checksum of each batch.
    Values,
}

/// A region that this agent is the master of.
pub(crate) struct Region {
    store: Arc<Store>,
    medium: Medium,
    /// Each pool file mapped whole, once.
    pools: RwLock<HashMap<u32, Arc<ReadMapping>>>,
    check: CommitCheck,
    /// The map socket as descriptors name it.
    map_socket: String,
    told: Mutex<Told>,
    /// No tool of famfs is still writing a file whose entry in the famfs log has a lower index.
    settled: AtomicU32,
    commits: Commits,
    residue: Residue,
    /// The place up to which versions have been looked at for their age.
    aged: Mutex<AgeCursor>,
}

/// The things that were said in the agent's log.
#[derive(Default)]
struct Told {
    /// Segments that were changed since their commit, by their ids.
    damaged: HashSet<u64>,
    /// The fault of the famfs log.
    fault: Option<String>,
    /// Files whose path is no frame's name.
    unnamed: usize,
    /// Files that share memory with an earlier one.
    passed_over: usize,
}

/// A version that cannot lose its bytes as long as this exists.
pub(crate) struct HeldVersion {
    store: Arc<Store>,
    version: Arc<Version>,
    user: Option<u32>,
}

impl Region {
    /// Opens the region at `medium` as the master agent of `host`.
    pub(crate) fn open(medium: &Path, host: Uuid, check: CommitCheck) -> Result<Self, AgentError> {
        let medium = Medium::open(medium)?;
        let store = Arc::new(Store::open(medium.media(), host)?);
        let pools = store
            .view()
            .pools()
            .iter()
            .map(|pool| Ok((pool.index, medium.map_pool(pool)?)))
            .collect::<Result<_, AgentError>>()?;
        let (map_socket, told, settled) = (String::new(), Mutex::default(), AtomicU32::new(0));
        let (pools, commits, residue) = (RwLock::new(pools), Commits::default(), Residue::default());
        let aged = Mutex::default();
        Ok(Self { store, medium, pools, check, map_socket, told, settled, commits, residue, aged })
    }

    /// Tells clients of the map socket of this name, beside the agent's socket.
    pub(crate) fn with_map_socket(self, map_socket: String) -> Self {
        Self { map_socket, ..self }
    }

    /// Makes one more pool file of `len` bytes, or of the largest range that is in no famfs file.
    pub(crate) fn grow(&self, len: Option<u64>) -> Result<PoolFile, AgentError> {
        self.medium.check_grows()?;
        let pool = self.store.add_pool(len)?;
        let mapping = self.medium.map_pool(&pool)?;
        self.pools.write().unwrap_or_else(PoisonError::into_inner).insert(pool.index, mapping);
        Ok(pool)
    }

    /// Checks that the medium still has the region: it is as long as it was (a file can be cut off under its mappings), and
    /// its superblock is the one that was opened. One system call a file, and two cache lines.
    pub(crate) fn check_there(&self) -> Result<(), AgentError> {
        self.medium.check_len()?;
        Ok(self.view().check_identity()?)
    }

    /// Checks that the region can be served on: it is there, its famfs log was not begun anew, and nothing was lost of what
    /// describes it.
    pub(crate) fn check(&self) -> Result<(), AgentError> {
        self.check_there()?;
        self.view().follow_log()?;
        let metadata = self.view().metadata_ranges();
        metadata.into_iter().try_for_each(|(offset, len)| self.medium.check_intact(offset, len))
    }

    /// The first loss in a pool, if there is one: frames that lie elsewhere are served on.
    pub(crate) fn lost(&self) -> Option<RegionError> {
        self.pools
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .find_map(|pool| pool.check_intact(0, pool.len()).err())
    }

    /// Drops versions that are older than their frames keep them, some at a time.
    pub(crate) fn drop_aged(&self) {
        let mut cursor = self.aged.lock().unwrap_or_else(PoisonError::into_inner);
        match self.store.drop_aged(micros_since_epoch(), &mut cursor) {
            Ok(dropped) if dropped.versions == 0 => {}
            Ok(Dropped { versions, bytes_freed, bytes_held, .. }) => {
                tracing::info!(versions, bytes_freed, bytes_held, "dropped what frames keep no longer");
            }
            // The next look at the master says why.
            Err(error) => tracing::debug!(%error, "nothing more dropped by age"),
        }
    }

    /// By which pages the medium is mapped, and what to do where they are not huge.
    pub(crate) fn pages(&self) -> Result<String, AgentError> {
        let pages = self.medium.page_use()?;
        Ok(pages.advice().map_or_else(|| pages.to_string(), |advice| format!("{pages}. {advice}")))
    }

    /// The region as it is read.
    pub(crate) fn view(&self) -> &Arc<View> {
        self.store.view()
    }

    /// The part of the region's one writer.
    pub(crate) fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// The counters of publishing.
    pub(crate) fn commits(&self) -> &Commits {
        &self.commits
    }

    /// The region's famfs UUID.
    pub(crate) fn uuid(&self) -> Uuid {
        self.view().region_uuid()
    }

    /// A version for this agent's own use: it is no process's lease.
    pub(crate) fn hold(&self, name: &FrameName, number: Option<u64>) -> Result<HeldVersion, AgentError> {
        self.hold_as(None, name, number)
    }

    /// The same on behalf of a user, if there is one: for whom it counts once it is dropped.
    pub(crate) fn hold_as(
        &self,
        user: Option<u32>,
        name: &FrameName,
        number: Option<u64>,
    ) -> Result<HeldVersion, AgentError> {
        let version = self.view().acquire_as(user, name, number)?;
        Ok(HeldVersion { store: self.store.clone(), version, user })
    }

    /// The schema of a version, by its first segment's footer.
    pub(crate) fn schema(&self, version: &Version) -> Result<SchemaRef, AgentError> {
        Ok(farrow_ipc::schema_of_segments(self.segment(version, 0)?.schema(), version.segments.len()))
    }

    /// Bytes of the footer of a segment. The caller holds the version.
    pub(crate) fn footer_len(&self, version: &Version, index: usize) -> Result<u64, AgentError> {
        let segment = version.segments.get(index).ok_or(AgentError::NoSegments)?;
        let memory = self.memory(&segment.extents, segment.len)?;
        farrow_ipc::footer_len(&memory).map_err(|source| self.damaged(version, index, source))
    }

    /// Compares a segment of a version with what was recorded at its commit. `progress` is told how many bytes
    /// were done since it was told last, and may end it.
    pub(crate) fn verify(
        &self,
        version: &Version,
        index: usize,
        progress: impl FnMut(u64) -> ControlFlow<()>,
    ) -> Result<(), AgentError> {
        let segment = version.segments.get(index).ok_or(AgentError::NoSegments)?;
        let memory = self.memory(&segment.extents, segment.len)?;
        memory.expect_all()?;
        let Segment { metadata_digest, checksums, .. } = &**segment;
        let recorded = Recorded { metadata_digest: *metadata_digest, checksums };
        recorded.verify(&memory, progress).map(drop).map_err(|source| match AgentError::from(source) {
            AgentError::Ipc(source) => {
                let frame = format!("{}@{}", version.name, version.number);
                AgentError::Differs { frame, segment: index, source }
            }
            error => error,
        })
    }

    /// The ticket of the version that the record `commit` made; 0 for the one of a foreign file.
    pub(crate) fn ticket(
        &self,
        name: &FrameName,
        version: u64,
        commit: u64,
        selection: Option<v1::Selection>,
    ) -> Bytes {
        farrow_proto::encode_ticket(&v1::Ticket {
            region_uuid: self.uuid_bytes(),
            name: name.as_str().to_owned(),
            version,
            commit,
            selection,
        })
    }

    /// The files and devices that hold frames, opened for reading.
    pub(crate) fn files(&self) -> Result<Vec<File>, AgentError> {
        let pools = self.view().pools();
        pools.iter().map(|pool| Ok(self.medium.open_for_reading(&pool.path)?.into())).collect()
    }

    /// A descriptor, opened read-only for an application, of the file or device that a request names.
    pub(crate) fn descriptor(&self, request: &v1::MapSocketRequest) -> Result<OwnedFd, AgentError> {
        self.check_there()?;
        let &v1::MapSocketRequest { ref region_uuid, pool: index, superblock, .. } = request;
        if *region_uuid != self.uuid_bytes() {
            return Err(AgentError::OtherRegion { found: region_uuid.clone(), here: self.uuid() });
        }
        if superblock {
            return self.medium.open_superblock_for_reading();
        }
        if let Some(entry) = index.checked_sub(FIRST_FOREIGN_FILE) {
            let file = self.view().foreign_at(entry)?.ok_or(AgentError::NoSuchFile { index })?;
            self.check_settled(&file)?;
            return self.medium.open_for_reading(file.path());
        }
        let pools = self.view().pools();
        let pool = pools.iter().find(|pool| pool.index == index).ok_or(AgentError::NoSuchFile { index })?;
        self.medium.open_for_reading(&pool.path)
    }

    /// Segment `index`, to be streamed: the one that was committed, as far as its metadata tells.
    pub(crate) fn segment(
        &self,
        version: &Version,
        index: usize,
    ) -> Result<StreamEncoder<SegmentMemory>, AgentError> {
        let segment = version.segments.get(index).ok_or(AgentError::NoSegments)?;
        let trust = match segment.validation {
            Validation::Values => Trust::Validated,
            Validation::Structure | Validation::None => Trust::Untrusted,
        };
        let opened = StreamEncoder::open(self.memory(&segment.extents, segment.len)?, trust);
        let opened = opened.and_then(|opened| {
            let (expected, found) = (segment.metadata_digest, opened.layout().metadata_digest());
            if expected == found { Ok(opened) } else { Err(IpcError::Digest { expected, found }) }
        });
        opened.map_err(|source| self.damaged(version, index, source))
    }

    /// The fault of a segment. Of one that was changed the agent's log tells once.
    pub(crate) fn damaged(&self, version: &Version, index: usize, source: IpcError) -> AgentError {
        let error = AgentError::of_segment(version, index, source);
        if let (AgentError::Damaged { .. }, Some(segment)) = (&error, version.segments.get(index)) {
            let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            // A segment has the number of its reservation, and no other ever has.
            if told.damaged.insert(segment.id) {
                tracing::error!(%error, "published bytes were changed");
            }
        }
        error
    }

    /// Segments that were found to be changed since their commit.
    pub(crate) fn damaged_segments(&self) -> usize {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).damaged.len()
    }

    /// The first `len` bytes of `extents`, side by side.
    fn memory(&self, extents: &[Extent], len: u64) -> Result<SegmentMemory, AgentError> {
        let too_long =
            || AgentError::LongerThanReserved { len, reserved: extents.iter().map(|e| e.len).sum() };
        let len = usize::try_from(len).map_err(|_| too_long())?;
        if let &[extent] = extents
            && let Some(pool) = self.pool(extent.pool)
        {
            let offset = usize::try_from(extent.offset).map_err(|_| too_long())?;
            return Ok(SegmentMemory::new(pool, offset, len));
        }
        Ok(SegmentMemory::new(self.medium.map(&self.store, extents)?, 0, len))
    }

    fn pool(&self, index: u32) -> Option<Arc<ReadMapping>> {
        self.pools.read().unwrap_or_else(PoisonError::into_inner).get(&index).cloned()
    }

    fn uuid_bytes(&self) -> Bytes {
        Bytes::copy_from_slice(self.uuid().as_bytes())
    }
}

impl HeldVersion {
    /// Checks that all bytes read of it until now were its own: nobody has made another file system of the medium.
    pub(crate) fn check_there(&self) -> Result<(), AgentError> {
        Ok(self.store.view().check_identity()?)
    }
}

impl Deref for HeldVersion {
    type Target = Version;

    fn deref(&self) -> &Version {
        &self.version
    }
}

impl Drop for HeldVersion {
    fn drop(&mut self) {
        if let Err(error) = self.store.release_as(self.user, &self.version) {
            tracing::error!(frame = %self.version.name, version = self.version.number, %error, "release failed");
        }
    }
}

/// This host's clock.
pub(crate) fn micros_since_epoch() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
