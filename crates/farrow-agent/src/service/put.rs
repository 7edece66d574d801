//! DoPut: the agent writes the rows of a client that does not write in place.
//!
//! Two halves: a task receives messages, a thread decodes, writes and at last publishes them. Between them is a queue,
//! so that the next messages come while a segment is written. Whatever ends the task early (the client is gone, the
//! agent stops) drops the queue, and the thread publishes only once it was told that all is there.

use std::sync::Arc;
use std::time::Duration;

use arrow_buffer::Buffer;
use arrow_flight::{FlightData, FlightDescriptor, PutResult};
use bytes::Bytes;
use farrow_ipc::StreamDecoder;
use farrow_proto::{PUT_APPEND, PUT_HEADER, PUT_REPLACE};
use farrow_store::{FrameName, FrameRef, Owner, Quota, Version};
use prost::Message as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tonic::metadata::MetadataMap;
use tonic::{Request, Status, Streaming};

use super::verbs::StreamEnd;
use super::{Answers, Service, names};
use crate::caller::Caller;
use crate::error::AgentError;
use crate::limits::Limits;
use crate::region::{Onto, Region, Segments};
use crate::rights::Right;

/// Bytes of messages that wait while a segment is written, and how many they may be.
const QUEUE_BYTES: u32 = 32 << 20;
const QUEUE_MESSAGES: usize = 256;

/// The user of reservations that are made for a client over TCP: nobody.
const NOBODY: u32 = 65534;

/// What bounds all DoPuts together.
pub(super) struct Puts {
    slots: Arc<Semaphore>,
    most: usize,
    message_bytes: u64,
    limits: watch::Receiver<Limits>,
}

impl Puts {
    pub(super) fn new(limits: watch::Receiver<Limits>) -> Self {
        let (most, message_bytes) = {
            let limits = limits.borrow();
            (limits.puts.min(Semaphore::MAX_PERMITS), limits.put_message_bytes as u64)
        };
        Self { slots: Arc::new(Semaphore::new(most)), most, message_bytes, limits }
    }

    fn enter(&self) -> Result<OwnedSemaphorePermit, AgentError> {
        self.slots.clone().try_acquire_owned().map_err(|_| AgentError::Busy { puts: self.most })
    }
}

impl Service {
    /// The one answer of a DoPut, once its last row is published.
    pub(super) fn put(
        &self,
        caller: Caller,
        request: Request<Streaming<FlightData>>,
    ) -> Result<Answers<PutResult>, AgentError> {
        // Which frame it will be is in the first message.
        caller.allow_any(Right::Publish)?;
        let onto = onto(request.metadata())?;
        // Before the first message is decoded.
        let slot = self.puts.enter()?;
        let end = request.extensions().get::<StreamEnd>().cloned().unwrap_or_default();
        let owner = Owner { uid: caller.uid().unwrap_or(NOBODY), ..self.leases.owner(&self.agent) };
        // How many reservations the agent has for its puts, `puts` bounds.
        let bytes_per_user = self.limits.borrow().bytes_per_user;
        let quota = Quota { bytes_per_user, reservations_per_process: None };
        let messages = Messages { stream: request.into_inner(), end, stall: self.puts.limits.borrow().stall };
        let service = self.clone();
        let answer = async move {
            let version = service.receive(&caller, messages, Put { owner, quota, onto, slot }).await;
            let version = version.map_err(|error| caller.censored(error))?;
            let app_metadata = service.region.frame_info(&version).encode_to_vec().into();
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
        let first = messages.next().await?.ok_or(AgentError::Descriptor { found: "none at all" })?;
        let name = frame_name(first.flight_descriptor.as_ref())?;
        let name = caller.allow(Right::Publish, name)?.into_inner();

        let room = Arc::new(Semaphore::new(QUEUE_BYTES as usize));
        let (queue, queued) = mpsc::channel(QUEUE_MESSAGES);
        let (region, message_bytes) = (self.region.clone(), self.puts.message_bytes);
        let writer = tokio::task::spawn_blocking(move || write(region, name, put, queued, message_bytes));
        let received = receive_all(first, &mut messages, &queue, &room).await;
        drop(queue);
        // The writer ends in any case: by an error of its own, at the end of the rows, or of the queue. By then what it
        // has not published is given back.
        let written = writer.await.map_err(AgentError::Interrupted)?;
        received.and(written)
    }
}

/// What is known of a put before its first message.
struct Put {
    owner: Owner,
    quota: Quota,
    onto: Onto,
    /// Kept until nothing of it is in memory any more.
    slot: OwnedSemaphorePermit,
}

enum Queued {
    Message(FlightData, OwnedSemaphorePermit),
    /// The client has sent everything.
    End,
}

/// Queues all messages, up to the first that cannot be had. The writer's errors are not among them.
async fn receive_all(
    first: FlightData,
    messages: &mut Messages,
    queue: &mpsc::Sender<Queued>,
    room: &Arc<Semaphore>,
) -> Result<(), AgentError> {
    let mut next = Some(first);
    while let Some(message) = next {
        let len = message.data_header.len() + message.data_body.len();
        let len = u32::try_from(len).unwrap_or(QUEUE_BYTES).min(QUEUE_BYTES);
        let Ok(permit) = room.clone().acquire_many_owned(len).await else { return Ok(()) };
        if queue.send(Queued::Message(message, permit)).await.is_err() {
            return Ok(());
        }
        next = tokio::select! {
            next = messages.next() => next?,
            () = queue.closed() => return Ok(()),
        };
    }
    // Its error is that the writer has one.
    let _ = queue.send(Queued::End).await;
    Ok(())
}

/// Decodes, writes, and publishes in the end.
fn write(
    region: Arc<Region>,
    name: FrameName,
    put: Put,
    mut queued: mpsc::Receiver<Queued>,
    message_bytes: u64,
) -> Result<Arc<Version>, AgentError> {
    let Put { owner, quota, onto, slot: _slot } = put;
    let mut next = || match queued.blocking_recv() {
        Some(Queued::Message(message, permit)) => Ok(Some((message, permit))),
        Some(Queued::End) => Ok(None),
        None => Err(AgentError::CutOff),
    };
    // Messages without a header have only a descriptor, or metadata that nobody asked for.
    let mut first = Bytes::new();
    while first.is_empty()
        && let Some((message, _permit)) = next()?
    {
        first = message.data_header;
    }
    let mut decoder = StreamDecoder::new(&first, message_bytes)?;
    let mut segments = Segments::new(region, (owner, quota), name, onto, decoder.schema().clone())?;
    while let Some((message, _permit)) = next()? {
        if message.data_header.is_empty() {
            continue;
        }
        let (metadata_len, body_len) = (message.data_header.len(), message.data_body.len());
        let batch = decoder.message(&message.data_header, Buffer::from(message.data_body))?;
        segments.push(batch, metadata_len, body_len)?;
    }
    segments.publish()
}

/// A client's messages, each awaited no longer than `stall`.
struct Messages {
    stream: Streaming<FlightData>,
    end: StreamEnd,
    stall: Duration,
}

impl Messages {
    /// The next one; `None` if the client has sent everything.
    async fn next(&mut self) -> Result<Option<FlightData>, AgentError> {
        let Self { stream, end, stall } = self;
        match tokio::time::timeout(*stall, stream.message()).await {
            Err(_) => Err(AgentError::NothingSent { limit: *stall }),
            Ok(Err(status)) => Err(AgentError::Received(Box::new(status))),
            Ok(Ok(None)) if !end.is_reached() => Err(AgentError::CutOff),
            Ok(Ok(message)) => Ok(message),
        }
    }
}

fn onto(headers: &MetadataMap) -> Result<Onto, AgentError> {
    match headers.get(PUT_HEADER) {
        None => Ok(Onto::Nothing),
        Some(value) if value == PUT_REPLACE => Ok(Onto::Nothing),
        Some(value) if value == PUT_APPEND => Ok(Onto::Latest),
        Some(value) => {
            Err(AgentError::PutHeader { found: String::from_utf8_lossy(value.as_bytes()).into_owned() })
        }
    }
}

fn frame_name(descriptor: Option<&FlightDescriptor>) -> Result<FrameName, AgentError> {
    let descriptor = descriptor.ok_or(AgentError::Descriptor { found: "none at all" })?;
    match names::frame_ref(descriptor)? {
        FrameRef { name, version: None } => Ok(name),
        FrameRef { name, version: Some(version) } => Err(AgentError::PutVersion { name, version }),
    }
}
