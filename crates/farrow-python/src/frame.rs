//! `farrow.Frame`.

use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_pyarrow::{IntoPyArrow, ToPyArrow};
use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;

use crate::errors::exception;

/// One version of a frame.
#[pyclass(frozen, module = "farrow._farrow")]
pub(crate) struct Frame(Arc<farrow_client::Frame>);

#[pymethods]
impl Frame {
    #[getter]
    fn name(&self) -> &str {
        self.0.name()
    }

    #[getter]
    fn version(&self) -> u64 {
        self.0.version()
    }

    #[getter]
    fn schema<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.0.schema().to_pyarrow(py)
    }

    #[getter]
    fn num_rows(&self) -> u64 {
        self.0.rows()
    }

    #[getter]
    fn num_batches(&self) -> usize {
        self.0.num_batches()
    }

    #[getter]
    fn nbytes(&self) -> u64 {
        self.0.bytes()
    }

    #[getter]
    fn zero_copy(&self) -> bool {
        self.0.zero_copy()
    }

    #[getter]
    fn why(&self) -> Option<&str> {
        self.0.why()
    }

    #[getter]
    fn mapping(&self) -> Option<(usize, usize)> {
        match self.0.mappings() {
            &[mapping] => Some(mapping),
            _ => None,
        }
    }

    #[getter]
    fn mappings(&self) -> Vec<(usize, usize)> {
        self.0.mappings().to_vec()
    }

    fn batch<'py>(&self, py: Python<'py>, index: usize) -> PyResult<Bound<'py, PyAny>> {
        if index >= self.0.num_batches() {
            let batches = self.0.num_batches();
            return Err(PyIndexError::new_err(format!("batch {index}: {} has {batches}", self.0.name())));
        }
        self.0.batch(index).map_err(|error| exception(&error))?.to_pyarrow(py)
    }

    /// A `pyarrow.RecordBatchReader` over all batches, each decoded when it is read.
    fn reader<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let reader: Box<dyn RecordBatchReader + Send> = Box::new(Batches { frame: self.0.clone(), next: 0 });
        reader.into_pyarrow(py)
    }

    fn __repr__(&self) -> String {
        let frame = &self.0;
        let how = match frame.why() {
            None => "mapped, zero-copy".to_owned(),
            Some(why) => format!("streamed: {why}"),
        };
        format!(
            "<farrow.Frame {}@{}: {} rows, {} columns, {} bytes, {how}>",
            frame.name(),
            frame.version(),
            frame.rows(),
            frame.schema().fields().len(),
            frame.bytes()
        )
    }
}

impl Frame {
    pub(crate) fn new(frame: farrow_client::Frame) -> Self {
        Self(Arc::new(frame))
    }
}

/// The batches of a frame, one after another.
struct Batches {
    frame: Arc<farrow_client::Frame>,
    next: usize,
}

impl Iterator for Batches {
    type Item = Result<RecordBatch, arrow_schema::ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next == self.frame.num_batches() {
            return None;
        }
        let batch = self.frame.batch(self.next);
        self.next += 1;
        Some(batch.map_err(|error| arrow_schema::ArrowError::ExternalError(Box::new(error))))
    }
}

impl RecordBatchReader for Batches {
    fn schema(&self) -> arrow_schema::SchemaRef {
        self.frame.schema()
    }
}
