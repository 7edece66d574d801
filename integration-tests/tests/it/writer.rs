//! Versions that are written batch by batch, and published as a whole.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int8Type, Int32Type};
use arrow_array::{ArrayRef, DictionaryArray, RecordBatch, RecordBatchIterator, StringArray};
use arrow_schema::ArrowError;
use arrow_select::concat::concat_batches;
use farrow_client::{Client, ClientError, Mode, Reason, Written, blocking};
use farrow_integration_tests::{Holder, Region, batch, farrow, mebibytes, numbers, sum};

use crate::do_put::ANYONE;
use crate::leases::until;

const MIB: u64 = 1 << 20;

async fn nothing_is_left(client: &Client, name: &str) {
    until("its space is given back", async || (client.usage().await.unwrap().reserved == 0).then_some(()))
        .await;
    assert_eq!(client.get(name).await.unwrap_err().reason(), Some(Reason::NotFound));
}

#[tokio::test]
async fn batches_go_into_several_segments_of_one_version() {
    let region = Region::new("600MiB");
    let agent = region.agent();
    let client = agent.client().await;
    let rows = mebibytes(0, 40);
    let mut writer = client.writer("a", rows.schema(), Mode::Replace).unwrap();
    for _ in 0..6 {
        writer.write(rows.clone()).await.unwrap();
    }
    assert_eq!(writer.written(), Written { rows: (6 * 40) << 17, bytes: 240 * MIB });
    assert_eq!(client.get("a").await.unwrap_err().reason(), Some(Reason::NotFound), "nothing before the end");
    assert!(client.usage().await.unwrap().reserved >= 240 * MIB);

    let info = writer.finish().await.unwrap();
    assert_eq!((info.version, info.rows, info.why), (1, Some((6 * 40) << 17), None));
    assert!(info.segments > 1, "{}", info.segments);
    let usage = client.usage().await.unwrap();
    assert_eq!((usage.reserved, usage.versions), (0, 1));
    assert!(usage.used < info.bytes + 4096 * u64::from(info.segments), "what was not used is free");
    let frame = client.get("a").await.unwrap();
    assert!(frame.zero_copy());
    assert_eq!(frame.mappings().len(), info.segments as usize);
    assert_eq!(sum(&frame).unwrap(), 6 * numbers(&rows).iter().sum::<i64>());
    drop(frame);
    drop(client);
    drop(agent);
    region.assert_clean();
    let agent = region.agent();
    let again = agent.client().await.get("a").await.unwrap();
    assert_eq!(again.bytes(), info.bytes);
}

#[tokio::test]
async fn small_batches_are_joined_and_take_only_what_they_need() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let client = agent.client().await;
    let mut writer = client.writer("a", batch(0, 1).schema(), Mode::Replace).unwrap();
    for first in 0..500 {
        writer.write(batch(first * 10, 10)).await.unwrap();
    }
    assert_eq!(client.usage().await.unwrap().reserved, 0, "they wait to be joined");
    let info = writer.finish().await.unwrap();
    let frame = client.get("a").await.unwrap();
    assert_eq!((info.segments, frame.num_batches(), frame.rows()), (1, 1, 5000));
    assert_eq!(sum(&frame).unwrap(), (0..5000).sum::<i64>());
    let empty = client.writer("b", batch(0, 1).schema(), Mode::Replace).unwrap().finish().await.unwrap();
    assert_eq!((empty.rows, empty.segments), (Some(0), 1));
}

#[tokio::test]
async fn appended_rows_follow_those_that_are_there() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let client = agent.client().await;
    for (mode, version, rows) in [(Mode::Append, 1, 10), (Mode::Append, 2, 20), (Mode::Replace, 3, 10)] {
        let mut writer = client.writer("a", batch(0, 1).schema(), mode).unwrap();
        writer.write(batch(0, 10)).await.unwrap();
        let info = writer.finish().await.unwrap();
        assert_eq!((info.version, info.rows), (version, Some(rows)));
    }
    let mut writer = client.writer("a", mebibytes(0, 1).schema(), Mode::Append).unwrap();
    writer.write(mebibytes(0, 1)).await.unwrap();
    let error = writer.finish().await.unwrap_err();
    assert_eq!(error.reason(), Some(Reason::InvalidData), "{error}");
    assert_eq!(client.stat("a").await.unwrap().version, 3);
}

#[tokio::test]
async fn another_dictionary_begins_another_segment() {
    let region = Region::new("800MiB");
    let agent = region.agent();
    let client = agent.client().await;
    let words = |word: &str| {
        let keys = arrow_array::Int32Array::from(vec![0; 17 << 20]);
        let values = Arc::new(StringArray::from(vec![word]));
        let column: DictionaryArray<Int32Type> = DictionaryArray::new(keys, values);
        RecordBatch::try_from_iter([("word", Arc::new(column) as ArrayRef)]).unwrap()
    };
    // Each is more than a writer gathers; after `b` it gathers twice as much, so `c` and `d` come together.
    let batches = ["a", "a", "b", "c", "d"].map(words);
    let mut writer = client.writer("a", batches[0].schema(), Mode::Replace).unwrap();
    for rows in &batches {
        writer.write(rows.clone()).await.unwrap();
    }
    assert_eq!(writer.finish().await.unwrap().segments, 3);
    let frame = client.get("a").await.unwrap();
    let found: Vec<RecordBatch> = frame.batches().map(Result::unwrap).collect();
    assert_eq!(found.iter().map(word).collect::<Vec<_>>(), ["a", "a", "b", "c", "d"]);
}

/// The word that a batch is full of.
fn word(batch: &RecordBatch) -> String {
    let words = batch.column(0).as_dictionary::<Int32Type>().downcast_dict::<StringArray>().unwrap();
    let mut each = words.into_iter();
    let first = each.next().flatten().unwrap();
    assert!(each.all(|word| word == Some(first)));
    first.to_owned()
}

#[tokio::test]
async fn a_writer_that_is_dropped_leaves_nothing() {
    let region = Region::new("300MiB");
    let agent = region.agent_with(&["--listen", "127.0.0.1:0", "--config", &region.config(ANYONE)]);
    let client = agent.client().await;
    let far = Client::connect(agent.tcp().parse().unwrap()).await.unwrap();
    let rows = mebibytes(0, 70);
    for writes in [&client, &far] {
        let mut writer = writes.writer("a", rows.schema(), Mode::Replace).unwrap();
        writer.write(rows.clone()).await.unwrap();
        drop(writer);
        nothing_is_left(&client, "a").await;
    }
    // On a thread without a runtime, too.
    let address = agent.socket().parse().unwrap();
    let blocking = std::thread::spawn(move || {
        let client = blocking::Client::connect(address).unwrap();
        let mut writer = client.writer("a", rows.schema(), Mode::Replace).unwrap();
        writer.write(rows).unwrap();
        assert!(client.usage().unwrap().reserved > 0);
        drop(writer);
        client
    });
    let _still_connected = blocking.join().unwrap();
    nothing_is_left(&client, "a").await;
}

#[tokio::test]
async fn a_write_that_is_given_up_breaks_the_writer() {
    let region = Region::new("300MiB");
    let agent = region.agent();
    let client = agent.client().await;
    let rows = mebibytes(0, 70);
    let mut writer = client.writer("a", rows.schema(), Mode::Replace).unwrap();
    writer.write(rows.clone()).await.unwrap();
    let given_up =
        futures::future::select(Box::pin(writer.write(rows.clone())), std::future::ready(())).await;
    assert!(matches!(given_up, futures::future::Either::Right(_)), "it has to wait for a thread");
    drop(given_up);
    for error in [writer.write(rows).await.unwrap_err(), writer.finish().await.unwrap_err()] {
        assert!(matches!(error, ClientError::Aborted { .. }), "{error}");
    }
    nothing_is_left(&client, "a").await;
}

#[tokio::test]
async fn a_writer_has_bounded_memory_and_leaves_nothing_when_it_is_killed() {
    let region = Region::new("1GiB");
    let agent = region.agent();
    let client = agent.client().await;
    // MiB for the gathered rows, for the same joined, and for threads and programs.
    let writer = Holder::of_writer(agent.socket(), "a", 320);
    assert!(client.usage().await.unwrap().reserved >= 700 * MIB);
    writer.kill();
    nothing_is_left(&client, "a").await;
    drop(agent);
    region.assert_clean();
}

#[tokio::test]
async fn a_writer_outlives_its_agent() {
    let region = Region::new("400MiB");
    let agent = region.agent();
    let client = agent.client().await;
    let rows = mebibytes(0, 70);
    let mut writer = client.writer("a", rows.schema(), Mode::Replace).unwrap();
    for _ in 0..2 {
        writer.write(rows.clone()).await.unwrap();
    }
    agent.kill();
    let agent = region.agent();
    // What is asked again finds the new agent; what a writer asks for is not asked again.
    assert!(client.list("").await.unwrap().is_empty());
    writer.write(rows.clone()).await.unwrap();
    let info = writer.finish().await.unwrap();
    assert_eq!(info.rows, Some((3 * 70) << 17));
    assert_eq!(sum(&client.get("a").await.unwrap()).unwrap(), 3 * numbers(&rows).iter().sum::<i64>());
    assert_eq!(client.usage().await.unwrap().reserved, 0);
    drop(agent);
    region.assert_clean();
}

#[tokio::test]
async fn a_region_that_is_full_in_the_middle() {
    let region = Region::new("256MiB");
    let agent = region.agent();
    let client = agent.client().await;
    let rows = mebibytes(0, 70);
    let mut writer = client.writer("a", rows.schema(), Mode::Replace).unwrap();
    let error = loop {
        if let Err(error) = writer.write(rows.clone()).await {
            break error;
        }
    };
    assert_eq!(error.reason(), Some(Reason::RegionFull), "{error}");
    assert!(writer.written().bytes >= 210 * MIB, "what there was, was used: {:?}", writer.written());
    drop(writer);
    nothing_is_left(&client, "a").await;
}

#[tokio::test]
async fn where_this_process_cannot_write_rows_are_streamed_and_it_says_why() {
    let region = Region::new("400MiB");
    let agent = region.agent_with(&["--listen", "127.0.0.1:0", "--config", &region.config(ANYONE)]);
    let client = agent.client().await;
    let far = Client::connect(agent.tcp().parse().unwrap()).await.unwrap();
    let rows = mebibytes(0, 40);
    let mut writer = far.writer("a", rows.schema(), Mode::Replace).unwrap();
    for _ in 0..3 {
        writer.write(rows.clone()).await.unwrap();
    }
    let info = writer.finish().await.unwrap();
    assert_eq!(info.rows, Some((3 * 40) << 17));
    assert!(info.why.as_deref().unwrap().contains("is not the unix socket"), "{:?}", info.why);
    assert_eq!(sum(&client.get("a").await.unwrap()).unwrap(), 3 * numbers(&rows).iter().sum::<i64>());
    // What the agent refuses ends it.
    let mut writer = far.writer("a@7", rows.schema(), Mode::Replace).unwrap();
    let error = loop {
        if let Err(error) = writer.write(rows.clone()).await {
            break error;
        }
    };
    assert_eq!(error.reason(), Some(Reason::InvalidName), "{error}");
}

#[tokio::test]
async fn a_name_that_nobody_may_publish_is_refused_before_much_is_written() {
    let region = Region::new("300MiB");
    let agent = region.agent();
    let client = agent.client().await;
    let rows = mebibytes(0, 70);
    let mut writer = client.writer("a//b", rows.schema(), Mode::Replace).unwrap();
    let error = writer.write(rows).await.unwrap_err();
    assert_eq!(error.reason(), Some(Reason::InvalidName), "{error}");
    assert_eq!(client.usage().await.unwrap().reserved, 0);
}

#[tokio::test]
async fn readers_are_published_to_their_end_or_not_at_all() {
    let region = Region::new("300MiB");
    let agent = region.agent();
    let client = agent.client().await;
    let schema = batch(0, 1).schema();
    let batches = |count: i64| (0..count).map(|part| Ok::<_, ArrowError>(batch(part * 10, 10)));

    let mut told = Vec::new();
    let reader = RecordBatchIterator::new(batches(50), schema.clone());
    let info =
        client.write_reader("a", reader, Mode::Replace, |written| told.push(written.rows)).await.unwrap();
    assert_eq!((info.rows, info.version), (Some(500), 1));
    assert_eq!(told, (1..=50).map(|part| part * 10).collect::<Vec<u64>>());
    let reader = RecordBatchIterator::new(batches(5), schema.clone());
    assert_eq!(client.append_reader("a", reader).await.unwrap().rows, Some(550));
    // A frame is read into another one.
    let frame = client.get("a").await.unwrap();
    assert_eq!(client.put_reader("b", frame.reader()).await.unwrap().rows, Some(550));
    let rows = |frame: farrow_client::Frame| {
        concat_batches(&schema, &frame.batches().map(Result::unwrap).collect::<Vec<_>>()).unwrap()
    };
    assert_eq!(rows(client.get("b").await.unwrap()), rows(frame));

    let broken = batches(3).chain([Err(ArrowError::ParseError("line 4".into()))]).chain(batches(1));
    let error = client.put_reader("c", RecordBatchIterator::new(broken, schema.clone())).await.unwrap_err();
    assert!(matches!(&error, ClientError::Reader(_)) && error.to_string().contains("line 4"), "{error}");
    nothing_is_left(&client, "c").await;
    let large = mebibytes(0, 70);
    let broken = [Ok(large.clone()), Err(ArrowError::ParseError("line 4".into()))];
    let reader = RecordBatchIterator::new(broken, large.schema());
    assert!(matches!(client.put_reader("c", reader).await, Err(ClientError::Reader(_))));
    nothing_is_left(&client, "c").await;
    let panics = batches(3).map(|batch| if batch.is_ok() { panic!("on purpose") } else { batch });
    let reader = RecordBatchIterator::new(panics, schema.clone());
    assert!(matches!(client.put_reader("c", reader).await, Err(ClientError::Interrupted(_))));
    nothing_is_left(&client, "c").await;
}

/// Eight bits count a hundred words, and not twice as many: another segment has a dictionary of its own.
#[tokio::test]
async fn dictionaries_that_cannot_be_joined_go_into_segments_of_their_own() {
    let region = Region::new("64MiB");
    let agent = region.agent_with(&["--listen", "127.0.0.1:0", "--config", &region.config(ANYONE)]);
    let client = agent.client().await;
    let far = Client::connect(agent.tcp().parse().unwrap()).await.unwrap();
    let words = |from: usize| -> RecordBatch {
        let values: StringArray = (from..from + 100).map(|word| Some(format!("word {word}"))).collect();
        let keys = arrow_array::Int8Array::from_iter_values(0..100);
        let column: DictionaryArray<Int8Type> = DictionaryArray::new(keys, Arc::new(values));
        RecordBatch::try_from_iter([("word", Arc::new(column) as ArrayRef)]).unwrap()
    };
    let batches = [0, 50, 100, 300, 300, 0].map(words);
    let expected: Vec<String> = [0, 50, 100, 300, 300, 0]
        .iter()
        .flat_map(|from| (*from..from + 100).map(|n| format!("word {n}")))
        .collect();
    let file = region.beside("words.arrows");
    let mut stream =
        arrow_ipc::writer::StreamWriter::try_new(std::fs::File::create(&file).unwrap(), &batches[0].schema())
            .unwrap();
    batches.iter().for_each(|batch| stream.write(batch).unwrap());
    stream.finish().unwrap();
    drop(stream);
    for (name, put) in [("near", &client), ("far", &far)] {
        put.put(name, batches[0].schema(), batches.to_vec()).await.unwrap();
        let mut writer = put.writer(&format!("{name}-writer"), batches[0].schema(), Mode::Replace).unwrap();
        for batch in &batches {
            writer.write(batch.clone()).await.unwrap();
        }
        writer.finish().await.unwrap();
    }
    let put = farrow(&["put", "file", file.to_str().unwrap(), "--address", agent.socket()]);
    assert!(put.status.success(), "{}", String::from_utf8_lossy(&put.stderr));
    for name in ["near", "far", "near-writer", "far-writer", "file"] {
        assert_eq!(client.stat(name).await.unwrap().segments, 5, "{name}");
        for get in [&client, &far] {
            let frame = get.get(name).await.unwrap();
            let found: Vec<String> = frame.batches().flat_map(|batch| texts(&batch.unwrap())).collect();
            assert_eq!(found, expected, "{name}");
        }
    }
}

fn texts(batch: &RecordBatch) -> Vec<String> {
    let words = batch.column(0).as_dictionary::<Int8Type>().downcast_dict::<StringArray>().unwrap();
    words.into_iter().map(|word| word.unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_batch_of_another_schema_publishes_nothing() {
    let region = Region::new("64MiB");
    let agent = region.agent_with(&["--listen", "127.0.0.1:0", "--config", &region.config(ANYONE)]);
    let client = agent.client().await;
    let far = Client::connect(agent.tcp().parse().unwrap()).await.unwrap();
    let column = || Arc::new(arrow_array::Int64Array::from(vec![1])) as ArrayRef;
    let rows = |names: [&str; 2]| RecordBatch::try_from_iter(names.map(|name| (name, column()))).unwrap();
    let (first, swapped) = (rows(["a", "b"]), rows(["b", "a"]));
    let in_rust = "It fits by name: `Writer::by_name` or `PutOptions::by_name`";
    for put in [&client, &far] {
        let both = vec![first.clone(), swapped.clone()];
        let reader =
            RecordBatchIterator::new(both.clone().into_iter().map(Ok::<_, ArrowError>), first.schema());
        for error in [
            put.put("a", first.schema(), both.clone()).await.unwrap_err(),
            put.append("a", first.schema(), both).await.unwrap_err(),
            put.put_reader("a", reader).await.unwrap_err(),
        ] {
            assert!(matches!(error, ClientError::Ipc(_)), "{error}");
            let text = farrow_client::chain(&error);
            assert!(text.contains("batch 1 ") && text.ends_with(in_rust), "{text}");
        }
        let mut writer = put.writer("a", first.schema(), Mode::Replace).unwrap();
        writer.write(first.clone()).await.unwrap();
        assert!(writer.write(swapped.clone()).await.is_err());
        assert!(matches!(writer.write(first.clone()).await, Err(ClientError::Aborted { .. })));
        assert!(matches!(writer.finish().await, Err(ClientError::Aborted { .. })));
        nothing_is_left(&client, "a").await;
    }
}
