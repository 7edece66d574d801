//! Peers that die in the middle of every verb.

use std::process::Command;

use farrow_integration_tests::{Agent, Region, batch, program};

use crate::leases::until;
use crate::limits::limited;

/// Descriptors that the agent has open.
fn descriptors(agent: &Agent) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", agent.pid())).expect("a running agent").count()
}

#[tokio::test]
async fn a_peer_that_dies_anywhere_in_any_verb_leaves_nothing() {
    let region = Region::new("64MiB");
    // The peer lives on and keeps what it was given, connection by connection.
    let agent = limited(&region, "reservations-per-process = 10000");
    let client = agent.client().await;
    let rows = batch(0, 3000);
    client.put("a/b", rows.schema(), vec![rows.clone()]).await.unwrap();
    drop(client.get("a/b").await.unwrap());
    until("nothing is held yet", async || client.leases().await.unwrap().is_empty().then_some(())).await;
    let before = descriptors(&agent);

    let output = Command::new(program("cut-off")).args([agent.socket(), "a/b"]).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    println!("counted: a peer that died: {}", told.trim());

    until("its death gives all back", async || {
        let usage = client.usage().await.unwrap();
        let held = usage.leases + usage.reserved + usage.held;
        (held == 0 && descriptors(&agent) <= before).then_some(())
    })
    .await;
    assert_eq!(client.get("a/b").await.unwrap().batch(0).unwrap(), rows);
    assert_eq!(client.list("").await.unwrap().len(), 1, "nothing was published");
    drop(client);
    assert_eq!(agent.terminate(), Some(0));
    region.assert_clean();
}
