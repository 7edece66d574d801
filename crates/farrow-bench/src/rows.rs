//! The rows that are put, got and read: eight columns of 64-bit integers.

use std::sync::Arc;

use anyhow::ensure;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int64Array, RecordBatch};

use crate::size::Size;

pub(crate) const COLUMNS: u64 = 8;

/// The size to which a put joins smaller batches, so that none has to be joined.
const BATCH_BYTES: u64 = 64 << 20;

/// Batches of so many bytes of data in all, and the [`sum`] of everything in them.
pub(crate) fn rows(size: Size) -> anyhow::Result<(Vec<RecordBatch>, i64)> {
    let width = 8 * COLUMNS;
    let rows = i64::try_from(size.0 / width)?;
    let step = i64::try_from(BATCH_BYTES / width)?;
    let mut batches = Vec::new();
    let mut first = 0;
    while first < rows {
        let end = rows.min(first + step);
        // Each column has memory of its own: a copy of one would find the next in the cache.
        let column = || Arc::new(Int64Array::from_iter_values(first..end)) as ArrayRef;
        batches.push(RecordBatch::try_from_iter((0..COLUMNS).map(|index| (format!("c{index}"), column())))?);
        first = end;
    }
    let eight = i64::try_from(COLUMNS)?;
    Ok((batches, eight * (rows * (rows - 1) / 2)))
}

/// Reads every value.
pub(crate) fn sum<'a>(batches: impl IntoIterator<Item = &'a RecordBatch>) -> i64 {
    let of_batch = |batch: &RecordBatch| -> i64 { batch.columns().iter().map(of_column).sum() };
    batches.into_iter().map(of_batch).sum()
}

fn of_column(column: &ArrayRef) -> i64 {
    column.as_primitive::<Int64Type>().values().iter().fold(0, |sum, value| sum.wrapping_add(*value))
}

/// Reads every value, which must come to `expected`.
pub(crate) fn read(batches: &[RecordBatch], expected: i64) -> anyhow::Result<()> {
    let found = sum(batches);
    ensure!(found == expected, "the rows add up to {found}, not to {expected}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_told_before_it_is_made() {
        for (bytes, count) in [(1 << 10, 1), (65 << 20, 2)] {
            let (batches, expected) = rows(Size(bytes)).unwrap();
            assert_eq!(batches.len(), count);
            let values: usize = batches.iter().map(|batch| batch.num_rows() * batch.num_columns()).sum();
            assert_eq!(values as u64 * 8, bytes);
            read(&batches, expected).unwrap();
            assert!(read(&batches, expected + 1).is_err());
        }
    }
}
