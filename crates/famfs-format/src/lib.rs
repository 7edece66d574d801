#![doc = include_str!("../FORMAT.md")]
#![forbid(unsafe_code)]

mod error;
mod extent;
mod free_space;
mod geometry;
mod log;
mod namespace;
mod path;
mod raw;
mod superblock;

pub use error::{EntryError, FormatError, PathError, Structure};
pub use extent::Extent;
pub use geometry::{
    ALLOC_UNIT, ENTRY_LEN, FormatVersion, LOG_HEADER_LEN, LOG_OFFSET, MAX_EXTENTS, MIN_DEVICE_LEN,
    MIN_LOG_LEN, PATH_FIELD_LEN, SUPERBLOCK_LEN, entry_offset,
};
pub use log::{DaxdevEntry, EntryBody, FILE_FLAGS, FileEntry, FileMap, LogEntry, LogHeader, MkdirEntry};
pub use namespace::Namespace;
pub use path::RelPath;
pub use raw::{
    RawDaxdev, RawEntry, RawExtent, RawFile, RawInterleavedMap, RawLogHeader, RawMkdir, RawSimpleMap,
    RawSuperblock,
};
pub use superblock::Superblock;
