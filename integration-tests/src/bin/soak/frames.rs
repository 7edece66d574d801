//! Frames whose every number says where it belongs.
//!
//! A number is the frame's index (from bit 48), the put that wrote it (16 bits from bit 32), and the row within the
//! batch that was put. So bytes of another frame, of another put, or of nothing at all are seen.

use arrow_array::RecordBatch;
use farrow_integration_tests::{batch, numbers};

/// The number of names.
pub(crate) const FRAMES: u64 = 24;

const FRAME_SHIFT: u32 = 48;
const PUT_SHIFT: u32 = 32;

/// The name of frame `index`.
pub(crate) fn name(index: u64) -> String {
    format!("soak/{}/{index}", index % 3)
}

/// The rows of one put.
pub(crate) fn rows(index: u64, put: u16, rows: u32) -> RecordBatch {
    let first = (index << FRAME_SHIFT) | (u64::from(put) << PUT_SHIFT);
    batch(i64::try_from(first).expect("few frames"), i64::from(rows))
}

/// A digest of a batch of frame `index`, whose numbers and texts were all looked at.
///
/// # Errors
/// The first fault of them, in words: rows of another frame, or other rows than were put.
pub(crate) fn check(index: u64, batch: &RecordBatch) -> Result<i64, String> {
    let numbers = numbers(batch);
    let Some(&first) = numbers.first() else { return Ok(0) };
    if first.unsigned_abs() >> FRAME_SHIFT != index {
        return Err(format!("frame {index} begins with {first:#x}, which is of another frame"));
    }
    let expected = expected(first, numbers.len());
    if *batch != expected {
        let row = (0..numbers.len()).find(|&row| batch.slice(row, 1) != expected.slice(row, 1));
        return Err(format!(
            "frame {index}: row {row:?} of a batch of {} is not what was put",
            numbers.len()
        ));
    }
    Ok(numbers.iter().fold(0, |sum: i64, &number| sum.wrapping_add(number)))
}

fn expected(first: i64, len: usize) -> RecordBatch {
    batch(first, i64::try_from(len).expect("a length"))
}
