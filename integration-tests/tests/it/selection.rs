//! Some columns and rows of a frame: what is sent of it, and what is not.

use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, DictionaryArray, Int64Array, RecordBatch, RecordBatchOptions};
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use arrow_flight::{FlightData, FlightDescriptor, FlightInfo, Ticket};
use farrow_client::{Client, ClientError, Selection};
use farrow_integration_tests::{Region, arrow_file, farrow};
use farrow_proto::v1;
use futures::TryStreamExt;
use prost::Message;
use tonic::{Code, Status};

use crate::foreign::region;
use crate::limits::{Flight, flight};

const COLUMNS: usize = 40;

/// Forty columns of numbers, of which every tenth is a dictionary of long words.
fn wide(first: i64, rows: i64) -> RecordBatch {
    let column = |number: usize| -> (String, ArrayRef) {
        if number.is_multiple_of(10) {
            let words: Vec<String> = (0..4).map(|word| format!("{number} {word} ").repeat(2000)).collect();
            let words: DictionaryArray<Int32Type> =
                (first..first + rows).map(|row| words[usize::try_from(row % 4).unwrap()].as_str()).collect();
            return (format!("c{number}"), Arc::new(words));
        }
        (format!("c{number}"), Arc::new((first..first + rows).collect::<Int64Array>()))
    };
    RecordBatch::try_from_iter((0..COLUMNS).map(column)).unwrap()
}

fn command(text: &str) -> FlightDescriptor {
    FlightDescriptor::new_cmd(text.to_owned())
}

async fn info(flight: &mut Flight, text: &str) -> Result<FlightInfo, Status> {
    Ok(flight.get_flight_info(command(text)).await?.into_inner())
}

async fn messages(flight: &mut Flight, ticket: Ticket) -> Result<Vec<FlightData>, Status> {
    flight.do_get(ticket).await?.into_inner().try_collect().await
}

async fn received(messages: Vec<FlightData>) -> Vec<RecordBatch> {
    let messages = futures::stream::iter(messages.into_iter().map(Ok::<_, FlightError>));
    FlightRecordBatchStream::new_from_flight_data(messages).try_collect().await.unwrap()
}

fn bytes(messages: &[FlightData]) -> usize {
    messages.iter().map(Message::encoded_len).sum()
}

fn joined(batches: &[RecordBatch]) -> RecordBatch {
    arrow_select::concat::concat_batches(&batches[0].schema(), batches).unwrap()
}

#[tokio::test]
async fn only_what_is_asked_for_is_sent() {
    let region = Region::new("64MiB");
    let agent = region.agent_with(&["--listen", "127.0.0.1:0"]);
    let client = agent.client().await;
    // Three segments.
    for first in [0, 10_000, 20_000] {
        client.append("wide", wide(first, 10_000).schema(), vec![wide(first, 10_000)]).await.unwrap();
    }
    let all = wide(0, 30_000);
    let mut flight = flight(agent.socket()).await;
    let whole = info(&mut flight, r#"{"name": "wide"}"#).await.unwrap();
    assert_eq!(
        whole,
        FlightInfo {
            flight_descriptor: whole.flight_descriptor.clone(),
            ..info_of(&mut flight, "wide").await
        }
    );
    let ticket = |info: &FlightInfo| info.endpoint[0].ticket.clone().unwrap();
    let full = bytes(&messages(&mut flight, ticket(&whole)).await.unwrap());

    for (columns, rows, expected) in [
        (&["c7"][..], 0..30_000, 400_000),
        (&["c10"], 0..30_000, 400_000),
        (&["c39", "c10", "c1"], 9_990..20_010, 500_000),
        (&["c1"], 12_345..12_346, 2_000),
        (&["c1"], 29_999..99_999, 2_000),
    ] {
        let [from, to] = [rows.start, rows.end];
        let names = columns.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
        let text = format!(r#"{{"name": "wide", "columns": [{names}], "rows": [{from}, {to}]}}"#);
        let info = info(&mut flight, &text).await.unwrap();
        let end = to.min(30_000);
        assert_eq!(info.total_records, i64::try_from(end - from).unwrap());
        let places: Vec<usize> = columns.iter().map(|name| all.schema().index_of(name).unwrap()).collect();
        let wanted = all.project(&places).unwrap().slice(from, end - from);
        assert_eq!(info.clone().try_decode_schema().unwrap(), *wanted.schema());
        let schema = flight.get_schema(command(&text)).await.unwrap().into_inner();
        assert_eq!(arrow_schema::Schema::try_from(schema).unwrap(), *wanted.schema());
        let sent = messages(&mut flight, ticket(&info)).await.unwrap();
        assert!(bytes(&sent) < expected, "{columns:?}, {rows:?}: {} of {full} bytes", bytes(&sent));
        assert_eq!(joined(&received(sent).await), wanted, "{columns:?}, {rows:?}");
    }
    assert!(full > 9_000_000, "{full}");
}

async fn info_of(flight: &mut Flight, name: &str) -> FlightInfo {
    flight.get_flight_info(FlightDescriptor::new_path(vec![name.to_owned()])).await.unwrap().into_inner()
}

#[tokio::test]
async fn the_same_rows_mapped_and_streamed() {
    let region = Region::new("64MiB");
    let agent = region.agent_with(&["--listen", "127.0.0.1:0"]);
    let near = agent.client().await;
    let far = Client::connect(agent.tcp().parse().unwrap()).await.unwrap();
    for first in [0, 100, 200] {
        near.append("wide", wide(first, 100).schema(), vec![wide(first, 100)]).await.unwrap();
    }
    let all = wide(0, 300);
    for columns in [None, Some(vec!["c3"]), Some(vec!["c20", "c3", "c20"]), Some(vec![])] {
        for rows in
            [None, Some(0..300), Some(0..0), Some(99..101), Some(150..10_000), Some(400..500), Some(100..200)]
        {
            let mut wanted = Selection::default();
            let mut expected = all.clone();
            if let Some(columns) = &columns {
                wanted = wanted.columns(columns.iter().copied());
                let places: Vec<usize> =
                    columns.iter().map(|name| all.schema().index_of(name).unwrap()).collect();
                expected = expected.project(&places).unwrap();
            }
            if let Some(rows) = &rows {
                wanted = wanted.rows(rows.clone());
                let (from, to) = (rows.start.min(300), rows.end.min(300));
                expected =
                    expected.slice(usize::try_from(from).unwrap(), usize::try_from(to - from).unwrap());
            }
            for client in [&near, &far] {
                let frame = client.get_selected("wide", &wanted).await.unwrap();
                assert_eq!(frame.rows(), expected.num_rows() as u64, "{wanted:?}");
                assert_eq!(frame.schema(), expected.schema(), "{wanted:?}");
                let batches: Vec<_> = frame.batches().map(Result::unwrap).collect();
                assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), expected.num_rows());
                if !batches.is_empty() && expected.num_columns() > 0 {
                    assert_eq!(joined(&batches), expected, "{wanted:?}");
                }
                let mut stream = client.stream_selected("wide", &wanted).await.unwrap();
                assert_eq!((stream.rows(), stream.version_rows()), (Some(frame.rows()), Some(300)));
                let mut rows = 0;
                while let Some(batch) = stream.next().await.unwrap() {
                    rows += batch.num_rows();
                }
                assert_eq!(rows as u64, frame.rows());
            }
        }
    }
    let unknown = Selection::default().columns(["c1", "x"]);
    for client in [&near, &far] {
        let error = client.get_selected("wide", &unknown).await.unwrap_err();
        assert!(matches!(error, ClientError::NoColumn { .. }), "{error}");
        assert!(error.to_string().contains("`wide@3` has no column `x`; it has `c0`, `c1`"), "{error}");
    }
    let none = RecordBatch::try_new_with_options(
        Arc::new(arrow_schema::Schema::empty()),
        vec![],
        &RecordBatchOptions::new().with_row_count(Some(5)),
    );
    let frame =
        far.get_selected("wide", &Selection::default().columns::<&str>([]).rows(10..15)).await.unwrap();
    assert_eq!(frame.batch(0).unwrap(), none.unwrap());
}

/// Names of columns are of any length, and there may be any number of them.
#[tokio::test]
async fn a_column_that_is_not_there_is_told_in_a_short_message() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let client = agent.client().await;
    let long = |i: usize| format!("{i}{}", "n".repeat(if i < 3 { 1 << 20 } else { 0 }));
    let column: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let rows = RecordBatch::try_from_iter((0..10_000).map(|i| (long(i), column.clone()))).unwrap();
    client.put("long", rows.schema(), vec![rows]).await.unwrap();
    let missing = "x".repeat(1 << 20);
    let error = client.get("long").await.unwrap().select(&[&missing]).unwrap_err();
    let told = error.to_string();
    assert!(told.len() < 2000, "{} bytes", told.len());
    assert!(told.starts_with("`long@1` has no column `xxx"), "{told}");
    assert!(told.ends_with("`18`, `19` and 9980 more"), "{told}");
}

/// A ticket is bytes from anybody.
#[tokio::test]
async fn what_cannot_be_selected_is_refused() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let client = agent.client().await;
    client.put("wide", wide(0, 10).schema(), vec![wide(0, 10)]).await.unwrap();
    let mut flight = flight(agent.socket()).await;
    for (text, told) in [
        ("", "EOF while parsing"),
        ("SELECT 1", "It is JSON: {\"name\""),
        ("[1]", "It is JSON"),
        (r#"{"name": "wide", "where": "c1 > 3"}"#, "unknown field `where`"),
        (r#"{"name": "wide", "columns": "c1"}"#, "It is JSON"),
        (r#"{"name": "wide", "columns": ["c1", "x"]}"#, "`wide` has no column `x`; it has `c0`, `c1`"),
        (r#"{"name": "wide", "columns": ["c1", "c1"]}"#, "column 1 asked for twice"),
        (r#"{"name": "wide", "rows": [5, 4]}"#, "rows 5 to 4"),
        (r#"{"name": "wide", "rows": [-1, 4]}"#, "It is JSON"),
        (r#"{"name": "../wide"}"#, ""),
    ] {
        let error = info(&mut flight, text).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{text}: {error}");
        assert!(error.message().contains(told), "{text}: {error}");
        assert!(flight.get_schema(command(text)).await.is_err(), "{text}");
    }
    assert_eq!(info(&mut flight, r#"{"name": "none"}"#).await.unwrap_err().code(), Code::NotFound);
    let ends = info(&mut flight, r#"{"name": "wide@1", "rows": [4, null]}"#).await.unwrap();
    assert_eq!(ends.total_records, 6);

    let plain = info_of(&mut flight, "wide").await.endpoint[0].ticket.clone().unwrap();
    let plain = farrow_proto::decode_ticket(&plain.ticket).unwrap();
    let selecting = |indexes: Option<Vec<u32>>, first_row, end_row| {
        let columns = indexes.map(|indexes| v1::Columns { indexes });
        let selection = Some(v1::Selection { columns, first_row, end_row });
        Ticket::new(farrow_proto::encode_ticket(&v1::Ticket { selection, ..plain.clone() }))
    };
    for indexes in [vec![40], vec![u32::MAX], vec![3, 3], vec![0; 41], (0..100_000).collect()] {
        let error = messages(&mut flight, selecting(Some(indexes), 0, None)).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{error}");
    }
    for (first, end, rows) in
        [(0, None, 10), (u64::MAX, None, 0), (8, Some(u64::MAX), 2), (7, Some(3), 0), (3, Some(5), 2)]
    {
        let sent = messages(&mut flight, selecting(None, first, end)).await.unwrap();
        let found: usize = received(sent).await.iter().map(RecordBatch::num_rows).sum();
        assert_eq!(found, rows, "{first}, {end:?}");
    }
}

#[tokio::test]
async fn a_famfs_file_is_selected_from_too() {
    let (region, famfs) = region();
    let file = wide(0, 1000);
    famfs.copy_in("in/wide.arrow", &arrow_file(std::slice::from_ref(&file)));
    let agent = region.agent_with(&["--listen", "127.0.0.1:0"]);
    let far = Client::connect(agent.tcp().parse().unwrap()).await.unwrap();
    for client in [&agent.client().await, &far] {
        let wanted = Selection::default().columns(["c30", "c2"]).rows(500..510);
        let frame = client.get_selected("in/wide.arrow", &wanted).await.unwrap();
        let batches: Vec<_> = frame.batches().map(Result::unwrap).collect();
        assert_eq!(joined(&batches), file.project(&[30, 2]).unwrap().slice(500, 10));
    }
    let got = farrow(&[
        "get",
        "in/wide.arrow",
        "--format",
        "csv",
        "--columns",
        "c2,c1",
        "--rows",
        "3..5",
        "--address",
        &agent.tcp(),
    ]);
    assert_eq!(String::from_utf8(got.stdout).unwrap(), "c2,c1\n3,3\n4,4\n");
    let bad = farrow(&["get", "in/wide.arrow", "--rows", "5..3", "--address", &agent.tcp()]);
    assert_eq!(bad.status.code(), Some(2));
}
