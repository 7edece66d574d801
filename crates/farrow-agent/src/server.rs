//! The gRPC servers: one for each listener, with the same services behind them.

use std::time::Duration;

use tokio::sync::watch;
use tonic::transport::Server;
use tonic::transport::server::Router;
use tonic_health::server::HealthReporter;

use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::service::{HealthVerbs, Observed, Service, Verbs};

/// The interval at which a quiet connection over TCP is asked whether anybody is there, and the time that it may take
/// to say so. A process of this host needs no asking: the kernel closes its socket.
const PING: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(20));

/// The services of every listener.
#[derive(Clone)]
pub(crate) struct Services {
    pub(crate) service: Service,
    pub(crate) metrics: Metrics,
    pub(crate) reporter: HealthReporter,
    /// What `reporter` reports.
    pub(crate) health: HealthVerbs,
}

impl Services {
    /// For processes of this host.
    pub(crate) fn over_unix(&self, limits: &Limits) -> Router {
        self.over(Server::builder(), limits)
    }

    /// For peers that may vanish without a word.
    pub(crate) fn over_tcp(&self, limits: &Limits) -> Router {
        let (interval, timeout) = PING;
        let server = Server::builder();
        self.over(
            server.http2_keepalive_interval(Some(interval)).http2_keepalive_timeout(Some(timeout)),
            limits,
        )
    }

    fn over(&self, server: Server, limits: &Limits) -> Router {
        let observed = Observed::new(self.service.clone(), self.metrics.clone());
        let flight = Verbs::new(&observed, limits);
        server
            .max_concurrent_streams(limits.streams_per_connection)
            .add_service(flight)
            .add_service(self.health.clone())
    }
}

/// Done once the agent was told to stop.
pub(crate) async fn told_to_stop(mut stopping: watch::Receiver<bool>) {
    // An error means that the sender is gone, and with it whoever could stop the agent.
    let _ = stopping.wait_for(|stop| *stop).await;
}
