//! Batches under one schema: no column is taken for another one because of where it stands.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::SchemaRef;

use crate::by_name::fits_by_name;
use crate::error::IpcError;
use crate::problem::Place;
use crate::schema_difference::{Level, SchemaDifference, compare};

/// The batch under `schema`, if its columns have the names and types of that, in the same order.
///
/// Metadata may differ, and that of `schema` holds; but for the extension type of a column, and all metadata of fields
/// within a column, which belong to its type. A column may say of itself that it can have nulls, or not, other than
/// `schema` does, as long as there is none where `schema` allows none; fields within a column may not. `index` is
/// the batch's number, from 0, in the error.
///
/// # Errors
/// [`IpcError::BatchSchema`] with the first difference.
pub fn with_schema(schema: &SchemaRef, batch: &RecordBatch, index: usize) -> Result<RecordBatch, IpcError> {
    let refuse = |difference| {
        let by_name = fits_by_name(schema, batch.schema_ref()).is_ok();
        // By name there would be as many nulls.
        let fits_by_name = by_name && !matches!(difference, SchemaDifference::Nulls { .. });
        IpcError::BatchSchema { batch: index, difference: Box::new(difference), fits_by_name }
    };
    if !Arc::ptr_eq(batch.schema_ref(), schema) {
        compare(schema, batch.schema_ref(), Level::Column).map_err(refuse)?;
    }
    if let Some(difference) = unexpected_nulls(schema, batch.columns()) {
        return Err(refuse(difference));
    }
    if batch.schema_ref() == schema {
        return Ok(batch.clone());
    }
    let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), batch.columns().to_vec(), &rows)
        .map_err(|source| IpcError::Values { place: Place::Batch(index), source })
}

/// Returns the first of some columns that has nulls where the schema allows none. An element that refers to a null of a
/// dictionary, of a run or of a union is a null.
pub(crate) fn unexpected_nulls(schema: &SchemaRef, columns: &[ArrayRef]) -> Option<SchemaDifference> {
    let columns = schema.fields().iter().zip(columns).enumerate();
    let mut strict = columns.filter(|(_, (field, _))| !field.is_nullable());
    strict.find_map(|(column, (field, array))| {
        let nulls = array.logical_null_count();
        (nulls > 0).then(|| SchemaDifference::Nulls { column, field: field.name().clone(), nulls })
    })
}
