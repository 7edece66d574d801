//! A session with the agent: one open stream, over which a get is a message each way. It carries what is released, too.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow_flight::{FlightData, FlightDescriptor};
use farrow_proto::v1::map_result;
use farrow_proto::v1::session_answer::Answer;
use farrow_proto::v1::session_request::Request;
use farrow_proto::{Advice, Reason, SESSION_COMMAND, SESSION_VERSION, v1};
use prost::Message;
use tokio::sync::{mpsc, oneshot};
use tonic::{Code, Streaming};

use crate::connection::Connection;
use crate::error::ClientError;
use crate::lease::{Lease, Releases};
use crate::of_process::OfProcess;

/// A version and the lease on it.
pub(crate) type Mapped = (v1::MapDescriptor, Lease);

/// The session of a connection: begun by the first get, and again after it broke.
#[derive(Debug, Clone)]
pub(crate) struct Sessions {
    connection: Connection,
    current: Arc<tokio::sync::Mutex<Current>>,
}

#[derive(Debug)]
enum Current {
    None,
    Open(Arc<Session>),
    /// The agent has none to offer.
    Unoffered,
}

/// One open stream. It ends with this value.
#[derive(Debug)]
struct Session {
    requests: Arc<Mutex<Requests>>,
}

#[derive(Debug)]
struct Requests {
    /// `None` once the agent has ended the stream.
    sender: Option<Sender>,
    waiting: HashMap<u64, Waiting>,
}

/// A caller that waits for a mapping.
#[derive(Debug)]
struct Waiting {
    answer: oneshot::Sender<Result<MappedAll, ClientError>>,
    releases: Releases,
}

/// The result for each name in a request to map.
#[derive(Debug)]
pub(crate) struct MappedAll {
    /// In the order of the names.
    pub(crate) results: Vec<Result<Mapped, ClientError>>,
    /// The last change before the moment of which all of them are; 0 if each is of another.
    pub(crate) as_of: u64,
}

/// The client's half of a stream.
#[derive(Debug)]
pub(crate) struct Sender {
    queue: OfProcess<mpsc::UnboundedSender<FlightData>>,
    seq: u64,
}

impl Sessions {
    pub(crate) fn new(connection: Connection) -> Self {
        Self { connection, current: Arc::new(tokio::sync::Mutex::new(Current::None)) }
    }

    /// A version mapped over the session. `None` if there is no session to be had.
    ///
    /// # Errors
    /// The agent's refusal.
    pub(crate) async fn map(&self, name: &str, releases: &Releases) -> Result<Option<Mapped>, ClientError> {
        let Some(answer) = self.map_over_session(&[name], releases).await? else { return Ok(None) };
        answer.results.into_iter().next().transpose()
    }

    /// Several versions mapped.
    ///
    /// # Errors
    /// The agent's refusal of the whole; why there is no session.
    pub(crate) async fn map_all(
        &self,
        names: &[&str],
        releases: &Releases,
    ) -> Result<MappedAll, ClientError> {
        if let Some(answer) = self.map_over_session(names, releases).await? {
            return Ok(answer);
        }
        begin(&self.connection).await?;
        let address = self.connection.address().to_string();
        Err(ClientError::Unavailable { address, message: "the session breaks again and again".to_owned() })
    }

    async fn map_over_session(
        &self,
        names: &[&str],
        releases: &Releases,
    ) -> Result<Option<MappedAll>, ClientError> {
        // The agent may have been restarted since the last get: then the session breaks, and there is another.
        for _ in 0..2 {
            let Some(session) = self.open().await? else { return Ok(None) };
            if let Some(answer) = session.map(names, releases).await {
                return answer.map(Some);
            }
        }
        Ok(None)
    }

    /// Releases leases over the session if there is one: false if there is none.
    pub(crate) async fn release(&self, leases: &[u64]) -> bool {
        match &*self.current.lock().await {
            Current::Open(session) => session.release(leases),
            Current::None | Current::Unoffered => false,
        }
    }

    async fn open(&self) -> Result<Option<Arc<Session>>, ClientError> {
        self.connection.check_process()?;
        let mut current = self.current.lock().await;
        match &*current {
            Current::Open(session) if session.is_open() => return Ok(Some(session.clone())),
            Current::Unoffered => return Ok(None),
            Current::None | Current::Open(_) => {}
        }
        match begin(&self.connection).await {
            Ok((sender, answers)) => {
                let session = Arc::new(Session::new(sender, answers));
                *current = Current::Open(session.clone());
                Ok(Some(session))
            }
            Err(error) => {
                tracing::debug!(%error, "no session: each get asks by itself");
                // Nor is one to a process that the agent does not see.
                let unoffered = error.reason() == Some(Reason::NeedsUnixSocket)
                    || matches!(error, ClientError::Refused { code: Code::Unimplemented, .. });
                *current = if unoffered { Current::Unoffered } else { Current::None };
                Ok(None)
            }
        }
    }
}

impl Session {
    fn new(sender: Sender, answers: Streaming<FlightData>) -> Self {
        let requests = Arc::new(Mutex::new(Requests { sender: Some(sender), waiting: HashMap::new() }));
        // Weak: the stream ends when nobody can ask any more.
        tokio::spawn(read(answers, Arc::downgrade(&requests)));
        Self { requests }
    }

    fn is_open(&self) -> bool {
        lock(&self.requests).sender.is_some()
    }

    /// `None` if the session ended before it answered.
    async fn map(&self, names: &[&str], releases: &Releases) -> Option<Result<MappedAll, ClientError>> {
        let answer = {
            let mut requests = lock(&self.requests);
            let names = names.iter().map(|&name| name.to_owned()).collect();
            let seq = requests.sender.as_mut()?.send(Request::Map(v1::MapRequest { names }));
            let (sender, answer) = oneshot::channel();
            requests.waiting.insert(seq, Waiting { answer: sender, releases: releases.clone() });
            answer
        };
        answer.await.ok()
    }

    fn release(&self, leases: &[u64]) -> bool {
        let leases = leases.to_vec();
        match &mut lock(&self.requests).sender {
            Some(sender) => {
                sender.send(Request::Release(v1::ReleaseRequest { leases, ..Default::default() }));
                true
            }
            None => false,
        }
    }
}

/// Begins a session: the stream's two halves, once the agent has welcomed this client.
pub(crate) async fn begin(connection: &Connection) -> Result<(Sender, Streaming<FlightData>), ClientError> {
    let (queue, mut queued) = mpsc::unbounded_channel();
    let requests = futures::stream::poll_fn(move |context| queued.poll_recv(context));
    let mut sender = Sender { queue: OfProcess::new(queue), seq: 0 };
    let client = concat!("farrow-client ", env!("CARGO_PKG_VERSION")).to_owned();
    let hello = Request::Hello(v1::Hello { versions: vec![SESSION_VERSION], client });
    let first = sender.message(hello).with_descriptor(FlightDescriptor::new_cmd(SESSION_COMMAND));
    sender.queue_message(first);
    let mut answers = connection.exchange(requests).await?;
    match next(connection, &mut answers).await? {
        Some((_, Answer::Welcome(_))) => Ok((sender, answers)),
        Some((_, Answer::Refusal(refusal))) => Err(refused(refusal)),
        other => Err(ClientError::Answer { what: format!("a session begins with {other:?}") }),
    }
}

/// The next answer of a session that this client knows of; `None` at its end.
pub(crate) async fn next(
    connection: &Connection,
    answers: &mut Streaming<FlightData>,
) -> Result<Option<(u64, Answer)>, ClientError> {
    loop {
        let message = answers.message().await.map_err(|status| connection.error(&status))?;
        let Some(message) = message else { return Ok(None) };
        let answer = decode(message)?;
        if let Some(kind) = answer.answer {
            return Ok(Some((answer.seq, kind)));
        }
    }
}

/// Returns what a refusal within an answer means.
pub(crate) fn refused(refusal: v1::Refusal) -> ClientError {
    ClientError::Refused {
        reason: Reason::parse(&refusal.reason),
        code: Code::from_i32(refusal.code),
        message: refusal.message,
        advice: Advice::parse(&refusal.advice),
    }
}

impl Sender {
    /// Sends a request, unless the stream has ended; returns its number.
    pub(crate) fn send(&mut self, request: Request) -> u64 {
        let message = self.message(request);
        self.queue_message(message);
        self.seq
    }

    fn message(&mut self, request: Request) -> FlightData {
        self.seq += 1;
        let request = v1::SessionRequest { seq: self.seq, request: Some(request) };
        FlightData::new().with_app_metadata(request.encode_to_vec())
    }

    fn queue_message(&self, message: FlightData) {
        // Without a receiver the stream has ended, which the answers tell.
        let _ = self.queue.send(message);
    }
}

/// Hands answers to who waits for them, until the session ends.
async fn read(mut answers: Streaming<FlightData>, requests: std::sync::Weak<Mutex<Requests>>) {
    let ended = loop {
        let message = match answers.message().await {
            Ok(Some(message)) => message,
            Ok(None) => break None,
            Err(status) => break Some(status.message().to_owned()),
        };
        let Some(requests) = requests.upgrade() else { return };
        match decode(message) {
            Ok(answer) => hand_over(&requests, answer),
            Err(error) => break Some(error.to_string()),
        }
    };
    tracing::debug!(ended, "the session ended");
    if let Some(requests) = requests.upgrade() {
        let mut requests = lock(&requests);
        requests.sender = None;
        // Who waits sees that there is no answer.
        requests.waiting.clear();
    }
}

fn hand_over(requests: &Mutex<Requests>, answer: v1::SessionAnswer) {
    let Some(Waiting { answer: sender, releases }) = lock(requests).waiting.remove(&answer.seq) else {
        return;
    };
    let answer = match answer.answer {
        Some(Answer::Mapped(v1::Mapped { results, as_of })) => {
            let each = |result: v1::MapResult| match result.result {
                Some(map_result::Result::Map(map)) => {
                    let lease = Lease::new(map.lease, releases.clone());
                    Ok((map, lease))
                }
                Some(map_result::Result::Refusal(refusal)) => Err(refused(refusal)),
                None => {
                    Err(ClientError::Answer { what: "nothing is mapped, and nothing refused".to_owned() })
                }
            };
            Ok(MappedAll { results: results.into_iter().map(each).collect(), as_of })
        }
        Some(Answer::Refusal(refusal)) => Err(refused(refusal)),
        other => Err(ClientError::Answer { what: format!("a request to map was answered with {other:?}") }),
    };
    // Who has given up waiting needs no lease: it is dropped here.
    let _ = sender.send(answer);
}

fn decode(message: FlightData) -> Result<v1::SessionAnswer, ClientError> {
    v1::SessionAnswer::decode(message.app_metadata)
        .map_err(|error| ClientError::Answer { what: format!("session: {error}") })
}

fn lock(requests: &Mutex<Requests>) -> MutexGuard<'_, Requests> {
    requests.lock().unwrap_or_else(PoisonError::into_inner)
}
