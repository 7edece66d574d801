//! Ranges of a medium, mapped to be written: what a reservation gives its writer.

use std::borrow::Borrow;
use std::io::{self, Write};
use std::os::fd::AsFd;

use crate::mapping::{FileRange, StitchedMapping};
use crate::media::{Access, Coherency, within};
use crate::{RegionError, cache};

/// Ranges of a medium side by side in memory, writable.
///
/// Meant for extents that are reserved and not published: they have no reader yet. Bytes are copied in,
/// by as many threads at once as there are (each byte by one of them, else the last one wins); no slice
/// of them is given out. The addresses begin as those of [`ReadMapping`](crate::ReadMapping); the mapping
/// is not inherited over fork, where it is an error to use it, and not written to core dumps.
#[derive(Debug)]
pub struct WriteMapping {
    mapping: StitchedMapping,
    coherency: Coherency,
}

impl WriteMapping {
    /// Maps `ranges` of the file or device `fd`, which must be open for reading and writing.
    ///
    /// # Errors
    ///
    /// As [`ReadMapping::map`](crate::ReadMapping::map), and [`Lost`](RegionError::Lost) if a page is lost
    /// already.
    pub fn map(fd: impl AsFd, ranges: &[FileRange]) -> Result<Self, RegionError> {
        let mapping = StitchedMapping::new(fd.as_fd(), ranges, Access::ReadWrite)?;
        Ok(Self { mapping, coherency: Coherency::default() })
    }

    /// Sets who keeps the hosts' caches in step; [`Coherent`](Coherency::Coherent) if nothing is said.
    #[must_use]
    pub fn with_coherency(self, coherency: Coherency) -> Self {
        Self { coherency, ..self }
    }

    /// Address of the first byte.
    pub fn addr(&self) -> usize {
        self.mapping.start().addr().get()
    }

    /// Bytes in all ranges.
    #[expect(clippy::len_without_is_empty, reason = "a mapping of no bytes cannot be made")]
    pub fn len(&self) -> usize {
        self.mapping.len()
    }

    /// Copies `data` to `offset`.
    ///
    /// # Errors
    ///
    /// [`OutOfBounds`](RegionError::OutOfBounds), [`NotInherited`](RegionError::NotInherited); then nothing is
    /// copied. [`Lost`](RegionError::Lost).
    pub fn write_at(&self, offset: usize, data: &[u8]) -> Result<(), RegionError> {
        self.check(offset, data.len())?;
        self.mapping.bytes().write(offset, data);
        self.mapping.check_intact(&(offset..offset + data.len()))
    }

    /// Sets `len` bytes at `offset` to zero.
    ///
    /// # Errors
    ///
    /// [`OutOfBounds`](RegionError::OutOfBounds); then nothing is changed. [`Lost`](RegionError::Lost).
    pub fn zero(&self, offset: usize, len: usize) -> Result<(), RegionError> {
        self.check(offset, len)?;
        self.mapping.bytes().zero(offset, len);
        self.mapping.check_intact(&(offset..offset + len))
    }

    /// Writes back the cache lines of `len` bytes at `offset`: they are on the medium before anything
    /// that is written after this.
    ///
    /// # Errors
    ///
    /// [`OutOfBounds`](RegionError::OutOfBounds), [`Lost`](RegionError::Lost).
    pub fn persist(&self, offset: usize, len: usize) -> Result<(), RegionError> {
        self.check(offset, len)?;
        cache::write_back(self.mapping.bytes().words(offset, len), self.coherency);
        self.mapping.check_intact(&(offset..offset + len))
    }

    /// A writer that begins with the first byte.
    pub fn writer(&self) -> MappingWriter<&Self> {
        MappingWriter { mapping: self, position: 0 }
    }

    /// The same, which keeps the mapping.
    pub fn into_writer(self) -> MappingWriter<Self> {
        MappingWriter { mapping: self, position: 0 }
    }

    fn check(&self, offset: usize, len: usize) -> Result<(), RegionError> {
        if !self.mapping.is_here() {
            return Err(RegionError::NotInherited { addr: self.addr(), process: std::process::id() });
        }
        let what = || format!("the mapping at {:#x}", self.addr());
        within(what, offset as u64, len as u64, self.len() as u64).map(drop)
    }
}

/// Writes to a [`WriteMapping`] from its beginning on.
///
/// What does not fit is an error of kind [`StorageFull`](io::ErrorKind::StorageFull) and is not written,
/// not even in part. Lost memory is one of kind [`Other`](io::ErrorKind::Other).
#[derive(Debug)]
pub struct MappingWriter<M> {
    mapping: M,
    position: usize,
}

impl<M: Borrow<WriteMapping>> MappingWriter<M> {
    /// Returns where it writes.
    pub fn mapping(&self) -> &WriteMapping {
        self.mapping.borrow()
    }

    /// Bytes written so far.
    pub fn position(&self) -> usize {
        self.position
    }
}

impl<M: Borrow<WriteMapping>> Write for MappingWriter<M> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.mapping().write_at(self.position, data).map_err(|error| match error {
            RegionError::OutOfBounds { .. } => io::Error::new(io::ErrorKind::StorageFull, error),
            lost => io::Error::other(lost),
        })?;
        self.position += data.len();
        Ok(data.len())
    }

    /// Does nothing: [`WriteMapping::persist`] is what brings bytes to the medium.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
