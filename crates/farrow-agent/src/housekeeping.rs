//! Periodic work: looks at the region, drops versions by age, takes idle processes off the record, and proves
//! that the agent works.

use std::sync::Arc;
use std::time::Duration;

use farrow_region::RegionError;
use farrow_store::StoreError;
use tokio::sync::oneshot;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::error::{AgentError, chain};
use crate::health::Health;
use crate::leases::Leases;
use crate::region::Region;
use crate::systemd;

/// The interval, unless the service manager wants to hear more often.
const INTERVAL: Duration = Duration::from_secs(1);

/// The services that gRPC's health service is asked for; "" is the agent as a whole.
const SERVICES: [&str; 2] = ["", "arrow.flight.protocol.FlightService"];

/// The lost memory of the pools, and the reason why nothing can be changed.
type Found = (Option<RegionError>, Option<StoreError>);

/// The parts of the agent that housekeeping looks at, and those that it tells.
pub(crate) struct Housekeeping {
    pub(crate) region: Arc<Region>,
    pub(crate) leases: Arc<Leases>,
    pub(crate) health: Arc<Health>,
    pub(crate) reporter: HealthReporter,
}

impl Housekeeping {
    /// Goes on until the region cannot be served any more, and returns why.
    ///
    /// The service manager's watchdog is fed after each round and nowhere else. A round needs the runtime's timers, a
    /// new thread, the region's memory and the locks of leases and store: if any of them hangs, the feeding ends, and the
    /// agent is killed and started again.
    pub(crate) async fn run(self) -> AgentError {
        let watchdog = systemd::watchdog();
        let mut interval = tokio::time::interval(watchdog.map_or(INTERVAL, |most| INTERVAL.min(most / 2)));
        let (mut lost_told, mut before) = (false, None);
        report(&self.reporter, true).await;
        loop {
            interval.tick().await;
            let (lost, fault) = match self.round().await {
                Ok(Some(found)) => found,
                // A round that did not come about feeds no watchdog.
                Ok(None) => continue,
                Err(error) => return error,
            };
            if !lost_told && let Some(lost) = lost {
                tracing::error!(%lost, "frames that lie there cannot be read, all others can");
                lost_told = true;
            }
            let fault = fault.map(|error| chain(&error));
            if fault != before {
                self.health.find(fault.clone());
                report(&self.reporter, self.health.why_not().is_none()).await;
                match &fault {
                    None => tracing::info!("changes are possible again"),
                    Some(why) => {
                        tracing::error!(why, "the region cannot be changed: the agent is not ready");
                        systemd::status(&format!("not ready: {why}"));
                    }
                }
                before = fault;
            }
            if watchdog.is_some() {
                systemd::alive();
            }
        }
    }

    /// Looks at everything once, on a thread of its own: those for blocking work may all be busy with requests.
    async fn round(&self) -> Result<Option<Found>, AgentError> {
        let (region, leases) = (self.region.clone(), self.leases.clone());
        let (tell, told) = oneshot::channel();
        let look = move || -> Result<Found, AgentError> {
            region.check()?;
            region.report_log();
            leases.tidy();
            let fault = region.store().check_master().err();
            if fault.is_none() {
                region.drop_aged();
            }
            Ok((region.lost(), fault))
        };
        let thread = std::thread::Builder::new().name("housekeeping".to_owned());
        // Nobody may wait any more: then the agent is stopping.
        let spawned = thread.spawn(move || drop(tell.send(look())));
        if let Err(error) = spawned {
            tracing::warn!(%error, "no thread to look at the region with");
            return Ok(None);
        }
        match told.await {
            Ok(found) => found.map(Some),
            Err(_) => Err(AgentError::Panicked { message: "in housekeeping: the log has more".to_owned() }),
        }
    }
}

/// Tells gRPC's health service.
pub(crate) async fn report(reporter: &HealthReporter, serving: bool) {
    let status = if serving { ServingStatus::Serving } else { ServingStatus::NotServing };
    for service in SERVICES {
        reporter.set_service_status(service, status).await;
    }
}
