//! Answers that are large: they take a bounded memory, whoever asks for however many and takes none.

use std::time::Duration;

use arrow_flight::{Action as Call, FlightDescriptor};
use bytes::Bytes;
use farrow_integration_tests::{Agent, Peers, Region, User, batch, eventually, wide};
use farrow_proto::{ANNOUNCE_HEADER, ANNOUNCE_VALUE, Action, v1};
use futures::TryStreamExt;
use prost::Message;
use tonic::{Code, Status};

use crate::leases::until;
use crate::limits::{Flight, flight, reserve, ticket};
use crate::peers::{BESIDE, in_time, private_mib};

/// A user that nobody is.
const MALLORY: u32 = 7304;

/// MiB of answers that one user has in memory: a half of stream-bytes.
const OF_ONE_USER: u64 = 32;

/// Segments of the frame `many`, and columns of the frame `wide`.
const SEGMENTS: usize = 300;
const COLUMNS: usize = 3000;

async fn put_many(agent: &Agent) {
    let client = agent.client().await;
    for _ in 0..SEGMENTS {
        let rows = batch(0, 1);
        client.append("many", rows.schema(), vec![rows]).await.unwrap();
    }
}

async fn put_wide(agent: &Agent) {
    let rows = wide(COLUMNS);
    agent.client().await.put("wide", rows.schema(), vec![rows]).await.unwrap();
}

/// Asks where a frame lies, so many times in one request.
async fn map(flight: &mut Flight, name: &str, times: usize) -> Result<Vec<v1::MapResult>, Status> {
    let request = v1::MapRequest { names: vec![name.to_owned(); times] };
    let call = Call::new(Action::Map.as_str(), request.encode_to_vec());
    let results: Vec<_> = flight.do_action(call).await?.into_inner().try_collect().await?;
    Ok(results.iter().map(|result| v1::MapResult::decode(result.body.clone()).unwrap()).collect())
}

#[tokio::test]
async fn one_answer_for_many_names_has_so_many_bytes() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    put_many(&agent).await;
    let mut flight = flight(agent.socket()).await;
    let mapped = map(&mut flight, "many", 30).await.unwrap();
    assert_eq!(mapped.len(), 30);
    for result in mapped {
        let Some(v1::map_result::Result::Map(map)) = result.result else { panic!("{result:?}") };
        assert_eq!(map.segments.len(), SEGMENTS);
    }
    let client = agent.client().await;
    assert_eq!(client.usage().await.unwrap().leases, 30);
    let refused = map(&mut flight, "many", 4096).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    let text = refused.message();
    assert!(text.contains("4096 frames") && text.contains("fewer names"), "{text}");
    // Nothing was granted, and one name alone is answered however long that is.
    assert_eq!(client.usage().await.unwrap().leases, 30);
    assert_eq!(map(&mut flight, "many", 1).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_nobody_takes_take_a_bounded_memory() {
    let region = Region::new("256MiB");
    let agent = region.agent();
    put_many(&agent).await;
    put_wide(&agent).await;
    region.let_everybody_in();
    let Some(mallory) = User::new(MALLORY, "answers that one user does not take") else { return };
    // Each kind would take hundreds of MiB.
    for (what, count, frame) in
        [("mappings", 100, "many"), ("schemas", 1000, "wide"), ("unread", 600, "wide")]
    {
        let idle = private_mib(agent.pid());
        let peers = Peers::of(&mallory, what, agent.socket(), count, frame);
        let mut flight = flight(agent.socket()).await;
        let mut most = 0;
        // Root is served meanwhile, whatever it asks for.
        for _ in 0..20 {
            let mapped = in_time("root", map(&mut flight, "many", 2)).await.unwrap();
            assert_eq!(mapped.len(), 2);
            most = most.max(private_mib(agent.pid()));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        // As with rows: what was freed may stay with the allocator, and each stream has 64 KiB beside.
        let (grown, bound) = (most.saturating_sub(idle), 2 * OF_ONE_USER + count as u64 / 16 + BESIDE);
        assert!(grown < bound, "{grown} of {bound} MiB for {count} {what}");
        // One of its own gives way to whoever of the same user takes what it asks for.
        let head =
            mallory.command("farrow").args(["head", "many", "--address", agent.socket()]).output().unwrap();
        assert!(head.status.success(), "{what}: {}", String::from_utf8_lossy(&head.stderr));
        drop(peers);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_leaves_its_user_nothing_to_wait_for() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    put_many(&agent).await;
    region.let_everybody_in();
    let Some(mallory) = User::new(MALLORY, "clients that go away") else { return };
    let idle = private_mib(agent.pid());
    for _ in 0..3 {
        // They ask for more than their user may have in memory, and what waits for memory has none.
        let peers = Peers::of(&mallory, "lookups", agent.socket(), 16, "absent");
        eventually("some of it is there", || (private_mib(agent.pid()) > idle + 8).then_some(()));
        let grown = private_mib(agent.pid()).saturating_sub(idle);
        // Of requests its user has as much again; each session has one of up to 1 MiB in its connection besides, and what
        // is freed stays for a while.
        let bound = 3 * OF_ONE_USER + 16 + BESIDE;
        assert!(grown < bound, "{grown} of {bound} MiB");
        drop(peers);
        let mut ls = mallory.command("farrow");
        let ls = tokio::task::spawn_blocking({
            let socket = agent.socket().to_owned();
            move || ls.args(["ls", "--address", &socket]).output().unwrap()
        });
        let ls = in_time("who comes after them", ls).await.unwrap();
        assert!(ls.status.success(), "{}", String::from_utf8_lossy(&ls.stderr));
    }
}

#[tokio::test]
async fn what_is_granted_in_an_answer_that_is_not_sent_goes_back() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let client = agent.client().await;
    let rows = batch(0, 10);
    client.put("small", rows.schema(), vec![rows]).await.unwrap();
    let mut flight = flight(agent.socket()).await;
    let found = FlightDescriptor::new_path(vec!["small".to_owned()]).encode_to_vec();
    let got = ticket(&mut flight, "small").await.encode_to_vec();
    let names = v1::MapRequest { names: vec!["small".to_owned(); 100] };
    let mapped = Call::new(Action::Map.as_str(), names.encode_to_vec()).encode_to_vec();
    let space = v1::ReserveRequest { len: 4096, ..Default::default() };
    let reserve_space = Call::new(Action::Reserve.as_str(), space.encode_to_vec()).encode_to_vec();
    let requests = [
        ("GetFlightInfo", found, 1),
        ("DoGet", got, 1),
        ("DoAction", mapped, 100),
        ("DoAction", reserve_space, 0),
    ];
    for (verb, request, leases) in requests {
        // A client that lets nothing be sent to it but heads of answers.
        let socket = tokio::net::UnixStream::connect(agent.socket()).await.unwrap();
        let (sender, connection) =
            h2::client::Builder::new().initial_window_size(0).handshake::<_, Bytes>(socket).await.unwrap();
        let connection = tokio::spawn(connection);
        let uri = format!("http://agent/arrow.flight.protocol.FlightService/{verb}");
        let head =
            http::Request::post(uri).header("content-type", "application/grpc").header("te", "trailers");
        let head = head.header(ANNOUNCE_HEADER, ANNOUNCE_VALUE).body(()).unwrap();
        let (answer, mut stream) = sender.ready().await.unwrap().send_request(head, false).unwrap();
        let len = u32::try_from(request.len()).unwrap();
        stream.send_data([&[0][..], &len.to_be_bytes(), &request].concat().into(), true).unwrap();
        let answer = answer.await.unwrap();
        assert!(!answer.headers().contains_key("grpc-status"), "{verb}: {answer:?}");
        until("it is granted", async || {
            let usage = client.usage().await.unwrap();
            (usage.leases == leases && (usage.reserved > 0) == (leases == 0)).then_some(())
        })
        .await;
        stream.send_reset(h2::Reason::CANCEL);
        drop(answer);
        until("it goes back", async || {
            let usage = client.usage().await.unwrap();
            ((usage.leases, usage.reserved) == (0, 0)).then_some(())
        })
        .await;
        connection.abort();
    }
    // Where it is sent, it stays with the process.
    reserve(&mut flight, 4096).await.unwrap();
    map(&mut flight, "small", 2).await.unwrap();
    let usage = client.usage().await.unwrap();
    assert_eq!((usage.leases, usage.reserved > 0), (2, true));
}
