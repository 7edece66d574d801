//! gRPC's own health service: everybody may ask, and users share the watches and the requests that are not complete.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::Stream;
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service as HttpService, http};
use tonic::server::NamedService;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tonic_health::server::{HealthReporter, HealthService, WatchStream};

use super::unfinished::{self, Unfinished};
use crate::error::AgentError;
use crate::listen::Origin;
use crate::places::{Place, Places, Room};
use crate::shares::Shares;
use crate::user::User;

/// Watches at a time, of all users together. A watch ends only with its client, and takes 10 KiB of the agent's memory.
const WATCHES: Room = Room { total: 1024, reserve: 0 };

/// Bytes of the largest request: the name of a service. Whoever can connect may ask.
const REQUEST: usize = 1 << 10;

/// The health that a reporter reports, over HTTP. One value, and its clones, for all listeners.
#[derive(Clone)]
pub(crate) struct HealthVerbs {
    health: HealthServer<Watchable>,
    /// Memory of requests that are not complete.
    unfinished: Arc<Shares>,
}

impl HealthVerbs {
    /// Of what `reporter` reports.
    pub(crate) fn new(reporter: HealthReporter) -> Self {
        let health = HealthService::from_health_reporter(reporter);
        let health = HealthServer::new(Watchable { health, places: Places::new(Duration::MAX) });
        Self { health: health.max_decoding_message_size(REQUEST), unfinished: Shares::new(unfinished::TOTAL) }
    }
}

impl NamedService for HealthVerbs {
    const NAME: &'static str = <HealthServer<Watchable> as NamedService>::NAME;
}

impl HttpService<http::Request<Body>> for HealthVerbs {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let (head, body) = request.into_parts();
        let (user, shares) = (user(&head.extensions), self.unfinished.clone());
        match Unfinished::new(body, shares, user, REQUEST, unfinished::PATIENCE) {
            Ok(body) => self.health.call(http::Request::from_parts(head, body.of_one_message())),
            Err(refused) => Box::pin(async { Ok(Status::from(refused).into_http()) }),
        }
    }
}

fn user(extensions: &http::Extensions) -> User {
    extensions.get::<Origin>().map_or(User::Anonymous, |origin| origin.peer.user())
}

struct Watchable {
    health: HealthService,
    places: Arc<Places>,
}

#[tonic::async_trait]
impl Health for Watchable {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        self.health.check(request).await
    }

    type WatchStream = HealthWatch;

    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthWatch>, Status> {
        let entered = self.places.enter(&user(request.extensions()), WATCHES);
        let (place, _) =
            entered.map_err(|full| AgentError::ManyOf { what: "health watches", has: full.has })?;
        // One that is told nothing waits for the agent: it gives way to nobody.
        place.busy();
        let answer = self.health.watch(request).await?;
        Ok(answer.map(|statuses| HealthWatch { statuses, _place: place }))
    }
}

/// The statuses of a service, as they come.
struct HealthWatch {
    statuses: WatchStream,
    _place: Place,
}

impl Stream for HealthWatch {
    type Item = Result<HealthCheckResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.statuses).poll_next(context)
    }
}
