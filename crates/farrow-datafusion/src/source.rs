//! The source of the rows of a scan: memory of this process, or an agent far away.

use std::ops::Range;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use datafusion_common::{DataFusionError, Result};
use farrow_client::{BatchStream, ClientError, Frame, Located, RemoteFrame, Selection};
use futures::stream::{self, BoxStream, StreamExt};

/// Partitions of a frame that is streamed, each of which is a stream of one connection. An agent serves 256 on a connection
/// by default, and makes more wait.
const MOST_STREAMS: usize = 8;

/// Columns of a frame.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// They are mapped, or were streamed as a whole.
    Here(Frame),
    /// They are streamed when they are scanned.
    Far { frame: RemoteFrame, wanted: Selection, schema: SchemaRef },
}

impl Source {
    /// These columns of it, by their places.
    pub(crate) fn project(&self, columns: &[usize]) -> Result<Self> {
        let schema = self.schema().project(columns).map_err(external)?;
        let names: Vec<&String> = schema.fields().iter().map(|field| field.name()).collect();
        Ok(match self {
            Self::Here(frame) => Self::Here(frame.select(&names).map_err(external)?),
            Self::Far { frame, wanted, .. } => {
                let wanted = wanted.clone().columns(names);
                Self::Far { frame: frame.clone(), wanted, schema: schema.into() }
            }
        })
    }

    pub(crate) fn schema(&self) -> SchemaRef {
        match self {
            Self::Here(frame) => frame.schema(),
            Self::Far { schema, .. } => schema.clone(),
        }
    }

    /// The frame's name and the version's number.
    pub(crate) fn version(&self) -> (&str, u64) {
        match self {
            Self::Here(frame) => (frame.name(), frame.version()),
            Self::Far { frame, .. } => (frame.name(), frame.version()),
        }
    }

    pub(crate) fn is_mapped(&self) -> bool {
        matches!(self, Self::Here(frame) if frame.zero_copy())
    }

    /// Returns how many rows there are, if it is known.
    pub(crate) fn rows(&self) -> Option<u64> {
        match self {
            Self::Here(frame) => Some(frame.rows()),
            Self::Far { frame, .. } => frame.rows(),
        }
    }

    /// Bytes of all columns, if they are known.
    pub(crate) fn bytes(&self) -> Option<u64> {
        match self {
            Self::Here(frame) => Some(frame.bytes()),
            Self::Far { frame, .. } => frame.bytes(),
        }
    }

    /// The most partitions that there may be.
    pub(crate) fn most_partitions(&self) -> usize {
        match self {
            Self::Here(_) => usize::MAX,
            // Rows are counted from the first one only where there is an end.
            Self::Far { frame, .. } => frame.rows().map_or(1, |_| MOST_STREAMS),
        }
    }

    /// The batches of these rows, of which none is decoded or asked for before it is polled. An error is the last.
    pub(crate) fn batches(&self, rows: Range<u64>) -> BoxStream<'static, Result<RecordBatch>> {
        match self {
            Self::Here(frame) => {
                let mut reader = frame.slice(rows).reader();
                let mut failed = false;
                let next = std::iter::from_fn(move || {
                    let batch = if failed { None } else { reader.next() };
                    failed |= matches!(batch, Some(Err(_)));
                    batch
                });
                stream::iter(next.map(|batch| batch.map_err(external))).boxed()
            }
            Self::Far { frame, wanted, .. } => {
                let rows = FarRows { frame: frame.clone(), wanted: wanted.clone(), left: rows, stream: None };
                let next = async |mut rows: FarRows| {
                    rows.next().await.map(|batch| batch.map(|batch| (batch, rows))).map_err(external)
                };
                stream::try_unfold(rows, next).boxed()
            }
        }
    }
}

impl From<Located> for Source {
    fn from(located: Located) -> Self {
        match located {
            Located::Mapped(frame) => Self::Here(frame),
            Located::Remote(frame) => {
                Self::Far { schema: frame.schema(), wanted: Selection::default(), frame }
            }
        }
    }
}

/// Rows of a version as they are streamed. The version does not change, so a stream that breaks is begun again behind the
/// last row that came: an agent is restarted, or has ended a stream of which a slow query took nothing for minutes.
struct FarRows {
    frame: RemoteFrame,
    wanted: Selection,
    left: Range<u64>,
    stream: Option<BatchStream>,
}

impl FarRows {
    async fn next(&mut self) -> Result<Option<RecordBatch>, ClientError> {
        if self.left.is_empty() {
            return Ok(None);
        }
        loop {
            let stream = match &mut self.stream {
                Some(stream) => stream,
                // With it comes its first batch: whoever begins again has got further.
                None => {
                    let rows = self.wanted.clone().rows(self.left.clone());
                    self.stream.insert(self.frame.stream(&rows).await?)
                }
            };
            match stream.next().await {
                Err(error) if error.is_transient() => self.stream = None,
                Ok(Some(batch)) => {
                    self.left.start += batch.num_rows() as u64;
                    return Ok(Some(batch));
                }
                end => return end,
            }
        }
    }
}

pub(crate) fn external(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> DataFusionError {
    DataFusionError::External(error.into())
}
