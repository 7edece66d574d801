//! What can be wrong with the bytes, and what was asked for and cannot be had.

use std::fmt;

use crate::extent::Extent;
use crate::geometry::{
    ALLOC_UNIT, ENTRY_LEN, FormatVersion, LOG_OFFSET, MAX_EXTENTS, MIN_LOG_LEN, PATH_FIELD_LEN, entry_offset,
};
use crate::path::RelPath;

/// Why famfs bytes are refused, or why a request on the namespace cannot be met.
///
/// Offsets and lengths are bytes. Nothing of the value that failed is kept: what was valid before stays
/// usable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// Fewer bytes were given than the struct has.
    #[error("{structure}: {found} bytes given, {need} needed")]
    Truncated {
        /// What was to be decoded.
        structure: Structure,
        /// Bytes needed.
        need: usize,
        /// Bytes given.
        found: usize,
    },
    /// The struct does not begin with its magic number.
    #[error(
        "{structure}: magic {found:#x} found, {expected:#x} expected: no famfs file system here, or a damaged one"
    )]
    Magic {
        /// What was to be decoded.
        structure: Structure,
        /// The magic of that struct.
        expected: u64,
        /// The number on the device.
        found: u64,
    },
    /// The checksum does not match the bytes before it.
    #[error(
        "{structure}: crc {stored:#x} stored, {computed:#x} computed: the bytes are damaged or half written"
    )]
    Crc {
        /// What was to be decoded.
        structure: Structure,
        /// The stored 64-bit field; its upper half must be zero.
        stored: u64,
        /// The crc32 of the bytes on the device.
        computed: u32,
    },
    /// The superblock was written in a format this crate does not know.
    #[error(
        "superblock: famfs version {version} with OMF {omf_major}.{omf_minor} is not known; \
         47 with OMF 2 and 48 with OMF 2 are. Is there a newer farrow?"
    )]
    Version {
        /// `ts_version`.
        version: u64,
        /// `ts_omf_ver_major`.
        omf_major: u32,
        /// `ts_omf_ver_minor`.
        omf_minor: u32,
    },
    /// The log is not where every famfs puts it.
    #[error("superblock: log offset {found:#x}, only {LOG_OFFSET:#x} is known")]
    LogOffset {
        /// `ts_log_offset`.
        found: u64,
    },
    /// The log has a length that no famfs gives it.
    #[error("log length {found:#x} is not a power of two of at least {MIN_LOG_LEN:#x}")]
    LogLen {
        /// The length.
        found: u64,
    },
    /// The allocation unit is neither 2 MiB nor the 4096 that famfs accepts too.
    #[error("superblock: allocation unit {found:#x}, 0x200000 or 0x1000 expected")]
    AllocUnit {
        /// `ts_alloc_unit`.
        found: u64,
    },
    /// The device, as recorded, ends before its log does.
    #[error("superblock: device of {device_len:#x} bytes recorded, but its log ends at {data_offset:#x}")]
    DeviceLen {
        /// `dd_size`.
        device_len: u64,
        /// Where the log ends.
        data_offset: u64,
    },
    /// The medium is shorter than the device the superblock speaks of.
    #[error(
        "superblock: device of {device_len:#x} bytes recorded, the medium has {media_len:#x}: \
         is it the whole device?"
    )]
    MediaLen {
        /// `dd_size`.
        device_len: u64,
        /// Bytes of the medium.
        media_len: u64,
    },
    /// Superblock and log header disagree about the log's length.
    #[error("log header: log length {found:#x}, the superblock says {expected:#x}")]
    HeaderLen {
        /// By the superblock.
        expected: u64,
        /// By the log header.
        found: u64,
    },
    /// The capacity in the log header does not follow from the log's length.
    #[error("log header: last index {found}, a log of this length has {expected}")]
    LastIndex {
        /// By the log's length.
        expected: u64,
        /// By the log header.
        found: u64,
    },
    /// The log header's two counters, which always move together, differ.
    #[error(
        "log header: next sequence number {next_seqnum}, but next index {next_index}: an append is under way, or was interrupted"
    )]
    Counters {
        /// `next_seqnum`.
        next_seqnum: u64,
        /// `next_index`.
        next_index: u64,
    },
    /// The log header counts more entries than the log has room for.
    #[error("log header: next index {next_index}, the log has room for {capacity} entries")]
    NextIndex {
        /// `next_index`.
        next_index: u64,
        /// Entries the log has room for.
        capacity: u64,
    },
    /// No further entry fits into the log.
    #[error("famfs log full: all {capacity} entries are in use, and famfs never frees one")]
    LogFull {
        /// Entries the log has room for.
        capacity: u64,
    },
    /// A log entry is refused.
    #[error("log entry {index} at {:#x}: {problem}", entry_offset(*index))]
    Entry {
        /// Index of the entry, which is also the sequence number it must have.
        index: u64,
        /// What is wrong with it.
        #[source]
        problem: EntryError,
    },
    /// An earlier entry was refused, and replay does not go beyond a bad entry.
    #[error(
        "replay stopped at log entry {index}, which is bad; what follows it is not read and no space is given out. \
         Try: famfs fsck on the master host"
    )]
    Stopped {
        /// Index of the bad entry.
        index: u64,
    },
    /// A path is refused.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A file of no bytes was asked for, which famfs does not have.
    #[error("a famfs file has at least one byte, 0 asked for")]
    EmptyAllocation,
    /// No contiguous free range is long enough.
    #[error(
        "no room for a famfs file: need {need:#x} contiguous bytes, largest free range {largest_free:#x}, \
         {free:#x} free in all"
    )]
    NoSpace {
        /// Bytes asked for, rounded up to whole units where that is possible.
        need: u64,
        /// Bytes of the largest free range.
        largest_free: u64,
        /// Free bytes in all.
        free: u64,
    },
}

/// What is wrong with a log entry.
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
        /// Where the data area begins.
        data_offset: u64,
        /// Where the device ends.
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
        /// Which strip.
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

/// Why a path cannot stand in a famfs log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// No bytes before the first NUL.
    #[error("path is empty")]
    Empty,
    /// Too long for the field; the real tools cut such a path silently.
    #[error("path of {found} bytes, at most {} fit", PATH_FIELD_LEN - 1)]
    TooLong {
        /// Bytes of the path.
        found: usize,
    },
    /// Not UTF-8.
    #[error("path is not UTF-8 from byte {valid_up_to} on")]
    NotUtf8 {
        /// How many bytes before it are.
        valid_up_to: usize,
    },
    /// A NUL inside the path, which would end it on the device.
    #[error("path has a NUL at byte {at}")]
    Nul {
        /// Where.
        at: usize,
    },
    /// The path starts with a slash.
    #[error("path is absolute, but famfs paths are relative to the mount")]
    Absolute,
    /// An empty, `.` or `..` component.
    #[error("path has an empty, `.` or `..` component at byte {at}")]
    Component {
        /// Where the component begins.
        at: usize,
    },
}

/// A struct of the format, for error messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Structure {
    /// At device offset 0.
    Superblock,
    /// At the start of the log.
    LogHeader,
}

impl fmt::Display for Structure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Superblock => "superblock",
            Self::LogHeader => "log header",
        })
    }
}
