//! A version of a frame where it is: mapped, or far away.

use std::sync::Arc;

use arrow_flight::{FlightInfo, Ticket};
use arrow_schema::SchemaRef;

use crate::batch_stream::BatchStream;
use crate::client::Client;
use crate::connection::Connection;
use crate::error::ClientError;
use crate::frame::Frame;
use crate::retry::retried;
use crate::selection::Selection;

/// A version of a frame, as [`Client::locate`] finds it. None of its rows has been transferred.
#[derive(Debug, Clone)]
pub enum Located {
    /// It is mapped.
    Mapped(Frame),
    /// It cannot be mapped by this process.
    Remote(RemoteFrame),
}

/// A version that this process cannot map, and whose rows are streamed as often as they are asked for. It holds no lease:
/// once the version is dropped, streams that begin fail. Clones share the connection.
#[derive(Debug, Clone)]
pub struct RemoteFrame {
    streamed: Arc<Streamed>,
    name: String,
    version: u64,
    schema: SchemaRef,
}

impl Client {
    /// As [`get`](Self::get), but a frame that cannot be mapped is not read: its rows are streamed later, as many of them
    /// and as often as they are asked for.
    ///
    /// ```
    /// # farrow_integration_tests::Example::new().run(async |client| {
    /// use farrow_client::{Located, Selection};
    ///
    /// let ids = Selection::default().columns(["id"]);
    /// let rows = match client.locate("sales/orders").await? {
    ///     Located::Mapped(frame) => frame.select(&["id"])?.rows(),
    ///     Located::Remote(frame) => frame.stream(&ids).await?.rows().unwrap_or_default(),
    /// };
    /// assert_eq!(rows, 3);
    /// # Ok(()) });
    /// ```
    pub async fn locate(&self, name: &str) -> Result<Located, ClientError> {
        retried(|| crate::get::locate(self, name)).await
    }
}

impl RemoteFrame {
    /// The frame's name, without version.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The version's number.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The schema of all of its columns.
    pub fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    /// Rows; `None` if the agent has not said how many they are.
    pub fn rows(&self) -> Option<u64> {
        // Flight's word for "not known" is -1.
        u64::try_from(self.streamed.info.total_records).ok()
    }

    /// Bytes of its Arrow IPC files; `None` as of [`rows`](Self::rows).
    pub fn bytes(&self) -> Option<u64> {
        u64::try_from(self.streamed.info.total_bytes).ok()
    }

    /// Returns why it is not mapped.
    pub fn why(&self) -> &str {
        &self.streamed.why
    }

    /// Streams some columns and rows; no others are sent.
    ///
    /// # Errors
    /// As [`Client::stream_selected`].
    pub async fn stream(&self, wanted: &Selection) -> Result<BatchStream, ClientError> {
        retried(|| self.streamed.open(wanted)).await
    }
}

/// The way to the rows of a version that is not mapped.
#[derive(Debug)]
pub(crate) struct Streamed {
    pub(crate) connection: Connection,
    pub(crate) info: FlightInfo,
    pub(crate) ticket: Ticket,
    pub(crate) why: String,
}

impl Streamed {
    /// Begins a stream of some columns and rows, up to its first batch.
    pub(crate) async fn open(&self, wanted: &Selection) -> Result<BatchStream, ClientError> {
        let Self { connection, info, ticket, why } = self;
        let selected = wanted.ticket(connection, info, ticket).await?;
        BatchStream::streamed(connection, info, ticket.clone(), selected, why.clone()).await
    }

    /// The version itself.
    pub(crate) async fn described(self: Arc<Self>) -> Result<RemoteFrame, ClientError> {
        let named = farrow_proto::decode_ticket(&self.ticket.ticket)?;
        let schema = Arc::new(self.connection.schema_in(&self.info, &named).await?);
        Ok(RemoteFrame { streamed: self, name: named.name, version: named.version, schema })
    }
}
