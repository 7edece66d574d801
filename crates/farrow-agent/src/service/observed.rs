//! The service, with each request counted and logged.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use arrow_flight::flight_service_server::FlightService;
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest,
    HandshakeResponse, PollInfo, PutResult, Result as ActionResult, SchemaResult, Ticket,
};
use farrow_proto::{REASON_HEADER, v1};
use futures::Stream;
use prost::Message as _;
use tonic::{Code, Request, Response, Status, Streaming};

use super::{Answers, Service};
use crate::caller::Caller;
use crate::listen::Peer;
use crate::metrics::Metrics;

/// Verbs of actions that nobody offers: names that callers make up must not become metrics.
const UNKNOWN_ACTION: &str = "DoAction";

/// The outcome of a request whose caller went away before its end.
const CANCELLED: &str = "CANCELLED";

/// Counts and logs what a [`Service`] is asked.
#[derive(Clone)]
pub(crate) struct Observed {
    service: Service,
    metrics: Metrics,
}

impl Observed {
    pub(crate) fn new(service: Service, metrics: Metrics) -> Self {
        Self { service, metrics }
    }

    fn call<T>(&self, verb: &'static str, request: &Request<T>, frame: impl FnOnce(&T) -> String) -> Call {
        let told = tracing::enabled!(tracing::Level::DEBUG);
        let caller = told.then(|| self.caller(verb, request));
        let frame = told.then(|| frame(request.get_ref())).filter(|frame| !frame.is_empty());
        Call { verb, caller, frame, start: Instant::now(), metrics: Some(self.metrics.clone()) }
    }
}

impl Observed {
    /// The caller, as refusals call it, and its process.
    fn caller<T>(&self, verb: &'static str, request: &Request<T>) -> String {
        let peer = request.extensions().get::<Peer>();
        let caller = Caller::of(peer, request.metadata(), self.service.access.rights(), verb);
        let caller =
            caller.map_or_else(|_| "a caller with an unknown token".to_owned(), |who| who.to_string());
        match peer {
            Some(Peer::Process { process, .. }) => format!("{caller}, pid {}", process.id().pid),
            _ => caller,
        }
    }
}

/// A request that is being answered.
struct Call {
    verb: &'static str,
    caller: Option<String>,
    frame: Option<String>,
    start: Instant,
    /// None once the request has ended.
    metrics: Option<Metrics>,
}

impl Call {
    fn one<T>(mut self, answer: Result<Response<T>, Status>) -> Result<Response<T>, Status> {
        self.end(answer.as_ref().err());
        answer
    }

    fn many<T: 'static>(
        mut self,
        answer: Result<Response<Answers<T>>, Status>,
    ) -> Result<Response<Answers<T>>, Status> {
        match answer {
            Ok(response) => {
                Ok(response.map(|answers| Box::pin(Observing { answers, call: self }) as Answers<T>))
            }
            Err(status) => {
                self.end(Some(&status));
                Err(status)
            }
        }
    }

    fn end(&mut self, status: Option<&Status>) {
        let reason = status.and_then(|status| status.metadata().get(REASON_HEADER)?.to_str().ok());
        self.end_with(status.map_or("OK", |status| name(status.code())), reason.unwrap_or_default());
    }

    fn end_with(&mut self, result: &'static str, reason: &str) {
        let Some(metrics) = self.metrics.take() else { return };
        let took = self.start.elapsed();
        metrics.ended(self.verb, result, reason, took);
        let Self { verb, caller, frame, .. } = self;
        // The level may have been another one when it began: then nothing is known of who asked for what.
        if caller.is_none() {
            return;
        }
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        tracing::debug!(verb, caller, frame, result, reason, micros, "request");
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.end_with(CANCELLED, "");
    }
}

/// Answers whose end is that of their request.
struct Observing<T> {
    answers: Answers<T>,
    call: Call,
}

impl<T> Stream for Observing<T> {
    type Item = Result<T, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = self.answers.as_mut().poll_next(cx);
        match &polled {
            Poll::Ready(None) => self.call.end(None),
            Poll::Ready(Some(Err(status))) => self.call.end(Some(status)),
            _ => {}
        }
        polled
    }
}

#[tonic::async_trait]
impl FlightService for Observed {
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
        let call = self.call("GetFlightInfo", &request, described);
        call.one(self.service.get_flight_info(request).await)
    }

    async fn get_schema(&self, request: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        let call = self.call("GetSchema", &request, described);
        call.one(self.service.get_schema(request).await)
    }

    async fn list_flights(
        &self,
        request: Request<Criteria>,
    ) -> Result<Response<Self::ListFlightsStream>, Status> {
        let prefix = |criteria: &Criteria| String::from_utf8_lossy(&criteria.expression).into_owned();
        let call = self.call("ListFlights", &request, prefix);
        call.many(self.service.list_flights(request).await)
    }

    async fn do_get(&self, request: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        let call = self.call("DoGet", &request, |ticket| {
            let ticket = farrow_proto::decode_ticket(&ticket.ticket);
            ticket.map(|ticket| format!("{}@{}", ticket.name, ticket.version)).unwrap_or_default()
        });
        call.many(self.service.do_get(request).await)
    }

    async fn do_put(
        &self,
        request: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoPutStream>, Status> {
        let call = self.call("DoPut", &request, |_| String::new());
        call.many(self.service.do_put(request).await)
    }

    async fn do_action(&self, request: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        let action = farrow_proto::Action::parse(&request.get_ref().r#type);
        let verb = action.map_or(UNKNOWN_ACTION, farrow_proto::Action::as_str);
        let call = self.call(verb, &request, |call| {
            action.map(|action| frame_of(action, &call.body)).unwrap_or_default()
        });
        call.many(self.service.do_action(request).await)
    }

    async fn list_actions(
        &self,
        request: Request<Empty>,
    ) -> Result<Response<Self::ListActionsStream>, Status> {
        let call = self.call("ListActions", &request, |_| String::new());
        call.many(self.service.list_actions(request).await)
    }

    async fn handshake(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        let call = self.call("Handshake", &request, |_| String::new());
        call.many(self.service.handshake(request).await)
    }

    async fn poll_flight_info(
        &self,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<PollInfo>, Status> {
        let call = self.call("PollFlightInfo", &request, described);
        call.one(self.service.poll_flight_info(request).await)
    }

    async fn do_exchange(
        &self,
        request: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoExchangeStream>, Status> {
        let call = self.call("DoExchange", &request, |_| String::new());
        call.many(self.service.do_exchange(request).await)
    }
}

/// The frame, or the prefix of frames, that an action is about; "" if it is about none.
fn frame_of(action: farrow_proto::Action, body: &[u8]) -> String {
    use farrow_proto::Action;
    let named = match action {
        Action::Commit => v1::CommitRequest::decode(body).map(|request| request.name),
        Action::Retain => {
            v1::RetainRequest::decode(body).map(|request| request.name + &request.prefix.unwrap_or_default())
        }
        Action::Retentions => v1::RetentionsRequest::decode(body).map(|request| request.prefix),
        Action::Stat => v1::StatRequest::decode(body).map(|request| request.name),
        Action::Versions => v1::VersionsRequest::decode(body).map(|request| request.name),
        Action::Verify => v1::VerifyRequest::decode(body).map(|request| request.name),
        Action::Drop => v1::DropRequest::decode(body).map(|request| request.name + &request.prefix),
        Action::Expire => v1::ExpireRequest::decode(body).map(|request| request.prefix),
        Action::List => v1::ListRequest::decode(body).map(|request| request.prefix),
        _ => Ok(String::new()),
    };
    named.unwrap_or_default()
}

fn described(descriptor: &FlightDescriptor) -> String {
    descriptor.path.join("/")
}

/// As gRPC's specification spells it.
fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => CANCELLED,
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
