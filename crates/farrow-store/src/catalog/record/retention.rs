//! The record of a retention.

use std::num::NonZeroU64;

use super::super::fault::RecordFault;
use super::super::fields::{FieldReader, FieldWriter};
use super::{decode_name, encode_text, record_len};
use crate::prefix::Prefix;
use crate::retention::{Retention, RetentionTarget};

const FIXED_LEN: u64 = 32;

/// The text is a name, whose frame alone is meant; a prefix of all names below; a name that is meant with all below it.
const FRAME: u16 = 0;
const BELOW: u16 = 1;
const WITH_BELOW: u16 = 2;

/// A retention that is set, or with `None` removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RetentionSet {
    pub(crate) target: RetentionTarget,
    pub(crate) retention: Option<Retention>,
    /// The user who set or removed it.
    pub(crate) uid: u32,
}

/// Bytes of the record of a retention, of the text of its name or prefix.
pub(crate) fn retention_record_len(text: &str) -> u64 {
    record_len(FIXED_LEN + text.len() as u64)
}

pub(super) fn encode_retention(set: &RetentionSet, out: &mut FieldWriter) {
    let (is_set, Retention { last, max_age_seconds }) =
        (set.retention.is_some(), set.retention.unwrap_or_default());
    out.u64(last.map_or(0, NonZeroU64::get));
    out.u64(max_age_seconds.map_or(0, NonZeroU64::get));
    out.u32(set.uid);
    let (kind, text) = match &set.target {
        RetentionTarget::Frame(name) => (FRAME, name.as_str()),
        RetentionTarget::Prefix(prefix) if prefix.itself().is_some() => (WITH_BELOW, prefix.text()),
        RetentionTarget::Prefix(prefix) => (BELOW, prefix.text()),
    };
    out.u16(kind);
    out.u16(u16::from(is_set));
    encode_text(text, out);
}

pub(super) fn decode_retention(fields: &mut FieldReader<'_>) -> Result<RetentionSet, RecordFault> {
    let (last, age) = (fields.u64("versions to keep")?, fields.u64("age in seconds")?);
    let uid = fields.u32("user")?;
    let kind = fields.u16("kind of a retention")?;
    let retention = match fields.u16("flags of a retention")? {
        1 => Some(Retention { last: NonZeroU64::new(last), max_age_seconds: NonZeroU64::new(age) }),
        0 if last == 0 && age == 0 => None,
        0 => return Err(RecordFault::NotZero { what: "retention that is removed" }),
        found => return Err(RecordFault::Value { what: "flags of a retention", found: found.into() }),
    };
    let len = fields.u64("text length")?;
    let target = match kind {
        FRAME => RetentionTarget::Frame(decode_name(len, fields)?),
        BELOW | WITH_BELOW => {
            let bytes = fields.bytes("text", fields.fits("text", len, 1)?)?;
            let text = std::str::from_utf8(bytes).map_err(|_| RecordFault::Name)?;
            let prefix = Prefix::parse(text).map_err(|_| RecordFault::Name)?;
            if prefix.itself().is_some() != (kind == WITH_BELOW) {
                return Err(RecordFault::Name);
            }
            RetentionTarget::Prefix(prefix)
        }
        found => return Err(RecordFault::Value { what: "kind of a retention", found: found.into() }),
    };
    Ok(RetentionSet { target, retention, uid })
}

/// The name of a frame, and how many versions it keeps.
pub(super) fn encode_old_retention(set: &RetentionSet, out: &mut FieldWriter) {
    let last = set.retention.and_then(|retention| retention.last);
    out.u64(last.map_or(0, NonZeroU64::get));
    if let RetentionTarget::Frame(name) = &set.target {
        encode_text(name.as_str(), out);
    }
}

pub(super) fn decode_old_retention(fields: &mut FieldReader<'_>) -> Result<RetentionSet, RecordFault> {
    let last = NonZeroU64::new(fields.u64("versions to keep")?);
    let len = fields.u64("name length")?;
    let target = RetentionTarget::Frame(decode_name(len, fields)?);
    let retention = last.map(|last| Retention { last: Some(last), max_age_seconds: None });
    Ok(RetentionSet { target, retention, uid: 0 })
}
