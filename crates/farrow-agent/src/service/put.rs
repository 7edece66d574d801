//! DoPut: the agent writes the rows of a client that does not write in place.
//!
//! Two halves: a task receives messages, a thread decodes, writes and at last publishes them. Between them is a queue,
//! so that the next messages come while a segment is written. Whatever ends the task early (the client is gone, the
//! agent stops) drops the queue, and the thread publishes only once it was told that all is there.

use std::sync::Arc;
use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_flight::{FlightDescriptor, PutResult};
use farrow_ipc::{ByName, StreamDecoder};
use farrow_proto::{IF_VERSION_HEADER, KEEP_HEADER, PUT_APPEND, PUT_APPEND_BY_NAME, PUT_HEADER, PUT_REPLACE};
use farrow_store::{CommitOptions, FrameName, FrameRef, Owner, Quota, Version};
use prost::Message as _;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tonic::metadata::{Ascii, MetadataMap, MetadataValue};
use tonic::{Request, Status};

use super::incoming::{Incoming, PutData, Unread};
use super::put_buffers::Buffers;
use super::put_memory::PutMemory;
use super::{Answers, Service, names};
use crate::caller::{Caller, NOBODY, Writer};
use crate::error::AgentError;
use crate::limits::Limits;
use crate::places::{Place, Places, Room};
use crate::region::Segments;
use crate::rights::Right;
use crate::shares::Share;
use crate::user::User;

/// Bytes of messages that wait while a segment is written, and how many they may be.
const QUEUE_BYTES: u32 = 32 << 20;
const QUEUE_MESSAGES: usize = 256;

/// How long a client may send nothing while another one of its user waits for its place.
const PATIENCE: Duration = Duration::from_secs(30);

/// What bounds all DoPuts together.
pub(super) struct Puts {
    places: Arc<Places>,
    memory: Arc<Buffers>,
    message_bytes: usize,
    limits: watch::Receiver<Limits>,
}

impl Puts {
    pub(super) fn new(limits: watch::Receiver<Limits>) -> Self {
        let Limits { put_message_bytes, put_bytes, .. } = *limits.borrow();
        let (places, memory) = (Places::new(PATIENCE), Buffers::new(put_bytes));
        Self { places, memory, message_bytes: put_message_bytes, limits }
    }

    fn enter(&self, user: &User) -> Result<Arc<Place>, AgentError> {
        let room = Room { total: self.limits.borrow().puts, reserve: 0 };
        let entered = self.places.enter(user, room);
        entered
            .map(|(place, _)| Arc::new(place))
            .map_err(|full| AgentError::Busy { has: full.has, puts: full.taken })
    }
}

impl Service {
    /// The one answer of a DoPut, once its last row is published.
    pub(super) fn put<T>(
        &self,
        caller: Caller,
        request: &Request<T>,
    ) -> Result<Answers<PutResult>, AgentError> {
        // Which frame it will be is in the first message.
        caller.allow_any(Right::Publish)?;
        let (options, by_name) = commit_options(request.metadata())?;
        // Before the first message is read.
        let user = caller.user();
        let place = self.puts.enter(&user)?;
        let body = request.extensions().get::<Unread>().and_then(|body| body.read(self.puts.message_bytes));
        let body = body.ok_or(AgentError::CutOff)?;
        let owner = Owner { uid: caller.uid().unwrap_or(NOBODY), ..self.leases.owner(&self.agent) };
        // How many reservations the agent has for its puts, `puts` bounds.
        let bytes_per_user = self.limits.borrow().bytes_per_user;
        let quota = Quota { bytes_per_user, reservations_per_process: None };
        let (writer, given) = (caller.writer(), place.clone());
        let put = Put { owner, quota, writer, options, by_name, place: given, user: user.clone() };
        let stall = self.puts.limits.borrow().stall;
        let memory = PutMemory::new(user, self.puts.memory.clone(), self.puts.places.clone());
        let messages = Messages { body, memory, stall, place };
        let service = self.clone();
        let answer = async move {
            let version = service.receive(&caller, messages, put).await;
            let version = version.map_err(|error| caller.censored(service.name_remedies(&caller, error)))?;
            let app_metadata = service.published(&caller, &version).encode_to_vec().into();
            Ok::<_, Status>(PutResult { app_metadata })
        };
        Ok(Box::pin(futures::stream::once(answer)))
    }

    async fn receive(
        &self,
        caller: &Caller,
        mut messages: Messages,
        put: Put,
    ) -> Result<Arc<Version>, AgentError> {
        let first = messages.next(None).await?.ok_or(AgentError::Descriptor { found: "none at all" })?;
        let name = frame_name(first.data.descriptor()?.as_ref())?;
        let name = caller.allow(Right::Publish, name)?;
        caller.allow_commit(&name, put.options)?;
        let name = name.into_inner();
        // What does not fit is told by the columns that the frame has.
        if put.by_name {
            caller.allow(Right::Read, name.clone())?;
        }

        let room = Arc::new(Semaphore::new(QUEUE_BYTES as usize));
        let (queue, queued) = mpsc::channel(QUEUE_MESSAGES);
        let service = self.clone();
        let writer = tokio::task::spawn_blocking(move || service.write(name, put, queued));
        let received = receive_all(first, &mut messages, &queue, &room).await;
        drop(queue);
        // The writer ends in any case: by an error of its own, at the end of the rows, or of the queue. By then what it
        // has not published is given back.
        let written = writer.await.map_err(AgentError::Interrupted)?;
        received.and(written)
    }

    /// Decodes, writes, and publishes in the end.
    fn write(
        &self,
        name: FrameName,
        put: Put,
        mut queued: mpsc::Receiver<Queued>,
    ) -> Result<Arc<Version>, AgentError> {
        let Put { owner, quota, writer, options, by_name, place: _place, user } = put;
        let threads = Handle::current();
        // What it does takes one of the threads that users share, and not while it waits for the next message.
        let turn = || threads.block_on(self.readers.take(&user, 1));
        let begin = |header: &[u8]| {
            let decoder = StreamDecoder::new(header, self.puts.message_bytes as u64)?;
            let there = if by_name { self.region.latest_schema(&name)? } else { None };
            let by_name = there.as_ref().map(ByName::new);
            let schema = there.unwrap_or_else(|| decoder.schema().clone());
            let segments = Segments::new(
                self.region.clone(),
                (owner, quota, writer.clone()),
                name.clone(),
                options,
                schema,
            )?;
            // A stream without batches has columns, too.
            by_name.as_ref().map_or(Ok(()), |by_name| by_name.check(decoder.schema()))?;
            let buffers = self.puts.memory.clone();
            Ok::<_, AgentError>(Writing { decoder, segments, by_name, memory: None, buffers })
        };
        let mut writing: Option<Writing> = None;
        loop {
            let next = queued.blocking_recv().ok_or(AgentError::CutOff)?;
            let _turn = turn();
            match next {
                // Messages without a header have only a descriptor, or metadata that nobody asked for.
                Queued::Message(message, _) if message.data.header.is_empty() => {}
                Queued::Message(message, _permit) => match &mut writing {
                    None => writing = Some(begin(&message.data.header)?),
                    Some(writing) => writing.push(message)?,
                },
                Queued::Flush(written) => {
                    let kept = writing.as_mut().map_or(Ok(0), Writing::flush)?;
                    // Its error is that nobody waits for it.
                    let _ = written.send(kept);
                }
                Queued::End => {
                    return match writing {
                        Some(writing) => writing.segments.publish(),
                        None => begin(&[])?.segments.publish(),
                    };
                }
            }
        }
    }
}

/// What is known of a put before its first message.
struct Put {
    owner: Owner,
    quota: Quota,
    writer: Option<Writer>,
    options: CommitOptions,
    /// Whether columns are matched by name, and cast.
    by_name: bool,
    /// Kept until nothing of it is in memory any more.
    place: Arc<Place>,
    user: User,
}

/// A message, and the memory that it has.
struct Charged {
    data: PutData,
    share: Share,
    /// Bytes that its share does not count yet.
    uncharged: u64,
}

enum Queued {
    Message(Charged, OwnedSemaphorePermit),
    /// Write the gathered rows; the answer is the number of bytes that stay in memory even so.
    Flush(oneshot::Sender<u64>),
    /// The client has sent everything.
    End,
}

/// A version that is being written.
struct Writing {
    decoder: StreamDecoder,
    segments: Segments,
    /// What gives batches the schema of the frame, where they need not have it.
    by_name: Option<ByName>,
    /// Of messages that are not written, and of dictionaries.
    memory: Option<Share>,
    buffers: Arc<Buffers>,
}

impl Writing {
    fn push(&mut self, message: Charged) -> Result<(), AgentError> {
        let Charged { data: PutData { header, body, .. }, share, uncharged } = message;
        match &mut self.memory {
            Some(memory) => memory.merge(share),
            none => *none = Some(share),
        }
        let (metadata_len, body_len) = (header.len(), body.len());
        let lies = body.as_ptr_range();
        let batch = self.decoder.message(&header, Buffer::from(body))?;
        let copied = batch.as_ref().map_or(0, |batch| farrow_ipc::bytes_outside(batch, lies));
        self.add(batch, metadata_len, body_len)?;
        self.charge(copied + uncharged)?;
        // Of the message nothing is left now, unless it waits.
        drop(header);
        self.give_back();
        Ok(())
    }

    fn add(
        &mut self,
        batch: Option<RecordBatch>,
        metadata_len: usize,
        body_len: usize,
    ) -> Result<(), AgentError> {
        let Some(batch) = batch else { return self.segments.push(None, metadata_len, body_len) };
        let Some(mut by_name) = self.by_name.take() else {
            return self.segments.push(Some(batch), metadata_len, body_len);
        };
        by_name.push(&batch)?;
        drop(batch);
        let (mut metadata_len, mut body_len) = (metadata_len, body_len);
        for piece in &mut by_name {
            let piece = piece?;
            let bytes = farrow_ipc::logical_bytes(&piece);
            let (metadata_len, body_len) = (std::mem::take(&mut metadata_len), std::mem::take(&mut body_len));
            let made = usize::try_from(bytes).unwrap_or(usize::MAX);
            self.segments.push(Some(piece), metadata_len, body_len.saturating_add(made))?;
            // What was made of the message is charged, too, as long as it waits.
            self.charge(bytes)?;
        }
        self.by_name = Some(by_name);
        Ok(())
    }

    /// Counts more bytes of what waits. Where there is no memory for them nothing waits any more.
    fn charge(&mut self, bytes: u64) -> Result<(), AgentError> {
        let Some(memory) = &mut self.memory else { return Ok(()) };
        if bytes == 0 || !self.segments.gathers() || self.buffers.try_grow(memory, bytes) {
            return Ok(());
        }
        self.segments.flush()
    }

    /// Bytes of dictionaries, which are kept.
    fn flush(&mut self) -> Result<u64, AgentError> {
        self.segments.flush()?;
        self.give_back();
        Ok(self.memory.as_ref().map_or(0, Share::amount))
    }

    fn give_back(&mut self) {
        if !self.segments.gathers()
            && let Some(memory) = &mut self.memory
        {
            memory.resize(memory.amount().min(self.decoder.dictionary_bytes()));
        }
    }
}

/// Queues all messages, up to the first that cannot be had. The writer's errors are not among them.
async fn receive_all(
    first: Charged,
    messages: &mut Messages,
    queue: &mpsc::Sender<Queued>,
    room: &Arc<Semaphore>,
) -> Result<(), AgentError> {
    let mut next = Some(first);
    while let Some(message) = next {
        let len = u32::try_from(message.share.amount()).unwrap_or(QUEUE_BYTES).min(QUEUE_BYTES);
        let Ok(permit) = room.clone().acquire_many_owned(len).await else { return Ok(()) };
        if queue.send(Queued::Message(message, permit)).await.is_err() {
            return Ok(());
        }
        next = tokio::select! {
            next = messages.next(Some(queue)) => next?,
            () = queue.closed() => return Ok(()),
        };
    }
    // Its error is that the writer has one.
    let _ = queue.send(Queued::End).await;
    Ok(())
}

/// A client's messages, each awaited no longer than `stall`.
struct Messages {
    body: Incoming,
    memory: PutMemory,
    stall: Duration,
    /// Idle while the client is waited for.
    place: Arc<Place>,
}

impl Messages {
    /// The next one; `None` if the client has sent everything. Those before it are in `queue`.
    async fn next(&mut self, queue: Option<&mpsc::Sender<Queued>>) -> Result<Option<Charged>, AgentError> {
        let Self { body, memory, stall, place } = self;
        let Some(len) = awaited(place, *stall, body.announced()).await? else { return Ok(None) };
        let mut share = match memory.try_take(len) {
            Some(share) => share,
            None => {
                let kept = match queue {
                    Some(queue) => flushed(queue).await,
                    None => 0,
                };
                memory.take(len, kept, place).await?
            }
        };
        let data = awaited(place, *stall, body.message(memory.buffer(len))).await?;
        let uncharged = memory.settle(&mut share, len, data.header.len());
        Ok(Some(Charged { data, share, uncharged }))
    }
}

/// What the client is to send.
async fn awaited<T>(
    place: &Place,
    stall: Duration,
    sent: impl Future<Output = Result<T, AgentError>>,
) -> Result<T, AgentError> {
    place.idle();
    let sent = tokio::select! {
        sent = tokio::time::timeout(stall, sent) => sent,
        () = place.ousted() => return Err(AgentError::GaveWay),
    };
    place.busy();
    sent.unwrap_or(Err(AgentError::NothingSent { limit: stall }))
}

/// Has the writer write what it gathered; how many bytes of memory it keeps even so.
async fn flushed(queue: &mpsc::Sender<Queued>) -> u64 {
    let (written, kept) = oneshot::channel();
    // Errors are that the writer has one.
    let _ = queue.send(Queued::Flush(written)).await;
    kept.await.unwrap_or(0)
}

/// The options of a put's headers: of its version, and for matching columns by name.
fn commit_options(headers: &MetadataMap) -> Result<(CommitOptions, bool), AgentError> {
    let refused = |header, expected, value: &MetadataValue<Ascii>| {
        let found = String::from_utf8_lossy(value.as_bytes()).into_owned();
        AgentError::PutHeader { header, expected, found }
    };
    let (append, by_name) = match headers.get(PUT_HEADER) {
        None => (false, false),
        Some(value) if value == PUT_REPLACE => (false, false),
        Some(value) if value == PUT_APPEND => (true, false),
        Some(value) if value == PUT_APPEND_BY_NAME => (true, true),
        Some(value) => {
            return Err(refused(PUT_HEADER, "\"replace\", \"append\" or \"append-by-name\"", value));
        }
    };
    let number = |header| match headers.get(header) {
        None => Ok(None),
        Some(value) => match value.to_str().ok().and_then(|text| text.parse().ok()) {
            Some(number) => Ok(Some(number)),
            None => Err(refused(header, "a whole number from 0 on", value)),
        },
    };
    let (keep, if_version) = (number(KEEP_HEADER)?, number(IF_VERSION_HEADER)?);
    Ok((CommitOptions { append, keep, if_version }, by_name))
}

fn frame_name(descriptor: Option<&FlightDescriptor>) -> Result<FrameName, AgentError> {
    let descriptor = descriptor.ok_or(AgentError::Descriptor { found: "none at all" })?;
    match names::frame_ref(descriptor)? {
        FrameRef { name, version: None } => Ok(name),
        FrameRef { name, version: Some(version) } => Err(AgentError::PutVersion { name, version }),
    }
}
