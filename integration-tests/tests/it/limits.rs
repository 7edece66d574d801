//! What one client may take, and that it takes nothing from others.

use std::io::Read;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{Action as Call, FlightData, FlightDescriptor, Ticket};
use farrow_client::Reason;
use farrow_integration_tests::{Agent, Region, batch, eventually};
use farrow_proto::{Action, v1};
use futures::TryStreamExt;
use prost::Message;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status, Streaming};

use crate::leases::until;

type Flight = FlightServiceClient<Channel>;

/// Rows of more bytes than connections and their buffers take in by themselves.
const MANY_ROWS: i64 = 1_000_000;

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

async fn reserve(flight: &mut Flight, len: u64) -> Result<v1::Reservation, Status> {
    let body = v1::ReserveRequest { len, ..Default::default() }.encode_to_vec();
    let results = flight.do_action(Call::new(Action::Reserve.as_str(), body)).await?.into_inner();
    let results: Vec<_> = results.try_collect().await?;
    Ok(v1::Reservation::decode(results[0].body.clone()).unwrap())
}

fn reason(status: &Status) -> &str {
    status.metadata().get("x-farrow-reason").unwrap().to_str().unwrap()
}

#[test]
fn one_connection_too_many_is_closed_and_the_next_has_its_place() {
    let region = Region::new("64MiB");
    let agent = limited(&region, "connections = 3");
    let socket = Path::new(agent.socket());
    let closed = |stream: &mut UnixStream| {
        stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        // The agent speaks first on a connection that it takes: its HTTP/2 settings.
        matches!(stream.read(&mut [0; 1]), Ok(0) | Err(_))
    };
    let mut open = Vec::new();
    eventually("three connections are let in", || {
        let mut stream = UnixStream::connect(socket).unwrap();
        if !closed(&mut stream) {
            open.push(stream);
        }
        (open.len() == 3).then_some(())
    });
    assert!(closed(&mut UnixStream::connect(socket).unwrap()), "a fourth");
    assert!(agent.log().contains("connections are refused"), "{}", agent.log());
    open.pop();
    eventually("a place is free again", || {
        let mut stream = UnixStream::connect(socket).unwrap();
        (!closed(&mut stream)).then_some(())
    });
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
    drop(farrow_integration_tests::Holder::of_reservation(agent.socket(), 100));
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
