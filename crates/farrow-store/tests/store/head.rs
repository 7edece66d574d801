//! Media that end too early.

use farrow_region::{Media, RegionError};

/// The first `len` bytes of a medium of which only the head is kept: what follows it is zeros. Read-only.
pub(crate) struct Head<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) len: u64,
}

impl Head<'_> {
    fn within(&self, offset: u64, len: u64) -> Result<(), RegionError> {
        if offset.checked_add(len).is_some_and(|end| end <= self.len) {
            return Ok(());
        }
        Err(RegionError::OutOfBounds { what: self.describe(), offset, len, size: self.len })
    }

    fn read_only(&self) -> RegionError {
        RegionError::ReadOnly { what: self.describe() }
    }
}

impl Media for Head<'_> {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<(), RegionError> {
        self.within(offset, out.len() as u64)?;
        let kept = usize::try_from(offset).ok().and_then(|at| self.bytes.get(at..)).unwrap_or_default();
        let kept = &kept[..kept.len().min(out.len())];
        out.fill(0);
        out[..kept.len()].copy_from_slice(kept);
        Ok(())
    }

    fn write_at(&self, _: u64, _: &[u8]) -> Result<(), RegionError> {
        Err(self.read_only())
    }

    fn load_u64(&self, offset: u64) -> Result<u64, RegionError> {
        let mut word = [0; 8];
        self.read_at(offset, &mut word)?;
        Ok(u64::from_le_bytes(word))
    }

    fn store_u64(&self, _: u64, _: u64) -> Result<(), RegionError> {
        Err(self.read_only())
    }

    fn persist(&self, _: u64, _: u64) -> Result<(), RegionError> {
        Err(self.read_only())
    }

    fn refresh(&self, offset: u64, len: u64) -> Result<(), RegionError> {
        self.within(offset, len)
    }

    fn describe(&self) -> String {
        "a medium cut short".to_owned()
    }
}
