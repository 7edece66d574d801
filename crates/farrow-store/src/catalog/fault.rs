//! Faults of the bytes of a catalog.

use thiserror::Error;
use uuid::Uuid;

use crate::state::StateFault;

/// A fault of a catalog. Offsets are media offsets, for use with a hex dump.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CatalogFault {
    /// The file is shorter or longer than a catalog can be, or not made of one piece.
    #[error("catalog file has {len} bytes in {extents} extents, need one extent and 32768 bytes or more")]
    File {
        /// Bytes of the file.
        len: u64,
        /// Extents of its famfs map.
        extents: usize,
    },
    /// The head does not begin with the catalog's magic number.
    #[error("catalog head at {at:#x}: magic {found:#018x}, expected {expected:#018x}")]
    HeadMagic {
        /// Its offset, in bytes.
        at: u64,
        /// On media.
        found: u64,
        /// The expected value.
        expected: u64,
    },
    /// The head was written by a later farrow, or is damaged.
    #[error("catalog head at {at:#x}: format version {found}, this farrow knows {expected}")]
    HeadVersion {
        /// Its offset, in bytes.
        at: u64,
        /// On media.
        found: u32,
        /// The version that this code reads.
        expected: u32,
    },
    /// The head's checksum does not match.
    #[error("catalog head at {at:#x}: crc {stored:#010x} stored, {computed:#010x} computed")]
    HeadCrc {
        /// Its offset, in bytes.
        at: u64,
        /// On media.
        stored: u32,
        /// Over the bytes on media.
        computed: u32,
    },
    /// The catalog was made for another region.
    #[error("catalog belongs to region {found}, the superblock says {expected}")]
    HeadRegion {
        /// In the catalog's head.
        found: Uuid,
        /// In the superblock.
        expected: Uuid,
    },
    /// The halves are not where the file's length puts them.
    #[error(
        "catalog head at {at:#x}: halves at {offsets:#x?} of {half_len} bytes do not match a file of {len} bytes"
    )]
    HeadLayout {
        /// Its offset, in bytes.
        at: u64,
        /// Offsets of the halves in the catalog file.
        offsets: [u64; 2],
        /// Bytes of each half.
        half_len: u64,
        /// Bytes of the file.
        len: u64,
    },
    /// The commit word gives a length that a half cannot have.
    #[error(
        "commit word at {at:#x} is {word:#018x}: committed length {committed}, a half holds 64 to {half_len}"
    )]
    CommitWord {
        /// Its offset, in bytes.
        at: u64,
        /// On media.
        word: u64,
        /// The length it gives, in bytes.
        committed: u64,
        /// Bytes of a half.
        half_len: u64,
    },
    /// The live half does not begin with its magic number.
    #[error("catalog half at {at:#x}: magic {found:#018x}, expected {expected:#018x}")]
    HalfMagic {
        /// Its offset, in bytes.
        at: u64,
        /// On media.
        found: u64,
        /// The expected value.
        expected: u64,
    },
    /// The half header's checksum does not match.
    #[error("catalog half at {at:#x}: crc {stored:#010x} stored, {computed:#010x} computed")]
    HalfCrc {
        /// Its offset, in bytes.
        at: u64,
        /// On media.
        stored: u32,
        /// Over the bytes on media.
        computed: u32,
    },
    /// The commit word names another half than the one that is there.
    #[error(
        "catalog half at {at:#x} has serial {found}, the commit word names one that ends in {expected:#06x}"
    )]
    HalfSerial {
        /// Its offset, in bytes.
        at: u64,
        /// On media.
        found: u64,
        /// Low 16 bits, from the commit word.
        expected: u16,
    },
    /// The checkpoint is longer than what is committed, or does not end between two records.
    #[error("catalog half at {at:#x}: checkpoint of {checkpoint_len} bytes, {committed} bytes are committed")]
    Checkpoint {
        /// Its offset, in bytes.
        at: u64,
        /// On media.
        checkpoint_len: u64,
        /// From the commit word.
        committed: u64,
    },
    /// The commit word carries another epoch than the last record.
    #[error(
        "commit word at {at:#x} has an epoch that ends in {found:#06x}, the last record has epoch {expected}"
    )]
    WordEpoch {
        /// Its offset, in bytes.
        at: u64,
        /// Low 16 bits, from the commit word.
        found: u16,
        /// From the records.
        expected: u64,
    },
    /// A record, or something of fixed place, that cannot be read.
    #[error("catalog at {at:#x}: {fault}")]
    Record {
        /// Its offset, in bytes.
        at: u64,
        /// The reason why.
        fault: RecordFault,
    },
    /// A record that can be read, but not follow what comes before it.
    #[error("catalog record {seq} at {at:#x}: {fault}")]
    State {
        /// Its offset, in bytes.
        at: u64,
        /// The record's sequence number.
        seq: u64,
        /// The reason why.
        fault: StateFault,
    },
}

/// A fault of the bytes of one record.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RecordFault {
    /// The length is not one that a record can have here.
    #[error("length {len}, expected a multiple of 8 from 32 to {max}")]
    Length {
        /// On media.
        len: u64,
        /// The rest of the committed bytes, or the longest record.
        max: u64,
    },
    /// The checksum does not match.
    #[error("crc {stored:#010x} stored, {computed:#010x} computed")]
    Crc {
        /// On media.
        stored: u32,
        /// Over the bytes on media.
        computed: u32,
    },
    /// A type that this farrow does not know.
    #[error("unknown type {found}")]
    Type {
        /// On media.
        found: u16,
    },
    /// A field runs past the end of the body, or the body past the end of the record.
    #[error("{what} runs past the end")]
    Short {
        /// The field.
        what: &'static str,
    },
    /// The body is longer than its fields, or the record longer than its body needs.
    #[error("{extra} bytes too many")]
    Extra {
        /// The number.
        extra: usize,
    },
    /// Bytes that must be zero are not.
    #[error("{what} is not zero")]
    NotZero {
        /// The field.
        what: &'static str,
    },
    /// A field has a value that it cannot have.
    #[error("{what} is {found}")]
    Value {
        /// The field.
        what: &'static str,
        /// On media.
        found: u64,
    },
    /// The name is not the name of a frame.
    #[error("the name is not the name of a frame")]
    Name,
}
