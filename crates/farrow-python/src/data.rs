//! Data of the program, anything with the Arrow C data interface; and readers, which it is given.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow_array::ffi_stream::RecordBatchStreamReader;
use arrow_array::{RecordBatch, RecordBatchIterator, RecordBatchReader};
use arrow_pyarrow::{FromPyArrow, IntoPyArrow};
use arrow_schema::{ArrowError, Schema, SchemaRef};
use farrow_client::{Advice, ClientError};
use farrow_ipc::{IpcError, logical_bytes, with_schema};
use pyo3::prelude::*;

use crate::errors::{Fault, invalid_data, panic_text, remedy};
use crate::interpreter::Inside;

/// Batches, of the program or for it: to read one may run the program's code, and take Python's lock.
pub(crate) type Reader = Box<dyn RecordBatchReader + Send>;

/// Batches that become a `pyarrow.RecordBatchReader`.
pub(crate) struct Batches(pub(crate) Reader);

/// A reader of farrow's whose panic is an error: the one who reads it is C++.
pub(crate) struct Caught<R>(pub(crate) R);

impl<R: RecordBatchReader> Iterator for Caught<R> {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        catch_unwind(AssertUnwindSafe(|| self.0.next()))
            .unwrap_or_else(|panic| Some(Err(ArrowError::ComputeError(Fault::panicked(panic).to_string()))))
    }
}

/// A reader of the program's, whose arrays Arrow takes for what they should be, and panics where they are not.
struct Foreign<R>(R);

impl<R: RecordBatchReader> Iterator for Foreign<R> {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        checked(|| self.0.next()).unwrap_or_else(|error| Some(Err(error)))
    }
}

impl<R: RecordBatchReader> RecordBatchReader for Foreign<R> {
    fn schema(&self) -> SchemaRef {
        self.0.schema()
    }
}

/// Returns what Arrow makes of the program's arrays.
fn checked<T>(import: impl FnOnce() -> T) -> Result<T, ArrowError> {
    catch_unwind(AssertUnwindSafe(import)).map_err(|panic| {
        ArrowError::CDataInterface(format!(
            "the arrays do not fit the Arrow C data interface ({}). Try: a copy of the data, such as Polars' rechunk(), \
             or a newer version of what made them",
            panic_text(&panic)
        ))
    })
}

impl<R: RecordBatchReader> RecordBatchReader for Caught<R> {
    fn schema(&self) -> SchemaRef {
        self.0.schema()
    }
}

impl<'py> IntoPyObject<'py> for Batches {
    type Target = PyAny;
    type Output = Bound<'py, PyAny>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let _inside = Inside::asking(py);
        self.0.into_pyarrow(py)
    }
}

/// A reader that is an error if it has no batch at all: it was read before, and its rows are elsewhere.
struct Unread<R> {
    reader: R,
    begun: bool,
}

impl<R: RecordBatchReader> Iterator for Unread<R> {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.reader.next();
        if batch.is_none() && !self.begun {
            self.begun = true;
            return Some(Err(ArrowError::InvalidArgumentError(CONSUMED.to_owned())));
        }
        self.begun = true;
        batch
    }
}

impl<R: RecordBatchReader> RecordBatchReader for Unread<R> {
    fn schema(&self) -> SchemaRef {
        self.reader.schema()
    }
}

/// Of what offers `__arrow_c_stream__` or `__arrow_c_array__`. What is `once` can be read once only.
pub(crate) fn reader(data: &Bound<'_, PyAny>, once: bool) -> PyResult<Reader> {
    let _inside = Inside::asking(data.py());
    let refused = |error| invalid_data(data, error);
    if data.hasattr("__arrow_c_stream__")? {
        let reader = Foreign(RecordBatchStreamReader::from_pyarrow_bound(data).map_err(refused)?);
        return Ok(if once { Box::new(Unread { reader, begun: false }) } else { Box::new(reader) });
    }
    let batch = checked(|| RecordBatch::from_pyarrow_bound(data))
        .map_err(|error| Fault::from(ClientError::Reader(error)))?;
    let batch = batch.map_err(refused)?;
    let schema = batch.schema();
    Ok(Box::new(RecordBatchIterator::new([Ok(batch)], schema)))
}

/// Of what offers `__arrow_c_schema__`.
pub(crate) fn schema(schema: &Bound<'_, PyAny>) -> PyResult<SchemaRef> {
    let _inside = Inside::asking(schema.py());
    Ok(Arc::new(Schema::from_pyarrow_bound(schema).map_err(|error| invalid_data(schema, error))?))
}

/// Returns how the columns of two schemas differ, and what to do.
pub(crate) fn difference(expected: &Bound<'_, PyAny>, found: &Bound<'_, PyAny>) -> PyResult<Option<String>> {
    let (expected, found) = (schema(expected)?, schema(found)?);
    Ok(with_schema(&expected, &RecordBatch::new_empty(found), 0).err().map(|error| match error {
        IpcError::BatchSchema { difference, fits_by_name: true, .. } => {
            format!("{}: {}", difference.with_advice(true), remedy(Advice::ByName))
        }
        IpcError::BatchSchema { difference, .. } => difference.with_advice(false),
        error => error.to_string(),
    }))
}

/// Bytes of the rows of a table or batch.
pub(crate) fn size(data: &Bound<'_, PyAny>) -> PyResult<u64> {
    let _inside = Inside::asking(data.py());
    let batches = reader(data, false)?.map(|batch| batch.map(|batch| logical_bytes(&batch)));
    let size: Result<u64, ArrowError> = batches.sum();
    Ok(size.map_err(|error| Fault::from(ClientError::Reader(error)))?)
}

const CONSUMED: &str = "the reader has no batch: it has been read already, or was empty from the beginning. Make the \
                        reader anew; for a frame without rows put pyarrow.Table.from_batches([], reader.schema)";

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
