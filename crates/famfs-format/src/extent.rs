//! A range of the device.

use std::fmt;

use zerocopy::little_endian::U64;

use crate::error::EntryError;
use crate::geometry::ALLOC_UNIT;
use crate::raw::RawExtent;

/// A contiguous range of a device, as a log entry names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Extent {
    /// The device; 0 is the primary one, and the only one that exists in these versions.
    pub dev_index: u64,
    /// Bytes from the start of the device, superblock and log included.
    pub offset: u64,
    /// Length in bytes, a multiple of [`ALLOC_UNIT`].
    pub len: u64,
}

impl Extent {
    /// One past the last byte; `None` where no device could reach that far.
    pub fn end(&self) -> Option<u64> {
        self.offset.checked_add(self.len)
    }

    /// Checks what can be judged without knowing the device: its index, alignment, a length, no wrap-around.
    pub(crate) fn validate(&self) -> Result<(), EntryError> {
        let Self { dev_index, offset, len } = *self;
        if dev_index != 0 {
            return Err(EntryError::Device { dev_index });
        }
        if !offset.is_multiple_of(ALLOC_UNIT) || !len.is_multiple_of(ALLOC_UNIT) {
            return Err(EntryError::Alignment { extent: *self });
        }
        if len == 0 || self.end().is_none() {
            return Err(EntryError::ExtentLen { extent: *self });
        }
        Ok(())
    }

    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        self.dev_index == other.dev_index
            && self.offset < other.offset.saturating_add(other.len)
            && other.offset < self.offset.saturating_add(self.len)
    }
}

impl From<&RawExtent> for Extent {
    fn from(raw: &RawExtent) -> Self {
        Self { dev_index: raw.dev_index.get(), offset: raw.offset.get(), len: raw.len.get() }
    }
}

impl From<&Extent> for RawExtent {
    fn from(extent: &Extent) -> Self {
        Self {
            dev_index: U64::new(extent.dev_index),
            offset: U64::new(extent.offset),
            len: U64::new(extent.len),
        }
    }
}

impl fmt::Display for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}+{:#x}", self.offset, self.len)
    }
}
