//! The superblock: what is on the device, and whose it is.

use uuid::Uuid;
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, IntoBytes};

use crate::error::{FormatError, Structure, check_magic};
use crate::geometry::{ALLOC_UNIT, FormatVersion, LOG_OFFSET, MIN_LOG_LEN, SUPERBLOCK_LEN};
use crate::raw::{RawSuperblock, SUPERBLOCK_CRC_LEN, SUPERBLOCK_MAGIC};

/// Accepted by famfs beside 2 MiB, written by none of its tools.
const SMALL_ALLOC_UNIT: u64 = 4096;

/// A superblock whose magic, version, checksum and geometry have been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Superblock {
    /// Version of the format.
    pub version: FormatVersion,
    /// Bytes of the log: a power of two, at least [`MIN_LOG_LEN`].
    pub log_len: u64,
    /// Bytes of an allocation unit: 2 MiB, or 4096. Files lie in units of 2 MiB in either case.
    pub alloc_unit: u64,
    /// The file system.
    pub uuid: Uuid,
    /// The device.
    pub dev_uuid: Uuid,
    /// The master host, the only one that may write superblock and log.
    pub system_uuid: Uuid,
    /// Bytes of the device. Under no checksum: see [`check_media_len`](Self::check_media_len).
    pub device_len: u64,
    /// The device's path when the file system was made; at most 64 bytes of it are kept, as far as the
    /// first NUL. Under no checksum, and of no effect.
    pub device_path: Vec<u8>,
}

impl Superblock {
    /// Decodes the first [`SUPERBLOCK_LEN`] bytes of a device.
    ///
    /// The fields that `mkfs.famfs` leaves as it found them are not looked at, nor is the minor number of
    /// the format.
    ///
    /// # Errors
    /// Fewer bytes than that, another magic, a checksum that does not match, an unknown version, or a
    /// geometry that no famfs writes.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let structure = Structure::Superblock;
        let (raw, _) = RawSuperblock::ref_from_prefix(bytes).map_err(|_| FormatError::Truncated {
            structure,
            need: SUPERBLOCK_LEN,
            found: bytes.len(),
        })?;
        // Magic and version come before the checksum: they decide what it covers.
        check_magic(structure, SUPERBLOCK_MAGIC, raw.magic.get())?;
        let version = FormatVersion::from_numbers(raw.version.get(), raw.omf_major.get()).ok_or(
            FormatError::Version {
                version: raw.version.get(),
                omf_major: raw.omf_major.get(),
                omf_minor: raw.omf_minor.get(),
            },
        )?;
        let computed = crc32fast::hash(&raw.as_bytes()[..SUPERBLOCK_CRC_LEN]);
        if raw.crc.get() != u64::from(computed) {
            return Err(FormatError::Crc { structure, stored: raw.crc.get(), computed });
        }
        if raw.log_offset.get() != LOG_OFFSET {
            return Err(FormatError::LogOffset { found: raw.log_offset.get() });
        }
        let superblock = Self {
            version,
            log_len: raw.log_len.get(),
            alloc_unit: raw.alloc_unit.get(),
            uuid: Uuid::from_bytes(raw.uuid),
            dev_uuid: Uuid::from_bytes(raw.dev_uuid),
            system_uuid: Uuid::from_bytes(raw.system_uuid),
            device_len: raw.device_len.get(),
            device_path: up_to_nul(&raw.device_path).to_vec(),
        };
        superblock.validate()?;
        Ok(superblock)
    }

    /// The bytes as `mkfs.famfs` writes them on a zeroed device.
    ///
    /// # Errors
    /// A geometry that [`decode`](Self::decode) would refuse.
    pub fn encode(&self) -> Result<[u8; SUPERBLOCK_LEN], FormatError> {
        self.validate()?;
        let (omf_major, omf_minor) = self.version.omf();
        let mut device_path = [0; 64];
        let kept = up_to_nul(&self.device_path);
        let kept = &kept[..kept.len().min(device_path.len())];
        device_path[..kept.len()].copy_from_slice(kept);
        let mut raw = RawSuperblock {
            magic: U64::new(SUPERBLOCK_MAGIC),
            version: U64::new(self.version.number()),
            log_offset: U64::new(LOG_OFFSET),
            log_len: U64::new(self.log_len),
            alloc_unit: U64::new(self.alloc_unit),
            omf_major: U32::new(omf_major),
            omf_minor: U32::new(omf_minor),
            uuid: self.uuid.into_bytes(),
            dev_uuid: self.dev_uuid.into_bytes(),
            system_uuid: self.system_uuid.into_bytes(),
            crc: U64::new(0),
            flags: U32::new(0),
            pad: U32::new(0),
            device_len: U64::new(self.device_len),
            device_uuid: [0; 16],
            device_path,
        };
        raw.crc = U64::new(crc32fast::hash(&raw.as_bytes()[..SUPERBLOCK_CRC_LEN]).into());
        let mut bytes = [0; SUPERBLOCK_LEN];
        bytes.copy_from_slice(raw.as_bytes());
        Ok(bytes)
    }

    /// Device offset at which the log ends and file data begins, in bytes.
    pub fn data_offset(&self) -> u64 {
        LOG_OFFSET.saturating_add(self.log_len)
    }

    /// Holds the recorded length of the device against that of the medium, in bytes.
    ///
    /// famfs keeps that length outside the checksum and takes its capacity from it, so whoever opens a
    /// medium asks here before believing it.
    ///
    /// # Errors
    /// [`FormatError::MediaLen`] if the medium is shorter.
    pub fn check_media_len(&self, media_len: u64) -> Result<(), FormatError> {
        if self.device_len > media_len {
            return Err(FormatError::MediaLen { device_len: self.device_len, media_len });
        }
        Ok(())
    }

    fn validate(&self) -> Result<(), FormatError> {
        check_log_len(self.log_len)?;
        if self.alloc_unit != ALLOC_UNIT && self.alloc_unit != SMALL_ALLOC_UNIT {
            return Err(FormatError::AllocUnit { found: self.alloc_unit });
        }
        if self.device_len < self.data_offset() {
            return Err(FormatError::DeviceLen {
                device_len: self.device_len,
                data_offset: self.data_offset(),
            });
        }
        Ok(())
    }
}

pub(crate) fn check_log_len(log_len: u64) -> Result<(), FormatError> {
    if !log_len.is_power_of_two() || log_len < MIN_LOG_LEN {
        return Err(FormatError::LogLen { found: log_len });
    }
    Ok(())
}

fn up_to_nul(path: &[u8]) -> &[u8] {
    path.split(|&byte| byte == 0).next().unwrap_or(path)
}
