//! The messages of a DoPut, as HTTP brings them.
//!
//! tonic's own decoder makes room for a message as soon as it knows its length, keeps the largest room it ever had, and
//! takes a request that its client cancelled, or whose stream was reset for no reason, for one that has ended: what
//! came would be taken for everything. Here a message's length is known before there is any room for it, and nothing of
//! it is kept. What is not asked for stays with the client: HTTP/2's window bounds what the agent has of it.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use arrow_flight::FlightDescriptor;
use bytes::{Buf, Bytes};
use http_body::Body as _;
use prost::Message as _;
use tonic::Code;
use tonic::body::Body;

use super::put_buffers::Buffer;
use crate::error::AgentError;

/// Bytes before each message: whether it is compressed, and how long it is.
const PREFIX: usize = 5;

/// Bytes of the longest descriptor: each component of a path takes a few times as much memory.
const MOST_DESCRIPTOR: usize = 64 << 10;

/// A body among the extensions of a request, for the one who reads it.
#[derive(Clone)]
pub(super) struct Unread(Arc<Mutex<Option<Body>>>);

/// The rest of a body.
pub(super) struct Incoming {
    body: Body,
    /// The bytes of it that belong to the next message.
    rest: Bytes,
    /// The client has said that it has sent everything (END_STREAM of HTTP/2).
    ended: bool,
    /// Bytes of the longest message.
    most: usize,
}

/// `FlightData`, whose descriptor is not looked at before somebody asks for it.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct PutData {
    #[prost(bytes = "bytes", tag = "1")]
    descriptor: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) header: Bytes,
    #[prost(bytes = "bytes", tag = "1000")]
    pub(super) body: Bytes,
}

impl Unread {
    pub(super) fn new(body: Body) -> Self {
        Self(Arc::new(Mutex::new(Some(body))))
    }

    /// The body, with messages of up to `most` bytes, for whoever comes first.
    pub(super) fn read(&self, most: usize) -> Option<Incoming> {
        let body = self.0.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        Some(Incoming { body, rest: Bytes::new(), ended: false, most })
    }
}

impl Incoming {
    /// Bytes of the next message, which have not been read; `None` if the client has sent everything.
    pub(super) async fn announced(&mut self) -> Result<Option<usize>, AgentError> {
        let mut prefix = [0; PREFIX];
        for (index, byte) in prefix.iter_mut().enumerate() {
            if !self.more().await? {
                return if index == 0 { Ok(None) } else { Err(cut_short()) };
            }
            *byte = self.rest.get_u8();
        }
        let [compressed, len @ ..] = prefix;
        if compressed != 0 {
            return Err(refused("it is marked as compressed, which was not agreed on"));
        }
        let len = u32::from_be_bytes(len) as usize;
        if len > self.most {
            let most = self.most;
            return Err(refused(format!(
                "{len} bytes: the most are {most} (limits.put-message-bytes of the agent)"
            )));
        }
        Ok(Some(len))
    }

    /// The message that was announced, for which there is `room`.
    pub(super) async fn message(&mut self, mut room: Buffer) -> Result<PutData, AgentError> {
        while room.left() > 0 {
            if !self.more().await? {
                return Err(cut_short());
            }
            let part = self.rest.split_to(self.rest.len().min(room.left()));
            room.push(&part);
        }
        let decoded = PutData::decode(Bytes::from_owner(room));
        decoded.map_err(|error| refused(format!("no FlightData: {error}")))
    }

    /// True if there is something in `rest`; not so only at the end.
    async fn more(&mut self) -> Result<bool, AgentError> {
        while self.rest.is_empty() {
            let frame = poll_fn(|context| Pin::new(&mut self.body).poll_frame(context)).await;
            self.ended |= self.body.is_end_stream();
            match frame {
                Some(Ok(frame)) => self.rest = frame.into_data().unwrap_or_default(),
                Some(Err(status)) if status.code() != Code::Cancelled => {
                    return Err(AgentError::Received(Box::new(status)));
                }
                None if self.ended => return Ok(false),
                Some(Err(_)) | None => return Err(AgentError::CutOff),
            }
        }
        Ok(true)
    }
}

impl PutData {
    /// Returns what is to be put, if it says so.
    pub(super) fn descriptor(&self) -> Result<Option<FlightDescriptor>, AgentError> {
        if self.descriptor.is_empty() {
            return Ok(None);
        }
        let len = self.descriptor.len();
        if len > MOST_DESCRIPTOR {
            return Err(refused(format!("its descriptor has {len} bytes: the most are {MOST_DESCRIPTOR}")));
        }
        let decoded = FlightDescriptor::decode(self.descriptor.clone());
        let decoded = decoded.map_err(|error| refused(format!("its descriptor is none: {error}")));
        decoded.map(Some)
    }
}

fn cut_short() -> AgentError {
    refused("the stream ended within it")
}

fn refused(why: impl Into<String>) -> AgentError {
    AgentError::PutMessage { why: why.into() }
}
