//! `farrow.Client`: each method is a [`Call`], which `python/farrow/_client.py` waits for and `aio.py` awaits.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use farrow_client::blocking::BatchStream;
use farrow_client::{Address, ClientError, Mode, PutOptions, Retention, Selection};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::answers::{
    InfoTuple, LeaseTuple, RetentionTuple, VersionTuple, dropped, health, info, lease, retention, usage,
    verified, version,
};
use crate::call::Call;
use crate::data;
use crate::errors::{Closed, exception};
use crate::frame::Frame;
use crate::watch::Watch;
use crate::writer::Writer;

/// A connection to an agent. The Python package wraps its plain tuples into named ones.
#[pyclass(frozen, module = "farrow._farrow")]
pub(crate) struct Client {
    client: Mutex<Option<farrow_client::Client>>,
    address: String,
}

#[pymethods]
impl Client {
    /// The address is looked for now, the agent when the call is made.
    #[staticmethod]
    #[pyo3(signature = (address=None))]
    fn connect(address: Option<&str>) -> PyResult<Call> {
        let address = Address::find(address).map_err(|error| exception(&error))?;
        let text = address.to_string();
        let connected = farrow_client::Client::connect(address);
        Ok(Call::new(async {
            connected.await.map(|client| Self { client: Mutex::new(Some(client)), address: text })
        }))
    }

    #[getter]
    fn address(&self) -> &str {
        &self.address
    }

    #[getter]
    fn closed(&self) -> bool {
        self.slot().is_none()
    }

    /// Rows from the first to the one behind the last; `u64::MAX` is beyond the end.
    #[pyo3(signature = (name, columns=None, rows=None))]
    fn get(&self, name: String, columns: Option<Vec<String>>, rows: Option<(u64, u64)>) -> PyResult<Call> {
        let wanted = selection(columns, rows);
        self.call(async move |client| client.get_selected(&name, &wanted).await.map(Frame::new))
    }

    /// The frame as soon as it is there, if that is within so many seconds.
    #[pyo3(signature = (name, seconds, columns=None, rows=None))]
    fn wait_for(
        &self,
        name: String,
        seconds: f64,
        columns: Option<Vec<String>>,
        rows: Option<(u64, u64)>,
    ) -> PyResult<Call> {
        let timeout = duration("wait", seconds)?;
        let wanted = selection(columns, rows);
        self.call(async move |client| client.wait_for_selected(&name, timeout, &wanted).await.map(Frame::new))
    }

    /// A `pyarrow.RecordBatchReader`.
    #[pyo3(signature = (name, columns=None, rows=None))]
    fn stream(&self, name: String, columns: Option<Vec<String>>, rows: Option<(u64, u64)>) -> PyResult<Call> {
        let wanted = selection(columns, rows);
        self.call(async move |client| {
            let stream = BatchStream::from(client.stream_selected(&name, &wanted).await?);
            Ok(data::Batches(Box::new(data::Caught(stream.into_reader()))))
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
    /// segment; anything else is written as it comes. What is `once` can be read once only.
    #[pyo3(signature = (name, data, options, whole=false, once=false))]
    fn put(
        &self,
        name: String,
        data: &Bound<'_, PyAny>,
        options: Options,
        whole: bool,
        once: bool,
    ) -> PyResult<Call> {
        let reader = data::reader(data, once)?;
        // What is put as a whole has its own columns.
        let by_name = options.by_name && (options.append || !whole);
        let options = PutOptions::from(Options { by_name, ..options });
        self.call(async move |client| {
            let put = if whole {
                let (schema, batches) = data::read(reader).await?;
                client.put_with(&name, schema, batches, options).await
            } else {
                client.write_reader(&name, reader, options, |_| {}).await
            };
            put.map(info)
        })
    }

    /// `schema` offers `__arrow_c_schema__`.
    fn writer(&self, name: String, schema: &Bound<'_, PyAny>, options: Options) -> PyResult<Writer> {
        let writer = self.client()?.writer(&name, data::schema(schema)?, PutOptions::from(options));
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

    fn versions(&self, name: String) -> PyResult<Call> {
        self.call(async move |client| {
            let versions = client.versions(&name).await?;
            Ok(versions.into_iter().map(version).collect::<Vec<VersionTuple>>())
        })
    }

    fn drop(&self, name: String) -> PyResult<Call> {
        self.call(async move |client| client.drop(&name).await.map(dropped))
    }

    fn drop_prefix(&self, prefix: String) -> PyResult<Call> {
        self.call(async move |client| client.drop_prefix(&prefix).await.map(dropped))
    }

    /// Of a frame or, if `is_prefix`, of the frames of a prefix. `last` None: nothing is said of it any more.
    #[pyo3(signature = (name, is_prefix, last, seconds=None))]
    fn retain(
        &self,
        name: String,
        is_prefix: bool,
        last: Option<u64>,
        seconds: Option<f64>,
    ) -> PyResult<Call> {
        let max_age = seconds.map(|seconds| duration("max_age", seconds)).transpose()?;
        let retention = last.map(|last| Retention { last, max_age });
        self.call(async move |client| {
            let retained = match is_prefix {
                true => client.retain_prefix(&name, retention).await,
                false => client.retain(&name, retention).await,
            };
            retained.map(dropped)
        })
    }

    fn retentions(&self, prefix: String) -> PyResult<Call> {
        self.call(async move |client| {
            let rules = client.retentions(&prefix).await?;
            Ok(rules.into_iter().map(retention).collect::<Vec<RetentionTuple>>())
        })
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
        client.ok_or_else(|| Closed::new_err("this client is closed: connect again"))
    }

    fn slot(&self) -> MutexGuard<'_, Option<farrow_client::Client>> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn duration(what: &str, seconds: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds)
        .map_err(|_| PyValueError::new_err(format!("{what} {seconds}: expected seconds, at least 0")))
}

fn selection(columns: Option<Vec<String>>, rows: Option<(u64, u64)>) -> Selection {
    let wanted = columns.map_or_else(Selection::default, |names| Selection::default().columns(names));
    match rows {
        Some((from, to)) => wanted.rows(from..to),
        None => wanted,
    }
}

/// The options of publishing: `_options.Options`.
#[derive(FromPyObject)]
struct Options {
    append: bool,
    by_name: bool,
    keep: Option<u64>,
    if_version: Option<u64>,
}

impl From<Options> for PutOptions {
    fn from(of: Options) -> Self {
        let options = Self::from(if of.append { Mode::Append } else { Mode::Replace });
        let options = if of.by_name { options.by_name() } else { options };
        let options = of.keep.map_or(options, |keep| options.keep(keep));
        of.if_version.map_or(options, |number| options.if_version(number))
    }
}
