//! Commits of several reservations, by a client that says anything.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use arrow_flight::flight_service_client::FlightServiceClient;
use farrow_client::{Client, Reason};
use farrow_integration_tests::{Holder, Region, batch, sum};
use farrow_proto::{Action, v1};
use prost::Message;
use tonic::transport::{Channel, Endpoint};

use crate::bad_input::{act, reason, reserve_and_write};

type Flight = FlightServiceClient<Channel>;

/// An Arrow file, aligned as farrow's are.
fn file(rows: &RecordBatch) -> Vec<u8> {
    let mut writer = arrow_ipc::writer::FileWriter::try_new(Vec::new(), &rows.schema()).unwrap();
    writer.write(rows).unwrap();
    writer.into_inner().unwrap()
}

async fn written(flight: &mut Flight, bytes: &[u8]) -> v1::WrittenSegment {
    let reservation = reserve_and_write(flight, bytes).await.id;
    v1::WrittenSegment { reservation, len: bytes.len() as u64 }
}

fn commit(segments: Vec<v1::WrittenSegment>) -> v1::CommitRequest {
    v1::CommitRequest { name: "a".into(), segments, ..Default::default() }
}

async fn refused(flight: &mut Flight, request: v1::CommitRequest, why: &str, words: &str) {
    let status = act::<v1::FrameInfo>(flight, Action::Commit.as_str(), request.encode_to_vec()).await;
    let status = status.unwrap_err();
    assert_eq!(reason(&status), why, "{status}");
    assert!(status.message().contains(words), "{status}");
}

async fn nothing_is_published(client: &Client, reservations: u64) {
    assert_eq!(client.get("a").await.unwrap_err().reason(), Some(Reason::NotFound));
    // They stand, and can be committed rightly. Each of them is of one page.
    assert_eq!(client.usage().await.unwrap().reserved, reservations * 4096);
}

#[tokio::test]
async fn segments_are_published_together_and_in_order() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let client = agent.client().await;
    let endpoint = Endpoint::from_shared(format!("unix://{}", agent.socket())).unwrap();
    let mut flight = FlightServiceClient::new(endpoint.connect().await.unwrap());
    let (first, second) = (file(&batch(0, 10)), file(&batch(10, 10)));
    let (first, second) = (written(&mut flight, &first).await, written(&mut flight, &second).await);
    let other = RecordBatch::try_from_iter([("x", Arc::new(Int64Array::from(vec![1])) as ArrayRef)]).unwrap();
    let other = written(&mut flight, &file(&other)).await;
    let garbage = written(&mut flight, &[7; 500]).await;
    nothing_is_published(&client, 4).await;

    let held = Holder::of_reservation(agent.socket(), 100);
    let mut refuse = async |segments: &[&v1::WrittenSegment], why, words: &str| {
        let request = commit(segments.iter().map(|&segment| *segment).collect());
        refused(&mut flight, request, why, words).await;
        nothing_is_published(&client, 5).await;
    };
    refuse(&[&first, &first], "invalid-data", "is in this commit twice").await;
    refuse(&[&first, &garbage], "invalid-data", "").await;
    refuse(&[&first, &other], "invalid-data", "segment 1 of this commit has another schema").await;
    let longer = v1::WrittenSegment { len: first.len + 1, ..first };
    refuse(&[&second, &longer], "invalid-data", "into a reservation of").await;
    let shorter = v1::WrittenSegment { len: first.len - 1, ..first };
    refuse(&[&second, &shorter], "invalid-data", "").await;
    let nothing = v1::WrittenSegment { len: 0, ..first };
    refuse(&[&second, &nothing], "invalid-data", "").await;
    let unknown = v1::WrittenSegment { reservation: 123_456, len: 10 };
    refuse(&[&first, &unknown], "not-held", "123456").await;
    // Another process's: one of these numbers is its own.
    for reservation in garbage.reservation + 1..garbage.reservation + 20 {
        let stolen = v1::WrittenSegment { reservation, len: 100 };
        refuse(&[&first, &stolen], "not-held", "").await;
    }
    drop(held);
    let twofold =
        v1::CommitRequest { reservation: second.reservation, len: second.len, ..commit(vec![first]) };
    refused(&mut flight, twofold, "invalid-data", "a list of 1 segment:").await;
    let many = vec![first; 20_000];
    refused(&mut flight, commit(many), "invalid-data", "twice").await;

    let info: v1::FrameInfo =
        act(&mut flight, Action::Commit.as_str(), commit(vec![second, first]).encode_to_vec()).await.unwrap();
    assert_eq!((info.version, info.segments, info.rows), (1, 2, Some(20)));
    let frame = client.get("a").await.unwrap();
    assert_eq!(frame.batch(0).unwrap(), batch(10, 10));
    assert_eq!(sum(&frame).unwrap(), (0..20).sum::<i64>());
    refused(&mut flight, commit(vec![first]), "not-held", "").await;
    for left in [other, garbage] {
        let abort = v1::AbortRequest { reservation: left.reservation }.encode_to_vec();
        act::<()>(&mut flight, Action::Abort.as_str(), abort).await.unwrap();
    }
    // The agent is told of the holder's end by the system, in its own time.
    crate::leases::until("the holder's reservation is given back", async || {
        (client.usage().await.unwrap().reserved == 0).then_some(())
    })
    .await;
    drop(agent);
    region.assert_clean();
}

#[tokio::test]
async fn a_reservation_is_validated_for_one_request_at_a_time() {
    let region = Region::new("256MiB");
    let config = region.config("[http]\nlisten = \"127.0.0.1:0\"\n");
    let agent = region.agent_with(&["--config", &config]);
    let endpoint = Endpoint::from_shared(format!("unix://{}", agent.socket())).unwrap();
    let mut flight = FlightServiceClient::new(endpoint.connect().await.unwrap());
    let segment = written(&mut flight, &file(&batch(0, 1_000_000))).await;
    let commits = (0..50).map(|_| {
        let mut flight = flight.clone();
        let request = commit(vec![segment]).encode_to_vec();
        async move { act::<v1::FrameInfo>(&mut flight, Action::Commit.as_str(), request).await }
    });
    let outcomes = futures::future::join_all(commits).await;
    let published = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert_eq!(published, 1, "{outcomes:?}");
    for refused in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
        // One that comes late finds no reservation any more.
        assert!(["busy", "not-held"].contains(&reason(refused)), "{refused}");
    }
    let metrics = crate::operations::http(&agent, "/metrics").1;
    assert!(metrics.contains("farrow_validation_seconds_count 1\n"), "{metrics}");
}
