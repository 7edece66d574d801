//! Publishing by DoPut, where this process cannot write in place: the agent does.

use arrow_array::RecordBatch;
use arrow_flight::encode::{DictionaryHandling, FlightDataEncoderBuilder};
use arrow_flight::error::FlightError;
use arrow_flight::{FlightData, SchemaAsIpc};
use arrow_ipc::writer::IpcWriteOptions;
use farrow_proto::v1;
use futures::{Stream, StreamExt, TryStreamExt};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::connection::Connection;
use crate::error::ClientError;
use crate::info::Info;
use crate::writer::Target;

/// Bytes of data in a message, about.
const MESSAGE_BYTES: u64 = 1 << 20;

/// A DoPut that is under way. Dropped, it is cancelled, and leaves nothing.
#[derive(Debug)]
pub(crate) struct PutStream {
    batches: mpsc::Sender<Part>,
    put: JoinHandle<Result<v1::FrameInfo, ClientError>>,
    why: String,
}

#[derive(Debug)]
enum Part {
    Batch(RecordBatch),
    /// Only with this everything was sent: a queue that ends without it was dropped.
    End,
}

impl PutStream {
    pub(crate) fn begin(target: Target, why: String) -> Self {
        tracing::debug!(frame = target.name, why, "not written in place");
        let (batches, queue) = mpsc::channel(1);
        Self { batches, put: tokio::spawn(put(target, queue)), why }
    }

    pub(crate) async fn write(&mut self, batches: Vec<RecordBatch>) -> Result<(), ClientError> {
        for batch in batches {
            self.send(Part::Batch(batch)).await?;
        }
        Ok(())
    }

    pub(crate) async fn publish(mut self) -> Result<Info, ClientError> {
        self.send(Part::End).await?;
        let published = (&mut self.put).await.map_err(ClientError::Interrupted)??;
        Ok(Info { why: Some(std::mem::take(&mut self.why)), ..published.into() })
    }

    async fn send(&mut self, part: Part) -> Result<(), ClientError> {
        if self.batches.send(part).await.is_ok() {
            return Ok(());
        }
        // The agent has refused, and takes no more.
        (&mut self.put).await.map_err(ClientError::Interrupted)??;
        Err(ClientError::Answer { what: "DoPut: published before all rows were sent".to_owned() })
    }
}

impl Drop for PutStream {
    fn drop(&mut self) {
        self.put.abort();
    }
}

async fn put(target: Target, queue: mpsc::Receiver<Part>) -> Result<v1::FrameInfo, ClientError> {
    let Target { client, name, schema, options } = target;
    let batches = futures::stream::unfold(queue, |mut queue| async {
        match queue.recv().await {
            Some(Part::Batch(batch)) => Some((batch, queue)),
            Some(Part::End) => None,
            None => std::future::pending().await,
        }
    });
    let slices = batches.flat_map(|batch| {
        futures::stream::iter(farrow_ipc::slices(&batch, MESSAGE_BYTES).map(Ok::<_, FlightError>))
    });
    let mut whole_schema =
        Some(FlightData::from(SchemaAsIpc::new(&schema, &IpcWriteOptions::default())).data_header);
    let encoded = FlightDataEncoderBuilder::new()
        .with_schema(schema)
        .with_dictionary_handling(DictionaryHandling::Resend)
        .with_max_flight_data_size(usize::MAX)
        .with_flight_descriptor(Some(Connection::descriptor(&name)))
        .build(slices);
    // The encoder's own first message makes fields of unions anew: not nullable, and without their metadata.
    let encoded = encoded.map_ok(move |message| match whole_schema.take() {
        Some(data_header) => FlightData { data_header, ..message },
        None => message,
    });
    let (messages, failed) = until_failure(encoded);
    tokio::select! {
        published = client.connection.do_put(messages, options) => published,
        Ok(error) = failed => Err(ClientError::Answer { what: format!("DoPut: {error}") }),
    }
}

/// The messages, without an end if there is an error, which comes by itself: a stream that simply ended would be taken
/// for a whole one.
fn until_failure(
    messages: impl Stream<Item = Result<FlightData, FlightError>> + Send + 'static,
) -> (impl Stream<Item = FlightData> + Send + 'static, oneshot::Receiver<FlightError>) {
    let (fail, failed) = oneshot::channel();
    let mut fail = Some(fail);
    let messages = messages.then(move |message| {
        let message = message.map_err(|error| fail.take().map(|fail| fail.send(error)));
        async move {
            match message {
                Ok(message) => message,
                Err(_) => std::future::pending().await,
            }
        }
    });
    (messages, failed)
}
