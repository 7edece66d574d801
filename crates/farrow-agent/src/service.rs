//! The Flight service: each verb decodes, makes one call to the region or the leases, and encodes.

mod actions;
mod endpoints;
mod foreign;
mod grants;
mod info;
mod listing;
mod names;
mod observed;
mod pump;
mod put;
mod rows;
mod session;
mod verbs;
mod verify;
mod watches;

use std::pin::Pin;
use std::sync::Arc;

use arrow_flight::flight_service_server::FlightService;
use arrow_flight::{
    Action as Call, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest,
    HandshakeResponse, PollInfo, PutResult, Result as ActionResult, SchemaResult, Ticket,
};
use farrow_proto::{ANNOUNCE_HEADER, ANNOUNCE_VALUE, Action};
use futures::Stream;
use tokio::sync::watch;
use tonic::{Request, Response, Status, Streaming};

use crate::access::Access;
use crate::caller::Caller;
use crate::error::AgentError;
use crate::health::Health;
use crate::leases::Leases;
use crate::limits::Limits;
use crate::listen::Peer;
use crate::metrics::Metrics;
use crate::process::Process;
use crate::region::Region;
use crate::rights::Right;
use put::Puts;

pub(crate) use verbs::Verbs;

pub(crate) use observed::Observed;

/// What the agent serves.
#[derive(Clone)]
pub(crate) struct Service {
    region: Arc<Region>,
    leases: Arc<Leases>,
    access: Arc<Access>,
    health: Arc<Health>,
    metrics: Metrics,
    limits: watch::Receiver<Limits>,
    puts: Arc<Puts>,
    /// The owner of what the agent itself writes.
    agent: Arc<Process>,
    /// The last change of what look-ups find.
    changed: Arc<watch::Sender<u64>>,
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl Service {
    /// Serves the frames of `region`, under `leases`, to whom `access` lets.
    pub(crate) fn new(
        region: Arc<Region>,
        leases: Arc<Leases>,
        access: Arc<Access>,
        health: Arc<Health>,
        metrics: Metrics,
        limits: watch::Receiver<Limits>,
    ) -> Result<Self, AgentError> {
        let agent = Arc::new(Process::this().map_err(AgentError::Watch)?);
        let puts = Arc::new(Puts::new(limits.clone()));
        let changed = Arc::new(watch::Sender::new(region.store().seq()));
        let tell = changed.clone();
        region.store().on_change(move |seq| {
            tell.send_replace(seq);
        });
        Ok(Self { region, leases, access, health, metrics, limits, puts, agent, changed })
    }

    /// How each verb begins: whether the region can be served, and who asks. The caller is then asked what it may.
    fn admit<T>(&self, request: &Request<T>, verb: &'static str) -> Result<Caller, AgentError> {
        self.region.check_len()?;
        Caller::of(request.extensions().get::<Peer>(), request.metadata(), self.access.rights(), verb)
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
        Some(Peer::Process { process, .. }) => Ok(process.clone()),
        Some(Peer::Remote { address, .. }) => {
            Err(AgentError::NeedsUnixSocket { verb, address: Some(*address) })
        }
        Some(Peer::Unnamed { .. }) | None => Err(AgentError::NeedsUnixSocket { verb, address: None }),
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
        let caller = self.admit(&request, "GetFlightInfo")?;
        let mapper = mapper(&request);
        let descriptor = request.into_inner();
        let frame = caller.allow(Right::Read, names::frame_ref(&descriptor)?)?;
        let info = self.flight_info(mapper, frame, descriptor).await;
        Ok(Response::new(info.map_err(|error| caller.censored(error))?))
    }

    async fn get_schema(&self, request: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        let caller = self.admit(&request, "GetSchema")?;
        let frame = caller.allow(Right::Read, names::frame_ref(request.get_ref())?)?;
        let schema = self.schema_of(frame).await;
        Ok(Response::new(schema.map_err(|error| caller.censored(error))?))
    }

    async fn list_flights(
        &self,
        request: Request<Criteria>,
    ) -> Result<Response<Self::ListFlightsStream>, Status> {
        let caller = self.admit(&request, "ListFlights")?;
        let infos = self.flight_infos(caller, request.get_ref())?;
        Ok(Response::new(Box::pin(futures::stream::iter(infos))))
    }

    async fn do_get(&self, request: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        let caller = self.admit(&request, "DoGet")?;
        let ticket = caller.allow(Right::Read, self.redeem(request.get_ref())?)?;
        let messages = match mapper(&request) {
            Some(process) => self.mapped_batches(&process, ticket).await,
            None => self.rows(ticket).await,
        };
        Ok(Response::new(messages.map_err(|error| caller.censored(error))?))
    }

    async fn do_put(
        &self,
        request: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoPutStream>, Status> {
        let caller = self.admit(&request, "DoPut")?;
        Ok(Response::new(self.put(caller, request)?))
    }

    async fn do_action(&self, request: Request<Call>) -> Result<Response<Self::DoActionStream>, Status> {
        let name = request.get_ref().r#type.as_str();
        let Some(action) = Action::parse(name) else {
            return Err(AgentError::UnknownAction { name: name.to_owned() }.into());
        };
        let caller = self.admit(&request, action.as_str())?;
        let results = self.action(action, &caller, request).await;
        Ok(Response::new(results.map_err(|error| caller.censored(error))?))
    }

    async fn list_actions(&self, _: Request<Empty>) -> Result<Response<Self::ListActionsStream>, Status> {
        let types = Action::ALL.map(|action| {
            Ok(ActionType { r#type: action.as_str().into(), description: action.description().into() })
        });
        Ok(Response::new(Box::pin(futures::stream::iter(types))))
    }

    async fn poll_flight_info(
        &self,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<PollInfo>, Status> {
        let info = self.get_flight_info(request).await?.into_inner();
        // Without a descriptor to poll again with, the answer is complete.
        Ok(Response::new(PollInfo::new().with_info(info).try_with_progress(1.0).map_err(AgentError::Arrow)?))
    }

    // Verbs that are not offered.

    async fn handshake(
        &self,
        _: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        Err(AgentError::Unimplemented {
            verb: "Handshake",
            instead: "the header `authorization: Bearer TOKEN` with every call, or a certificate",
        }
        .into())
    }

    async fn do_exchange(
        &self,
        request: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoExchangeStream>, Status> {
        let caller = self.admit(&request, "DoExchange")?;
        let process = process(&request, "a session")?;
        Ok(Response::new(self.session(caller, process, request.into_inner())))
    }
}
