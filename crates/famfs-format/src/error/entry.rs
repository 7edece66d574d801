//! Faults of a log entry.

use crate::error::{FormatError, PathError};
use crate::extent::Extent;
use crate::geometry::{ALLOC_UNIT, ENTRY_LEN, FormatVersion, MAX_EXTENTS};
use crate::path::RelPath;

/// A fault of a log entry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EntryError {
    /// Fewer bytes were given than an entry has.
    #[error("{found} bytes given, {ENTRY_LEN} needed")]
    Truncated {
        /// Bytes given.
        found: usize,
    },
    /// The checksum does not match; so it is too where an entry was never written.
    #[error("crc {stored:#x} stored, {computed:#x} computed: never written, half written or damaged")]
    Crc {
        /// The stored 64-bit field; its upper half must be zero.
        stored: u64,
        /// The crc32 of the bytes on the device.
        computed: u32,
    },
    /// The sequence number is not the entry's index.
    #[error("sequence number {found}, {expected} expected")]
    Seqnum {
        /// In the entry.
        found: u64,
        /// Its index.
        expected: u64,
    },
    /// The entry's type is not one that this version gives a meaning.
    #[error("type {found} has no meaning in famfs version {version}")]
    Type {
        /// In the entry.
        found: u32,
        /// By the superblock.
        version: FormatVersion,
    },
    /// A byte that must be zero is not.
    #[error("byte {offset} is {found:#x}, but unused and must be zero")]
    Padding {
        /// Offset from the entry's start.
        offset: usize,
        /// The byte there.
        found: u8,
    },
    /// The path is refused.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The file has no bytes.
    #[error("file size 0")]
    EmptyFile,
    /// Neither simple nor interleaved.
    #[error("extent type {found}, 0 or 1 expected")]
    ExtentType {
        /// `fmap_ext_type`.
        found: u32,
    },
    /// No extents, or more than an entry holds.
    #[error("{found} extents, 1 to {MAX_EXTENTS} expected")]
    ExtentCount {
        /// `fmap_nextents`.
        found: u64,
    },
    /// Not exactly one interleaved extent.
    #[error("{found} interleaved extents, exactly 1 expected")]
    InterleaveCount {
        /// `fmap_niext`.
        found: u32,
    },
    /// No strips, or more than an entry holds.
    #[error("{found} strips, 1 to {MAX_EXTENTS} expected")]
    StripCount {
        /// `ie_nstrips`.
        found: u64,
    },
    /// The chunk size is not a power of two of at least one allocation unit.
    #[error("chunk size {found:#x} is not a power of two of at least {ALLOC_UNIT:#x}")]
    ChunkSize {
        /// `ie_chunk_size`.
        found: u64,
    },
    /// The extent is on another device than the primary one.
    #[error("extent on device {dev_index}, only device 0 exists in this version")]
    Device {
        /// `se_devindex`.
        dev_index: u64,
    },
    /// Offset or length are not in whole allocation units.
    #[error("extent {extent} is not in units of {ALLOC_UNIT:#x}")]
    Alignment {
        /// The extent.
        extent: Extent,
    },
    /// The extent has no length, or one that wraps around.
    #[error("extent {extent} has no usable length")]
    ExtentLen {
        /// The extent.
        extent: Extent,
    },
    /// The extent reaches into superblock or log, or past the device's end.
    #[error("extent {extent} is not inside the data area, {data_offset:#x} to {device_len:#x}")]
    Bounds {
        /// The extent.
        extent: Extent,
        /// The place where the data area begins.
        data_offset: u64,
        /// The place where the device ends.
        device_len: u64,
    },
    /// Two extents of one file share bytes.
    #[error("extent {extent} overlaps {other} of the same file")]
    OverlapsItself {
        /// The extent.
        extent: Extent,
        /// The other extent.
        other: Extent,
    },
    /// The extent shares bytes with another file.
    #[error("extent {extent} overlaps {other} of {path}")]
    Overlap {
        /// The extent.
        extent: Extent,
        /// The extent of the other file.
        other: Extent,
        /// The other file.
        path: RelPath,
    },
    /// The extent shares bytes with a file that was itself passed over because it shares bytes with another.
    #[error("extent {extent} overlaps a file that was passed over")]
    OverlapPassedOver {
        /// The extent.
        extent: Extent,
    },
    /// The file is larger than its extents.
    #[error("file size {size:#x}, but its extents have {mapped:#x} bytes")]
    Size {
        /// `fm_size`.
        size: u64,
        /// Bytes of all extents.
        mapped: u64,
    },
    /// A strip is too short for the file's size.
    #[error("file size {size:#x} needs {need:#x} bytes of strip {strip}, which has {len:#x}")]
    StripLen {
        /// `fm_size`.
        size: u64,
        /// The strip.
        strip: usize,
        /// Bytes it must have.
        need: u64,
        /// Bytes it has.
        len: u64,
    },
    /// A file or directory of this path exists.
    #[error("{path} exists already")]
    Exists {
        /// The path.
        path: RelPath,
    },
    /// No earlier entry makes the directory.
    #[error("{path} is to be made in {parent}, of which there is no MKDIR entry")]
    NoParent {
        /// The path.
        path: RelPath,
        /// Its parent.
        parent: RelPath,
    },
    /// The parent is a file.
    #[error("{path} is to be made in {parent}, which is a file")]
    ParentIsFile {
        /// The path.
        path: RelPath,
        /// Its parent.
        parent: RelPath,
    },
}

impl EntryError {
    /// This problem, as that of log entry `index`.
    pub(crate) fn at(self, index: u64) -> FormatError {
        FormatError::Entry { index, problem: self }
    }
}
