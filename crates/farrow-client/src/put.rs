//! Publishing: reserve, write in place, commit. Or, where this process cannot write in place, DoPut.

use arrow_array::RecordBatch;
use arrow_flight::encode::{DictionaryHandling, FlightDataEncoderBuilder};
use arrow_schema::SchemaRef;
use farrow_ipc::Plan;
use farrow_proto::{Action, PUT_APPEND, PUT_REPLACE, Reason, v1};
use farrow_region::WriteMapping;
use futures::StreamExt;
use tokio::sync::oneshot;

use crate::client::{Client, Info};
use crate::connection::Connection;
use crate::error::ClientError;

/// Smaller batches are joined up to about this: a get costs time for each batch and column, not for bytes.
const BATCH_BYTES: u64 = 64 << 20;

/// Bytes of data in a message of a DoPut, about.
const MESSAGE_BYTES: u64 = 1 << 20;

/// What becomes of the frame's latest version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The new one has none of its rows.
    Replace,
    /// The new one has its rows, too.
    Append,
}

pub(crate) async fn put(
    client: &Client,
    name: &str,
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    mode: Mode,
) -> Result<Info, ClientError> {
    let batches = farrow_ipc::prepare(&schema, batches, BATCH_BYTES)?;
    let (mapping, reserved, len) = match reserve(client, &schema, &batches).await? {
        Ok(reserved) => reserved,
        Err(why) => return stream(client, name, schema, batches, mode, why).await,
    };
    // The reservation goes along with the write: a caller that gives up waiting must not give the extents back while
    // they are still written to.
    let write = tokio::task::spawn_blocking(move || {
        let written = fill(&mapping, &schema, &batches);
        // What is committed, this process can no longer change.
        drop(mapping);
        written.map(|()| reserved)
    });
    let reserved = write.await.map_err(ClientError::Interrupted)??;
    reserved.commit(name, len, mode).await
}

/// Extents for the batches, mapped; or why this process cannot write there.
async fn reserve(
    client: &Client,
    schema: &SchemaRef,
    batches: &[RecordBatch],
) -> Result<Result<(WriteMapping, Reserved, u64), String>, ClientError> {
    if !client.connection.is_local() {
        return Ok(Err(client.connection.why_not_local()));
    }
    let plan = Plan::new(schema, batches)?;
    let reserved = match Reserved::take(&client.connection, plan.len).await {
        Err(error) if error.reason() == Some(Reason::NeedsUnixSocket) => return Ok(Err(error.to_string())),
        reserved => reserved?,
    };
    match client.regions.writable(&reserved.reservation) {
        Ok(mapping) => Ok(Ok((mapping, reserved, plan.len))),
        Err(error) => {
            // The agent needs the room.
            reserved.give_back().await?;
            Ok(Err(error.to_string()))
        }
    }
}

fn fill(mapping: &WriteMapping, schema: &SchemaRef, batches: &[RecordBatch]) -> Result<(), ClientError> {
    farrow_ipc::write(schema, batches, &mut mapping.writer())?;
    Ok(mapping.persist(0, mapping.len())?)
}

/// The same rows by DoPut.
async fn stream(
    client: &Client,
    name: &str,
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    mode: Mode,
    why: String,
) -> Result<Info, ClientError> {
    tracing::debug!(frame = name, why, "not written in place");
    let slices = batches.into_iter().flat_map(|batch| farrow_ipc::slices(&batch, MESSAGE_BYTES).map(Ok));
    let encoded = FlightDataEncoderBuilder::new()
        .with_schema(schema)
        .with_dictionary_handling(DictionaryHandling::Resend)
        .with_max_flight_data_size(usize::MAX)
        .with_flight_descriptor(Some(Connection::descriptor(name)))
        .build(futures::stream::iter(slices));
    let (fail, failed) = oneshot::channel();
    let mut fail = Some(fail);
    // A stream that simply ended would be taken for a whole one.
    let messages = encoded.then(move |message| {
        let message = message.map_err(|error| fail.take().map(|fail| fail.send(error)));
        async move {
            match message {
                Ok(message) => message,
                Err(_) => std::future::pending().await,
            }
        }
    });
    let mode = match mode {
        Mode::Replace => PUT_REPLACE,
        Mode::Append => PUT_APPEND,
    };
    tokio::select! {
        published = client.connection.do_put(messages, mode) => Ok(Info { why: Some(why), ..published?.into() }),
        Ok(error) = failed => Err(ClientError::Answer { what: format!("DoPut: {error}") }),
    }
}

/// A reservation that is aborted unless it is committed.
struct Reserved {
    reservation: v1::Reservation,
    connection: Connection,
    ended: bool,
}

impl Reserved {
    async fn take(connection: &Connection, len: u64) -> Result<Self, ClientError> {
        let request = v1::ReserveRequest { len, ..Default::default() };
        let reservation = connection.action_result(Action::Reserve, &request).await?;
        Ok(Self { reservation, connection: connection.clone(), ended: false })
    }

    async fn commit(mut self, name: &str, len: u64, mode: Mode) -> Result<Info, ClientError> {
        let (reservation, append) = (self.reservation.id, mode == Mode::Append);
        let name = name.to_owned();
        let request = v1::CommitRequest { reservation, name, len, append, ..Default::default() };
        let info: v1::FrameInfo = self.connection.action_result(Action::Commit, &request).await?;
        self.ended = true;
        Ok(info.into())
    }

    async fn give_back(mut self) -> Result<(), ClientError> {
        let request = v1::AbortRequest { reservation: self.reservation.id };
        self.connection.action::<()>(Action::Abort, &request).await?;
        self.ended = true;
        Ok(())
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let connection = self.connection.clone();
        let request = v1::AbortRequest { reservation: self.reservation.id };
        // Outside a runtime the agent ends the reservation with this process.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if let Err(error) = connection.action::<()>(Action::Abort, &request).await {
                    tracing::warn!(%error, "a reservation could not be given back before this process ends");
                }
            });
        }
    }
}
