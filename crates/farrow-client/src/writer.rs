//! Publishing: batches as they come, written in place or streamed to the agent, then made a version all at once.

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::SchemaRef;
use tokio::sync::mpsc;

use crate::client::Client;
use crate::error::ClientError;
use crate::in_place::{InPlace, Room, blocking};
use crate::info::Info;
use crate::put_stream::PutStream;

/// Smaller batches are joined up to about this: a get costs time for each batch and column, not for bytes.
const BATCH_BYTES: u64 = 64 << 20;

/// The most that is gathered where dictionaries change all the time, as each change takes a reservation, and an agent gives
/// a process 64.
const MOST_GATHERED: u64 = 512 << 20;

/// What a batch counts for beside its values while it waits, for each column and once more.
const BYTES_PER_ARRAY: u64 = 256;

/// What becomes of the frame's latest version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The new one has none of its rows.
    Replace,
    /// The new one has its rows, too. They are not copied.
    Append,
}

/// What a [`Writer`] was given so far.
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
    written: Written,
    sink: Sink,
}

/// What a version will be, and who publishes it.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) client: Client,
    pub(crate) name: String,
    pub(crate) schema: SchemaRef,
    pub(crate) mode: Mode,
}

/// Where the rows go.
#[derive(Debug)]
enum Sink {
    /// That is found out with the first of them.
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
        mode: Mode,
    ) -> Result<Self, ClientError> {
        client.connection.check_process()?;
        farrow_ipc::prepare(&schema, [], 0)?;
        let target = Target { client: client.clone(), name: name.to_owned(), schema, mode };
        let (gathered, sink) = (Vec::new(), Sink::Unknown);
        Ok(Self {
            target,
            gathered,
            gathered_bytes: 0,
            gather: BATCH_BYTES,
            written: Written::default(),
            sink,
        })
    }

    /// As [`new`](Self::new), of batches that are in memory anyway: they go into one segment, at the end.
    pub(crate) fn of_all(self) -> Self {
        Self { gather: u64::MAX, ..self }
    }

    /// Adds the rows of a batch. Small ones wait until about 64 MiB of them can be joined; so much, and the batch
    /// itself, is what the writer keeps in memory (up to 512 MiB where dictionaries change all the time: each of its
    /// segments has one dictionary for each column). Returns once the batch is in the region, or waits to be joined.
    ///
    /// # Errors
    /// As [`Client::put`]. After an error, and after a call that was given up, nothing can be added or published any
    /// more ([`ClientError::Aborted`]).
    pub async fn write(&mut self, batch: RecordBatch) -> Result<(), ClientError> {
        if matches!(self.sink, Sink::Broken) {
            return Err(self.aborted());
        }
        let bytes = farrow_ipc::logical_bytes(&batch);
        self.written.rows += batch.num_rows() as u64;
        self.written.bytes += bytes;
        self.gathered_bytes += bytes + BYTES_PER_ARRAY * (1 + batch.num_columns() as u64);
        self.gathered.push(batch);
        if self.gathered_bytes >= self.gather { self.flush(Room::ForMore).await } else { Ok(()) }
    }

    /// What was added so far.
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
        let batches = blocking(bytes, move || farrow_ipc::prepare(&schema, gathered, BATCH_BYTES)).await?;
        let mut sink = match sink {
            Sink::Unknown => match InPlace::begin(&self.target, &batches, room).await? {
                Ok(in_place) => Sink::InPlace(in_place),
                Err(why) => Sink::Streamed(PutStream::begin(self.target.clone(), why)),
            },
            sink => sink,
        };
        match &mut sink {
            Sink::InPlace(in_place) => {
                in_place.write(batches, room).await?;
                if in_place.other_dictionaries() {
                    self.gather = self.gather.saturating_mul(2).min(MOST_GATHERED);
                }
            }
            Sink::Streamed(stream) => stream.write(batches).await?,
            Sink::Unknown | Sink::Broken => return Err(self.aborted()),
        }
        self.sink = sink;
        Ok(())
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
