//! The log: a header and entries that are only ever appended.

mod entry;
mod file;
mod header;
mod map;

pub(crate) use entry::claimed_by_bytes;
pub use entry::{DaxdevEntry, EntryBody, LogEntry, MkdirEntry};
pub use file::{FILE_FLAGS, FileEntry};
pub use header::LogHeader;
pub use map::FileMap;
