//! A session: one open DoExchange stream. `proto/farrow/v1/session.proto` says who sends what.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;

use arrow_flight::flight_descriptor::DescriptorType;
use arrow_flight::{FlightData, FlightDescriptor};
use farrow_proto::v1::session_answer::Answer;
use farrow_proto::v1::session_request::Request;
use farrow_proto::{SESSION_COMMAND, SESSION_VERSION, v1};
use prost::Message;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tonic::{Response, Status, Streaming};

use super::answers::{Made, SMALL};
use super::grants::Untold;
use super::pace::OnTheWay;
use super::receipts::Receipts;
use super::watches::WatchTask;
use super::{Answers, Service};
use crate::caller::Caller;
use crate::error::AgentError;
use crate::places::Room;
use crate::process::Process;
use crate::shares::Share;
use crate::status;

/// Requests that are worked at; the next one is not read before one of them is done.
const AT_WORK: usize = 64;

/// Answers that wait for a slow client; what has more to say waits as well.
const WAITING: usize = 64;

/// Watches of one session.
const MAX_WATCHES: usize = 1024;

/// Watches of all sessions, which users share.
const ALL_WATCHES: usize = 8192;

/// Sessions, which users share.
const MAX_SESSIONS: usize = 2048;

impl Service {
    /// Serves a session of `process`'s until either side ends it.
    pub(super) fn session(
        &self,
        caller: Caller,
        process: Arc<Process>,
        messages: Streaming<FlightData>,
    ) -> Result<Response<Answers<FlightData>>, AgentError> {
        static SESSIONS: AtomicU64 = AtomicU64::new(1);
        let room = Room { total: MAX_SESSIONS, reserve: 0 };
        let entered = self.streams.sessions().enter(&caller.user(), room);
        let (place, _) = entered.map_err(|full| AgentError::ManyOf { what: "sessions", has: full.has })?;
        // One that says nothing for hours is as good as any.
        let (way, taker) = OnTheWay::of_session(place);
        tokio::spawn(self.clone().attend(way.clone()));
        let (sender, mut answers) = mpsc::channel(WAITING);
        let session = Session {
            id: SESSIONS.fetch_add(1, Ordering::Relaxed),
            service: self.clone(),
            caller,
            process,
            answers: Answering { sender, way: way.clone() },
            at_work: Arc::new(Semaphore::new(AT_WORK)),
            under_way: JoinSet::new(),
            watches: HashMap::new(),
            last_seq: 0,
            large: false,
        };
        tokio::spawn(session.serve(messages));
        let receipts = Arc::new(Receipts::default());
        let made = receipts.clone();
        let answers: Answers<FlightData> = Box::pin(futures::stream::poll_fn(move |context| {
            answers.poll_recv(context).map(|answer| answer.map(|outgoing| Ok(outgoing?.sent(&way, &made))))
        }));
        let mut response = Response::new(answers);
        response.extensions_mut().insert(taker);
        response.extensions_mut().insert(receipts);
        Ok(response)
    }
}

struct Session {
    id: u64,
    service: Service,
    /// As it began; what it may is asked anew at each request.
    caller: Caller,
    process: Arc<Process>,
    answers: Answering,
    at_work: Arc<Semaphore>,
    /// The work under way. It ends with the session.
    under_way: JoinSet<()>,
    /// By the number of their request. They end with the session.
    watches: HashMap<u64, WatchTask>,
    last_seq: u64,
    /// True if the request at hand is so large that the next one is not read before it is answered.
    large: bool,
}

/// The way to the client. The stream ends when the last of them is gone.
#[derive(Clone)]
pub(super) struct Answering {
    sender: mpsc::Sender<Result<Outgoing, Status>>,
    way: Arc<OnTheWay>,
}

/// An answer that waits for the client to take it.
struct Outgoing {
    answer: v1::SessionAnswer,
    untold: Option<Untold>,
    share: Option<Share>,
}

/// The outcome of a request: nothing, if it has no answer.
type Done = Result<Option<Ready>, AgentError>;

/// An answer, what its process has not been told of before, and the memory that counts for it.
struct Ready(Answer, Option<Untold>, Option<Share>);

impl Session {
    async fn serve(mut self, mut messages: Streaming<FlightData>) {
        let (id, pid) = (self.id, self.process.id().pid);
        tracing::debug!(session = id, pid, "session begins");
        if let Err(error) = self.requests(&mut messages).await {
            tracing::debug!(session = id, pid, %error, "session ends with an error");
            // Nobody is told who is gone.
            let _ = self.answers.sender.send(Err(error.into())).await;
            return;
        }
        // A client that has asked for all it wants may wait for the answers.
        let answers = self.answers.clone();
        tokio::select! {
            () = async { while self.under_way.join_next().await.is_some() {} } => {}
            () = answers.sender.closed() => {}
        }
        tracing::debug!(session = id, pid, requests = self.last_seq, "session ends");
    }

    async fn requests(&mut self, messages: &mut Streaming<FlightData>) -> Result<(), AgentError> {
        let mut stopping = self.service.health.stopping();
        let answers = self.answers.clone();
        let mut greeted = false;
        let mut first = true;
        loop {
            let message = tokio::select! {
                message = messages.message() => message,
                _ = stopping.wait_for(|stop| *stop) => {
                    let event = v1::event::Event::ShuttingDown(v1::ShuttingDown {});
                    answers.try_tell(0, Answer::Event(v1::Event { commit: 0, event: Some(event) }));
                    return Ok(());
                }
                () = answers.sender.closed() => return Ok(()),
            };
            // An error is a connection that broke, or a message that is too long.
            let Some(message) = message.map_err(AgentError::Stream)? else { return Ok(()) };
            if first {
                check_command(message.flight_descriptor.as_ref())?;
                first = false;
                if message.app_metadata.is_empty() && message.data_header.is_empty() {
                    continue;
                }
            }
            let request = self.parse(&message)?;
            match (greeted, request.request) {
                (false, Some(Request::Hello(hello))) => {
                    let welcome = self.welcome(&hello)?;
                    let welcome = Ok(Some(Ready(Answer::Welcome(welcome), None, None)));
                    answers.answer(&self.caller, request.seq, welcome).await;
                    greeted = true;
                }
                (false, _) => return Err(broken("its first request is not Hello".to_owned())),
                (true, Some(Request::Hello(_))) => {
                    return Err(broken(format!("request {} is a second Hello", request.seq)));
                }
                (true, request_kind) => {
                    // What it counts goes back when the next one is asked for.
                    self.large = message.app_metadata.len() as u64 > SMALL;
                    drop(message);
                    self.request(request.seq, request_kind).await;
                }
            }
        }
    }

    fn parse(&mut self, message: &FlightData) -> Result<v1::SessionRequest, AgentError> {
        if !message.data_header.is_empty() || !message.data_body.is_empty() {
            return Err(broken("a message has data, where all that counts is its app_metadata".to_owned()));
        }
        let bytes = &message.app_metadata;
        let request = v1::SessionRequest::decode(bytes.clone()).map_err(|error| {
            broken(format!(
                "the {} bytes after request {} are no request: {error}",
                bytes.len(),
                self.last_seq
            ))
        })?;
        if request.seq <= self.last_seq {
            let (found, last) = (request.seq, self.last_seq);
            return Err(broken(format!(
                "request {found} came after request {last}: their numbers must grow"
            )));
        }
        self.last_seq = request.seq;
        Ok(request)
    }

    fn welcome(&self, hello: &v1::Hello) -> Result<v1::Welcome, AgentError> {
        if !hello.versions.contains(&SESSION_VERSION) {
            return Err(AgentError::SessionVersions { offered: hello.versions.clone() });
        }
        tracing::debug!(session = self.id, client = hello.client, "greeted");
        Ok(v1::Welcome {
            version: SESSION_VERSION,
            region_uuid: self.service.region.uuid().as_bytes().to_vec().into(),
            session: self.id,
            agent: concat!("farrow-agent ", env!("CARGO_PKG_VERSION")).to_owned(),
        })
    }

    /// Answers a request, or begins to work at it.
    async fn request(&mut self, seq: u64, request: Option<Request>) {
        let (service, process) = (self.service.clone(), self.process.clone());
        let there = service.region.check_there();
        let caller = match there.and_then(|()| self.caller.renewed(service.access.rights(), "session")) {
            Ok(caller) => caller,
            Err(error) => return self.answers.answer(&self.caller, seq, Err(error)).await,
        };
        match request {
            Some(Request::Map(request)) => {
                self.work(caller.clone(), seq, async move {
                    let Made { answer, share, untold } = service.map_each(&caller, &process, request).await?;
                    Ok(Some(Ready(Answer::Mapped(answer), untold, share)))
                })
                .await;
            }
            Some(Request::Release(request)) => {
                self.work(caller.clone(), seq, async move {
                    service.release(&process, request).await?;
                    Ok(None)
                })
                .await;
            }
            Some(Request::Reserve(request)) => {
                self.work(caller.clone(), seq, async move {
                    let (reservation, untold) = service.reserve(&caller, process, request).await?;
                    Ok(Some(Ready(Answer::Reservation(reservation), Some(untold), None)))
                })
                .await;
            }
            Some(Request::Commit(request)) => {
                self.work(caller.clone(), seq, async move {
                    let committed = service.commit(&caller, process, request).await?;
                    Ok(Some(Ready(Answer::Committed(committed), None, None)))
                })
                .await;
            }
            Some(Request::Abort(request)) => {
                self.work(caller.clone(), seq, async move {
                    service.abort(&process, request).await?;
                    Ok(Some(Ready(Answer::Aborted(v1::Aborted {}), None, None)))
                })
                .await;
            }
            Some(Request::Watch(request)) => {
                let begun = self.watch(seq, caller.clone(), request).await;
                if let Err(error) = begun {
                    self.answers.answer(&caller, seq, Err(error)).await;
                }
            }
            Some(Request::Unwatch(request)) => {
                if let Some(watch) = self.watches.remove(&request.watch) {
                    watch.end().await;
                }
                let unwatched = Ok(Some(Ready(Answer::Unwatched(v1::Unwatched {}), None, None)));
                self.answers.answer(&caller, seq, unwatched).await;
            }
            // Checked before.
            Some(Request::Hello(_)) | None => {
                self.answers.answer(&caller, seq, Err(AgentError::UnknownRequest { seq })).await;
            }
        }
    }

    async fn watch(&mut self, seq: u64, caller: Caller, request: v1::Watch) -> Result<(), AgentError> {
        if self.watches.len() >= MAX_WATCHES {
            let count = self.watches.len() + 1;
            return Err(AgentError::TooMany { what: "watches in one session", count, limit: MAX_WATCHES });
        }
        let room = Room { total: ALL_WATCHES, reserve: 0 };
        let entered = self.service.watches.enter(&caller.user(), room);
        let (place, _) = entered.map_err(|full| AgentError::ManyOf { what: "watches", has: full.has })?;
        place.busy();
        let begun = WatchTask::begin(&self.service, (seq, place), caller, request, &self.answers).await?;
        let (task, commit) = begun;
        self.watches.insert(seq, task);
        tracing::trace!(session = self.id, watch = seq, commit, "watches");
        Ok(())
    }

    /// What can be done at once is; what has to wait lets the next request be read.
    async fn work(&mut self, caller: Caller, seq: u64, work: impl Future<Output = Done> + Send + 'static) {
        let mut work = Box::pin(work);
        if let Poll::Ready(done) = futures::poll!(&mut work) {
            return self.answers.answer(&caller, seq, done).await;
        }
        if self.large {
            tokio::select! {
                done = work => self.answers.answer(&caller, seq, done).await,
                () = self.answers.sender.closed() => {}
            }
            return;
        }
        while self.under_way.try_join_next().is_some() {}
        // It is never closed. Those at work may wait for what an answer has that nobody takes.
        let permit = tokio::select! {
            permit = self.at_work.clone().acquire_owned() => permit,
            () = self.answers.sender.closed() => return,
        };
        let answers = self.answers.clone();
        self.under_way.spawn(async move {
            answers.answer(&caller, seq, work.await).await;
            drop(permit);
        });
    }
}

impl Answering {
    /// Sends an answer, or a refusal as `caller` may see it, once there is room for it. A client that is gone gets none.
    async fn answer(&self, caller: &Caller, seq: u64, done: Done) {
        let Ready(answer, untold, share) = match done {
            Ok(Some(answer)) => answer,
            Ok(None) => return,
            Err(error) => Ready(Answer::Refusal(status::refusal(&caller.censored(error))), None, None),
        };
        if share.is_some() {
            self.way.waits();
        }
        let answer = v1::SessionAnswer { seq, answer: Some(answer) };
        let _ = self.sender.send(Ok(Outgoing { answer, untold, share })).await;
    }

    /// Sends what holds no lease. False if the client is gone.
    pub(super) async fn tell(&self, seq: u64, answer: Answer) -> bool {
        let answer = v1::SessionAnswer { seq, answer: Some(answer) };
        self.sender.send(Ok(Outgoing { answer, untold: None, share: None })).await.is_ok()
    }

    /// Sends it only if there is room at once.
    fn try_tell(&self, seq: u64, answer: Answer) {
        let answer = v1::SessionAnswer { seq, answer: Some(answer) };
        let _ = self.sender.try_send(Ok(Outgoing { answer, untold: None, share: None }));
    }
}

impl Outgoing {
    fn sent(self, way: &OnTheWay, receipts: &Receipts) -> FlightData {
        if let Some(untold) = self.untold {
            receipts.made(untold);
        }
        if let Some(share) = self.share {
            way.encodes(share);
        }
        FlightData::new().with_app_metadata(self.answer.encode_to_vec())
    }
}

/// Checks whether a stream's first message asks for a session.
fn check_command(descriptor: Option<&FlightDescriptor>) -> Result<(), AgentError> {
    let found = descriptor.map_or_else(
        || "none".to_owned(),
        |descriptor| match descriptor.r#type() {
            DescriptorType::Cmd => format!("the command {:?}", String::from_utf8_lossy(&descriptor.cmd)),
            other => format!("of type {}", other.as_str_name()),
        },
    );
    if descriptor.is_some_and(|descriptor| {
        descriptor.r#type() == DescriptorType::Cmd && descriptor.cmd == SESSION_COMMAND.as_bytes()
    }) {
        return Ok(());
    }
    // The rest of a long one helps nobody.
    Err(AgentError::NoSession { found: found.chars().take(200).collect() })
}

fn broken(what: String) -> AgentError {
    AgentError::Session { what }
}
