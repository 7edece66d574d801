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
use tonic::codegen::http::{self, HeaderMap};

use super::receipts::Receipts;
use crate::error::AgentError;
use crate::listen::UnderWay;
use crate::places::Place;
use crate::shares::Share;

/// Bytes of a piece: of one frame of HTTP/2, unless the client asks for more.
const PIECE: usize = 16 << 10;

/// A response for its client, with what was put beside it: its way, and its grants.
pub(super) fn paced(response: http::Response<Body>, under_way: Option<UnderWay>) -> http::Response<Body> {
    let mut response = response;
    let (taker, receipts) = (response.extensions_mut().remove(), response.extensions_mut().remove());
    response.map(|body| Body::new(Paced::new(body, taker, receipts, under_way)))
}

/// A response's place, and all of it that its connection was not given yet.
pub(super) struct OnTheWay {
    /// Idle while the client has something to take.
    place: Place,
    /// True if the client may leave what counts for nobody where it is, for as long as it likes.
    patient: bool,
    /// The response, until it ends or is cut off.
    body: Mutex<Option<Body>>,
    state: Mutex<State>,
    /// The connection has asked for more than there was.
    hungry: Notify,
    /// Nobody takes anything any more.
    gone: Notify,
}

/// Goes with the response, and says on the way when that is gone.
#[derive(Clone)]
pub(super) struct Taker(Arc<Taking>);

struct Taking(Arc<OnTheWay>);

#[derive(Default)]
struct State {
    /// Of messages that gRPC's encoder was given.
    encoding: Option<Share>,
    /// The bytes that came out of it and are given to the connection piece by piece.
    encoded: Option<(Bytes, Option<Share>)>,
    /// The reason why the stream is cut off, which is its end.
    cut: Option<Status>,
    /// True once nobody takes anything any more.
    gone: bool,
}

/// The body of a response.
struct Paced {
    /// Empty if it is on a way.
    body: Body,
    taker: Option<Taker>,
    receipts: Option<Arc<Receipts>>,
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
    /// The way of a stream's response: nothing yet. The place is the stream's.
    pub(super) fn of_stream(place: Place) -> (Arc<Self>, Taker) {
        Self::new(place, false)
    }

    /// The same of a session, whose client may take its time, but for answers that count.
    pub(super) fn of_session(place: Place) -> (Arc<Self>, Taker) {
        Self::new(place, true)
    }

    fn new(place: Place, patient: bool) -> (Arc<Self>, Taker) {
        place.busy();
        let (body, state) = (Mutex::default(), Mutex::default());
        let way = Arc::new(Self { place, patient, body, state, hungry: Notify::new(), gone: Notify::new() });
        (way.clone(), Taker(Arc::new(Taking(way))))
    }

    /// Something that counts waits for the client.
    pub(super) fn waits(&self) {
        self.place.idle();
    }

    /// gRPC's encoder is given messages of so many bytes.
    pub(super) fn encodes(&self, share: Share) {
        let mut state = self.state();
        if state.gone {
            // Without the lock: others may be given what goes back.
            drop(state);
            return drop(share);
        }
        match &mut state.encoding {
            Some(encoding) => encoding.merge(share),
            none => *none = Some(share),
        }
    }

    /// Returns once the connection has asked for more than there was.
    pub(super) async fn hungry(&self) {
        self.hungry.notified().await;
    }

    /// Returns once the client has taken everything, or is gone.
    pub(super) async fn gone(&self) {
        self.gone.notified().await;
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
        self.drop_body();
    }

    fn drop_body(&self) {
        let body = self.body().take();
        drop(body);
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
        if share.is_some() || !self.patient {
            self.place.idle();
        }
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

    /// Returns what the response has next, and notes if that is nothing yet.
    fn poll_body(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let mut body = self.body();
        let Some(body) = body.as_mut() else { return Poll::Ready(None) };
        let polled = http_body::Body::poll_frame(Pin::new(body), cx);
        if polled.is_pending() {
            self.place.busy();
            self.hungry.notify_one();
        }
        polled
    }

    /// While it is polled it may call [`encodes`](Self::encodes): so no other lock is held where this one is taken.
    fn body(&self) -> MutexGuard<'_, Option<Body>> {
        self.body.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taker {
    /// Puts the response on the way, unless that was cut off before.
    fn takes(&self, body: Body) {
        let Taking(way) = &*self.0;
        *way.body() = Some(body);
        if way.state().cut.is_some() {
            way.drop_body();
        }
    }
}

impl Drop for Taking {
    fn drop(&mut self) {
        let Self(way) = self;
        let dropped = {
            let mut state = way.state();
            state.gone = true;
            (state.encoding.take(), state.encoded.take())
        };
        // Whoever waits to make an answer has the way too, and may wait for just this.
        drop(dropped);
        // What makes messages may have the way, and is part of the response.
        way.drop_body();
        way.gone.notify_one();
    }
}

impl Paced {
    fn new(
        body: Body,
        taker: Option<Taker>,
        receipts: Option<Arc<Receipts>>,
        under_way: Option<UnderWay>,
    ) -> Self {
        let body = match &taker {
            Some(taker) => {
                taker.takes(body);
                Body::empty()
            }
            None => body,
        };
        Self { body, taker, receipts, ended: false, _under_way: under_way }
    }

    /// True if the connection was given all of the messages that were made.
    fn is_emptied(&self) -> bool {
        self.taker.as_ref().is_none_or(|Taker(taking)| taking.0.state().encoded.is_none())
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self;
        let Some(Taker(taking)) = &this.taker else {
            return http_body::Body::poll_frame(Pin::new(&mut this.body), cx);
        };
        let Taking(way) = &**taking;
        loop {
            if this.ended {
                return Poll::Ready(None);
            }
            if let Some(frame) = way.next() {
                this.ended = frame.is_trailers();
                return Poll::Ready(Some(Ok(frame)));
            }
            match ready!(way.poll_body(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(bytes) => way.encoded(bytes),
                    Err(last) => {
                        // A stream that was cut off meanwhile looks as if it had ended.
                        this.ended = true;
                        return Poll::Ready(Some(Ok(way.next().unwrap_or(last))));
                    }
                },
                // The same of one whose end was dropped.
                None => {
                    this.ended = true;
                    return Poll::Ready(way.next().map(Ok));
                }
                other => return Poll::Ready(other),
            }
        }
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
        // It asks for more once it has sent, or can send, what it was given.
        if let Some(receipts) = &this.receipts {
            receipts.taken();
        }
        let polled = this.poll_next(cx);
        if let (Some(receipts), Poll::Ready(Some(Ok(frame)))) = (&this.receipts, &polled)
            && frame.is_data()
            && this.is_emptied()
        {
            receipts.given();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.taker.is_none() && self.body.is_end_stream()
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
