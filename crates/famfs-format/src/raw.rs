//! The structs as they lie on the device: every byte has a name, nothing has been checked.
//!
//! The C side stores its structs as the compiler lays them out on x86_64; its implicit padding is
//! named here. The assertions at the end pin every offset that FORMAT.md states.

use std::mem::{offset_of, size_of};

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::geometry::{ENTRY_LEN, LOG_HEADER_LEN, MAX_EXTENTS, PATH_FIELD_LEN, SUPERBLOCK_LEN};

pub(crate) const SUPERBLOCK_MAGIC: u64 = 0x87b2_82ff;
pub(crate) const LOG_MAGIC: u64 = 0x0bad_cafe_f00d;

pub(crate) const ENTRY_FILE: u32 = 0;
pub(crate) const ENTRY_MKDIR: u32 = 1;
pub(crate) const ENTRY_ADD_DAXDEV: u32 = 3;

pub(crate) const EXTENTS_SIMPLE: u32 = 0;
pub(crate) const EXTENTS_INTERLEAVED: u32 = 1;

/// `struct famfs_superblock`, unchecked. Decode it with [`Superblock::decode`](crate::Superblock::decode).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct RawSuperblock {
    /// `ts_magic`: 0x87b282ff.
    pub magic: U64,
    /// `ts_version`: 47 or 48.
    pub version: U64,
    /// `ts_log_offset`: 0x200000.
    pub log_offset: U64,
    /// `ts_log_len`, bytes.
    pub log_len: U64,
    /// `ts_alloc_unit`, bytes.
    pub alloc_unit: U64,
    /// `ts_omf_ver_major`.
    pub omf_major: U32,
    /// `ts_omf_ver_minor`.
    pub omf_minor: U32,
    /// `ts_uuid`, in textual order: the file system.
    pub uuid: [u8; 16],
    /// `ts_dev_uuid`: the device.
    pub dev_uuid: [u8; 16],
    /// `ts_system_uuid`: the master host.
    pub system_uuid: [u8; 16],
    /// `ts_crc`: crc32 of everything before it, zero-extended.
    pub crc: U64,
    /// `ts_sb_flags`: not written by `mkfs.famfs`.
    pub flags: U32,
    /// Padding; keeps what the device held before.
    pub pad: U32,
    /// `ts_daxdev.dd_size`, bytes: the capacity.
    pub device_len: U64,
    /// `ts_daxdev.dd_uuid`: not written by `mkfs.famfs`.
    pub device_uuid: [u8; 16],
    /// `ts_daxdev.dd_daxdev`: the path given to `mkfs.famfs`, without a NUL if it fills the field.
    pub device_path: [u8; 64],
}

/// `struct famfs_log` without its entries, unchecked. Decode it with
/// [`LogHeader::decode`](crate::LogHeader::decode).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct RawLogHeader {
    /// 0xbadcafef00d.
    pub magic: U64,
    /// Bytes of the log; equals `ts_log_len`.
    pub len: U64,
    /// Index of the last entry there is room for.
    pub last_index: U64,
    /// crc32 of the three fields above, zero-extended.
    pub crc: U64,
    /// Sequence number of the next entry; under no checksum.
    pub next_seqnum: U64,
    /// Index of the next entry; under no checksum.
    pub next_index: U64,
}

/// `struct famfs_log_entry`, unchecked. Decode it with [`LogEntry::decode`](crate::LogEntry::decode).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct RawEntry {
    /// Sequence number; equals the entry's index.
    pub seqnum: U64,
    /// 0 FILE, 1 MKDIR, 2 DELETE, 3 ADD_DAXDEV.
    pub kind: U32,
    /// Padding.
    pub pad: U32,
    /// A [`RawFile`], [`RawMkdir`] or [`RawDaxdev`].
    pub body: [u8; 520],
    /// crc32 of everything before it, zero-extended.
    pub crc: U64,
}

/// Body of a FILE entry.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct RawFile {
    /// `fm_size`, bytes.
    pub size: U64,
    /// `fm_flags`.
    pub flags: U32,
    /// `fm_uid`.
    pub uid: U32,
    /// `fm_gid`.
    pub gid: U32,
    /// `fm_mode`.
    pub mode: U32,
    /// `fm_relpath`, NUL padded.
    pub path: [u8; PATH_FIELD_LEN],
    /// `fmap_ext_type`: 0 simple, 1 interleaved.
    pub extent_type: U32,
    /// Padding.
    pub pad_extent_type: U32,
    /// `fmap_nextents` of a simple map; `fmap_niext`, always 1, of an interleaved one.
    pub count: U32,
    /// Padding.
    pub pad_count: U32,
    /// A [`RawSimpleMap`] or a [`RawInterleavedMap`].
    pub map: [u8; 400],
}

/// Body of a MKDIR entry.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct RawMkdir {
    /// `md_uid`.
    pub uid: U32,
    /// `md_gid`.
    pub gid: U32,
    /// `md_mode`.
    pub mode: U32,
    /// `md_relpath`, NUL padded.
    pub path: [u8; PATH_FIELD_LEN],
    /// The rest of the union.
    pub pad: [u8; 428],
}

/// Body of an ADD_DAXDEV entry.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct RawDaxdev {
    /// `dd_size`, bytes.
    pub size: U64,
    /// `dd_uuid`, in textual order.
    pub uuid: [u8; 16],
    /// `dd_index`.
    pub index: U32,
    /// The rest of the union.
    pub pad: [u8; 492],
}

/// One extent, or one strip of an interleaved extent.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct RawExtent {
    /// `se_devindex`.
    pub dev_index: U64,
    /// `se_offset`: bytes from the start of the device.
    pub offset: U64,
    /// `se_len`, bytes.
    pub len: U64,
}

/// The map of a file whose extents follow each other.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct RawSimpleMap {
    /// The first `count` are in use.
    pub extents: [RawExtent; MAX_EXTENTS],
    /// The rest of the union.
    pub pad: [u8; 16],
}

/// The map of a file whose chunks go round over its strips.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct RawInterleavedMap {
    /// `ie_nstrips`: how many of `strips` are in use.
    pub nstrips: U64,
    /// `ie_chunk_size`, bytes.
    pub chunk_size: U64,
    /// The strips, in the order of the chunks.
    pub strips: [RawExtent; MAX_EXTENTS],
}

/// Bytes before the checksum, and under it.
pub(crate) const SUPERBLOCK_CRC_LEN: usize = offset_of!(RawSuperblock, crc);
pub(crate) const LOG_HEADER_CRC_LEN: usize = offset_of!(RawLogHeader, crc);
pub(crate) const ENTRY_CRC_LEN: usize = offset_of!(RawEntry, crc);

const _: () = {
    assert!(size_of::<RawSuperblock>() == SUPERBLOCK_LEN);
    assert!(offset_of!(RawSuperblock, version) == 8);
    assert!(offset_of!(RawSuperblock, log_offset) == 16);
    assert!(offset_of!(RawSuperblock, log_len) == 24);
    assert!(offset_of!(RawSuperblock, alloc_unit) == 32);
    assert!(offset_of!(RawSuperblock, omf_major) == 40);
    assert!(offset_of!(RawSuperblock, omf_minor) == 44);
    assert!(offset_of!(RawSuperblock, uuid) == 48);
    assert!(offset_of!(RawSuperblock, dev_uuid) == 64);
    assert!(offset_of!(RawSuperblock, system_uuid) == 80);
    assert!(SUPERBLOCK_CRC_LEN == 96);
    assert!(offset_of!(RawSuperblock, flags) == 104);
    assert!(offset_of!(RawSuperblock, device_len) == 112);
    assert!(offset_of!(RawSuperblock, device_uuid) == 120);
    assert!(offset_of!(RawSuperblock, device_path) == 136);

    assert!(size_of::<RawLogHeader>() == LOG_HEADER_LEN);
    assert!(offset_of!(RawLogHeader, len) == 8);
    assert!(offset_of!(RawLogHeader, last_index) == 16);
    assert!(LOG_HEADER_CRC_LEN == 24);
    assert!(offset_of!(RawLogHeader, next_seqnum) == 32);
    assert!(offset_of!(RawLogHeader, next_index) == 40);

    assert!(size_of::<RawEntry>() == ENTRY_LEN);
    assert!(offset_of!(RawEntry, kind) == 8);
    assert!(offset_of!(RawEntry, body) == 16);
    assert!(ENTRY_CRC_LEN == 536);

    // Offsets inside a body are relative to the body, which is at 16.
    assert!(size_of::<RawFile>() == 520);
    assert!(offset_of!(RawFile, flags) + 16 == 24);
    assert!(offset_of!(RawFile, uid) + 16 == 28);
    assert!(offset_of!(RawFile, gid) + 16 == 32);
    assert!(offset_of!(RawFile, mode) + 16 == 36);
    assert!(offset_of!(RawFile, path) + 16 == 40);
    assert!(offset_of!(RawFile, extent_type) + 16 == 120);
    assert!(offset_of!(RawFile, count) + 16 == 128);
    assert!(offset_of!(RawFile, map) + 16 == 136);
    assert!(size_of::<RawSimpleMap>() == 400);
    assert!(size_of::<RawInterleavedMap>() == 400);
    assert!(offset_of!(RawInterleavedMap, chunk_size) == 8);
    assert!(offset_of!(RawInterleavedMap, strips) == 16);
    assert!(size_of::<RawExtent>() == 24);

    assert!(size_of::<RawMkdir>() == 520);
    assert!(offset_of!(RawMkdir, gid) + 16 == 20);
    assert!(offset_of!(RawMkdir, mode) + 16 == 24);
    assert!(offset_of!(RawMkdir, path) + 16 == 28);

    assert!(size_of::<RawDaxdev>() == 520);
    assert!(offset_of!(RawDaxdev, uuid) + 16 == 24);
    assert!(offset_of!(RawDaxdev, index) + 16 == 40);
};
