//! Leases and reservations end with their process, and with nothing else.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use farrow_client::{ClientError, Event, Reason};
use farrow_integration_tests::{Holder, Region, batch, eventually, sum};

/// Asks until the answer is what it should become.
pub(crate) async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(start.elapsed().as_secs() < 30, "{what}: not after 30 s");
        tokio::time::sleep(Duration::from_millis(5)).await;
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

/// Kills holders, and takes the time until the agent has taken back what each held.
async fn times_to_end(
    kills: usize,
    mut holder: impl AsyncFnMut() -> Holder,
    mut is_held: impl AsyncFnMut() -> bool,
) -> Vec<Duration> {
    let mut times = Vec::new();
    for _ in 0..kills {
        let holder = holder().await;
        assert!(is_held().await);
        let start = Instant::now();
        holder.kill();
        while is_held().await {
            // A machine that is busy may give a process no time for a while.
            assert!(start.elapsed() < Duration::from_secs(5), "still held 5 s after its process was killed");
        }
        times.push(start.elapsed());
    }
    times.sort_unstable();
    times
}

#[tokio::test]
async fn what_a_killed_process_held_is_back_within_a_tenth_of_a_second() {
    const BOUND: Duration = Duration::from_millis(100);
    let region = Region::new("64MiB");
    let agent = region.agent();
    let client = agent.client().await;
    let rows = batch(0, 1000);
    client.put("a", rows.schema(), vec![rows]).await.unwrap();

    let leased = async || !client.leases().await.unwrap().is_empty();
    let reserved = async || client.usage().await.unwrap().reserved > 0;
    let socket = agent.socket();
    let by_session = times_to_end(9, async || Holder::of_frame(socket, "a"), leased).await;
    let by_request = times_to_end(9, async || Holder::of_mapping(socket, "a"), leased).await;
    let reservations = times_to_end(9, async || Holder::of_reservation(socket, 1 << 20), reserved).await;
    for times in [by_session, by_request, reservations] {
        assert!(times[times.len() / 2] < BOUND, "{times:?}");
    }
}

#[tokio::test]
async fn a_client_goes_on_with_an_agent_that_was_killed_and_started_again() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let client = agent.client().await;
    let rows = batch(0, 1000);
    client.put("a", rows.schema(), vec![rows.clone()]).await.unwrap();
    let mut watch = client.watch("").await.unwrap();
    let before = client.get("a").await.unwrap();
    agent.kill();

    let _agent = region.agent();
    let after = client.get("a").await.unwrap();
    assert!(after.zero_copy(), "{:?}", after.why());
    assert_eq!(sum(&after).unwrap(), sum(&before).unwrap());
    // What was mapped before stays so: nothing of it is given to anybody else.
    client.drop("a").await.unwrap();
    while client.put("filler", rows.schema(), vec![batch(-1_000_000, 100_000)]).await.is_ok() {}
    assert_eq!(before.batch(0).unwrap(), rows);
    drop(before);
    drop(after);
    // Released to the agent that granted it, or to one that never did.
    until("the lease is released", async || client.leases().await.unwrap().is_empty().then_some(())).await;
    // The watch goes on where it was.
    assert_eq!(watch.next().await.unwrap(), Event::Dropped { name: "a".into(), latest: None });
    let Event::Committed(info) = watch.next().await.unwrap() else { panic!("what came next") };
    assert!(info.name == "filler" && info.version >= 1, "{info:?}");
}

#[tokio::test]
async fn ten_thousand_leases_are_released_by_few_requests() {
    let region = Region::new("64MiB");
    let agent = region.agent_that_logs("info,farrow_agent=debug");
    let client = agent.client().await;
    let rows = batch(0, 10);
    client.put("a", rows.schema(), vec![rows]).await.unwrap();
    let mut frames = Vec::new();
    for _ in 0..10_000 {
        frames.push(client.get("a").await.unwrap());
    }
    assert_eq!(client.usage().await.unwrap().leases, 10_000);
    drop(frames);
    until("all are released", async || (client.usage().await.unwrap().leases == 0).then_some(())).await;
    drop(client);
    let told = until("the session ends", async || {
        agent.log().lines().find(|line| line.contains("session ends")).map(str::to_owned)
    })
    .await;
    let (_, requests) = told.split_once("requests=").expect("it says how many requests there were");
    let requests: u64 = requests.split_whitespace().next().unwrap().parse().unwrap();
    // Hello, and a request for each get.
    let releases = requests - 10_001;
    assert!((1..=100).contains(&releases), "{releases} requests to release");
}

#[tokio::test]
async fn a_frame_is_waited_for() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let client = agent.client().await;
    let rows = batch(0, 10);
    let patience = Duration::from_secs(30);
    let waiting = [("a", 1), ("a@2", 2)].map(|(name, version)| {
        let client = client.clone();
        tokio::spawn(async move { (client.wait_for(name, patience).await.unwrap().version(), version) })
    });
    let error = client.wait_for("b", Duration::from_millis(20)).await.unwrap_err();
    assert!(matches!(error, ClientError::NotYet { .. }), "{error:?}");
    let error = client.wait_for("b//c", patience).await.unwrap_err();
    assert_eq!(error.reason(), Some(Reason::InvalidName), "what can never be is not waited for");
    for _ in 0..2 {
        client.put("a", rows.schema(), vec![rows.clone()]).await.unwrap();
    }
    for waited in waiting {
        let (version, asked) = waited.await.unwrap();
        assert!(version >= asked, "{version} {asked}");
    }
    assert_eq!(client.wait_for("a@1", Duration::ZERO).await.unwrap().version(), 1, "there is one look");
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
