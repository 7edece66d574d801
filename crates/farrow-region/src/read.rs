//! Ranges of a medium, mapped to be read.

use std::os::fd::AsFd;
use std::sync::Arc;

use crate::family::Family;
use crate::mapping::{FileRange, StitchedMapping};
use crate::media::{Access, Coherency, within};
use crate::sealed::SealedBytes;
use crate::{RegionError, cache};

/// Ranges of a medium side by side in memory, read-only.
///
/// The addresses begin on a multiple of 2 MiB; or as far past one as the first range begins past a page
/// of the medium, where that has larger pages than the machine. The mapping is not written to core dumps, inherited over
/// fork only [within a family](Self::map_within), and gone when the last reference to it is dropped.
#[derive(Debug)]
pub struct ReadMapping {
    mapping: StitchedMapping,
}

impl ReadMapping {
    /// Maps `ranges` of the file or device `fd`, which needs to be open for reading only.
    ///
    /// # Errors
    ///
    /// [`NothingToMap`](RegionError::NothingToMap), [`RangeUnaligned`](RegionError::RangeUnaligned),
    /// [`RangePastEnd`](RegionError::RangePastEnd) if the medium is shorter than a range reaches,
    /// [`NotAFile`](RegionError::NotAFile), [`Sysfs`](RegionError::Sysfs), [`Io`](RegionError::Io).
    pub fn map(fd: impl AsFd, ranges: &[FileRange]) -> Result<Arc<Self>, RegionError> {
        Ok(Arc::new(Self { mapping: StitchedMapping::new(fd.as_fd(), ranges, Access::ReadOnly)? }))
    }

    /// Does what [`map`](Self::map) does; and where the family has a page when this process forks, the child has the
    /// mapping, too. Without a page, and where the kernel refuses (of a PCI BAR, always), the child has nothing at
    /// these addresses: see [`is_here`](Self::is_here).
    ///
    /// # Errors
    ///
    /// As [`map`](Self::map).
    pub fn map_within(
        family: &Arc<Family>,
        fd: impl AsFd,
        ranges: &[FileRange],
    ) -> Result<Arc<Self>, RegionError> {
        let mut mapping = StitchedMapping::new(fd.as_fd(), ranges, Access::ReadOnly)?;
        mapping.join(family);
        Ok(Arc::new(Self { mapping }))
    }

    /// True if this process has the bytes mapped: it made the mapping, or has inherited it. A child that has not reads none
    /// of them; touching them ends it by a signal.
    pub fn is_here(&self) -> bool {
        self.mapping.is_here()
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

    /// Bytes in a page of the medium, as the crate's documentation lists them: what is mapped, and lost, as one.
    pub fn page_size(&self) -> usize {
        self.mapping.unit()
    }

    /// Copies the bytes at `offset` into all of `out`, sealed or not: the way to look into a device, which
    /// has no read(2).
    ///
    /// # Errors
    ///
    /// [`OutOfBounds`](RegionError::OutOfBounds); then nothing is copied. [`Lost`](RegionError::Lost); then
    /// what is in `out` means nothing.
    pub fn read_at(&self, offset: usize, out: &mut [u8]) -> Result<(), RegionError> {
        self.check(offset, out.len())?;
        self.mapping.bytes().read(offset, out);
        self.mapping.check_intact(&(offset..offset + out.len()))
    }

    /// Asks the kernel for `len` bytes at `offset` to be there, which faults them in: to be called before
    /// sealed bytes are read, since what is lost already is an error then and not a signal.
    ///
    /// One system call, which takes about 0.3 us for each page, there already or not. Kernels before 5.14 cannot be
    /// asked, and a PCI BAR cannot: only what is known to be lost is an error then.
    ///
    /// # Errors
    ///
    /// [`Lost`](RegionError::Lost), [`OutOfBounds`](RegionError::OutOfBounds), [`Io`](RegionError::Io).
    pub fn check_readable(&self, offset: usize, len: usize) -> Result<(), RegionError> {
        self.check(offset, len)?;
        self.mapping.check_readable(&(offset..offset + len))
    }

    /// Checks whether `len` bytes at `offset` were the medium's own when they were read: to be called after sealed
    /// bytes have been read, by programs that survive the loss of memory
    /// ([`survive_bus_errors`](crate::survive_bus_errors)). A load where nothing is lost.
    ///
    /// # Errors
    ///
    /// [`Lost`](RegionError::Lost): some may have been zeros that the medium does not have. For as long as
    /// the mapping lives. [`OutOfBounds`](RegionError::OutOfBounds).
    pub fn check_intact(&self, offset: usize, len: usize) -> Result<(), RegionError> {
        self.check(offset, len)?;
        self.mapping.check_intact(&(offset..offset + len))
    }

    /// Drops the cache lines of `len` bytes at `offset`, so that later reads come from the medium.
    ///
    /// # Errors
    ///
    /// [`OutOfBounds`](RegionError::OutOfBounds), [`Lost`](RegionError::Lost).
    pub fn refresh(&self, offset: usize, len: usize, coherency: Coherency) -> Result<(), RegionError> {
        self.check(offset, len)?;
        cache::invalidate(self.mapping.bytes().words(offset, len), coherency);
        self.mapping.check_intact(&(offset..offset + len))
    }

    /// `len` bytes at `offset` as a slice that keeps this mapping, and `holder`, alive.
    ///
    /// # Obligation
    ///
    /// From now until `holder` is dropped nobody, on any host, may write these bytes: they belong to a
    /// published version, which is never changed, and `holder` is a lease on it, which keeps its extents
    /// from being given out again. This is a duty of the protocol between agents and applications and
    /// not of memory safety as the compiler knows it (any process with the right to write the file could
    /// break it), so the function is safe to call; but on it rests that a `&[u8]` into the mapping may
    /// exist at all. Bytes that are not sealed are to be copied through [`Media`](crate::Media).
    ///
    /// One kind of bytes is mapped without that promise: an Arrow file that another program put into famfs.
    /// Whoever may write it can make its readers see wrong values, or crash them; they have been told
    /// (`proto/README.md`), validate what they find, and answer for their own process only. An agent, which
    /// serves others, copies such bytes.
    ///
    /// # Errors
    ///
    /// [`OutOfBounds`](RegionError::OutOfBounds); `holder` is dropped.
    pub fn sealed<H: Send + Sync + 'static>(
        self: &Arc<Self>,
        offset: usize,
        len: usize,
        holder: H,
    ) -> Result<SealedBytes, RegionError> {
        self.check(offset, len)?;
        Ok(SealedBytes::new(Arc::clone(self), offset..offset + len, Box::new(holder)))
    }

    /// Puts the page around `offset` on record as poisoned, for tests on machines that cannot poison one. What is
    /// there stays.
    ///
    /// # Errors
    ///
    /// [`OutOfBounds`](RegionError::OutOfBounds).
    #[cfg(any(test, feature = "testing"))]
    pub fn lose(&self, offset: usize) -> Result<(), RegionError> {
        self.check(offset, 1)?;
        self.mapping.lose(offset);
        Ok(())
    }

    pub(crate) fn mapping(&self) -> &StitchedMapping {
        &self.mapping
    }

    fn check(&self, offset: usize, len: usize) -> Result<(), RegionError> {
        let what = || format!("the mapping at {:#x}", self.addr());
        within(what, offset as u64, len as u64, self.len() as u64).map(drop)
    }
}

#[cfg(test)]
mod tests;
