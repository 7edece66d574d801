//! The client: one connection to the agent of this host, or to one over TCP.

use std::sync::Arc;
use std::time::Duration;

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::SchemaRef;
use farrow_proto::Reason;

use crate::address::Address;
use crate::batch_stream::BatchStream;
use crate::connection::Connection;
use crate::credentials::Credentials;
use crate::error::ClientError;
use crate::frame::Frame;
use crate::info::Info;
use crate::inheritance::Inheritance;
use crate::lease::Releases;
use crate::put_options::PutOptions;
use crate::regions::Regions;
use crate::retry::retried;
use crate::selection::Selection;
use crate::session::Sessions;
use crate::watch::Watch;
use crate::writer::{Mode, Writer, Written, write_all};

/// A connection to an agent. Clones share it, and what it maps.
#[derive(Debug, Clone)]
pub struct Client {
    pub(crate) connection: Connection,
    pub(crate) regions: Arc<Regions>,
    pub(crate) releases: Releases,
    pub(crate) sessions: Sessions,
}

impl Client {
    /// Connects to the agent at `address`, with the credentials that the environment names (see
    /// [`Credentials::from_environment`]).
    ///
    /// # Errors
    /// [`ClientError::NoAgent`] if nobody serves there.
    pub async fn connect(address: Address) -> Result<Self, ClientError> {
        Self::connect_with(address, &Credentials::from_environment()?).await
    }

    /// Connects to the agent at `address`, with `credentials` and none other.
    ///
    /// # Errors
    /// [`ClientError::NoAgent`] if nobody serves there; [`ClientError::Tls`] if the two cannot agree.
    pub async fn connect_with(address: Address, credentials: &Credentials) -> Result<Self, ClientError> {
        let connection = Connection::open(address, credentials).await?;
        let sessions = Sessions::new(connection.clone());
        let inheritance = Inheritance::new();
        let releases = Releases::start(connection.clone(), sessions.clone(), inheritance.clone());
        let regions = Regions::of_agent(connection.address(), inheritance);
        Ok(Self { connection, regions: Arc::new(regions), releases, sessions })
    }

    /// A frame by its name, or one version of it by `name@version`: mapped where that is possible, else streamed.
    ///
    /// ```
    /// # farrow_integration_tests::Example::new().run(async |client| {
    /// let frame = client.get("sales/orders").await?;
    /// assert!(frame.zero_copy(), "streamed: {:?}", frame.why());
    /// for batch in frame.batches() {
    ///     println!("{} rows of version {}", batch?.num_rows(), frame.version());
    /// }
    /// # Ok(()) });
    /// ```
    pub async fn get(&self, name: &str) -> Result<Frame, ClientError> {
        self.get_selected(name, &Selection::default()).await
    }

    /// As [`get`](Self::get), with some columns and rows only. Where the frame has to be streamed, no others are sent.
    ///
    /// # Errors
    /// As [`get`](Self::get), and [`ClientError::NoColumn`].
    pub async fn get_selected(&self, name: &str, wanted: &Selection) -> Result<Frame, ClientError> {
        retried(|| crate::get::get(self, name, wanted)).await
    }

    /// As [`get`](Self::get), but the batches come one after another and are not kept: a frame that has to be streamed need
    /// not fit into memory.
    ///
    /// ```
    /// # farrow_integration_tests::Example::new().run(async |client| {
    /// let mut stream = client.stream("sales/orders").await?;
    /// let mut rows = 0;
    /// while let Some(batch) = stream.next().await? {
    ///     rows += batch.num_rows();
    /// }
    /// assert_eq!(rows, 3);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// As [`get`](Self::get), up to the first batch.
    pub async fn stream(&self, name: &str) -> Result<BatchStream, ClientError> {
        self.stream_selected(name, &Selection::default()).await
    }

    /// As [`stream`](Self::stream), with some columns and rows only.
    ///
    /// # Errors
    /// As [`stream`](Self::stream), and [`ClientError::NoColumn`].
    pub async fn stream_selected(&self, name: &str, wanted: &Selection) -> Result<BatchStream, ClientError> {
        retried(|| crate::get::open(self, name, wanted)).await
    }

    /// The schema of a frame by its name, or of one version of it by `name@version`, without its rows.
    ///
    /// ```
    /// # farrow_integration_tests::Example::new().run(async |client| {
    /// assert_eq!(client.schema("sales/orders").await?.fields()[0].name(), "id");
    /// # Ok(()) });
    /// ```
    pub async fn schema(&self, name: &str) -> Result<SchemaRef, ClientError> {
        Ok(Arc::new(retried(|| self.connection.schema(name)).await?))
    }

    /// Several frames, each by its name or `name@version`, as of one moment: nothing was committed or dropped between
    /// any two of them. In the order of `names`.
    ///
    /// ```
    /// # farrow_integration_tests::Example::new().run(async |client| {
    /// let frames = client.snapshot(&["sales/orders", "sales/orders@1"]).await?;
    /// assert_eq!([frames[0].version(), frames[1].version()], [2, 1]);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// As [`get`](Self::get), for the first frame of which there is none; and
    /// [`Reason::NeedsUnixSocket`](crate::Reason::NeedsUnixSocket) over TCP.
    pub async fn snapshot(&self, names: &[&str]) -> Result<Vec<Frame>, ClientError> {
        retried(|| crate::get::snapshot(self, names)).await
    }

    /// A frame as soon as it is there: at once, or when somebody puts it. What other programs put into famfs is only
    /// found if it is there at the first look.
    ///
    /// ```
    /// # farrow_integration_tests::Example::new().run(async |client| {
    /// let frame = client.wait_for("sales/orders", std::time::Duration::from_secs(60)).await?;
    /// assert_eq!(frame.name(), "sales/orders");
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`ClientError::NotYet`] if it is not there after `timeout`; else as [`get`](Self::get), and
    /// [`Reason::NeedsUnixSocket`](crate::Reason::NeedsUnixSocket) where it would have to wait over TCP.
    pub async fn wait_for(&self, name: &str, timeout: Duration) -> Result<Frame, ClientError> {
        self.wait_for_selected(name, timeout, &Selection::default()).await
    }

    /// As [`wait_for`](Self::wait_for), with some columns and rows only.
    ///
    /// # Errors
    /// As [`wait_for`](Self::wait_for), and [`ClientError::NoColumn`].
    pub async fn wait_for_selected(
        &self,
        name: &str,
        timeout: Duration,
        wanted: &Selection,
    ) -> Result<Frame, ClientError> {
        crate::watch::wait_for(self, name, timeout, wanted).await
    }

    /// Watches the frames of `prefix` ([as `list`](Self::list) takes it): what is committed and dropped from now on. Over
    /// the unix socket only, and each watch has a connection of its own.
    ///
    /// ```
    /// # farrow_integration_tests::Example::new().run(async |client| {
    /// use farrow_client::Event;
    ///
    /// let mut watch = client.watch("sales/").await?;
    /// client.drop("sales/orders@2").await?;
    /// let event = watch.next().await?;
    /// assert_eq!(event, Event::Dropped { name: "sales/orders".to_owned(), latest: Some(1) });
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`ClientError::Refused`] over TCP, or by an agent that does not offer it.
    pub async fn watch(&self, prefix: &str) -> Result<Watch, ClientError> {
        self.connection.check_process()?;
        Watch::prefix(self.connection.clone(), prefix).await
    }

    /// Publishes `batches` as the next version of the frame `name`. The buffers are copied once, straight into the
    /// shared memory; nobody sees any of it before all of it is there. Where this process cannot write there, the rows
    /// are streamed to the agent, which does, and [`Info::why`] says so.
    ///
    /// ```
    /// # farrow_integration_tests::Example::new().run(async |client| {
    /// # let batch = farrow_integration_tests::orders();
    /// let info = client.put("sales/new", batch.schema(), vec![batch]).await?;
    /// assert_eq!((info.version, info.rows, info.why), (1, Some(3), None));
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`ClientError::Refused`], with [`Reason::RegionFull`](crate::Reason::RegionFull) where there is no room;
    /// [`ClientError::Ipc`] for batches that do not fit the schema or that farrow does not store.
    pub async fn put(
        &self,
        name: &str,
        schema: SchemaRef,
        batches: Vec<RecordBatch>,
    ) -> Result<Info, ClientError> {
        self.put_with(name, schema, batches, Mode::Replace).await
    }

    /// As [`put`](Self::put), but the next version begins with the rows of the latest one, which are not copied. A frame
    /// that does not exist yet begins with `batches`.
    ///
    /// ```
    /// # farrow_integration_tests::Example::new().run(async |client| {
    /// # let batch = farrow_integration_tests::orders();
    /// let info = client.append("sales/orders", batch.schema(), vec![batch]).await?;
    /// assert_eq!((info.version, info.rows), (3, Some(6)));
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// As [`put`](Self::put), and [`Reason::InvalidData`](crate::Reason::InvalidData) unless the schemas are the same,
    /// but for metadata that describe the rows ([`farrow_ipc::schema_of_segments`]); see
    /// [`append_by_name`](Self::append_by_name).
    pub async fn append(
        &self,
        name: &str,
        schema: SchemaRef,
        batches: Vec<RecordBatch>,
    ) -> Result<Info, ClientError> {
        self.put_with(name, schema, batches, Mode::Append).await
    }

    /// As [`append`](Self::append), but columns are matched by name, in any order, and cast to those of the frame where
    /// nothing is lost: see [`Writer::by_name`].
    ///
    /// ```
    /// # farrow_integration_tests::Example::new().run(async |client| {
    /// # let batch = farrow_integration_tests::orders();
    /// let swapped = batch.project(&[1, 0]).expect("two columns");
    /// let info = client.append_by_name("sales/orders", swapped.schema(), vec![swapped]).await?;
    /// assert_eq!((info.version, info.rows), (3, Some(6)));
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// As [`append`](Self::append); [`ClientError::Ipc`] with the first column that does not fit.
    pub async fn append_by_name(
        &self,
        name: &str,
        schema: SchemaRef,
        batches: Vec<RecordBatch>,
    ) -> Result<Info, ClientError> {
        self.put_with(name, schema, batches, PutOptions::from(Mode::Append).by_name()).await
    }

    /// [`put`](Self::put) or [`append`](Self::append), onto a certain version only or with a retention: see
    /// [`PutOptions`].
    ///
    /// # Errors
    /// As [`append_by_name`](Self::append_by_name), and
    /// [`Reason::VersionConflict`](crate::Reason::VersionConflict).
    pub async fn put_with(
        &self,
        name: &str,
        schema: SchemaRef,
        batches: Vec<RecordBatch>,
        options: impl Into<PutOptions>,
    ) -> Result<Info, ClientError> {
        let mut writer = self.writer(name, schema, options)?.of_all();
        for batch in batches {
            writer.write(batch).await?;
        }
        writer.finish().await
    }

    /// As [`put`](Self::put), of as many batches as `reader` gives, one after another: no more than about 64 MiB of them,
    /// and one batch, are in memory at a time. It is read on a thread of its own.
    ///
    /// ```
    /// # farrow_integration_tests::Example::new().run(async |client| {
    /// let orders = client.get("sales/orders").await?;
    /// let ids = orders.select(&["id"])?;
    /// // Whatever is a RecordBatchReader: of a Parquet file, of a CSV file, of another frame.
    /// let info = client.put_reader("sales/ids", ids.reader()).await?;
    /// assert_eq!(info.rows, Some(3));
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// As [`put`](Self::put), and [`ClientError::Reader`] with the reader's first error. Nothing is published then.
    pub async fn put_reader(
        &self,
        name: &str,
        reader: impl RecordBatchReader + Send + 'static,
    ) -> Result<Info, ClientError> {
        self.write_reader(name, reader, Mode::Replace, |_| {}).await
    }

    /// As [`append`](Self::append), of as many batches as `reader` gives: see [`put_reader`](Self::put_reader).
    ///
    /// ```
    /// # farrow_integration_tests::Example::new().run(async |client| {
    /// let orders = client.get("sales/orders").await?;
    /// let info = client.append_reader("sales/orders", orders.reader()).await?;
    /// assert_eq!(info.rows, Some(6));
    /// # Ok(()) });
    /// ```
    pub async fn append_reader(
        &self,
        name: &str,
        reader: impl RecordBatchReader + Send + 'static,
    ) -> Result<Info, ClientError> {
        self.write_reader(name, reader, Mode::Append, |_| {}).await
    }

    /// [`put_reader`](Self::put_reader) or [`append_reader`](Self::append_reader), as a [`Mode`] or [`PutOptions`] say,
    /// which tells `progress` after each batch how much was read.
    ///
    /// ```
    /// # farrow_integration_tests::Example::new().run(async |client| {
    /// use farrow_client::Mode;
    ///
    /// let reader = client.get("sales/orders").await?.reader();
    /// let tell = |written: farrow_client::Written| println!("{} rows, {} bytes", written.rows, written.bytes);
    /// client.write_reader("sales/copy", reader, Mode::Replace, tell).await?;
    /// # Ok(()) });
    /// ```
    pub async fn write_reader(
        &self,
        name: &str,
        reader: impl RecordBatchReader + Send + 'static,
        options: impl Into<PutOptions>,
        progress: impl FnMut(Written),
    ) -> Result<Info, ClientError> {
        let writer = self.writer(name, reader.schema(), options)?;
        write_all(writer, reader, progress).await
    }

    /// A version of the frame `name` that is written batch by batch, and published as a whole when it is finished.
    /// Batches go straight into the shared memory, into segments of up to 1 GiB, with bounded memory of this process;
    /// where it cannot write there, they are streamed to the agent, as [`put`](Self::put) does. A writer that is dropped
    /// before has published nothing, and its space is given back.
    ///
    /// ```
    /// # farrow_integration_tests::Example::new().run(async |client| {
    /// use farrow_client::Mode;
    ///
    /// # let batch = farrow_integration_tests::orders();
    /// let mut writer = client.writer("sales/new", batch.schema(), Mode::Replace)?;
    /// for _ in 0..1000 {
    ///     writer.write(batch.clone()).await?;
    /// }
    /// let info = writer.finish().await?;
    /// assert_eq!((info.rows, info.segments), (Some(3000), 1));
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`ClientError::Ipc`] for a schema that farrow does not store.
    pub fn writer(
        &self,
        name: &str,
        schema: SchemaRef,
        options: impl Into<PutOptions>,
    ) -> Result<Writer, ClientError> {
        let options = options.into();
        let writer = Writer::new(self, name, schema, options)?;
        Ok(if options.by_name { writer.by_name() } else { writer })
    }

    /// The schema of the latest version of a frame, if there is one.
    pub(crate) async fn schema_if_any(&self, name: &str) -> Result<Option<SchemaRef>, ClientError> {
        match self.schema(name).await {
            Ok(schema) => Ok(Some(schema)),
            Err(error) if error.reason() == Some(Reason::NotFound) => Ok(None),
            Err(ClientError::Refused { reason: Some(Reason::Denied), code, message, advice }) => {
                let message =
                    format!("to append by name takes the right to read the frame's columns: {message}");
                Err(ClientError::Refused { reason: Some(Reason::Denied), code, message, advice })
            }
            Err(error) => Err(error),
        }
    }
}
