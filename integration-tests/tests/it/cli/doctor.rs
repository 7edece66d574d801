//! doctor: what stands in the way, with and without an agent.

use std::process::Output;

use farrow_integration_tests::{Region, batch, farrow};

use super::{stderr, stdout};

fn findings(output: &Output) -> Vec<serde_json::Value> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn verdict<'a>(findings: &'a [serde_json::Value], topic: &str) -> (&'a str, &'a str) {
    let finding = findings.iter().find(|finding| finding["topic"] == topic);
    let finding = finding.unwrap_or_else(|| panic!("{topic} in {findings:?}"));
    (finding["verdict"].as_str().unwrap(), finding["found"].as_str().unwrap())
}

#[tokio::test]
async fn a_sound_agent_has_no_problems() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let run = |args: &[&str]| farrow(&[&["doctor", "--address", agent.socket()], args].concat());
    let empty = run(&["--json"]);
    let found = findings(&empty);
    assert_eq!(empty.status.code(), Some(0), "{found:?}");
    assert_eq!(verdict(&found, "mapping").0, "note");

    let rows = batch(0, 1000);
    let client = agent.client().await;
    client.put("a", rows.schema(), vec![rows]).await.unwrap();
    let found = findings(&run(&["--json"]));
    assert_eq!(verdict(&found, "mapping"), ("ok", "`a@1` is mapped, nothing was copied"));
    for topic in ["command", "agent", "access", "space", "catalog", "log", "leases", "region", "caches"] {
        assert_eq!(verdict(&found, topic).0, "ok", "{topic} in {found:?}");
    }
    // By the mapping it has found where the region lies.
    assert!(verdict(&found, "region").1.starts_with(region.path.to_str().unwrap()), "{found:?}");
    assert!(verdict(&found, "pages").1.contains("huge pages"), "{found:?}");
    let agent_version = verdict(&found, "agent").1;
    assert!(agent_version.contains(env!("CARGO_PKG_VERSION")), "{agent_version}");
    let text = stdout(&run(&[]));
    assert!(text.contains("ok       mapping   `a@1` is mapped") && !text.contains('\u{1b}'), "{text}");
}

#[test]
fn without_an_agent_it_says_what_to_do() {
    let region = Region::new("64MiB");
    let nowhere = region.beside("agent.sock");
    let nowhere = nowhere.to_str().unwrap();
    let alone = farrow(&["doctor", "--address", nowhere, "--json"]);
    assert_eq!((alone.status.code(), stderr(&alone)), (Some(1), String::new()));
    let found = findings(&alone);
    let (verdict_of_agent, told) = verdict(&found, "agent");
    assert_eq!(verdict_of_agent, "problem");
    assert!(told.contains("Start one (farrow-agent --region PATH)"), "{told}");
    assert_eq!(verdict(&found, "region").0, "note");

    let found = findings(&farrow(&["doctor", "--address", nowhere, "--json", region.path.to_str().unwrap()]));
    assert!(verdict(&found, "region").1.ends_with("64.0 MiB, clean"), "{found:?}");
    let none =
        findings(&farrow(&["doctor", "--address", nowhere, "--json", region.beside("x").to_str().unwrap()]));
    assert_eq!(verdict(&none, "region").0, "problem");
}

#[tokio::test]
async fn what_is_scarce_is_noted() {
    let region = Region::new("64MiB");
    let agent = region.agent_with(&["--listen", "127.0.0.1:0"]);
    let client = agent.client().await;
    let rows = batch(0, 100_000);
    let mut usage = client.usage().await.unwrap();
    while usage.free >= usage.pool_bytes / 10 {
        client.append("a", rows.schema(), vec![rows.clone()]).await.unwrap();
        usage = client.usage().await.unwrap();
    }
    let found = findings(&farrow(&["doctor", "--json", "--address", agent.socket()]));
    assert_eq!(verdict(&found, "space").0, "note", "{found:?}");
    let found = findings(&farrow(&["doctor", "--json", "--address", &agent.tcp()]));
    assert_eq!(verdict(&found, "access").0, "note", "{found:?}");
}
