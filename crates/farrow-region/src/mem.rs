//! A medium on the heap.

use std::sync::{PoisonError, RwLock};

use crate::RegionError;
use crate::media::{Media, aligned, within};

/// A medium in this process's own memory, for tests and for trying things out.
///
/// A lock stands in for the atomic accesses of mapped memory.
#[derive(Debug)]
pub struct MemMedia {
    bytes: RwLock<Vec<u8>>,
}

impl MemMedia {
    /// A medium of `len` zero bytes.
    pub fn new(len: usize) -> Self {
        Self::from(vec![0; len])
    }

    /// A copy of everything the medium holds.
    pub fn image(&self) -> Vec<u8> {
        self.read(Vec::clone)
    }

    fn read<T>(&self, f: impl FnOnce(&Vec<u8>) -> T) -> T {
        // Nothing below can leave bytes half done when it panics, so a poisoned lock says nothing.
        f(&self.bytes.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl From<Vec<u8>> for MemMedia {
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes: RwLock::new(bytes) }
    }
}

impl Media for MemMedia {
    fn len(&self) -> u64 {
        self.read(|bytes| bytes.len() as u64)
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<(), RegionError> {
        self.read(|bytes| {
            let at = within(|| self.describe(), offset, out.len() as u64, bytes.len() as u64)?;
            out.copy_from_slice(&bytes[at..at + out.len()]);
            Ok(())
        })
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> Result<(), RegionError> {
        let mut bytes = self.bytes.write().unwrap_or_else(PoisonError::into_inner);
        let at = within(|| self.describe(), offset, data.len() as u64, bytes.len() as u64)?;
        bytes[at..at + data.len()].copy_from_slice(data);
        Ok(())
    }

    fn load_u64(&self, offset: u64) -> Result<u64, RegionError> {
        aligned(|| self.describe(), offset)?;
        let mut word = [0; 8];
        self.read_at(offset, &mut word)?;
        Ok(u64::from_le_bytes(word))
    }

    fn store_u64(&self, offset: u64, value: u64) -> Result<(), RegionError> {
        aligned(|| self.describe(), offset)?;
        self.write_at(offset, &value.to_le_bytes())
    }

    fn persist(&self, offset: u64, len: u64) -> Result<(), RegionError> {
        within(|| self.describe(), offset, len, self.len()).map(drop)
    }

    fn refresh(&self, offset: u64, len: u64) -> Result<(), RegionError> {
        within(|| self.describe(), offset, len, self.len()).map(drop)
    }

    fn describe(&self) -> String {
        "memory".to_owned()
    }
}
