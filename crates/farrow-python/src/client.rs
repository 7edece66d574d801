//! `farrow.Client`.

use std::time::{Duration, Instant};

use arrow_array::ffi_stream::RecordBatchStreamReader;
use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_pyarrow::FromPyArrow;
use farrow_client::{Address, ClientError, Info, Reason, blocking};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::errors::{InvalidData, exception};
use crate::frame::Frame;
use crate::watch::{SLICE, Watch};

pub(crate) type InfoTuple = (String, u64, Option<u64>, u64, bool);
type LeaseTuple = (u32, String, u64, u64, f64);

/// A connection to an agent. The Python package wraps its plain tuples into named ones.
#[pyclass(frozen, module = "farrow._farrow")]
pub(crate) struct Client(std::sync::Mutex<Option<blocking::Client>>);

#[pymethods]
impl Client {
    #[new]
    #[pyo3(signature = (address=None))]
    fn new(py: Python<'_>, address: Option<&str>) -> PyResult<Self> {
        let address = Address::find(address).map_err(|error| exception(&error))?;
        let client = py.detach(|| blocking::Client::connect(address)).map_err(|error| exception(&error))?;
        Ok(Self(std::sync::Mutex::new(Some(client))))
    }

    fn get(&self, py: Python<'_>, name: &str) -> PyResult<Frame> {
        let frame = self.call(py, |client| client.get(name))?;
        Ok(Frame::new(frame))
    }

    /// The frame as soon as it is there, if that is within so many seconds.
    fn wait_for(&self, py: Python<'_>, name: &str, seconds: f64) -> PyResult<Frame> {
        let start = Instant::now();
        let waited = Duration::try_from_secs_f64(seconds)
            .map_err(|_| PyValueError::new_err(format!("wait {seconds}: expected seconds, at least 0")))?;
        if let Some(frame) = self.look(py, name)? {
            return Ok(frame);
        }
        let watched = name.rsplit_once('@').map_or(name, |(frame, _)| frame);
        let mut watch = self.call(py, |client| client.watch(watched))?;
        loop {
            // Also after the watch has begun: it tells what comes then.
            if let Some(frame) = self.look(py, name)? {
                return Ok(frame);
            }
            loop {
                let left = waited.saturating_sub(start.elapsed());
                if left.is_zero() {
                    return Err(exception(&ClientError::NotYet { name: name.to_owned(), waited }));
                }
                let told = py.detach(|| watch.next_within(left.min(SLICE)));
                if told.map_err(|error| exception(&error))?.is_some() {
                    break;
                }
                py.check_signals()?;
            }
        }
    }

    fn watch(&self, py: Python<'_>, prefix: &str) -> PyResult<Watch> {
        self.call(py, |client| client.watch(prefix)).map(Watch::new)
    }

    /// `data` offers `__arrow_c_stream__` or `__arrow_c_array__`.
    #[pyo3(signature = (name, data, append=false))]
    fn put(
        &self,
        py: Python<'_>,
        name: &str,
        data: &Bound<'_, PyAny>,
        append: bool,
    ) -> PyResult<(InfoTuple, Option<String>)> {
        let (schema, batches) = if data.hasattr("__arrow_c_stream__")? {
            let reader = RecordBatchStreamReader::from_pyarrow_bound(data)?;
            let schema = reader.schema();
            let batches = reader.collect::<Result<Vec<RecordBatch>, _>>().map_err(|error| {
                InvalidData::new_err(format!("put {name}: the data's stream failed: {error}"))
            })?;
            (schema, batches)
        } else {
            let batch = RecordBatch::from_pyarrow_bound(data)?;
            (batch.schema(), vec![batch])
        };
        let put = if append { blocking::Client::append } else { blocking::Client::put };
        let mut info = self.call(py, move |client| put(client, name, schema, batches))?;
        let why = info.why.take();
        Ok((tuple(info), why))
    }

    fn list(&self, py: Python<'_>, prefix: &str) -> PyResult<Vec<InfoTuple>> {
        Ok(self.call(py, |client| client.list(prefix))?.into_iter().map(tuple).collect())
    }

    fn stat(&self, py: Python<'_>, name: &str) -> PyResult<InfoTuple> {
        Ok(tuple(self.call(py, |client| client.stat(name))?))
    }

    fn drop(&self, py: Python<'_>, name: &str) -> PyResult<(u64, u64, u64)> {
        let dropped = self.call(py, |client| client.drop(name))?;
        Ok((dropped.versions, dropped.bytes_freed, dropped.bytes_held))
    }

    fn leases(&self, py: Python<'_>) -> PyResult<Vec<LeaseTuple>> {
        let leases = self.call(py, |client| client.leases())?;
        let tuple = |lease: farrow_client::LeaseInfo| {
            (lease.pid, lease.name, lease.version, lease.bytes, lease.age.as_secs_f64())
        };
        Ok(leases.into_iter().map(tuple).collect())
    }

    fn usage(&self, py: Python<'_>) -> PyResult<[u64; 8]> {
        let usage = self.call(py, |client| client.usage())?;
        Ok([
            usage.pool_bytes,
            usage.used,
            usage.held,
            usage.reserved,
            usage.free,
            usage.largest_free,
            usage.frames,
            usage.versions,
        ])
    }

    fn close(&self) {
        self.slot().take();
    }
}

impl Client {
    /// Runs a call without Python's lock, so that other threads of the program go on.
    fn call<T: Send>(
        &self,
        py: Python<'_>,
        call: impl FnOnce(&blocking::Client) -> Result<T, ClientError> + Send,
    ) -> PyResult<T> {
        self.call_native(py, call)?.map_err(|error| exception(&error))
    }

    /// The frame, if there is one of the name.
    fn look(&self, py: Python<'_>, name: &str) -> PyResult<Option<Frame>> {
        match self.call_native(py, |client| client.get(name))? {
            Ok(frame) => Ok(Some(Frame::new(frame))),
            Err(error) if error.reason() == Some(Reason::NotFound) => Ok(None),
            Err(error) => Err(exception(&error)),
        }
    }

    fn call_native<T: Send>(
        &self,
        py: Python<'_>,
        call: impl FnOnce(&blocking::Client) -> T + Send,
    ) -> PyResult<T> {
        let client = self.slot().clone();
        let client = client.ok_or_else(|| PyValueError::new_err("this client is closed: connect again"))?;
        Ok(py.detach(|| call(&client)))
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<blocking::Client>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

pub(crate) fn tuple(info: Info) -> InfoTuple {
    (info.name, info.version, info.rows, info.bytes, info.foreign)
}
