//! Being told what is committed.

use std::time::Duration;

use arrow_flight::FlightData;
use farrow_proto::v1;
use farrow_proto::v1::session_answer::Answer;
use farrow_proto::v1::session_request::Request;
use farrow_proto::v1::watch::{From, What};
use tonic::Streaming;

use crate::Reason;
use crate::client::Client;
use crate::connection::Connection;
use crate::error::ClientError;
use crate::frame::Frame;
use crate::info::Info;
use crate::of_process::OfProcess;
use crate::selection::Selection;
use crate::session::{self, Sender};

/// The time that an agent that was stopped may take to come back before a watch gives up.
const AWAY: Duration = Duration::from_secs(10);

/// Between two attempts to connect to it.
const PAUSE: Duration = Duration::from_millis(50);

/// An event of a frame that is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// This version was committed. Who is slow is not told of those before the latest.
    Committed(Info),
    /// The latest version was dropped.
    Dropped {
        /// The frame's name.
        name: String,
        /// The version that is the latest now; `None`: there is no frame of the name.
        latest: Option<u64>,
    },
    /// Frames may have been dropped without this watch being told: it was slow, or the agent was restarted. What was
    /// committed is told all the same.
    DropsMissed,
}

/// Frames that are watched: see [`Client::watch`].
#[derive(Debug)]
pub struct Watch {
    /// To the agent that is asked, by this client; a watch has one like it.
    origin: Connection,
    what: What,
    from: Option<From>,
    stream: Option<Stream>,
}

/// A session that has but one watch, on a connection of its own: a slow watcher holds up nobody else.
#[derive(Debug)]
struct Stream {
    connection: Connection,
    answers: OfProcess<Streaming<FlightData>>,
    // The stream ends with it.
    _sender: Sender,
}

impl Watch {
    /// Begins a watch on the frames of `prefix`.
    pub(crate) async fn prefix(origin: Connection, prefix: &str) -> Result<Self, ClientError> {
        Self::begin(origin, What::Prefix(prefix.to_owned()), None).await
    }

    async fn begin(origin: Connection, what: What, from: Option<From>) -> Result<Self, ClientError> {
        let mut watch = Self { origin, what, from, stream: None };
        watch.connect().await?;
        Ok(watch)
    }

    /// The next event. If the connection breaks, as it does when the agent is restarted, the watch goes on where it was
    /// once the agent is back. It may be called again after an error, and a call that is given up loses no event.
    ///
    /// # Errors
    /// [`ClientError::NoAgent`] if no agent comes back for ten seconds; what it refuses.
    pub async fn next(&mut self) -> Result<Event, ClientError> {
        loop {
            if self.stream.is_none() {
                self.reconnect().await?;
            }
            let Some(stream) = &mut self.stream else { continue };
            match session::next(&stream.connection, &mut stream.answers).await {
                Ok(Some((_, Answer::Event(event)))) => {
                    if let Some(event) = self.event(event) {
                        return Ok(event);
                    }
                }
                Ok(Some((_, Answer::Refusal(refusal)))) => {
                    self.stream = None;
                    return Err(session::refused(refusal));
                }
                Ok(Some(_)) => {}
                Ok(None) | Err(ClientError::Unavailable { .. }) => self.stream = None,
                Err(error) => {
                    self.stream = None;
                    return Err(error);
                }
            }
        }
    }

    /// The events as a stream, which never ends by itself.
    pub fn into_stream(self) -> impl futures::Stream<Item = Result<Event, ClientError>> + Send {
        futures::stream::unfold(self, |mut watch| async move { Some((watch.next().await, watch)) })
    }

    fn event(&mut self, event: v1::Event) -> Option<Event> {
        let v1::Event { commit, event } = event;
        if commit > 0 {
            self.from = Some(From::Commit(commit));
        }
        match event? {
            v1::event::Event::Committed(info) => Some(Event::Committed(info.into())),
            v1::event::Event::Dropped(v1::Dropped { name, latest }) => {
                Some(Event::Dropped { name, latest: (latest > 0).then_some(latest) })
            }
            v1::event::Event::DropsMissed(_) => Some(Event::DropsMissed),
            v1::event::Event::ShuttingDown(_) => None,
        }
    }

    async fn reconnect(&mut self) -> Result<(), ClientError> {
        let start = tokio::time::Instant::now();
        loop {
            match self.connect().await {
                Err(ClientError::NoAgent { .. } | ClientError::Unavailable { .. })
                    if start.elapsed() < AWAY =>
                {
                    tokio::time::sleep(PAUSE).await;
                }
                result => return result,
            }
        }
    }

    async fn connect(&mut self) -> Result<(), ClientError> {
        let connection = self.origin.again().await?;
        let (mut sender, mut answers) = session::begin(&connection).await?;
        sender.send(Request::Watch(v1::Watch { what: Some(self.what.clone()), from: self.from }));
        match session::next(&connection, &mut answers).await? {
            Some((_, Answer::Watching(watching))) => {
                // What is there already is told by the lowest version only while nothing else was.
                self.from.get_or_insert(From::Commit(watching.commit));
            }
            Some((_, Answer::Refusal(refusal))) => return Err(session::refused(refusal)),
            other => return Err(ClientError::Answer { what: format!("a watch begins with {other:?}") }),
        }
        self.stream = Some(Stream { connection, answers: OfProcess::new(answers), _sender: sender });
        Ok(())
    }
}

/// See [`Client::wait_for`].
pub(crate) async fn wait_for(
    client: &Client,
    name: &str,
    timeout: Duration,
    wanted: &Selection,
) -> Result<Frame, ClientError> {
    // However short the time is, there is one look.
    if let Some(frame) = look(client, name, wanted).await? {
        return Ok(frame);
    }
    let waiting = async {
        let frame = name.rsplit_once('@').map_or(name, |(frame, _)| frame);
        let (origin, what) = (client.connection.clone(), What::Name(frame.to_owned()));
        let mut watch = Watch::begin(origin, what, Some(From::Version(1))).await?;
        loop {
            watch.next().await?;
            if let Some(frame) = look(client, name, wanted).await? {
                return Ok(frame);
            }
        }
    };
    match tokio::time::timeout(timeout, waiting).await {
        Ok(result) => result,
        Err(_) => Err(ClientError::NotYet { name: name.to_owned(), waited: timeout }),
    }
}

async fn look(client: &Client, name: &str, wanted: &Selection) -> Result<Option<Frame>, ClientError> {
    match client.get_selected(name, wanted).await {
        Err(error) if error.reason() == Some(Reason::NotFound) => Ok(None),
        result => result.map(Some),
    }
}
