//! Cutting batches for the wire.

use arrow_array::RecordBatch;

use crate::compact::Compactor;
use crate::logical::logical_bytes;

/// The rows of `batch` in slices of about `target_bytes` of values each (1 to 2 MiB suit gRPC), measured by
/// [`logical_bytes`]; none for a batch without rows.
///
/// Slices share the batch's buffers, except where that would send values many times over: of views, list views and
/// dense unions that are cut, a slice gets a copy of the values that its rows name, each once. A value that rows of
/// several slices name is in each of these; a slice that consists mostly of such values gets more rows.
pub fn slices(batch: &RecordBatch, target_bytes: u64) -> impl Iterator<Item = RecordBatch> + use<> {
    let rows = batch.num_rows();
    let count = logical_bytes(batch).div_ceil(target_bytes.max(1)).max(1);
    let each = rows.div_ceil(usize::try_from(count).unwrap_or(usize::MAX)).max(1);
    let (mut rest, mut compactor) = (batch.clone(), Compactor::default());
    std::iter::from_fn(move || {
        let left = rest.num_rows();
        if left == 0 {
            return None;
        }
        let mut cut = |rows: usize| compactor.batch(&rest.slice(0, rows.min(left)));
        let mut slice = cut(each);
        let mut bytes = logical_bytes(&slice);
        while bytes > FEW.max(target_bytes.saturating_mul(2)) && slice.num_rows() < left {
            let longer = cut(2 * slice.num_rows());
            let longer_bytes = logical_bytes(&longer);
            if longer_bytes - bytes.min(longer_bytes) > bytes / 2 {
                break;
            }
            (slice, bytes) = (longer, longer_bytes);
        }
        rest = rest.slice(slice.num_rows(), left - slice.num_rows());
        Some(slice)
    })
}

/// Bytes of a slice that are never too many.
const FEW: u64 = 16 << 10;
