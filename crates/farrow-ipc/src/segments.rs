//! Batches in as many segments as their dictionaries need.

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;

use crate::error::IpcError;
use crate::prepare::prepare;

/// The same rows in batches as [`prepare`](fn@crate::prepare) makes them, for one segment; or for several, each of as many
/// of the next batches as can be joined, where the keys of a dictionary cannot count the values of all. There is always
/// a first segment, if need be without batches.
///
/// Batches that fit into one segment are joined once; else each about as often as the logarithm of the number in its segment.
///
/// # Errors
/// As [`prepare`](fn@crate::prepare); [`IpcError::Join`] only if a single batch does not fit.
pub fn prepare_segments(
    schema: &SchemaRef,
    batches: &[RecordBatch],
    target_bytes: u64,
) -> Result<Vec<Vec<RecordBatch>>, IpcError> {
    let joined = |batches: &[RecordBatch]| match prepare(schema, batches.iter().cloned(), target_bytes) {
        Err(IpcError::Join { .. }) if batches.len() > 1 => Ok(None),
        prepared => prepared.map(Some),
    };
    if let Some(all) = joined(batches)? {
        return Ok(vec![all]);
    }
    let (mut segments, mut rest) = (Vec::new(), batches);
    while !rest.is_empty() {
        let (segment, taken) = longest(rest, joined)?;
        segments.push(segment);
        rest = &rest[taken..];
    }
    Ok(segments)
}

/// As many of the first batches as can be joined, and how many they are. What is tried is never much longer than that.
fn longest(
    batches: &[RecordBatch],
    joined: impl Fn(&[RecordBatch]) -> Result<Option<Vec<RecordBatch>>, IpcError>,
) -> Result<(Vec<RecordBatch>, usize), IpcError> {
    let (mut segment, mut fits, mut too_many) = (Vec::new(), 0, batches.len() + 1);
    while fits + 1 < too_many {
        let next = (2 * fits).max(1).min(batches.len());
        let next = if next > fits && next < too_many { next } else { fits.midpoint(too_many) };
        match joined(&batches[..next])? {
            Some(prepared) => (segment, fits) = (prepared, next),
            None => too_many = next,
        }
    }
    Ok((segment, fits))
}
