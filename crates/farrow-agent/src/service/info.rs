//! GetFlightInfo, GetSchema, ListFlights.

use std::collections::HashSet;
use std::sync::Arc;

use arrow_flight::{
    Criteria, FlightDescriptor, FlightEndpoint, FlightInfo, SchemaAsIpc, SchemaResult, Ticket,
};
use arrow_ipc::writer::IpcWriteOptions;
use arrow_schema::Schema;
use bytes::Bytes;
use farrow_ipc::IpcError;
use farrow_proto::v1;
use farrow_store::{FrameName, Listed, Prefix, Version};
use prost::Message;
use tonic::Response;

use super::answers::Made;
use super::selection::{self, Wanted};
use super::{Answers, Service, names};
use crate::caller::{Allowed, Caller};
use crate::error::AgentError;
use crate::process::Process;
use crate::region::HEAP_PER_METADATA;
use crate::user::User;

impl Service {
    pub(super) async fn flight_info(
        &self,
        user: &User,
        mapper: Option<Arc<Process>>,
        wanted: Allowed<Wanted>,
        descriptor: FlightDescriptor,
    ) -> Result<Made<FlightInfo>, AgentError> {
        let frame = &wanted.frame;
        if let Some(file) = self.region.view().foreign(&frame.name, frame.version)? {
            return self.foreign_flight_info(mapper.is_some(), user, descriptor, file, wanted).await;
        }
        let Some(process) = mapper else {
            return self.plain_flight_info(user, wanted, descriptor).await;
        };
        let (lease, version) = self.leases.grant(&process, &frame.name, frame.version)?;
        let untold = self.untold_lease(&process, lease);
        let bytes = self.region.descriptor_bytes(&version) + described_bytes(&descriptor);
        let make = move |service: &Self| {
            let mut info = service.version_info(&version).with_descriptor(descriptor);
            // The schema is in the mapped file; for ten thousand columns it would be half a megabyte here.
            if let Some(endpoint) = info.endpoint.first_mut() {
                let map = service.region.map_descriptor(&version, lease);
                endpoint.app_metadata = farrow_proto::encode_map_descriptor(&map);
            }
            Ok(info)
        };
        let info = self.made(user, bytes, make).await?;
        Ok(Made { untold: Some(untold), ..info })
    }

    /// The answer with a schema, and a ticket for rows.
    async fn plain_flight_info(
        &self,
        user: &User,
        wanted: Allowed<Wanted>,
        descriptor: FlightDescriptor,
    ) -> Result<Made<FlightInfo>, AgentError> {
        let version = self.region.hold_as(Some(wanted.user()), &wanted.frame.name, wanted.frame.version)?;
        let bytes = self.schema_bytes(&version)? + described_bytes(&descriptor);
        let make = move |service: &Self| {
            let schema = service.region.schema(&version)?;
            let selection = wanted.selection(&schema)?;
            let (ticket, rows) = ((&version.name, version.number, version.seq), Some(version.rows));
            let info = service.selected_info(ticket, rows, version.bytes, &schema, selection)?;
            Ok(info.with_descriptor(descriptor))
        };
        self.made(user, bytes, make).await
    }

    pub(super) async fn schema_of(
        &self,
        user: &User,
        wanted: Allowed<Wanted>,
    ) -> Result<Made<SchemaResult>, AgentError> {
        let frame = &wanted.frame;
        if let Some(file) = self.region.view().foreign(&frame.name, frame.version)? {
            let make = move |service: &Self| {
                let layout = service.region.foreign_layout(&file)?;
                schema_result(layout.schema(), &wanted)
            };
            return self.read_and_made(user, make).await;
        }
        let version = self.region.hold_as(Some(wanted.user()), &frame.name, frame.version)?;
        let bytes = self.schema_bytes(&version)?;
        let make = move |service: &Self| schema_result(&*service.region.schema(&version)?, &wanted);
        self.made(user, bytes, make).await
    }

    /// Bytes of memory to read the schema of a version, and to send it.
    fn schema_bytes(&self, version: &Version) -> Result<u64, AgentError> {
        Ok(HEAP_PER_METADATA * self.region.footer_len(version, 0)?)
    }

    /// Makes the answer about some columns and rows of a version, of which name, number and commit are given; with the
    /// schema of those columns.
    pub(super) fn selected_info(
        &self,
        (name, number, commit): (&FrameName, u64, u64),
        rows: Option<u64>,
        bytes: u64,
        schema: &Schema,
        selection: Option<v1::Selection>,
    ) -> Result<FlightInfo, AgentError> {
        let schema = projected(schema, selection.as_ref())?;
        let range = selection::rows(selection.as_ref());
        let rows = rows.map(|rows| selection::count(&range, rows));
        // Nobody has counted the bytes of single columns.
        let bytes = selection.is_none().then_some(bytes);
        let ticket = self.region.ticket(name, number, commit, selection);
        plain_info(ticket, rows, bytes).try_with_schema(&schema).map_err(AgentError::Arrow)
    }

    /// The latest version of each frame that the caller may read, of the prefix that the criteria's expression is, or as
    /// many of them as the list request in it says. They are looked up some at a time.
    pub(super) fn flight_infos(
        &self,
        caller: Caller,
        criteria: &Criteria,
    ) -> Result<Response<Answers<FlightInfo>>, AgentError> {
        let (prefix, after, limit) = match farrow_proto::decode_list_request(&criteria.expression)? {
            None => (String::from_utf8_lossy(&criteria.expression).into_owned(), None, usize::MAX),
            Some(page) => {
                let after = names::after(&page.after)?;
                let limit = if page.limit == 0 { usize::MAX } else { page.limit as usize };
                (page.prefix, after, limit)
            }
        };
        let (service, user) = (self.clone(), caller.user());
        let listed = self.all_readable(caller, Prefix::pattern(&prefix)?, after);
        let infos = listed.filter_map(move |listed| match listed {
            Err(error) => Some(Err(error)),
            Ok(Listed::Foreign(file)) => Some(service.foreign_listed(&file)),
            Ok(Listed::Version(version)) => match service.listed(&version) {
                // Dropped, and its space perhaps reused, since the page was looked up.
                Err(_) if service.region.view().get(&version.name, Some(version.number)).is_err() => None,
                result => Some(result),
            },
        });
        self.pump(user, infos.take(limit))
    }

    fn listed(&self, version: &Arc<Version>) -> Result<FlightInfo, AgentError> {
        let version = self.region.hold(&version.name, Some(version.number))?;
        let schema = self.region.schema(&version)?;
        let info = self.version_info(&version).with_descriptor(names::descriptor(&version.name));
        info.try_with_schema(&schema).map_err(AgentError::Arrow)
    }

    fn version_info(&self, version: &Version) -> FlightInfo {
        let ticket = self.region.ticket(&version.name, version.number, version.seq, None);
        plain_info(ticket, Some(version.rows), Some(version.bytes))
    }
}

/// Bytes of memory for a descriptor in its answer.
fn described_bytes(descriptor: &FlightDescriptor) -> u64 {
    2 * descriptor.encoded_len() as u64
}

fn schema_result(schema: &Schema, wanted: &Wanted) -> Result<SchemaResult, AgentError> {
    let schema = projected(schema, wanted.selection(schema)?.as_ref())?;
    SchemaAsIpc::new(&schema, &IpcWriteOptions::default()).try_into().map_err(AgentError::Arrow)
}

/// The schema of the columns that are sent.
fn projected(schema: &Schema, selection: Option<&v1::Selection>) -> Result<Schema, AgentError> {
    match selection::columns(selection, schema.fields().len())? {
        Some(columns) => {
            let mut seen = HashSet::new();
            if let Some(index) = columns.iter().copied().find(|column| !seen.insert(*column)) {
                return Err(IpcError::ColumnTwice { index }.into());
            }
            schema.project(&columns).map_err(AgentError::Arrow)
        }
        None => Ok(schema.clone()),
    }
}

/// Rows and bytes if they are known, and one endpoint at this service, with a ticket that anybody may redeem.
pub(super) fn plain_info(ticket: Bytes, rows: Option<u64>, bytes: Option<u64>) -> FlightInfo {
    // Flight's word for "not known" is -1.
    let count = |number: Option<u64>| number.and_then(|number| i64::try_from(number).ok()).unwrap_or(-1);
    FlightInfo::new()
        .with_endpoint(FlightEndpoint::new().with_ticket(Ticket::new(ticket)))
        .with_total_records(count(rows))
        .with_total_bytes(count(bytes))
        .with_ordered(true)
}
