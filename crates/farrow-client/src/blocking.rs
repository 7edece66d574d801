//! The client for programs that are not async: the same calls, each waiting for its answer.
//!
//! ```
//! # use farrow_integration_tests::{Example, orders};
//! # let example = Example::new();
//! # let (address, batch) = (example.address(), orders());
//! use farrow_client::{Mode, blocking::Client};
//!
//! let client = Client::connect(address)?;
//! let mut writer = client.writer("sales/new", batch.schema(), Mode::Replace)?;
//! writer.write(batch)?;
//! let info = writer.finish()?;
//!
//! let frame = client.get("sales/new")?;
//! assert_eq!((frame.version(), Some(frame.rows())), (info.version, info.rows));
//! # Ok::<(), farrow_client::ClientError>(())
//! ```

use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use arrow_array::{RecordBatch, RecordBatchIterator, RecordBatchReader};
use arrow_schema::{ArrowError, SchemaRef};
use tokio::runtime::{Handle, Runtime};

use crate::{
    Address, ClientError, Credentials, Dropped, Event, Frame, Health, Info, LeaseInfo, PutOptions, Retention,
    RetentionRule, Selection, Usage, Verified, VersionInfo, Written,
};

/// A connection to an agent; see [`crate::Client`]. Must not be used on a thread that drives async tasks.
#[derive(Debug, Clone)]
pub struct Client(crate::Client);

impl Client {
    /// See [`crate::Client::connect`].
    pub fn connect(address: Address) -> Result<Self, ClientError> {
        wait(crate::Client::connect(address)).map(Self)
    }

    /// See [`crate::Client::connect_with`].
    pub fn connect_with(address: Address, credentials: &Credentials) -> Result<Self, ClientError> {
        wait(crate::Client::connect_with(address, credentials)).map(Self)
    }

    /// See [`crate::Client::get`].
    pub fn get(&self, name: &str) -> Result<Frame, ClientError> {
        wait(self.0.get(name))
    }

    /// See [`crate::Client::get_selected`].
    pub fn get_selected(&self, name: &str, wanted: &Selection) -> Result<Frame, ClientError> {
        wait(self.0.get_selected(name, wanted))
    }

    /// See [`crate::Client::stream_selected`].
    pub fn stream_selected(&self, name: &str, wanted: &Selection) -> Result<BatchStream, ClientError> {
        wait(self.0.stream_selected(name, wanted)).map(BatchStream)
    }

    /// See [`crate::Client::stream`].
    pub fn stream(&self, name: &str) -> Result<BatchStream, ClientError> {
        wait(self.0.stream(name)).map(BatchStream)
    }

    /// See [`crate::Client::schema`].
    pub fn schema(&self, name: &str) -> Result<SchemaRef, ClientError> {
        wait(self.0.schema(name))
    }

    /// See [`crate::Client::snapshot`].
    pub fn snapshot(&self, names: &[&str]) -> Result<Vec<Frame>, ClientError> {
        wait(self.0.snapshot(names))
    }

    /// See [`crate::Client::wait_for`].
    pub fn wait_for(&self, name: &str, timeout: Duration) -> Result<Frame, ClientError> {
        wait(self.0.wait_for(name, timeout))
    }

    /// See [`crate::Client::watch`].
    pub fn watch(&self, prefix: &str) -> Result<Watch, ClientError> {
        wait(self.0.watch(prefix)).map(Watch)
    }

    /// See [`crate::Client::put`].
    pub fn put(&self, name: &str, schema: SchemaRef, batches: Vec<RecordBatch>) -> Result<Info, ClientError> {
        wait(self.0.put(name, schema, batches))
    }

    /// See [`crate::Client::append`].
    pub fn append(
        &self,
        name: &str,
        schema: SchemaRef,
        batches: Vec<RecordBatch>,
    ) -> Result<Info, ClientError> {
        wait(self.0.append(name, schema, batches))
    }

    /// See [`crate::Client::append_by_name`].
    pub fn append_by_name(
        &self,
        name: &str,
        schema: SchemaRef,
        batches: Vec<RecordBatch>,
    ) -> Result<Info, ClientError> {
        wait(self.0.append_by_name(name, schema, batches))
    }

    /// See [`crate::Client::put_with`].
    pub fn put_with(
        &self,
        name: &str,
        schema: SchemaRef,
        batches: Vec<RecordBatch>,
        options: impl Into<PutOptions>,
    ) -> Result<Info, ClientError> {
        wait(self.0.put_with(name, schema, batches, options))
    }

    /// See [`crate::Client::put_reader`].
    pub fn put_reader(
        &self,
        name: &str,
        reader: impl RecordBatchReader + Send + 'static,
    ) -> Result<Info, ClientError> {
        wait(self.0.put_reader(name, reader))
    }

    /// See [`crate::Client::append_reader`].
    pub fn append_reader(
        &self,
        name: &str,
        reader: impl RecordBatchReader + Send + 'static,
    ) -> Result<Info, ClientError> {
        wait(self.0.append_reader(name, reader))
    }

    /// See [`crate::Client::write_reader`].
    pub fn write_reader(
        &self,
        name: &str,
        reader: impl RecordBatchReader + Send + 'static,
        options: impl Into<PutOptions>,
        progress: impl FnMut(Written),
    ) -> Result<Info, ClientError> {
        wait(self.0.write_reader(name, reader, options, progress))
    }

    /// See [`crate::Client::writer`].
    pub fn writer(
        &self,
        name: &str,
        schema: SchemaRef,
        options: impl Into<PutOptions>,
    ) -> Result<Writer, ClientError> {
        self.0.writer(name, schema, options).map(Writer)
    }

    /// See [`crate::Client::list`].
    pub fn list(&self, prefix: &str) -> Result<Vec<Info>, ClientError> {
        wait(self.0.list(prefix))
    }

    /// See [`crate::Client::stat`].
    pub fn stat(&self, name: &str) -> Result<Info, ClientError> {
        wait(self.0.stat(name))
    }

    /// See [`crate::Client::versions`].
    pub fn versions(&self, name: &str) -> Result<Vec<VersionInfo>, ClientError> {
        wait(self.0.versions(name))
    }

    /// See [`crate::Client::verify`].
    pub fn verify(&self, name: &str, progress: impl FnMut(&Verified)) -> Result<Verified, ClientError> {
        wait(self.0.verify(name, progress))
    }

    /// See [`crate::Client::drop`].
    pub fn drop(&self, name: &str) -> Result<Dropped, ClientError> {
        wait(self.0.drop(name))
    }

    /// See [`crate::Client::drop_prefix`].
    pub fn drop_prefix(&self, prefix: &str) -> Result<Dropped, ClientError> {
        wait(self.0.drop_prefix(prefix))
    }

    /// See [`crate::Client::retain`].
    pub fn retain(
        &self,
        name: &str,
        retention: impl Into<Option<Retention>>,
    ) -> Result<Dropped, ClientError> {
        wait(self.0.retain(name, retention))
    }

    /// See [`crate::Client::retain_prefix`].
    pub fn retain_prefix(
        &self,
        prefix: &str,
        retention: impl Into<Option<Retention>>,
    ) -> Result<Dropped, ClientError> {
        wait(self.0.retain_prefix(prefix, retention))
    }

    /// See [`crate::Client::retentions`].
    pub fn retentions(&self, prefix: &str) -> Result<Vec<RetentionRule>, ClientError> {
        wait(self.0.retentions(prefix))
    }

    /// See [`crate::Client::expire`].
    pub fn expire(&self, prefix: &str, age: Duration, latest: bool) -> Result<Dropped, ClientError> {
        wait(self.0.expire(prefix, age, latest))
    }

    /// See [`crate::Client::grow`].
    pub fn grow(&self, len: Option<u64>) -> Result<u64, ClientError> {
        wait(self.0.grow(len))
    }

    /// See [`crate::Client::leases`].
    pub fn leases(&self) -> Result<Vec<LeaseInfo>, ClientError> {
        wait(self.0.leases())
    }

    /// See [`crate::Client::usage`].
    pub fn usage(&self) -> Result<Usage, ClientError> {
        wait(self.0.usage())
    }

    /// See [`crate::Client::health`].
    pub fn health(&self) -> Result<Health, ClientError> {
        wait(self.0.health())
    }
}

/// The batches of a frame as they come; see [`crate::BatchStream`], which it leads to.
#[derive(Debug)]
pub struct BatchStream(crate::BatchStream);

impl BatchStream {
    /// See [`crate::BatchStream::select`].
    pub fn select<S: AsRef<str>>(self, names: &[S]) -> Result<Self, ClientError> {
        self.0.select(names).map(Self)
    }

    /// The batches that are left, as a reader.
    pub fn into_reader(self) -> impl RecordBatchReader + Send {
        let schema = self.schema();
        let batches = self.map(|batch| batch.map_err(|error| ArrowError::ExternalError(Box::new(error))));
        RecordBatchIterator::new(batches, schema)
    }
}

impl From<crate::BatchStream> for BatchStream {
    fn from(stream: crate::BatchStream) -> Self {
        Self(stream)
    }
}

impl std::ops::Deref for BatchStream {
    type Target = crate::BatchStream;

    fn deref(&self) -> &crate::BatchStream {
        &self.0
    }
}

impl Iterator for BatchStream {
    type Item = Result<RecordBatch, ClientError>;

    /// See [`crate::BatchStream::next`].
    fn next(&mut self) -> Option<Self::Item> {
        wait(self.0.next()).transpose()
    }
}

/// A version that is being written; see [`crate::Writer`].
#[derive(Debug)]
pub struct Writer(crate::Writer);

impl Writer {
    /// See [`crate::Writer::write`].
    pub fn write(&mut self, batch: RecordBatch) -> Result<(), ClientError> {
        wait(self.0.write(batch))
    }

    /// See [`crate::Writer::by_name`].
    pub fn by_name(self) -> Self {
        Self(self.0.by_name())
    }

    /// See [`crate::Writer::write_reader`].
    pub fn write_reader(
        self,
        reader: impl RecordBatchReader + Send + 'static,
        progress: impl FnMut(Written),
    ) -> Result<Info, ClientError> {
        wait(self.0.write_reader(reader, progress))
    }

    /// See [`crate::Writer::written`].
    pub fn written(&self) -> Written {
        self.0.written()
    }

    /// See [`crate::Writer::finish`].
    pub fn finish(self) -> Result<Info, ClientError> {
        wait(self.0.finish())
    }
}

/// Frames that are watched; see [`crate::Watch`].
#[derive(Debug)]
pub struct Watch(crate::Watch);

impl Watch {
    /// The next event, if there is one within `timeout`; see [`crate::Watch::next`].
    pub fn next_within(&mut self, timeout: Duration) -> Result<Option<Event>, ClientError> {
        wait(async { tokio::time::timeout(timeout, self.0.next()).await.ok().transpose() })
    }
}

impl Iterator for Watch {
    type Item = Result<Event, ClientError>;

    /// The next event; see [`crate::Watch::next`]. There is no end of them.
    fn next(&mut self) -> Option<Self::Item> {
        Some(wait(self.0.next()))
    }
}

/// The runtime that drives requests in this process, for as long as it lives or until [`shut_down`]: leases are released after the last
/// client is gone. A forked child inherits it without its threads, and gets another.
///
/// # Errors
/// [`ClientError::Runtime`] if it cannot be started.
pub fn runtime() -> Result<Handle, ClientError> {
    let mut running = of_this_process().lock().unwrap_or_else(PoisonError::into_inner);
    let runtime = match &mut *running {
        Some(runtime) => runtime,
        none => none.insert(start()?),
    };
    Ok(runtime.handle().clone())
}

/// Gives up every request under way, and waits until no thread of farrow's runs: but not for one that is still busy after
/// `patience`. For programs that must not be used by other threads any more, as Python before it ends. A client that is
/// connected cannot be used afterwards.
pub fn shut_down(patience: Duration) {
    let running = of_this_process().lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(runtime) = running {
        runtime.shutdown_timeout(patience);
    }
}

fn wait<T>(work: impl Future<Output = Result<T, ClientError>>) -> Result<T, ClientError> {
    runtime()?.block_on(work)
}

/// A runtime, and that of a child if this is the memory of one.
#[derive(Default)]
struct OfProcess {
    process: u32,
    running: Mutex<Option<Runtime>>,
    of_child: Box<OnceLock<Self>>,
}

fn of_this_process() -> &'static Mutex<Option<Runtime>> {
    static FIRST: OnceLock<OfProcess> = OnceLock::new();
    let process = std::process::id();
    let mut place = &FIRST;
    loop {
        let found = place.get_or_init(|| OfProcess { process, ..OfProcess::default() });
        if found.process == process {
            return &found.running;
        }
        place = &found.of_child;
    }
}

fn start() -> Result<Runtime, ClientError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("farrow")
        .enable_all()
        .build()
        .map_err(ClientError::Runtime)
}
