//! Answers of the verbs for an Arrow file that another program put into famfs.

use std::sync::Arc;

use arrow_flight::{FlightData, FlightDescriptor, FlightInfo};
use farrow_ipc::StreamSchema;
use farrow_proto::v1;
use farrow_store::ForeignFile;
use tonic::Response;

use super::answers::Made;
use super::info::plain_info;
use super::pump::Metadata;
use super::rows::{batch_descriptors, message_sizes, schema_message};
use super::selection::{self, Wanted};
use super::{Answers, Service, names};
use crate::awaited::Awaited;
use crate::caller::Allowed;
use crate::error::AgentError;
use crate::region::not_served;
use crate::user::User;

impl Service {
    /// Its schema, rows and bytes; or, for one that can map it, where it lies.
    pub(super) async fn foreign_flight_info(
        &self,
        maps: bool,
        user: &User,
        descriptor: FlightDescriptor,
        file: Arc<ForeignFile>,
        wanted: Allowed<Wanted>,
    ) -> Result<Made<FlightInfo>, AgentError> {
        self.read_and_made(user, move |service| {
            let layout = service.region.foreign_layout(&file)?;
            if !maps {
                let selection = wanted.selection(layout.schema())?;
                let (ticket, rows) = ((&file.name, file.version(), 0), Some(layout.rows()));
                let info = service.selected_info(ticket, rows, file.len, layout.schema(), selection)?;
                return Ok(info.with_descriptor(descriptor));
            }
            let mut info = service.foreign_plain_info(&file, Some(layout.rows())).with_descriptor(descriptor);
            if let Some(endpoint) = info.endpoint.first_mut() {
                let map = service.region.foreign_descriptor(&file, &layout);
                endpoint.app_metadata = farrow_proto::encode_map_descriptor(&map);
            }
            Ok(info)
        })
        .await
    }

    /// Returns where it lies, for one that can map it.
    pub(super) async fn foreign_map(
        &self,
        user: &User,
        file: Arc<ForeignFile>,
    ) -> Result<v1::MapDescriptor, AgentError> {
        self.reading(user, move |service, _| {
            let layout = service.region.foreign_layout(&file)?;
            Ok(service.region.foreign_descriptor(&file, &layout))
        })
        .await
    }

    /// For ListFlights: without schema and rows where its bytes are no Arrow file, or not yet.
    pub(super) fn foreign_listed(&self, file: &Arc<ForeignFile>) -> Result<FlightInfo, AgentError> {
        let info = |rows| self.foreign_plain_info(file, rows).with_descriptor(names::descriptor(&file.name));
        match self.region.foreign_layout(file) {
            Ok(layout) => {
                info(Some(layout.rows())).try_with_schema(layout.schema()).map_err(AgentError::Arrow)
            }
            Err(_) => Ok(info(None)),
        }
    }

    /// For `farrow.Stat`: without rows where its bytes are no Arrow file, or not yet.
    pub(super) async fn foreign_stat(
        &self,
        user: &User,
        file: Arc<ForeignFile>,
    ) -> Result<v1::FrameInfo, AgentError> {
        self.reading(user, move |service, _| {
            let rows = service.region.foreign_layout(&file).ok().map(|layout| layout.rows());
            Ok(service.region.foreign_info(&file, rows))
        })
        .await
    }

    /// Its rows, copied and validated before they are sent.
    pub(super) fn foreign_rows(
        &self,
        user: User,
        file: Arc<ForeignFile>,
        selection: Option<v1::Selection>,
    ) -> Result<Response<Answers<FlightData>>, AgentError> {
        let (service, counted) = (self.clone(), user.clone());
        let open = async move {
            let mut metadata = service.foreign_metadata(&counted, &file).await?;
            let opened = file.clone();
            let open = move |service: &Self, _: &Awaited| {
                let rows = service.region.foreign_rows(&opened)?;
                let columns = selection::columns(selection.as_ref(), rows.schema().fields().len())?;
                let rows = rows.with_rows(selection::rows(selection.as_ref()));
                Ok(match columns {
                    Some(columns) => rows.with_columns(&columns)?,
                    None => rows,
                })
            };
            let mut rows = service.reading(&counted, open).await?;
            let mut stream = StreamSchema::new(rows.schema())?;
            let message_bytes = service.message_bytes(counted);
            let schema = std::iter::once(Ok(stream.message().into()));
            let messages = std::iter::from_fn(move || {
                let message = rows.next(&mut stream, message_sizes(&message_bytes)).transpose()?;
                if let Err(error) = metadata.holds(rows.kept()) {
                    return Some(Err(error));
                }
                Some(message.map(FlightData::from).map_err(|source| not_served(&file, source)))
            });
            Ok(schema.chain(messages))
        };
        self.pump_opened(user, open)
    }

    /// Its schema, where it lies, and a descriptor for each batch.
    pub(super) fn foreign_batches(
        &self,
        user: User,
        file: Arc<ForeignFile>,
    ) -> Result<Response<Answers<FlightData>>, AgentError> {
        let (service, counted) = (self.clone(), user.clone());
        let open = async move {
            let metadata = service.foreign_metadata(&counted, &file).await?;
            let describe = move |service: &Self, _: &Awaited| {
                let layout = service.region.foreign_layout(&file)?;
                let map =
                    farrow_proto::encode_map_descriptor(&service.region.foreign_descriptor(&file, &layout));
                let head = [schema_message(layout.schema())?, FlightData::new().with_app_metadata(map)];
                Ok((head, batch_descriptors(0, &layout).collect::<Vec<_>>()))
            };
            let (head, batches) = service.reading(&counted, describe).await?;
            Ok(head.into_iter().chain(batches).map(move |message| {
                let _those_to_come = &metadata;
                Ok(message)
            }))
        };
        self.pump_opened(user, open)
    }

    /// Memory for its metadata, before they are read.
    async fn foreign_metadata(&self, user: &User, file: &Arc<ForeignFile>) -> Result<Metadata, AgentError> {
        let file = file.clone();
        let footer = self.making(user, move |service| service.region.foreign_footer_len(&file)).await?;
        Ok(self.streams.metadata(user, footer).await)
    }

    fn foreign_plain_info(&self, file: &ForeignFile, rows: Option<u64>) -> FlightInfo {
        plain_info(self.region.ticket(&file.name, file.version(), 0, None), rows, Some(file.len))
    }
}
