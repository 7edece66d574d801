//! The bytes on their way to a client: counted from its encoding until it has left the process, and dropped when its client
//! does not take it.
//!
//! A response is given to the connection in small pieces, each a copy: however little of a message the client takes,
//! the connection keeps no more than what it was given, and the rest can be dropped.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http_body::{Frame, SizeHint};
use tokio::sync::Notify;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::HeaderMap;

use crate::error::AgentError;
use crate::listen::UnderWay;
use crate::places::Place;
use crate::shares::Share;

/// Bytes of a piece: of one frame of HTTP/2, unless the client asks for more.
const PIECE: usize = 16 << 10;

/// A stream's place, and what of it is between its messages and the connection.
pub(super) struct OnTheWay {
    /// Idle while the client has something to take.
    place: Place,
    state: Mutex<State>,
    /// The connection has asked for more than there was.
    hungry: Notify,
}

#[derive(Default)]
struct State {
    /// Of messages that gRPC's encoder was given.
    encoding: Option<Share>,
    /// The bytes that came out of it and are given to the connection piece by piece.
    encoded: Option<(Bytes, Option<Share>)>,
    /// The reason why the stream is cut off, which is its end.
    cut: Option<Status>,
}

/// The body of a response.
pub(super) struct Paced {
    body: Body,
    way: Option<Arc<OnTheWay>>,
    ended: bool,
    /// Keeps its connection from being taken for idle.
    _under_way: Option<UnderWay>,
}

/// Bytes that count until the connection has sent them.
struct Piece {
    bytes: Bytes,
    _share: Option<Share>,
}

impl OnTheWay {
    /// Nothing yet. The place is the stream's.
    pub(super) fn new(place: Place) -> Self {
        place.busy();
        Self { place, state: Mutex::default(), hungry: Notify::new() }
    }

    /// gRPC's encoder is given messages of so many bytes.
    pub(super) fn encodes(&self, share: Share) {
        let mut state = self.state();
        match &mut state.encoding {
            Some(encoding) => encoding.merge(share),
            none => *none = Some(share),
        }
    }

    /// Returns once the connection has asked for more than there was.
    pub(super) async fn hungry(&self) {
        self.hungry.notified().await;
    }

    /// Waits until the stream is to be cut off, and says why: its client takes nothing for `stall`, or for a shorter
    /// time while others of its user wait.
    pub(super) async fn stuck(&self, stall: Duration) -> AgentError {
        loop {
            let idle = self.place.idle_since();
            let wait = idle.map_or(stall, |since| stall.saturating_sub(since.elapsed()));
            if wait.is_zero() {
                return AgentError::Stalled { limit: stall };
            }
            tokio::select! {
                () = self.place.ousted() => return AgentError::GaveWay,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Drops what is on the way, and ends the stream. What the connection was given already stays with it.
    pub(super) fn cut(&self, why: AgentError) {
        let dropped = {
            let mut state = self.state();
            state.cut = Some(why.into());
            (state.encoding.take(), state.encoded.take())
        };
        // Without the lock: others may be given what goes back.
        drop(dropped);
    }

    /// Returns the frame that the connection gets next, if it is here.
    fn next(&self) -> Option<Frame<Bytes>> {
        let mut state = self.state();
        if let Some(why) = state.cut.take() {
            return Some(Frame::trailers(trailers(&why)));
        }
        let (bytes, share) = state.encoded.as_mut()?;
        let len = bytes.len().min(PIECE);
        let piece = Bytes::copy_from_slice(&bytes[..len]);
        bytes.advance(len);
        let done = bytes.is_empty();
        let part = if done { u64::MAX } else { len as u64 };
        let share = share.as_mut().map(|share| share.split(part));
        let emptied = if done { state.encoded.take() } else { None };
        drop(state);
        drop(emptied);
        self.place.idle();
        Some(Frame::data(Bytes::from_owner(Piece { bytes: piece, _share: share })))
    }

    /// Bytes came out of the encoder.
    fn encoded(&self, bytes: Bytes) {
        let mut state = self.state();
        if state.cut.is_none() {
            // All messages that the encoder was given are in them, or in a few bytes that come next.
            let share = state.encoding.take();
            state.encoded = Some((bytes, share));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Paced {
    /// `body` for its client.
    pub(super) fn new(body: Body, way: Option<Arc<OnTheWay>>, under_way: Option<UnderWay>) -> Self {
        Self { body, way, ended: false, _under_way: under_way }
    }
}

impl http_body::Body for Paced {
    type Data = Bytes;
    type Error = <Body as http_body::Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        let Some(way) = &this.way else { return Pin::new(&mut this.body).poll_frame(cx) };
        loop {
            if this.ended {
                return Poll::Ready(None);
            }
            if let Some(frame) = way.next() {
                this.ended = frame.is_trailers();
                return Poll::Ready(Some(Ok(frame)));
            }
            let polled = Pin::new(&mut this.body).poll_frame(cx);
            if polled.is_pending() {
                way.place.busy();
                way.hungry.notify_one();
            }
            match ready!(polled) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(bytes) => way.encoded(bytes),
                    Err(last) => {
                        // A stream that was cut off meanwhile looks as if it had ended.
                        this.ended = true;
                        return Poll::Ready(Some(Ok(way.next().unwrap_or(last))));
                    }
                },
                other => return Poll::Ready(other),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.way.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

fn trailers(status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    // A text that is no header is left out by tonic itself; the code is one.
    let _ = status.add_header(&mut trailers);
    trailers
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}
