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

use std::sync::OnceLock;
use std::time::Duration;

use arrow_array::{RecordBatch, RecordBatchIterator, RecordBatchReader};
use arrow_schema::{ArrowError, SchemaRef};
use tokio::runtime::Runtime;

use crate::{
    Address, ClientError, Credentials, Dropped, Event, Frame, Health, Info, LeaseInfo, Mode, Usage, Verified,
    Written,
};

/// A connection to an agent; see [`crate::Client`]. Must not be used on a thread that drives async tasks.
#[derive(Debug, Clone)]
pub struct Client(crate::Client);

impl Client {
    /// See [`crate::Client::connect`].
    pub fn connect(address: Address) -> Result<Self, ClientError> {
        runtime().block_on(crate::Client::connect(address)).map(Self)
    }

    /// See [`crate::Client::connect_with`].
    pub fn connect_with(address: Address, credentials: &Credentials) -> Result<Self, ClientError> {
        runtime().block_on(crate::Client::connect_with(address, credentials)).map(Self)
    }

    /// See [`crate::Client::get`].
    pub fn get(&self, name: &str) -> Result<Frame, ClientError> {
        runtime().block_on(self.0.get(name))
    }

    /// See [`crate::Client::stream`].
    pub fn stream(&self, name: &str) -> Result<BatchStream, ClientError> {
        runtime().block_on(self.0.stream(name)).map(BatchStream)
    }

    /// See [`crate::Client::snapshot`].
    pub fn snapshot(&self, names: &[&str]) -> Result<Vec<Frame>, ClientError> {
        runtime().block_on(self.0.snapshot(names))
    }

    /// See [`crate::Client::wait_for`].
    pub fn wait_for(&self, name: &str, timeout: Duration) -> Result<Frame, ClientError> {
        runtime().block_on(self.0.wait_for(name, timeout))
    }

    /// See [`crate::Client::watch`].
    pub fn watch(&self, prefix: &str) -> Result<Watch, ClientError> {
        runtime().block_on(self.0.watch(prefix)).map(Watch)
    }

    /// See [`crate::Client::put`].
    pub fn put(&self, name: &str, schema: SchemaRef, batches: Vec<RecordBatch>) -> Result<Info, ClientError> {
        runtime().block_on(self.0.put(name, schema, batches))
    }

    /// See [`crate::Client::append`].
    pub fn append(
        &self,
        name: &str,
        schema: SchemaRef,
        batches: Vec<RecordBatch>,
    ) -> Result<Info, ClientError> {
        runtime().block_on(self.0.append(name, schema, batches))
    }

    /// See [`crate::Client::put_reader`].
    pub fn put_reader(
        &self,
        name: &str,
        reader: impl RecordBatchReader + Send + 'static,
    ) -> Result<Info, ClientError> {
        runtime().block_on(self.0.put_reader(name, reader))
    }

    /// See [`crate::Client::append_reader`].
    pub fn append_reader(
        &self,
        name: &str,
        reader: impl RecordBatchReader + Send + 'static,
    ) -> Result<Info, ClientError> {
        runtime().block_on(self.0.append_reader(name, reader))
    }

    /// See [`crate::Client::write_reader`].
    pub fn write_reader(
        &self,
        name: &str,
        reader: impl RecordBatchReader + Send + 'static,
        mode: Mode,
        progress: impl FnMut(Written),
    ) -> Result<Info, ClientError> {
        runtime().block_on(self.0.write_reader(name, reader, mode, progress))
    }

    /// See [`crate::Client::writer`].
    pub fn writer(&self, name: &str, schema: SchemaRef, mode: Mode) -> Result<Writer, ClientError> {
        self.0.writer(name, schema, mode).map(Writer)
    }

    /// See [`crate::Client::list`].
    pub fn list(&self, prefix: &str) -> Result<Vec<Info>, ClientError> {
        runtime().block_on(self.0.list(prefix))
    }

    /// See [`crate::Client::stat`].
    pub fn stat(&self, name: &str) -> Result<Info, ClientError> {
        runtime().block_on(self.0.stat(name))
    }

    /// See [`crate::Client::verify`].
    pub fn verify(&self, name: &str, progress: impl FnMut(&Verified)) -> Result<Verified, ClientError> {
        runtime().block_on(self.0.verify(name, progress))
    }

    /// See [`crate::Client::drop`].
    pub fn drop(&self, name: &str) -> Result<Dropped, ClientError> {
        runtime().block_on(self.0.drop(name))
    }

    /// See [`crate::Client::drop_prefix`].
    pub fn drop_prefix(&self, prefix: &str) -> Result<Dropped, ClientError> {
        runtime().block_on(self.0.drop_prefix(prefix))
    }

    /// See [`crate::Client::retain`].
    pub fn retain(&self, name: &str, last: u64) -> Result<Dropped, ClientError> {
        runtime().block_on(self.0.retain(name, last))
    }

    /// See [`crate::Client::expire`].
    pub fn expire(&self, prefix: &str, age: Duration, latest: bool) -> Result<Dropped, ClientError> {
        runtime().block_on(self.0.expire(prefix, age, latest))
    }

    /// See [`crate::Client::grow`].
    pub fn grow(&self, len: Option<u64>) -> Result<u64, ClientError> {
        runtime().block_on(self.0.grow(len))
    }

    /// See [`crate::Client::leases`].
    pub fn leases(&self) -> Result<Vec<LeaseInfo>, ClientError> {
        runtime().block_on(self.0.leases())
    }

    /// See [`crate::Client::usage`].
    pub fn usage(&self) -> Result<Usage, ClientError> {
        runtime().block_on(self.0.usage())
    }

    /// See [`crate::Client::health`].
    pub fn health(&self) -> Result<Health, ClientError> {
        runtime().block_on(self.0.health())
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

    /// What is left, for whoever takes a reader.
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
        runtime().block_on(self.0.next()).transpose()
    }
}

/// A version that is being written; see [`crate::Writer`].
#[derive(Debug)]
pub struct Writer(crate::Writer);

impl Writer {
    /// See [`crate::Writer::write`].
    pub fn write(&mut self, batch: RecordBatch) -> Result<(), ClientError> {
        runtime().block_on(self.0.write(batch))
    }

    /// See [`crate::Writer::written`].
    pub fn written(&self) -> Written {
        self.0.written()
    }

    /// See [`crate::Writer::finish`].
    pub fn finish(self) -> Result<Info, ClientError> {
        runtime().block_on(self.0.finish())
    }
}

/// Frames that are watched; see [`crate::Watch`].
#[derive(Debug)]
pub struct Watch(crate::Watch);

impl Watch {
    /// The next event, if there is one within `timeout`; see [`crate::Watch::next`].
    pub fn next_within(&mut self, timeout: Duration) -> Result<Option<Event>, ClientError> {
        runtime().block_on(async { tokio::time::timeout(timeout, self.0.next()).await }).ok().transpose()
    }
}

impl Iterator for Watch {
    type Item = Result<Event, ClientError>;

    /// The next event; see [`crate::Watch::next`]. There is no end of them.
    fn next(&mut self) -> Option<Self::Item> {
        Some(runtime().block_on(self.0.next()))
    }
}

/// One runtime for the process, never shut down: leases are released on it after the last client is gone. A forked
/// child inherits it without its thread, and takes another.
pub fn runtime() -> &'static Runtime {
    static FIRST: OnceLock<OfProcess> = OnceLock::new();
    let process = std::process::id();
    let mut place = &FIRST;
    loop {
        let found = place.get_or_init(|| OfProcess::start(process));
        if found.process == process {
            return &found.runtime;
        }
        place = &found.of_child;
    }
}

/// A runtime, and that of a child if this is the memory of one.
struct OfProcess {
    process: u32,
    runtime: Runtime,
    of_child: Box<OnceLock<Self>>,
}

impl OfProcess {
    fn start(process: u32) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("farrow")
            .enable_all()
            .build()
            .expect("a thread for farrow can be started");
        Self { process, runtime, of_child: Box::default() }
    }
}
