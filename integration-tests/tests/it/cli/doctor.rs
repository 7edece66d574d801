//! doctor: what stands in the way, with and without an agent.

use std::process::Output;

use farrow_client::{Mode, PutOptions, Reason};
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

/// What a frame is mapped from there is one file of many, and no region by itself.
#[tokio::test]
async fn a_sound_agent_on_a_mount_has_no_problems() {
    let region = Region::mounted(24);
    let agent = region.agent();
    let rows = batch(0, 1000);
    agent.client().await.put("a", rows.schema(), vec![rows]).await.unwrap();
    let output = farrow(&["doctor", "--address", agent.socket(), "--json"]);
    let found = findings(&output);
    assert_eq!(output.status.code(), Some(0), "{found:?}");
    let (told, region_found) = verdict(&found, "region");
    let expected = format!("{}: a mounted famfs, ", region.path.to_str().unwrap());
    assert!(told == "ok" && region_found.starts_with(&expected), "{found:?}");
    assert!(region_found.ends_with(", clean"), "{region_found}");
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
    let start = format!("there is no socket. Start one: `farrow-agent --region PATH --socket {nowhere}`");
    assert!(told.contains(&start), "{told}");
    assert_eq!(verdict(&found, "region").0, "note");

    let found = findings(&farrow(&["doctor", "--address", nowhere, "--json", region.path.to_str().unwrap()]));
    assert!(verdict(&found, "region").1.ends_with("64.0 MiB, clean"), "{found:?}");
    let none =
        findings(&farrow(&["doctor", "--address", nowhere, "--json", region.beside("x").to_str().unwrap()]));
    assert_eq!(verdict(&none, "region").0, "problem");
}

#[tokio::test]
async fn a_catalog_is_nearly_full_only_of_what_compaction_leaves() {
    let region = Region::unmade();
    let path = region.path.to_str().unwrap();
    stdout(&farrow(&["mkfs", "--size", "64MiB", "--catalog", "32KiB", path]));
    let agent = region.agent();
    let (client, rows) = (agent.client().await, batch(0, 1));
    let replace = PutOptions::from(Mode::Replace).keep(1);
    let run = |args: &[&str]| farrow(&[args, &["--address", agent.socket()]].concat());
    let of_catalog = || {
        let found = findings(&run(&["doctor", "--json"]));
        let (verdict, told) = verdict(&found, "catalog");
        (verdict.to_owned(), told.to_owned())
    };
    let usage = loop {
        client.put_with("a", rows.schema(), vec![rows.clone()], replace).await.unwrap();
        let usage = client.usage().await.unwrap();
        if usage.catalog_committed > usage.catalog_bytes / 10 * 9 {
            break usage;
        }
    };
    assert!(usage.catalog_live < usage.catalog_bytes / 4, "{usage:?}");
    assert_eq!(of_catalog().0, "ok", "{:?}", of_catalog());
    let df: serde_json::Value = serde_json::from_str(&stdout(&run(&["df", "--json"]))).unwrap();
    assert_eq!(df["catalog_live"].as_u64(), Some(usage.catalog_live));
    assert_eq!(df["growable"].as_u64(), Some(usage.growable));
    assert!(stdout(&run(&["df"])).contains("KiB until it is compacted"), "{}", stdout(&run(&["df"])));
    // As many frames as there is room for.
    let mut number = 0;
    let full = loop {
        number += 1;
        let put = client.put(&format!("b/{number}"), rows.schema(), vec![rows.clone()]).await;
        if let Err(error) = put {
            break error;
        }
    };
    assert_eq!(full.reason(), Some(Reason::RegionFull), "{full}");
    assert!(full.to_string().contains("catalog"), "{full}");
    let usage = client.usage().await.unwrap();
    assert!(usage.catalog_live <= usage.catalog_bytes / 8 * 7, "{usage:?}");
    assert_eq!(of_catalog().0, "note", "{:?}", of_catalog());
}

#[tokio::test]
async fn what_is_scarce_is_noted_with_what_helps() {
    let region = Region::unmade();
    stdout(&farrow(&["mkfs", "--size", "64MiB", "--reserve", "8MiB", region.path.to_str().unwrap()]));
    let agent = region.agent_with(&["--listen", "127.0.0.1:0"]);
    let client = agent.client().await;
    let rows = batch(0, 100_000);
    let mut usage = client.usage().await.unwrap();
    while usage.free >= usage.pool_bytes / 10 {
        client.append("a", rows.schema(), vec![rows.clone()]).await.unwrap();
        usage = client.usage().await.unwrap();
    }
    let space = || {
        let found = findings(&farrow(&["doctor", "--json", "--address", agent.socket()]));
        assert_eq!(verdict(&found, "space").0, "note", "{found:?}");
        let finding = found.iter().find(|finding| finding["topic"] == "space").unwrap();
        finding["advice"].as_str().unwrap().to_owned()
    };
    let advice = space();
    assert!(advice.contains("`farrow retain NAME --last N`"), "{advice}");
    assert!(advice.ends_with("`farrow grow` adds up to 8.0 MiB"), "{advice}");
    // Once it has nothing to add, nobody is sent there.
    stdout(&farrow(&["grow", "--address", agent.socket()]));
    while usage.free >= usage.pool_bytes / 10 || usage.growable > 0 {
        client.append("a", rows.schema(), vec![rows.clone()]).await.unwrap();
        usage = client.usage().await.unwrap();
    }
    let advice = space();
    assert!(
        advice.contains("no room is left outside the pool") && !advice.contains("farrow grow"),
        "{advice}"
    );
    // What is dropped and still mapped is another matter.
    let held = client.get("a").await.unwrap();
    client.drop("a").await.unwrap();
    assert!(space().starts_with("Most is dropped and still mapped: `farrow leases`"), "{}", space());
    drop(held);
    let found = findings(&farrow(&["doctor", "--json", "--address", &agent.tcp()]));
    assert_eq!(verdict(&found, "access").0, "note", "{found:?}");
}
