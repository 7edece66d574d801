//! The Flight service: each verb decodes, makes one call to the region or the leases, and encodes.

mod actions;
mod foreign;
mod info;
mod names;
mod rows;
mod verify;

use std::pin::Pin;
use std::sync::Arc;

use arrow_flight::flight_service_server::FlightService;
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest,
    HandshakeResponse, PollInfo, PutResult, Result as ActionResult, SchemaResult, Ticket,
};
use farrow_proto::{ANNOUNCE_HEADER, ANNOUNCE_VALUE};
use futures::Stream;
use tonic::{Request, Response, Status, Streaming};

use crate::error::AgentError;
use crate::leases::Leases;
use crate::listen::Peer;
use crate::process::Process;
use crate::region::Region;

/// What the agent serves.
#[derive(Clone)]
pub(crate) struct Service {
    region: Arc<Region>,
    leases: Arc<Leases>,
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl Service {
    /// Serves the frames of `region`, under `leases`.
    pub(crate) fn new(region: Arc<Region>, leases: Arc<Leases>) -> Self {
        Self { region, leases }
    }

    /// Runs what may take long (it reads or writes frames, or waits for the catalog) where it holds up no other request.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, AgentError> + Send + 'static,
    ) -> Result<T, AgentError> {
        let service = self.clone();
        tokio::task::spawn_blocking(move || work(&service)).await.map_err(AgentError::Interrupted)?
    }
}

/// The process behind a request, for verbs that give it something that must come back when it ends.
fn process<T>(request: &Request<T>, verb: &'static str) -> Result<Arc<Process>, AgentError> {
    match request.extensions().get::<Peer>() {
        Some(Peer::Process(process)) => Ok(process.clone()),
        Some(Peer::Unknown { address }) => Err(AgentError::NeedsUnixSocket { verb, address: *address }),
        None => Err(AgentError::NeedsUnixSocket { verb, address: None }),
    }
}

/// The process behind a request that asks for mapping descriptors: it announced itself and came over the unix socket.
/// Anyone else is served rows.
fn mapper<T>(request: &Request<T>) -> Option<Arc<Process>> {
    let announced = request.metadata().get(ANNOUNCE_HEADER).is_some_and(|value| value == ANNOUNCE_VALUE);
    if announced { process(request, "mapping").ok() } else { None }
}

#[tonic::async_trait]
impl FlightService for Service {
    type HandshakeStream = Answers<HandshakeResponse>;
    type ListFlightsStream = Answers<FlightInfo>;
    type DoGetStream = Answers<FlightData>;
    type DoPutStream = Answers<PutResult>;
    type DoExchangeStream = Answers<FlightData>;
    type DoActionStream = Answers<ActionResult>;
    type ListActionsStream = Answers<ActionType>;

    async fn get_flight_info(
        &self,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        self.region.check_len()?;
        let mapper = mapper(&request);
        Ok(Response::new(self.flight_info(mapper, request.into_inner()).await?))
    }

    async fn get_schema(&self, request: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        self.region.check_len()?;
        Ok(Response::new(self.schema_of(&request.into_inner()).await?))
    }

    async fn list_flights(
        &self,
        request: Request<Criteria>,
    ) -> Result<Response<Self::ListFlightsStream>, Status> {
        self.region.check_len()?;
        let infos = self.flight_infos(request.into_inner());
        Ok(Response::new(Box::pin(futures::stream::iter(infos))))
    }

    async fn do_get(&self, request: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        self.region.check_len()?;
        let messages = match mapper(&request) {
            Some(process) => self.mapped_batches(&process, &request.into_inner()).await?,
            None => self.rows(&request.into_inner()).await?,
        };
        Ok(Response::new(messages))
    }

    async fn do_put(
        &self,
        request: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoPutStream>, Status> {
        drop(request);
        Err(AgentError::Unimplemented { verb: "DoPut", instead: "the farrow client, which writes in place" }
            .into())
    }

    async fn do_action(&self, request: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        self.region.check_len()?;
        Ok(Response::new(self.action(request).await?))
    }

    async fn list_actions(&self, _: Request<Empty>) -> Result<Response<Self::ListActionsStream>, Status> {
        let types = farrow_proto::Action::ALL.map(|action| {
            Ok(ActionType { r#type: action.as_str().into(), description: action.description().into() })
        });
        Ok(Response::new(Box::pin(futures::stream::iter(types))))
    }

    // Verbs that are not offered.

    async fn handshake(
        &self,
        _: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        Err(AgentError::Unimplemented { verb: "Handshake", instead: "no authentication" }.into())
    }

    async fn poll_flight_info(&self, _: Request<FlightDescriptor>) -> Result<Response<PollInfo>, Status> {
        Err(AgentError::Unimplemented { verb: "PollFlightInfo", instead: "GetFlightInfo, which never waits" }
            .into())
    }

    async fn do_exchange(
        &self,
        _: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoExchangeStream>, Status> {
        Err(AgentError::Unimplemented { verb: "DoExchange", instead: "DoAction and GetFlightInfo" }.into())
    }
}
