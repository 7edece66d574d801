//! The bodies of requests: a message that is not complete takes a share of memory, and has to go on.
//!
//! tonic gathers a message until it is whole. Its length is bounded, but not how many are begun: a client may begin one on
//! each stream of each connection, and complete none. As soon as tonic knows a message's length it takes memory for all
//! of it. So a message that spans several frames of HTTP/2 is charged to its user with its whole length until it is
//! whole; while there is no share for it nothing more is read, and the client's window closes. A request is charged
//! [`BEGUN`] bytes for itself until its first message is whole, and refused if there is no share for that. A message that
//! comes in one frame, as nearly all do, is charged nothing and waits for nobody.
//!
//! A message that was charged is charged until it is answered, or the next one is asked for: it is in memory as long.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Instant, Sleep};
use tonic::Status;
use tonic::body::Body;

use crate::error::AgentError;
use crate::shares::{Share, Shares};
use crate::user::User;

/// Bytes of messages that are not complete, of all requests together.
pub(super) const TOTAL: u64 = 64 << 20;

/// Bytes that a request takes before there is any message: tasks, buffers, and what HTTP/2 keeps of it.
const BEGUN: u64 = 64 << 10;

/// The time that a message may take from its first frame to its last.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// Bytes before each message: whether it is compressed, and how long it is.
const PREFIX: usize = 5;

type Waiting = Pin<Box<dyn Future<Output = Share> + Send>>;

/// A request's body that charges its user for messages that are not complete.
pub(super) struct Unfinished {
    body: Body,
    shares: Arc<Shares>,
    user: User,
    /// Bytes of the longest message: for one that is longer tonic takes no memory.
    longest: u64,
    /// The time that a message may take.
    patience: Duration,
    message: Message,
    /// True if nothing comes behind the first message: the request is complete at its end.
    one_message: bool,
    /// For the request, until its first message is whole, or the request if nothing else comes.
    begun: Option<Share>,
    /// For `message`.
    share: Option<Share>,
    /// For the message before it, which is worked at.
    read: Arc<Read>,
    /// A frame that waits for a share of so many bytes.
    held: Option<(Frame<Bytes>, Waiting)>,
    /// The time by which `message` is to be complete.
    deadline: Pin<Box<Sleep>>,
}

/// The share of the last message that was read.
#[derive(Default)]
pub(super) struct Read(Mutex<Option<Share>>);

impl Read {
    /// Gives it back, as the message was answered.
    pub(super) fn answered(&self) {
        self.replace(None);
    }

    fn replace(&self, share: Option<Share>) {
        let before = std::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), share);
        drop(before);
    }
}

/// The place in a sequence of messages.
#[derive(Debug, Default)]
struct Message {
    prefix: [u8; PREFIX],
    /// Bytes of the message that came, its prefix included; 0 between two messages.
    came: u64,
}

impl Unfinished {
    /// # Errors
    /// The user has begun as many requests as it has a share for.
    pub(super) fn new(
        body: Body,
        shares: Arc<Shares>,
        user: User,
        longest: usize,
        patience: Duration,
    ) -> Result<Self, AgentError> {
        let Some(begun) = shares.try_take(&user, BEGUN) else {
            let has = usize::try_from(shares.has(&user) / BEGUN).unwrap_or(usize::MAX);
            return Err(AgentError::ManyOf { what: "requests that are not complete", has });
        };
        let deadline = Box::pin(tokio::time::sleep(patience));
        let (longest, message, begun) = (longest as u64, Message::default(), Some(begun));
        Ok(Self {
            body,
            shares,
            user,
            longest,
            patience,
            message,
            one_message: false,
            begun,
            share: None,
            read: Arc::default(),
            held: None,
            deadline,
        })
    }

    /// Until its end: who sends its message, and does not end the request, has not completed it.
    pub(super) fn of_one_message(self) -> Self {
        Self { one_message: true, ..self }
    }

    /// The share of the message that is worked at, for whoever knows when it is answered.
    pub(super) fn read(&self) -> Arc<Read> {
        self.read.clone()
    }

    /// A share for the message, or the wait for one.
    fn charge(&mut self) -> Option<Waiting> {
        let takes = self.message.takes(self.longest);
        let has = self.share.as_ref().map_or(0, Share::amount);
        if takes <= has {
            // A new message, or none.
            match &mut self.share {
                Some(share) if takes > 0 => share.resize(takes),
                share => self.read.replace(share.take()),
            }
            return None;
        }
        match self.shares.try_take(&self.user, takes - has) {
            Some(more) => {
                self.add(more);
                None
            }
            None => {
                let (shares, user) = (self.shares.clone(), self.user.clone());
                Some(Box::pin(async move { shares.take(&user, takes - has).await }))
            }
        }
    }

    fn add(&mut self, more: Share) {
        match &mut self.share {
            Some(share) => share.merge(more),
            none => *none = Some(more),
        }
    }

    fn too_late(&self) -> AgentError {
        AgentError::Incomplete { came: self.message.came, limit: self.patience }
    }
}

impl HttpBody for Unfinished {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        if this.message.came == 0 && !this.one_message {
            this.read.answered();
        }
        if (this.begun.is_some() || this.message.came > 0) && this.deadline.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(Some(Err(this.too_late().into())));
        }
        if this.held.is_none() {
            let frame = match ready!(Pin::new(&mut this.body).poll_frame(context)) {
                Some(Ok(frame)) => frame,
                end => return Poll::Ready(end),
            };
            let between = this.begun.is_none() && this.message.came == 0;
            if this.message.advance(frame.data_ref().map_or(&[], Bytes::as_ref)) && !this.one_message {
                this.begun = None;
            }
            if between && this.message.came > 0 {
                this.deadline.as_mut().reset(Instant::now() + this.patience);
                // It wakes this task also while nothing comes.
                let _ = this.deadline.as_mut().poll(context);
            }
            match this.charge() {
                None => return Poll::Ready(Some(Ok(frame))),
                Some(waiting) => this.held = Some((frame, waiting)),
            }
        }
        let Some((_, waiting)) = &mut this.held else { return Poll::Pending };
        let more = ready!(waiting.as_mut().poll(context));
        this.add(more);
        Poll::Ready(this.held.take().map(|(frame, _)| Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.held.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

impl Message {
    /// Goes on by so many bytes, over any number of messages. True if one of them ends there.
    fn advance(&mut self, mut bytes: &[u8]) -> bool {
        let mut ends = false;
        while let Some((first, rest)) = bytes.split_first() {
            match usize::try_from(self.came) {
                Ok(at) if at < PREFIX => {
                    self.prefix[at] = *first;
                    self.came += 1;
                    bytes = rest;
                }
                _ => {
                    let part = bytes.len().min(usize::try_from(self.missing()).unwrap_or(usize::MAX));
                    self.came += part as u64;
                    bytes = &bytes[part..];
                }
            }
            if self.came >= PREFIX as u64 && self.missing() == 0 {
                self.came = 0;
                ends = true;
            }
        }
        ends
    }

    /// Bytes of memory that are taken for what has begun.
    fn takes(&self, longest: u64) -> u64 {
        let whole = self.came + self.missing();
        if self.came >= PREFIX as u64 && whole <= longest + PREFIX as u64 { whole } else { self.came }
    }

    /// Bytes of a message, whose prefix came, that have not come.
    fn missing(&self) -> u64 {
        let [_, len @ ..] = self.prefix;
        (u64::from(u32::from_be_bytes(len)) + PREFIX as u64).saturating_sub(self.came)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::future::poll_fn;

    use futures::FutureExt as _;

    use super::*;

    fn message(len: u32) -> Vec<u8> {
        let mut bytes = vec![0];
        bytes.extend(len.to_be_bytes());
        bytes.resize(PREFIX + len as usize, 7);
        bytes
    }

    #[test]
    fn messages_are_followed_wherever_frames_end() {
        let bytes: Vec<u8> = [0, 1, 300, 0, 7].into_iter().flat_map(message).collect();
        let mut ends = Vec::new();
        let mut whole = Message::default();
        for (index, byte) in bytes.iter().enumerate() {
            whole.advance(&[*byte]);
            if whole.came == 0 {
                ends.push(index + 1);
            }
        }
        assert_eq!(ends, [5, 11, 316, 321, 333]);
        for cut in 0..=bytes.len() {
            let mut parts = Message::default();
            parts.advance(&bytes[..cut]);
            let begun = ends.iter().rev().find(|end| **end <= cut).unwrap_or(&0);
            assert_eq!(parts.came, (cut - begun) as u64, "{cut}");
            parts.advance(&bytes[cut..]);
            assert_eq!(parts.came, 0, "{cut}");
        }
    }

    /// Frames that came, and no end.
    struct Frames(VecDeque<Vec<u8>>);

    impl HttpBody for Frames {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
            self.0.pop_front().map_or(Poll::Pending, |frame| Poll::Ready(Some(Ok(Frame::data(frame.into())))))
        }
    }

    fn begin(
        frames: impl IntoIterator<Item = Vec<u8>>,
        shares: &Arc<Shares>,
        user: User,
    ) -> Result<Unfinished, AgentError> {
        let frames = Body::new(Frames(frames.into_iter().collect()));
        Unfinished::new(frames, shares.clone(), user, 1 << 20, Duration::from_millis(20))
    }

    async fn next(body: &mut Unfinished) -> Result<usize, Status> {
        let frame = poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await;
        Ok(frame.expect("it does not end")?.into_data().expect("data").len())
    }

    #[tokio::test]
    async fn what_is_begun_takes_a_bounded_memory_and_whole_requests_pass() {
        let shares = Shares::new(8 << 20);
        let user = || User::Unix(7);
        let half = message(1 << 20)[..PREFIX + 10].to_vec();
        let mut all: Vec<_> = (0..100).map_while(|_| begin([half.clone()], &shares, user()).ok()).collect();
        assert_eq!(all.len(), 64, "requests of 64 KiB, in a half of 8 MiB");
        let refused = begin([], &shares, user()).err().unwrap().to_string();
        assert!(refused.starts_with("64 requests that are not complete are this user's"), "{refused}");

        all.truncate(10);
        let mut whole = begin([message(1000)], &shares, user()).unwrap();
        let read = all.iter_mut().filter_map(|body| next(body).now_or_never()).count();
        assert_eq!(read, 3, "MiB, however little came of them, in what eleven requests leave");

        // One of its own that comes in one frame, and one of somebody else in two.
        assert_eq!(next(&mut whole).now_or_never().unwrap().unwrap(), 1005);
        let parts = message(1 << 20);
        let (first, second) = parts.split_at(9000);
        let mut other = begin([first.to_vec(), second.to_vec()], &shares, User::Unix(8)).unwrap();
        for part in [first, second] {
            assert_eq!(next(&mut other).now_or_never().unwrap().unwrap(), part.len());
        }

        // Where nothing comes behind a message, the end is missing; elsewhere the next one may take its time.
        drop(whole);
        let mut open = begin([message(1000)], &shares, User::Unix(9)).unwrap();
        let one = begin([message(1000)], &shares, User::Unix(10)).unwrap();
        let mut one = one.of_one_message();
        for body in [&mut open, &mut one] {
            assert_eq!(next(body).now_or_never().unwrap().unwrap(), 1005);
        }
        assert_eq!((shares.has(&User::Unix(9)), shares.has(&User::Unix(10))), (0, BEGUN));
        all.push(one);

        // A message of several frames counts until the next one is asked for, or until it is answered.
        for answered in [false, true] {
            let whole = message(1 << 20);
            let (first, second) = whole.split_at(1 << 19);
            let mut body = begin([first.to_vec(), second.to_vec()], &shares, User::Unix(11)).unwrap();
            let read = body.read();
            next(&mut body).now_or_never().unwrap().unwrap();
            next(&mut body).now_or_never().unwrap().unwrap();
            assert_eq!(shares.has(&User::Unix(11)), whole.len() as u64);
            if answered {
                read.answered();
            } else {
                assert!(next(&mut body).now_or_never().is_none());
            }
            assert_eq!(shares.has(&User::Unix(11)), 0, "{answered}");
        }

        // Nothing comes any more: each ends, whether it waits for bytes or for a share, or has said nothing.
        all.push(begin([], &shares, User::Unix(9)).unwrap());
        for body in &mut all {
            let ended = loop {
                if let Err(ended) = next(body).await {
                    break ended;
                }
            };
            assert_eq!(ended.code(), tonic::Code::Aborted, "{ended}");
        }
        drop(all);
        assert!(shares.try_take(&user(), 4 << 20).is_some(), "all of it is back");
    }
}
