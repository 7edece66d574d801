//! Streams of messages: made beside the connection, in memory that users share, and ended when their client takes
//! nothing.

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use prost::Message;
use tokio::sync::mpsc;
use tonic::Response;

use super::pace::{OnTheWay, Taker};
use super::{Answers, Service};
use crate::error::AgentError;
use crate::places::{Places, Room};
use crate::region::HEAP_PER_METADATA;
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

/// The resources that streams share, and answers that are large.
pub(super) struct Streams {
    places: Arc<Places>,
    /// Places of sessions: one whose client takes no large answer gives way too.
    sessions: Arc<Places>,
    memory: Arc<Shares>,
    /// Memory of answers that are made whole: a user who takes none of them gets listings and rows all the same.
    answers: Arc<Shares>,
    /// Memory of what is read while a stream goes on.
    metadata: Arc<Shares>,
    /// As many chunks are made at a time: a few may be longer than was expected.
    makers: Arc<Shares>,
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

/// Memory for the metadata of a file that is open, and for the dictionaries that are kept of it.
pub(super) struct Metadata(Share);

impl Metadata {
    /// Its file, or the next one in its place, has a footer of so many bytes, and so many bytes of dictionaries are kept.
    ///
    /// # Errors
    /// [`AgentError::ManyOpen`] if its user has other streams, and as much as one user may have.
    pub(super) fn holds(&mut self, (footer, dictionaries): (u64, u64)) -> Result<(), AgentError> {
        let (has, needs) =
            (self.0.amount(), HEAP_PER_METADATA.saturating_mul(footer).saturating_add(dictionaries));
        if needs > has && !self.0.try_grow(needs - has) {
            if !self.0.is_all() {
                return Err(AgentError::ManyOpen { needs, has: self.0.taken() });
            }
            self.0.resize(needs);
        }
        Ok(())
    }
}

impl Streams {
    /// With so much memory for messages that are on their way to clients, and as much each for other answers and for the
    /// metadata of open files.
    pub(super) fn new(memory: u64) -> Self {
        let makers = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
        Self {
            places: Places::new(PATIENCE),
            sessions: Places::new(PATIENCE),
            memory: Shares::new(memory),
            answers: Shares::new(memory),
            metadata: Shares::new(memory),
            makers: Shares::new(2 * makers),
        }
    }

    /// The places of sessions.
    pub(super) fn sessions(&self) -> &Arc<Places> {
        &self.sessions
    }

    /// Bytes of data in the next message to `user`, about.
    pub(super) fn message_bytes(&self, user: &User) -> u64 {
        if self.memory.is_ample(user) { MESSAGE } else { SHORT_MESSAGE }
    }

    /// Memory for a stream's next chunk. One that has something on the way reads ahead only where there is plenty.
    async fn next_memory(&self, user: &User, way: &OnTheWay, first: bool) -> Share {
        if !first && !self.memory.is_ample(user) {
            way.hungry().await;
        }
        let expected = self.message_bytes(user);
        match self.memory.try_take(user, expected) {
            Some(share) => share,
            None => self.wait(user, &self.memory, self.memory.take_before(user, expected)).await,
        }
    }

    /// Memory for an answer of so many bytes, when there is some.
    pub(super) async fn memory(&self, user: &User, bytes: u64) -> Share {
        self.wait(user, &self.answers, self.answers.take_before(user, bytes)).await
    }

    /// Memory for the metadata of a file with a footer of so many bytes, when there is some. Streams wait for memory of
    /// messages while they have this: so they are apart.
    pub(super) async fn metadata(&self, user: &User, footer: u64) -> Metadata {
        let share =
            self.wait(user, &self.metadata, self.metadata.take(user, HEAP_PER_METADATA * footer)).await;
        Metadata(share)
    }

    /// Waits for `taken` of `shares`. Meanwhile what is not taken by its client gives way.
    async fn wait(&self, user: &User, shares: &Shares, taken: impl Future<Output = Share>) -> Share {
        let mut taken = pin!(taken);
        loop {
            match tokio::time::timeout(LOOK, &mut taken).await {
                Ok(share) => return share,
                Err(_) if self.oust_of(user) => {}
                // Where others have everything, one of theirs gives way.
                Err(_) => {
                    if let Some(largest) = shares.largest() {
                        self.oust_of(&largest);
                    }
                }
            }
        }
    }

    fn oust_of(&self, user: &User) -> bool {
        self.places.oust_of(user) || self.sessions.oust_of(user)
    }

    /// Makes the next chunk of a stream, where it may take a while and when it is this user's turn.
    async fn make<T: Message + 'static>(
        &self,
        user: &User,
        way: &OnTheWay,
        first: bool,
        messages: Messages<T>,
    ) -> Result<(Made<T>, Share), AgentError> {
        let (mut share, maker) = self.turn(user, way, first).await;
        let made =
            tokio::task::spawn_blocking(move || chunk(messages)).await.map_err(AgentError::Interrupted)?;
        share.resize(made.bytes);
        drop(maker);
        Ok((made, share))
    }

    /// Memory for a stream's next chunk, and leave to make it.
    async fn turn(&self, user: &User, way: &OnTheWay, first: bool) -> (Share, Share) {
        loop {
            let share = self.next_memory(user, way, first).await;
            let maker = self.makers.take(user, 1).await;
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
        self.pump_opened(user, async { Ok(messages) })
    }

    /// The same of messages that come once something is open, for which the stream may have to wait.
    pub(super) fn pump_opened<T: Message + 'static, M>(
        &self,
        user: User,
        open: impl Future<Output = Result<M, AgentError>> + Send + 'static,
    ) -> Result<Response<Answers<T>>, AgentError>
    where
        M: Iterator<Item = Result<T, AgentError>> + Send + 'static,
    {
        let (way, taker) = self.on_the_way(&user)?;
        let (sender, mut receiver) = mpsc::channel(WAITING);
        let stream = Stream { service: self.clone(), user, way: way.clone() };
        tokio::spawn(stream.drive(open, sender));
        let mut chunk: Option<Chunk<T>> = None;
        let answers: Answers<T> = Box::pin(futures::stream::poll_fn(move |context| {
            loop {
                if let Some(chunk) = &mut chunk {
                    if let Some(share) = chunk.share.take() {
                        way.encodes(share);
                    }
                    if let Some(message) = chunk.messages.next() {
                        return Poll::Ready(Some(Ok(message)));
                    }
                    if let Some(error) = chunk.error.take() {
                        return Poll::Ready(Some(Err(error.into())));
                    }
                }
                match receiver.poll_recv(context) {
                    Poll::Ready(Some(next)) => chunk = Some(next),
                    Poll::Ready(None) => return Poll::Ready(None),
                    Poll::Pending => return Poll::Pending,
                }
            }
        }));
        let mut response = Response::new(answers);
        response.extensions_mut().insert(taker);
        Ok(response)
    }

    /// The way of one more response of `user`'s.
    pub(super) fn on_the_way(&self, user: &User) -> Result<(Arc<OnTheWay>, Taker), AgentError> {
        let room = Room { total: self.limits.borrow().streams, reserve: 0 };
        let entered = self.streams.places.enter(user, room);
        let (place, _) =
            entered.map_err(|full| AgentError::ManyStreams { has: full.has, all: full.taken })?;
        Ok(OnTheWay::of_stream(place))
    }
}

/// The agent's end of a stream.
struct Stream {
    service: Service,
    user: User,
    way: Arc<OnTheWay>,
}

impl Stream {
    /// Makes chunks, and looks whether they are taken, until the client is gone.
    async fn drive<T: Message + 'static, M>(
        self,
        opened: impl Future<Output = Result<M, AgentError>>,
        sender: mpsc::Sender<Chunk<T>>,
    ) where
        M: Iterator<Item = Result<T, AgentError>> + Send + 'static,
    {
        let mut open = Some(Open::new(self.service.metrics.streams.clone()));
        let mut feed = pin!(async {
            match opened.await {
                Ok(messages) => self.feed(Box::new(messages), sender).await,
                Err(error) => Err(error),
            }
        });
        loop {
            let stall = self.service.limits.borrow().stall;
            tokio::select! {
                () = self.way.gone() => return,
                error = self.way.stuck(stall) => {
                    self.service.metrics.stalled.inc();
                    return self.way.cut(error);
                }
                fed = &mut feed, if open.is_some() => match fed {
                    Ok(()) => open = None,
                    // The client must not take what it has for everything.
                    Err(error) => return self.way.cut(error),
                },
            }
        }
    }

    /// Makes chunks one by one.
    async fn feed<T: Message + 'static>(
        &self,
        mut messages: Messages<T>,
        sender: mpsc::Sender<Chunk<T>>,
    ) -> Result<(), AgentError> {
        let mut first = true;
        loop {
            let made = self.service.streams.make(&self.user, &self.way, first, messages).await?;
            first = false;
            let (Made { rest, messages: made, error, bytes }, share) = made;
            self.service.metrics.streamed.inc_by(bytes);
            let ended = rest.is_none();
            let chunk = Chunk { messages: made.into_iter(), error, share: Some(share) };
            if sender.send(chunk).await.is_err() || ended {
                return Ok(());
            }
            messages = rest.unwrap_or_else(|| Box::new(std::iter::empty()));
        }
    }
}

/// The next messages of a stream.
struct Made<T> {
    /// Those after them, unless it ends with them.
    rest: Option<Messages<T>>,
    messages: Vec<T>,
    /// Its end.
    error: Option<AgentError>,
    /// Bytes that they have.
    bytes: u64,
}

fn chunk<T: Message>(mut messages: Messages<T>) -> Made<T> {
    let (mut made, mut bytes) = (Vec::new(), 0);
    let (rest, error) = loop {
        if bytes >= CHUNK {
            break (Some(messages), None);
        }
        match messages.next() {
            Some(Ok(message)) => {
                bytes += message.encoded_len();
                made.push(message);
            }
            Some(Err(error)) => break (None, Some(error)),
            None => break (None, None),
        }
    };
    Made { rest, messages: made, error, bytes: bytes as u64 }
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

#[cfg(test)]
mod tests;
