//! What a path on the command line leads to: a file, a device, or a mounted famfs.

use std::path::Path;

use farrow_region::{Access, FileMedia, Media};
use farrow_store::Mount;

/// Opens the region or famfs image at `path`, to be read.
pub(crate) fn open(path: &Path) -> anyhow::Result<Box<dyn Media>> {
    Ok(match Mount::find(path)? {
        Some(mount) => Box::new(mount.media(Access::ReadOnly)?),
        None => Box::new(FileMedia::open(path, Access::ReadOnly)?),
    })
}

/// Opens what has superblock and log of a region or famfs image, to be read.
pub(crate) fn open_log(path: &Path) -> anyhow::Result<Box<dyn Media>> {
    Ok(match Mount::find(path)? {
        Some(mount) => Box::new(mount.log()?),
        None => Box::new(FileMedia::open(path, Access::ReadOnly)?),
    })
}
