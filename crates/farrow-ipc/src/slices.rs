//! Cutting batches for the wire.

use arrow_array::{RecordBatch, RecordBatchOptions};

use crate::compact::compact;
use crate::logical::logical_bytes;

/// The rows of `batch` in slices of about `target_bytes` of values each (1 to 2 MiB suit gRPC), measured by
/// [`logical_bytes`]; none for a batch without rows.
///
/// Slices share the batch's buffers, except where that would send values many times over: of views that are cut, each
/// slice gets a copy of its own values, and of list views and dense unions a range that has them. Where rows are
/// shuffled, each such range may be nearly all of the values.
pub fn slices(batch: &RecordBatch, target_bytes: u64) -> impl Iterator<Item = RecordBatch> + use<> {
    let rows = batch.num_rows();
    let count = logical_bytes(batch).div_ceil(target_bytes.max(1)).max(1);
    let each = rows.div_ceil(usize::try_from(count).unwrap_or(usize::MAX)).max(1);
    let batch = batch.clone();
    (0..rows).step_by(each).map(move |start| compacted(&batch.slice(start, each.min(rows - start))))
}

fn compacted(batch: &RecordBatch) -> RecordBatch {
    let columns = batch.columns().iter().map(compact).collect();
    let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(batch.schema(), columns, &rows)
        .expect("compacting changes neither types nor lengths nor nulls")
}
