//! The fixed parts of a catalog: head, commit word, half header.

use uuid::Uuid;

use super::fault::CatalogFault;
use super::fields::{FieldReader, FieldWriter};

/// The shortest catalog, in bytes. famfs gives every file 2 MiB at least, so that less than that saves nothing.
pub const MIN_CATALOG_LEN: u64 = 32 * 1024;

/// The longest catalog that is made, in bytes: the commit word can count no more.
pub const MAX_CATALOG_LEN: u64 = PAGE_LEN + 2 * MAX_HALF_LEN;

/// The longest half: the commit word counts units of 8 bytes in 32 bits.
const MAX_HALF_LEN: u64 = (u32::MAX as u64) * 8 / PAGE_LEN * PAGE_LEN;

/// Bytes of a half's header.
pub(crate) const HALF_HEADER_LEN: u64 = HALF_HEADER_BYTES as u64;

/// The same, for buffers.
pub(super) const HALF_HEADER_BYTES: usize = 64;

/// The first page of the file: head and commit word.
pub(super) const PAGE_LEN: u64 = PAGE_BYTES as u64;

/// The same, for buffers.
pub(super) const PAGE_BYTES: usize = 4096;

/// Bytes of the head.
pub(super) const HEAD_LEN: usize = 128;

/// The place where the commit word stands, in a cache line of its own.
pub(super) const WORD_OFFSET: u64 = 128;

const HEAD_MAGIC: u64 = u64::from_le_bytes(*b"farrowCT");
const HALF_MAGIC: u64 = u64::from_le_bytes(*b"farrowHF");
const FORMAT_VERSION: u32 = 1;
const HEAD_CRC_OFFSET: usize = HEAD_LEN - 4;
const HALF_CRC_OFFSET: usize = 60;

/// The part of a catalog that never changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) region: Uuid,
    /// Bytes of the catalog file.
    pub(super) len: u64,
    /// The place where the halves begin in the file.
    pub(super) halves: [u64; 2],
    pub(super) half_len: u64,
}

impl Head {
    /// The head of a catalog of `len` bytes, at least [`MIN_CATALOG_LEN`].
    pub(super) fn new(region: Uuid, len: u64) -> Self {
        let half_len = (len.saturating_sub(PAGE_LEN) / 2 / PAGE_LEN * PAGE_LEN).min(MAX_HALF_LEN);
        Self { region, len, halves: [PAGE_LEN, PAGE_LEN + half_len], half_len }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = FieldWriter::default();
        out.u64(HEAD_MAGIC);
        out.u32(FORMAT_VERSION);
        out.u32(0);
        out.uuid(&self.region);
        out.u64(self.len);
        out.u64(self.halves[0]);
        out.u64(self.halves[1]);
        out.u64(self.half_len);
        out.bytes(&[0; HEAD_CRC_OFFSET - 64]);
        out.u32(crc32c::crc32c(&out.0));
        out.0
    }

    /// Reads the head of a file of `len` bytes at the media offset `at`.
    pub(super) fn decode(
        bytes: &[u8; HEAD_LEN],
        at: u64,
        region: Uuid,
        len: u64,
    ) -> Result<Self, CatalogFault> {
        let mut fields = FieldReader::new(bytes);
        let short = |fault| CatalogFault::Record { at, fault };
        let magic = fields.u64("magic").map_err(short)?;
        if magic != HEAD_MAGIC {
            return Err(CatalogFault::HeadMagic { at, found: magic, expected: HEAD_MAGIC });
        }
        let (covered, stored) = split_crc::<HEAD_CRC_OFFSET>(bytes);
        let computed = crc32c::crc32c(covered);
        if stored != computed {
            return Err(CatalogFault::HeadCrc { at, stored, computed });
        }
        let version = fields.u32("version").map_err(short)?;
        if version != FORMAT_VERSION {
            return Err(CatalogFault::HeadVersion { at, found: version, expected: FORMAT_VERSION });
        }
        fields.zero("head", 4).map_err(short)?;
        let found = Self {
            region: fields.uuid("region").map_err(short)?,
            len: fields.u64("length").map_err(short)?,
            halves: [fields.u64("first half").map_err(short)?, fields.u64("second half").map_err(short)?],
            half_len: fields.u64("length of a half").map_err(short)?,
        };
        fields.zero("head", HEAD_CRC_OFFSET - 64).map_err(short)?;
        if found.region != region {
            return Err(CatalogFault::HeadRegion { found: found.region, expected: region });
        }
        if found != Self::new(region, len) {
            let Self { len, halves: offsets, half_len, .. } = found;
            return Err(CatalogFault::HeadLayout { at, offsets, half_len, len });
        }
        Ok(found)
    }
}

/// The one word whose store makes a record exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CommitWord {
    /// Committed bytes of the live half, its header included; a multiple of 8.
    pub(crate) committed: u64,
    /// Low 16 bits of the live half's serial. Its lowest bit names the half.
    pub(crate) serial: u16,
    /// Low 16 bits of the epoch of the last record.
    pub(super) epoch: u16,
}

impl CommitWord {
    pub(super) fn new(committed: u64, serial: u64, epoch: u64) -> Self {
        Self { committed, serial: low16(serial), epoch: low16(epoch) }
    }

    pub(super) fn to_bits(self) -> u64 {
        (self.committed / 8) | (u64::from(self.serial) << 32) | (u64::from(self.epoch) << 48)
    }

    pub(super) fn from_bits(word: u64) -> Self {
        Self {
            committed: (word & u64::from(u32::MAX)) * 8,
            serial: low16(word >> 32),
            epoch: low16(word >> 48),
        }
    }
}

/// The low 16 bits, which are all that the commit word has room for.
pub(super) fn low16(value: u64) -> u16 {
    let [a, b, ..] = value.to_le_bytes();
    u16::from_le_bytes([a, b])
}

/// The header before the records of a half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HalfHeader {
    /// Grows by one with each checkpoint; even ones are in the first half, odd ones in the second.
    pub(super) serial: u64,
    /// The epoch of the master that wrote the checkpoint.
    pub(super) epoch: u64,
    /// The sequence number of the last record that the checkpoint includes.
    pub(super) base_seq: u64,
    /// Bytes of the checkpoint's records.
    pub(super) checkpoint_len: u64,
}

impl HalfHeader {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = FieldWriter::default();
        out.u64(HALF_MAGIC);
        out.u64(self.serial);
        out.u64(self.epoch);
        out.u64(self.base_seq);
        out.u64(self.checkpoint_len);
        out.bytes(&[0; HALF_CRC_OFFSET - 40]);
        out.u32(crc32c::crc32c(&out.0));
        out.0
    }

    /// Reads the header of the half at the media offset `at` that the commit word names.
    pub(super) fn decode(
        bytes: &[u8; HALF_HEADER_BYTES],
        at: u64,
        word: CommitWord,
    ) -> Result<Self, CatalogFault> {
        let mut fields = FieldReader::new(bytes);
        let short = |fault| CatalogFault::Record { at, fault };
        let magic = fields.u64("magic").map_err(short)?;
        if magic != HALF_MAGIC {
            return Err(CatalogFault::HalfMagic { at, found: magic, expected: HALF_MAGIC });
        }
        let (covered, stored) = split_crc::<HALF_CRC_OFFSET>(bytes);
        let computed = crc32c::crc32c(covered);
        if stored != computed {
            return Err(CatalogFault::HalfCrc { at, stored, computed });
        }
        let found = Self {
            serial: fields.u64("serial").map_err(short)?,
            epoch: fields.u64("epoch").map_err(short)?,
            base_seq: fields.u64("base seq").map_err(short)?,
            checkpoint_len: fields.u64("checkpoint length").map_err(short)?,
        };
        fields.zero("half header", HALF_CRC_OFFSET - 40).map_err(short)?;
        if low16(found.serial) != word.serial {
            return Err(CatalogFault::HalfSerial { at, found: found.serial, expected: word.serial });
        }
        if found.checkpoint_len > word.committed - HALF_HEADER_LEN {
            let (checkpoint_len, committed) = (found.checkpoint_len, word.committed);
            return Err(CatalogFault::Checkpoint { at, checkpoint_len, committed });
        }
        Ok(found)
    }
}

/// Splits off the checksum that ends a structure.
fn split_crc<const COVERED: usize>(bytes: &[u8]) -> (&[u8], u32) {
    let (covered, crc) = bytes.split_at(COVERED);
    (covered, crc.first_chunk().map_or(0, |crc| u32::from_le_bytes(*crc)))
}
