//! Bad input of any kind: a clear error, nothing lost, and the agent serves on.

use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{Action as Call, FlightDescriptor, Ticket};
use farrow_client::{Client, ClientError, Reason};
use farrow_integration_tests::{Agent, Region, batch, farrow, sum};
use farrow_proto::{Action, v1};
use farrow_region::{FileRange, WriteMapping};
use futures::TryStreamExt;
use prost::Message;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

type Flight = FlightServiceClient<Channel>;

async fn flight(agent: &Agent) -> Flight {
    let endpoint = Endpoint::from_shared(format!("unix://{}", agent.socket())).unwrap();
    FlightServiceClient::new(endpoint.connect().await.unwrap())
}

pub(crate) async fn act<M: Message + Default>(
    flight: &mut Flight,
    action: &str,
    body: Vec<u8>,
) -> Result<M, Status> {
    let results = flight.do_action(Call::new(action, body)).await?.into_inner();
    let results: Vec<_> = results.try_collect().await?;
    Ok(results.first().map(|result| M::decode(result.body.clone()).unwrap()).unwrap_or_default())
}

pub(crate) fn reason(status: &Status) -> &str {
    status.metadata().get("x-farrow-reason").expect("every refusal has its reason").to_str().unwrap()
}

/// Reserves what `bytes` needs and writes them there.
pub(crate) async fn reserve_and_write(flight: &mut Flight, bytes: &[u8]) -> v1::Reservation {
    let request = v1::ReserveRequest { len: bytes.len() as u64, ..Default::default() };
    let reservation: v1::Reservation =
        act(flight, Action::Reserve.as_str(), request.encode_to_vec()).await.unwrap();
    let [pool] = reservation.pools.as_slice() else { panic!("one pool") };
    let [range] = pool.ranges.as_slice() else { panic!("a pool file in one piece") };
    let file = std::fs::OpenOptions::new().read(true).write(true).open(&pool.path).unwrap();
    let ranges: Vec<FileRange> = reservation
        .extents
        .iter()
        .map(|extent| FileRange { offset: range.offset + extent.offset, len: extent.length })
        .collect();
    WriteMapping::map(&file, &ranges).unwrap().write_at(0, bytes).unwrap();
    reservation
}

#[tokio::test]
async fn names_and_versions() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let client = agent.client().await;
    let rows = batch(0, 10);
    client.put("a/b", rows.schema(), vec![rows.clone()]).await.unwrap();
    let long = "x".repeat(256);
    for name in
        ["", "/a", "a/", "a//b", "../a", "a/../b", "./a", "a\0b", "a@b@c", "a@0", "a@x", long.as_str()]
    {
        let error = client.get(name).await.unwrap_err();
        assert_eq!(error.reason(), Some(Reason::InvalidName), "{name:?}: {error}");
        let error = client.put(name, rows.schema(), vec![rows.clone()]).await.unwrap_err();
        assert_eq!(error.reason(), Some(Reason::InvalidName), "{name:?}: {error}");
    }
    for name in ["nope", "a", "a/b/c", "a/b@2", "a/b@18446744073709551615"] {
        let error = client.get(name).await.unwrap_err();
        assert_eq!(error.reason(), Some(Reason::NotFound), "{name:?}: {error}");
    }
    let start = std::time::Instant::now();
    while client.usage().await.unwrap().reserved > 0 {
        assert!(start.elapsed().as_secs() < 30, "refused puts left reservations");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert_eq!(client.get("a/b").await.unwrap().rows(), 10);
    drop(agent);
    region.assert_clean();
}

#[tokio::test]
async fn a_commit_of_what_is_no_arrow_file() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let client = agent.client().await;
    let rows = batch(0, 100);
    client.put("good", rows.schema(), vec![rows.clone()]).await.unwrap();
    let mut flight = flight(&agent).await;
    let garbage =
        [vec![0; 5000], b"ARROW1\0\0 and nothing more".to_vec(), (0..=255).cycle().take(9999).collect()];
    for bytes in garbage {
        let reservation = reserve_and_write(&mut flight, &bytes).await;
        let request = v1::CommitRequest {
            reservation: reservation.id,
            name: "bad".into(),
            len: bytes.len() as u64,
            ..Default::default()
        };
        let status =
            act::<v1::FrameInfo>(&mut flight, Action::Commit.as_str(), request.encode_to_vec()).await;
        let status = status.unwrap_err();
        assert_eq!((status.code(), reason(&status)), (Code::InvalidArgument, "invalid-data"), "{status}");
        assert_eq!(client.get("bad").await.unwrap_err().reason(), Some(Reason::NotFound));
        let request = v1::AbortRequest { reservation: reservation.id };
        act::<()>(&mut flight, Action::Abort.as_str(), request.encode_to_vec()).await.unwrap();
    }
    assert_eq!(client.usage().await.unwrap().reserved, 0);
    assert_eq!(client.get("good").await.unwrap().batch(0).unwrap(), rows);
}

#[tokio::test]
async fn reservations_are_their_owners_and_used_once() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let mut flight = flight(&agent).await;
    let commit = |reservation, len| {
        v1::CommitRequest { reservation, name: "a".into(), len, append: false, ..Default::default() }
            .encode_to_vec()
    };

    let stolen =
        act::<v1::FrameInfo>(&mut flight, Action::Commit.as_str(), commit(12345, 10)).await.unwrap_err();
    assert_eq!((stolen.code(), reason(&stolen)), (Code::FailedPrecondition, "not-held"), "{stolen}");
    // Another process's: its number is known, and still it is refused.
    let other = farrow_integration_tests::Holder::of_reservation(agent.socket(), 5000);
    for id in 0..64 {
        let refused =
            act::<v1::FrameInfo>(&mut flight, Action::Commit.as_str(), commit(id, 10)).await.unwrap_err();
        assert_eq!(reason(&refused), "not-held", "{refused}");
    }
    drop(other);

    let reservation = reserve_and_write(&mut flight, &[1; 100]).await;
    let longer =
        act::<v1::FrameInfo>(&mut flight, Action::Commit.as_str(), commit(reservation.id, 101)).await;
    assert_eq!(reason(&longer.unwrap_err()), "invalid-data");
    let abort = v1::AbortRequest { reservation: reservation.id }.encode_to_vec();
    act::<()>(&mut flight, Action::Abort.as_str(), abort.clone()).await.unwrap();
    assert_eq!(reason(&act::<()>(&mut flight, Action::Abort.as_str(), abort).await.unwrap_err()), "not-held");
}

#[tokio::test]
async fn a_full_region_says_what_it_needs_and_has() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let client = agent.client().await;
    let rows = batch(0, 1000);
    client.put("small", rows.schema(), vec![rows]).await.unwrap();
    let large = batch(0, 4_000_000);
    let error = client.put("large", large.schema(), vec![large]).await.unwrap_err();
    assert_eq!(error.reason(), Some(Reason::RegionFull));
    let text = error.to_string();
    assert!(text.contains("need ") && text.contains("largest free extent"), "{text}");
    assert_eq!(client.get("small").await.unwrap().rows(), 1000);
    assert_eq!(client.usage().await.unwrap().reserved, 0);
}

#[tokio::test]
async fn tickets_actions_and_descriptors_of_any_bytes() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let client = agent.client().await;
    let rows = batch(0, 10);
    client.put("a", rows.schema(), vec![rows]).await.unwrap();
    let mut flight = flight(&agent).await;

    let foreign = v1::Ticket {
        region_uuid: vec![1; 16].into(),
        name: "a".into(),
        version: 1,
        commit: 1,
        selection: None,
    };
    let short = v1::Ticket { region_uuid: vec![1; 3].into(), ..foreign.clone() };
    let tickets = [
        Vec::new(),
        b"FRRT".to_vec(),
        b"FRRT\x01\xff\xff\xff\xff\xff\xff\xff\xff".to_vec(),
        vec![0xff; 100_000],
        farrow_proto::encode_ticket(&foreign).to_vec(),
        farrow_proto::encode_ticket(&short).to_vec(),
    ];
    for ticket in tickets {
        let status = flight.do_get(Ticket { ticket: ticket.into() }).await.unwrap_err();
        assert_eq!(reason(&status), "invalid-data", "{status}");
    }
    let bodiless = |action: &&Action| matches!(action, Action::Leases | Action::Usage | Action::Health);
    for action in Action::ALL.iter().filter(|action| !bodiless(action)) {
        let status = act::<()>(&mut flight, action.as_str(), vec![0xff; 40]).await.unwrap_err();
        assert_eq!(reason(&status), "invalid-data", "{action:?}: {status}");
    }
    assert_eq!(
        reason(&act::<()>(&mut flight, "farrow.Explode", Vec::new()).await.unwrap_err()),
        "unimplemented"
    );
    let command = FlightDescriptor::new_cmd("SELECT 1");
    assert_eq!(reason(&flight.get_flight_info(command).await.unwrap_err()), "invalid-data");
    let huge = v1::ReserveRequest { len: u64::MAX, ..Default::default() }.encode_to_vec();
    assert_eq!(
        reason(&act::<()>(&mut flight, Action::Reserve.as_str(), huge).await.unwrap_err()),
        "region-full"
    );
    let nothing = v1::ReserveRequest { len: 0, ..Default::default() }.encode_to_vec();
    assert_eq!(
        reason(&act::<()>(&mut flight, Action::Reserve.as_str(), nothing).await.unwrap_err()),
        "invalid-data"
    );
    assert_eq!(sum(&client.get("a").await.unwrap()).unwrap(), 45, "it serves on");
}

#[tokio::test]
async fn over_tcp_nothing_is_given_to_a_process() {
    let region = Region::new("64MiB");
    let agent = region.agent_with(&["--listen", "127.0.0.1:0"]);
    let mut flight =
        FlightServiceClient::new(Endpoint::from_shared(agent.tcp()).unwrap().connect().await.unwrap());
    let request = v1::ReserveRequest { len: 10, ..Default::default() }.encode_to_vec();
    let refused = act::<()>(&mut flight, Action::Reserve.as_str(), request).await.unwrap_err();
    assert_eq!(reason(&refused), "needs-unix-socket");
    assert!(refused.message().contains("connect to the unix socket"), "{refused}");
}

/// Something else than an agent, or a host that has gone without a word.
#[tokio::test]
async fn a_listener_that_says_nothing_is_an_error() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let silent = tokio::spawn(async move {
        let mut peers = Vec::new();
        loop {
            peers.push(listener.accept().await.unwrap());
        }
    });
    let asked = async {
        let client = Client::connect(address.parse().unwrap()).await?;
        client.list("").await.map(drop)
    };
    let doctor = tokio::task::spawn_blocking({
        let address = address.clone();
        move || farrow(&["doctor", "--address", &address])
    });
    let (error, doctor) = (asked.await.unwrap_err(), doctor.await.unwrap());
    assert!(matches!(error, ClientError::Unavailable { .. }), "{error:?}");
    let told = String::from_utf8(doctor.stdout).unwrap();
    assert_eq!((doctor.status.code(), told.matches("does not answer").count()), (Some(1), 1), "{told}");
    silent.abort();
}

#[tokio::test]
async fn no_agent_at_the_address() {
    for address in ["/nowhere/agent.sock", "http://127.0.0.1:1"] {
        let error = Client::connect(address.parse().unwrap()).await.unwrap_err();
        assert!(matches!(error, ClientError::NoAgent { .. }), "{error:?}");
        assert!(error.to_string().contains("farrow-agent --region"), "{error}");
    }
    let told = farrow(&["ls", "--address", "/nowhere/agent.sock"]);
    assert_eq!(told.status.code(), Some(4));
    assert!(String::from_utf8_lossy(&told.stderr).contains("no agent at /nowhere/agent.sock"));
}
