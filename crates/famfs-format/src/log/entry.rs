//! A log entry, and what is common to its kinds.

use uuid::Uuid;
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, FromZeros, IntoBytes};

use crate::error::{EntryError, FormatError};
use crate::extent::Extent;
use crate::geometry::{ENTRY_LEN, FormatVersion};
use crate::log::file::{FileEntry, claimed_extents};
use crate::path::RelPath;
use crate::raw::{
    ENTRY_ADD_DAXDEV, ENTRY_CRC_LEN, ENTRY_FILE, ENTRY_MKDIR, RawDaxdev, RawEntry, RawFile, RawMkdir,
};

/// One entry of the log.
///
/// What it says about itself has been checked when it comes from [`decode`](Self::decode); whether it fits
/// the device and the entries before it is for [`Namespace`](crate::Namespace) to judge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// Sequence number, which is also the entry's index.
    pub seqnum: u64,
    /// Its action.
    pub body: EntryBody,
}

/// The action of an entry.
///
/// famfs numbers a DELETE too. No tool writes one and its body is not defined, so it is refused like every
/// unknown type: to pass over it would be to serve a file that someone meant to be gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryBody {
    /// Makes a file.
    File(FileEntry),
    /// Makes a directory.
    Mkdir(MkdirEntry),
    /// Announces a further device; of no effect yet. Version 48 only.
    AddDaxdev(DaxdevEntry),
}

/// A directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MkdirEntry {
    /// Relative to the mount.
    pub path: RelPath,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permission bits; kept, not judged.
    pub mode: u32,
}

/// A further device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DaxdevEntry {
    /// Bytes of the device.
    pub size: u64,
    /// The device.
    pub uuid: Uuid,
    /// The number by which extents would name it.
    pub index: u32,
}

impl LogEntry {
    /// Decodes the [`ENTRY_LEN`] bytes at [`entry_offset`](crate::entry_offset)`(expect_seqnum)` of a device
    /// of version `version`.
    ///
    /// Only what [`encode`](Self::encode) would write is accepted, byte for byte.
    ///
    /// # Errors
    /// [`FormatError::Entry`], for everything that is wrong with the entry by itself.
    pub fn decode(bytes: &[u8], expect_seqnum: u64, version: FormatVersion) -> Result<Self, FormatError> {
        decode(bytes, expect_seqnum, version).map_err(|problem| problem.at(expect_seqnum))
    }

    /// The bytes on the device, everything unused zero.
    ///
    /// # Errors
    /// [`FormatError::Entry`], where [`decode`](Self::decode) would refuse them.
    pub fn encode(&self) -> Result<[u8; ENTRY_LEN], FormatError> {
        self.validate()?;
        Ok(self.to_bytes())
    }

    /// The path the entry makes, if it makes one.
    pub fn path(&self) -> Option<&RelPath> {
        match &self.body {
            EntryBody::File(file) => Some(&file.path),
            EntryBody::Mkdir(dir) => Some(&dir.path),
            EntryBody::AddDaxdev(_) => None,
        }
    }

    /// The space the entry takes.
    pub(crate) fn extents(&self) -> &[Extent] {
        match &self.body {
            EntryBody::File(file) => file.map.extents(),
            EntryBody::Mkdir(_) | EntryBody::AddDaxdev(_) => &[],
        }
    }

    pub(crate) fn validate(&self) -> Result<(), FormatError> {
        match &self.body {
            EntryBody::File(file) => file.validate().map_err(|problem| problem.at(self.seqnum)),
            EntryBody::Mkdir(_) | EntryBody::AddDaxdev(_) => Ok(()),
        }
    }

    fn to_bytes(&self) -> [u8; ENTRY_LEN] {
        let mut raw = RawEntry::new_zeroed();
        raw.seqnum = U64::new(self.seqnum);
        match &self.body {
            EntryBody::File(file) => {
                raw.kind = U32::new(ENTRY_FILE);
                raw.body.copy_from_slice(file.to_raw().as_bytes());
            }
            EntryBody::Mkdir(dir) => {
                raw.kind = U32::new(ENTRY_MKDIR);
                let mut body = RawMkdir::new_zeroed();
                body.uid = U32::new(dir.uid);
                body.gid = U32::new(dir.gid);
                body.mode = U32::new(dir.mode);
                body.path = dir.path.to_field();
                raw.body.copy_from_slice(body.as_bytes());
            }
            EntryBody::AddDaxdev(device) => {
                raw.kind = U32::new(ENTRY_ADD_DAXDEV);
                let mut body = RawDaxdev::new_zeroed();
                body.size = U64::new(device.size);
                body.uuid = device.uuid.into_bytes();
                body.index = U32::new(device.index);
                raw.body.copy_from_slice(body.as_bytes());
            }
        }
        raw.crc = U64::new(crc32fast::hash(&raw.as_bytes()[..ENTRY_CRC_LEN]).into());
        zerocopy::transmute!(raw)
    }
}

/// The space an entry claims that may be refused for another reason: nothing unless the checksum matches, as
/// the numbers would be noise.
pub(crate) fn claimed_by_bytes(bytes: &[u8]) -> Vec<Extent> {
    match RawEntry::ref_from_prefix(bytes) {
        Ok((raw, _)) if check_crc(raw).is_ok() && raw.kind.get() == ENTRY_FILE => {
            let file: RawFile = zerocopy::transmute!(raw.body);
            claimed_extents(&file)
        }
        _ => Vec::new(),
    }
}

fn decode(bytes: &[u8], expected: u64, version: FormatVersion) -> Result<LogEntry, EntryError> {
    let (raw, _) =
        RawEntry::ref_from_prefix(bytes).map_err(|_| EntryError::Truncated { found: bytes.len() })?;
    check_crc(raw)?;
    let seqnum = raw.seqnum.get();
    if seqnum != expected {
        return Err(EntryError::Seqnum { found: seqnum, expected });
    }
    let body = match raw.kind.get() {
        ENTRY_FILE => {
            let body: RawFile = zerocopy::transmute!(raw.body);
            let file = FileEntry::from_raw(&body)?;
            file.validate()?;
            EntryBody::File(file)
        }
        ENTRY_MKDIR => {
            let body: RawMkdir = zerocopy::transmute!(raw.body);
            EntryBody::Mkdir(MkdirEntry {
                path: RelPath::from_field(&body.path)?,
                uid: body.uid.get(),
                gid: body.gid.get(),
                mode: body.mode.get(),
            })
        }
        // The number meant "invalid" before version 48.
        ENTRY_ADD_DAXDEV if version >= FormatVersion::V48 => {
            let body: RawDaxdev = zerocopy::transmute!(raw.body);
            EntryBody::AddDaxdev(DaxdevEntry {
                size: body.size.get(),
                uuid: Uuid::from_bytes(body.uuid),
                index: body.index.get(),
            })
        }
        found => return Err(EntryError::Type { found, version }),
    };
    let entry = LogEntry { seqnum, body };
    // Every byte with a meaning is in `entry` now, so where the bytes differ from its own, padding is not zero.
    let differs = raw.as_bytes().iter().zip(entry.to_bytes()).position(|(&found, own)| found != own);
    match differs {
        Some(offset) => Err(EntryError::Padding { offset, found: bytes[offset] }),
        None => Ok(entry),
    }
}

fn check_crc(raw: &RawEntry) -> Result<(), EntryError> {
    let computed = crc32fast::hash(&raw.as_bytes()[..ENTRY_CRC_LEN]);
    // Compared in 64 bits: a nonzero upper half is as wrong as any other difference.
    if raw.crc.get() != u64::from(computed) {
        return Err(EntryError::Crc { stored: raw.crc.get(), computed });
    }
    Ok(())
}
