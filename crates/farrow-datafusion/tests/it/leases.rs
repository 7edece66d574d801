//! The life of a lease.

use farrow_client::Client;
use farrow_integration_tests::eventually;

use crate::{agent, publish, rows, session};

/// Waits, with tasks of this test running meanwhile, until nobody maps anything.
async fn gone(client: &Client) {
    let (client, handle) = (client.clone(), tokio::runtime::Handle::current());
    let wait = move || {
        let nobody = || handle.block_on(client.leases()).unwrap().is_empty();
        eventually("the lease goes", || nobody().then_some(()));
    };
    tokio::task::spawn_blocking(wait).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_keeps_the_lease_until_its_last_batch() {
    let (_region, _agent, client) = agent().await;
    let session = session(publish(&client, "held", 50_000, 2).await, 2);
    let mut found = rows(&session, "SELECT number FROM t").await;
    drop(session);
    assert!(found.len() > 1);
    found.truncate(1);
    assert_eq!(client.leases().await.unwrap().len(), 1, "one batch is left");
    drop(found);
    gone(&client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_was_computed_keeps_none() {
    let (_region, _agent, client) = agent().await;
    let session = session(publish(&client, "held", 50_000, 2).await, 2);
    let found = rows(&session, "SELECT number % 7 AS day, count(*) FROM t GROUP BY day").await;
    assert_eq!(client.leases().await.unwrap().len(), 1, "the table is registered");
    drop(session);
    gone(&client).await;
    assert_eq!(found.iter().map(|batch| batch.num_rows()).sum::<usize>(), 7);
}
