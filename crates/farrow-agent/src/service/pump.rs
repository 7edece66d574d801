//! Streams of rows: read and encoded beside the connection, and ended when their client takes nothing.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Poll;

use arrow_flight::FlightData;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tonic::Status;

use super::{Answers, Service};
use crate::error::AgentError;
use crate::metrics::Metrics;

/// Messages of one stream that wait for its client: with them the client and the agent work at the same time.
const WAITING: usize = 2;

type Message = Result<FlightData, Status>;

impl Service {
    /// `messages` up to the first error, as their client takes them. The iterator runs where it may block, and is
    /// dropped, with what it holds, as soon as it has ended, the client is gone, or the client has taken nothing for
    /// the time of `limits.stall`.
    pub(super) fn pump(
        &self,
        messages: impl Iterator<Item = Result<FlightData, AgentError>> + Send + 'static,
    ) -> Answers<FlightData> {
        let (sender, receiver) = mpsc::channel(WAITING);
        let queue = Arc::new(Queue { messages: Mutex::new(receiver), last: Mutex::default() });
        tokio::spawn(drive(self.clone(), Box::new(messages), sender, Arc::downgrade(&queue)));
        Box::pin(futures::stream::poll_fn(move |context| match queue.messages().poll_recv(context) {
            Poll::Ready(None) => {
                Poll::Ready(queue.last.lock().unwrap_or_else(PoisonError::into_inner).take().map(Err))
            }
            polled => polled,
        }))
    }
}

/// Between the task that encodes and the connection that sends.
struct Queue {
    messages: Mutex<Receiver<Message>>,
    /// What the client is told after the messages.
    last: Mutex<Option<Status>>,
}

impl Queue {
    fn messages(&self) -> MutexGuard<'_, Receiver<Message>> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends the stream before its end. What waits in it is dropped.
fn cut(queue: &Weak<Queue>, why: AgentError) {
    let Some(queue) = queue.upgrade() else { return };
    *queue.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(why.into());
    let mut messages = queue.messages();
    messages.close();
    while messages.try_recv().is_ok() {}
}

/// Messages to come, and a place to encode them.
type Encoded = Box<dyn Iterator<Item = Result<FlightData, AgentError>> + Send>;

/// The queue is its client's alone: with the client it goes away, and the sender is told.
async fn drive(service: Service, mut messages: Encoded, sender: Sender<Message>, queue: Weak<Queue>) {
    let _open = Open::new(service.metrics.streams.clone());
    loop {
        let (metrics, filled) = (service.metrics.clone(), sender.clone());
        let fill = tokio::task::spawn_blocking(move || fill(messages, &filled, &metrics));
        let next = match fill.await {
            Ok(None) => return,
            Ok(Some((rest, next))) => {
                messages = rest;
                next
            }
            // The client must not take what it has for everything.
            Err(error) => return cut(&queue, AgentError::Interrupted(error)),
        };
        let limit = service.limits.borrow().stall;
        match tokio::time::timeout(limit, sender.reserve()).await {
            Ok(Ok(place)) => place.send(next),
            // The client is gone.
            Ok(Err(_)) => return,
            Err(_) => {
                service.metrics.stalled.inc();
                return cut(&queue, AgentError::Stalled { limit });
            }
        }
    }
}

/// Encodes until there is no room, and returns what is left, and the message that found none.
fn fill(mut messages: Encoded, sender: &Sender<Message>, metrics: &Metrics) -> Option<(Encoded, Message)> {
    while let Some(message) = messages.next() {
        let last = message.is_err();
        if let Ok(FlightData { data_header, data_body, .. }) = &message {
            metrics.streamed.inc_by((data_header.len() + data_body.len()) as u64);
        }
        match sender.try_send(message.map_err(Status::from)) {
            Ok(()) if last => return None,
            Ok(()) => {}
            Err(TrySendError::Full(message)) => {
                let rest = if last { Box::new(std::iter::empty()) } else { messages };
                return Some((rest, message));
            }
            Err(TrySendError::Closed(_)) => return None,
        }
    }
    None
}

/// Counts a stream while it is open.
struct Open(Gauge);

impl Open {
    fn new(gauge: Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}
