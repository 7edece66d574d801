//! The memory below a store.

use std::fmt;

use crate::RegionError;

/// A piece of shared memory, addressed in bytes from 0.
///
/// Somebody else may write it at any time, so nothing here gives out a reference into it: bytes are
/// copied in and out. A copy is not one atomic step, but each aligned 8-byte word of it is read or
/// written whole. Every method fails with [`RegionError::OutOfBounds`] rather than reach past
/// [`len`](Media::len), and the ones that change something with [`RegionError::ReadOnly`] on a medium
/// that was opened to be read. In a process that survives the loss of memory
/// ([`survive_bus_errors`](crate::survive_bus_errors)) every method that reaches lost bytes fails with
/// [`RegionError::Lost`] or [`RegionError::Shrunk`], each time: what was read means nothing, and what was
/// written or stored is not on the medium.
pub trait Media: Send + Sync {
    /// Bytes there are.
    fn len(&self) -> u64;

    /// True if there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns what mappings of ranges begin and end on where another one is beside them, in bytes: the pages of the
    /// medium, a power of two.
    fn unit(&self) -> u64 {
        4096
    }

    /// Copies the bytes at `offset` into all of `out`.
    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<(), RegionError>;

    /// Copies `data` to `offset`.
    ///
    /// Other hosts may see none, some or all of it until [`persist`](Media::persist) returns.
    fn write_at(&self, offset: u64, data: &[u8]) -> Result<(), RegionError>;

    /// Loads the little-endian word at `offset`, a multiple of 8, in one access.
    ///
    /// What was stored before the [`store_u64`](Media::store_u64) of the value is seen by what is
    /// loaded after this (acquire).
    fn load_u64(&self, offset: u64) -> Result<u64, RegionError>;

    /// Stores `value` as a little-endian word at `offset`, a multiple of 8, in one access.
    ///
    /// Whoever loads it by [`load_u64`](Media::load_u64) sees what was stored before (release).
    fn store_u64(&self, offset: u64, value: u64) -> Result<(), RegionError>;

    /// Writes back the cache lines of `len` bytes at `offset` and waits for it: what was written there
    /// before is on the medium when this returns, and nothing written later gets there earlier.
    fn persist(&self, offset: u64, len: u64) -> Result<(), RegionError>;

    /// Drops the cache lines of `len` bytes at `offset`, so that later loads come from the medium.
    ///
    /// A line this host wrote and has not persisted is written back by it: only the bytes of other
    /// writers are to be refreshed.
    fn refresh(&self, offset: u64, len: u64) -> Result<(), RegionError>;

    /// The name of the medium in a message: its path, or "memory".
    fn describe(&self) -> String;
}

/// The access for which a medium is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reading; any number of processes at once.
    ReadOnly,
    /// Reading and writing; one process at a time.
    ReadWrite,
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReadOnly => "reading",
            Self::ReadWrite => "reading and writing",
        })
    }
}

/// The party that keeps the caches of the hosts that share a medium in step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Coherency {
    /// The hardware: one host, virtual machines on one host. Persist and refresh are fences.
    #[default]
    Coherent,
    /// farrow: memory that is not coherent between hosts. Persist and refresh work on cache lines.
    Software,
}

/// `offset` as an index, if `len` bytes from it lie within `size` bytes.
pub(crate) fn within(
    what: impl FnOnce() -> String,
    offset: u64,
    len: u64,
    size: u64,
) -> Result<usize, RegionError> {
    let inside = offset.checked_add(len).is_some_and(|end| end <= size);
    // What lies within memory has an index; the second test is for offsets of nothing, past any index.
    match usize::try_from(offset) {
        Ok(index) if inside => Ok(index),
        _ => Err(RegionError::OutOfBounds { what: what(), offset, len, size }),
    }
}

/// Refuses the offset of a word that is not aligned.
pub(crate) fn aligned(what: impl FnOnce() -> String, offset: u64) -> Result<(), RegionError> {
    if offset.is_multiple_of(8) {
        Ok(())
    } else {
        Err(RegionError::Unaligned { what: what(), offset, align: 8 })
    }
}

#[cfg(test)]
mod tests;
