//! The record of a committed version.

use std::sync::Arc;

use super::super::fault::RecordFault;
use super::super::fields::{FieldReader, FieldWriter};
use super::segment::{decode_owner, decode_segment, encode_owner, encode_segment, segment_len};
use super::{decode_name, record_len};
use crate::frame::{Owner, Segment};
use crate::name::FrameName;

const VERSION_FIXED_LEN: u64 = 64;

/// The version has the segments of the one before it.
const EXTENDS: u16 = 1;

/// The record also says how many versions the frame keeps from there on.
const KEEPS: u16 = 2;

/// The least that a segment takes within a record: one extent, no checksums.
const LEAST_SEGMENT_LEN: usize = 68;

/// The fields of a committed version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VersionRecord {
    pub(crate) name: FrameName,
    pub(crate) number: u64,
    /// True if it has the segments of the frame's version before it, too, in front of its own.
    pub(crate) extends: bool,
    pub(crate) schema_fingerprint: u64,
    pub(crate) committed_at_micros: i64,
    pub(crate) owner: Owner,
    /// Its own segments, at least one. In a log record each is named as the reservation that it was; in a checkpoint
    /// there is one, and records behind this one bring the others.
    pub(crate) added: Vec<Arc<Segment>>,
    /// In a log record: how many of its latest versions the frame itself keeps from here on, 0 for all, if the commit says
    /// so.
    pub(crate) keep: Option<u64>,
}

/// Bytes of a version's record in a checkpoint, of which `first` is the first own segment.
pub(crate) fn version_record_len(name: &FrameName, first: &Segment) -> u64 {
    record_len(VERSION_FIXED_LEN + segment_len(first) + name.as_str().len() as u64)
}

pub(super) fn encode_version(version: &VersionRecord, out: &mut FieldWriter) {
    out.u64(version.number);
    out.u64(version.schema_fingerprint);
    out.i64(version.committed_at_micros);
    encode_owner(&version.owner, out);
    // More make the record longer than any may be.
    out.u32(u32::try_from(version.added.len()).unwrap_or(u32::MAX));
    let extends = if version.extends { EXTENDS } else { 0 };
    out.u16(extends | version.keep.map_or(0, |_| KEEPS));
    // A name has 255 bytes at most.
    out.u16(u16::try_from(version.name.as_str().len()).unwrap_or(u16::MAX));
    version.keep.into_iter().for_each(|keep| out.u64(keep));
    version.added.iter().for_each(|segment| encode_segment(segment, out));
    out.bytes(version.name.as_str().as_bytes());
}

pub(super) fn decode_version(fields: &mut FieldReader<'_>) -> Result<VersionRecord, RecordFault> {
    let number = fields.u64("version")?;
    let schema_fingerprint = fields.u64("schema fingerprint")?;
    let committed_at_micros = fields.i64("time of commit")?;
    let owner = decode_owner(fields)?;
    let count = fields.u32("segment count")?;
    let flags = fields.u16("flags of a version")?;
    if flags & !(EXTENDS | KEEPS) != 0 {
        return Err(RecordFault::Value { what: "flags of a version", found: flags.into() });
    }
    let name_len = fields.u16("name length")?;
    if number == 0 {
        return Err(RecordFault::Value { what: "version", found: number });
    }
    if count == 0 {
        return Err(RecordFault::Value { what: "segment count", found: 0 });
    }
    let extends = flags & EXTENDS != 0;
    let keep = if flags & KEEPS != 0 { Some(fields.u64("versions to keep")?) } else { None };
    let count = fields.fits("segments", count.into(), LEAST_SEGMENT_LEN)?;
    let added = (0..count).map(|_| decode_segment(fields).map(Arc::new)).collect::<Result<_, _>>()?;
    let name = decode_name(name_len.into(), fields)?;
    Ok(VersionRecord { name, number, extends, schema_fingerprint, committed_at_micros, owner, added, keep })
}
