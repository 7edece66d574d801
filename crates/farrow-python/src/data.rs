//! What a program hands over, anything with the Arrow C data interface; and readers, which it is given.

use std::sync::Arc;

use arrow_array::ffi_stream::RecordBatchStreamReader;
use arrow_array::{RecordBatch, RecordBatchIterator, RecordBatchReader};
use arrow_pyarrow::{FromPyArrow, IntoPyArrow};
use arrow_schema::{ArrowError, Schema, SchemaRef};
use farrow_client::ClientError;
use pyo3::prelude::*;

/// Batches, of the program or for it: to read one may run the program's code, and take Python's lock.
pub(crate) type Reader = Box<dyn RecordBatchReader + Send>;

/// What becomes a `pyarrow.RecordBatchReader`.
pub(crate) struct Batches(pub(crate) Reader);

impl<'py> IntoPyObject<'py> for Batches {
    type Target = PyAny;
    type Output = Bound<'py, PyAny>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.0.into_pyarrow(py)
    }
}

/// Of what offers `__arrow_c_stream__` or `__arrow_c_array__`.
pub(crate) fn reader(data: &Bound<'_, PyAny>) -> PyResult<Reader> {
    if data.hasattr("__arrow_c_stream__")? {
        return Ok(Box::new(RecordBatchStreamReader::from_pyarrow_bound(data)?));
    }
    let batch = RecordBatch::from_pyarrow_bound(data)?;
    let schema = batch.schema();
    Ok(Box::new(RecordBatchIterator::new([Ok(batch)], schema)))
}

/// Of what offers `__arrow_c_schema__`.
pub(crate) fn schema(schema: &Bound<'_, PyAny>) -> PyResult<SchemaRef> {
    Ok(Arc::new(Schema::from_pyarrow_bound(schema)?))
}

/// The next batch of a reader, which comes back with it.
pub(crate) async fn next(mut reader: Reader) -> Result<(Reader, Option<RecordBatch>), ClientError> {
    // Off the threads that drive requests.
    let read = tokio::task::spawn_blocking(move || {
        let batch = reader.next();
        (reader, batch)
    });
    let (reader, batch) = read.await.map_err(ClientError::Interrupted)?;
    Ok((reader, batch.transpose().map_err(ClientError::Reader)?))
}

/// All batches of a reader.
pub(crate) async fn read(reader: Reader) -> Result<(SchemaRef, Vec<RecordBatch>), ClientError> {
    let schema = reader.schema();
    let read = tokio::task::spawn_blocking(|| reader.collect::<Result<Vec<_>, ArrowError>>());
    let batches = read.await.map_err(ClientError::Interrupted)?;
    Ok((schema, batches.map_err(ClientError::Reader)?))
}
