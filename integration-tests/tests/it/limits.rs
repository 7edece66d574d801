//! Limits of one client, which takes nothing from others.

use std::io::{ErrorKind, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{Action as Call, FlightData, FlightDescriptor, Ticket};
use farrow_client::Reason;
use farrow_integration_tests::{Agent, Holder, Peers, Region, User, batch, eventually};
use farrow_proto::{Action, v1};
use futures::TryStreamExt;
use prost::Message;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status, Streaming};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use crate::leases::until;

pub(crate) type Flight = FlightServiceClient<Channel>;

/// Rows of more bytes than connections and their buffers take in by themselves.
const MANY_ROWS: i64 = 1_000_000;

/// The time after which something that never comes is given up.
const NEVER: Duration = Duration::from_secs(120);

/// An agent with these lines under `[limits]`.
pub(crate) fn limited(region: &Region, limits: &str) -> Agent {
    let file = region.beside("agent.toml");
    std::fs::write(&file, format!("[limits]\n{limits}\n")).unwrap();
    region.agent_with(&["--config", file.to_str().unwrap()])
}

pub(crate) async fn flight(socket: &str) -> Flight {
    let endpoint = Endpoint::from_shared(format!("unix://{socket}")).unwrap();
    FlightServiceClient::new(endpoint.connect().await.unwrap())
}

pub(crate) async fn ticket(flight: &mut Flight, name: &str) -> Ticket {
    let info = flight.get_flight_info(FlightDescriptor::new_path(vec![name.to_owned()])).await.unwrap();
    info.into_inner().endpoint[0].ticket.clone().unwrap()
}

/// A stream of rows whose client, on a connection of its own, takes none.
pub(crate) async fn stuck(agent: &Agent, name: &str) -> Streaming<FlightData> {
    let mut flight = flight(agent.socket()).await;
    let ticket = ticket(&mut flight, name).await;
    flight.do_get(ticket).await.unwrap().into_inner()
}

pub(crate) async fn reserve(flight: &mut Flight, len: u64) -> Result<v1::Reservation, Status> {
    let body = v1::ReserveRequest { len, ..Default::default() }.encode_to_vec();
    let results = flight.do_action(Call::new(Action::Reserve.as_str(), body)).await?.into_inner();
    let results: Vec<_> = results.try_collect().await?;
    Ok(v1::Reservation::decode(results[0].body.clone()).unwrap())
}

fn reason(status: &Status) -> &str {
    status.metadata().get("x-farrow-reason").unwrap().to_str().unwrap()
}

#[tokio::test]
async fn a_connection_too_many_closes_the_one_that_is_idle_longest() {
    let region = Region::new("64MiB");
    let agent = limited(&region, "connections = 3");
    region.let_everybody_in();
    let socket = Path::new(agent.socket());
    let Some(user) = User::new(7303, "a user's share of the connections") else { return };
    // Of three places it has two, as one has to be free.
    let peers = Peers::of(&user, "greeted", agent.socket(), 20, "");
    eventually("most are closed", || agent.log().contains("idle ones closed").then_some(()));
    // Root has a reserve, in which requests under way give way to nobody.
    let client = agent.client().await;
    let mut watch = client.watch("").await.unwrap();
    let idle: Vec<UnixStream> = (0..40).map(|_| UnixStream::connect(socket).unwrap()).collect();
    let rows = batch(0, 10);
    agent.client().await.put("a", rows.schema(), vec![rows]).await.unwrap();
    watch.next().await.unwrap();
    drop((idle, peers));
}

#[tokio::test]
async fn one_process_has_so_many_reservations() {
    let region = Region::new("64MiB");
    let agent = limited(&region, "reservations-per-process = 2");
    let mut flight = flight(agent.socket()).await;
    let first = reserve(&mut flight, 100).await.unwrap();
    reserve(&mut flight, 100).await.unwrap();
    let refused = reserve(&mut flight, 100).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused)), (Code::ResourceExhausted, "quota"));
    let text = refused.message();
    assert!(text.contains(&format!("process {}", std::process::id())) && text.contains('2'), "{text}");
    // Another process has its own.
    drop(Holder::of_reservation(agent.socket(), 100));
    let body = v1::AbortRequest { reservation: first.id }.encode_to_vec();
    flight.do_action(Call::new(Action::Abort.as_str(), body)).await.unwrap();
    reserve(&mut flight, 100).await.unwrap();
}

#[tokio::test]
async fn one_user_has_so_many_bytes() {
    let region = Region::new("64MiB");
    let agent = limited(&region, "bytes-per-user = \"1 MiB\"");
    let client = agent.client().await;
    let rows = batch(0, 20_000);
    client.put("a", rows.schema(), vec![rows.clone()]).await.unwrap();
    let error = client.put("b", rows.schema(), vec![rows.clone(), rows.clone()]).await.unwrap_err();
    assert_eq!(error.reason(), Some(Reason::Quota), "{error}");
    for part in ["1.0 MiB", "bytes-per-user", "farrow rm"] {
        assert!(error.to_string().contains(part), "{error}");
    }
    // Nothing is left of what was refused, and what is dropped no longer counts.
    assert_eq!(client.usage().await.unwrap().reserved, 0);
    client.drop("a").await.unwrap();
    client.put("b", rows.schema(), vec![rows.clone()]).await.unwrap();
}

#[tokio::test]
async fn what_is_dropped_and_still_mapped_counts() {
    let region = Region::new("256MiB");
    let agent = limited(&region, "bytes-per-user = \"8 MiB\"");
    let client = agent.client().await;
    let rows = batch(0, 100_000);
    let mut held = Vec::new();
    let error = loop {
        match client.put("a", rows.schema(), vec![rows.clone()]).await {
            Ok(_) => held.push(client.get("a").await.unwrap()),
            Err(error) => break error,
        }
        assert!(held.last().unwrap().zero_copy());
        client.drop("a").await.unwrap();
        assert!(client.usage().await.unwrap().held <= 8 << 20);
    };
    assert_eq!(error.reason(), Some(Reason::Quota), "{error}");
    for part in [
        "0 B in versions, 0 B in reservations, ",
        "dropped and that are still held",
        "farrow leases",
        "bytes-per-user",
    ] {
        assert!(error.to_string().contains(part), "{error}");
    }
    assert!(held.len() > 1);
    held.clear();
    until("they are let go", async || (client.usage().await.unwrap().held == 0).then_some(())).await;
    client.put("a", rows.schema(), vec![rows.clone()]).await.unwrap();
}

#[tokio::test]
async fn one_user_holds_so_much_of_what_was_dropped() {
    let Some(other) = User::new(4714, "a quota of one who only reads") else { return };
    let region = Region::new("256MiB");
    let agent = limited(&region, "bytes-per-user = \"8 MiB\"");
    region.let_everybody_in();
    let client = agent.client().await;
    let rows = batch(0, 300_000);
    let mut readers = Vec::new();
    for _ in 0..2 {
        client.put("a", rows.schema(), vec![rows.clone()]).await.unwrap();
        readers.push(Holder::of_frame_as(&other, agent.socket(), "a"));
        client.drop("a").await.unwrap();
    }
    let held = client.usage().await.unwrap().held;
    assert!(held > 8 << 20, "{held}");
    // Whoever publishes goes on, and everybody else reads.
    client.put("a", rows.schema(), vec![rows.clone()]).await.unwrap();
    assert!(client.get("a").await.unwrap().zero_copy());
    let refused = other.command("hold").args([agent.socket(), "get", "a"]).output().unwrap();
    let told = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && told.contains("of versions that were dropped"), "{told}");
    readers.pop().unwrap().kill();
    until("there is room again", async || (client.usage().await.unwrap().held < 8 << 20).then_some(())).await;
    drop(Holder::of_frame_as(&other, agent.socket(), "a"));
}

#[tokio::test]
async fn a_large_request_is_refused_and_the_agent_serves_on() {
    let region = Region::new("64MiB");
    let agent = limited(&region, "request-bytes = \"64 KiB\"");
    let mut flight = flight(agent.socket()).await;
    let refused = flight.do_get(Ticket::new(vec![0; 65 << 10])).await.unwrap_err();
    assert_eq!(refused.code(), Code::OutOfRange, "{refused}");
    let refused = flight.do_get(Ticket::new(vec![0; 63 << 10])).await.unwrap_err();
    assert_eq!(reason(&refused), "invalid-data");
}

#[tokio::test]
async fn streams_of_one_connection_wait_for_their_turn() {
    let region = Region::new("256MiB");
    let agent = limited(&region, "streams-per-connection = 1");
    let client = agent.client().await;
    let rows = batch(0, MANY_ROWS);
    client.put("a", rows.schema(), vec![rows]).await.unwrap();
    let mut one = flight(agent.socket()).await;
    let asked = ticket(&mut one, "a").await;
    let first = one.do_get(asked.clone()).await.unwrap();
    let mut same = one.clone();
    let waiting = tokio::spawn(async move { same.do_get(asked).await.map(drop) });
    // On other connections nobody waits.
    for _ in 0..20 {
        let mut other = flight(agent.socket()).await;
        ticket(&mut other, "a").await;
    }
    assert!(!waiting.is_finished(), "the second stream did not wait");
    drop(first);
    waiting.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_client_that_takes_nothing_loses_its_stream_and_holds_nothing() {
    let region = Region::new("256MiB");
    let agent = limited(&region, "stall = \"1s\"");
    let client = agent.client().await;
    let rows = batch(0, MANY_ROWS);
    client.put("a", rows.schema(), vec![rows]).await.unwrap();
    let stream = stuck(&agent, "a").await;
    let dropped = client.drop("a").await.unwrap();
    assert_eq!(dropped.bytes_freed, 0, "the stream holds it");
    until("its bytes return", async || (client.usage().await.unwrap().held == 0).then_some(())).await;
    // It is told so, and does not take what it has for everything.
    let error = stream.try_collect::<Vec<_>>().await.unwrap_err();
    assert_eq!((error.code(), reason(&error)), (Code::Aborted, "stalled"), "{error}");
}

/// A peer that asks and reads no answer: of pings, which are nobody's streams.
#[test]
fn a_connection_whose_socket_takes_nothing_is_closed() {
    let region = Region::new("64MiB");
    let file = region.beside("agent.toml");
    std::fs::write(&file, "[limits]\nstall = \"1s\"\n").unwrap();
    let agent = region.agent_with(&["--config", file.to_str().unwrap(), "--listen", "127.0.0.1:0"]);
    let unix = UnixStream::connect(agent.socket()).unwrap();
    let tcp = TcpStream::connect(agent.tcp().replace("http://", "")).unwrap();
    unix.set_write_timeout(Some(NEVER)).unwrap();
    tcp.set_write_timeout(Some(NEVER)).unwrap();
    let streams: [(&str, Box<dyn Write>); 2] = [("the socket", Box::new(unix)), ("TCP", Box::new(tcp))];
    for (over, mut stream) in streams {
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").unwrap();
        let pings = b"\0\0\x08\x06\0\0\0\0\0farrow's".repeat(1000);
        let error = loop {
            if let Err(error) = stream.write_all(&pings) {
                break error;
            }
        };
        assert_ne!(error.kind(), ErrorKind::WouldBlock, "{over}: the agent keeps it open");
    }
}

#[tokio::test]
async fn clients_that_take_nothing_keep_nobody_waiting() {
    let region = Region::new("256MiB");
    let agent = region.agent();
    let client = agent.client().await;
    let rows = batch(0, MANY_ROWS);
    client.put("large", rows.schema(), vec![rows]).await.unwrap();
    let rows = batch(0, 1000);
    client.put("small", rows.schema(), vec![rows]).await.unwrap();
    let mut all = Vec::new();
    for _ in 0..50 {
        all.push(stuck(&agent, "large").await);
    }
    let mut other = flight(agent.socket()).await;
    let asked = ticket(&mut other, "small").await;
    for _ in 0..100 {
        let messages: Vec<FlightData> =
            other.do_get(asked.clone()).await.unwrap().into_inner().try_collect().await.unwrap();
        assert!(messages.len() >= 2);
    }
    // Those that were stuck go on where they were.
    let messages: Vec<FlightData> = all.pop().unwrap().try_collect().await.unwrap();
    assert!(messages.iter().map(|message| message.data_body.len()).sum::<usize>() > 10 << 20);
}

async fn health(address: String) -> HealthClient<Channel> {
    HealthClient::new(Endpoint::from_shared(address).unwrap().connect().await.unwrap())
}

/// A watch of the agent's health that has been told something.
async fn watching(health: &mut HealthClient<Channel>) -> Result<Streaming<HealthCheckResponse>, Status> {
    let mut statuses = health.watch(HealthCheckRequest::default()).await?.into_inner();
    let first = statuses.message().await?.unwrap();
    assert_eq!(first.status(), ServingStatus::Serving);
    Ok(statuses)
}

#[tokio::test]
async fn one_users_health_watches_are_not_anothers() {
    let region = Region::new("64MiB");
    let agent = region.agent_with(&["--listen", "127.0.0.1:0"]);
    let (mut watches, mut connections) = (Vec::new(), Vec::new());
    let refused = 'refused: loop {
        assert!(watches.len() < 2048, "one user may have all watches");
        let mut health = health(agent.tcp()).await;
        for _ in 0..128 {
            match watching(&mut health).await {
                Ok(watch) => watches.push(watch),
                Err(refused) => break 'refused refused,
            }
        }
        connections.push(health);
    };
    assert_eq!(watches.len(), 512, "a half of all");
    assert_eq!((refused.code(), reason(&refused)), (Code::ResourceExhausted, "busy"));
    assert!(refused.message().starts_with("512 health watches are this user's"), "{refused}");
    let mut over_tcp = health(agent.tcp()).await;
    over_tcp.check(HealthCheckRequest::default()).await.unwrap();
    // Of a service that there is not, nothing stays taken either.
    let mut on_the_socket = health(format!("unix://{}", agent.socket())).await;
    for _ in 0..1024 {
        let unknown = HealthCheckRequest { service: "none".to_owned() };
        assert_eq!(on_the_socket.watch(unknown).await.unwrap_err().code(), Code::NotFound);
    }
    let _other = watching(&mut on_the_socket).await.unwrap();
    // Those of the first user come back as each ends: with its stream, or with its connection.
    drop(watches.pop());
    watches.push(until("a place is there", async || watching(&mut over_tcp).await.ok()).await);
    drop((watches, connections));
    let mut again = Vec::new();
    until("all places are there", async || {
        again.extend(watching(&mut over_tcp).await.ok());
        (again.len() == 200).then_some(())
    })
    .await;
}
