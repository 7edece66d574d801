//! DoGet: rows for plain clients, descriptors of mapped batches for those that announced themselves.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow_flight::{FlightData, Ticket};
use arrow_ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteContext, IpcWriteOptions};
use farrow_ipc::SegmentReader;
use farrow_proto::v1::BatchDescriptor;
use farrow_store::{FrameName, Version};
use tonic::Status;

use super::{Answers, Service};
use crate::error::AgentError;
use crate::process::Process;

/// Bytes of data in a message, about. Larger messages are slower (measured: 64 MiB a third of 1 MiB) and go over the
/// limit of 4 MiB that clients in other languages set themselves.
const MESSAGE_BYTES: u64 = 1 << 20;

impl Service {
    /// The schema, then the rows in messages of about [`MESSAGE_BYTES`].
    pub(super) fn rows(&self, ticket: &Ticket) -> Result<Answers<FlightData>, AgentError> {
        let ticket = self.redeem(ticket)?;
        let version = self.region.hold(&ticket.name, Some(ticket.number))?;
        ticket.check(&version)?;
        let readers = self.region.readers(&version)?;
        let mut messages = Messages::new(&readers)?;
        let batches = readers.into_iter().flat_map(|reader| {
            (0..reader.num_batches()).map(move |index| reader.batch(index).map_err(AgentError::from))
        });
        let mut parts = batches.flat_map(|batch| -> Box<dyn Iterator<Item = _> + Send> {
            match batch {
                Ok(batch) => Box::new(farrow_ipc::slices(&batch, MESSAGE_BYTES).map(Ok)),
                Err(error) => Box::new(std::iter::once(Err(error))),
            }
        });
        let encoded = std::iter::from_fn(move || {
            // Kept until the stream is dropped, whether it was read to its end or not.
            let _held = &version;
            loop {
                if let Some(message) = messages.ready.pop_front() {
                    return Some(Ok(message));
                }
                let part = parts.next()?;
                if let Err(error) = part.and_then(|part| messages.encode(&part)) {
                    return Some(Err(Status::from(error)));
                }
            }
        });
        Ok(Box::pin(futures::stream::iter(encoded)))
    }

    /// The schema, the mapping descriptor, then a descriptor for each batch.
    pub(super) fn mapped_batches(
        &self,
        process: &Arc<Process>,
        ticket: &Ticket,
    ) -> Result<Answers<FlightData>, AgentError> {
        let ticket = self.redeem(ticket)?;
        let (lease, version) = self.leases.grant(process, &ticket.name, Some(ticket.number))?;
        let answer = ticket.check(&version).and_then(|()| self.describe_batches(&version, lease));
        if answer.is_err() {
            self.leases.release(process.id(), &[lease])?;
        }
        Ok(Box::pin(futures::stream::iter(answer?.into_iter().map(Ok))))
    }

    fn describe_batches(&self, version: &Arc<Version>, lease: u64) -> Result<Vec<FlightData>, AgentError> {
        let readers = self.region.readers(version)?;
        let mut answer: Vec<FlightData> = Messages::new(&readers)?.ready.into();
        let map = farrow_proto::encode_map_descriptor(&self.region.map_descriptor(version, lease));
        answer.push(FlightData::new().with_app_metadata(map));
        for (segment, reader) in (0u32..).zip(&readers) {
            for (batch, block) in (0u32..).zip(reader.layout().batches()) {
                let descriptor = farrow_proto::encode_batch_descriptor(&BatchDescriptor {
                    segment,
                    batch,
                    rows: block.rows,
                });
                answer.push(FlightData::new().with_app_metadata(descriptor));
            }
        }
        Ok(answer)
    }

    /// What a ticket of this region names.
    fn redeem(&self, ticket: &Ticket) -> Result<TicketedVersion, AgentError> {
        let ticket = farrow_proto::decode_ticket(&ticket.ticket)?;
        let here = self.region.uuid();
        if ticket.region_uuid != here.as_bytes()[..] {
            return Err(AgentError::ForeignTicket { found: ticket.region_uuid, here });
        }
        let name = FrameName::parse(&ticket.name)?;
        Ok(TicketedVersion { name, number: ticket.version, commit: ticket.commit })
    }
}

/// The version that a ticket was given for.
struct TicketedVersion {
    name: FrameName,
    number: u64,
    /// The sequence number of its commit: the frame may have been dropped and put again.
    commit: u64,
}

impl TicketedVersion {
    /// Whether what has its name and number now is that version.
    fn check(&self, found: &Version) -> Result<(), AgentError> {
        if found.seq == self.commit {
            return Ok(());
        }
        let frame = format!("{}@{}", self.name, self.number);
        Err(AgentError::StaleTicket { frame, ticketed: self.commit, found: found.seq })
    }
}

/// Encodes batches as Flight messages, dictionaries before the first batch that needs them.
struct Messages {
    generator: IpcDataGenerator,
    options: IpcWriteOptions,
    dictionaries: DictionaryTracker,
    context: IpcWriteContext,
    ready: VecDeque<FlightData>,
}

impl Messages {
    /// With the schema message ready.
    fn new(readers: &[SegmentReader]) -> Result<Self, AgentError> {
        let mut messages = Self {
            generator: IpcDataGenerator::default(),
            options: IpcWriteOptions::default(),
            // A later segment may bring another dictionary for a column: it replaces the first one.
            dictionaries: DictionaryTracker::new(false),
            context: IpcWriteContext::default(),
            ready: VecDeque::new(),
        };
        let schema = readers.first().ok_or(AgentError::NoSegments)?.schema();
        let schema = messages.generator.schema_to_bytes_with_dictionary_tracker(
            schema,
            &mut messages.dictionaries,
            &messages.options,
        );
        messages.ready.push_back(schema.into());
        Ok(messages)
    }

    fn encode(&mut self, batch: &arrow_array::RecordBatch) -> Result<(), AgentError> {
        let (dictionaries, batch) = self
            .generator
            .encode(batch, &mut self.dictionaries, &self.options, &mut self.context)
            .map_err(AgentError::Arrow)?;
        self.ready.extend(dictionaries.into_iter().map(FlightData::from));
        self.ready.push_back(batch.into());
        Ok(())
    }
}
