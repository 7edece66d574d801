//! The region's memory as processes of this host reach it: one file or device, or the files of a mounted famfs.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use farrow_proto::v1;
use farrow_region::{
    Access, AssembledMedia, FileIdentity, FileMedia, FileRange, Media, PageUse, ReadMapping,
};
use farrow_store::{Extent, ForeignFile, Mount, PoolFile, RelPath, Store};

use crate::error::AgentError;
use crate::lock_holder::LockHolder;

/// The medium of a region.
pub(crate) enum Medium {
    /// One file or device that holds everything.
    Whole {
        media: Arc<FileMedia>,
        /// As clients on this host open it.
        path: PathBuf,
        /// The same file, open for reading.
        file: File,
        identity: FileIdentity,
    },
    /// A mounted famfs: each pool file is a file.
    Mounted { media: Arc<AssembledMedia>, mount: Mount },
}

impl Medium {
    /// Opens what is at `path` for this host's one agent.
    pub(crate) fn open(path: &Path) -> Result<Self, AgentError> {
        if let Some(mount) = Mount::find(path)? {
            return Ok(Self::Mounted { media: Arc::new(mount.media(Access::ReadWrite)?), mount });
        }
        let media = Arc::new(FileMedia::open(path, Access::ReadWrite)?);
        let path = std::fs::canonicalize(path)
            .map_err(|source| AgentError::Medium { path: path.to_owned(), source })?;
        // The file that is open, and not the one that the path means by now.
        let file = media.reopen(Access::ReadOnly)?.into();
        let identity = media.identity()?;
        Ok(Self::Whole { media, path, file, identity })
    }

    /// Returns what the store works on.
    pub(crate) fn media(&self) -> Arc<dyn Media> {
        match self {
            Self::Whole { media, .. } => media.clone(),
            Self::Mounted { media, .. } => media.clone(),
        }
    }

    /// Checks whether every file is still as long as it was; one can be cut off under its mappings.
    pub(crate) fn check_len(&self) -> Result<(), AgentError> {
        match self {
            Self::Whole { media, .. } => Ok(media.check_len()?),
            Self::Mounted { media, .. } => Ok(media.check_len()?),
        }
    }

    /// Checks whether nothing was lost of `len` bytes at `offset`.
    pub(crate) fn check_intact(&self, offset: u64, len: u64) -> Result<(), AgentError> {
        match self {
            Self::Whole { media, .. } => Ok(media.check_intact(offset, len)?),
            Self::Mounted { media, .. } => Ok(media.check_intact(offset, len)?),
        }
    }

    /// By which pages it is mapped.
    pub(crate) fn page_use(&self) -> Result<PageUse, AgentError> {
        match self {
            Self::Whole { media, .. } => Ok(media.page_use()?),
            Self::Mounted { media, .. } => Ok(media.page_use()?),
        }
    }

    /// Refuses to add a pool file where the famfs log is its tools' to write.
    pub(crate) fn check_grows(&self) -> Result<(), AgentError> {
        match self {
            Self::Whole { .. } => Ok(()),
            Self::Mounted { mount, .. } => Err(mount.refuse_to_grow().into()),
        }
    }

    /// Maps all of a pool file, read-only.
    pub(crate) fn map_pool(&self, pool: &PoolFile) -> Result<Arc<ReadMapping>, AgentError> {
        let ranges = self.ranges(pool.len, &pool.extents);
        match self {
            Self::Whole { file, .. } => Ok(ReadMapping::map(file, &ranges)?),
            Self::Mounted { media, mount } => {
                Ok(ReadMapping::map(open_again(media, &mount.path_of(&pool.path))?, &ranges)?)
            }
        }
    }

    /// Maps extents of the store's pools side by side, read-only.
    pub(crate) fn map(&self, store: &Store, extents: &[Extent]) -> Result<Arc<ReadMapping>, AgentError> {
        // Also whether they are within their pools.
        let on_medium = store.view().media_ranges(extents)?;
        match self {
            Self::Whole { file, .. } => {
                let ranges: Vec<_> =
                    on_medium.into_iter().map(|(offset, len)| FileRange { offset, len }).collect();
                Ok(ReadMapping::map(file, &ranges)?)
            }
            Self::Mounted { media, mount } => {
                let index = extents.first().map(|extent| extent.pool);
                let pools = store.view().pools();
                let pool = pools.iter().find(|pool| Some(pool.index) == index);
                let Some(pool) = pool.filter(|pool| extents.iter().all(|extent| extent.pool == pool.index))
                else {
                    return Err(AgentError::SeveralFiles { extents: extents.len() });
                };
                let ranges: Vec<_> =
                    extents.iter().map(|&Extent { offset, len, .. }| FileRange { offset, len }).collect();
                Ok(ReadMapping::map(open_again(media, &mount.path_of(&pool.path))?, &ranges)?)
            }
        }
    }

    /// Maps a file of another program, if it is one to this host too. If not, its bytes are the medium's.
    pub(crate) fn map_foreign(&self, file: &ForeignFile) -> Result<Option<Arc<ReadMapping>>, AgentError> {
        let Self::Mounted { mount, .. } = self else { return Ok(None) };
        let whole = [FileRange { offset: 0, len: file.len }];
        Ok(Some(ReadMapping::map(open_file(&mount.path_of(file.path()))?, &whole)?))
    }

    /// Finds who has locked the famfs log to make files, where that can be seen: on a mounted famfs.
    pub(crate) fn log_locked_by(&self) -> Result<Option<String>, AgentError> {
        let Self::Mounted { mount, .. } = self else { return Ok(None) };
        if !mount.log_is_locked()? {
            return Ok(None);
        }
        let holder = LockHolder::of(&mount.log_path()).map(|holder| holder.to_string());
        Ok(Some(holder.unwrap_or_else(|| "another process".to_owned())))
    }

    /// Opens what the file at `path` in famfs lies in, to be read and anew: for an application, which shares neither
    /// the agent's lock nor its right to write.
    pub(crate) fn open_for_reading(&self, path: &RelPath) -> Result<OwnedFd, AgentError> {
        match self {
            Self::Whole { media, .. } => Ok(media.reopen(Access::ReadOnly)?),
            Self::Mounted { media, mount } => Ok(open_again(media, &mount.path_of(path))?.into()),
        }
    }

    /// Opens what begins with the superblock in the same way.
    pub(crate) fn open_superblock_for_reading(&self) -> Result<OwnedFd, AgentError> {
        match self {
            Self::Whole { media, .. } => Ok(media.reopen(Access::ReadOnly)?),
            Self::Mounted { media, mount } => Ok(open_again(media, &mount.superblock_path())?.into()),
        }
    }

    /// Returns where a client of this host finds a pool file.
    pub(crate) fn pool_file(&self, pool: &PoolFile) -> v1::PoolFile {
        self.file(pool.index, &pool.path, self.ranges(pool.len, &pool.extents))
    }

    /// Returns where a client of this host finds a file of another program, under an index of its own.
    pub(crate) fn foreign_file(&self, file: &ForeignFile, index: u32) -> v1::PoolFile {
        self.file(index, file.path(), self.ranges(file.len, &file.extents))
    }

    fn file(&self, index: u32, file: &RelPath, ranges: Vec<FileRange>) -> v1::PoolFile {
        let (path, superblock, identity) = match self {
            Self::Whole { path, identity, .. } => (path.clone(), String::new(), Some(*identity)),
            Self::Mounted { media, mount } => {
                let path = mount.path_of(file);
                // Nobody promises anything of other programs' files.
                let identity = media.file(&path).and_then(|file| file.identity().ok());
                (path, mount.superblock_path().to_string_lossy().into_owned(), identity)
            }
        };
        let (device, inode) = identity.map_or((0, 0), |found| (found.device, found.inode));
        let range = |FileRange { offset, len }| v1::MediumRange { offset, length: len };
        let ranges = ranges.into_iter().map(range).collect();
        v1::PoolFile { index, path: path.to_string_lossy().into_owned(), ranges, superblock, device, inode }
    }

    /// Returns where a famfs file lies in the file or device that it is reached by.
    fn ranges(&self, len: u64, extents: &[(u64, u64)]) -> Vec<FileRange> {
        match self {
            Self::Whole { .. } => extents.iter().map(|&(offset, len)| FileRange { offset, len }).collect(),
            Self::Mounted { .. } => vec![FileRange { offset: 0, len }],
        }
    }
}

/// Opens a file of a mounted famfs anew: of the medium's own the one that it has open, and of others' what the path means.
fn open_again(media: &AssembledMedia, path: &Path) -> Result<File, AgentError> {
    match media.file(path) {
        Some(file) => Ok(file.reopen(Access::ReadOnly)?.into()),
        None => open_file(path),
    }
}

fn open_file(path: &Path) -> Result<File, AgentError> {
    File::open(path).map_err(|source| AgentError::Medium { path: path.to_owned(), source })
}
