//! Several frames as of one moment, and parts of one.

use arrow_array::{RecordBatch, RecordBatchReader};
use farrow_client::{Client, ClientError, Reason, Retention};
use farrow_integration_tests::{Region, batch, sum};

#[tokio::test]
async fn frames_are_of_one_moment() {
    let region = Region::new("256MiB");
    let agent = region.agent();
    let client = agent.client().await;
    let put = async |client: &Client, name: &str| {
        let rows = batch(0, 10);
        client.put(name, rows.schema(), vec![rows]).await.unwrap();
    };
    put(&client, "a").await;
    put(&client, "b").await;
    client.retain("a", Retention::last(3)).await.unwrap();
    client.retain("b", Retention::last(3)).await.unwrap();
    let writes = tokio::spawn({
        let client = agent.client().await;
        async move {
            for _ in 0..300 {
                put(&client, "a").await;
                put(&client, "b").await;
            }
        }
    });
    let (mut taken, mut first) = (0, 0);
    while !writes.is_finished() {
        let frames = client.snapshot(&["a", "b"]).await.unwrap();
        let [a, b] = frames.as_slice() else { panic!("{} frames", frames.len()) };
        // `a` is always put first.
        assert!(
            a.version() == b.version() || a.version() == b.version() + 1,
            "{}, {}",
            a.version(),
            b.version()
        );
        taken += 1;
        first = if first == 0 { a.version() } else { first };
    }
    writes.await.unwrap();
    assert!(taken > 0 && client.stat("a").await.unwrap().version == 301, "{taken} snapshots");
}

#[tokio::test]
async fn a_snapshot_has_all_frames_in_order_or_is_an_error() {
    let region = Region::new("64MiB");
    let agent = region.agent_with(&["--listen", "127.0.0.1:0"]);
    let client = agent.client().await;
    for first in [0, 100] {
        client.put("a", batch(first, 10).schema(), vec![batch(first, 10)]).await.unwrap();
    }
    client.put("b", batch(7, 1).schema(), vec![batch(7, 1)]).await.unwrap();
    let frames = client.snapshot(&["b", "a@1", "a", "a@1"]).await.unwrap();
    let sums: Vec<i64> = frames.iter().map(|frame| sum(frame).unwrap()).collect();
    assert_eq!(sums, [7, 45, 1045, 45]);
    assert!(frames.iter().all(farrow_client::Frame::zero_copy));
    assert_eq!(client.leases().await.unwrap().len(), 4);
    drop(frames);
    let error = client.snapshot(&["a", "nope", "b"]).await.unwrap_err();
    assert_eq!(error.reason(), Some(Reason::NotFound), "{error}");
    assert!(error.to_string().contains("nope"), "{error}");
    crate::leases::until("no lease is left", async || {
        client.leases().await.unwrap().is_empty().then_some(())
    })
    .await;
    assert!(client.snapshot(&[]).await.unwrap().is_empty());
    let far = Client::connect(agent.tcp().parse().unwrap()).await.unwrap();
    assert_eq!(far.snapshot(&["a"]).await.unwrap_err().reason(), Some(Reason::NeedsUnixSocket));
}

#[tokio::test]
async fn columns_are_selected_by_name() {
    let region = Region::new("64MiB");
    let agent = region.agent_with(&["--listen", "127.0.0.1:0"]);
    let client = agent.client().await;
    let rows = batch(0, 100);
    client.put("a", rows.schema(), vec![rows.clone()]).await.unwrap();
    client.append("a", rows.schema(), vec![rows.clone()]).await.unwrap();
    let far = Client::connect(agent.tcp().parse().unwrap()).await.unwrap();
    for frame in [client.get("a").await.unwrap(), far.get("a").await.unwrap()] {
        let text = frame.select(&["text"]).unwrap();
        let expected = rows.project(&[1]).unwrap();
        assert_eq!(text.schema(), expected.schema());
        let found: Vec<RecordBatch> = text.batches().map(Result::unwrap).collect();
        assert_eq!(found, [expected.clone(), expected]);
        let turned = frame.select(&["text", "number"]).unwrap();
        assert_eq!(turned.batch(0).unwrap(), rows.project(&[1, 0]).unwrap());
        let again = turned.select(&["number"]).unwrap();
        assert_eq!(again.batch(1).unwrap(), rows.project(&[0]).unwrap());
        assert_eq!((again.rows(), again.version(), again.zero_copy()), (200, 2, frame.zero_copy()));
        let none = frame.select::<&str>(&[]).unwrap();
        assert_eq!((none.batch(0).unwrap().num_rows(), none.batch(0).unwrap().num_columns()), (100, 0));
        let error = text.select(&["number"]).unwrap_err();
        assert!(matches!(error, ClientError::NoColumn { .. }));
        assert_eq!(error.to_string(), "`a@2` has no column `number`; it has `text`");

        let reader = turned.reader();
        assert_eq!(reader.schema(), turned.schema());
        drop((frame, turned));
        assert_eq!(reader.map(|batch| batch.unwrap().num_rows()).sum::<usize>(), 200);
    }
}
