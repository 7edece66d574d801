//! A frame's batches as they come.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use arrow_flight::{FlightInfo, Ticket};
use arrow_schema::SchemaRef;
use bytes::Bytes;
use farrow_ipc::logical_bytes;
use futures::TryStreamExt;

use crate::connection::Connection;
use crate::error::ClientError;
use crate::frame::{Frame, Source, selected};
use crate::of_process::OfProcess;
use crate::selection::{Selected, Selection};

/// The batches of one version of a frame, one after another: mapped, each decoded when it is asked for, or, where that is
/// not possible, streamed. Then no more of them are in memory than the caller keeps, and about one message.
#[derive(Debug)]
pub struct BatchStream {
    name: String,
    version: u64,
    region: Bytes,
    schema: SchemaRef,
    /// Those that were selected, as indexes into what is stored; `None`: all.
    columns: Option<Arc<[usize]>>,
    rows: Option<u64>,
    version_rows: Option<u64>,
    bytes: Option<u64>,
    batches: Batches,
}

enum Batches {
    Mapped { frame: Frame, next: usize },
    Streamed(Box<Streamed>),
}

impl BatchStream {
    /// The frame's name, without version.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The version's number.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The schema of all batches: of the columns that are selected.
    pub fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    /// Rows of all batches; `None` where they are streamed and the agent has not said how many they are.
    pub fn rows(&self) -> Option<u64> {
        self.rows
    }

    /// Rows of the version, whichever are selected; `None` as of [`rows`](Self::rows).
    pub fn version_rows(&self) -> Option<u64> {
        self.version_rows
    }

    /// Bytes of the version's Arrow IPC files, of all columns; `None` as of [`rows`](Self::rows).
    pub fn bytes(&self) -> Option<u64> {
        self.bytes
    }

    /// Returns why the frame is not mapped, if it is not.
    pub fn why(&self) -> Option<&str> {
        match &self.batches {
            Batches::Mapped { .. } => None,
            Batches::Streamed(streamed) => Some(&streamed.why),
        }
    }

    /// The next batch; `None` after the last one. What is mapped keeps the lease.
    ///
    /// # Errors
    /// As [`Frame::batch`]; and where the rows are streamed, whatever the connection has to report, which is the stream's
    /// end, and [`ClientError::Forked`] in a forked child.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>, ClientError> {
        match &mut self.batches {
            Batches::Mapped { frame, next } if *next < frame.num_batches() => {
                *next += 1;
                frame.batch(*next - 1).map(Some)
            }
            Batches::Mapped { .. } => Ok(None),
            Batches::Streamed(streamed) => match (streamed.next().await?, &self.columns) {
                (Some(batch), Some(columns)) => batch.project(columns).map(Some).map_err(ClientError::Arrow),
                (batch, _) => Ok(batch),
            },
        }
    }

    /// The rest, with these columns only, in this order: see [`Frame::select`]. The stream has all columns
    /// nevertheless; the others are dropped here ([`Client::stream_selected`](crate::Client::stream_selected) has them left
    /// out).
    ///
    /// # Errors
    /// [`ClientError::NoColumn`].
    pub fn select<S: AsRef<str>>(mut self, names: &[S]) -> Result<Self, ClientError> {
        if let Batches::Mapped { frame, .. } = &mut self.batches {
            *frame = frame.select(names)?;
            self.schema = frame.schema();
        } else {
            let of = (self.name.as_str(), self.version);
            let (schema, columns) = selected(of, &self.schema, self.columns.as_deref(), names)?;
            (self.schema, self.columns) = (schema, Some(columns));
        }
        Ok(self)
    }

    /// Takes what is wanted of a frame that is mapped.
    pub(crate) fn mapped(frame: Frame, wanted: &Selection) -> Result<Self, ClientError> {
        let version_rows = Some(frame.rows);
        let frame = wanted.of(frame)?;
        Ok(Self {
            name: frame.name.clone(),
            version: frame.version,
            region: frame.region.clone(),
            schema: frame.schema(),
            columns: None,
            rows: Some(frame.rows),
            version_rows,
            bytes: Some(frame.bytes),
            batches: Batches::Mapped { frame, next: 0 },
        })
    }

    /// The rows that `info` has a ticket for, or those that are selected, by DoGet, up to the first batch.
    pub(crate) async fn streamed(
        connection: &Connection,
        info: &FlightInfo,
        ticket: Ticket,
        selected: Option<Selected>,
        why: String,
    ) -> Result<Self, ClientError> {
        let named = farrow_proto::decode_ticket(&ticket.ticket)?;
        let ticket = selected.as_ref().map_or(ticket, |selected| selected.ticket.clone());
        let messages = connection.do_get(ticket).await?;
        let rows = FlightRecordBatchStream::new_from_flight_data(messages.map_err(FlightError::from));
        let mut streamed =
            Streamed { connection: connection.clone(), rows: Some(OfProcess::new(rows)), first: None, why };
        // The schema comes before it.
        streamed.first = streamed.receive().await?;
        let schema = streamed.rows.as_ref().and_then(|rows| rows.schema()).cloned();
        let mut schema = schema
            .ok_or_else(|| ClientError::Answer { what: "DoGet: a stream without schema".to_owned() })?;
        // Flight's word for "not known" is -1.
        let version_rows = u64::try_from(info.total_records).ok();
        let (mut rows, mut columns) = (version_rows, None);
        if let Some(selected) = selected {
            selected.check(&schema)?;
            rows = version_rows.map(|all| selected.count(all));
            columns = selected.places;
        }
        if let Some(columns) = &columns {
            schema = Arc::new(schema.project(columns).map_err(ClientError::Arrow)?);
        }
        Ok(Self {
            name: named.name,
            version: named.version,
            region: named.region_uuid,
            schema,
            columns,
            rows,
            version_rows,
            bytes: u64::try_from(info.total_bytes).ok(),
            batches: Batches::Streamed(Box::new(streamed)),
        })
    }

    /// All that is left, kept.
    pub(crate) async fn into_frame(mut self) -> Result<Frame, ClientError> {
        let mut streamed = match self.batches {
            Batches::Mapped { frame, .. } => return Ok(frame),
            Batches::Streamed(streamed) => streamed,
        };
        let mut batches = Vec::new();
        while let Some(batch) = streamed.next().await? {
            batches.push(batch);
        }
        let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        // Arrow's own measure counts a message once for each buffer in it.
        let bytes = self.bytes.unwrap_or_else(|| batches.iter().map(logical_bytes).sum());
        Ok(Frame {
            name: std::mem::take(&mut self.name),
            version: self.version,
            region: self.region,
            schema: self.schema,
            rows: u64::try_from(rows).unwrap_or(u64::MAX),
            bytes,
            columns: self.columns,
            parts: None,
            source: Arc::new(Source::Streamed { batches, why: streamed.why }),
        })
    }
}

impl std::fmt::Debug for Batches {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Mapped { next, .. } => write!(f, "mapped, from batch {next} on"),
            Self::Streamed(streamed) => write!(f, "streamed: {}", streamed.why),
        }
    }
}

struct Streamed {
    connection: Connection,
    /// `None` after an error: messages behind it would be rows with a gap before them.
    rows: Option<OfProcess<FlightRecordBatchStream>>,
    /// Received already.
    first: Option<RecordBatch>,
    why: String,
}

impl Streamed {
    async fn next(&mut self) -> Result<Option<RecordBatch>, ClientError> {
        match self.first.take() {
            Some(batch) => Ok(Some(batch)),
            None => self.receive().await,
        }
    }

    async fn receive(&mut self) -> Result<Option<RecordBatch>, ClientError> {
        // In a child nobody would ever answer.
        self.connection.check_process()?;
        let Some(rows) = &mut self.rows else { return Ok(None) };
        rows.try_next().await.map_err(|error| {
            self.rows = None;
            match error {
                FlightError::Tonic(status) => self.connection.error(&status),
                FlightError::Arrow(error) => ClientError::Arrow(error),
                other => ClientError::Answer { what: other.to_string() },
            }
        })
    }
}
