//! The medium that a path of the command line leads to: a file, a device, or a mounted famfs.

use std::ops::Deref;
use std::path::Path;

use farrow_region::{Access, AssembledMedia, FileMedia, Media, PageUse, RegionError};
use farrow_store::Mount;

/// A medium that is open to be read.
pub(crate) enum Medium {
    Whole(FileMedia),
    Mounted(AssembledMedia),
}

impl Medium {
    /// Opens the region or famfs image at `path`.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        Ok(match Mount::find(path)? {
            Some(mount) => Self::Mounted(mount.media(Access::ReadOnly)?),
            None => Self::Whole(FileMedia::open(path, Access::ReadOnly)?),
        })
    }

    /// Opens what has superblock and log of a region or famfs image.
    pub(crate) fn open_log(path: &Path) -> anyhow::Result<Self> {
        Ok(match Mount::find(path)? {
            Some(mount) => Self::Mounted(mount.log()?),
            None => Self::Whole(FileMedia::open(path, Access::ReadOnly)?),
        })
    }

    /// Returns what it is, for people.
    pub(crate) fn kind(&self) -> String {
        match self {
            Self::Whole(media) => media.kind().to_string(),
            Self::Mounted(_) => "a mounted famfs".to_owned(),
        }
    }

    /// By which pages it is mapped.
    pub(crate) fn page_use(&self) -> Result<PageUse, RegionError> {
        match self {
            Self::Whole(media) => media.page_use(),
            Self::Mounted(media) => media.page_use(),
        }
    }
}

impl Deref for Medium {
    type Target = dyn Media;

    fn deref(&self) -> &Self::Target {
        match self {
            Self::Whole(media) => media,
            Self::Mounted(media) => media,
        }
    }
}
