//! DoGet: rows for plain clients, descriptors of mapped batches for those that announced themselves.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use arrow_flight::{FlightData, Ticket};
use arrow_schema::{Schema, SchemaRef};
use farrow_ipc::{Layout, MessageSizes, StreamEncoder, StreamSchema};
use farrow_proto::v1::{self, BatchDescriptor};
use farrow_store::{ForeignFile, FrameName, Version};
use tonic::Response;

use super::pump::Metadata;
use super::receipts::granting;
use super::{Answers, Service, selection};
use crate::caller::{Allowed, Named};
use crate::error::AgentError;
use crate::memory::SegmentMemory;
use crate::process::Process;
use crate::region::{HeldVersion, Region};
use crate::user::User;

/// The most bytes of values in a message: of a single row, or a dictionary.
const MOST_BYTES: usize = 256 << 20;

/// Segments of which it is looked at once how long their footers are, while others wait.
const FEW: usize = 16;

/// Tells how many bytes of values the next message has, about.
type MessageBytes = Box<dyn Fn() -> u64 + Send>;

impl Service {
    /// The schema, then the rows in messages of about as many bytes as `streams` says.
    pub(super) fn rows(
        &self,
        user: User,
        ticket: Allowed<TicketedVersion>,
    ) -> Result<Response<Answers<FlightData>>, AgentError> {
        if let Some(file) = self.foreign(&ticket)? {
            return self.foreign_rows(user, file, ticket.selection.clone());
        }
        let version = self.region.hold_as(Some(ticket.user()), &ticket.name, Some(ticket.number))?;
        ticket.check(&version)?;
        let selection = ticket.into_inner().selection;
        let (service, counted) = (self.clone(), user.clone());
        let open = async move {
            let wanted = wanted(&version, selection.as_ref());
            let (version, metadata) = service.open(&counted, version, wanted.clone()).await?;
            let (region, message_bytes) = (service.region.clone(), service.message_bytes(counted));
            let (stream, open) = (None, None);
            let mut rows =
                Some(Rows { region, selection, wanted, stream, open, message_bytes, metadata, version });
            Ok(std::iter::from_fn(move || {
                let message = rows.as_mut()?.next().transpose();
                if !matches!(message, Some(Ok(_))) {
                    rows = None;
                }
                message
            }))
        };
        self.pump_opened(user, open)
    }

    /// The schema, the mapping descriptor, then a descriptor for each batch.
    pub(super) fn mapped_batches(
        &self,
        user: User,
        process: &Arc<Process>,
        ticket: Allowed<TicketedVersion>,
    ) -> Result<Response<Answers<FlightData>>, AgentError> {
        if let Some(file) = self.foreign(&ticket)? {
            return self.foreign_batches(user, file);
        }
        let version = self.region.hold_as(Some(ticket.user()), &ticket.name, Some(ticket.number))?;
        ticket.check(&version)?;
        let (lease, _) = self.leases.grant(process, &ticket.name, Some(ticket.number))?;
        let untold = self.untold_lease(process, lease);
        let (service, counted) = (self.clone(), user.clone());
        let open = async move {
            let all = wanted(&version, None);
            let (version, metadata) = service.open(&counted, version, all).await?;
            Ok(described(&service.region, Arc::new(version), lease, metadata))
        };
        // The schema comes first.
        Ok(granting(self.pump_opened(user, open)?, vec![None, Some(untold)]))
    }

    /// Memory for the metadata of those segments of a version, one at a time.
    async fn open(
        &self,
        user: &User,
        version: HeldVersion,
        segments: VecDeque<(usize, Range<u64>)>,
    ) -> Result<(HeldVersion, Metadata), AgentError> {
        let few = segments.len() <= FEW;
        let longest = move |service: &Self| {
            let mut longest = 0;
            for (segment, _) in segments {
                longest = longest.max(service.region.footer_len(&version, segment)?);
            }
            Ok((version, longest))
        };
        let (version, footer) = if few { longest(self)? } else { self.making(user, longest).await? };
        Ok((version, self.streams.metadata(user, footer).await))
    }

    /// The foreign file that a ticket was given for.
    pub(super) fn foreign(&self, ticket: &TicketedVersion) -> Result<Option<Arc<ForeignFile>>, AgentError> {
        match ticket.commit {
            0 => Ok(self.region.view().foreign(&ticket.name, Some(ticket.number))?),
            _ => Ok(None),
        }
    }

    /// Returns what a ticket of this region names.
    pub(super) fn redeem(&self, ticket: &Ticket) -> Result<TicketedVersion, AgentError> {
        let ticket = farrow_proto::decode_ticket(&ticket.ticket)?;
        let here = self.region.uuid();
        if ticket.region_uuid != here.as_bytes()[..] {
            return Err(AgentError::ForeignTicket { found: ticket.region_uuid, here });
        }
        let name = FrameName::parse(&ticket.name)?;
        let v1::Ticket { version: number, commit, selection, .. } = ticket;
        Ok(TicketedVersion { name, number, commit, selection })
    }
}

/// The version that a ticket was given for.
pub(super) struct TicketedVersion {
    pub(super) name: FrameName,
    pub(super) number: u64,
    /// The sequence number of its commit. 0 for a foreign file.
    commit: u64,
    /// The part of it that is sent.
    selection: Option<v1::Selection>,
}

impl Named for TicketedVersion {
    fn frame_name(&self) -> &FrameName {
        &self.name
    }
}

impl TicketedVersion {
    /// Checks that what has its name and number is that version.
    pub(super) fn check(&self, found: &Version) -> Result<(), AgentError> {
        if found.seq == self.commit {
            return Ok(());
        }
        let frame = format!("{}@{}", self.name, self.number);
        Err(AgentError::StaleTicket { frame, ticketed: self.commit, found: found.seq })
    }
}

/// The schema of a version, where it lies, and its batches.
fn described(
    region: &Arc<Region>,
    version: Arc<HeldVersion>,
    lease: u64,
    mut metadata: Metadata,
) -> impl Iterator<Item = Result<FlightData, AgentError>> + Send + use<> {
    let (here, it) = (region.clone(), version.clone());
    let schema = std::iter::once_with(move || schema_message(&*here.schema(&it)?));
    let (here, it) = (region.clone(), version.clone());
    let map = std::iter::once_with(move || {
        let map = farrow_proto::encode_map_descriptor(&here.map_descriptor(&it, lease));
        Ok(FlightData::new().with_app_metadata(map))
    });
    let region = region.clone();
    let batches = (0..version.segments.len()).flat_map(move |segment| {
        let mut batches = || {
            metadata.holds((region.footer_len(&version, segment)?, 0))?;
            let opened = region.segment(&version, segment)?;
            Ok(batch_descriptors(u32::try_from(segment).unwrap_or(u32::MAX), opened.layout()).collect())
        };
        let batches: Result<Vec<_>, AgentError> = batches();
        let (batches, error) = batches.map_or_else(|error| (Vec::new(), Some(error)), |all| (all, None));
        batches.into_iter().map(Ok).chain(error.map(Err))
    });
    schema.chain(map).chain(batches)
}

/// The segments that have some of the rows of a selection, by number, and which rows of each; if none has, the first one,
/// of which nothing is sent but its schema.
fn wanted(version: &Version, selection: Option<&v1::Selection>) -> VecDeque<(usize, Range<u64>)> {
    let rows = selection::rows(selection);
    let mut first_row = 0_u64;
    let mut wanted = VecDeque::new();
    for (number, segment) in version.segments.iter().enumerate() {
        let end_row = first_row.saturating_add(segment.rows);
        let within = rows.start.clamp(first_row, end_row)..rows.end.clamp(first_row, end_row);
        // All of a segment without rows is sent: its dictionaries are.
        if selection.is_none() || !within.is_empty() {
            wanted.push_back((number, within.start - first_row..within.end - first_row));
        }
        first_row = end_row;
    }
    if wanted.is_empty() {
        wanted.push_back((0, 0..0));
    }
    wanted
}

/// The rows of a version, read as they are sent. After an error it is of no use any more.
struct Rows {
    region: Arc<Region>,
    selection: Option<v1::Selection>,
    /// The segments that come, each with its number.
    wanted: VecDeque<(usize, Range<u64>)>,
    /// None before the schema is sent.
    stream: Option<StreamSchema>,
    /// The segment that is being sent.
    open: Option<(usize, StreamEncoder<SegmentMemory>)>,
    message_bytes: MessageBytes,
    metadata: Metadata,
    // Kept until the stream is dropped, whether it was read to its end or not.
    version: HeldVersion,
}

impl Rows {
    fn next(&mut self) -> Result<Option<FlightData>, AgentError> {
        loop {
            if self.open.is_none() {
                self.open = self.open_next()?;
            }
            let Some((number, segment)) = &mut self.open else { return Ok(None) };
            let Some(stream) = &mut self.stream else {
                let schema = first_schema(&self.region, &self.version, *number, segment.schema())?;
                let stream = self.stream.insert(StreamSchema::new(&schema)?);
                return Ok(Some(stream.message().into()));
            };
            let next = segment.next(stream, message_sizes(&self.message_bytes));
            match next.map_err(|source| self.region.damaged(&self.version, *number, source))? {
                Some(message) => {
                    self.metadata.holds(segment.kept())?;
                    self.version.check_there()?;
                    return Ok(Some(message.into()));
                }
                None => self.open = None,
            }
        }
    }

    fn open_next(&mut self) -> Result<Option<(usize, StreamEncoder<SegmentMemory>)>, AgentError> {
        let Some((number, rows)) = self.wanted.pop_front() else { return Ok(None) };
        self.metadata.holds((self.region.footer_len(&self.version, number)?, 0))?;
        let opened = self.region.segment(&self.version, number)?;
        let selection = self.selection.as_ref();
        let columns = selection::columns(selection, opened.schema().fields().len())?;
        let opened = if selection.is_some() { opened.with_rows(rows) } else { opened };
        let opened = match columns {
            Some(columns) => opened.with_columns(&columns)?,
            None => opened,
        };
        Ok(Some((number, opened)))
    }
}

/// The schema of the rows of a version whose first segment that is sent has this number and schema. The metadata are those
/// of the version, whichever segment that is.
fn first_schema(
    region: &Region,
    version: &HeldVersion,
    number: usize,
    schema: &SchemaRef,
) -> Result<SchemaRef, AgentError> {
    if number == 0 {
        return Ok(farrow_ipc::schema_of_segments(schema, version.segments.len()));
    }
    let metadata = region.schema(version)?.metadata().clone();
    Ok(Arc::new(schema.as_ref().clone().with_metadata(metadata)))
}

/// Returns how large the next message is.
pub(super) fn message_sizes(message_bytes: &MessageBytes) -> MessageSizes {
    MessageSizes { about: usize::try_from(message_bytes()).unwrap_or(MOST_BYTES), most: MOST_BYTES }
}

/// A message for each batch of segment `segment`.
pub(super) fn batch_descriptors(segment: u32, layout: &Layout) -> impl Iterator<Item = FlightData> + '_ {
    (0u32..).zip(layout.batches()).map(move |(batch, block)| {
        let descriptor = BatchDescriptor { segment, batch, rows: block.rows };
        FlightData::new().with_app_metadata(farrow_proto::encode_batch_descriptor(&descriptor))
    })
}

/// The first message of a stream.
pub(super) fn schema_message(schema: &Schema) -> Result<FlightData, AgentError> {
    Ok(StreamSchema::new(schema)?.message().into())
}
