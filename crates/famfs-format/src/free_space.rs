//! The bytes of the data area that belong to no file.

use std::collections::BTreeMap;

use crate::extent::Extent;
use crate::geometry::ALLOC_UNIT;

/// The free ranges, start to end in bytes, on unit boundaries, none of them empty, none touching another.
///
/// Ranges and not a bitmap: its size would follow the device length in the superblock, which is under no
/// checksum and may say 16 EiB.
#[derive(Clone, Debug)]
pub(crate) struct FreeSpace {
    ranges: BTreeMap<u64, u64>,
}

impl FreeSpace {
    /// Everything from `start` to `end` is free, as far as whole units go.
    pub(crate) fn new(start: u64, end: u64) -> Self {
        let end = end - end % ALLOC_UNIT;
        let ranges = if start < end { BTreeMap::from([(start, end)]) } else { BTreeMap::new() };
        Self { ranges }
    }

    /// True if all of `extent` is free.
    pub(crate) fn contains(&self, extent: &Extent) -> bool {
        let range = self.ranges.range(..=extent.offset).next_back();
        range.is_some_and(|(_, &end)| extent.end().is_some_and(|extent_end| extent_end <= end))
    }

    /// Takes `extent` away, rounded outwards to whole units, whether all of it was free or not.
    pub(crate) fn take(&mut self, extent: &Extent) {
        let start = extent.offset - extent.offset % ALLOC_UNIT;
        let Some(end) = extent.end().and_then(|end| end.checked_next_multiple_of(ALLOC_UNIT)) else {
            return;
        };
        if extent.len == 0 {
            return;
        }
        // The range that begins before `start` may reach into the extent, and beyond it.
        if let Some((&before, &before_end)) = self.ranges.range(..start).next_back()
            && before_end > start
        {
            self.ranges.insert(before, start);
            if before_end > end {
                self.ranges.insert(end, before_end);
            }
        }
        while let Some((&inside, &inside_end)) = self.ranges.range(start..end).next() {
            self.ranges.remove(&inside);
            if inside_end > end {
                self.ranges.insert(end, inside_end);
            }
        }
    }

    /// Start of the lowest free range of at least `len` bytes.
    pub(crate) fn first_fit(&self, len: u64) -> Option<u64> {
        self.ranges.iter().find(|&(start, end)| end - start >= len).map(|(&start, _)| start)
    }

    /// Bytes of the largest free range.
    pub(crate) fn largest(&self) -> u64 {
        self.ranges.iter().map(|(start, end)| end - start).max().unwrap_or(0)
    }

    /// Free bytes in all.
    pub(crate) fn bytes(&self) -> u64 {
        self.ranges.iter().map(|(start, end)| end - start).sum()
    }
}

#[cfg(test)]
mod tests;
