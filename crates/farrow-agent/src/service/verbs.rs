//! The Flight verbs as HTTP requests: how long their messages may be, and whether a stream came to its end.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use arrow_flight::flight_service_server::FlightServiceServer;
use http_body::{Frame, SizeHint};
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Bytes, Service as HttpService, http};
use tonic::server::NamedService;

use super::Observed;
use crate::limits::Limits;

const DO_PUT: &str = "/arrow.flight.protocol.FlightService/DoPut";

/// [`Observed`] over HTTP. A DoPut may have longer messages than the other verbs: it is counted how many there are.
#[derive(Clone)]
pub(crate) struct Verbs {
    put: FlightServiceServer<Observed>,
    others: FlightServiceServer<Observed>,
}

impl Verbs {
    /// With messages as long as `limits` says.
    pub(crate) fn new(service: &Observed, limits: &Limits) -> Self {
        let server = |len| FlightServiceServer::new(service.clone()).max_decoding_message_size(len);
        Self { put: server(limits.put_message_bytes), others: server(limits.request_bytes) }
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
        if request.uri().path() != DO_PUT {
            return self.others.call(request);
        }
        let end = StreamEnd::default();
        let mut request = request.map(|body| Body::new(EndingBody { body, end: end.clone() }));
        request.extensions_mut().insert(end);
        self.put.call(request)
    }
}

/// Whether the client has said that it has sent everything (END_STREAM of HTTP/2).
///
/// tonic takes a request that its client cancelled, or whose stream was reset for no reason, for one that has ended:
/// what came would be taken for everything.
#[derive(Debug, Clone, Default)]
pub(super) struct StreamEnd(Arc<AtomicBool>);

impl StreamEnd {
    /// To be asked when no more messages come.
    pub(super) fn is_reached(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// A body that keeps [`StreamEnd`].
struct EndingBody {
    body: Body,
    end: StreamEnd,
}

impl http_body::Body for EndingBody {
    type Data = Bytes;
    type Error = <Body as http_body::Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if polled.is_ready() && self.body.is_end_stream() {
            self.end.0.store(true, Ordering::Release);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
