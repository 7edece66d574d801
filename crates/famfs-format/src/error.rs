//! Errors of decoding, and of requests that cannot be met.

mod entry;
mod path;

use std::fmt;

pub use entry::EntryError;
pub use path::PathError;

use crate::geometry::{LOG_OFFSET, MIN_LOG_LEN, entry_offset};

/// The reasons why famfs bytes are refused, or why a request on the namespace cannot be met.
///
/// Offsets and lengths are bytes. Nothing of the value that failed is kept: what was valid before stays
/// usable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// Fewer bytes were given than the struct has.
    #[error("{structure}: {found} bytes given, {need} needed")]
    Truncated {
        /// The structure that was to be decoded.
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
        /// The structure that was to be decoded.
        structure: Structure,
        /// The magic of that struct.
        expected: u64,
        /// The number on the device.
        found: u64,
    },
    /// The magic number is there, its bytes the other way round.
    #[error(
        "{structure}: magic {found:#x} found, which is {expected:#x} in the byte order of another architecture; \
         farrow reads little-endian famfs only. Try: a region made on x86_64 or aarch64"
    )]
    ByteOrder {
        /// The structure that was to be decoded.
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
        /// The structure that was to be decoded.
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
        /// The place where the log ends.
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
        /// The fault.
        #[source]
        problem: EntryError,
    },
    /// An earlier entry was refused, and replay does not go beyond a bad entry.
    #[error(
        "replay stopped at log entry {index}, which is bad; what follows it is not read and no space is given out. \
         Try: `famfs fsck DEVICE` on the master host"
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

impl FormatError {
    /// True if it is of an entry that is sound, but for memory that an earlier file has too: replay passes over it.
    pub fn is_shared_extent(&self) -> bool {
        let problem = match self {
            Self::Entry { problem, .. } => problem,
            _ => return false,
        };
        matches!(problem, EntryError::Overlap { .. } | EntryError::OverlapPassedOver { .. })
    }
}

/// Checks whether a struct begins with its magic number, in the byte order of the format.
pub(crate) fn check_magic(structure: Structure, expected: u64, found: u64) -> Result<(), FormatError> {
    if found == expected {
        Ok(())
    } else if found == expected.swap_bytes() {
        Err(FormatError::ByteOrder { structure, expected, found })
    } else {
        Err(FormatError::Magic { structure, expected, found })
    }
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
