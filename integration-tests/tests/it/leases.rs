//! Leases and reservations end with their process, and with nothing else.

use std::collections::BTreeSet;

use farrow_integration_tests::{Holder, Region, batch, eventually, sum};

/// Asks until the answer is what it should become.
pub(crate) async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let start = std::time::Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(start.elapsed().as_secs() < 30, "{what}: not after 30 s");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn the_last_array_releases_the_lease() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let client = agent.client().await;
    let rows = batch(0, 1000);
    client.put("a", rows.schema(), vec![rows]).await.unwrap();

    let frame = client.get("a").await.unwrap();
    let slice = frame.batch(0).unwrap().column(0).slice(1, 1);
    let [lease] = &client.leases().await.unwrap()[..] else { panic!("one lease") };
    assert_eq!((lease.pid, lease.name.as_str(), lease.version), (std::process::id(), "a", 1));
    drop(frame);
    assert_eq!(client.leases().await.unwrap().len(), 1, "a slice still maps it");
    drop(slice);
    until("the lease is released", async || client.leases().await.unwrap().is_empty().then_some(())).await;
}

#[tokio::test]
async fn a_killed_reader_holds_nothing() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let client = agent.client().await;
    let rows = batch(0, 1000);
    client.put("a", rows.schema(), vec![rows]).await.unwrap();

    let reader = Holder::of_frame(agent.socket(), "a");
    assert_eq!(client.leases().await.unwrap()[0].pid, reader.pid());
    reader.kill();
    until("the lease of the killed is gone", async || {
        client.leases().await.unwrap().is_empty().then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_is_dropped_stays_readable_and_is_reused_only_after_its_readers() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let client = agent.client().await;
    let rows = batch(0, 500_000);
    let info = client.put("a", rows.schema(), vec![rows.clone()]).await.unwrap();
    let before = client.usage().await.unwrap();
    let mut reader = Holder::of_frame(agent.socket(), "a");
    let expected = reader.sum();

    let dropped = client.drop("a").await.unwrap();
    assert_eq!((dropped.versions, dropped.bytes_freed), (1, 0));
    assert!(dropped.bytes_held >= info.bytes);
    assert!(client.get("a").await.is_err(), "gone from look-ups at once");

    // All the room that is left is filled with other bytes: none of it may be the reader's.
    let mut filled = 0;
    while client.put("filler", rows.schema(), vec![batch(-1_000_000, 500_000)]).await.is_ok() {
        filled += 1;
    }
    assert!(filled >= 1);
    assert_eq!(reader.sum(), expected);

    reader.kill();
    until("its bytes return", async || (client.usage().await.unwrap().held == 0).then_some(())).await;
    client.drop("filler").await.unwrap();
    let again = client.put("a", rows.schema(), vec![rows]).await.unwrap();
    assert_eq!(again.bytes, info.bytes);
    assert_eq!(client.usage().await.unwrap().used, before.used);
    drop(agent);
    region.assert_clean();
}

#[tokio::test]
async fn a_killed_writers_reservation_goes_back() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let client = agent.client().await;
    let writer = Holder::of_reservation(agent.socket(), 10 << 20);
    assert_eq!(client.usage().await.unwrap().reserved, 10 << 20);
    writer.kill();
    until("the reservation is gone", async || (client.usage().await.unwrap().reserved == 0).then_some(()))
        .await;
}

#[tokio::test]
async fn a_killed_agent_frees_nothing_that_is_still_mapped() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let rows = batch(0, 100_000);
    let client = agent.client().await;
    client.put("a", rows.schema(), vec![rows.clone()]).await.unwrap();
    // This process holds nothing any more, and is forgotten before the agent dies.
    let holders = region.holders();
    until("the record is tidy", async || (!holders().contains(&std::process::id())).then_some(())).await;
    let mut reader = Holder::of_frame(agent.socket(), "a");
    let writer = Holder::of_reservation(agent.socket(), 4 << 20);
    let expected = reader.sum();
    assert_eq!(BTreeSet::from_iter(holders()), BTreeSet::from([reader.pid(), writer.pid()]));
    agent.kill();

    let agent = region.agent();
    let client = agent.client().await;
    assert_eq!(client.usage().await.unwrap().reserved, 4 << 20, "the writer still runs");
    let dropped = client.drop("a").await.unwrap();
    assert_eq!(dropped.bytes_freed, 0, "the reader still runs");
    while client.put("filler", rows.schema(), vec![batch(-1_000_000, 100_000)]).await.is_ok() {}
    assert_eq!(reader.sum(), expected);

    reader.kill();
    writer.kill();
    until("both went back", async || {
        let usage = client.usage().await.unwrap();
        (usage.held == 0 && usage.reserved == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_writer_that_died_with_the_agent_leaves_nothing() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let writer = Holder::of_reservation(agent.socket(), 4 << 20);
    agent.kill();
    writer.kill();
    let agent = region.agent();
    assert_eq!(agent.client().await.usage().await.unwrap().reserved, 0);
}

#[test]
fn the_blocking_client_releases_too() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let address = farrow_client::Address::Unix(agent.socket().into());
    let client = farrow_client::blocking::Client::connect(address.clone()).unwrap();
    let rows = batch(0, 10);
    client.put("a", rows.schema(), vec![rows]).unwrap();
    let frame = client.get("a").unwrap();
    drop(client);
    assert_eq!(sum(&frame).unwrap(), 45);
    drop(frame);
    let other = farrow_client::blocking::Client::connect(address).unwrap();
    eventually("the lease is released", || other.leases().unwrap().is_empty().then_some(()));
}
