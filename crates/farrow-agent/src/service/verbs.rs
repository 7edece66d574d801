//! The Flight verbs as HTTP requests: how long their messages may be, and who reads them.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use arrow_flight::flight_service_server::FlightServiceServer;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service as HttpService, http};
use tonic::server::NamedService;

use super::Observed;
use super::incoming::Unread;
use super::pace::paced;
use super::unfinished::{self, Read, Unfinished};
use crate::limits::Limits;
use crate::listen::Origin;
use crate::shares::Shares;
use crate::user::User;

const DO_PUT: &str = "/arrow.flight.protocol.FlightService/DoPut";

/// Verbs of which a request has many messages, which come when its client likes.
const OF_MANY: [&str; 2] =
    ["/arrow.flight.protocol.FlightService/Handshake", "/arrow.flight.protocol.FlightService/DoExchange"];

/// [`Observed`] over HTTP. The messages of a DoPut, which are longer, it reads itself ([`Incoming`](super::incoming)).
#[derive(Clone)]
pub(crate) struct Verbs {
    flight: FlightServiceServer<Observed>,
    /// Memory of requests that are not complete.
    unfinished: Arc<Shares>,
    request_bytes: usize,
}

impl Verbs {
    /// With requests as long as `limits` says.
    pub(crate) fn new(service: &Observed, limits: &Limits) -> Self {
        let flight = FlightServiceServer::new(service.clone());
        let unfinished = Shares::new(unfinished::TOTAL);
        let request_bytes = limits.request_bytes;
        Self { flight: flight.max_decoding_message_size(request_bytes), unfinished, request_bytes }
    }
}

impl NamedService for Verbs {
    const NAME: &'static str = <FlightServiceServer<Observed> as NamedService>::NAME;
}

impl HttpService<http::Request<Body>> for Verbs {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let mut request = request;
        // What tonic knows of a connection is more than the verbs ask for.
        let mut user = User::Anonymous;
        let under_way = request.extensions_mut().remove::<Origin>().map(|Origin { peer, seat }| {
            user = peer.user();
            request.extensions_mut().insert(peer);
            seat.begin()
        });
        let mut read: Option<Arc<Read>> = None;
        let answer = if request.uri().path() == DO_PUT {
            let (mut head, body) = request.into_parts();
            head.extensions.insert(Unread::new(body));
            self.flight.call(http::Request::from_parts(head, Body::empty()))
        } else {
            let (head, body) = request.into_parts();
            match Unfinished::new(
                body,
                self.unfinished.clone(),
                user,
                self.request_bytes,
                unfinished::PATIENCE,
            ) {
                Ok(body) => {
                    read = Some(body.read());
                    let body = if OF_MANY.contains(&head.uri.path()) { body } else { body.of_one_message() };
                    self.flight.call(http::Request::from_parts(head, Body::new(body)))
                }
                Err(refused) => return Box::pin(async { Ok(Status::from(refused).into_http()) }),
            }
        };
        Box::pin(async move {
            let response = answer.await?;
            // Of a stream the next message is asked for once this one is answered.
            if let Some(read) = read {
                read.answered();
            }
            Ok(paced(response, under_way))
        })
    }
}
