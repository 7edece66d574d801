//! Publishing a frame and getting it.

use std::sync::Arc;

use arrow_array::{Array, RecordBatch};
use arrow_schema::Schema;
use farrow_client::{Address, Client, Reason, Validation};
use farrow_integration_tests::{Region, batch, mebibytes, numbers, sum};

#[tokio::test]
async fn a_frame_is_mapped_where_it_was_written() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let client = agent.client().await;
    let rows = batch(0, 10_000);

    let info = client.put("sales/orders", rows.schema(), vec![rows.clone()]).await.unwrap();
    assert_eq!((info.name.as_str(), info.version, info.rows), ("sales/orders", 1, Some(10_000)));
    assert_eq!(info.validation, Validation::Values);

    let frame = client.get("sales/orders").await.unwrap();
    assert!(frame.zero_copy(), "{:?}", frame.why());
    assert_eq!(frame.schema(), rows.schema());
    assert_eq!(frame.bytes(), info.bytes);
    let batches: Vec<RecordBatch> = frame.batches().map(Result::unwrap).collect();
    assert_eq!(batches, [rows]);

    let &[(start, len)] = frame.mappings() else { panic!("one segment") };
    for buffer in batches[0].columns().iter().flat_map(|column| column.to_data().buffers().to_vec()) {
        let address = buffer.as_ptr().addr();
        assert!(start <= address && address + buffer.len() <= start + len, "a buffer outside the mapping");
    }
    region.assert_clean();
}

#[tokio::test]
async fn arrays_outlive_frame_and_client() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let rows = batch(0, 1000);
    let kept = {
        let client = agent.client().await;
        client.put("a", rows.schema(), vec![rows.clone()]).await.unwrap();
        client.get("a").await.unwrap().batch(0).unwrap().column(1).slice(10, 5)
    };
    let other = agent.client().await;
    assert_eq!(other.leases().await.unwrap().len(), 1);
    assert_eq!(kept.as_ref(), rows.column(1).slice(10, 5).as_ref());
}

#[tokio::test]
async fn every_version_stays_until_it_is_dropped() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let client = agent.client().await;
    for version in 1..=3 {
        let rows = batch(version * 1000, 10);
        assert_eq!(client.put("v", rows.schema(), vec![rows]).await.unwrap().version, version.unsigned_abs());
    }
    let expected = |version: i64| (version * 1000..version * 1000 + 10).sum::<i64>();
    assert_eq!(sum(&client.get("v@1").await.unwrap()).unwrap(), expected(1));
    assert_eq!(sum(&client.get("v").await.unwrap()).unwrap(), expected(3));
    assert_eq!(client.drop("v@3").await.unwrap().versions, 1);
    assert_eq!(client.get("v").await.unwrap().version(), 2);
    assert_eq!(client.drop("v").await.unwrap().versions, 2);
    assert!(client.get("v@1").await.is_err());
}

#[tokio::test]
async fn a_restarted_agent_has_the_same_frames() {
    let region = Region::new("64MiB");
    let rows = batch(7, 5000);
    let agent = region.agent();
    agent.client().await.put("kept/frame", rows.schema(), vec![rows.clone()]).await.unwrap();
    agent.kill();
    region.assert_clean();

    let agent = region.agent();
    let client = agent.client().await;
    let frame = client.get("kept/frame").await.unwrap();
    assert_eq!(frame.batch(0).unwrap(), rows);
    assert_eq!(client.put("kept/frame", rows.schema(), vec![rows]).await.unwrap().version, 2);
}

#[tokio::test]
async fn empty_frames_and_many_small_batches() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let client = agent.client().await;
    let schema = batch(0, 1).schema();

    client.put("no/batches", schema.clone(), Vec::new()).await.unwrap();
    let frame = client.get("no/batches").await.unwrap();
    assert_eq!((frame.rows(), frame.schema(), frame.zero_copy()), (0, schema.clone(), true));

    let nothing = Arc::new(Schema::empty());
    client.put("no/columns", nothing.clone(), Vec::new()).await.unwrap();
    assert_eq!(client.get("no/columns").await.unwrap().schema(), nothing);

    let small: Vec<RecordBatch> = (0..500).map(|part| batch(part * 10, 10)).collect();
    client.put("joined", schema, small).await.unwrap();
    let frame = client.get("joined").await.unwrap();
    assert_eq!((frame.rows(), frame.num_batches()), (5000, 1));
    assert_eq!(sum(&frame).unwrap(), (0..5000).sum::<i64>());
}

#[tokio::test]
async fn over_tcp_the_same_rows_are_streamed_and_it_says_why() {
    let region = Region::new("64MiB");
    let agent = region.agent_with(&["--listen", "127.0.0.1:0"]);
    let rows = batch(0, 100_000);
    agent.client().await.put("far", rows.schema(), vec![rows.clone()]).await.unwrap();

    let far = Client::connect(agent.tcp().parse::<Address>().unwrap()).await.unwrap();
    let frame = far.get("far").await.unwrap();
    assert!(!frame.zero_copy());
    assert!(frame.why().unwrap().contains("is not the unix socket"), "{:?}", frame.why());
    assert!(frame.num_batches() > 1, "cut into messages");
    let streamed: Vec<RecordBatch> = frame.batches().map(Result::unwrap).collect();
    assert_eq!(streamed.iter().map(RecordBatch::num_rows).sum::<usize>(), 100_000);
    assert_eq!(sum(&frame).unwrap(), (0..100_000).sum::<i64>());
    assert!(far.leases().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_stream_keeps_nothing_and_reads_nothing_ahead() {
    let region = Region::new("128MiB");
    let agent = region.agent_with(&["--listen", "127.0.0.1:0"]);
    let (near, rows) = (agent.client().await, mebibytes(0, 48));
    near.put("far", rows.schema(), vec![rows.clone()]).await.unwrap();
    let mut mapped = near.stream("far").await.unwrap();
    assert_eq!((mapped.why(), mapped.rows()), (None, Some(48 << 17)));
    assert_eq!(mapped.next().await.unwrap(), Some(rows.clone()));
    assert_eq!(mapped.next().await.unwrap(), None);
    assert_eq!(near.leases().await.unwrap().len(), 1, "the stream's");
    drop(mapped);

    let far = Client::connect(agent.tcp().parse::<Address>().unwrap()).await.unwrap();
    let mut whole = far.stream("far@1").await.unwrap();
    assert_eq!((whole.name(), whole.version(), whole.schema()), ("far", 1, rows.schema()));
    assert!(whole.why().unwrap().contains("is not the unix socket"), "{:?}", whole.why());
    let (mut count, mut total) = (0, 0);
    while let Some(batch) = whole.next().await.unwrap() {
        count += batch.num_rows();
        total += numbers(&batch).iter().sum::<i64>();
    }
    assert_eq!((Some(count as u64), total), (whole.rows(), numbers(&rows).iter().sum()));

    let mut cut = far.stream("far").await.unwrap().select(&["number", "number"]).unwrap();
    assert_eq!(cut.next().await.unwrap().unwrap().num_columns(), 2);
    assert!(far.stream("far").await.unwrap().select(&["none"]).is_err());
    agent.kill();
    let mut more = 0;
    let error = loop {
        match cut.next().await {
            Ok(batch) => more += batch.expect("the rest is missing").num_rows(),
            Err(error) => break error,
        }
    };
    assert!(error.is_transient(), "{error}");
    assert_eq!(cut.next().await.unwrap(), None, "an error is the end");
    assert!(more < count / 2, "{more} of {count} rows were there before they were asked for");
}

#[tokio::test]
async fn listing_is_by_prefix_and_name() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let client = agent.client().await;
    let rows = batch(0, 3);
    for name in ["b", "a/2", "a/1", "ab", "a"] {
        client.put(name, rows.schema(), vec![rows.clone()]).await.unwrap();
    }
    let names = |infos: Vec<farrow_client::Info>| infos.into_iter().map(|info| info.name).collect::<Vec<_>>();
    for (prefix, expected) in [
        ("", &["a", "a/1", "a/2", "ab", "b"][..]),
        ("a/", &["a/1", "a/2"]),
        ("a", &["a", "a/1", "a/2"]),
        ("a*", &["a", "a/1", "a/2", "ab"]),
        ("c", &[]),
    ] {
        assert_eq!(names(client.list(prefix).await.unwrap()), expected, "{prefix:?}");
    }
    let refused = client.list("a//").await.unwrap_err();
    assert_eq!(refused.reason(), Some(Reason::InvalidName), "{refused}");
    assert_eq!(client.stat("a/2").await.unwrap().rows, Some(3));
}
