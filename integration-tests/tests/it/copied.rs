//! Another file in the place of the region's, while an agent serves the one that it has open.

use std::fs;

use farrow_client::Client;
use farrow_integration_tests::{Agent, Region, batch, map_socket};

/// Puts a copy in the region's place; its bytes.
fn replace(region: &Region) -> Vec<u8> {
    let copy = region.beside("copy");
    fs::copy(&region.path, &copy).unwrap();
    fs::rename(copy, &region.path).unwrap();
    fs::read(&region.path).unwrap()
}

async fn put(agent: &Agent) -> Client {
    let client = agent.client().await;
    let rows = batch(0, 1000);
    client.put("a", rows.schema(), vec![rows]).await.unwrap();
    client
}

#[tokio::test]
async fn a_writer_does_not_write_into_a_copy() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    drop(put(&agent).await);
    let copy = replace(&region);

    let client = agent.client().await;
    let rows = batch(1000, 1000);
    let info = client.put("a", rows.schema(), vec![rows.clone()]).await.unwrap();
    // The agent wrote, into its own.
    let why = info.why.expect("it was streamed");
    assert!(why.contains("another file than the agent serves"), "{why}");
    assert!(fs::read(&region.path).unwrap() == copy, "the copy was written to");
    assert_eq!(client.get("a").await.unwrap().batch(0).unwrap(), rows);
}

#[tokio::test]
async fn a_reader_by_path_does_not_read_a_copy() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    drop(put(&agent).await);
    replace(&region);
    fs::remove_file(map_socket(agent.socket())).unwrap();

    let frame = agent.client().await.get("a").await.unwrap();
    let why = frame.why().expect("it was streamed");
    assert!(why.contains("another file than the agent serves"), "{why}");
    assert_eq!(frame.batch(0).unwrap(), batch(0, 1000));
    // Its map socket is gone.
    agent.kill();
}

/// A client that has mapped the old file, and an agent that serves the new one from now on.
#[tokio::test]
async fn a_client_that_outlives_its_agent_maps_the_file_of_the_next_one() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let client = put(&agent).await;
    drop(client.get("a").await.unwrap());
    agent.kill();
    replace(&region);
    let agent = region.agent();
    let other = agent.client().await;
    let rows = batch(5000, 10);
    other.put("a", rows.schema(), vec![rows.clone()]).await.unwrap();
    let frame = client.get("a").await.unwrap();
    assert!(frame.zero_copy(), "{:?}", frame.why());
    assert_eq!(frame.batch(0).unwrap(), rows);
}
