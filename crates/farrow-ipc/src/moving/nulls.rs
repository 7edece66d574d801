//! Nulls of arrays that have them by what they refer to.

use arrow_array::builder::BooleanBufferBuilder;
use arrow_buffer::NullBuffer;
use arrow_schema::DataType;

use crate::numbers::numbers;

/// Bytes that are copied at a time.
const PIECE: usize = 8 << 10;

/// True if arrays of this type may have nulls of which their bitmap says nothing.
pub(super) fn by_reference(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Null | DataType::Dictionary(..) | DataType::RunEndEncoded(..) | DataType::Union(..)
    )
}

/// Of `len` elements in runs with these ends, so many of so many bytes each.
///
/// # Errors
/// If the ends are not what they were when they were validated.
pub(super) fn of_runs(
    (ends, width): (&[u8], usize),
    count: usize,
    values: &NullBuffer,
    len: usize,
) -> Result<NullBuffer, String> {
    let mut nulls = BooleanBufferBuilder::new(len);
    let (mut run, mut copy) = (0, [0; PIECE]);
    for piece in ends[..count * width].chunks(PIECE) {
        let copy = &mut copy[..piece.len()];
        copy.copy_from_slice(piece);
        for end in numbers(copy, width) {
            let end = usize::try_from(end).unwrap_or_default().min(len);
            // Ends that go back add nothing, and the sum is found to be another one.
            nulls.append_n(end.saturating_sub(nulls.len()), values.is_valid(run));
            run += 1;
        }
    }
    if nulls.len() == len {
        return Ok(nulls.finish().into());
    }
    Err(format!("Run ends were changed while they were validated: the last one is {} of {len}", nulls.len()))
}

/// Of `len` keys of so many bytes, some of them null, that refer to `values`.
pub(super) fn of_keys(
    (keys, width): (&[u8], usize),
    len: usize,
    own: Option<&NullBuffer>,
    values: &NullBuffer,
) -> NullBuffer {
    let mut nulls = BooleanBufferBuilder::new(len);
    let mut copy = [0; PIECE];
    for piece in keys[..len * width].chunks(PIECE) {
        let copy = &mut copy[..piece.len()];
        copy.copy_from_slice(piece);
        for key in copy.chunks_exact(width) {
            let mut word = [0; 8];
            word[..width].copy_from_slice(key);
            let key = usize::try_from(u64::from_le_bytes(word)).unwrap_or(usize::MAX);
            // A key that refers to none is one of a null.
            let valid = own.is_none_or(|own| own.is_valid(nulls.len()));
            nulls.append(valid && (key >= values.len() || values.is_valid(key)));
        }
    }
    nulls.finish().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_and_keys_have_the_nulls_of_what_they_refer_to() {
        let values = NullBuffer::from(vec![true, false, true]);
        let bytes = |numbers: &[i16]| numbers.iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<_>>();
        let runs = |ends: &[i16]| of_runs((&bytes(ends), 2), ends.len(), &values, 5);
        assert_eq!(runs(&[2, 3, 9]).unwrap(), NullBuffer::from(vec![true, true, false, true, true]));
        // Ends that no validated array has.
        assert!(runs(&[2, 3, 4]).is_err() && runs(&[4, -1, 2]).is_err());
        assert_eq!(runs(&[5, 1, 2]).unwrap().null_count(), 0);
        let own = NullBuffer::from(vec![true, true, false, true]);
        let keys = of_keys((&bytes(&[0, 1, 2, -1]), 2), 4, Some(&own), &values);
        assert_eq!(keys, NullBuffer::from(vec![true, false, false, true]));
        // More than are copied at a time.
        let keys = of_keys((&bytes(&[2, 1].repeat(PIECE)), 2), 2 * PIECE, None, &values);
        assert_eq!(keys.null_count(), PIECE);
    }
}
