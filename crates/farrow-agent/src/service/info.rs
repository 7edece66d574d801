//! GetFlightInfo, GetSchema, ListFlights.

use std::sync::Arc;

use arrow_flight::{
    Criteria, FlightDescriptor, FlightEndpoint, FlightInfo, SchemaAsIpc, SchemaResult, Ticket,
};
use arrow_ipc::writer::IpcWriteOptions;
use farrow_store::{FrameName, Version};
use tonic::Status;

use super::{Service, names};
use crate::error::AgentError;
use crate::process::Process;

/// Frames that are looked up at a time while a listing is sent.
const PAGE: usize = 256;

impl Service {
    pub(super) fn flight_info(
        &self,
        mapper: Option<Arc<Process>>,
        descriptor: FlightDescriptor,
    ) -> Result<FlightInfo, AgentError> {
        let frame = names::frame_ref(&descriptor)?;
        let Some(process) = mapper else {
            let version = self.region.store().get(&frame.name, frame.version)?;
            let schema = self.region.schema(&version)?;
            let info = self.plain_info(&version).try_with_schema(&schema).map_err(AgentError::Arrow)?;
            return Ok(info.with_descriptor(descriptor));
        };
        let (lease, version) = self.leases.grant(&process, &frame.name, frame.version)?;
        let mut info = self.plain_info(&version).with_descriptor(descriptor);
        // The schema is in the mapped file; for ten thousand columns it would be half a megabyte here.
        if let Some(endpoint) = info.endpoint.first_mut() {
            let map = self.region.map_descriptor(&version, lease);
            endpoint.app_metadata = farrow_proto::encode_map_descriptor(&map);
        }
        Ok(info)
    }

    pub(super) fn schema_of(&self, descriptor: &FlightDescriptor) -> Result<SchemaResult, AgentError> {
        let frame = names::frame_ref(descriptor)?;
        let version = self.region.store().get(&frame.name, frame.version)?;
        let schema = self.region.schema(&version)?;
        SchemaAsIpc::new(&schema, &IpcWriteOptions::default()).try_into().map_err(AgentError::Arrow)
    }

    /// The latest version of each frame whose name begins with the criteria's expression, looked up page by page.
    pub(super) fn flight_infos(
        &self,
        criteria: Criteria,
    ) -> impl Iterator<Item = Result<FlightInfo, Status>> + Send + use<> {
        let service = self.clone();
        let prefix = String::from_utf8_lossy(&criteria.expression).into_owned();
        let mut after: Option<FrameName> = None;
        let mut page = Vec::new().into_iter();
        std::iter::from_fn(move || {
            loop {
                let Some(version) = page.next() else {
                    page = service.region.store().list(&prefix, after.as_ref(), PAGE).into_iter();
                    after = Some(page.as_slice().last()?.name.clone());
                    continue;
                };
                match service.listed(&version) {
                    // Dropped, and its space perhaps reused, since the page was looked up.
                    Err(_) if service.region.store().get(&version.name, Some(version.number)).is_err() => {}
                    result => return Some(result.map_err(Status::from)),
                }
            }
        })
    }

    fn listed(&self, version: &Arc<Version>) -> Result<FlightInfo, AgentError> {
        let version = self.region.hold(&version.name, Some(version.number))?;
        let schema = self.region.schema(&version)?;
        let info = self.plain_info(&version).with_descriptor(names::descriptor(&version.name));
        info.try_with_schema(&schema).map_err(AgentError::Arrow)
    }

    /// Rows, bytes and one endpoint at this service, whose ticket anybody may redeem.
    fn plain_info(&self, version: &Version) -> FlightInfo {
        let endpoint = FlightEndpoint::new().with_ticket(Ticket::new(self.region.ticket(version)));
        FlightInfo::new()
            .with_endpoint(endpoint)
            .with_total_records(i64::try_from(version.rows).unwrap_or(-1))
            .with_total_bytes(i64::try_from(version.bytes).unwrap_or(-1))
            .with_ordered(true)
    }
}
