//! Rows behind those that are there: which are taken, and what is said of those that are not.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, Int32Array, Int64Array, NullArray, RecordBatch, RecordBatchIterator, StringArray,
    StringViewArray,
};
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{FlightData, FlightDescriptor};
use farrow_client::{Client, ClientError, Mode, Reason, Selection};
use farrow_integration_tests::{Agent, Region, batch};
use farrow_proto::{ADVICE_HEADER, PUT_APPEND, PUT_APPEND_BY_NAME, PUT_HEADER};
use futures::TryStreamExt;
use tonic::transport::Channel;
use tonic::{Request, Status};

use crate::do_put::ANYONE;
use crate::limits::flight;
use crate::rights::{ONLY_ETL, TOKEN, connect, put, token_file};

async fn agent(region: &Region) -> (Agent, [Client; 2]) {
    let agent = region.agent_with(&["--listen", "127.0.0.1:0", "--config", &region.config(ANYONE)]);
    let far = Client::connect(agent.tcp().parse().unwrap()).await.unwrap();
    let clients = [agent.client().await, far];
    (agent, clients)
}

/// The numbers 1 to 3 and their texts, as another program has them.
fn others() -> RecordBatch {
    let texts: ArrayRef = Arc::new(StringViewArray::from_iter_values(["row 1", "row 2", "row 3"]));
    let numbers: ArrayRef = Arc::new(Int32Array::from(vec![1, 2, 3]));
    RecordBatch::try_from_iter_with_nullable([("text", texts, true), ("number", numbers, true)]).unwrap()
}

/// The same, as they are stored.
fn stored() -> RecordBatch {
    let [numbers, texts] = batch(1, 3).columns().to_vec().try_into().unwrap();
    RecordBatch::try_from_iter_with_nullable([("number", numbers, true), ("text", texts, true)]).unwrap()
}

fn pandas(rows: usize) -> RecordBatch {
    let rows = batch(0, i64::try_from(rows).unwrap());
    let metadata =
        [("of".to_owned(), "all".to_owned()), ("pandas".to_owned(), format!("{} rows", rows.num_rows()))];
    let schema = rows
        .schema()
        .as_ref()
        .clone()
        .with_metadata(metadata.into_iter().collect::<std::collections::HashMap<_, _>>());
    rows.with_schema(Arc::new(schema)).unwrap()
}

async fn all(client: &Client, name: &str) -> RecordBatch {
    let frame = client.get(name).await.unwrap();
    let batches: Vec<_> = frame.batches().map(Result::unwrap).collect();
    assert!(batches.iter().all(|batch| batch.schema() == frame.schema()), "one schema, metadata too");
    arrow_select::concat::concat_batches(&frame.schema(), &batches).unwrap()
}

async fn do_put(
    flight: &mut FlightServiceClient<Channel>,
    name: &str,
    batches: Vec<RecordBatch>,
    mode: &'static str,
) -> Result<(), Status> {
    let path = FlightDescriptor::new_path(name.split('/').map(str::to_owned).collect());
    let encoder =
        FlightDataEncoderBuilder::new().with_flight_descriptor(Some(path)).with_schema(batches[0].schema());
    let batches = batches.into_iter().map(Ok::<_, FlightError>);
    let messages: Vec<FlightData> =
        encoder.build(futures::stream::iter(batches)).try_collect().await.unwrap();
    let mut put = Request::new(futures::stream::iter(messages));
    put.metadata_mut().insert(PUT_HEADER, mode.parse().unwrap());
    flight.do_put(put).await?.into_inner().try_collect::<Vec<_>>().await.map(drop)
}

#[tokio::test]
async fn what_pandas_says_of_the_rows_makes_no_difference() {
    let region = Region::new("64MiB");
    let (agent, clients) = agent(&region).await;
    let mut flight = flight(agent.socket()).await;
    for (number, client) in clients.iter().enumerate() {
        let name = format!("log/{number}");
        client.put(&name, pandas(3).schema(), vec![pandas(3)]).await.unwrap();
        client.append(&name, pandas(5).schema(), vec![pandas(5)]).await.unwrap();
        do_put(&mut flight, &name, vec![pandas(4)], PUT_APPEND).await.unwrap();
        for client in &clients {
            let all = all(client, &name).await;
            assert_eq!((all.num_rows(), all.schema()), (12, pandas(3).schema()), "the first rows' metadata");
        }
        let other = batch(0, 1);
        let error = client.append(&name, other.schema(), vec![other]).await.unwrap_err();
        assert_eq!(error.reason(), Some(Reason::InvalidData));
        let told = "the metadata \"of\" of the schemas differ: none, expected \"all\". If the frame's metadata are true of \
                    these rows, too, it fits by name: `Writer::by_name` or `PutOptions::by_name`";
        assert!(error.to_string().ends_with(told), "{error}");
    }
}

/// Rows of GeoParquet, all of them in a box of so many degrees.
fn geo(degrees: u32, crs: &str) -> RecordBatch {
    let column = format!(
        r#"{{"encoding": "WKB", "crs": "{crs}", "bbox": [0, 0, {degrees}, {degrees}], "geometry_types": ["Point"]}}"#
    );
    let geo = format!(r#"{{"version": "1.1.0", "primary_column": "text", "columns": {{"text": {column}}}}}"#);
    let rows = batch(i64::from(degrees), 10);
    let schema = rows.schema().as_ref().clone().with_metadata([("geo".to_owned(), geo)]);
    rows.with_schema(Arc::new(schema)).unwrap()
}

#[tokio::test]
async fn a_box_around_some_rows_is_not_said_of_all() {
    let region = Region::new("64MiB");
    let (agent, clients) = agent(&region).await;
    let mut flight = flight(agent.socket()).await;
    clients[0].put("towns", geo(1, "OGC:CRS84").schema(), vec![geo(1, "OGC:CRS84")]).await.unwrap();
    for client in &clients {
        let found = all(client, "towns").await;
        assert_eq!(found, geo(1, "OGC:CRS84"), "of one segment it is true");
    }
    clients[0].append("towns", geo(2, "OGC:CRS84").schema(), vec![geo(2, "OGC:CRS84")]).await.unwrap();
    do_put(&mut flight, "towns", vec![geo(3, "OGC:CRS84")], PUT_APPEND).await.unwrap();
    let schema = clients[0].schema("towns").await.unwrap();
    let told = &schema.metadata()["geo"];
    assert!(told.contains(r#""geometry_types":[]"#) && told.contains("OGC:CRS84"), "{told}");
    assert!(!told.contains("bbox"), "{told}");
    for client in &clients {
        let found = all(client, "towns").await;
        assert_eq!((found.num_rows(), found.schema()), (30, schema.clone()));
        // Also where the first segment has none of the rows.
        for rows in [0..5, 15..16, 25..30, 40..50] {
            let wanted = Selection::default().columns(["text"]).rows(rows.clone());
            let some = client.get_selected("towns", &wanted).await.unwrap();
            assert_eq!(some.schema().metadata(), schema.metadata(), "{rows:?}");
        }
    }
    let other = geo(1, "EPSG:3857");
    let error = clients[0].append("towns", other.schema(), vec![other]).await.unwrap_err().to_string();
    for told in [
        "the metadata \"geo\" of the schemas differ",
        "EPSG:3857",
        "OGC:CRS84",
        "If the frame's metadata are true of these rows",
    ] {
        assert!(error.contains(told), "{error}");
    }
}

#[tokio::test]
async fn columns_are_matched_by_name_where_that_is_asked_for() {
    let region = Region::new("64MiB");
    let (agent, clients) = agent(&region).await;
    let mut flight = flight(agent.socket()).await;
    let expected = stored();
    for (number, client) in clients.iter().enumerate() {
        let name = format!("rows/{number}");
        client.put(&name, expected.schema(), vec![expected.clone()]).await.unwrap();
        let strict = client.append(&name, others().schema(), vec![others()]).await.unwrap_err().to_string();
        let told =
            "column 0 is \"text\", expected \"number\": the same names in another order. It fits by name";
        let in_rust = format!("{told}: `Writer::by_name` or `PutOptions::by_name`");
        assert!(strict.ends_with(&in_rust), "{strict}");
        // Any other client gets the text without a name, and a word for programs.
        let plain = do_put(&mut flight, &name, vec![others()], PUT_APPEND).await.unwrap_err();
        assert!(plain.message().ends_with(told), "{plain}");
        assert_eq!(plain.metadata().get(ADVICE_HEADER).unwrap(), PUT_APPEND_BY_NAME);

        client.append_by_name(&name, others().schema(), vec![others(), others()]).await.unwrap();
        let reader = RecordBatchIterator::new([Ok(others())], others().schema());
        let writer = client.writer(&name, others().schema(), Mode::Append).unwrap().by_name();
        writer.write_reader(reader, |_| {}).await.unwrap();
        // The writer's schema is that of its first batch; each may be another.
        let mut writer = client.writer(&name, others().schema(), Mode::Append).unwrap().by_name();
        writer.write(others()).await.unwrap();
        writer.write(expected.clone()).await.unwrap();
        let nulls: ArrayRef = Arc::new(NullArray::new(3));
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
        writer
            .write(RecordBatch::try_from_iter([("text", nulls), ("number", numbers)]).unwrap())
            .await
            .unwrap();
        assert_eq!(writer.written().rows, 9);
        writer.finish().await.unwrap();
        do_put(&mut flight, &name, vec![others(), others()], PUT_APPEND_BY_NAME).await.unwrap();
        for client in &clients {
            let found = all(client, &name).await;
            assert_eq!((found.num_rows(), found.schema()), (9 * 3, expected.schema()));
            for first in (0..27).step_by(3) {
                let part = found.slice(first, 3);
                assert_eq!(part.column(0), expected.column(0), "{first}");
                assert!(first == 18 || part.column(1) == expected.column(1), "{first}");
            }
            assert_eq!(found.slice(18, 3).column(1).null_count(), 3);
        }
        // A put that is matched by name has the schema that its writer was made with.
        let mut writer = client.writer(&name, expected.schema(), Mode::Replace).unwrap().by_name();
        writer.write(others()).await.unwrap();
        writer.finish().await.unwrap();
        assert_eq!(all(client, &name).await, expected);
        // What there is not begins with what comes.
        let first = format!("first/{number}");
        client.append_by_name(&first, others().schema(), vec![others()]).await.unwrap();
        assert_eq!(all(client, &first).await, others());
        let second = format!("second/{number}");
        do_put(&mut flight, &second, vec![others()], PUT_APPEND_BY_NAME).await.unwrap();
        assert_eq!(all(client, &second).await, others());
    }
}

#[tokio::test]
async fn what_does_not_fit_by_name_publishes_nothing() {
    let region = Region::new("64MiB");
    let (agent, clients) = agent(&region).await;
    let mut flight = flight(agent.socket()).await;
    let there = batch(0, 3);
    clients[0].put("rows", there.schema(), vec![there.clone()]).await.unwrap();
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["a"]));
    let texts = RecordBatch::try_from_iter([("text", texts.clone()), ("number", texts)]).unwrap();
    let nulls: ArrayRef = Arc::new(Int64Array::from(vec![None]));
    let numbers = RecordBatch::try_from_iter([("number", nulls)]).unwrap();
    for (refused, told) in [
        (
            &texts,
            "column 0 (number): the type is Utf8 (string), expected Int64. Change it first, in pyarrow by `table.cast`",
        ),
        (&numbers, "\"text\" is missing. Add it"),
    ] {
        for client in &clients {
            let whole = client.append_by_name("rows", refused.schema(), vec![refused.clone()]).await;
            let strict =
                client.append("rows", refused.schema(), vec![refused.clone()]).await.unwrap_err().to_string();
            assert!(!strict.contains("by_name"), "{strict}");
            let mut writer = client.writer("rows", others().schema(), Mode::Append).unwrap().by_name();
            writer.write(others()).await.unwrap();
            let late = writer.write(refused.clone()).await;
            let aborted = writer.finish().await.unwrap_err();
            assert!(matches!(aborted, ClientError::Aborted { .. }), "{aborted}");
            // Without rows, too.
            let writer = client.writer("rows", refused.schema(), Mode::Append).unwrap().by_name();
            for error in [whole.unwrap_err(), late.unwrap_err(), writer.finish().await.unwrap_err()] {
                assert!(error.to_string().contains(told), "{error}");
            }
        }
        let error = do_put(&mut flight, "rows", vec![refused.clone()], PUT_APPEND_BY_NAME).await.unwrap_err();
        assert!(error.message().contains(told), "{error}");
    }
    assert_eq!(clients[0].stat("rows").await.unwrap().version, 1);
    let start = std::time::Instant::now();
    while clients[0].usage().await.unwrap().reserved > 0 {
        assert!(start.elapsed().as_secs() < 60, "reservations are left");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

/// A few bytes of a message may stand for any number of rows and bytes: they are written piece by piece, as far as there is
/// room.
#[tokio::test]
async fn what_nulls_stand_for_is_bounded_by_the_region() {
    let region = Region::new("64MiB");
    let (agent, clients) = agent(&region).await;
    let mut flight = flight(agent.socket()).await;
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![7]));
    let there = RecordBatch::try_from_iter_with_nullable([("n", numbers, true)]).unwrap();
    clients[0].put("n", there.schema(), vec![there]).await.unwrap();
    let nulls = |rows| {
        let nulls: ArrayRef = Arc::new(NullArray::new(rows));
        RecordBatch::try_from_iter_with_nullable([("n", nulls, true)]).unwrap()
    };
    let error = do_put(&mut flight, "n", vec![nulls(1 << 30)], PUT_APPEND_BY_NAME).await.unwrap_err();
    assert_eq!(error.metadata().get("x-farrow-reason").unwrap(), "region-full", "{error}");
    do_put(&mut flight, "n", vec![nulls(1000)], PUT_APPEND_BY_NAME).await.unwrap();
    let found = all(&clients[0], "n").await;
    assert_eq!(found.column(0).null_count(), 1000);
}

#[tokio::test]
async fn by_name_takes_the_right_to_read() {
    let region = Region::new("64MiB");
    let publish = "[[rights]]\nwho = [\"local\"]\nnames = [\"drop-box\"]\nmay = [\"publish\"]\n";
    let config = region.config(&(ONLY_ETL.replace("TOKEN_FILE", &token_file(&region, TOKEN)) + publish));
    let agent = region.agent_with(&["--config", &config]);
    put(&connect(agent.socket(), Some(TOKEN)).await, "drop-box").await;
    let publisher = connect(agent.socket(), None).await;
    let error = publisher.append_by_name("drop-box", others().schema(), vec![others()]).await.unwrap_err();
    assert_eq!(error.reason(), Some(Reason::Denied));
    assert!(error.to_string().contains("takes the right to read the frame's columns"), "{error}");
    let mut flight = flight(agent.socket()).await;
    let error = do_put(&mut flight, "drop-box", vec![others()], PUT_APPEND_BY_NAME).await.unwrap_err();
    assert_eq!(error.metadata().get("x-farrow-reason").unwrap(), "denied", "{error}");
    assert!(!error.message().contains("number"), "{error}");
    // As it is, it may be taken.
    let rows = batch(0, 10);
    publisher.append("drop-box", rows.schema(), vec![rows]).await.unwrap();
}
