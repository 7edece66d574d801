//! What the verbs answer for an Arrow file that another program put into famfs.

use std::sync::Arc;

use arrow_flight::{FlightData, FlightDescriptor, FlightInfo};
use arrow_schema::SchemaRef;
use farrow_proto::v1;
use farrow_store::ForeignFile;

use super::info::plain_info;
use super::rows::{Messages, batch_descriptors, in_messages};
use super::{Answers, Service, names};
use crate::error::AgentError;
use crate::region::not_served;

impl Service {
    /// Its schema, rows and bytes; or, for one that can map it, where it lies.
    pub(super) async fn foreign_flight_info(
        &self,
        maps: bool,
        descriptor: FlightDescriptor,
        file: Arc<ForeignFile>,
    ) -> Result<FlightInfo, AgentError> {
        self.blocking(move |service| {
            let layout = service.region.foreign_layout(&file)?;
            let mut info = service.foreign_plain_info(&file, Some(layout.rows())).with_descriptor(descriptor);
            if !maps {
                return info.try_with_schema(layout.schema()).map_err(AgentError::Arrow);
            }
            if let Some(endpoint) = info.endpoint.first_mut() {
                let map = service.region.foreign_descriptor(&file, &layout);
                endpoint.app_metadata = farrow_proto::encode_map_descriptor(&map);
            }
            Ok(info)
        })
        .await
    }

    /// Where it lies, for one that can map it.
    pub(super) async fn foreign_map(&self, file: Arc<ForeignFile>) -> Result<v1::MapDescriptor, AgentError> {
        self.blocking(move |service| {
            let layout = service.region.foreign_layout(&file)?;
            Ok(service.region.foreign_descriptor(&file, &layout))
        })
        .await
    }

    /// Its schema, as its bytes are now.
    pub(super) async fn foreign_schema(&self, file: Arc<ForeignFile>) -> Result<SchemaRef, AgentError> {
        self.blocking(move |service| Ok(service.region.foreign_layout(&file)?.schema().clone())).await
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
    pub(super) async fn foreign_stat(&self, file: Arc<ForeignFile>) -> Result<v1::FrameInfo, AgentError> {
        self.blocking(move |service| {
            let rows = service.region.foreign_layout(&file).ok().map(|layout| layout.rows());
            Ok(service.region.foreign_info(&file, rows))
        })
        .await
    }

    /// Its rows, each batch copied and validated before it is sent.
    pub(super) async fn foreign_rows(
        &self,
        file: Arc<ForeignFile>,
    ) -> Result<Answers<FlightData>, AgentError> {
        let opened = file.clone();
        let reader = self.blocking(move |service| service.region.foreign_reader(&opened)).await?;
        let messages = Messages::new(reader.schema());
        let batches = (0..reader.num_batches())
            .map(move |index| reader.batch(index).map_err(|source| not_served(&file, source)));
        Ok(self.pump(in_messages(messages, batches)))
    }

    /// Its schema, where it lies, and a descriptor for each batch.
    pub(super) async fn foreign_batches(
        &self,
        file: Arc<ForeignFile>,
    ) -> Result<Answers<FlightData>, AgentError> {
        let answer = self
            .blocking(move |service| {
                let layout = service.region.foreign_layout(&file)?;
                let map = service.region.foreign_descriptor(&file, &layout);
                let mut answer = Messages::new(layout.schema()).ready;
                answer.push_back(
                    FlightData::new().with_app_metadata(farrow_proto::encode_map_descriptor(&map)),
                );
                answer.extend(batch_descriptors(0, &layout));
                Ok(answer)
            })
            .await?;
        Ok(Box::pin(futures::stream::iter(answer.into_iter().map(Ok))))
    }

    fn foreign_plain_info(&self, file: &ForeignFile, rows: Option<u64>) -> FlightInfo {
        plain_info(self.region.ticket(&file.name, ForeignFile::VERSION, 0), rows, file.len)
    }
}
