//! Checks that the memory of a mapping is there: made before it is read, and after.

use std::fs;
use std::ops::Range;

use rustix::io::Errno;

use super::StitchedMapping;
use crate::RegionError;
use crate::losses::{Loss, LossCause};
use crate::pages::address_range;

impl StitchedMapping {
    /// Faults in the pages of `range` to be read.
    ///
    /// # Errors
    ///
    /// [`Lost`](RegionError::Lost) if one of them has no memory, or is poisoned. Kernels before 5.14, and
    /// all of them for a PCI BAR, do not tell: then this is none.
    pub(crate) fn check_readable(&self, range: &Range<usize>) -> Result<(), RegionError> {
        let page = rustix::param::page_size();
        let first = (self.before + range.start) / page * page;
        let end = (self.before + range.end).next_multiple_of(page);
        let populate = |pages: &Range<usize>| self.reservation.populate(pages);
        match populate(&(first..end)) {
            Ok(()) => {}
            Err(Errno::FAULT | Errno::HWPOISON) => {
                // The kernel does not say which.
                let mut lost = first..end;
                let mut cause = LossCause::Gone;
                while lost.len() > page {
                    let middle = lost.start + lost.len() / 2 / page * page;
                    match populate(&(lost.start..middle)) {
                        Ok(()) => lost.start = middle,
                        Err(_) => lost.end = middle,
                    }
                }
                if populate(&lost) == Err(Errno::HWPOISON) {
                    cause = LossCause::Poisoned;
                }
                self.losses.record(lost.start, cause);
            }
            Err(source) => {
                return Err(RegionError::Io {
                    action: "fault in to be read",
                    what: self.what.clone(),
                    source: source.into(),
                });
            }
        }
        self.check_intact(range)
    }

    /// Checks whether what was read or written of `range` so far was the medium's.
    ///
    /// # Errors
    ///
    /// [`Lost`](RegionError::Lost).
    pub(crate) fn check_intact(&self, range: &Range<usize>) -> Result<(), RegionError> {
        match self.losses.lost(&(self.before + range.start..self.before + range.end)) {
            None => Ok(()),
            Some(loss) => Err(self.error(loss)),
        }
    }

    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn lose(&self, offset: usize) {
        self.losses.record(self.before + offset, LossCause::Poisoned);
    }

    #[cold]
    fn error(&self, loss: Loss) -> RegionError {
        // The first page may begin before the first range.
        let before = self.before.saturating_sub(loss.offset) as u64;
        let mut at = loss.offset.saturating_sub(self.before) as u64;
        let mut offset = 0;
        for range in &self.ranges {
            offset = (range.offset + at).saturating_sub(before);
            if at < range.len {
                break;
            }
            at -= range.len;
        }
        RegionError::Lost {
            what: self.path().unwrap_or_else(|| self.what.clone()),
            offset,
            len: loss.len as u64,
            cause: loss.cause,
        }
    }

    /// The path of the medium, of which only a descriptor was given: looked up when it is needed, since that takes
    /// longer than mapping a page. None if nothing of it is mapped any more.
    fn path(&self) -> Option<String> {
        let start = self.reservation.start.addr().get();
        let ours = start..start + self.reservation.len;
        let maps = fs::read_to_string("/proc/self/maps").ok()?;
        // Linux Documentation/filesystems/proc.rst: addresses, rights, offset, device, inode, path.
        maps.lines().find_map(|line| {
            let found = address_range(line.split_whitespace().next()?)?;
            let path = &line[line.find('/')?..];
            (found.start < ours.end && ours.start < found.end).then(|| path.to_owned())
        })
    }
}
