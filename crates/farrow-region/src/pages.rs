//! The sizes of the pages by which memory is really mapped.

use std::fmt;
use std::fs;
use std::io;
use std::ops::Range;
use std::os::fd::BorrowedFd;

use rustix::fs::{AtFlags, StatxAttributes, StatxFlags, statx};

/// By which pages a mapping reaches its memory, as the kernel accounts for it at one moment.
///
/// Fresh memory costs one fault a page and scanning it one entry of the processor's TLB a page: for a
/// region of gigabytes pages of 2 MiB are what makes the difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PageUse {
    /// Bytes of the mapping, in whole pages.
    pub mapped: u64,
    /// Bytes of it in huge pages.
    pub huge: u64,
    /// Bytes of it in pages faulted in, of any size.
    pub resident: u64,
    /// Bytes of it that are a device's own memory behind a file system (DAX), which the kernel accounts for nowhere.
    pub direct: u64,
}

impl PageUse {
    /// Of the mapping at these addresses of this process. `direct`: it is of a file that [`is_direct`].
    pub(crate) fn of(addresses: Range<usize>, direct: bool) -> io::Result<Self> {
        Ok(Self::told(&fs::read_to_string("/proc/self/smaps")?, addresses, direct))
    }

    /// True if nothing of the mapping is in small pages, as far as the kernel says: it is in huge ones, or a device's
    /// memory.
    pub fn is_huge(&self) -> bool {
        self.mapped > 0 && self.huge + self.direct >= self.mapped
    }

    /// Only what is faulted in, for a medium opened for reading: nothing can be said of the rest.
    #[must_use]
    pub fn of_resident(self) -> Self {
        Self { mapped: self.resident, ..self }
    }

    /// The advice about pages that are not huge; None if all are.
    pub fn advice(&self) -> Option<&'static str> {
        (!self.is_huge()).then_some("Try: a tmpfs mounted with huge=always, or hugetlbfs")
    }

    /// [`of`](Self::of), from the text of `/proc/self/smaps`.
    fn told(smaps: &str, addresses: Range<usize>, direct: bool) -> Self {
        let told = Self::in_smaps(smaps, addresses);
        // Such pages are no memory of the system's, and smaps counts none of them: neither as huge nor at all.
        if direct { Self { huge: 0, resident: told.mapped, direct: told.mapped, ..told } } else { told }
    }

    /// Returns what a text in the form of `/proc/self/smaps` says (Linux Documentation/filesystems/proc.rst).
    fn in_smaps(smaps: &str, addresses: Range<usize>) -> Self {
        let base = rustix::param::page_size() as u64;
        let mut sum = Self::default();
        // Of the entry the lines belong to: bytes that lie within `addresses`.
        let mut overlap = 0_u64;
        for line in smaps.lines() {
            let Some((key, value)) = line.split_once(char::is_whitespace) else { continue };
            if let Some(found) = address_range(key) {
                let (start, end) = (found.start.max(addresses.start), found.end.min(addresses.end));
                overlap = end.saturating_sub(start) as u64;
                sum.mapped += overlap;
                continue;
            }
            if overlap == 0 {
                continue;
            }
            let bytes = kib(value);
            match key {
                // hugetlbfs and device-dax: every page of the mapping is of that size. Their pages are
                // not counted as resident.
                "KernelPageSize:" if bytes > base => {
                    sum.huge += overlap;
                    sum.resident += overlap;
                }
                "Rss:" => sum.resident += bytes.min(overlap),
                // tmpfs and other file systems whose pages happen to be huge.
                "ShmemPmdMapped:" | "FilePmdMapped:" => sum.huge += bytes.min(overlap),
                _ => {}
            }
        }
        sum.huge = sum.huge.min(sum.mapped);
        sum.resident = sum.resident.min(sum.mapped);
        sum
    }
}

/// For example `all 4294967296 bytes in huge pages`, `0 of 4294967296 bytes in huge pages`, or
/// `4294967296 bytes of a device's memory, mapped directly`.
impl fmt::Display for PageUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let &Self { mapped, huge, direct, .. } = self;
        if direct > 0 {
            write!(f, "{direct} bytes of a device's memory, mapped directly")?;
            if direct >= mapped {
                return Ok(());
            }
            f.write_str("; ")?;
        }
        match mapped.saturating_sub(direct) {
            rest if huge >= rest && rest > 0 => write!(f, "all {rest} bytes in huge pages"),
            rest => write!(f, "{huge} of {rest} bytes in huge pages"),
        }
    }
}

/// True if mappings of a file are of a device's own memory, past the page cache (DAX): files of a mounted famfs, of
/// ext4 or XFS on pmem. device-dax nodes are not among them, whose pages smaps counts.
pub(crate) fn is_direct(file: BorrowedFd<'_>) -> bool {
    let found = statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::empty());
    found.is_ok_and(|found| found.stx_attributes.contains(StatxAttributes::DAX))
}

/// The addresses an entry begins with: `7f0000000000-7f0000200000`.
pub(crate) fn address_range(key: &str) -> Option<Range<usize>> {
    let (start, end) = key.split_once('-')?;
    Some(usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?)
}

/// `  2048 kB` in bytes; 0 for what is no number.
fn kib(value: &str) -> u64 {
    let number = value.trim().strip_suffix("kB").and_then(|number| number.trim().parse::<u64>().ok());
    number.unwrap_or(0).saturating_mul(1024)
}

#[cfg(test)]
mod tests;
