//! Places and sizes on the device.

use std::fmt;

/// Bytes of the superblock struct at device offset 0.
pub const SUPERBLOCK_LEN: usize = 200;
/// Device offset of the log, in bytes. famfs stores it, but has never written another value.
pub const LOG_OFFSET: u64 = 0x20_0000;
/// The smallest log `mkfs.famfs` makes, in bytes; also its default.
pub const MIN_LOG_LEN: u64 = 8 << 20;
/// Bytes of the log header at [`LOG_OFFSET`].
pub const LOG_HEADER_LEN: usize = 48;
/// Bytes of one log entry.
pub const ENTRY_LEN: usize = 544;
/// File data is given out in units of this many bytes, aligned to as many.
pub const ALLOC_UNIT: u64 = 2 << 20;
/// Extents of a simple map, or strips of an interleaved one, that an entry has room for.
pub const MAX_EXTENTS: usize = 16;
/// Bytes of the path field of an entry; the path itself is at most one byte shorter, for the NUL.
pub const PATH_FIELD_LEN: usize = 80;

/// Device offset of log entry `index`, in bytes.
///
/// Saturates at `u64::MAX`, beyond the end of every medium, for an index that no log can hold.
pub fn entry_offset(index: u64) -> u64 {
    index.saturating_mul(ENTRY_LEN as u64).saturating_add(LOG_OFFSET + LOG_HEADER_LEN as u64)
}

/// A `ts_version` this crate reads and writes. The layouts of both are identical.
///
/// A famfs tool accepts exactly the one version it was built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FormatVersion {
    /// Version 47, OMF 2.1: famfs before commit 5d0919f.
    V47,
    /// Version 48, OMF 2.2: famfs from commit 5d0919f on; adds the ADD_DAXDEV log entry.
    V48,
}

impl FormatVersion {
    /// The value of `ts_version`.
    pub fn number(self) -> u64 {
        match self {
            Self::V47 => 47,
            Self::V48 => 48,
        }
    }

    /// Major and minor number of the on-media format that `mkfs.famfs` of this version records.
    pub fn omf(self) -> (u32, u32) {
        match self {
            Self::V47 => (2, 1),
            Self::V48 => (2, 2),
        }
    }

    pub(crate) fn from_numbers(version: u64, omf_major: u32) -> Option<Self> {
        // The major is part of the question: 47 with major 1 existed too, with entries of 368 bytes.
        match (version, omf_major) {
            (47, 2) => Some(Self::V47),
            (48, 2) => Some(Self::V48),
            _ => None,
        }
    }
}

impl fmt::Display for FormatVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, minor) = self.omf();
        write!(f, "{} (OMF {major}.{minor})", self.number())
    }
}

/// Bytes of the smallest device that `mkfs.famfs` takes (famfs commit 5d0919f). farrow makes smaller regions too.
pub const MIN_DEVICE_LEN: u64 = 4 << 30;
