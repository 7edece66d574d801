//! Publishing: batches as they come, written in place or streamed to the agent, then made a version all at once.

use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::SchemaRef;
use farrow_ipc::ByName;
use tokio::sync::mpsc;

use crate::client::Client;
use crate::error::ClientError;
use crate::in_place::{InPlace, Room, blocking};
use crate::info::Info;
use crate::put_options::PutOptions;
use crate::put_stream::PutStream;

/// Smaller batches are joined up to about this: a get costs time for each batch and column, not for bytes.
const BATCH_BYTES: u64 = 64 << 20;

/// The most that is gathered where dictionaries change all the time, as each change takes a reservation, and an agent gives
/// a process 64.
const MOST_GATHERED: u64 = 512 << 20;

/// The bytes that a batch counts for beside its values while it waits, for each column and once more.
const BYTES_PER_ARRAY: u64 = 256;

/// The fate of the frame's latest version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The new one has none of its rows.
    Replace,
    /// The new one has its rows, too. They are not copied.
    Append,
}

/// The rows and bytes given to a [`Writer`] so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    /// Rows.
    pub rows: u64,
    /// Bytes of their values, without dictionaries.
    pub bytes: u64,
}

/// A version that is being written: see [`Client::writer`].
#[derive(Debug)]
pub struct Writer {
    target: Target,
    gathered: Vec<RecordBatch>,
    gathered_bytes: u64,
    /// Bytes of batches that are gathered before they are written.
    gather: u64,
    /// Batches so far.
    batches: usize,
    written: Written,
    columns: Columns,
    sink: Sink,
}

/// The way in which columns of batches become those of the version.
#[derive(Debug)]
enum Columns {
    /// They are the same, in the same order.
    Same,
    /// By their names. The schema of an append is the frame's, which is asked for with the first batch.
    Named(Option<Box<ByName>>),
}

/// The target of a writer: a version, and the client that publishes it.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) client: Client,
    pub(crate) name: String,
    pub(crate) schema: SchemaRef,
    pub(crate) options: PutOptions,
}

/// The place where the rows go.
#[derive(Debug)]
enum Sink {
    /// Not known before the first of them.
    Unknown,
    InPlace(Box<InPlace>),
    Streamed(PutStream),
    /// Nowhere any more: a write failed, or was given up.
    Broken,
}

impl Writer {
    /// Nothing is asked of the agent yet.
    pub(crate) fn new(
        client: &Client,
        name: &str,
        schema: SchemaRef,
        options: PutOptions,
    ) -> Result<Self, ClientError> {
        client.connection.check_process()?;
        farrow_ipc::prepare(&schema, [], 0)?;
        let target = Target { client: client.clone(), name: name.to_owned(), schema, options };
        let (gathered, sink) = (Vec::new(), Sink::Unknown);
        Ok(Self {
            target,
            gathered,
            gathered_bytes: 0,
            gather: BATCH_BYTES,
            batches: 0,
            written: Written::default(),
            columns: Columns::Same,
            sink,
        })
    }

    /// The same, but the columns of batches are matched by name, in any order, and cast where nothing is lost
    /// ([`ByName`] says what is): to the columns of the schema that the writer was made with; in an append to those of the
    /// frame, if there is one, and its metadata hold. To be said before the first batch. An append by name takes the right
    /// to read the frame.
    ///
    /// ```
    /// # farrow_integration_tests::Example::new().run(async |client| {
    /// use farrow_client::Mode;
    ///
    /// # let batch = farrow_integration_tests::orders();
    /// let swapped = batch.project(&[1, 0]).expect("two columns");
    /// # let schema = swapped.schema();
    /// let mut writer = client.writer("sales/orders", schema, Mode::Append)?.by_name();
    /// writer.write(swapped).await?;
    /// assert_eq!(writer.finish().await?.rows, Some(6));
    /// # Ok(()) });
    /// ```
    pub fn by_name(self) -> Self {
        Self { columns: Columns::Named(None), ..self }
    }

    /// As [`new`](Self::new), of batches that are in memory anyway: they go into one segment, at the end.
    pub(crate) fn of_all(self) -> Self {
        Self { gather: u64::MAX, ..self }
    }

    /// Adds the rows of a batch, whose columns must have the names and types of the schema, in its order
    /// ([`farrow_ipc::with_schema`]), unless they are matched [by name](Self::by_name). Small ones wait until about 64 MiB of them can be joined; so much, and the batch
    /// itself, is what the writer keeps in memory (up to 512 MiB where dictionaries change all the time: each of its
    /// segments has one dictionary for each column). Returns once the batch is in the region, or waits to be joined.
    ///
    /// # Errors
    /// As [`Client::put`]. After an error, and after a call that was given up, nothing can be added or published any
    /// more ([`ClientError::Aborted`]).
    pub async fn write(&mut self, batch: RecordBatch) -> Result<(), ClientError> {
        // What is reserved is the parent's, and not mapped in a child.
        self.target.client.connection.check_process()?;
        if matches!(self.sink, Sink::Broken) {
            return Err(self.aborted());
        }
        if matches!(self.columns, Columns::Named(_)) {
            return self.write_by_name(batch).await;
        }
        let batch = self.under_schema(&batch)?;
        self.add(batch).await
    }

    /// Publishes what `reader` gives, which is read on a thread of its own, and tells `progress` after each batch what was
    /// added so far.
    ///
    /// ```
    /// # farrow_integration_tests::Example::new().run(async |client| {
    /// use farrow_client::Mode;
    ///
    /// let reader = client.get("sales/orders").await?.reader();
    /// # let schema = farrow_integration_tests::orders().schema();
    /// let writer = client.writer("sales/orders", schema, Mode::Append)?.by_name();
    /// assert_eq!(writer.write_reader(reader, |_| {}).await?.rows, Some(6));
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// As [`Client::put_reader`].
    pub async fn write_reader(
        self,
        reader: impl RecordBatchReader + Send + 'static,
        progress: impl FnMut(Written),
    ) -> Result<Info, ClientError> {
        write_all(self, reader, progress).await
    }

    /// Adds the rows of a batch that is under the schema.
    async fn add(&mut self, batch: RecordBatch) -> Result<(), ClientError> {
        let bytes = farrow_ipc::logical_bytes(&batch);
        self.written.rows += batch.num_rows() as u64;
        self.written.bytes += bytes;
        self.gathered_bytes += bytes + BYTES_PER_ARRAY * (1 + batch.num_columns() as u64);
        self.gathered.push(batch);
        if self.gathered_bytes >= self.gather { self.flush(Room::ForMore).await } else { Ok(()) }
    }

    /// Returns what was added so far.
    pub fn written(&self) -> Written {
        self.written
    }

    /// Publishes everything as the next version of the frame, in one step. [`Info::why`] says why its rows were
    /// streamed, if they were. Without batches it is a version without rows.
    ///
    /// # Errors
    /// As [`Client::put`]. Nothing is published then; but if the connection breaks before the answer is there
    /// ([`ClientError::Unavailable`]), the version may have been.
    pub async fn finish(mut self) -> Result<Info, ClientError> {
        self.target.client.connection.check_process()?;
        if matches!(self.columns, Columns::Named(None)) {
            self.match_columns(Arc::clone(&self.target.schema)).await?;
        }
        if !self.gathered.is_empty() || matches!(self.sink, Sink::Unknown) {
            self.flush(Room::ForThis).await?;
        }
        match std::mem::replace(&mut self.sink, Sink::Broken) {
            Sink::InPlace(in_place) => in_place.publish().await,
            Sink::Streamed(stream) => stream.publish().await,
            Sink::Unknown | Sink::Broken => Err(self.aborted()),
        }
    }

    /// Sends on what was gathered. If it fails, or nobody waits for its end, the writer is broken.
    async fn flush(&mut self, room: Room) -> Result<(), ClientError> {
        let bytes = std::mem::take(&mut self.gathered_bytes);
        let (schema, gathered) = (self.target.schema.clone(), std::mem::take(&mut self.gathered));
        let sink = std::mem::replace(&mut self.sink, Sink::Broken);
        let segments =
            blocking(bytes, move || farrow_ipc::prepare_segments(&schema, &gathered, BATCH_BYTES)).await?;
        let last = segments.len() - 1;
        // What comes later may be joined with the last segment only.
        let room = |segment| if segment < last { Room::ForThis } else { room };
        let mut sink = match sink {
            Sink::Unknown => match InPlace::begin(&self.target, &segments[0], room(0)).await? {
                Ok(in_place) => Sink::InPlace(in_place),
                Err(why) => Sink::Streamed(PutStream::begin(self.target.clone(), why)),
            },
            sink => sink,
        };
        for (segment, batches) in segments.into_iter().enumerate() {
            match &mut sink {
                Sink::InPlace(in_place) => in_place.write(batches, room(segment)).await?,
                Sink::Streamed(stream) => stream.write(batches).await?,
                Sink::Unknown | Sink::Broken => return Err(self.aborted()),
            }
        }
        if let Sink::InPlace(in_place) = &sink
            && in_place.other_dictionaries()
        {
            self.gather = self.gather.saturating_mul(2).min(MOST_GATHERED);
        }
        self.sink = sink;
        Ok(())
    }

    /// Adds what a batch becomes once its columns are matched by name. If it fails, or nobody waits for its end, the writer
    /// is broken.
    async fn write_by_name(&mut self, batch: RecordBatch) -> Result<(), ClientError> {
        let sink = std::mem::replace(&mut self.sink, Sink::Broken);
        let mut columns = match std::mem::replace(&mut self.columns, Columns::Named(None)) {
            Columns::Named(Some(columns)) => columns,
            Columns::Named(None) | Columns::Same => self.match_columns(batch.schema()).await?,
        };
        columns.push(&batch)?;
        let bytes = farrow_ipc::logical_bytes(&batch);
        self.sink = sink;
        loop {
            let sink = std::mem::replace(&mut self.sink, Sink::Broken);
            let cast = move || columns.next().transpose().map(|piece| (columns, piece));
            let (rest, piece) = blocking(bytes, cast).await?;
            self.sink = sink;
            columns = rest;
            let Some(piece) = piece else { break };
            self.add(piece).await?;
        }
        self.columns = Columns::Named(Some(columns));
        Ok(())
    }

    /// Finds the schema under which all batches will be, if batches of `found` fit it.
    async fn match_columns(&mut self, found: SchemaRef) -> Result<Box<ByName>, ClientError> {
        if self.target.options.mode == Mode::Append
            && let Some(there) = self.target.client.schema_if_any(&self.target.name).await?
        {
            self.target.schema = there;
        }
        let columns = Box::new(ByName::new(&self.target.schema));
        columns.check(&found)?;
        Ok(columns)
    }

    /// The batch under the schema of all. If it does not fit, the writer is broken.
    fn under_schema(&mut self, batch: &RecordBatch) -> Result<RecordBatch, ClientError> {
        let fits = farrow_ipc::with_schema(&self.target.schema, batch, self.batches);
        if fits.is_err() {
            self.sink = Sink::Broken;
        }
        self.batches += 1;
        Ok(fits?)
    }

    fn aborted(&self) -> ClientError {
        ClientError::Aborted { name: self.target.name.clone() }
    }
}

/// Publishes what a reader gives, and tells `progress` after each batch what was added so far.
pub(crate) async fn write_all(
    mut writer: Writer,
    reader: impl RecordBatchReader + Send + 'static,
    mut progress: impl FnMut(Written),
) -> Result<Info, ClientError> {
    // One is read while the one before is written.
    let (sender, mut batches) = mpsc::channel(1);
    let reading = tokio::task::spawn_blocking(move || {
        for batch in reader {
            let last = batch.is_err();
            if sender.blocking_send(batch).is_err() || last {
                return;
            }
        }
    });
    while let Some(batch) = batches.recv().await {
        writer.write(batch.map_err(ClientError::Reader)?).await?;
        progress(writer.written());
    }
    // A reader that panicked has not come to its end.
    reading.await.map_err(ClientError::Interrupted)?;
    writer.finish().await
}
