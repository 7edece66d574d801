//! Records: what happened, one after the other.

use std::sync::Arc;

use uuid::Uuid;

use super::fault::RecordFault;
use super::fields::{FieldReader, FieldWriter};
use crate::allocator::{MAX_EXTENTS, PAGE};
use crate::frame::{Extent, Owner, Segment, Validation};
use crate::name::FrameName;

/// The longest record, in bytes: what a reader must be ready to hold at once.
pub const MAX_RECORD_LEN: u64 = 16 * 1024 * 1024;

/// Bytes of the header of each record.
pub(super) const RECORD_HEADER_LEN: usize = 32;

const CRC_OFFSET: usize = 28;
const BODY_OFFSET: usize = RECORD_HEADER_LEN;

const VERSION_FIXED_LEN: u64 = 88;
const SEGMENT_FIXED_LEN: u64 = 56;
const EXTENT_LEN: u64 = 24;

const VERSION_COMMITTED: u16 = 1;
const VERSION_DROPPED: u16 = 2;
const EXTENTS_FREED: u16 = 3;
const RESERVATION_TAKEN: u16 = 4;
const RESERVATION_ENDED: u16 = 5;
const MASTER_STARTED: u16 = 6;
const SEGMENT_KEPT: u16 = 7;
// Set aside: 8 host joined, 9 host left, 10 retention set.

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// Counts the region's records, from 1, over all compactions.
    pub(crate) seq: u64,
    /// The epoch of the master that wrote it.
    pub(crate) epoch: u64,
    pub(crate) body: Body,
}

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// A version exists from here on.
    VersionCommitted(VersionRecord),
    /// A version, or with `None` every version of the frame, does not exist any more.
    VersionDropped { name: FrameName, number: Option<u64> },
    /// The extents of these segments, which are in no version, are free.
    ExtentsFreed { segments: Vec<u64> },
    /// Extents are given to a writer. The reservation's id and generation are the record's `seq`.
    ReservationTaken { owner: Owner, len: u64, extents: Vec<Extent> },
    /// A reservation ended without a version; its extents are free.
    ReservationEnded { id: u64 },
    /// A master took over; the record carries its epoch.
    MasterStarted { host: Uuid },
    /// Only in a checkpoint: a segment, whether in a version or not.
    SegmentKept(Arc<Segment>),
}

/// The fields of a committed version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VersionRecord {
    pub(crate) name: FrameName,
    pub(crate) number: u64,
    /// The highest number that the frame has given; in a log record the version's own.
    pub(crate) last_number: u64,
    pub(crate) schema_fingerprint: u64,
    pub(crate) committed_at_micros: i64,
    pub(crate) owner: Owner,
    /// All segments of the version in order, the written one last.
    pub(crate) segments: Vec<u64>,
    /// In a log record: the segment that the writer brings. In a checkpoint: nothing.
    pub(crate) written: Option<Written>,
}

/// A reservation that became a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) reservation: u64,
    pub(crate) segment: Arc<Segment>,
}

impl Record {
    /// The record's bytes. They are at most [`MAX_RECORD_LEN`], or there is no record: the length is the error.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, u64> {
        let mut out = FieldWriter::default();
        out.u32(0);
        out.u16(self.body.kind());
        out.u16(0);
        out.u64(self.seq);
        out.u64(self.epoch);
        out.u32(0);
        out.u32(0);
        self.body.encode(&mut out);
        let body_len = out.0.len() - BODY_OFFSET;
        out.pad();
        let mut bytes = out.0;
        let len = bytes.len() as u64;
        let (Ok(len), Ok(body_len)) = (u32::try_from(len), u32::try_from(body_len)) else { return Err(len) };
        if u64::from(len) > MAX_RECORD_LEN {
            return Err(u64::from(len));
        }
        bytes[0..4].copy_from_slice(&len.to_le_bytes());
        bytes[24..28].copy_from_slice(&body_len.to_le_bytes());
        let crc = record_crc(&bytes);
        bytes[CRC_OFFSET..BODY_OFFSET].copy_from_slice(&crc.to_le_bytes());
        Ok(bytes)
    }

    /// The length in a record's first bytes, if `left` committed bytes can hold it.
    pub(super) fn peek_len(first: [u8; 4], left: u64) -> Result<usize, RecordFault> {
        let len = u64::from(u32::from_le_bytes(first));
        let max = left.min(MAX_RECORD_LEN);
        match usize::try_from(len) {
            Ok(fits) if fits >= RECORD_HEADER_LEN && len <= max && len % 8 == 0 => Ok(fits),
            _ => Err(RecordFault::Length { len, max }),
        }
    }

    /// Reads one whole record, strictly: what it accepts encodes to the same bytes.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, RecordFault> {
        let mut header = FieldReader::new(bytes);
        let len = header.u32("length")?;
        let kind = header.u16("type")?;
        let zero = header.u16("header")?;
        let seq = header.u64("seq")?;
        let epoch = header.u64("epoch")?;
        let body_len = header.u32("body length")?;
        let stored = header.u32("crc")?;
        let computed = record_crc(bytes);
        if stored != computed {
            return Err(RecordFault::Crc { stored, computed });
        }
        if u64::from(len) != bytes.len() as u64 {
            return Err(RecordFault::Value { what: "length", found: len.into() });
        }
        if zero != 0 {
            return Err(RecordFault::NotZero { what: "header" });
        }
        let body = header.bytes("body", header.fits("body", body_len.into(), 1)?)?;
        if header.left() >= 8 {
            return Err(RecordFault::Extra { extra: header.left() });
        }
        header.zero("padding", header.left())?;
        let mut fields = FieldReader::new(body);
        let body = Body::decode(kind, &mut fields)?;
        fields.end()?;
        Ok(Self { seq, epoch, body })
    }
}

/// Bytes of the record that keeps a segment in a checkpoint.
pub(crate) fn segment_record_len(segment: &Segment) -> u64 {
    RECORD_HEADER_LEN as u64 + segment_len(segment)
}

/// Bytes of a version's record in a checkpoint.
pub(crate) fn version_record_len(name: &FrameName, segments: usize) -> u64 {
    let body = VERSION_FIXED_LEN + segments as u64 * 8 + name.as_str().len() as u64;
    RECORD_HEADER_LEN as u64 + body.next_multiple_of(8)
}

/// Bytes of a reservation's record.
pub(crate) fn reservation_record_len(extents: usize) -> u64 {
    RECORD_HEADER_LEN as u64 + 48 + extents as u64 * EXTENT_LEN
}

fn segment_len(segment: &Segment) -> u64 {
    SEGMENT_FIXED_LEN + segment.extents.len() as u64 * EXTENT_LEN + segment.checksums.len() as u64 * 8
}

/// Over everything but the checksum itself.
fn record_crc(bytes: &[u8]) -> u32 {
    let (head, tail) = bytes.split_at(CRC_OFFSET);
    crc32c::crc32c_append(crc32c::crc32c(head), &tail[4..])
}

impl Body {
    fn kind(&self) -> u16 {
        match self {
            Self::VersionCommitted(_) => VERSION_COMMITTED,
            Self::VersionDropped { .. } => VERSION_DROPPED,
            Self::ExtentsFreed { .. } => EXTENTS_FREED,
            Self::ReservationTaken { .. } => RESERVATION_TAKEN,
            Self::ReservationEnded { .. } => RESERVATION_ENDED,
            Self::MasterStarted { .. } => MASTER_STARTED,
            Self::SegmentKept(_) => SEGMENT_KEPT,
        }
    }

    fn encode(&self, out: &mut FieldWriter) {
        match self {
            Self::VersionCommitted(version) => encode_version(version, out),
            Self::VersionDropped { name, number } => {
                out.u64(number.unwrap_or(0));
                out.u64(name.as_str().len() as u64);
                out.bytes(name.as_str().as_bytes());
            }
            Self::ExtentsFreed { segments } => {
                out.u64(segments.len() as u64);
                segments.iter().for_each(|&id| out.u64(id));
            }
            Self::ReservationTaken { owner, len, extents } => {
                encode_owner(owner, out);
                out.u64(*len);
                out.u64(extents.len() as u64);
                encode_extents(extents, out);
            }
            Self::ReservationEnded { id } => out.u64(*id),
            Self::MasterStarted { host } => out.uuid(host),
            Self::SegmentKept(segment) => encode_segment(segment, out),
        }
    }

    fn decode(kind: u16, fields: &mut FieldReader<'_>) -> Result<Self, RecordFault> {
        Ok(match kind {
            VERSION_COMMITTED => Self::VersionCommitted(decode_version(fields)?),
            VERSION_DROPPED => {
                let number = fields.u64("version")?;
                let name_len = fields.u64("name length")?;
                Self::VersionDropped {
                    number: (number > 0).then_some(number),
                    name: decode_name(name_len, fields)?,
                }
            }
            EXTENTS_FREED => {
                let count = fields.u64("segment count")?;
                Self::ExtentsFreed { segments: decode_ids(count, fields)? }
            }
            RESERVATION_TAKEN => {
                let owner = decode_owner(fields)?;
                let len = fields.u64("reserved length")?;
                let count = fields.u64("extent count")?;
                let extents = decode_extents(count, len, fields)?;
                Self::ReservationTaken { owner, len, extents }
            }
            RESERVATION_ENDED => Self::ReservationEnded { id: fields.u64("reservation")? },
            MASTER_STARTED => Self::MasterStarted { host: fields.uuid("host")? },
            SEGMENT_KEPT => Self::SegmentKept(Arc::new(decode_segment(fields)?)),
            found => return Err(RecordFault::Type { found }),
        })
    }
}

fn encode_version(version: &VersionRecord, out: &mut FieldWriter) {
    out.u64(version.number);
    out.u64(version.last_number);
    out.u64(version.written.as_ref().map_or(0, |written| written.reservation));
    out.u64(version.schema_fingerprint);
    out.i64(version.committed_at_micros);
    encode_owner(&version.owner, out);
    out.u64(version.name.as_str().len() as u64);
    out.u64(version.segments.len() as u64);
    version.segments.iter().for_each(|&id| out.u64(id));
    if let Some(written) = &version.written {
        encode_segment(&written.segment, out);
    }
    out.bytes(version.name.as_str().as_bytes());
}

fn decode_version(fields: &mut FieldReader<'_>) -> Result<VersionRecord, RecordFault> {
    let number = fields.u64("version")?;
    let last_number = fields.u64("last version")?;
    let reservation = fields.u64("reservation")?;
    let schema_fingerprint = fields.u64("schema fingerprint")?;
    let committed_at_micros = fields.i64("time of commit")?;
    let owner = decode_owner(fields)?;
    let name_len = fields.u64("name length")?;
    let count = fields.u64("segment count")?;
    let segments = decode_ids(count, fields)?;
    let written = match reservation {
        0 => None,
        _ => Some(Written { reservation, segment: Arc::new(decode_segment(fields)?) }),
    };
    let name = decode_name(name_len, fields)?;
    if number == 0 || last_number < number {
        return Err(RecordFault::Value { what: "version", found: number });
    }
    Ok(VersionRecord {
        name,
        number,
        last_number,
        schema_fingerprint,
        committed_at_micros,
        owner,
        segments,
        written,
    })
}

fn encode_segment(segment: &Segment, out: &mut FieldWriter) {
    out.u64(segment.id);
    out.u64(segment.generation);
    out.u64(segment.len);
    out.u64(segment.rows);
    out.u64(segment.metadata_digest);
    out.u32(segment.batches);
    out.u16(match segment.validation {
        Validation::None => 0,
        Validation::Structure => 1,
        Validation::Values => 2,
    });
    // The store gives out 16 extents at most.
    out.u16(u16::try_from(segment.extents.len()).unwrap_or(u16::MAX));
    out.u64(segment.checksums.len() as u64);
    encode_extents(&segment.extents, out);
    segment.checksums.iter().for_each(|&checksum| out.u64(checksum));
}

fn decode_segment(fields: &mut FieldReader<'_>) -> Result<Segment, RecordFault> {
    let id = fields.u64("segment")?;
    let generation = fields.u64("generation")?;
    let len = fields.u64("segment length")?;
    let rows = fields.u64("rows")?;
    let metadata_digest = fields.u64("metadata digest")?;
    let batches = fields.u32("batches")?;
    let validation = match fields.u16("validation")? {
        0 => Validation::None,
        1 => Validation::Structure,
        2 => Validation::Values,
        found => return Err(RecordFault::Value { what: "validation", found: found.into() }),
    };
    let extent_count = fields.u16("extent count")?;
    let checksum_count = fields.u64("checksum count")?;
    if checksum_count != 0 && checksum_count < u64::from(batches) {
        return Err(RecordFault::Value { what: "checksum count", found: checksum_count });
    }
    let extents = decode_extents(extent_count.into(), len, fields)?;
    let checksum_count = fields.fits("checksums", checksum_count, 8)?;
    let checksums = (0..checksum_count).map(|_| fields.u64("checksums")).collect::<Result<_, _>>()?;
    Ok(Segment { id, len, generation, extents, rows, batches, validation, metadata_digest, checksums })
}

fn encode_owner(owner: &Owner, out: &mut FieldWriter) {
    out.uuid(&owner.host);
    out.u32(owner.uid);
    out.u32(owner.pid);
    out.u64(owner.start_time);
}

fn decode_owner(fields: &mut FieldReader<'_>) -> Result<Owner, RecordFault> {
    Ok(Owner {
        host: fields.uuid("owner's host")?,
        uid: fields.u32("owner's uid")?,
        pid: fields.u32("owner's pid")?,
        start_time: fields.u64("owner's start time")?,
    })
}

fn encode_extents(extents: &[Extent], out: &mut FieldWriter) {
    for extent in extents {
        out.u32(extent.pool);
        out.u32(0);
        out.u64(extent.offset);
        out.u64(extent.len);
    }
}

/// Extents that hold exactly `len` bytes, rounded up to whole pages.
fn decode_extents(count: u64, len: u64, fields: &mut FieldReader<'_>) -> Result<Vec<Extent>, RecordFault> {
    if count == 0 || count > MAX_EXTENTS as u64 {
        return Err(RecordFault::Value { what: "extent count", found: count });
    }
    let mut extents = Vec::with_capacity(MAX_EXTENTS);
    let mut total = 0_u64;
    for _ in 0..count {
        let pool = fields.u32("pool of an extent")?;
        fields.zero("an extent", 4)?;
        let extent =
            Extent { pool, offset: fields.u64("offset of an extent")?, len: fields.u64("an extent")? };
        if !extent.offset.is_multiple_of(PAGE) {
            return Err(RecordFault::Value { what: "offset of an extent", found: extent.offset });
        }
        total = match total.checked_add(extent.len) {
            Some(total) if extent.len > 0 && extent.len.is_multiple_of(PAGE) => total,
            _ => return Err(RecordFault::Value { what: "length of an extent", found: extent.len }),
        };
        extents.push(extent);
    }
    if len == 0 || len.checked_next_multiple_of(PAGE) != Some(total) {
        return Err(RecordFault::Value { what: "length in the extents", found: len });
    }
    Ok(extents)
}

fn decode_ids(count: u64, fields: &mut FieldReader<'_>) -> Result<Vec<u64>, RecordFault> {
    let count = fields.fits("segments", count, 8)?;
    if count == 0 {
        return Err(RecordFault::Value { what: "segment count", found: 0 });
    }
    (0..count).map(|_| fields.u64("segments")).collect()
}

fn decode_name(len: u64, fields: &mut FieldReader<'_>) -> Result<FrameName, RecordFault> {
    let bytes = fields.bytes("name", fields.fits("name", len, 1)?)?;
    let name = std::str::from_utf8(bytes).map_err(|_| RecordFault::Name)?;
    FrameName::parse(name).map_err(|_| RecordFault::Name)
}

#[cfg(test)]
mod tests;
