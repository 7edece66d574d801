//! The log header: how many entries there are, and how many fit.

use zerocopy::little_endian::U64;
use zerocopy::{FromBytes, IntoBytes};

use crate::error::{FormatError, Structure, check_magic};
use crate::geometry::{ENTRY_LEN, LOG_HEADER_LEN};
use crate::raw::{LOG_HEADER_CRC_LEN, LOG_MAGIC, RawLogHeader};
use crate::superblock::{Superblock, check_log_len};

/// A log header that fits its superblock.
///
/// The media keeps two counters, the next sequence number and the next index. They are always equal, and
/// are one number here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogHeader {
    len: u64,
    next_index: u64,
}

impl LogHeader {
    /// The header of an empty log of `log_len` bytes.
    ///
    /// # Errors
    /// [`FormatError::LogLen`] unless that is a power of two of at least 8 MiB.
    pub fn new(log_len: u64) -> Result<Self, FormatError> {
        check_log_len(log_len)?;
        Ok(Self { len: log_len, next_index: 0 })
    }

    /// Decodes the [`LOG_HEADER_LEN`] bytes at [`LOG_OFFSET`](crate::LOG_OFFSET).
    ///
    /// # Errors
    /// Fewer bytes than that, another magic, a checksum that does not match, a length or capacity other than
    /// the superblock's log has, or counters that differ or exceed the capacity.
    pub fn decode(bytes: &[u8], superblock: &Superblock) -> Result<Self, FormatError> {
        match Self::decode_agreed(bytes, superblock)? {
            (header, None) => Ok(header),
            (_, Some(apart)) => Err(apart),
        }
    }

    /// As [`decode`](Self::decode), but counters that differ are no error: the header is that of the entries
    /// which both count, and the second value says how they differ.
    ///
    /// No store changes both counters at once, so a writer that is cut off between the two leaves them one
    /// apart. What both count was complete before.
    ///
    /// # Errors
    /// As [`decode`](Self::decode), but for [`FormatError::Counters`].
    pub fn decode_agreed(
        bytes: &[u8],
        superblock: &Superblock,
    ) -> Result<(Self, Option<FormatError>), FormatError> {
        let structure = Structure::LogHeader;
        let (raw, _) = RawLogHeader::ref_from_prefix(bytes).map_err(|_| FormatError::Truncated {
            structure,
            need: LOG_HEADER_LEN,
            found: bytes.len(),
        })?;
        check_magic(structure, LOG_MAGIC, raw.magic.get())?;
        let computed = crc32fast::hash(&raw.as_bytes()[..LOG_HEADER_CRC_LEN]);
        if raw.crc.get() != u64::from(computed) {
            return Err(FormatError::Crc { structure, stored: raw.crc.get(), computed });
        }
        if raw.len.get() != superblock.log_len {
            return Err(FormatError::HeaderLen { expected: superblock.log_len, found: raw.len.get() });
        }
        let mut header = Self::new(raw.len.get())?;
        if raw.last_index.get() != header.last_index() {
            return Err(FormatError::LastIndex {
                expected: header.last_index(),
                found: raw.last_index.get(),
            });
        }
        let (next_seqnum, next_index) = (raw.next_seqnum.get(), raw.next_index.get());
        let agreed = next_index.min(next_seqnum);
        if agreed > header.capacity() {
            return Err(FormatError::NextIndex { next_index: agreed, capacity: header.capacity() });
        }
        header.next_index = agreed;
        let apart = next_seqnum != next_index;
        Ok((header, apart.then_some(FormatError::Counters { next_seqnum, next_index })))
    }

    /// The bytes on the device.
    pub fn encode(&self) -> [u8; LOG_HEADER_LEN] {
        let mut raw = RawLogHeader {
            magic: U64::new(LOG_MAGIC),
            len: U64::new(self.len),
            last_index: U64::new(self.last_index()),
            crc: U64::new(0),
            next_seqnum: U64::new(self.next_index),
            next_index: U64::new(self.next_index),
        };
        raw.crc = U64::new(crc32fast::hash(&raw.as_bytes()[..LOG_HEADER_CRC_LEN]).into());
        let mut bytes = [0; LOG_HEADER_LEN];
        bytes.copy_from_slice(raw.as_bytes());
        bytes
    }

    /// The header after one more entry, which goes to [`next_index`](Self::next_index).
    ///
    /// # Errors
    /// [`FormatError::LogFull`].
    pub fn advanced(&self) -> Result<Self, FormatError> {
        if self.next_index >= self.capacity() {
            return Err(FormatError::LogFull { capacity: self.capacity() });
        }
        Ok(Self { len: self.len, next_index: self.next_index + 1 })
    }

    /// Bytes of the log, this header included.
    #[expect(
        clippy::len_without_is_empty,
        reason = "a log is never of no bytes; of entries, it is next_index"
    )]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Index of the last entry there is room for.
    pub fn last_index(&self) -> u64 {
        self.capacity() - 1
    }

    /// Entries written so far; index and sequence number of the next one.
    pub fn next_index(&self) -> u64 {
        self.next_index
    }

    /// Entries there is room for.
    pub fn capacity(&self) -> u64 {
        (self.len - LOG_HEADER_LEN as u64) / ENTRY_LEN as u64
    }
}
