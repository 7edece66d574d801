//! Flight's own actions on endpoints: RenewFlightEndpoint and CancelFlightInfo.

use std::sync::Arc;

use arrow_flight::{
    CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus, FlightEndpoint, RenewFlightEndpointRequest,
};

use farrow_proto::v1;

use super::Service;
use crate::caller::Caller;
use crate::error::AgentError;
use crate::process::Process;
use crate::rights::Right;

impl Service {
    /// The same endpoint, if it is still good: no lease expires, so there is nothing to put off.
    ///
    /// `process` is the caller's, or why none is known; only a lease needs one.
    pub(super) fn renew(
        &self,
        caller: &Caller,
        process: Result<Arc<Process>, AgentError>,
        request: RenewFlightEndpointRequest,
    ) -> Result<FlightEndpoint, AgentError> {
        let mut endpoint = request.endpoint.unwrap_or_default();
        match lease_of(&endpoint)? {
            Some(lease) => {
                let process = process?;
                if !self.leases.holds(process.id(), lease) {
                    return Err(AgentError::NotHeld { what: "lease", id: lease, pid: process.id().pid });
                }
            }
            None => {
                let ticket = self.redeem(endpoint.ticket.as_ref().ok_or(AgentError::NoTicket)?)?;
                let ticket = caller.allow(Right::Read, ticket)?;
                if self.foreign(&ticket)?.is_none() {
                    ticket.check(&*self.region.view().get(&ticket.name, Some(ticket.number))?)?;
                }
            }
        }
        endpoint.expiration_time = None;
        Ok(endpoint)
    }

    /// Ends the leases in the endpoints of a FlightInfo. Doing so again finds none, which is no error.
    pub(super) async fn cancel(
        &self,
        process: Result<Arc<Process>, AgentError>,
        request: CancelFlightInfoRequest,
    ) -> Result<CancelFlightInfoResult, AgentError> {
        let endpoints = request.info.unwrap_or_default().endpoint;
        let leases = endpoints.iter().filter_map(|endpoint| lease_of(endpoint).transpose());
        let leases: Vec<u64> = leases.collect::<Result<_, _>>()?;
        let request = v1::ReleaseRequest { leases, ..Default::default() };
        let ended = if request.leases.is_empty() { 0 } else { self.release(&*process?, request).await? };
        let status = if ended > 0 { CancelStatus::Cancelled } else { CancelStatus::NotCancellable };
        Ok(CancelFlightInfoResult { status: status.into() })
    }
}

/// The lease in an endpoint's mapping descriptor.
fn lease_of(endpoint: &FlightEndpoint) -> Result<Option<u64>, AgentError> {
    if endpoint.app_metadata.is_empty() {
        return Ok(None);
    }
    let descriptor = farrow_proto::decode_map_descriptor(&endpoint.app_metadata)?;
    // 0 is the lease on a foreign file: there is none.
    Ok((descriptor.lease != 0).then_some(descriptor.lease))
}
