//! GetFlightInfo, GetSchema, ListFlights.

use std::sync::Arc;

use arrow_flight::{
    Criteria, FlightDescriptor, FlightEndpoint, FlightInfo, SchemaAsIpc, SchemaResult, Ticket,
};
use arrow_ipc::writer::IpcWriteOptions;
use bytes::Bytes;
use farrow_store::{FrameRef, Listed, Version};
use tonic::Status;

use super::{Service, names};
use crate::caller::{Allowed, Caller};
use crate::error::AgentError;
use crate::process::Process;

/// Frames that are looked up at a time while a listing is sent.
const PAGE: usize = 256;

impl Service {
    pub(super) async fn flight_info(
        &self,
        mapper: Option<Arc<Process>>,
        frame: Allowed<FrameRef>,
        descriptor: FlightDescriptor,
    ) -> Result<FlightInfo, AgentError> {
        if let Some(file) = self.region.store().foreign(&frame.name, frame.version)? {
            return self.foreign_flight_info(mapper.is_some(), descriptor, file).await;
        }
        let Some(process) = mapper else {
            let version = self.region.store().get(&frame.name, frame.version)?;
            let schema = self.region.schema(&version)?;
            let info = self.version_info(&version).try_with_schema(&schema).map_err(AgentError::Arrow)?;
            return Ok(info.with_descriptor(descriptor));
        };
        let (lease, version) = self.leases.grant(&process, &frame.name, frame.version)?;
        let mut info = self.version_info(&version).with_descriptor(descriptor);
        // The schema is in the mapped file; for ten thousand columns it would be half a megabyte here.
        if let Some(endpoint) = info.endpoint.first_mut() {
            let map = self.region.map_descriptor(&version, lease);
            endpoint.app_metadata = farrow_proto::encode_map_descriptor(&map);
        }
        Ok(info)
    }

    pub(super) async fn schema_of(&self, frame: Allowed<FrameRef>) -> Result<SchemaResult, AgentError> {
        let schema = match self.region.store().foreign(&frame.name, frame.version)? {
            Some(file) => self.foreign_schema(file).await?,
            None => self.region.schema(&*self.region.store().get(&frame.name, frame.version)?)?,
        };
        SchemaAsIpc::new(&schema, &IpcWriteOptions::default()).try_into().map_err(AgentError::Arrow)
    }

    /// The latest version of each frame that the caller may read and whose name begins with the criteria's expression,
    /// or as many of them as the list request in it says. They are looked up some at a time.
    pub(super) fn flight_infos(
        &self,
        caller: Caller,
        criteria: &Criteria,
    ) -> Result<impl Iterator<Item = Result<FlightInfo, Status>> + Send + use<>, AgentError> {
        let (prefix, mut after, limit) = match farrow_proto::decode_list_request(&criteria.expression)? {
            None => (String::from_utf8_lossy(&criteria.expression).into_owned(), None, usize::MAX),
            Some(page) => {
                let after = names::after(&page.after)?;
                let limit = if page.limit == 0 { usize::MAX } else { page.limit as usize };
                (page.prefix, after, limit)
            }
        };
        let service = self.clone();
        let mut page = Vec::new().into_iter();
        let infos = std::iter::from_fn(move || {
            loop {
                let Some(listed) = page.next() else {
                    page = match service.readable(&caller, &prefix, after.as_ref(), PAGE) {
                        Ok(page) => page.into_iter(),
                        Err(error) => return Some(Err(error.into())),
                    };
                    after = Some(page.as_slice().last()?.name().clone());
                    continue;
                };
                let version = match listed {
                    Listed::Version(version) => version,
                    Listed::Foreign(file) => {
                        return Some(service.foreign_listed(&file).map_err(Status::from));
                    }
                };
                match service.listed(&version) {
                    // Dropped, and its space perhaps reused, since the page was looked up.
                    Err(_) if service.region.store().get(&version.name, Some(version.number)).is_err() => {}
                    result => return Some(result.map_err(Status::from)),
                }
            }
        });
        Ok(infos.take(limit))
    }

    fn listed(&self, version: &Arc<Version>) -> Result<FlightInfo, AgentError> {
        let version = self.region.hold(&version.name, Some(version.number))?;
        let schema = self.region.schema(&version)?;
        let info = self.version_info(&version).with_descriptor(names::descriptor(&version.name));
        info.try_with_schema(&schema).map_err(AgentError::Arrow)
    }

    fn version_info(&self, version: &Version) -> FlightInfo {
        let ticket = self.region.ticket(&version.name, version.number, version.seq);
        plain_info(ticket, Some(version.rows), version.bytes)
    }
}

/// Rows if they are known, bytes, and one endpoint at this service, with a ticket that anybody may redeem.
pub(super) fn plain_info(ticket: Bytes, rows: Option<u64>, bytes: u64) -> FlightInfo {
    // Flight's word for "not known" is -1.
    let count = |number: Option<u64>| number.and_then(|number| i64::try_from(number).ok()).unwrap_or(-1);
    FlightInfo::new()
        .with_endpoint(FlightEndpoint::new().with_ticket(Ticket::new(ticket)))
        .with_total_records(count(rows))
        .with_total_bytes(count(Some(bytes)))
        .with_ordered(true)
}
