//! Sessions as their bytes go over the wire: what is answered, what is pushed, and how bad input ends.

use std::collections::BTreeMap;
use std::time::Duration;

use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{FlightData, FlightDescriptor};
use bytes::Bytes;
use farrow_client::Client;
use farrow_integration_tests::{Agent, Region, batch};
use farrow_proto::v1::map_result;
use farrow_proto::v1::session_answer::Answer;
use farrow_proto::v1::session_request::Request;
use farrow_proto::v1::{event::Event, watch};
use farrow_proto::{SESSION_COMMAND, SESSION_VERSION, v1};
use prost::Message;
use tokio::sync::mpsc;
use tonic::transport::Endpoint;
use tonic::{Code, Status, Streaming};

use crate::leases::until;

/// The time that something may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// The client's end of a session.
pub(crate) struct Session {
    requests: mpsc::UnboundedSender<FlightData>,
    answers: Streaming<FlightData>,
    seq: u64,
}

impl Session {
    /// A stream whose first message has the session's command and `first`.
    async fn begun(agent: &Agent, first: Bytes) -> Self {
        let descriptor = FlightDescriptor::new_cmd(SESSION_COMMAND);
        Self::of(agent, FlightData::new().with_descriptor(descriptor).with_app_metadata(first)).await
    }

    async fn of(agent: &Agent, first: FlightData) -> Self {
        let endpoint = Endpoint::from_shared(format!("unix://{}", agent.socket())).unwrap();
        let mut flight = FlightServiceClient::new(endpoint.connect().await.unwrap());
        let (requests, mut queue) = mpsc::unbounded_channel();
        requests.send(first).unwrap();
        let stream = futures::stream::poll_fn(move |context| queue.poll_recv(context));
        let answers = flight.do_exchange(stream).await.unwrap().into_inner();
        Self { requests, answers, seq: 0 }
    }

    /// A session that has been welcomed.
    pub(crate) async fn open(agent: &Agent) -> Self {
        let mut session = Self::begun(agent, Bytes::new()).await;
        let hello = v1::Hello { versions: vec![SESSION_VERSION, 99], client: "a test".into() };
        let (_, welcome) = session.ask(Request::Hello(hello)).await;
        let Answer::Welcome(welcome) = welcome else { panic!("{welcome:?}") };
        assert_eq!((welcome.version, welcome.region_uuid.len()), (SESSION_VERSION, 16));
        session
    }

    fn send(&mut self, request: Request) -> u64 {
        self.seq += 1;
        let request = v1::SessionRequest { seq: self.seq, request: Some(request) };
        self.send_bytes(request.encode_to_vec().into());
        self.seq
    }

    fn send_bytes(&self, bytes: Bytes) {
        self.requests.send(FlightData::new().with_app_metadata(bytes)).unwrap();
    }

    async fn next(&mut self) -> Result<Option<(u64, Answer)>, Status> {
        let message = tokio::time::timeout(PATIENCE, self.answers.message()).await.expect("an answer");
        Ok(message?.map(|message| {
            let answer = v1::SessionAnswer::decode(message.app_metadata).unwrap();
            (answer.seq, answer.answer.unwrap())
        }))
    }

    async fn answer(&mut self) -> (u64, Answer) {
        self.next().await.unwrap().expect("the session goes on")
    }

    pub(crate) async fn ask(&mut self, request: Request) -> (u64, Answer) {
        let asked = self.send(request);
        let (seq, answer) = self.answer().await;
        assert_eq!(seq, asked);
        (seq, answer)
    }

    async fn map(&mut self, name: &str) -> v1::MapDescriptor {
        let (_, answer) = self.ask(map(&[name])).await;
        let Answer::Mapped(mut mapped) = answer else { panic!("{answer:?}") };
        match mapped.results.remove(0).result.unwrap() {
            map_result::Result::Map(map) => map,
            map_result::Result::Refusal(refusal) => panic!("{refusal:?}"),
        }
    }

    /// Begins a watch; returns its number.
    pub(crate) async fn watch(&mut self, what: watch::What, from: Option<watch::From>) -> u64 {
        let (seq, answer) = self.ask(Request::Watch(v1::Watch { what: Some(what), from })).await;
        assert!(matches!(answer, Answer::Watching(_)), "{answer:?}");
        seq
    }

    /// The next event in a word.
    pub(crate) async fn event(&mut self) -> (u64, String) {
        let (seq, answer) = self.answer().await;
        let Answer::Event(v1::Event { event: Some(event), .. }) = answer else { panic!("{answer:?}") };
        let word = match event {
            Event::Committed(info) => format!("{}@{}", info.name, info.version),
            Event::Dropped(dropped) => format!("-{} {}", dropped.name, dropped.latest),
            Event::DropsMissed(_) => "drops missed".to_owned(),
            Event::ShuttingDown(_) => "shutting down".to_owned(),
        };
        (seq, word)
    }

    /// Returns how the agent ends the session.
    async fn end(mut self) -> Status {
        loop {
            match self.next().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("it ended without an error"),
                Err(status) => return status,
            }
        }
    }
}

pub(crate) fn map(names: &[&str]) -> Request {
    Request::Map(v1::MapRequest { names: names.iter().map(|&name| name.to_owned()).collect() })
}

fn name(name: &str) -> watch::What {
    watch::What::Name(name.to_owned())
}

fn prefix(prefix: &str) -> watch::What {
    watch::What::Prefix(prefix.to_owned())
}

async fn put(client: &Client, name: &str) {
    let rows = batch(0, 10);
    client.put(name, rows.schema(), vec![rows]).await.unwrap();
}

fn reason(status: &Status) -> &str {
    status.metadata().get("x-farrow-reason").expect("every refusal has its reason").to_str().unwrap()
}

#[tokio::test]
async fn leases_and_reservations_over_a_session() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let client = agent.client().await;
    put(&client, "a").await;
    let mut session = Session::open(&agent).await;
    let first = session.map("a").await;
    let second = session.map("a@1").await;
    assert_eq!((first.version, &first.segments), (1, &second.segments));
    let held = async || client.leases().await.unwrap().iter().map(|lease| lease.lease).collect::<Vec<_>>();
    assert_eq!(held().await, [first.lease, second.lease]);

    // Not answered: the next answer is the next request's.
    session
        .send(Request::Release(v1::ReleaseRequest { leases: vec![first.lease, 77], ..Default::default() }));
    let (_, answer) = session.ask(map(&["a", "nope"])).await;
    let Answer::Mapped(v1::Mapped { results, .. }) = answer else { panic!("{answer:?}") };
    assert!(matches!(&results[0].result, Some(map_result::Result::Map(_))));
    let Some(map_result::Result::Refusal(refusal)) = &results[1].result else { panic!("{results:?}") };
    assert_eq!(refusal.reason, "not-found");
    until("one of three is released", async || (held().await.len() == 2).then_some(())).await;

    let (_, answer) =
        session.ask(Request::Reserve(v1::ReserveRequest { len: 5000, ..Default::default() })).await;
    let Answer::Reservation(reservation) = answer else { panic!("{answer:?}") };
    let reserved = v1::CommitRequest { reservation: reservation.id, ..Default::default() };
    let commit = v1::CommitRequest { name: "b".into(), len: 5000, ..reserved };
    let (_, answer) = session.ask(Request::Commit(commit)).await;
    let Answer::Refusal(refusal) = answer else { panic!("zeros are no Arrow file: {answer:?}") };
    assert_eq!(refusal.reason, "invalid-data");
    let abort = Request::Abort(v1::AbortRequest { reservation: reservation.id });
    assert!(matches!(session.ask(abort.clone()).await.1, Answer::Aborted(_)));
    let (_, again) = session.ask(abort).await;
    assert!(matches!(&again, Answer::Refusal(refusal) if refusal.reason == "not-held"), "{again:?}");

    // The end of the stream ends nothing that is mapped.
    let _ = session.ask(Request::Reserve(v1::ReserveRequest { len: 5000, ..Default::default() })).await;
    drop(session);
    let mut other = Session::open(&agent).await;
    other.map("a").await;
    assert_eq!(held().await.len(), 3);
    assert!(client.usage().await.unwrap().reserved >= 5000);
}

#[tokio::test]
async fn what_is_committed_is_told_once_and_in_order() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let client = agent.client().await;
    put(&client, "a/old").await;
    put(&client, "a/old").await;
    let mut session = Session::open(&agent).await;
    let all = session.watch(prefix("a/"), None).await;
    put(&client, "a/old").await;
    put(&client, "b/other").await;
    client.drop("a/old@2").await.unwrap();
    client.drop("a/old@3").await.unwrap();
    client.drop("a/old").await.unwrap();
    put(&client, "a/new").await;
    // Each came before the next: the client waited for them.
    let mut told = Vec::new();
    while told.last() != Some(&"a/new@1".to_owned()) {
        let (seq, word) = session.event().await;
        assert_eq!(seq, all);
        told.push(word);
    }
    told.retain(|word| word != "-a/old 1");
    let expected = ["a/old@3", "-a/old 0", "a/new@1"];
    assert!(told == expected || told == expected[1..], "{told:?}");

    // What is there already, as far as it is asked for; and of a frame that is not there yet.
    let there = session.watch(name("a/new"), Some(watch::From::Version(1))).await;
    assert_eq!(session.event().await, (there, "a/new@1".into()));
    let newer = session.watch(name("a/new"), Some(watch::From::Version(2))).await;
    let absent = session.watch(name("c"), Some(watch::From::Version(1))).await;
    put(&client, "c").await;
    assert_eq!(session.event().await, (absent, "c@1".into()));
    put(&client, "a/new").await;
    let mut told = [session.event().await.0, session.event().await.0, session.event().await.0];
    told.sort_unstable();
    assert_eq!(told, [all, there, newer]);

    for watch in [all, there, newer] {
        let (_, answer) = session.ask(Request::Unwatch(v1::Unwatch { watch })).await;
        assert!(matches!(answer, Answer::Unwatched(_)), "{answer:?}");
    }
    put(&client, "a/new").await;
    put(&client, "c").await;
    assert_eq!(session.event().await, (absent, "c@2".into()), "nothing of watches that ended");
    // Whoever has seen the third version of what was dropped waits for the fourth, and gets it.
    put(&client, "a/old").await;
    let fourth = session.watch(name("a/old"), Some(watch::From::Version(4))).await;
    assert_eq!(session.event().await, (fourth, "a/old@4".into()));
    let (_, answer) = session.ask(Request::Watch(v1::Watch { what: Some(name("../x")), from: None })).await;
    assert!(matches!(&answer, Answer::Refusal(refusal) if refusal.reason == "invalid-name"), "{answer:?}");
}

#[tokio::test]
async fn a_watch_goes_on_over_a_restart_of_the_agent() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let client = agent.client().await;
    put(&client, "a").await;
    let mut session = Session::open(&agent).await;
    session.watch(prefix(""), Some(watch::From::Version(1))).await;
    let (_, Answer::Event(event)) = session.answer().await else { panic!("an event") };
    put(&client, "b").await;
    agent.kill();
    drop(client);

    let agent = region.agent();
    put(&agent.client().await, "c").await;
    let mut session = Session::open(&agent).await;
    let from = Some(watch::From::Commit(event.commit));
    let seq = session.watch(prefix(""), from).await;
    let told = [session.event().await, session.event().await, session.event().await];
    let expected = ["drops missed", "b@1", "c@1"].map(|word| (seq, word.to_owned()));
    assert_eq!(told, expected, "what was committed since, and that drops are not known");
}

#[tokio::test]
async fn a_slow_watcher_is_told_the_latest_of_each_frame() {
    const FRAMES: u64 = 4;
    const ROUNDS: u64 = 600;
    let region = Region::new("64MiB");
    let agent = region.agent();
    let client = agent.client().await;
    let mut session = Session::open(&agent).await;
    session.watch(prefix("f*"), None).await;
    for _ in 0..ROUNDS {
        for frame in 0..FRAMES {
            put(&client, &format!("f{frame}")).await;
        }
        client.drop_prefix("g").await.unwrap_err();
    }
    put(&client, "f-last").await;
    let mut latest = BTreeMap::new();
    loop {
        let (_, word) = session.event().await;
        let (name, version) = word.split_once('@').unwrap();
        let version: u64 = version.parse().unwrap();
        let before = latest.insert(name.to_owned(), version);
        assert!(before.unwrap_or(0) < version, "{name}@{version} after {before:?}");
        if name == "f-last" {
            break;
        }
    }
    assert!((0..FRAMES).all(|frame| latest[&format!("f{frame}")] == ROUNDS), "{latest:?}");
}

#[tokio::test]
async fn slow_requests_hold_up_no_others() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let client = agent.client().await;
    put(&client, "a").await;
    let mut session = Session::open(&agent).await;
    // More that is not answered at once than is worked at, and mapping in between.
    let commit = v1::CommitRequest { name: "b".into(), len: 1, ..Default::default() };
    let mut open: BTreeMap<u64, bool> = (0..200)
        .flat_map(|_| {
            let slow = session.send(Request::Commit(commit.clone()));
            [(slow, true), (session.send(map(&["a"])), false)]
        })
        .collect();
    while !open.is_empty() {
        let (seq, answer) = session.answer().await;
        match open.remove(&seq).expect("each request is answered once") {
            true => assert!(matches!(&answer, Answer::Refusal(no) if no.reason == "not-held"), "{answer:?}"),
            false => assert!(matches!(answer, Answer::Mapped(_)), "{answer:?}"),
        }
    }
}

#[tokio::test]
async fn what_no_client_may_send_ends_the_session_with_an_error() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let client = agent.client().await;
    put(&client, "a").await;
    let hello = |seq, versions| {
        let hello = v1::Hello { versions, client: String::new() };
        let request = v1::SessionRequest { seq, request: Some(Request::Hello(hello)) };
        Bytes::from(request.encode_to_vec())
    };
    let request = |seq| Bytes::from(v1::SessionRequest { seq, request: Some(map(&["a"])) }.encode_to_vec());

    // At the beginning.
    for (first, words) in [
        (Bytes::from_static(b"\xff\xff\xff"), "are no request"),
        (request(1), "is not Hello"),
        (hello(0, vec![1]), "must grow"),
    ] {
        let status = Session::begun(&agent, first).await.end().await;
        assert_eq!((status.code(), reason(&status)), (Code::InvalidArgument, "invalid-data"), "{status}");
        assert!(status.message().contains(words), "{status}");
    }
    let status = Session::begun(&agent, hello(1, vec![2, 3])).await.end().await;
    assert_eq!((status.code(), reason(&status)), (Code::Unimplemented, "unimplemented"), "{status}");
    for descriptor in [
        None,
        Some(FlightDescriptor::new_cmd("SELECT 1")),
        Some(FlightDescriptor::new_path(vec!["a".into()])),
    ] {
        let first = FlightData { flight_descriptor: descriptor, ..FlightData::new() };
        let status = Session::of(&agent, first).await.end().await;
        assert_eq!(reason(&status), "unimplemented", "{status}");
        assert!(status.message().contains(SESSION_COMMAND), "{status}");
    }

    // Later on.
    let body = FlightData::new().with_data_body(vec![1, 2, 3]).with_app_metadata(request(2));
    let half = request(2).slice(..5);
    for (message, words) in [
        (FlightData::new().with_app_metadata(half), "are no request"),
        (FlightData::new(), "must grow"),
        (FlightData::new().with_app_metadata(hello(2, vec![1])), "second Hello"),
        (FlightData::new().with_app_metadata(request(1)), "must grow"),
        (body, "has data"),
    ] {
        let session = Session::open(&agent).await;
        session.requests.send(message).unwrap();
        let status = session.end().await;
        assert_eq!((status.code(), reason(&status)), (Code::InvalidArgument, "invalid-data"), "{status}");
        assert!(status.message().contains(words), "{words}: {status}");
    }

    // A kind of request that is not known yet (field 100) is refused, and the session goes on.
    let mut session = Session::open(&agent).await;
    session.seq += 1;
    let mut unknown = v1::SessionRequest { seq: session.seq, request: None }.encode_to_vec();
    unknown.extend([0xa2, 0x06, 0x00]);
    session.send_bytes(unknown.into());
    let (seq, answer) = session.answer().await;
    assert_eq!(seq, session.seq);
    assert!(matches!(&answer, Answer::Refusal(refusal) if refusal.reason == "unimplemented"), "{answer:?}");
    let lease = session.map("a").await.lease;
    session.send(Request::Release(v1::ReleaseRequest { leases: vec![lease], ..Default::default() }));
    until("no session has left a lease", async || client.leases().await.unwrap().is_empty().then_some(()))
        .await;
}

#[tokio::test]
async fn answers_that_nobody_takes_leave_no_leases_and_stop_the_reading() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let client = agent.client().await;
    put(&client, "a").await;
    let mut session = Session::open(&agent).await;
    // A hundred thousand leases in all, if they were all granted.
    let names = vec!["a"; 1000];
    for _ in 0..100 {
        session.send(map(&names));
    }
    // A look may fall into the middle of a request.
    until("a whole request's are granted", async || {
        (client.leases().await.unwrap().len() >= names.len()).then_some(())
    })
    .await;
    drop(session);
    // What had been sent before the stream broke belongs to this process; what waited does not.
    let mut before = usize::MAX;
    let left = until("the rest is taken back", async || {
        let now = client.leases().await.unwrap().len();
        tokio::time::sleep(Duration::from_millis(100)).await;
        (std::mem::replace(&mut before, now) == now).then_some(now)
    })
    .await;
    assert!(left < 100_000, "all were granted to a client that took no answer");
}

#[tokio::test]
async fn an_agent_that_is_told_to_stop_says_so_and_does_not_wait_for_sessions() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let mut session = Session::open(&agent).await;
    session.watch(prefix(""), None).await;
    let start = std::time::Instant::now();
    let stopped = tokio::task::spawn_blocking(move || agent.terminate());
    assert_eq!(session.event().await, (0, "shutting down".into()));
    assert!(session.next().await.unwrap().is_none(), "then the stream ends");
    drop(session);
    assert_eq!(stopped.await.unwrap(), Some(0));
    assert!(
        start.elapsed() < Duration::from_secs(8),
        "it waited for the session until its time to drain was over"
    );
}

#[tokio::test]
async fn over_tcp_there_is_no_session() {
    let region = Region::new("64MiB");
    let agent = region.agent_with(&["--listen", "127.0.0.1:0"]);
    let mut flight =
        FlightServiceClient::new(Endpoint::from_shared(agent.tcp()).unwrap().connect().await.unwrap());
    let first = FlightData::new().with_descriptor(FlightDescriptor::new_cmd(SESSION_COMMAND));
    let refused = flight.do_exchange(futures::stream::iter([first])).await.unwrap_err();
    assert_eq!(reason(&refused), "needs-unix-socket");
}
