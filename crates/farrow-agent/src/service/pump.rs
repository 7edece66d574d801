//! Streams of messages: made beside the connection, in memory that users share, and ended when their client takes
//! nothing.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Poll;
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use prost::Message;
use tokio::sync::{Semaphore, SemaphorePermit, mpsc, oneshot};
use tonic::Response;

use super::pace::OnTheWay;
use super::{Answers, Service};
use crate::error::AgentError;
use crate::places::{Places, Room};
use crate::shares::{Share, Shares};
use crate::user::User;

/// Chunks of one stream that wait for its client: with one the client and the agent work at the same time.
const WAITING: usize = 1;

/// Bytes of a chunk, beyond which no further message is put into it.
const CHUNK: usize = 32 << 10;

/// Bytes of a message of rows, about. Larger messages are slower (measured: 64 MiB a third of 1 MiB) and go over the
/// limit of 4 MiB that clients in other languages set themselves.
const MESSAGE: u64 = 1 << 20;

/// The same for a user with many streams that are not read: a thousand of them get along with what a few large messages
/// take.
const SHORT_MESSAGE: u64 = 64 << 10;

/// The time that a client may take nothing while others of its user wait for the memory that its stream has.
const PATIENCE: Duration = Duration::from_secs(30);

/// The interval at which one that waits for memory looks whether another can give way.
const LOOK: Duration = Duration::from_secs(1);

/// The resources that streams share.
pub(super) struct Streams {
    places: Arc<Places>,
    memory: Arc<Shares>,
    /// As many chunks are made at a time: a few may be longer than was expected.
    makers: Semaphore,
}

/// Messages that are made where it may take a while.
type Messages<T> = Box<dyn Iterator<Item = Result<T, AgentError>> + Send>;

/// Some messages, or one that is long.
struct Chunk<T> {
    messages: std::vec::IntoIter<T>,
    /// The stream's end.
    error: Option<AgentError>,
    /// Given to the encoder with the first message.
    share: Option<Share>,
}

/// Those that wait, and the one whose messages are being taken.
type Chunks<T> = (mpsc::Receiver<Chunk<T>>, Option<Chunk<T>>);

/// Between the task that makes chunks and the connection that takes messages.
struct Queue<T> {
    chunks: Mutex<Chunks<T>>,
    /// Dropped with the queue.
    _alive: oneshot::Sender<()>,
}

impl Streams {
    /// With so much memory for what is on its way to clients.
    pub(super) fn new(memory: u64) -> Self {
        let makers = std::thread::available_parallelism().map_or(1, usize::from);
        Self { places: Places::new(PATIENCE), memory: Shares::new(memory), makers: Semaphore::new(makers) }
    }

    /// Bytes of data in the next message to `user`, about.
    pub(super) fn message_bytes(&self, user: &User) -> u64 {
        if self.memory.is_ample(user) { MESSAGE } else { SHORT_MESSAGE }
    }

    /// Memory for a stream's next chunk. One that has something on the way reads ahead only where there is plenty.
    async fn memory(&self, user: &User, way: &OnTheWay, first: bool) -> Share {
        if !first && !self.memory.is_ample(user) {
            way.hungry().await;
        }
        let expected = self.message_bytes(user);
        if let Some(share) = self.memory.try_take(user, expected) {
            return share;
        }
        let mut taken = pin!(self.memory.take_before(user, expected));
        loop {
            match tokio::time::timeout(LOOK, &mut taken).await {
                Ok(share) => return share,
                // Where others have everything, one of theirs gives way.
                Err(_) if self.places.oust_of(user) => {}
                Err(_) => {
                    if let Some(largest) = self.memory.largest() {
                        self.places.oust_of(&largest);
                    }
                }
            }
        }
    }

    /// The same, and leave to use it.
    async fn turn(&self, user: &User, way: &OnTheWay, first: bool) -> (Share, Option<SemaphorePermit<'_>>) {
        loop {
            let share = self.memory(user, way, first).await;
            // Nobody closes it.
            let maker = self.makers.acquire().await.ok();
            // Meanwhile a message of another stream may have come to be larger than all of this user's part.
            if !self.memory.is_overdrawn(user) {
                return (share, maker);
            }
        }
    }
}

impl Service {
    /// Bytes of data in a message of rows to `user`, about, each time that it is asked.
    pub(super) fn message_bytes(&self, user: User) -> Box<dyn Fn() -> u64 + Send> {
        let streams = self.streams.clone();
        Box::new(move || streams.message_bytes(&user))
    }

    /// `messages` up to the first error, as their client takes them, in memory that counts for `user`. The iterator
    /// runs where it may block, and is dropped, with what it holds, as soon as it has ended, the client is gone, or
    /// the client has taken nothing for the time of `limits.stall`.
    pub(super) fn pump<T: Message + 'static>(
        &self,
        user: User,
        messages: impl Iterator<Item = Result<T, AgentError>> + Send + 'static,
    ) -> Result<Response<Answers<T>>, AgentError> {
        let room = Room { total: self.limits.borrow().streams, reserve: 0 };
        let entered = self.streams.places.enter(&user, room);
        let (place, _) =
            entered.map_err(|full| AgentError::ManyStreams { has: full.has, all: full.taken })?;
        let way = Arc::new(OnTheWay::new(place));
        let (sender, receiver) = mpsc::channel(WAITING);
        let (alive, gone) = oneshot::channel();
        let queue = Arc::new(Queue { chunks: Mutex::new((receiver, None)), _alive: alive });
        let stream = Stream { service: self.clone(), user, way: way.clone(), queue: Arc::downgrade(&queue) };
        tokio::spawn(stream.drive(Box::new(messages), sender, gone));
        let given = way.clone();
        let answers: Answers<T> = Box::pin(futures::stream::poll_fn(move |context| {
            let mut chunks = queue.chunks();
            loop {
                let (receiver, chunk) = &mut *chunks;
                if let Some(chunk) = chunk {
                    if let Some(share) = chunk.share.take() {
                        given.encodes(share);
                    }
                    if let Some(message) = chunk.messages.next() {
                        return Poll::Ready(Some(Ok(message)));
                    }
                    if let Some(error) = chunk.error.take() {
                        return Poll::Ready(Some(Err(error.into())));
                    }
                }
                match receiver.poll_recv(context) {
                    Poll::Ready(Some(next)) => *chunk = Some(next),
                    Poll::Ready(None) => return Poll::Ready(None),
                    Poll::Pending => return Poll::Pending,
                }
            }
        }));
        let mut response = Response::new(answers);
        response.extensions_mut().insert(way);
        Ok(response)
    }
}

/// The agent's end of a stream.
struct Stream<T> {
    service: Service,
    user: User,
    way: Arc<OnTheWay>,
    /// Its client's alone: with the client it goes away.
    queue: Weak<Queue<T>>,
}

impl<T: Message + 'static> Stream<T> {
    /// Makes chunks, and looks whether they are taken, until the client is gone.
    async fn drive(
        self,
        messages: Messages<T>,
        sender: mpsc::Sender<Chunk<T>>,
        mut gone: oneshot::Receiver<()>,
    ) {
        let mut open = Some(Open::new(self.service.metrics.streams.clone()));
        let mut feed = pin!(self.feed(messages, sender));
        loop {
            let stall = self.service.limits.borrow().stall;
            tokio::select! {
                _ = &mut gone => return,
                error = self.way.stuck(stall) => {
                    self.service.metrics.stalled.inc();
                    return self.cut(error);
                }
                fed = &mut feed, if open.is_some() => match fed {
                    Ok(()) => open = None,
                    // The client must not take what it has for everything.
                    Err(error) => return self.cut(error),
                },
            }
        }
    }

    /// Makes chunks one by one.
    async fn feed(
        &self,
        mut messages: Messages<T>,
        sender: mpsc::Sender<Chunk<T>>,
    ) -> Result<(), AgentError> {
        let mut first = true;
        loop {
            let (mut share, maker) = self.service.streams.turn(&self.user, &self.way, first).await;
            first = false;
            let made = tokio::task::spawn_blocking(move || chunk(messages));
            let (rest, made, error, bytes) = made.await.map_err(AgentError::Interrupted)?;
            self.service.metrics.streamed.inc_by(bytes);
            share.resize(bytes);
            drop(maker);
            let ended = rest.is_none();
            let chunk = Chunk { messages: made.into_iter(), error, share: Some(share) };
            if sender.send(chunk).await.is_err() || ended {
                return Ok(());
            }
            messages = rest.unwrap_or_else(|| Box::new(std::iter::empty()));
        }
    }

    /// Ends the stream before its end. What waits in it is dropped.
    fn cut(&self, why: AgentError) {
        // First of all: a queue that is closed must not look like one that has ended.
        self.way.cut(why);
        if let Some(queue) = self.queue.upgrade() {
            let mut chunks = queue.chunks();
            let (receiver, chunk) = &mut *chunks;
            receiver.close();
            let mut waiting = vec![chunk.take()];
            while let Ok(chunk) = receiver.try_recv() {
                waiting.push(Some(chunk));
            }
            drop(chunks);
            drop(waiting);
        }
    }
}

/// The next messages, and the rest, if there is one: how many bytes they have, and the error that ends them.
type Made<T> = (Option<Messages<T>>, Vec<T>, Option<AgentError>, u64);

fn chunk<T: Message>(mut messages: Messages<T>) -> Made<T> {
    let (mut made, mut bytes) = (Vec::new(), 0);
    while bytes < CHUNK {
        match messages.next() {
            Some(Ok(message)) => {
                bytes += message.encoded_len();
                made.push(message);
            }
            Some(Err(error)) => return (None, made, Some(error), bytes as u64),
            None => return (None, made, None, bytes as u64),
        }
    }
    (Some(messages), made, None, bytes as u64)
}

impl<T> Queue<T> {
    fn chunks(&self) -> MutexGuard<'_, Chunks<T>> {
        self.chunks.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
