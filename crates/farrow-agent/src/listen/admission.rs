//! Admission of connections, and the time that one may be silent.
//!
//! Each listener has its places, which the users of its connections share ([`Places`]): a connection without a request
//! under way gives way to a newcomer of its own user, so that peers who say nothing keep nobody out.

use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::Stream;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Sleep;
use tonic::transport::server::Connected;

use super::Peer;
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::places::{Place, Places, Room};
use crate::refusals::Seldom;
use crate::user::User;

/// The time that a connection may take for its first bytes.
const GREETING: Duration = Duration::from_secs(10);

/// The interval at which the log says that connections are refused or closed, and that none can be accepted.
const TELL: Duration = Duration::from_secs(10);
const TELL_ACCEPT: Duration = Duration::from_secs(60);

/// The time to wait after the system refused to accept: at first, and at most. For want of descriptors it would refuse
/// again at once.
const PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Connections of root and the agent's own user beyond those of everybody.
const RESERVE: usize = 16;

/// A connection that comes in at a listener.
pub(crate) trait Incoming: AsyncRead + AsyncWrite + Unpin {
    /// Bytes that a client sends by itself: without them it has said nothing.
    const GREETING_BYTES: usize;

    /// For whom the connection counts.
    fn user(&self) -> User;
}

/// Lets connections of one listener in.
pub(crate) struct Gate {
    listener: &'static str,
    limits: watch::Receiver<Limits>,
    places: Arc<Places>,
    refused: Seldom,
    open: Gauge,
    refusals: Counter,
}

/// The connections of a listener that are let in.
pub(crate) struct Admitted<S> {
    connections: S,
    gate: Gate,
    accept: Accept,
    pause: Option<Pin<Box<Sleep>>>,
}

/// Waits after errors, each time longer.
pub(crate) struct Accept {
    failed: Seldom,
    pause: Duration,
}

/// A connection that was let in.
pub(crate) struct Guest<C> {
    connection: C,
    seat: Arc<Seated>,
    /// Bytes that are missing of the greeting, and until when they may come.
    greeting: Option<(usize, Pin<Box<Sleep>>)>,
    /// Until when the peer may take something of what is being sent.
    blocked: Option<Pin<Box<Sleep>>>,
    /// Until when the peer may close its side, once this one is closed.
    lingering: Option<Pin<Box<Sleep>>>,
    stall: Duration,
}

/// A connection's place, and its requests under way.
pub(crate) struct Seated {
    place: Place,
    open: Gauge,
    requests: AtomicUsize,
}

/// The connection of a request.
#[derive(Clone)]
pub(crate) struct Origin {
    pub(crate) peer: Peer,
    pub(crate) seat: Arc<Seated>,
}

/// A request under way: its connection gives way to nobody.
pub(crate) struct UnderWay(Arc<Seated>);

impl Gate {
    /// Lets in as many as `limits` says at the time. `listener` names it in metrics.
    pub(crate) fn new(listener: &'static str, limits: watch::Receiver<Limits>, metrics: &Metrics) -> Self {
        Self {
            listener,
            limits,
            places: Places::new(Duration::ZERO),
            refused: Seldom::new(TELL),
            open: metrics.connections(listener),
            refusals: metrics.refused(listener),
        }
    }

    /// Those of `connections` that there is room for; all others are closed.
    pub(crate) fn admit<S>(self, connections: S) -> Admitted<S> {
        Admitted { connections, gate: self, accept: Accept::new(), pause: None }
    }

    fn enter<C: Incoming>(&self, connection: C) -> Option<Guest<C>> {
        let (total, stall) = {
            let limits = self.limits.borrow();
            (limits.connections, limits.stall)
        };
        let user = connection.user();
        let reserve = if user.is_administrator() { RESERVE } else { 0 };
        let entered = self.places.enter(&user, Room { total, reserve });
        if !matches!(entered, Ok((_, false))) {
            self.refusals.inc();
            self.refused.report(|count| {
                let (listener, gives_way) = (self.listener, entered.is_ok());
                tracing::warn!(
                    listener,
                    limit = total,
                    refused = count,
                    ?user,
                    gives_way,
                    "connections are refused or idle ones closed: their user has as many as it may have"
                );
            });
        }
        let (place, _) = entered.ok()?;
        self.open.inc();
        let seat = Arc::new(Seated { place, open: self.open.clone(), requests: AtomicUsize::new(0) });
        let greeting = Some((C::GREETING_BYTES, Box::pin(tokio::time::sleep(GREETING))));
        Some(Guest { connection, seat, greeting, blocked: None, lingering: None, stall })
    }
}

impl Accept {
    /// Nothing has failed yet.
    pub(crate) fn new() -> Self {
        Self { failed: Seldom::new(TELL_ACCEPT), pause: PAUSE }
    }

    /// Returns how long to wait after this error.
    pub(crate) fn failed(&mut self, listener: &'static str, error: &io::Error) -> Sleep {
        self.failed.report(|count| tracing::warn!(listener, %error, count, "connections cannot be accepted"));
        let pause = self.pause;
        self.pause = (pause * 2).min(LONGEST_PAUSE);
        tokio::time::sleep(pause)
    }

    /// One was accepted.
    pub(crate) fn succeeded(&mut self) {
        self.pause = PAUSE;
    }
}

impl Seated {
    /// A request of the connection begins.
    pub(crate) fn begin(self: &Arc<Self>) -> UnderWay {
        self.requests.fetch_add(1, Ordering::AcqRel);
        self.place.busy();
        UnderWay(self.clone())
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if self.0.requests.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.place.idle();
            // One that has begun meanwhile may have been overtaken.
            if self.0.requests.load(Ordering::Acquire) > 0 {
                self.0.place.busy();
            }
        }
    }
}

impl Drop for Seated {
    fn drop(&mut self) {
        self.open.dec();
    }
}

impl<S, C> Stream for Admitted<S>
where
    S: Stream<Item = io::Result<C>> + Unpin,
    C: Incoming,
{
    type Item = io::Result<Guest<C>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if let Some(pause) = &mut this.pause {
                ready!(pause.as_mut().poll(cx));
                this.pause = None;
            }
            match ready!(Pin::new(&mut this.connections).poll_next(cx)) {
                None => return Poll::Ready(None),
                Some(Err(error)) => {
                    // It may be for want of descriptors, and one that is idle has some.
                    this.gate.places.oust_any();
                    this.pause = Some(Box::pin(this.accept.failed(this.gate.listener, &error)));
                }
                Some(Ok(connection)) => {
                    this.accept.succeeded();
                    if let Some(guest) = this.gate.enter(connection) {
                        return Poll::Ready(Some(Ok(guest)));
                    }
                }
            }
        }
    }
}

impl Incoming for TcpStream {
    /// Of a request over HTTP/1.
    const GREETING_BYTES: usize = 1;

    fn user(&self) -> User {
        self.peer_addr().map_or(User::Anonymous, |address| User::Address(network(address.ip())))
    }
}

/// Addresses that one peer can have count as one: those of this host, and of an IPv6 network.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        address if address.is_loopback() => Ipv6Addr::LOCALHOST.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        address => address,
    }
}

impl<C> Guest<C> {
    /// Fails once the connection has given way to another one.
    fn check_place(&self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.seat.place.poll_ousted(cx) {
            Poll::Ready(()) => Err(io::Error::new(
                io::ErrorKind::ConnectionAborted,
                "it was idle, and its user has as many connections as it may have",
            )),
            Poll::Pending => Ok(()),
        }
    }

    /// The result of a write, unless the peer has taken nothing for too long.
    fn written<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.blocked = None;
            return written;
        }
        let blocked = self.blocked.get_or_insert_with(|| Box::pin(tokio::time::sleep(self.stall)));
        ready!(blocked.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<C: Connected<ConnectInfo = Peer>> Connected for Guest<C> {
    type ConnectInfo = Origin;

    fn connect_info(&self) -> Origin {
        Origin { peer: self.connection.connect_info(), seat: self.seat.clone() }
    }
}

impl<C: AsyncRead + Unpin> AsyncRead for Guest<C> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.check_place(cx)?;
        let before = buf.filled().len();
        let read = Pin::new(&mut this.connection).poll_read(cx, buf);
        if let Some((missing, until)) = &mut this.greeting {
            *missing = missing.saturating_sub(buf.filled().len() - before);
            if *missing == 0 {
                this.greeting = None;
            } else if read.is_pending() {
                ready!(until.as_mut().poll(cx));
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        }
        read
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Guest<C> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.check_place(cx)?;
        let written = Pin::new(&mut self.connection).poll_write(cx, buf);
        self.written(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check_place(cx)?;
        let written = Pin::new(&mut self.connection).poll_write_vectored(cx, bufs);
        self.written(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.connection.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.connection).poll_flush(cx);
        self.written(cx, flushed)
    }

    /// Closes this side, then takes what the peer still sends until it closes its own, or for the time of a stall.
    ///
    /// A peer that is not through with the last answer would otherwise write into a closed connection (an update of a
    /// window is enough), and lose the rest of the answer to that error.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.lingering.is_none() {
            ready!(Pin::new(&mut this.connection).poll_shutdown(cx))?;
        }
        let until = this.lingering.get_or_insert_with(|| Box::pin(tokio::time::sleep(this.stall)));
        let mut scratch = [0; 1 << 10];
        while until.as_mut().poll(cx).is_pending() && this.seat.place.poll_ousted(cx).is_pending() {
            let mut unread = ReadBuf::new(&mut scratch);
            let read = ready!(Pin::new(&mut this.connection).poll_read(cx, &mut unread));
            if read.is_err() || unread.filled().is_empty() {
                break;
            }
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests;
