//! Records: what happened, one after the other.

mod retention;
mod segment;
mod version;

use std::sync::Arc;

use uuid::Uuid;

use super::fault::RecordFault;
use super::fields::{FieldReader, FieldWriter};
use crate::frame::{Extent, Owner, Segment};
use crate::name::{FrameName, MAX_NAME_LEN};
use crate::prefix::Prefix;
use retention::{decode_old_retention, decode_retention, encode_old_retention, encode_retention};
use segment::{
    EXTENT_LEN, decode_extents, decode_owner, decode_segment, encode_extents, encode_owner, encode_segment,
};
use version::{decode_version, encode_version};

pub(crate) use retention::{RetentionSet, retention_record_len};
pub(crate) use segment::segment_len;
pub(crate) use version::{VersionRecord, version_record_len};

/// The longest record, in bytes: what a reader must be ready to hold at once.
pub const MAX_RECORD_LEN: u64 = 16 * 1024 * 1024;

/// Bytes of the header of each record.
pub(super) const RECORD_HEADER_LEN: usize = 32;

/// Bytes that the body of an orphan's record has before the segment.
const ORPHAN_UID_LEN: u64 = 4;

const CRC_OFFSET: usize = 28;
const BODY_OFFSET: usize = RECORD_HEADER_LEN;

const VERSION_COMMITTED: u16 = 1;
const VERSION_DROPPED: u16 = 2;
const EXTENTS_FREED: u16 = 3;
const RESERVATION_TAKEN: u16 = 4;
const RESERVATION_ENDED: u16 = 5;
const MASTER_STARTED: u16 = 6;
const SEGMENT_KEPT: u16 = 7;
// Set aside: 8 host joined, 9 host left.
const OLD_RETENTION_SET: u16 = 10;
const PREFIX_DROPPED: u16 = 11;
const ORPHAN_KEPT: u16 = 12;
const NUMBER_KEPT: u16 = 13;
const FLOOR_KEPT: u16 = 14;
const RETENTION_SET: u16 = 15;

/// Flags of a PrefixDropped: the latest version of each frame is meant, too; the text is a name, and that frame is meant
/// with all below it.
const LATEST: u64 = 1;
const ITSELF: u64 = 2;

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// Counts the region's records, from 1, over all compactions.
    pub(crate) seq: u64,
    /// The epoch of the master that wrote it.
    pub(crate) epoch: u64,
    pub(crate) body: Body,
}

/// The change that a record describes.
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
    /// Only in a checkpoint: one more segment of the version that the records before it are about.
    SegmentKept(Arc<Segment>),
    /// Only in a checkpoint: a segment that is in no version any more, and the user whose version it was.
    OrphanKept { uid: u32, segment: Arc<Segment> },
    /// Only in a checkpoint: the highest number that a frame has given, if its latest version has another or there is
    /// no version left.
    NumberKept { name: FrameName, number: u64 },
    /// Only in a checkpoint: the number behind which the numbers of names begin of which nothing is known.
    FloorKept { number: u64 },
    /// From here on frames keep other versions than before.
    RetentionSet(RetentionSet),
    /// The same of one frame that is there, without an age and a user. Only read.
    OldRetentionSet(RetentionSet),
    /// The versions that it means do not exist any more.
    PrefixDropped(PrefixDropped),
}

/// Versions of several frames: those committed up to a time, of the frames that a prefix means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PrefixDropped {
    pub(crate) prefix: Prefix,
    /// Microseconds since the Unix epoch; the versions of that very moment are meant, too.
    pub(crate) until_micros: i64,
    /// True if the latest version of each frame is meant, too.
    pub(crate) latest: bool,
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

/// Bytes of a record whose body has so many.
pub(super) const fn record_len(body: u64) -> u64 {
    RECORD_HEADER_LEN as u64 + body.next_multiple_of(8)
}

/// Bytes of the record of a segment alone in a checkpoint, whether a version has it or not.
pub(crate) fn segment_record_len(segment: &Segment) -> u64 {
    record_len(ORPHAN_UID_LEN + segment_len(segment))
}

/// Bytes of a reservation's record.
pub(crate) fn reservation_record_len(extents: usize) -> u64 {
    record_len(48 + extents as u64 * EXTENT_LEN)
}

/// Bytes of the record of a name's highest number.
pub(crate) fn number_record_len(name: &FrameName) -> u64 {
    record_len(16 + name.as_str().len() as u64)
}

/// Bytes of the record of the floor.
pub(crate) const FLOOR_RECORD_LEN: u64 = record_len(8);

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
            Self::RetentionSet(_) => RETENTION_SET,
            Self::OldRetentionSet(_) => OLD_RETENTION_SET,
            Self::PrefixDropped(_) => PREFIX_DROPPED,
            Self::OrphanKept { .. } => ORPHAN_KEPT,
            Self::NumberKept { .. } => NUMBER_KEPT,
            Self::FloorKept { .. } => FLOOR_KEPT,
        }
    }

    fn encode(&self, out: &mut FieldWriter) {
        match self {
            Self::VersionCommitted(version) => encode_version(version, out),
            Self::VersionDropped { name, number } => {
                out.u64(number.unwrap_or(0));
                encode_text(name.as_str(), out);
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
            Self::OrphanKept { uid, segment } => {
                out.u32(*uid);
                encode_segment(segment, out);
            }
            Self::NumberKept { name, number } => {
                out.u64(*number);
                encode_text(name.as_str(), out);
            }
            Self::FloorKept { number } => out.u64(*number),
            Self::RetentionSet(set) => encode_retention(set, out),
            Self::OldRetentionSet(set) => encode_old_retention(set, out),
            Self::PrefixDropped(dropped) => {
                out.i64(dropped.until_micros);
                let latest = if dropped.latest { LATEST } else { 0 };
                let (flags, text) = match dropped.prefix.itself() {
                    Some(name) => (latest | ITSELF, name),
                    None => (latest, dropped.prefix.start()),
                };
                out.u64(flags);
                encode_text(text, out);
            }
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
            OLD_RETENTION_SET => Self::OldRetentionSet(decode_old_retention(fields)?),
            PREFIX_DROPPED => Self::PrefixDropped(decode_prefix_dropped(fields)?),
            ORPHAN_KEPT => {
                Self::OrphanKept { uid: fields.u32("uid")?, segment: Arc::new(decode_segment(fields)?) }
            }
            NUMBER_KEPT => {
                let number = fields.u64("highest version")?;
                let name_len = fields.u64("name length")?;
                Self::NumberKept { number, name: decode_name(name_len, fields)? }
            }
            FLOOR_KEPT => Self::FloorKept { number: fields.u64("floor")? },
            RETENTION_SET => Self::RetentionSet(decode_retention(fields)?),
            found => return Err(RecordFault::Type { found }),
        })
    }
}

fn decode_prefix_dropped(fields: &mut FieldReader<'_>) -> Result<PrefixDropped, RecordFault> {
    let until_micros = fields.i64("time")?;
    let flags = fields.u64("flags of the prefix")?;
    if flags & !(LATEST | ITSELF) != 0 {
        return Err(RecordFault::Value { what: "flags of the prefix", found: flags });
    }
    let len = fields.u64("prefix length")?;
    if len > MAX_NAME_LEN as u64 {
        return Err(RecordFault::Value { what: "prefix length", found: len });
    }
    let bytes = fields.bytes("prefix", fields.fits("prefix", len, 1)?)?;
    let text = std::str::from_utf8(bytes).map_err(|_| RecordFault::Name)?;
    let prefix = match flags & ITSELF {
        0 => Prefix::starting(text),
        _ => Prefix::parse(text).ok().filter(|prefix| prefix.itself().is_some()).ok_or(RecordFault::Name)?,
    };
    Ok(PrefixDropped { prefix, until_micros, latest: flags & LATEST != 0 })
}

fn encode_text(text: &str, out: &mut FieldWriter) {
    out.u64(text.len() as u64);
    out.bytes(text.as_bytes());
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
