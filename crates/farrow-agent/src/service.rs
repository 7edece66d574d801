//! The Flight service: each verb decodes, makes one call to the region or the leases, and encodes.

mod actions;
mod answers;
mod committing;
mod endpoints;
mod foreign;
mod grants;
mod health;
mod incoming;
mod info;
mod listing;
mod names;
mod observed;
mod pace;
mod pump;
mod put;
mod put_buffers;
mod put_memory;
mod receipts;
mod retentions;
mod rows;
mod selection;
mod session;
mod unfinished;
mod verbs;
mod verify;
mod versions;
mod watches;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use arrow_flight::flight_service_server::FlightService;
use arrow_flight::{
    Action as Call, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest,
    HandshakeResponse, PollInfo, PutResult, Result as ActionResult, SchemaResult, Ticket,
};
use farrow_proto::{ANNOUNCE_HEADER, ANNOUNCE_VALUE, Action, v1};
use farrow_store::{FrameName, StoreError, Version};
use futures::Stream;
use tokio::sync::watch;
use tonic::{Request, Response, Status, Streaming};

use crate::access::Access;
use crate::awaited::{Awaited, Waits};
use crate::caller::Caller;
use crate::error::AgentError;
use crate::health::Health;
use crate::leases::Leases;
use crate::limits::Limits;
use crate::listen::Peer;
use crate::metrics::Metrics;
use crate::places::Places;
use crate::process::Process;
use crate::region::Region;
use crate::rights::Right;
use crate::shares::Shares;
use crate::user::User;
use committing::Committing;
use pump::Streams;
use put::Puts;
use selection::Wanted;

pub(crate) use health::HealthVerbs;
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
    streams: Arc<Streams>,
    watches: Arc<Places>,
    committing: Arc<Committing>,
    /// Threads that read all bytes of frames.
    readers: Arc<Shares>,
    /// Threads that make large answers.
    makers: Arc<Shares>,
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
        let streams = Arc::new(Streams::new(limits.borrow().stream_bytes));
        let watches = Places::new(Duration::MAX);
        let committing = Arc::default();
        // One user has a half of them, which is as many as can run.
        let threads = 2 * std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
        let (readers, makers) = (Shares::new(threads), Shares::new(threads));
        let changed = Arc::new(watch::Sender::new(region.view().seq()));
        let tell = changed.clone();
        region.view().on_change(move |seq| {
            tell.send_replace(seq);
        });
        Ok(Self {
            region,
            leases,
            access,
            health,
            metrics,
            limits,
            puts,
            streams,
            watches,
            committing,
            readers,
            makers,
            agent,
            changed,
        })
    }

    /// How each verb begins: whether the region can be served, and who asks. The caller is then asked what it may.
    fn admit<T>(&self, request: &Request<T>, verb: &'static str) -> Result<Caller, AgentError> {
        self.region.check_there()?;
        Caller::of(request.extensions().get::<Peer>(), request.metadata(), self.access.rights(), verb)
    }

    /// The answer to a caller that has published a version. A caller that may not read the frame is told no sizes: they
    /// include those of the version that it has appended to.
    fn published(&self, caller: &Caller, version: &Version) -> v1::FrameInfo {
        let info = self.region.frame_info(version);
        if caller.may(Right::Read, &version.name) {
            return info;
        }
        let v1::FrameInfo { name, version, region_uuid, .. } = info;
        v1::FrameInfo { name, version, region_uuid, ..Default::default() }
    }

    /// Of a full region: the room for another pool file, and the frame whose old versions hold most, of those that the
    /// caller may read and drop.
    fn name_remedies(&self, caller: &Caller, mut error: AgentError) -> AgentError {
        if let AgentError::Store(StoreError::RegionFull { old, growable, .. }) = &mut error {
            *growable = self.region.usage(0).growable;
            let may = |name: &FrameName| caller.may(Right::Read, name) && caller.may(Right::Drop, name);
            *old = self.region.view().most_old(may).map(Box::new);
        }
        error
    }

    /// Runs what may take long (it reads or writes frames, or waits for the catalog) where it holds up no other request.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, AgentError> + Send + 'static,
    ) -> Result<T, AgentError> {
        let service = self.clone();
        tokio::task::spawn_blocking(move || work(&service)).await.map_err(AgentError::Interrupted)?
    }

    /// As [`blocking`](Self::blocking), of what reads all bytes of frames: in one of a few threads, which users share.
    /// The work is told when its caller has gone away, and ends then.
    async fn reading<T: Send + 'static>(
        &self,
        user: &User,
        work: impl FnOnce(&Self, &Awaited) -> Result<T, AgentError> + Send + 'static,
    ) -> Result<T, AgentError> {
        let thread = self.readers.take(user, 1).await;
        let (_waits, awaited) = Waits::new();
        self.blocking(move |service| {
            let _thread = thread;
            work(service, &awaited)
        })
        .await
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
        let frame = caller.allow(Right::Read, Wanted::of(&descriptor)?)?;
        let info = self.flight_info(&caller.user(), mapper, frame, descriptor).await;
        let info = info.and_then(|info| self.respond(&caller.user(), info));
        Ok(info.map_err(|error| caller.censored(error))?)
    }

    async fn get_schema(&self, request: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        let caller = self.admit(&request, "GetSchema")?;
        let frame = caller.allow(Right::Read, Wanted::of(request.get_ref())?)?;
        let schema = self.schema_of(&caller.user(), frame).await;
        let schema = schema.and_then(|schema| self.respond(&caller.user(), schema));
        Ok(schema.map_err(|error| caller.censored(error))?)
    }

    async fn list_flights(
        &self,
        request: Request<Criteria>,
    ) -> Result<Response<Self::ListFlightsStream>, Status> {
        let caller = self.admit(&request, "ListFlights")?;
        Ok(self.flight_infos(caller, request.get_ref())?)
    }

    async fn do_get(&self, request: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        let caller = self.admit(&request, "DoGet")?;
        let ticket = caller.allow(Right::Read, self.redeem(request.get_ref())?)?;
        let messages = match mapper(&request) {
            Some(process) => self.mapped_batches(caller.user(), &process, ticket),
            None => self.rows(caller.user(), ticket),
        };
        Ok(messages.map_err(|error| caller.censored(error))?)
    }

    async fn do_put(
        &self,
        request: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoPutStream>, Status> {
        let caller = self.admit(&request, "DoPut")?;
        Ok(Response::new(self.put(caller, &request)?))
    }

    async fn do_action(&self, request: Request<Call>) -> Result<Response<Self::DoActionStream>, Status> {
        let name = request.get_ref().r#type.as_str();
        let action = Action::parse(name);
        let caller = self.admit(&request, action.map_or("DoAction", Action::as_str))?;
        let Some(action) = action else {
            return Err(AgentError::UnknownAction { name: name.to_owned() }.into());
        };
        let results = self.action(action, &caller, request).await;
        Ok(results.map_err(|error| caller.censored(error))?)
    }

    async fn list_actions(
        &self,
        request: Request<Empty>,
    ) -> Result<Response<Self::ListActionsStream>, Status> {
        self.admit(&request, "ListActions")?;
        let types = Action::ALL.map(|action| {
            Ok(ActionType { r#type: action.as_str().into(), description: action.description().into() })
        });
        Ok(Response::new(Box::pin(futures::stream::iter(types))))
    }

    async fn poll_flight_info(
        &self,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<PollInfo>, Status> {
        // Without a descriptor to poll again with, the answer is complete.
        let complete = PollInfo::new().try_with_progress(1.0).map_err(AgentError::Arrow)?;
        Ok(self.get_flight_info(request).await?.map(|info| complete.with_info(info)))
    }

    // Verbs that are not offered.

    async fn handshake(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        self.admit(&request, "Handshake")?;
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
        Ok(self.session(caller, process, request.into_inner())?)
    }
}

#[cfg(test)]
mod tests;
