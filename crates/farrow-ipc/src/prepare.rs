//! Making batches fit for one segment: few, large, and with one dictionary for each column.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_data::ArrayData;
use arrow_schema::{ArrowError, DataType, SchemaRef};
use arrow_select::concat::concat;

use crate::compact::Compactor;
use crate::error::IpcError;
use crate::logical::logical_bytes;
use crate::problem::Place;
use crate::same_schema::with_schema;
use crate::schema::{MAX_ARRAY_LEN, check_types, child_fields};
use crate::values::{self, Dictionaries};

/// Bytes of values to which [`prepare`] joins batches unless told otherwise. Getting a frame costs about
/// 0.35 us for each column of each batch, however long.
pub const DEFAULT_TARGET_BYTES: u64 = 64 << 20;

/// The same rows in batches that one file can hold.
///
/// Neighbouring batches are joined as long as they stay within `target_bytes` of values together; a larger one
/// stays as it is, uncopied, and batches without rows are left out. Columns of dictionaries get one
/// dictionary: where all of them begin alike the longest serves for all, otherwise the column is copied. Columns
/// that hold on to much more than they need (views, list views, dense unions that were cut) let go of it first.
///
/// # Errors
/// [`IpcError::Type`] for a type that a segment cannot hold, [`IpcError::BatchSchema`] for a batch of another
/// schema, [`IpcError::Join`] if offsets or dictionary keys are too small for what they would have to count,
/// [`IpcError::Value`] for a value that its type does not allow, with the place it would have had.
pub fn prepare(
    schema: &SchemaRef,
    batches: impl IntoIterator<Item = RecordBatch>,
    target_bytes: u64,
) -> Result<Vec<RecordBatch>, IpcError> {
    check_types(schema)?;
    let mut pieces = Vec::new();
    for (index, batch) in batches.into_iter().enumerate() {
        push_pieces(&with_schema(schema, &batch, index)?, &mut pieces);
    }
    let mut compactor = Compactor::default();
    for piece in &mut pieces {
        *piece = compactor.batch(piece);
    }
    let groups = group(&pieces, target_bytes);
    let mut columns = Vec::with_capacity(schema.fields().len());
    for (column, field) in schema.fields().iter().enumerate() {
        let parts = pieces.iter().map(|piece| Arc::clone(piece.column(column))).collect();
        let joined = join(parts, &groups, &mut compactor).map_err(|source| IpcError::Join {
            column,
            field: field.name().clone(),
            source,
        })?;
        columns.push(joined.into_iter());
    }
    let mut prepared = Vec::with_capacity(groups.len());
    for (index, group) in groups.into_iter().enumerate() {
        let rows = pieces[group].iter().map(RecordBatch::num_rows).sum();
        let arrays = columns.iter_mut().filter_map(Iterator::next).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(Arc::clone(schema), arrays, &options)
            .map_err(|source| IpcError::Values { place: Place::Batch(index), source })?;
        values::check(&batch, Place::Batch(index), None, Dictionaries::Unchecked)?;
        prepared.push(batch);
    }
    Ok(prepared)
}

const MAX_ROWS: usize = i32::MAX.unsigned_abs() as usize;
const _: () = assert!(MAX_ROWS as u64 == MAX_ARRAY_LEN.unsigned_abs());

fn push_pieces(batch: &RecordBatch, pieces: &mut Vec<RecordBatch>) {
    for start in (0..batch.num_rows()).step_by(MAX_ROWS) {
        pieces.push(batch.slice(start, MAX_ROWS.min(batch.num_rows() - start)));
    }
}

/// Returns which pieces become one batch.
fn group(pieces: &[RecordBatch], target_bytes: u64) -> Vec<Range<usize>> {
    let mut groups: Vec<Range<usize>> = Vec::new();
    let (mut bytes, mut rows) = (0_u64, 0_usize);
    for (index, piece) in pieces.iter().enumerate() {
        let (more_bytes, more_rows) = (logical_bytes(piece), piece.num_rows());
        bytes = bytes.saturating_add(more_bytes);
        rows = rows.saturating_add(more_rows);
        match groups.last_mut() {
            Some(group) if bytes <= target_bytes && rows <= MAX_ROWS => group.end = index + 1,
            _ => {
                groups.push(index..index + 1);
                (bytes, rows) = (more_bytes, more_rows);
            }
        }
    }
    groups
}

/// One array for each group, all with the same dictionaries.
fn join(
    mut parts: Vec<ArrayRef>,
    groups: &[Range<usize>],
    compactor: &mut Compactor,
) -> Result<Vec<ArrayRef>, ArrowError> {
    if parts.len() > 1 && has_dictionary(parts[0].data_type()) {
        parts = share_values(parts);
        if groups.len() > 1 && !one_dictionary(&parts) {
            return join_all(&parts, groups, compactor);
        }
    }
    let joined =
        groups.iter().map(|group| join_parts(&parts[group.clone()])).collect::<Result<Vec<_>, _>>()?;
    // Joining nested arrays may have copied what they shared.
    if one_dictionary(&joined) { Ok(joined) } else { join_all(&parts, groups, compactor) }
}

/// The whole column in one piece, and the groups cut from it: slices share their dictionaries.
fn join_all(
    parts: &[ArrayRef],
    groups: &[Range<usize>],
    compactor: &mut Compactor,
) -> Result<Vec<ArrayRef>, ArrowError> {
    let whole = join_parts(parts)?;
    let mut start = 0;
    let cut = |group: &Range<usize>| {
        let len = parts[group.clone()].iter().map(|part| part.len()).sum();
        let slice = whole.slice(start, len);
        start += len;
        // What is cut from one piece would otherwise be written whole for each group.
        compactor.array(&slice)
    };
    Ok(groups.iter().map(cut).collect())
}

fn join_parts(parts: &[ArrayRef]) -> Result<ArrayRef, ArrowError> {
    match parts {
        [part] => Ok(Arc::clone(part)),
        parts => concat(&parts.iter().map(AsRef::as_ref).collect::<Vec<_>>()),
    }
}

/// Gives every part the longest of their dictionaries, if all others are the beginning of it: keys stay as
/// they are, and nothing is copied. Readers of other formats often make a dictionary for each batch, equal or
/// growing.
fn share_values(parts: Vec<ArrayRef>) -> Vec<ArrayRef> {
    let dictionaries: Vec<_> = parts.iter().filter_map(|part| part.as_any_dictionary_opt()).collect();
    let Some(longest) = dictionaries.iter().map(|part| part.values()).max_by_key(|values| values.len())
    else {
        return parts;
    };
    let all = longest.to_data();
    let begins = |values: &ArrayRef| {
        let values = values.to_data();
        values.ptr_eq(&all) || all.slice(0, values.len()) == values
    };
    if !dictionaries.iter().all(|part| begins(part.values())) {
        return parts;
    }
    dictionaries.iter().map(|part| part.with_values(Arc::clone(longest))).collect()
}

fn has_dictionary(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(..) => true,
        data_type => child_fields(data_type).iter().any(|child| has_dictionary(child.data_type())),
    }
}

/// The values of every dictionary in some columns, in their order.
pub(crate) fn dictionaries(columns: &[ArrayRef]) -> Vec<ArrayData> {
    let mut dictionaries = Vec::new();
    for column in columns.iter().filter(|column| has_dictionary(column.data_type())) {
        collect_dictionaries(&column.to_data(), &mut dictionaries);
    }
    dictionaries
}

/// True if every array has the very same dictionaries, by address.
fn one_dictionary(arrays: &[ArrayRef]) -> bool {
    let mut each = arrays.iter().map(|array| dictionaries(std::slice::from_ref(array)));
    let Some(first) = each.next() else { return true };
    each.all(|other| first.len() == other.len() && first.iter().zip(&other).all(|(a, b)| a.ptr_eq(b)))
}

fn collect_dictionaries(data: &ArrayData, dictionaries: &mut Vec<ArrayData>) {
    if let (DataType::Dictionary(..), [values]) = (data.data_type(), data.child_data()) {
        dictionaries.push(values.clone());
    }
    data.child_data().iter().for_each(|child| collect_dictionaries(child, dictionaries));
}
