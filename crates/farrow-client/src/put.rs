//! Publishing: reserve, write in place, commit.

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use farrow_ipc::Plan;
use farrow_proto::{Action, v1};
use farrow_region::WriteMapping;

use crate::client::{Client, Info};
use crate::connection::Connection;
use crate::error::ClientError;

/// Smaller batches are joined up to about this: a get costs time for each batch and column, not for bytes.
const BATCH_BYTES: u64 = 64 << 20;

pub(crate) async fn put(
    client: &Client,
    name: &str,
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
) -> Result<Info, ClientError> {
    let batches = farrow_ipc::prepare(&schema, batches, BATCH_BYTES)?;
    let plan = Plan::new(&schema, &batches)?;
    let reserved = Reserved::take(&client.connection, plan.len).await?;

    let mapping = client.regions.writable(&reserved.reservation)?;
    // The reservation goes along with the write: a caller that gives up waiting must not give the extents back while
    // they are still written to.
    let write = tokio::task::spawn_blocking(move || {
        let written = fill(&mapping, &schema, &batches);
        // What is committed, this process can no longer change.
        drop(mapping);
        written.map(|()| reserved)
    });
    let reserved = write.await.map_err(ClientError::Interrupted)??;
    reserved.commit(name, plan.len).await
}

fn fill(mapping: &WriteMapping, schema: &SchemaRef, batches: &[RecordBatch]) -> Result<(), ClientError> {
    farrow_ipc::write(schema, batches, &mut mapping.writer())?;
    Ok(mapping.persist(0, mapping.len())?)
}

/// A reservation that is aborted unless it is committed.
struct Reserved {
    reservation: v1::Reservation,
    connection: Connection,
    committed: bool,
}

impl Reserved {
    async fn take(connection: &Connection, len: u64) -> Result<Self, ClientError> {
        let reservation = connection.action_result(Action::Reserve, &v1::ReserveRequest { len }).await?;
        Ok(Self { reservation, connection: connection.clone(), committed: false })
    }

    async fn commit(mut self, name: &str, len: u64) -> Result<Info, ClientError> {
        let request = v1::CommitRequest { reservation: self.reservation.id, name: name.to_owned(), len };
        let info: v1::FrameInfo = self.connection.action_result(Action::Commit, &request).await?;
        self.committed = true;
        Ok(info.into())
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if self.committed {
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
