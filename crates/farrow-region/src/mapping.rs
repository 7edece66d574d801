//! Mappings: addresses for the bytes of a file.
//!
//! Two kinds. [`WholeMapping`] is all of a file, wherever the kernel puts it. [`StitchedMapping`] is
//! several ranges of a file side by side in one piece of address space. Both give out their bytes as
//! [`SharedBytes`] and nothing else; `sealed.rs` alone turns some of them into a slice. Both are on record
//! in `losses.rs` while they last, which is where it stands if the memory below them goes away.
#![expect(unsafe_code, reason = "mmap and munmap")]

use std::ffi::c_void;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::ptr::NonNull;
use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use memmap2::{Advice, MmapOptions, MmapRaw};
use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags};

use crate::RegionError;
use crate::family::{Family, Member};
#[cfg(any(test, feature = "testing"))]
use crate::losses::LossCause;
use crate::losses::{Loss, Recorded};
use crate::media::Access;
use crate::medium::{Medium, SYSFS, describe};
use crate::shared::SharedBytes;

mod intact;

/// The alignment of stitched mappings: the size of a huge page on x86_64 and of a famfs allocation unit, so
/// that an extent on a 2 MiB boundary can be mapped by huge pages.
pub(crate) const HUGE_PAGE: usize = 2 << 20;

/// Bytes of a file: `len` of them from `offset` on.
///
/// To be mapped, a range begins on a page of 4096 bytes (or what the medium's own pages are: 2 MiB on
/// hugetlbfs and device-dax) and, unless it is the last of its mapping, ends on one. The first range may
/// begin on any page of the machine, also within a larger one of the medium: what lies before it there
/// is mapped too, and not part of the mapping's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileRange {
    /// The first byte, counted from the beginning of the file.
    pub offset: u64,
    /// Number of bytes.
    pub len: u64,
}

/// All of a file, shared.
pub(crate) struct WholeMapping {
    // Off the record before it is unmapped.
    losses: Recorded,
    map: MmapRaw,
}

impl WholeMapping {
    /// Maps `len` bytes (not 0) of `file`, which must have as many: what is mapped of a device past its
    /// end faults later. Its pages have `unit` bytes. The mapping is not inherited over fork and not
    /// written to core dumps.
    pub(crate) fn new(file: &File, len: usize, unit: usize, access: Access) -> io::Result<Self> {
        let mut options = MmapOptions::new();
        options.len(len);
        let map = match access {
            Access::ReadOnly => options.map_raw_read_only(file),
            Access::ReadWrite => options.map_raw(file),
        }?;
        map.advise(Advice::DontFork)?;
        map.advise(Advice::DontDump)?;
        // A wish: file systems without huge pages refuse it.
        let _ = map.advise(Advice::HugePage);
        let start = map.as_ptr().addr();
        let losses = Recorded::new(start..start + len.next_multiple_of(unit), unit, access);
        Ok(Self { losses, map })
    }

    /// Faults every page in, writable, without changing a byte.
    pub(crate) fn populate(&self) -> io::Result<()> {
        match self.map.advise(Advice::PopulateWrite) {
            // Kernels before 5.14 do not know it.
            Err(e) if e.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => {
                self.touch();
                match self.lost(&(0..self.map.len())) {
                    None => Ok(()),
                    Some(_) => Err(Errno::FAULT.into()),
                }
            }
            result => result,
        }
    }

    /// Does what [`populate`](Self::populate) does, by hand: writes something, namely what is there, to every
    /// page.
    pub(crate) fn touch(&self) {
        self.bytes().touch(rustix::param::page_size());
    }

    /// The first loss within `range`, known once its bytes have been touched.
    pub(crate) fn lost(&self, range: &Range<usize>) -> Option<Loss> {
        self.losses.lost(range)
    }

    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn lose(&self, offset: usize) {
        self.losses.record(offset, LossCause::Poisoned);
    }

    /// Returns where the bytes are.
    pub(crate) fn addresses(&self) -> Range<usize> {
        let start = self.map.as_ptr().addr();
        start..start + self.map.len()
    }

    pub(crate) fn bytes(&self) -> SharedBytes<'_> {
        let words = self.map.len().div_ceil(size_of::<AtomicU64>());
        // SAFETY: the pointer is the start of a mapping, so aligned to a page and not null. The mapping
        // is readable and lives as long as `self`, which the result borrows. It consists of whole pages,
        // so the last word is inside it even where `len` ends within that word. AtomicU64 has no invalid
        // value. Others may write the bytes meanwhile: the words' UnsafeCell allows that, and all accesses
        // of ours are atomic. A store to a mapping of an `Access::ReadOnly` medium would fault; `FileMedia`
        // refuses it.
        let words = unsafe { slice::from_raw_parts(self.map.as_mut_ptr().cast(), words) };
        SharedBytes::new(words)
    }
}

/// Ranges of a file side by side, shared, in one piece of address space aligned to 2 MiB.
#[derive(Debug)]
pub(crate) struct StitchedMapping {
    // Off the records before it is unmapped.
    losses: Recorded,
    member: Option<Member>,
    reservation: Reservation,
    /// The medium, for messages.
    what: String,
    ranges: Vec<FileRange>,
    /// Bytes before the first range, in whole pages of the machine: what its page of the medium begins
    /// with.
    before: usize,
    len: usize,
}

impl StitchedMapping {
    /// Maps `ranges` of `fd`, a medium at least as long as they reach.
    pub(crate) fn new(fd: BorrowedFd<'_>, ranges: &[FileRange], access: Access) -> Result<Self, RegionError> {
        let what = describe(fd);
        let medium = Medium::of(fd, what.clone(), Path::new(SYSFS))?;
        Self::of_medium(fd, what, medium, ranges, access)
    }

    /// Does what [`new`](Self::new) does, once it is known what `fd` is.
    fn of_medium(
        fd: BorrowedFd<'_>,
        what: String,
        medium: Medium,
        ranges: &[FileRange],
        access: Access,
    ) -> Result<Self, RegionError> {
        let io_error = |action| {
            let what = &what;
            move |e: Errno| RegionError::Io { action, what: what.clone(), source: e.into() }
        };
        let Medium { unit, len: medium_len, .. } = medium;
        let Checked { before, len } = check(ranges, unit, || what.clone(), medium_len)?;

        let reserved = (before + len).next_multiple_of(unit);
        let reservation =
            Reservation::new(reserved, unit.max(HUGE_PAGE)).map_err(io_error("reserve addresses for"))?;
        let mut at = 0;
        for range in ranges {
            // Only the first one begins within a page.
            let within = range.offset % unit as u64;
            let pages = FileRange { offset: range.offset - within, len: range.len + within };
            at += reservation.place(at, fd, pages, unit, access).map_err(io_error("map"))?;
        }
        // Only now: a mapping takes no flags over from the addresses it is placed on. A child forked by
        // another thread in between has the mapping too.
        reservation
            .advise(rustix::mm::Advice::LinuxDontFork)
            .map_err(io_error("keep from children the mapping of"))?;
        reservation
            .advise(rustix::mm::Advice::LinuxDontDump)
            .map_err(io_error("keep from core dumps the mapping of"))?;
        // A wish: file systems without huge pages refuse it.
        let _ = reservation.advise(rustix::mm::Advice::LinuxHugepage);
        let start = reservation.start.addr().get();
        let losses = Recorded::new(start..start + reservation.len, unit, access);
        let mapping = Self { losses, member: None, reservation, what, ranges: ranges.to_vec(), before, len };
        if access == Access::ReadWrite {
            // All of it is about to be written; one call is several times faster than a fault for every page.
            // A wish too, before Linux 5.14 the faults come one by one; but a page that is not there, or is
            // poisoned, is better known now.
            let populated = mapping.reservation.advise(populate_to_write(fd));
            if matches!(populated, Err(Errno::FAULT | Errno::HWPOISON)) {
                mapping.check_readable(&(0..len))?;
            }
        }
        Ok(mapping)
    }

    /// Lets it be inherited by those whom the family's page counts. It is one to be read, and new.
    pub(crate) fn join(&mut self, family: &Arc<Family>) {
        let start = self.reservation.start.addr().get();
        let addresses = start..start + self.reservation.len;
        self.member = Some(Member::new(addresses, self.reservation.process.clone(), family.clone()));
    }

    /// True if it is mapped in this process.
    pub(crate) fn is_here(&self) -> bool {
        self.reservation.is_here()
    }

    /// Bytes in a page of the medium.
    pub(crate) fn unit(&self) -> usize {
        self.losses.unit()
    }

    /// Bytes of all ranges together.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn start(&self) -> NonNull<u8> {
        // SAFETY: `before` bytes and then `len` (not 0) lie within the reservation, so the result does.
        unsafe { self.reservation.start.byte_add(self.before) }.cast()
    }

    pub(crate) fn bytes(&self) -> SharedBytes<'_> {
        let words = self.len.div_ceil(size_of::<AtomicU64>());
        // SAFETY: `start` is on a page of the machine, since the reservation and `before` are, is not null
        // and lives as long as `self`, which the result borrows. `of_medium` has placed a readable mapping
        // over every page of the reservation's first `before` + `len` bytes, and pages are whole words. AtomicU64 has no invalid value. Others may write the bytes
        // meanwhile: the words' UnsafeCell allows that, and all accesses of ours are atomic.
        // `ReadMapping`, whose pages are not writable, stores nothing.
        let words = unsafe { slice::from_raw_parts(self.start().as_ptr().cast(), words) };
        SharedBytes::new(words)
    }
}

/// Returns how pages that are there already are best faulted in to be written.
///
/// A page that is read the kernel maps together with those around it, one that is written by itself. In a tmpfs, which
/// need not be told of the first store, pages that were faulted in to be read can be written as well: 1 GiB of pages of
/// 4 KiB took 0.09 s of the kernel's time like this, and 0.21 s faulted in to be written.
fn populate_to_write(fd: BorrowedFd<'_>) -> rustix::mm::Advice {
    /// include/uapi/linux/magic.h
    const TMPFS_MAGIC: rustix::fs::FsWord = 0x0102_1994;
    match rustix::fs::fstatfs(fd) {
        Ok(found) if found.f_type == TMPFS_MAGIC => rustix::mm::Advice::LinuxPopulateRead,
        _ => rustix::mm::Advice::LinuxPopulateWrite,
    }
}

/// Addresses of our own: at first without memory, so that nothing else is placed there.
#[derive(Debug)]
struct Reservation {
    start: NonNull<c_void>,
    len: usize,
    /// The process that has it. A forked child inherits this value, but what is mapped only if it becomes the child's
    /// (see `family.rs`).
    process: Arc<AtomicU32>,
}

// SAFETY: a reservation is a number of addresses that belong to nobody else; munmap, its only use of
// them without `SharedBytes`, may be called from any thread.
unsafe impl Send for Reservation {}
// SAFETY: as Send; a shared reference tells addresses and length and changes neither.
unsafe impl Sync for Reservation {}

impl Reservation {
    /// Reserves `len` bytes, a multiple of the page size, beginning on a multiple of `align`, a power of
    /// two and a multiple of the page size.
    fn new(len: usize, align: usize) -> rustix::io::Result<Self> {
        let padded = len.checked_add(align).ok_or(Errno::NOMEM)?;
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory in use.
        let base =
            unsafe { rustix::mm::mmap_anonymous(std::ptr::null_mut(), padded, ProtFlags::empty(), flags) }?;
        let Some(base) = NonNull::new(base) else { return Err(Errno::NOMEM) };
        // From here on the addresses are given back whatever happens.
        let mut whole = Self { start: base, len: padded, process: Arc::new(std::process::id().into()) };
        let before = base.addr().get().next_multiple_of(align) - base.addr().get();
        whole.cut_front(before)?;
        whole.cut_back(align - before)?;
        Ok(whole)
    }

    /// Gives the first `count` bytes back, a multiple of the page size and less than all.
    fn cut_front(&mut self, count: usize) -> rustix::io::Result<()> {
        if count > 0 {
            // SAFETY: the first `count` bytes are addresses of our own with no memory behind them, and
            // nobody has been told of them.
            unsafe { rustix::mm::munmap(self.start.as_ptr(), count) }?;
            // SAFETY: `count` is less than `len`, so the result is within the reservation.
            self.start = unsafe { self.start.byte_add(count) };
            self.len -= count;
        }
        Ok(())
    }

    /// Gives the last `count` bytes back, a multiple of the page size and less than all.
    fn cut_back(&mut self, count: usize) -> rustix::io::Result<()> {
        if count > 0 {
            // SAFETY: `count` is less than `len`, so the result is within the reservation.
            let back = unsafe { self.start.byte_add(self.len - count) };
            // SAFETY: as in `cut_front`, for the last `count` bytes.
            unsafe { rustix::mm::munmap(back.as_ptr(), count) }?;
            self.len -= count;
        }
        Ok(())
    }

    /// Maps `range`, rounded up to whole pages of `unit` bytes, `at` bytes from the start. Returns the
    /// bytes covered.
    fn place(
        &self,
        at: usize,
        fd: BorrowedFd<'_>,
        range: FileRange,
        unit: usize,
        access: Access,
    ) -> rustix::io::Result<usize> {
        let len = usize::try_from(range.len).map_err(|_| Errno::NOMEM)?.next_multiple_of(unit);
        assert!(at + len <= self.len, "the reservation has room for all ranges");
        let protection = match access {
            Access::ReadOnly => ProtFlags::READ,
            Access::ReadWrite => ProtFlags::READ | ProtFlags::WRITE,
        };
        // SAFETY: `at` is less than `len` of the reservation, as asserted.
        let target = unsafe { self.start.byte_add(at) };
        // SAFETY: MAP_FIXED replaces exactly the pages of `len` bytes at `target`. All of them are in
        // this reservation, as asserted: the kernel rounds `len` up to the page size of the file, of
        // which it is a multiple already. No reference into the reservation exists before `new` returns.
        unsafe {
            rustix::mm::mmap(
                target.as_ptr(),
                len,
                protection,
                MapFlags::SHARED | MapFlags::FIXED,
                fd,
                range.offset,
            )
        }?;
        Ok(len)
    }

    fn is_here(&self) -> bool {
        self.process.load(Ordering::Relaxed) == std::process::id()
    }

    fn advise(&self, advice: rustix::mm::Advice) -> rustix::io::Result<()> {
        // SAFETY: the addresses are ours, and the advice given above (DONTFORK, DONTDUMP, HUGEPAGE,
        // POPULATE_WRITE, POPULATE_READ) changes neither the contents nor the protection of a page.
        unsafe { rustix::mm::madvise(self.start.as_ptr(), self.len, advice) }
    }

    /// Faults in whole pages of the machine, counted from the start, to be read; where the kernel cannot, it
    /// is as if they were there.
    fn populate(&self, pages: &Range<usize>) -> rustix::io::Result<()> {
        assert!(pages.start <= pages.end && pages.end <= self.len, "the reservation has these pages");
        // SAFETY: `start` of the range is within the reservation, as asserted.
        let first = unsafe { self.start.byte_add(pages.start) };
        // SAFETY: the addresses are ours, and POPULATE_READ changes neither the contents nor the protection
        // of a page.
        match unsafe {
            rustix::mm::madvise(first.as_ptr(), pages.len(), rustix::mm::Advice::LinuxPopulateRead)
        } {
            Err(Errno::INVAL) => Ok(()),
            result => result,
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if !self.is_here() {
            // In a forked child that has not inherited it the addresses are free, or something else is there by now.
            return;
        }
        // SAFETY: the addresses are ours, and whoever reads them borrows or holds what owns `self`.
        let result = unsafe { rustix::mm::munmap(self.start.as_ptr(), self.len) };
        debug_assert!(result.is_ok(), "munmap of an own mapping: {result:?}");
    }
}

/// The result of [`check`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Checked {
    /// Bytes of the medium's page that the first range begins within.
    before: usize,
    /// The sum of the ranges' lengths.
    len: usize,
}

/// Checks whether each range can be mapped, of a medium of `medium_len` bytes with pages of `unit` bytes.
fn check(
    ranges: &[FileRange],
    unit: usize,
    what: impl Fn() -> String,
    medium_len: u64,
) -> Result<Checked, RegionError> {
    let page = unit as u64;
    let least = rustix::param::page_size().min(unit) as u64;
    let mut total = 0_u64;
    for (index, &FileRange { offset, len }) in ranges.iter().enumerate() {
        if len == 0 {
            return Err(RegionError::NothingToMap { ranges: ranges.len() });
        }
        let Some(end) = offset.checked_add(len).filter(|end| *end <= medium_len) else {
            return Err(RegionError::RangePastEnd { what: what(), index, offset, len, file_len: medium_len });
        };
        let begins_on = if index == 0 { least } else { page };
        let last = index + 1 == ranges.len();
        if !offset.is_multiple_of(begins_on) || !(last || end.is_multiple_of(page)) {
            return Err(RegionError::RangeUnaligned { index, offset, len, unit: page });
        }
        total = total.checked_add(len).ok_or(RegionError::TooLarge { len: u64::MAX })?;
    }
    let Some(first) = ranges.first() else {
        return Err(RegionError::NothingToMap { ranges: 0 });
    };
    // With what is mapped around it, it must still be a length Rust knows: at most isize::MAX.
    let most = (isize::MAX as usize).saturating_sub(unit.max(HUGE_PAGE).saturating_mul(3));
    match (usize::try_from(total), usize::try_from(first.offset % page)) {
        (Ok(len), Ok(before)) if len <= most => Ok(Checked { before, len }),
        _ => Err(RegionError::TooLarge { len: total }),
    }
}

#[cfg(test)]
mod tests;
