//! DoGet: rows for plain clients, descriptors of mapped batches for those that announced themselves.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_flight::{FlightData, Ticket};
use arrow_ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteContext, IpcWriteOptions};
use arrow_schema::Schema;
use farrow_ipc::Layout;
use farrow_proto::v1::BatchDescriptor;
use farrow_store::{ForeignFile, FrameName, Version};

use super::{Answers, Service};
use crate::caller::{Allowed, Named};
use crate::error::AgentError;
use crate::memory::OpenSegment;
use crate::process::Process;
use crate::region::HeldVersion;

/// Bytes of data in a message, about. Larger messages are slower (measured: 64 MiB a third of 1 MiB) and go over the
/// limit of 4 MiB that clients in other languages set themselves.
const MESSAGE_BYTES: u64 = 1 << 20;

impl Service {
    /// The schema, then the rows in messages of about [`MESSAGE_BYTES`].
    pub(super) async fn rows(
        &self,
        ticket: Allowed<TicketedVersion>,
    ) -> Result<Answers<FlightData>, AgentError> {
        if let Some(file) = self.foreign(&ticket)? {
            return self.foreign_rows(file).await;
        }
        let version = self.region.hold(&ticket.name, Some(ticket.number))?;
        ticket.check(&version)?;
        let segments = VecDeque::from(self.region.readers(&version)?);
        let messages = Messages::new(schema(segments.front())?);
        let slices = Box::new(std::iter::empty());
        let mut rows = Some(Rows { messages, slices, next_batch: 0, segments, _held: version });
        let encoded = std::iter::from_fn(move || {
            let message = rows.as_mut()?.next().transpose();
            if !matches!(message, Some(Ok(_))) {
                rows = None;
            }
            message
        });
        Ok(self.pump(encoded))
    }

    /// The schema, the mapping descriptor, then a descriptor for each batch.
    pub(super) async fn mapped_batches(
        &self,
        process: &Arc<Process>,
        ticket: Allowed<TicketedVersion>,
    ) -> Result<Answers<FlightData>, AgentError> {
        if let Some(file) = self.foreign(&ticket)? {
            return self.foreign_batches(file).await;
        }
        let (lease, version) = self.leases.grant(process, &ticket.name, Some(ticket.number))?;
        let answer = ticket.check(&version).and_then(|()| self.describe_batches(&version, lease));
        if answer.is_err() {
            self.leases.release(process.id(), &[lease])?;
        }
        Ok(Box::pin(futures::stream::iter(answer?.into_iter().map(Ok))))
    }

    fn describe_batches(&self, version: &Arc<Version>, lease: u64) -> Result<Vec<FlightData>, AgentError> {
        let readers = self.region.readers(version)?;
        let mut answer: Vec<FlightData> = Messages::new(schema(readers.first())?).ready.into();
        let map = farrow_proto::encode_map_descriptor(&self.region.map_descriptor(version, lease));
        answer.push(FlightData::new().with_app_metadata(map));
        for (segment, reader) in (0u32..).zip(&readers) {
            answer.extend(batch_descriptors(segment, reader.layout()));
        }
        Ok(answer)
    }

    /// The foreign file that a ticket was given for.
    pub(super) fn foreign(&self, ticket: &TicketedVersion) -> Result<Option<Arc<ForeignFile>>, AgentError> {
        match ticket.commit {
            0 => Ok(self.region.store().foreign(&ticket.name, Some(ticket.number))?),
            _ => Ok(None),
        }
    }

    /// What a ticket of this region names.
    pub(super) fn redeem(&self, ticket: &Ticket) -> Result<TicketedVersion, AgentError> {
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
pub(super) struct TicketedVersion {
    pub(super) name: FrameName,
    pub(super) number: u64,
    /// The sequence number of its commit: the frame may have been dropped and put again. 0 for a foreign file.
    commit: u64,
}

impl Named for TicketedVersion {
    fn frame_name(&self) -> &FrameName {
        &self.name
    }
}

impl TicketedVersion {
    /// Whether what has its name and number now is that version.
    pub(super) fn check(&self, found: &Version) -> Result<(), AgentError> {
        if found.seq == self.commit {
            return Ok(());
        }
        let frame = format!("{}@{}", self.name, self.number);
        Err(AgentError::StaleTicket { frame, ticketed: self.commit, found: found.seq })
    }
}

/// The rows of a version, read as they are sent. After an error it is of no use any more.
struct Rows {
    messages: Messages,
    /// What is left of the batch that is being sent.
    slices: Box<dyn Iterator<Item = RecordBatch> + Send>,
    /// The next one, in the first of `segments`.
    next_batch: usize,
    segments: VecDeque<OpenSegment>,
    // Kept until the stream is dropped, whether it was read to its end or not.
    _held: HeldVersion,
}

impl Rows {
    fn next(&mut self) -> Result<Option<FlightData>, AgentError> {
        loop {
            if let Some(message) = self.messages.ready.pop_front() {
                return Ok(Some(message));
            }
            let Some(segment) = self.segments.front() else { return Ok(None) };
            let encoded = segment.read(|| match self.slices.next() {
                Some(slice) => self.messages.encode(&slice).map(|()| true),
                None => Ok(false),
            })?;
            if encoded {
                continue;
            }
            if self.next_batch < segment.layout().batches().len() {
                let batch = segment.batch(self.next_batch)?;
                self.slices = segment.read(|| Ok(Box::new(farrow_ipc::slices(&batch, MESSAGE_BYTES))))?;
                self.next_batch += 1;
            } else {
                self.segments.pop_front();
                self.next_batch = 0;
            }
        }
    }
}

/// What `messages` has ready, then `batches` in messages of about [`MESSAGE_BYTES`], up to the first error.
pub(super) fn in_messages(
    mut messages: Messages,
    batches: impl Iterator<Item = Result<RecordBatch, AgentError>> + Send + 'static,
) -> impl Iterator<Item = Result<FlightData, AgentError>> + Send + 'static {
    let mut parts = batches.flat_map(|batch| -> Box<dyn Iterator<Item = _> + Send> {
        match batch {
            Ok(batch) => Box::new(farrow_ipc::slices(&batch, MESSAGE_BYTES).map(Ok)),
            Err(error) => Box::new(std::iter::once(Err(error))),
        }
    });
    std::iter::from_fn(move || {
        loop {
            if let Some(message) = messages.ready.pop_front() {
                return Some(Ok(message));
            }
            let part = parts.next()?;
            if let Err(error) = part.and_then(|part| messages.encode(&part)) {
                return Some(Err(error));
            }
        }
    })
}

/// A message for each batch of segment `segment`.
pub(super) fn batch_descriptors(segment: u32, layout: &Layout) -> impl Iterator<Item = FlightData> + '_ {
    (0u32..).zip(layout.batches()).map(move |(batch, block)| {
        let descriptor = BatchDescriptor { segment, batch, rows: block.rows };
        FlightData::new().with_app_metadata(farrow_proto::encode_batch_descriptor(&descriptor))
    })
}

fn schema(first: Option<&OpenSegment>) -> Result<&Schema, AgentError> {
    Ok(first.ok_or(AgentError::NoSegments)?.schema())
}

/// Encodes batches as Flight messages, dictionaries before the first batch that needs them.
pub(super) struct Messages {
    generator: IpcDataGenerator,
    options: IpcWriteOptions,
    dictionaries: DictionaryTracker,
    context: IpcWriteContext,
    pub(super) ready: VecDeque<FlightData>,
}

impl Messages {
    /// With the schema message ready.
    pub(super) fn new(schema: &Schema) -> Self {
        let mut messages = Self {
            generator: IpcDataGenerator::default(),
            options: IpcWriteOptions::default(),
            // A later segment may bring another dictionary for a column: it replaces the first one.
            dictionaries: DictionaryTracker::new(false),
            context: IpcWriteContext::default(),
            ready: VecDeque::new(),
        };
        let schema = messages.generator.schema_to_bytes_with_dictionary_tracker(
            schema,
            &mut messages.dictionaries,
            &messages.options,
        );
        messages.ready.push_back(schema.into());
        messages
    }

    fn encode(&mut self, batch: &RecordBatch) -> Result<(), AgentError> {
        let (dictionaries, batch) = self
            .generator
            .encode(batch, &mut self.dictionaries, &self.options, &mut self.context)
            .map_err(AgentError::Arrow)?;
        self.ready.extend(dictionaries.into_iter().map(FlightData::from));
        self.ready.push_back(batch.into());
        Ok(())
    }
}
