//! `farrow.Frame`.

use arrow_pyarrow::ToPyArrow;
use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;

use crate::data::Batches;
use crate::errors::exception;
use crate::interpreter::Inside;

/// One version of a frame, or some of its columns.
#[pyclass(frozen, module = "farrow._farrow")]
pub(crate) struct Frame {
    frame: farrow_client::Frame,
}

#[pymethods]
impl Frame {
    #[getter]
    fn name(&self) -> &str {
        self.frame.name()
    }

    #[getter]
    fn version(&self) -> u64 {
        self.frame.version()
    }

    #[getter]
    fn region(&self) -> String {
        self.frame.region()
    }

    #[getter]
    fn schema<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let _inside = Inside::asking(py);
        self.frame.schema().to_pyarrow(py)
    }

    #[getter]
    fn num_rows(&self) -> u64 {
        self.frame.rows()
    }

    #[getter]
    fn num_batches(&self) -> usize {
        self.frame.num_batches()
    }

    #[getter]
    fn nbytes(&self) -> u64 {
        self.frame.bytes()
    }

    #[getter]
    fn zero_copy(&self) -> bool {
        self.frame.zero_copy()
    }

    #[getter]
    fn why(&self) -> Option<&str> {
        self.frame.why()
    }

    #[getter]
    fn mappings(&self) -> Vec<(usize, usize)> {
        self.frame.mappings().to_vec()
    }

    /// The same version with these columns.
    fn select(&self, columns: Vec<String>) -> PyResult<Self> {
        let frame = self.frame.select(&columns).map_err(|error| exception(&error))?;
        Ok(Self { frame })
    }

    fn batch<'py>(&self, py: Python<'py>, index: usize) -> PyResult<Bound<'py, PyAny>> {
        if index >= self.frame.num_batches() {
            let batches = self.frame.num_batches();
            return Err(PyIndexError::new_err(format!("batch {index}: {} has {batches}", self.frame.name())));
        }
        let batch = self.frame.batch(index).map_err(|error| exception(&error))?;
        let _inside = Inside::asking(py);
        batch.to_pyarrow(py)
    }

    /// A `pyarrow.RecordBatchReader` over all batches, each decoded when it is read.
    fn reader<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        // The stream would say it too, but as an error of pyarrow's.
        self.frame.check_inherited().map_err(|error| exception(&error))?;
        Batches(Box::new(self.frame.reader())).into_pyobject(py)
    }
}

impl Frame {
    pub(crate) fn new(frame: farrow_client::Frame) -> Self {
        Self { frame }
    }
}
