//! Rows that any Flight client publishes: the agent writes them.

use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, DictionaryArray, Int64Array, RecordBatch};
use arrow_flight::encode::{DictionaryHandling, FlightDataEncoderBuilder};
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{FlightData, FlightDescriptor, HandshakeRequest};
use arrow_schema::Schema;
use farrow_client::{Client, Reason};
use farrow_integration_tests::{Agent, Region, batch};
use farrow_proto::{PUT_HEADER, v1};
use futures::channel::mpsc;
use futures::{SinkExt, Stream, TryStreamExt};
use prost::Message;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

type Flight = FlightServiceClient<Channel>;

const MIB: usize = 1 << 20;

async fn over_unix(agent: &Agent) -> Flight {
    let endpoint = Endpoint::from_shared(format!("unix://{}", agent.socket())).unwrap();
    FlightServiceClient::new(endpoint.connect().await.unwrap())
}

fn path(name: &str) -> FlightDescriptor {
    FlightDescriptor::new_path(name.split('/').map(str::to_owned).collect())
}

/// The messages of a put, the descriptor in the first.
async fn messages(descriptor: FlightDescriptor, batches: Vec<RecordBatch>) -> Vec<FlightData> {
    FlightDataEncoderBuilder::new()
        .with_dictionary_handling(DictionaryHandling::Resend)
        .with_flight_descriptor(Some(descriptor))
        .with_schema(batches[0].schema())
        .build(futures::stream::iter(batches.into_iter().map(Ok)))
        .try_collect()
        .await
        .unwrap()
}

async fn send(
    flight: &mut Flight,
    messages: impl Stream<Item = FlightData> + Send + 'static,
    mode: Option<&'static str>,
) -> Result<v1::FrameInfo, Status> {
    let mut request = Request::new(messages);
    if let Some(mode) = mode {
        request.metadata_mut().insert(PUT_HEADER, mode.parse().unwrap());
    }
    let results: Vec<_> = flight.do_put(request).await?.into_inner().try_collect().await?;
    let [result] = results.as_slice() else { panic!("{} results", results.len()) };
    Ok(v1::FrameInfo::decode(result.app_metadata.clone()).unwrap())
}

async fn put(flight: &mut Flight, name: &str, rows: &RecordBatch) -> Result<v1::FrameInfo, Status> {
    let messages = messages(path(name), vec![rows.clone()]).await;
    send(flight, futures::stream::iter(messages), None).await
}

fn reason(status: &Status) -> &str {
    status.metadata().get("x-farrow-reason").expect("every refusal has its reason").to_str().unwrap()
}

/// All rows of a frame in one batch.
async fn rows(client: &Client, name: &str) -> RecordBatch {
    let frame = client.get(name).await.unwrap();
    assert!(frame.zero_copy(), "{:?}", frame.why());
    let batches: Vec<_> = frame.batches().map(Result::unwrap).collect();
    arrow_select::concat::concat_batches(&frame.schema(), &batches).unwrap()
}

async fn nothing_is_reserved(client: &Client) {
    let start = std::time::Instant::now();
    while client.usage().await.unwrap().reserved > 0 {
        assert!(start.elapsed().as_secs() < 60, "reservations are left");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

async fn something_is_reserved(client: &Client) {
    let start = std::time::Instant::now();
    while client.usage().await.unwrap().reserved == 0 {
        assert!(start.elapsed().as_secs() < 60, "nothing is reserved");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

/// Batches of 8 MiB of different numbers.
fn numbers(count: i64) -> Vec<RecordBatch> {
    let batch = |number: i64| {
        let values: ArrayRef = Arc::new((number << 20..(number + 1) << 20).collect::<Int64Array>());
        RecordBatch::try_from_iter([("number", values)]).unwrap()
    };
    (0..count).map(batch).collect()
}

/// A put that does not go on by itself: it has sent so much that a segment is written.
async fn begun(flight: &mut Flight, client: &Client) -> (mpsc::Sender<FlightData>, Put) {
    let all = messages(path("half"), numbers(10)).await;
    let (mut sender, receiver) = mpsc::channel(1);
    let mut flight = flight.clone();
    let put = tokio::spawn(async move { send(&mut flight, receiver, None).await });
    for message in all {
        sender.send(message).await.unwrap();
    }
    something_is_reserved(client).await;
    (sender, put)
}

type Put = tokio::task::JoinHandle<Result<v1::FrameInfo, Status>>;

#[tokio::test]
async fn rows_of_any_client_become_a_frame() {
    let region = Region::new("128MiB");
    let agent = region.agent_with(&["--listen", "127.0.0.1:0", "--config", &config(&region, ANYONE)]);
    let client = agent.client().await;
    let tcp = FlightServiceClient::new(Endpoint::from_shared(agent.tcp()).unwrap().connect().await.unwrap());
    let stored = batch(0, 200_000);
    for (version, mut flight) in (1..).zip([over_unix(&agent).await, tcp]) {
        let info = put(&mut flight, "any/body", &stored).await.unwrap();
        assert_eq!((info.name.as_str(), info.version, info.rows), ("any/body", version, Some(200_000)));
        assert_eq!((info.segments, info.validation()), (1, v1::Validation::Values));
        assert_eq!(rows(&client, "any/body").await, stored);
    }
    let verified = client.verify("any/body", |_| {}).await.unwrap();
    assert_eq!((verified.without_checksums, verified.bytes_done), (0, verified.bytes));
    assert_eq!(client.usage().await.unwrap().reserved, 0);
    drop(agent);
    region.assert_clean();
}

#[tokio::test]
async fn a_long_put_is_one_version_of_several_segments() {
    let region = Region::new("512MiB");
    let agent = region.agent();
    let (client, mut flight) = (agent.client().await, over_unix(&agent).await);
    let stored = numbers(20);
    let messages = messages(path("long"), stored.clone()).await;
    let info = send(&mut flight, futures::stream::iter(messages), None).await.unwrap();
    assert_eq!((info.version, info.rows, info.segments), (1, Some(20 << 20), 3));
    let frame = client.get("long").await.unwrap();
    let found: Vec<_> = frame.batches().map(Result::unwrap).collect();
    assert_eq!(found.iter().map(RecordBatch::num_rows).sum::<usize>(), 20 << 20);
    let all = arrow_select::concat::concat_batches(&frame.schema(), &found).unwrap();
    assert_eq!(all, arrow_select::concat::concat_batches(&frame.schema(), &stored).unwrap());
    assert_eq!(client.usage().await.unwrap().reserved, 0);
    drop(agent);
    region.assert_clean();
}

#[tokio::test]
async fn an_append_shares_what_is_there() {
    let region = Region::new("128MiB");
    let agent = region.agent();
    let (client, mut flight) = (agent.client().await, over_unix(&agent).await);
    for (first, version) in [(0, 1), (100, 2)] {
        let messages = messages(path("a"), vec![batch(first, 100)]).await;
        let info = send(&mut flight, futures::stream::iter(messages), Some("append")).await.unwrap();
        assert_eq!(
            (info.version, info.segments, info.rows),
            (version, u32::try_from(version).unwrap(), Some(version * 100))
        );
    }
    assert_eq!(rows(&client, "a").await, batch(0, 200));
    assert_eq!(rows(&client, "a@1").await, batch(0, 100));

    let other = batch(0, 10).project(&[1, 0]).unwrap();
    let refused = messages(path("a"), vec![other.clone()]).await;
    let refused = send(&mut flight, futures::stream::iter(refused), Some("append")).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused)), (Code::InvalidArgument, "invalid-data"), "{refused}");
    assert!(refused.message().contains("`a@2`") && refused.message().contains("column 0"), "{refused}");
    // Without the header it is a new version alone.
    assert_eq!(put(&mut flight, "a", &other).await.unwrap().version, 3);
    assert_eq!(rows(&client, "a").await, other);
}

#[tokio::test]
async fn dictionaries_may_change_and_rows_may_be_missing() {
    let region = Region::new("128MiB");
    let agent = region.agent();
    let (client, mut flight) = (agent.client().await, over_unix(&agent).await);
    let keyed = |words: &[&str]| {
        let keys: ArrayRef = Arc::new(words.iter().copied().collect::<DictionaryArray<Int32Type>>());
        RecordBatch::try_from_iter([("word", keys)]).unwrap()
    };
    // Each brings its own dictionary, which replaces the one before.
    let parts = vec![keyed(&["x", "y", "x"]), keyed(&["z"]), keyed(&["y", "new"])];
    let sent = messages(path("words"), parts).await;
    assert_eq!(sent.len(), 1 + 2 * 3, "a dictionary with each batch");
    send(&mut flight, futures::stream::iter(sent), None).await.unwrap();
    let found = rows(&client, "words").await;
    assert_eq!(found, keyed(&["x", "y", "x", "z", "y", "new"]));

    let none = batch(0, 10).slice(0, 0);
    let mut only_schema = messages(path("none"), vec![none.clone()]).await;
    only_schema.truncate(1);
    let info = send(&mut flight, futures::stream::iter(only_schema), None).await.unwrap();
    assert_eq!((info.rows, info.segments), (Some(0), 1));
    let frame = client.get("none").await.unwrap();
    assert_eq!((frame.rows(), frame.schema().as_ref()), (0, none.schema().as_ref() as &Schema));
}

#[tokio::test]
async fn what_is_no_put_leaves_nothing() {
    let region = Region::new("128MiB");
    let agent = region.agent();
    let (client, mut flight) = (agent.client().await, over_unix(&agent).await);
    let good = messages(path("bad"), numbers(2)).await;
    let schema = good[0].clone();
    let with = |change: &dyn Fn(&mut Vec<FlightData>)| {
        let mut messages = good.clone();
        change(&mut messages);
        messages
    };
    let cases: [(&str, Vec<FlightData>, &str); 11] = [
        ("no message", vec![], "invalid-name"),
        ("no descriptor", with(&|m| m[0].flight_descriptor = None), "invalid-name"),
        (
            "a command",
            with(&|m| m[0].flight_descriptor = Some(FlightDescriptor::new_cmd("x"))),
            "invalid-name",
        ),
        ("a version", with(&|m| m[0].flight_descriptor = Some(path("bad@7"))), "invalid-name"),
        ("no name", with(&|m| m[0].flight_descriptor = Some(path("a/../b"))), "invalid-name"),
        ("no schema", with(&|m| m[0].data_header = m[1].data_header.clone()), "invalid-data"),
        (
            "nothing but a descriptor",
            with(&|m| {
                m.truncate(1);
                m[0].data_header.clear();
            }),
            "invalid-data",
        ),
        ("a second schema", with(&|m| m.push(schema.clone())), "invalid-data"),
        ("a body cut off", with(&|m| m[2].data_body.truncate(1000)), "invalid-data"),
        ("noise", with(&|m| m[2].data_header = vec![0x55; 300].into()), "invalid-data"),
        (
            "a body of another batch",
            with(&|m| m[2].data_header = schema.data_header.slice(8..)),
            "invalid-data",
        ),
    ];
    for (what, messages, expected) in cases {
        let refused = send(&mut flight, futures::stream::iter(messages), None).await.unwrap_err();
        assert_eq!(reason(&refused), expected, "{what}: {refused}");
        assert_eq!(refused.code(), Code::InvalidArgument, "{what}: {refused}");
    }
    let number = with(&|m| m[2].data_body.truncate(1000));
    let refused = send(&mut flight, futures::stream::iter(number), None).await.unwrap_err();
    assert!(refused.message().contains("message 2 of the stream"), "{refused}");
    let refused = send(&mut flight, futures::stream::iter(good), Some("prepend")).await.unwrap_err();
    assert_eq!(reason(&refused), "invalid-data", "{refused}");

    assert_eq!(client.usage().await.unwrap().reserved, 0);
    assert!(client.list("").await.unwrap().is_empty());
    drop(agent);
    region.assert_clean();
}

#[tokio::test]
async fn a_full_region_refuses_and_has_nothing_of_it() {
    let region = Region::new("128MiB");
    let agent = region.agent();
    let (client, mut flight) = (agent.client().await, over_unix(&agent).await);
    let messages = messages(path("much"), numbers(20)).await;
    let refused = send(&mut flight, futures::stream::iter(messages), None).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused)), (Code::ResourceExhausted, "region-full"), "{refused}");
    let usage = client.usage().await.unwrap();
    assert_eq!((usage.reserved, usage.free), (0, usage.pool_bytes));
}

/// A way to leave in the middle of a put.
#[derive(Clone, Copy, Debug)]
enum Leave {
    /// It cancels the request, or resets the stream for no reason: to tonic an end like any other.
    Reset(h2::Reason),
    /// Its process is gone.
    Vanish,
}

#[tokio::test]
async fn a_put_that_is_given_up_leaves_nothing() {
    let region = Region::new("256MiB");
    let agent = region.agent();
    let client = agent.client().await;
    let all = messages(path("half"), numbers(10)).await;
    for leave in [Leave::Reset(h2::Reason::CANCEL), Leave::Reset(h2::Reason::NO_ERROR), Leave::Vanish] {
        let socket = tokio::net::UnixStream::connect(agent.socket()).await.unwrap();
        let (sender, connection) = h2::client::handshake(socket).await.unwrap();
        let connection = tokio::spawn(connection);
        let uri = "http://agent/arrow.flight.protocol.FlightService/DoPut";
        let request =
            http::Request::post(uri).header("content-type", "application/grpc").header("te", "trailers");
        let (_answer, mut stream) =
            sender.ready().await.unwrap().send_request(request.body(()).unwrap(), false).unwrap();
        for message in &all {
            let message = message.encode_to_vec();
            let len = u32::try_from(message.len()).unwrap();
            let mut framed = bytes::Bytes::from([&[0][..], &len.to_be_bytes(), &message].concat());
            while !framed.is_empty() {
                stream.reserve_capacity(framed.len());
                let room = std::future::poll_fn(|context| stream.poll_capacity(context)).await;
                let piece = framed.split_to(room.unwrap().unwrap().min(framed.len()));
                stream.send_data(piece, false).unwrap();
            }
        }
        something_is_reserved(&client).await;
        match leave {
            Leave::Reset(reason) => stream.send_reset(reason),
            Leave::Vanish => connection.abort(),
        }
        nothing_is_reserved(&client).await;
        // All messages came, and whole.
        assert!(client.list("").await.unwrap().is_empty(), "{leave:?}: the rows so far were published");
    }
    drop(agent);
    region.assert_clean();
}

#[tokio::test]
async fn an_agent_that_is_killed_in_the_middle_aborts_at_its_next_start() {
    let region = Region::new("256MiB");
    let agent = region.agent();
    let (sender, put) = begun(&mut over_unix(&agent).await, &agent.client().await).await;
    agent.kill();
    assert!(put.await.unwrap().is_err());
    drop(sender);
    let agent = region.agent();
    let client = agent.client().await;
    let usage = client.usage().await.unwrap();
    assert_eq!((usage.reserved, usage.free), (0, usage.pool_bytes));
    assert!(client.list("").await.unwrap().is_empty());
    drop(agent);
    region.assert_clean();
}

/// Lets callers over TCP publish, who by default may only read.
pub(crate) const ANYONE: &str =
    "[[rights]]\nwho = [\"anyone\"]\nnames = [\"\"]\nmay = [\"read\", \"publish\", \"drop\"]\n";

fn config(region: &Region, text: &str) -> String {
    let file = region.beside("agent.toml");
    std::fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_agent_that_is_told_to_stop_cuts_puts_off() {
    let region = Region::new("256MiB");
    let agent = region.agent_with(&["--config", &config(&region, "drain = \"100ms\"\n")]);
    let (sender, put) = begun(&mut over_unix(&agent).await, &agent.client().await).await;
    assert_eq!(agent.terminate(), Some(0));
    assert!(put.await.unwrap().is_err());
    drop(sender);
    region.assert_clean();
    let agent = region.agent();
    let usage = agent.client().await.usage().await.unwrap();
    assert_eq!((usage.reserved, usage.free), (0, usage.pool_bytes));
}

#[tokio::test]
async fn limits_of_puts() {
    let region = Region::new("256MiB");
    let limits = "[limits]\nputs = 1\nput-message-bytes = \"16 MiB\"\nstall = \"2s\"\n";
    let agent = region.agent_with(&["--config", &config(&region, limits)]);
    let (client, mut flight) = (agent.client().await, over_unix(&agent).await);
    let small = batch(0, 10);

    let (sender, standing) = begun(&mut flight, &client).await;
    let busy = put(&mut flight, "a", &small).await.unwrap_err();
    assert_eq!((busy.code(), reason(&busy)), (Code::ResourceExhausted, "busy"), "{busy}");
    // The first one's client sends nothing more, and does not end the stream either.
    let stalled = standing.await.unwrap().unwrap_err();
    assert_eq!((stalled.code(), reason(&stalled)), (Code::Aborted, "stalled"), "{stalled}");
    drop(sender);
    assert_eq!(client.usage().await.unwrap().reserved, 0, "given back before the error is told");

    // One message of 24 MiB.
    let values: ArrayRef = Arc::new(Int64Array::from(vec![0; 3 * MIB]));
    let large = RecordBatch::try_from_iter([("number", values)]).unwrap();
    let messages = FlightDataEncoderBuilder::new()
        .with_max_flight_data_size(usize::MAX)
        .with_flight_descriptor(Some(path("large")))
        .build(futures::stream::iter([Ok(large)]));
    let messages: Vec<_> = messages.try_collect().await.unwrap();
    let refused = send(&mut flight, futures::stream::iter(messages), None).await.unwrap_err();
    assert_eq!(reason(&refused), "invalid-data", "{refused}");
    assert!(refused.message().contains("16777216"), "{refused}");

    assert_eq!(put(&mut flight, "a", &small).await.unwrap().version, 1);
    // The other verbs take no messages of that length.
    let long = flight.get_flight_info(FlightDescriptor::new_path(vec!["x".repeat(2 * MIB)])).await;
    assert_eq!(long.unwrap_err().code(), Code::OutOfRange);
    assert_eq!(client.list("").await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_put_counts_for_its_user() {
    let region = Region::new("64MiB");
    let limits = "[limits]\nbytes-per-user = \"1 MiB\"\n";
    let agent = region.agent_with(&["--config", &config(&region, limits)]);
    let (client, mut flight) = (agent.client().await, over_unix(&agent).await);
    put(&mut flight, "a", &batch(0, 10)).await.unwrap();
    let refused = put(&mut flight, "a", &batch(0, 100_000)).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused)), (Code::ResourceExhausted, "quota"), "{refused}");
    nothing_is_reserved(&client).await;
    assert_eq!(client.stat("a").await.unwrap().version, 1);
}

#[tokio::test]
async fn in_place_writers_append_too() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let client = agent.client().await;
    for first in [0, 10] {
        let rows = batch(first, 10);
        client.append("a", rows.schema(), vec![rows]).await.unwrap();
    }
    assert_eq!(rows(&client, "a").await, batch(0, 20));
    let other = numbers(1).remove(0);
    let error = client.append("a", other.schema(), vec![other]).await.unwrap_err();
    assert_eq!(error.reason(), Some(Reason::InvalidData), "{error}");
    assert!(error.to_string().contains("`a@2`, which has another schema"), "{error}");
    nothing_is_reserved(&client).await;
}

#[tokio::test]
async fn a_client_that_cannot_write_in_place_streams() {
    let region = Region::new("64MiB");
    let agent = region.agent_with(&["--listen", "127.0.0.1:0", "--config", &config(&region, ANYONE)]);
    let client = Client::connect(agent.tcp().parse().unwrap()).await.unwrap();
    let stored = batch(0, 1000);
    let info = client.put("a", stored.schema(), vec![stored.clone()]).await.unwrap();
    assert_eq!((info.version, info.rows), (1, Some(1000)));
    assert!(info.why.as_ref().is_some_and(|why| why.contains("not the unix socket")), "{:?}", info.why);
    let info = client.append("a", stored.schema(), vec![stored.clone()]).await.unwrap();
    assert_eq!((info.version, info.rows, info.segments), (2, Some(2000), 2));

    let local = agent.client().await;
    assert_eq!(rows(&local, "a@1").await, stored);
    assert_eq!(local.put("b", stored.schema(), vec![stored]).await.unwrap().why, None);
}

#[tokio::test]
async fn who_may_not_publish_puts_nothing() {
    let region = Region::new("64MiB");
    let agent = region.agent_with(&["--listen", "127.0.0.1:0"]);
    let tcp = Endpoint::from_shared(agent.tcp()).unwrap().connect().await.unwrap();
    let refused = put(&mut FlightServiceClient::new(tcp), "a", &batch(0, 10)).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
    let client = agent.client().await;
    assert!(client.list("").await.unwrap().is_empty());
    assert_eq!(client.usage().await.unwrap().reserved, 0);
}

#[tokio::test]
async fn polling_is_answered_at_once() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let mut flight = over_unix(&agent).await;
    put(&mut flight, "a", &batch(0, 10)).await.unwrap();
    let polled = flight.poll_flight_info(path("a")).await.unwrap().into_inner();
    assert_eq!(polled.flight_descriptor, None, "complete");
    assert_eq!(polled.info.unwrap(), flight.get_flight_info(path("a")).await.unwrap().into_inner());

    let hello = futures::stream::iter([HandshakeRequest::default()]);
    let refused = flight.handshake(hello).await.unwrap_err();
    assert!(refused.message().contains("authorization: Bearer"), "{refused}");
}
