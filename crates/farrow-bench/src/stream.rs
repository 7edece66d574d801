//! Plain Flight: rows by DoGet, and by DoPut.

use anyhow::Context;
use arrow_array::RecordBatch;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{FlightClient, FlightDescriptor, Ticket};
use futures::TryStreamExt;
use tonic::transport::{Channel, Endpoint};

/// A frame, as a Flight client in Rust asks for it.
#[derive(Debug, Clone)]
pub(crate) struct Stream {
    pub(crate) flight: FlightServiceClient<Channel>,
    descriptor: FlightDescriptor,
}

impl Stream {
    /// Connects.
    pub(crate) async fn connect(socket: &str, name: &str) -> anyhow::Result<Self> {
        Self::connect_to(format!("unix://{socket}"), name).await
    }

    /// The same to a URI.
    pub(crate) async fn connect_to(uri: String, name: &str) -> anyhow::Result<Self> {
        let channel = Endpoint::from_shared(uri)?.connect().await?;
        let flight = FlightServiceClient::new(channel);
        Ok(Self {
            flight,
            descriptor: FlightDescriptor::new_path(name.split('/').map(str::to_owned).collect()),
        })
    }

    /// A ticket for its latest version.
    pub(crate) async fn ticket(&self) -> anyhow::Result<Ticket> {
        let info = self.client().get_flight_info(self.descriptor.clone()).await?;
        info.endpoint.into_iter().next().and_then(|endpoint| endpoint.ticket).context("a ticket")
    }

    /// All batches of a version.
    pub(crate) async fn get(&self, ticket: Ticket) -> anyhow::Result<Vec<RecordBatch>> {
        Ok(self.client().do_get(ticket).await?.try_collect().await?)
    }

    /// Its next version.
    pub(crate) async fn put(&self, batches: Vec<RecordBatch>) -> anyhow::Result<()> {
        let messages = FlightDataEncoderBuilder::new()
            .with_flight_descriptor(Some(self.descriptor.clone()))
            .build(futures::stream::iter(batches.into_iter().map(Ok)));
        let results = self.client().do_put(messages).await?;
        results.try_collect::<Vec<_>>().await?;
        Ok(())
    }

    fn client(&self) -> FlightClient {
        FlightClient::new_from_inner(self.flight.clone())
    }
}
