//! From farrow's Arrow to DataFusion's, by the Arrow C data interface: the only unsafe code of this crate.
//!
//! When DataFusion has farrow's version of Arrow, this module goes, and its callers pass what they have.

use std::sync::Arc;

use arrow_59::array::{RecordBatch, RecordBatchOptions, StructArray};
use arrow_59::datatypes::{DataType, Schema, SchemaRef};
use arrow_59::ffi::{FFI_ArrowArray, FFI_ArrowSchema, from_ffi_and_data_type};
use arrow_array::Array;
use arrow_array::ffi::{FFI_ArrowArray as ExportedArray, FFI_ArrowSchema as ExportedSchema};
use datafusion_common::{DataFusionError, Result};

/// A schema in both versions of Arrow, and what takes its batches from the one to the other.
#[derive(Debug, Clone)]
pub(crate) struct Bridge {
    from: arrow_schema::SchemaRef,
    to: SchemaRef,
}

impl Bridge {
    /// # Errors
    /// If the schema has a type or name that the C data interface or DataFusion's Arrow does not know.
    pub(crate) fn try_new(from: arrow_schema::SchemaRef) -> Result<Self> {
        let exported = ExportedSchema::try_from(from.as_ref()).map_err(of_farrow)?;
        #[expect(unsafe_code, reason = "one process has two versions of Arrow")]
        // SAFETY: Both types are `#[repr(C)]`, with the nine members that the C data interface gives ArrowSchema, in
        // its order and of its types, so a value of one is a value of the other. That holds for what `children` and
        // `dictionary` point to as well. Ownership moves whole: `transmute` forgets its argument, and the result's
        // `Drop` calls `release`, a C function of the exporting version, with a pointer to the layout that it knows;
        // `private_data`, which only it understands, is untouched until then.
        let imported = unsafe { std::mem::transmute::<ExportedSchema, FFI_ArrowSchema>(exported) };
        Ok(Self { from, to: Arc::new(Schema::try_from(&imported)?) })
    }

    /// The schema as DataFusion has it.
    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.to
    }

    /// The same batch in DataFusion's Arrow: its arrays point to the same memory, and keep it as the batch's own do.
    ///
    /// # Errors
    /// If the batch is of another schema.
    pub(crate) fn batch(&self, batch: arrow_array::RecordBatch) -> Result<RecordBatch> {
        if batch.schema_ref().fields() != self.from.fields() {
            return Err(DataFusionError::Execution(format!(
                "a record batch of the fields {:?} in a frame of {:?}",
                batch.schema_ref().fields(),
                self.from.fields()
            )));
        }
        let rows = batch.num_rows();
        let exported = ExportedArray::new(&arrow_array::StructArray::from(batch).into_data());
        #[expect(unsafe_code, reason = "one process has two versions of Arrow")]
        // SAFETY: As above, with the ten members of ArrowArray.
        let imported = unsafe { std::mem::transmute::<ExportedArray, FFI_ArrowArray>(exported) };
        let data_type = DataType::Struct(self.to.fields().clone());
        #[expect(unsafe_code, reason = "an array of the C data interface does not tell its type")]
        // SAFETY: The array has to conform to the C data interface, and to be of `data_type`. It was exported two
        // statements ago, by arrow-data, from the columns of a record batch. Their types are the fields of `from`,
        // compared above, and `to` is what the C data interface makes of exactly those.
        let data = unsafe { from_ffi_and_data_type(imported, data_type) }?;
        let (_, columns, _) = StructArray::from(data).into_parts();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.to), columns, &options)?)
    }
}

fn of_farrow(error: arrow_schema::ArrowError) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
