//! Which connections are let in: no more than the limit says, over all listeners.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use futures::Stream;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;
use tokio::time::Sleep;
use tonic::transport::server::Connected;

use crate::limits::Limits;
use crate::metrics::Metrics;

/// How often the log says that connections are refused.
const TELL: Duration = Duration::from_secs(10);

/// How long to wait after the system refused to accept: for want of descriptors it would refuse again at once.
const PAUSE: Duration = Duration::from_millis(100);

/// Counts the connections of all listeners.
pub(crate) struct Gate {
    limits: watch::Receiver<Limits>,
    open: AtomicUsize,
    refused: AtomicU64,
    begun: Instant,
    /// Milliseconds from `begun` to when the log may say it again.
    tell_at: AtomicU64,
}

/// The connections of one listener that are let in.
pub(crate) struct Admitted<S> {
    connections: S,
    gate: Arc<Gate>,
    listener: &'static str,
    open: Gauge,
    refused: Counter,
    pause: Option<Pin<Box<Sleep>>>,
}

/// A connection that was let in.
pub(crate) struct Guest<C> {
    connection: C,
    _place: Place,
}

/// One of the places behind the gate, given back when dropped.
struct Place {
    gate: Arc<Gate>,
    open: Gauge,
}

impl Gate {
    /// Lets in as many as `limits` says at the time.
    pub(crate) fn new(limits: watch::Receiver<Limits>) -> Arc<Self> {
        let (open, refused, tell_at) = (AtomicUsize::new(0), AtomicU64::new(0), AtomicU64::new(0));
        Arc::new(Self { limits, open, refused, begun: Instant::now(), tell_at })
    }

    /// Those of `connections` that there is room for; all others are closed. `listener` names it in metrics.
    pub(crate) fn admit<S>(
        self: &Arc<Self>,
        connections: S,
        listener: &'static str,
        metrics: &Metrics,
    ) -> Admitted<S> {
        let (open, refused) = (metrics.connections(listener), metrics.refused(listener));
        Admitted { connections, gate: self.clone(), listener, open, refused, pause: None }
    }

    fn enter(self: &Arc<Self>, open: &Gauge) -> Option<Place> {
        let limit = self.limits.borrow().connections;
        let entered = self
            .open
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |open| (open < limit).then_some(open + 1));
        entered.ok()?;
        open.inc();
        Some(Place { gate: self.clone(), open: open.clone() })
    }

    fn refuse(&self, listener: &'static str) {
        let refused = self.refused.fetch_add(1, Ordering::Relaxed) + 1;
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let now = millis(self.begun.elapsed());
        let due = self.tell_at.fetch_update(Ordering::AcqRel, Ordering::Acquire, |at| {
            (now >= at).then(|| now.saturating_add(millis(TELL)))
        });
        if due.is_ok() {
            let limit = self.limits.borrow().connections;
            tracing::warn!(listener, limit, refused, "connections are refused: as many are open as may be");
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.gate.open.fetch_sub(1, Ordering::AcqRel);
        self.open.dec();
    }
}

impl<S, C> Stream for Admitted<S>
where
    S: Stream<Item = std::io::Result<C>> + Unpin,
{
    type Item = std::io::Result<Guest<C>>;

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
                    tracing::warn!(listener = this.listener, %error, "a connection could not be accepted");
                    this.pause = Some(Box::pin(tokio::time::sleep(PAUSE)));
                }
                Some(Ok(connection)) => match this.gate.enter(&this.open) {
                    Some(place) => return Poll::Ready(Some(Ok(Guest { connection, _place: place }))),
                    None => {
                        this.refused.inc();
                        this.gate.refuse(this.listener);
                    }
                },
            }
        }
    }
}

impl<C: Connected> Connected for Guest<C> {
    type ConnectInfo = C::ConnectInfo;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.connection.connect_info()
    }
}

impl<C: AsyncRead + Unpin> AsyncRead for Guest<C> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.connection).poll_read(cx, buf)
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for Guest<C> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.connection).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.connection).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.connection.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.connection).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.connection).poll_shutdown(cx)
    }
}
