//! The region's memory as processes of this host reach it: one file or device, or the files of a mounted famfs.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use farrow_proto::v1;
use farrow_region::{Access, AssembledMedia, FileMedia, FileRange, Media, PageUse, ReadMapping};
use farrow_store::{Extent, Mount, PoolFile, Store};

use crate::error::AgentError;

/// What a region lies in.
pub(crate) enum Medium {
    /// One file or device that holds everything.
    Whole {
        media: Arc<FileMedia>,
        /// As clients on this host open it.
        path: PathBuf,
        file: File,
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
        let file = open_file(&path)?;
        Ok(Self::Whole { media, path, file })
    }

    /// What the store works on.
    pub(crate) fn media(&self) -> Arc<dyn Media> {
        match self {
            Self::Whole { media, .. } => media.clone(),
            Self::Mounted { media, .. } => media.clone(),
        }
    }

    /// Whether every file is still as long as it was; one can be cut off under its mappings.
    pub(crate) fn check_len(&self) -> Result<(), AgentError> {
        match self {
            Self::Whole { media, .. } => Ok(media.check_len()?),
            Self::Mounted { media, .. } => Ok(media.check_len()?),
        }
    }

    /// Whether nothing was lost of `len` bytes at `offset`.
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

    /// Maps all of a pool file, read-only.
    pub(crate) fn map_pool(&self, pool: &PoolFile) -> Result<Arc<ReadMapping>, AgentError> {
        let ranges = self.ranges(pool);
        match self {
            Self::Whole { file, .. } => Ok(ReadMapping::map(file, &ranges)?),
            Self::Mounted { mount, .. } => {
                Ok(ReadMapping::map(open_file(&mount.path_of(&pool.path))?, &ranges)?)
            }
        }
    }

    /// Maps extents of the store's pools side by side, read-only.
    pub(crate) fn map(&self, store: &Store, extents: &[Extent]) -> Result<Arc<ReadMapping>, AgentError> {
        // Also whether they are within their pools.
        let on_medium = store.media_ranges(extents)?;
        match self {
            Self::Whole { file, .. } => {
                let ranges: Vec<_> =
                    on_medium.into_iter().map(|(offset, len)| FileRange { offset, len }).collect();
                Ok(ReadMapping::map(file, &ranges)?)
            }
            Self::Mounted { mount, .. } => {
                let index = extents.first().map(|extent| extent.pool);
                let pool = store.pools().iter().find(|pool| Some(pool.index) == index);
                let Some(pool) = pool.filter(|pool| extents.iter().all(|extent| extent.pool == pool.index))
                else {
                    return Err(AgentError::SeveralFiles { extents: extents.len() });
                };
                let ranges: Vec<_> =
                    extents.iter().map(|&Extent { offset, len, .. }| FileRange { offset, len }).collect();
                Ok(ReadMapping::map(open_file(&mount.path_of(&pool.path))?, &ranges)?)
            }
        }
    }

    /// Where a client of this host finds a pool file.
    pub(crate) fn pool_file(&self, pool: &PoolFile) -> v1::PoolFile {
        let (path, superblock) = match self {
            Self::Whole { path, .. } => (path.clone(), String::new()),
            Self::Mounted { mount, .. } => {
                let superblock = mount.superblock_path();
                (mount.path_of(&pool.path), superblock.to_string_lossy().into_owned())
            }
        };
        let ranges = self.ranges(pool).into_iter();
        v1::PoolFile {
            index: pool.index,
            path: path.to_string_lossy().into_owned(),
            ranges: ranges.map(|FileRange { offset, len }| v1::MediumRange { offset, length: len }).collect(),
            superblock,
        }
    }

    /// Where a pool file lies in the file that it is reached by.
    fn ranges(&self, pool: &PoolFile) -> Vec<FileRange> {
        match self {
            Self::Whole { .. } => {
                pool.extents.iter().map(|&(offset, len)| FileRange { offset, len }).collect()
            }
            Self::Mounted { .. } => vec![FileRange { offset: 0, len: pool.len }],
        }
    }
}

fn open_file(path: &Path) -> Result<File, AgentError> {
    File::open(path).map_err(|source| AgentError::Medium { path: path.to_owned(), source })
}
