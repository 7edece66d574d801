//! Checks that a medium still has the file system that was opened.
//!
//! famfs's tools take no lock that an agent could hold against them: `mkfs.famfs -f` makes another file system of a
//! device, and `mkfs.famfs -k -f` ends the one that is there, whoever serves it (commit 5d0919f). Both begin with the
//! superblock, which nobody else ever writes.

use std::fmt;

use famfs_format::{FormatError, LogHeader, Superblock};
use farrow_region::Media;
use uuid::Uuid;

use crate::error::{Result, StoreError};
use crate::volume::read_superblock;

/// The sign by which a medium shows that its file system is not the one that was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replacement {
    /// There is no superblock any more, or none that can be read: `mkfs.famfs -k` leaves it like that.
    NoSuperblock(FormatError),
    /// The superblock is another file system's.
    Other(Uuid),
    /// The famfs log, which only grows, has fewer entries than it had.
    LogBegunAnew {
        /// Entries that it counts.
        entries: u64,
        /// Entries that were read of it.
        had: u64,
    },
}

impl fmt::Display for Replacement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuperblock(fault) => write!(f, "its superblock cannot be read any more ({fault})"),
            Self::Other(region) => write!(f, "its superblock is that of {region} now"),
            Self::LogBegunAnew { entries, had } => {
                write!(f, "its famfs log counts {entries} entries and had {had}, and a log only grows")
            }
        }
    }
}

/// Refuses a medium whose superblock is not the one that was `opened`.
///
/// # Errors
/// [`StoreError::Replaced`]; what the medium says.
pub(crate) fn check_superblock(media: &dyn Media, opened: &Superblock) -> Result<()> {
    match read_superblock(media) {
        Ok(found) if found.uuid == opened.uuid => Ok(()),
        Ok(found) => Err(replaced(media, opened, Replacement::Other(found.uuid))),
        Err(StoreError::Famfs(fault)) => Err(replaced(media, opened, Replacement::NoSuperblock(fault))),
        Err(error) => Err(error),
    }
}

/// Refuses a log that counts fewer entries than were read of it before.
///
/// # Errors
/// [`StoreError::Replaced`].
pub(crate) fn check_log(
    media: &dyn Media,
    opened: &Superblock,
    before: &LogHeader,
    now: &LogHeader,
) -> Result<()> {
    let (entries, had) = (now.next_index(), before.next_index());
    if entries >= had {
        return Ok(());
    }
    Err(replaced(media, opened, Replacement::LogBegunAnew { entries, had }))
}

fn replaced(media: &dyn Media, opened: &Superblock, found: Replacement) -> StoreError {
    StoreError::Replaced { place: media.describe(), region: opened.uuid, found }
}
