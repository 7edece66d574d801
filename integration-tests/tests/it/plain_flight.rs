//! Clients that know nothing of farrow, and what those that announce themselves get instead.

use arrow_array::RecordBatch;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{Criteria, FlightData, FlightDescriptor, FlightInfo, Ticket};
use farrow_integration_tests::{Agent, Region, batch};
use farrow_proto::{ANNOUNCE_HEADER, ANNOUNCE_VALUE};
use futures::TryStreamExt;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request};

type Flight = FlightServiceClient<Channel>;

async fn over_unix(agent: &Agent) -> Flight {
    let endpoint = Endpoint::from_shared(format!("unix://{}", agent.socket())).unwrap();
    FlightServiceClient::new(endpoint.connect().await.unwrap())
}

async fn over_tcp(agent: &Agent) -> Flight {
    FlightServiceClient::new(Endpoint::from_shared(agent.tcp()).unwrap().connect().await.unwrap())
}

fn path(name: &str) -> FlightDescriptor {
    FlightDescriptor::new_path(name.split('/').map(str::to_owned).collect())
}

fn announced<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert(ANNOUNCE_HEADER, ANNOUNCE_VALUE.parse().unwrap());
    request
}

async fn info(flight: &mut Flight, name: &str) -> FlightInfo {
    flight.get_flight_info(path(name)).await.unwrap().into_inner()
}

fn ticket(info: &FlightInfo) -> Ticket {
    info.endpoint[0].ticket.clone().unwrap()
}

async fn rows(flight: &mut Flight, ticket: Ticket) -> Vec<RecordBatch> {
    let messages = flight.do_get(ticket).await.unwrap().into_inner().map_err(FlightError::from);
    FlightRecordBatchStream::new_from_flight_data(messages).try_collect().await.unwrap()
}

async fn messages(flight: &mut Flight, request: Request<Ticket>) -> Vec<FlightData> {
    flight.do_get(request).await.unwrap().into_inner().try_collect().await.unwrap()
}

#[tokio::test]
async fn the_same_rows_over_the_socket_and_over_tcp() {
    let region = Region::new("64MiB");
    let agent = region.agent_with(&["--listen", "127.0.0.1:0"]);
    let stored = batch(0, 200_000);
    let client = agent.client().await;
    client.put("a/b", stored.schema(), vec![stored.clone()]).await.unwrap();

    for mut flight in [over_unix(&agent).await, over_tcp(&agent).await] {
        let info = info(&mut flight, "a/b").await;
        assert_eq!(info.clone().try_decode_schema().unwrap(), *stored.schema());
        assert_eq!((info.total_records, info.endpoint.len()), (200_000, 1));
        assert!(info.endpoint[0].location.is_empty() && info.endpoint[0].app_metadata.is_empty());

        let rows = rows(&mut flight, ticket(&info)).await;
        let mut first = 0;
        for part in &rows {
            assert_eq!(*part, stored.slice(first, part.num_rows()));
            first += part.num_rows();
        }
        assert_eq!(first, 200_000);
    }
    assert!(client.leases().await.unwrap().is_empty(), "a plain client takes no lease");
}

#[tokio::test]
async fn messages_for_plain_clients_are_small_and_all_have_data() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let stored = batch(0, 400_000);
    agent.client().await.put("a", stored.schema(), vec![stored]).await.unwrap();
    let mut flight = over_unix(&agent).await;
    let ticket = ticket(&info(&mut flight, "a").await);
    let messages = messages(&mut flight, Request::new(ticket)).await;
    assert!(messages.len() > 8, "{} messages", messages.len());
    for message in &messages {
        assert!(message.data_body.len() < 4 << 20, "more than clients in other languages take");
        // pyarrow's read_all() silently ends at a message without data.
        assert!(!message.data_header.is_empty() && message.app_metadata.is_empty());
    }
}

#[tokio::test]
async fn who_announces_itself_gets_descriptors_under_a_lease() {
    let region = Region::new("64MiB");
    let agent = region.agent_with(&["--listen", "127.0.0.1:0"]);
    let stored = batch(0, 10_000);
    let client = agent.client().await;
    client.put("a/b", stored.schema(), vec![stored]).await.unwrap();

    let mut flight = over_unix(&agent).await;
    let plain = info(&mut flight, "a/b").await;
    let info = flight.get_flight_info(announced(path("a/b"))).await.unwrap().into_inner();
    assert_eq!(ticket(&info), ticket(&plain), "the same ticket for everybody");
    let descriptor = farrow_proto::decode_map_descriptor(&info.endpoint[0].app_metadata).unwrap();
    assert_eq!((descriptor.name.as_str(), descriptor.version, descriptor.rows), ("a/b", 1, 10_000));
    assert_eq!(client.leases().await.unwrap()[0].lease, descriptor.lease);

    // Mapped batches: the schema, the mapping descriptor, a descriptor for each batch, and no data.
    let messages = messages(&mut flight, announced(ticket(&info))).await;
    let [schema, map, batch] = messages.as_slice() else { panic!("{} messages", messages.len()) };
    assert!(!schema.data_header.is_empty());
    let mapped = farrow_proto::decode_map_descriptor(&map.app_metadata).unwrap();
    assert_eq!(mapped.segments, descriptor.segments);
    let batch_descriptor = farrow_proto::decode_batch_descriptor(&batch.app_metadata).unwrap();
    assert_eq!((batch_descriptor.segment, batch_descriptor.batch, batch_descriptor.rows), (0, 0, 10_000));
    assert!(map.data_body.is_empty() && batch.data_body.is_empty());
    assert_eq!(client.leases().await.unwrap().len(), 2);

    // Over TCP nobody can be given a lease: rows come, and the descriptor does not.
    let mut far = over_tcp(&agent).await;
    let info = far.get_flight_info(announced(path("a/b"))).await.unwrap().into_inner();
    assert!(info.endpoint[0].app_metadata.is_empty() && !info.schema.is_empty());
    assert_eq!(rows(&mut far, ticket(&info)).await.iter().map(RecordBatch::num_rows).sum::<usize>(), 10_000);
    assert_eq!(client.leases().await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_ticket_never_gets_the_rows_of_another_version() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let client = agent.client().await;
    let (first, second) = (batch(0, 10), batch(100, 10));
    client.put("a", first.schema(), vec![first.clone()]).await.unwrap();
    let mut flight = over_unix(&agent).await;
    let old = ticket(&info(&mut flight, "a").await);
    assert_eq!(rows(&mut flight, old.clone()).await, [first]);

    client.drop("a").await.unwrap();
    assert_eq!(flight.do_get(old.clone()).await.unwrap_err().code(), Code::NotFound);
    let again = client.put("a", second.schema(), vec![second.clone()]).await.unwrap();
    assert_eq!(again.version, 2, "the numbers of a name go on");
    for request in [Request::new(old.clone()), announced(old.clone())] {
        let gone = flight.do_get(request).await.unwrap_err();
        assert_eq!(gone.code(), Code::NotFound);
        assert!(gone.message().contains("`a@1` is gone"), "{}", gone.message());
    }
    // One made by hand, with the number of the one and the commit of the other.
    let mut forged = farrow_proto::decode_ticket(&old.ticket).unwrap();
    forged.version = 2;
    let forged = flight.do_get(Ticket::new(farrow_proto::encode_ticket(&forged))).await.unwrap_err();
    assert_eq!(forged.code(), Code::NotFound);
    assert!(forged.message().contains("Ask for a new ticket"), "{}", forged.message());
    assert_eq!(client.leases().await.unwrap(), [], "a refusal holds nothing");
    let new = ticket(&info(&mut flight, "a").await);
    assert_eq!(rows(&mut flight, new).await, [second]);
}

#[tokio::test]
async fn listing_and_schema() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let client = agent.client().await;
    let stored = batch(0, 10);
    // More than the agent looks up at a time.
    for index in 0..300 {
        client.put(&format!("many/{index:03}"), stored.schema(), vec![stored.clone()]).await.unwrap();
    }
    client.put("other", stored.schema(), vec![stored.clone()]).await.unwrap();

    let mut flight = over_unix(&agent).await;
    let listed = async |flight: &mut Flight, prefix: &'static str| -> Vec<FlightInfo> {
        let criteria = Criteria { expression: prefix.into() };
        flight.list_flights(criteria).await.unwrap().into_inner().try_collect().await.unwrap()
    };
    assert_eq!(listed(&mut flight, "").await.len(), 301);
    let many = listed(&mut flight, "many/").await;
    assert_eq!(many.len(), 300);
    assert_eq!(many[7].flight_descriptor.as_ref().unwrap().path, ["many", "007"]);
    assert_eq!(many[7].clone().try_decode_schema().unwrap(), *stored.schema());

    let schema = flight.get_schema(path("other")).await.unwrap().into_inner();
    assert_eq!(arrow_schema::Schema::try_from(schema).unwrap(), *stored.schema());
}

#[tokio::test]
async fn a_stream_that_was_cut_off_holds_nothing() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let client = agent.client().await;
    let stored = batch(0, 400_000);
    client.put("a", stored.schema(), vec![stored]).await.unwrap();
    let mut flight = over_unix(&agent).await;
    let ticket = ticket(&info(&mut flight, "a").await);
    let mut stream = flight.do_get(ticket).await.unwrap().into_inner();
    assert!(stream.message().await.unwrap().is_some());
    drop(stream);
    client.drop("a").await.unwrap();
    let start = std::time::Instant::now();
    while client.usage().await.unwrap().held > 0 {
        assert!(start.elapsed().as_secs() < 30, "still held by a stream that nobody reads");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}
