//! DoGet: rows for plain clients, descriptors of mapped batches for those that announced themselves.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use arrow_flight::{FlightData, Ticket};
use arrow_schema::Schema;
use farrow_ipc::{Layout, MessageSizes, StreamEncoder, StreamSchema};
use farrow_proto::v1::{self, BatchDescriptor};
use farrow_store::{ForeignFile, FrameName, Version};
use tonic::Response;

use super::{Answers, Service, selection};
use crate::caller::{Allowed, Named};
use crate::error::AgentError;
use crate::memory::SegmentMemory;
use crate::process::Process;
use crate::region::{HeldVersion, Region};
use crate::user::User;

/// The most bytes of values in a message: of a single row, or a dictionary.
const MOST_BYTES: usize = 256 << 20;

/// Tells how many bytes of values the next message has, about.
type MessageBytes = Box<dyn Fn() -> u64 + Send>;

impl Service {
    /// The schema, then the rows in messages of about as many bytes as `streams` says.
    pub(super) async fn rows(
        &self,
        user: User,
        ticket: Allowed<TicketedVersion>,
    ) -> Result<Response<Answers<FlightData>>, AgentError> {
        if let Some(file) = self.foreign(&ticket)? {
            return self.foreign_rows(user, file, ticket.selection.clone()).await;
        }
        let version = self.region.hold_as(Some(ticket.user()), &ticket.name, Some(ticket.number))?;
        ticket.check(&version)?;
        let segments = self.selected(&version, ticket.selection.as_ref())?;
        // The metadata are those of the version, whichever segment is the first that is sent.
        let schema = match segments.front().ok_or(AgentError::NoSegments)? {
            (0, first) => farrow_ipc::schema_of_segments(first.schema(), version.segments.len()),
            (_, first) => {
                let metadata = self.region.schema(&version)?.metadata().clone();
                Arc::new(first.schema().as_ref().clone().with_metadata(metadata))
            }
        };
        let stream = StreamSchema::new(&schema)?;
        let schema = std::iter::once(Ok(stream.message().into()));
        let (region, message_bytes) = (self.region.clone(), self.message_bytes(user.clone()));
        let mut rows = Some(Rows { region, stream, message_bytes, segments, version });
        let encoded = std::iter::from_fn(move || {
            let message = rows.as_mut()?.next().transpose();
            if !matches!(message, Some(Ok(_))) {
                rows = None;
            }
            message
        });
        self.pump(user, schema.chain(encoded))
    }

    /// The segments that have some of the rows of a selection, to be streamed, and the number of each; if none has, the first
    /// one, of which nothing is sent but its schema.
    fn selected(
        &self,
        version: &Version,
        selection: Option<&v1::Selection>,
    ) -> Result<VecDeque<(usize, Rest)>, AgentError> {
        let rows = selection::rows(selection);
        let mut first_row = 0_u64;
        let mut wanted = Vec::new();
        for (number, segment) in version.segments.iter().enumerate() {
            let end_row = first_row.saturating_add(segment.rows);
            let within = rows.start.clamp(first_row, end_row)..rows.end.clamp(first_row, end_row);
            // All of a segment without rows is sent: its dictionaries are.
            if selection.is_none() || !within.is_empty() {
                wanted.push((number, within.start - first_row..within.end - first_row));
            }
            first_row = end_row;
        }
        if wanted.is_empty() {
            wanted.push((0, 0..0));
        }
        let open = |(number, rows): (usize, Range<u64>)| {
            let opened = self.region.segment(version, number)?;
            let columns = selection::columns(selection, opened.schema().fields().len())?;
            let opened = if selection.is_some() { opened.with_rows(rows) } else { opened };
            let opened = match columns {
                Some(columns) => opened.with_columns(&columns)?,
                None => opened,
            };
            Ok((number, opened))
        };
        wanted.into_iter().map(open).collect()
    }

    /// The schema, the mapping descriptor, then a descriptor for each batch.
    pub(super) async fn mapped_batches(
        &self,
        user: User,
        process: &Arc<Process>,
        ticket: Allowed<TicketedVersion>,
    ) -> Result<Response<Answers<FlightData>>, AgentError> {
        if let Some(file) = self.foreign(&ticket)? {
            return self.foreign_batches(user, file).await;
        }
        let (lease, version) = self.leases.grant(process, &ticket.name, Some(ticket.number))?;
        let untold = self.untold_lease(process, lease);
        ticket.check(&version)?;
        let answer = self.describe_batches(&version, lease)?;
        Ok(Response::new(untold.with(answer.into_iter().map(Ok).collect())))
    }

    fn describe_batches(&self, version: &Arc<Version>, lease: u64) -> Result<Vec<FlightData>, AgentError> {
        let segments = self.region.segments(version)?;
        let mut answer = vec![schema_message(&*self.region.schema(version)?)?];
        let map = farrow_proto::encode_map_descriptor(&self.region.map_descriptor(version, lease));
        answer.push(FlightData::new().with_app_metadata(map));
        for (number, segment) in (0u32..).zip(&segments) {
            answer.extend(batch_descriptors(number, segment.layout()));
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

/// The rows of a version, read as they are sent. After an error it is of no use any more.
struct Rows {
    region: Arc<Region>,
    stream: StreamSchema,
    message_bytes: MessageBytes,
    /// Each with its number.
    segments: VecDeque<(usize, Rest)>,
    // Kept until the stream is dropped, whether it was read to its end or not.
    version: HeldVersion,
}

/// The rest of a segment.
type Rest = StreamEncoder<SegmentMemory>;

impl Rows {
    fn next(&mut self) -> Result<Option<FlightData>, AgentError> {
        while let Some((number, segment)) = self.segments.front_mut() {
            let next = segment.next(&mut self.stream, message_sizes(&self.message_bytes));
            match next.map_err(|source| self.region.damaged(&self.version, *number, source))? {
                Some(message) => {
                    self.version.check_there()?;
                    return Ok(Some(message.into()));
                }
                None => {
                    self.segments.pop_front();
                }
            }
        }
        Ok(None)
    }
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
