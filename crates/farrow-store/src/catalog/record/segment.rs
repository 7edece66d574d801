//! Segments within records, and what they and reservations share: owners and extents.

use super::super::fault::RecordFault;
use super::super::fields::{FieldReader, FieldWriter};
use crate::allocator::{MAX_EXTENTS, PAGE};
use crate::frame::{Extent, Owner, Segment, Validation};

const SEGMENT_FIXED_LEN: u64 = 44;

/// Bytes of an extent within a record.
pub(super) const EXTENT_LEN: u64 = 24;

/// Bytes of a segment within a record.
pub(crate) fn segment_len(segment: &Segment) -> u64 {
    SEGMENT_FIXED_LEN + segment.extents.len() as u64 * EXTENT_LEN + segment.checksums.len() as u64 * 8
}

pub(super) fn encode_segment(segment: &Segment, out: &mut FieldWriter) {
    // Its generation is its id.
    out.u64(segment.id);
    out.u64(segment.len);
    out.u64(segment.rows);
    out.u64(segment.metadata_digest);
    out.u32(segment.batches);
    // As many as a record has room for, which is less.
    out.u32(u32::try_from(segment.checksums.len()).unwrap_or(u32::MAX));
    out.u16(match segment.validation {
        Validation::None => 0,
        Validation::Structure => 1,
        Validation::Values => 2,
    });
    // The store gives out 16 extents at most.
    out.u16(u16::try_from(segment.extents.len()).unwrap_or(u16::MAX));
    encode_extents(&segment.extents, out);
    segment.checksums.iter().for_each(|&checksum| out.u64(checksum));
}

pub(super) fn decode_segment(fields: &mut FieldReader<'_>) -> Result<Segment, RecordFault> {
    let id = fields.u64("segment")?;
    let len = fields.u64("segment length")?;
    let rows = fields.u64("rows")?;
    let metadata_digest = fields.u64("metadata digest")?;
    let batches = fields.u32("batches")?;
    let checksum_count = fields.u32("checksum count")?;
    let validation = match fields.u16("validation")? {
        0 => Validation::None,
        1 => Validation::Structure,
        2 => Validation::Values,
        found => return Err(RecordFault::Value { what: "validation", found: found.into() }),
    };
    let extent_count = fields.u16("extent count")?;
    if checksum_count != 0 && checksum_count < batches {
        return Err(RecordFault::Value { what: "checksum count", found: checksum_count.into() });
    }
    let extents = decode_extents(extent_count.into(), len, fields)?;
    let checksum_count = fields.fits("checksums", checksum_count.into(), 8)?;
    let checksums = (0..checksum_count).map(|_| fields.u64("checksums")).collect::<Result<_, _>>()?;
    Ok(Segment { id, len, generation: id, extents, rows, batches, validation, metadata_digest, checksums })
}

pub(super) fn encode_owner(owner: &Owner, out: &mut FieldWriter) {
    out.uuid(&owner.host);
    out.u32(owner.uid);
    out.u32(owner.pid);
    out.u64(owner.start_time);
}

pub(super) fn decode_owner(fields: &mut FieldReader<'_>) -> Result<Owner, RecordFault> {
    Ok(Owner {
        host: fields.uuid("owner's host")?,
        uid: fields.u32("owner's uid")?,
        pid: fields.u32("owner's pid")?,
        start_time: fields.u64("owner's start time")?,
    })
}

pub(super) fn encode_extents(extents: &[Extent], out: &mut FieldWriter) {
    for extent in extents {
        out.u32(extent.pool);
        out.u32(0);
        out.u64(extent.offset);
        out.u64(extent.len);
    }
}

/// Extents that hold exactly `len` bytes, rounded up to whole pages.
pub(super) fn decode_extents(
    count: u64,
    len: u64,
    fields: &mut FieldReader<'_>,
) -> Result<Vec<Extent>, RecordFault> {
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
