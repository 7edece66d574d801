//! Fields one behind the other, little-endian, without gaps.

use uuid::Uuid;

use super::fault::RecordFault;

/// Writes fields. What it makes is in memory, so that it never fails.
#[derive(Default)]
pub(super) struct FieldWriter(pub(super) Vec<u8>);

impl FieldWriter {
    pub(super) fn u16(&mut self, value: u16) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn i64(&mut self, value: i64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn uuid(&mut self, value: &Uuid) {
        self.0.extend_from_slice(value.as_bytes());
    }

    pub(super) fn bytes(&mut self, value: &[u8]) {
        self.0.extend_from_slice(value);
    }

    /// Zeros up to the next multiple of 8.
    pub(super) fn pad(&mut self) {
        self.0.resize(self.0.len().next_multiple_of(8), 0);
    }
}

/// Reads fields. Every error names the field.
pub(super) struct FieldReader<'a>(&'a [u8]);

impl<'a> FieldReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn left(&self) -> usize {
        self.0.len()
    }

    pub(super) fn u16(&mut self, what: &'static str) -> Result<u16, RecordFault> {
        self.array(what).map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self, what: &'static str) -> Result<u32, RecordFault> {
        self.array(what).map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self, what: &'static str) -> Result<u64, RecordFault> {
        self.array(what).map(u64::from_le_bytes)
    }

    pub(super) fn i64(&mut self, what: &'static str) -> Result<i64, RecordFault> {
        self.array(what).map(i64::from_le_bytes)
    }

    pub(super) fn uuid(&mut self, what: &'static str) -> Result<Uuid, RecordFault> {
        self.array(what).map(Uuid::from_bytes)
    }

    pub(super) fn bytes(&mut self, what: &'static str, len: usize) -> Result<&'a [u8], RecordFault> {
        let (bytes, rest) = self.0.split_at_checked(len).ok_or(RecordFault::Short { what })?;
        self.0 = rest;
        Ok(bytes)
    }

    /// `len` bytes that must be zero.
    pub(super) fn zero(&mut self, what: &'static str, len: usize) -> Result<(), RecordFault> {
        match self.bytes(what, len)?.iter().all(|&byte| byte == 0) {
            true => Ok(()),
            false => Err(RecordFault::NotZero { what }),
        }
    }

    /// A number of items of at least `item_len` bytes each that follow. More than can follow is an error, so
    /// that nobody allocates for them.
    pub(super) fn fits(&self, what: &'static str, found: u64, item_len: usize) -> Result<usize, RecordFault> {
        usize::try_from(found)
            .ok()
            .filter(|&count| count.checked_mul(item_len).is_some_and(|len| len <= self.left()))
            .ok_or(RecordFault::Short { what })
    }

    pub(super) fn end(self) -> Result<(), RecordFault> {
        match self.0.len() {
            0 => Ok(()),
            extra => Err(RecordFault::Extra { extra }),
        }
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], RecordFault> {
        let (array, rest) = self.0.split_first_chunk().ok_or(RecordFault::Short { what })?;
        self.0 = rest;
        Ok(*array)
    }
}
