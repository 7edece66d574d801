//! `farrow.Client`: each method is a [`Call`], which `python/farrow/_client.py` waits for and `aio.py` awaits.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use farrow_client::blocking::BatchStream;
use farrow_client::{Address, ClientError, Mode};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::answers::{InfoTuple, LeaseTuple, dropped, health, info, lease, usage, verified};
use crate::call::Call;
use crate::data;
use crate::errors::exception;
use crate::frame::Frame;
use crate::watch::Watch;
use crate::writer::Writer;

/// A connection to an agent. The Python package wraps its plain tuples into named ones.
#[pyclass(frozen, module = "farrow._farrow")]
pub(crate) struct Client(Mutex<Option<farrow_client::Client>>);

#[pymethods]
impl Client {
    /// The address is looked for now, the agent when the call is made.
    #[staticmethod]
    #[pyo3(signature = (address=None))]
    fn connect(address: Option<&str>) -> PyResult<Call> {
        let address = Address::find(address).map_err(|error| exception(&error))?;
        Ok(Call::new(async { Ok(Self(Mutex::new(Some(farrow_client::Client::connect(address).await?)))) }))
    }

    fn get(&self, name: String) -> PyResult<Call> {
        self.call(async move |client| client.get(&name).await.map(Frame::new))
    }

    /// The frame as soon as it is there, if that is within so many seconds.
    fn wait_for(&self, name: String, seconds: f64) -> PyResult<Call> {
        let timeout = duration("wait", seconds)?;
        self.call(async move |client| client.wait_for(&name, timeout).await.map(Frame::new))
    }

    /// A `pyarrow.RecordBatchReader`.
    fn stream(&self, name: String) -> PyResult<Call> {
        self.call(async move |client| {
            let stream = BatchStream::from(client.stream(&name).await?);
            Ok(data::Batches(Box::new(stream.into_reader())))
        })
    }

    fn watch(&self, prefix: String) -> PyResult<Call> {
        self.call(async move |client| client.watch(&prefix).await.map(Watch::new))
    }

    /// Several frames as of one moment.
    fn snapshot(&self, names: Vec<String>) -> PyResult<Call> {
        self.call(async move |client| {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let frames = client.snapshot(&names).await?;
            Ok(frames.into_iter().map(Frame::new).collect::<Vec<Frame>>())
        })
    }

    /// `data` offers `__arrow_c_stream__` or `__arrow_c_array__`. What is `whole` is in memory anyway, and goes into one
    /// segment; anything else is written as it comes.
    #[pyo3(signature = (name, data, append=false, whole=false))]
    fn put(&self, name: String, data: &Bound<'_, PyAny>, append: bool, whole: bool) -> PyResult<Call> {
        let reader = data::reader(data)?;
        let mode = mode(append);
        self.call(async move |client| {
            let put = match (whole, mode) {
                (false, mode) => client.write_reader(&name, reader, mode, |_| {}).await,
                (true, mode) => {
                    let (schema, batches) = data::read(reader).await?;
                    match mode {
                        Mode::Replace => client.put(&name, schema, batches).await,
                        Mode::Append => client.append(&name, schema, batches).await,
                    }
                }
            };
            put.map(info)
        })
    }

    /// `schema` offers `__arrow_c_schema__`.
    #[pyo3(signature = (name, schema, append=false))]
    fn writer(&self, name: String, schema: &Bound<'_, PyAny>, append: bool) -> PyResult<Writer> {
        let writer = self.client()?.writer(&name, data::schema(schema)?, mode(append));
        Ok(Writer::new(name, writer.map_err(|error| exception(&error))?))
    }

    fn list(&self, prefix: String) -> PyResult<Call> {
        self.call(async move |client| {
            let infos = client.list(&prefix).await?;
            Ok(infos.into_iter().map(info).collect::<Vec<InfoTuple>>())
        })
    }

    fn stat(&self, name: String) -> PyResult<Call> {
        self.call(async move |client| client.stat(&name).await.map(info))
    }

    fn drop(&self, name: String) -> PyResult<Call> {
        self.call(async move |client| client.drop(&name).await.map(dropped))
    }

    fn drop_prefix(&self, prefix: String) -> PyResult<Call> {
        self.call(async move |client| client.drop_prefix(&prefix).await.map(dropped))
    }

    fn retain(&self, name: String, last: u64) -> PyResult<Call> {
        self.call(async move |client| client.retain(&name, last).await.map(dropped))
    }

    /// The latest version of each frame stays unless `latest`.
    #[pyo3(signature = (prefix, seconds, latest=false))]
    fn expire(&self, prefix: String, seconds: f64, latest: bool) -> PyResult<Call> {
        let age = duration("older_than", seconds)?;
        self.call(async move |client| client.expire(&prefix, age, latest).await.map(dropped))
    }

    #[pyo3(signature = (bytes=None))]
    fn grow(&self, bytes: Option<u64>) -> PyResult<Call> {
        self.call(async move |client| client.grow(bytes).await)
    }

    fn verify(&self, name: String) -> PyResult<Call> {
        self.call(async move |client| client.verify(&name, |_| {}).await.map(verified))
    }

    fn leases(&self) -> PyResult<Call> {
        self.call(async move |client| {
            let leases = client.leases().await?;
            Ok(leases.into_iter().map(lease).collect::<Vec<LeaseTuple>>())
        })
    }

    fn usage(&self) -> PyResult<Call> {
        self.call(async move |client| client.usage().await.map(|of| usage(&of)))
    }

    fn health(&self) -> PyResult<Call> {
        self.call(async move |client| client.health().await.map(health))
    }

    fn close(&self) {
        self.slot().take();
    }
}

impl Client {
    fn call<T, F>(&self, work: impl FnOnce(farrow_client::Client) -> F + Send + 'static) -> PyResult<Call>
    where
        T: for<'py> IntoPyObject<'py> + Send + 'static,
        F: Future<Output = Result<T, ClientError>> + Send + 'static,
    {
        Ok(Call::new(work(self.client()?)))
    }

    fn client(&self) -> PyResult<farrow_client::Client> {
        let client = self.slot().clone();
        client.ok_or_else(|| PyValueError::new_err("this client is closed: connect again"))
    }

    fn slot(&self) -> MutexGuard<'_, Option<farrow_client::Client>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn duration(what: &str, seconds: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds)
        .map_err(|_| PyValueError::new_err(format!("{what} {seconds}: expected seconds, at least 0")))
}

fn mode(append: bool) -> Mode {
    if append { Mode::Append } else { Mode::Replace }
}
