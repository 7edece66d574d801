//! Retention: the rights to set and to list it, and versions that age removes.

use std::time::Duration;

use farrow_client::{Client, ClientError, Mode, PutOptions, Reason, Retention, RetentionTarget};
use farrow_integration_tests::{Region, batch};
use farrow_proto::v1::retention_rule::Target;
use farrow_proto::{Action, v1};
use prost::Message;

use crate::bad_input::reason;
use crate::leases::until;
use crate::limits::flight;
use crate::rights::{ONLY_ETL, TOKEN, connect, put, results, token_file};
use crate::versions::do_put_of;

/// An agent's rules: everything for who has the token, and these for whoever is local.
fn config(region: &Region, local: &str) -> String {
    region.config(&(ONLY_ETL.replace("TOKEN_FILE", &token_file(region, TOKEN)) + local))
}

/// As a request has them, so that one can be told from another at a glance: `frame`, or `<prefix`.
fn shown(rule: &v1::RetentionRule) -> String {
    match rule.target.clone().unwrap() {
        Target::Name(name) => name,
        Target::Prefix(prefix) => format!("<{prefix}"),
    }
}

#[tokio::test]
async fn who_may_drop_all_below_sets_it_and_who_may_read_below_is_told() {
    let region = Region::new("64MiB");
    let local = "[[rights]]\nwho = [\"local\"]\nnames = [\"b\", \"d/\", \"a/x\"]\nmay = [\"read\"]\n\
                 [[rights]]\nwho = [\"local\"]\nnames = [\"d/\"]\nmay = [\"drop\"]\n";
    let agent = region.agent_with(&["--config", &config(&region, local)]);
    let (etl, client) = (connect(agent.socket(), Some(TOKEN)).await, connect(agent.socket(), None).await);
    for name in ["a/w", "b/1", "d/1", "d/1", "d/2", "d/2"] {
        put(&etl, name).await;
    }
    for prefix in ["", "d", "a/x", "e/"] {
        for retention in [Some(Retention::last(1)), None] {
            let refused = client.retain_prefix(prefix, retention).await.unwrap_err();
            assert_eq!(refused.reason(), Some(Reason::Denied), "{prefix}: {refused}");
            assert!(refused.to_string().contains("may not drop"), "{refused}");
        }
    }
    assert_eq!(client.retain("b/1", Retention::last(1)).await.unwrap_err().reason(), Some(Reason::Denied));
    assert_eq!(client.retain_prefix("d/", Retention::last(1)).await.unwrap().versions, 2);
    client.retain("d/2", Retention::all()).await.unwrap();
    client.retain("d/later", Retention::last(4)).await.unwrap();
    for prefix in ["", "a/", "a/w", "a/x/1", "b", "e/"] {
        etl.retain_prefix(prefix, Retention::last(9)).await.unwrap();
    }
    for name in ["a/w", "b/1", "b", "bb"] {
        etl.retain(name, Retention::last(8)).await.unwrap();
    }

    let seen = ["<", "<a/", "<a/x/1", "<b", "<d/", "b", "b/1", "d/2", "d/later"];
    let mut flight = flight(agent.socket()).await;
    for limit in [1, 2, 3, 7, 100] {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let request = v1::RetentionsRequest { prefix: String::new(), after, limit };
            let page = results(&mut flight, Action::Retentions, request.encode_to_vec()).await.unwrap();
            if page.is_empty() {
                break;
            }
            assert!(page.len() <= limit as usize);
            found.extend(page.into_iter().map(|result| v1::RetentionRule::decode(result.body).unwrap()));
            after = found.last().cloned();
        }
        assert_eq!(found.iter().map(shown).collect::<Vec<_>>(), seen, "in pages of {limit}");
    }
    let all = etl.retentions("").await.unwrap();
    assert_eq!(all.len(), 7 + 6);
    assert!(all.iter().all(|rule| rule.uid == rustix::process::geteuid().as_raw()));
    let of = async |client: &Client, prefix: &str| {
        let rules = client.retentions(prefix).await.unwrap().into_iter().map(|rule| match rule.target {
            RetentionTarget::Prefix(prefix) => format!("<{prefix}"),
            RetentionTarget::Frame(name) => name,
        });
        rules.collect::<Vec<_>>()
    };
    assert_eq!(of(&client, "d/2").await, ["<", "<d/", "d/2"]);
    assert_eq!(of(&client, "b").await, ["<", "<b", "b", "b/1"]);
    assert_eq!(of(&etl, "b*").await, ["<", "<b", "b", "b/1", "bb"]);
    assert_eq!(of(&client, "a/w").await, ["<", "<a/"], "nothing of what it may not read");

    let retain = async |request: v1::RetainRequest| {
        let mut flight = crate::limits::flight(agent.socket()).await;
        let refused = results(&mut flight, Action::Retain, request.encode_to_vec()).await.unwrap_err();
        (reason(&refused).to_owned(), refused.message().to_owned())
    };
    let name = || "d/1".to_owned();
    let both = v1::RetainRequest { name: name(), prefix: Some("d/".into()), last: 1, ..Default::default() };
    assert_eq!(retain(both).await.0, "invalid-name");
    assert_eq!(retain(v1::RetainRequest { last: 1, ..Default::default() }).await.0, "invalid-name");
    let within = v1::RetainRequest { prefix: Some("d/x*".into()), last: 1, ..Default::default() };
    let (reason, told) = retain(within).await;
    assert!(reason == "invalid-name" && told.contains("whole components"), "{reason}: {told}");
    for (last, max_age_seconds) in [(1, 0), (0, 1)] {
        let request = v1::RetainRequest { name: name(), last, max_age_seconds, unset: true, prefix: None };
        let (reason, told) = retain(request).await;
        assert!(reason == "invalid-data" && told.contains("leave out `unset`"), "{reason}: {told}");
    }
}

#[tokio::test]
async fn versions_go_with_time_but_for_the_latest() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let client = agent.client().await;
    let second = Duration::from_secs(1);
    client.retain_prefix("a/", Retention::all().max_age(second)).await.unwrap();
    client.retain("a/own", Retention::last(2)).await.unwrap();
    for name in ["a/b", "a/b", "a/own", "a/own", "c", "c"] {
        put(&client, name).await;
    }
    let rows = batch(0, 10);
    let keeping = PutOptions::from(Mode::Replace).keep(5);
    let info = client.put_with("a/kept", rows.schema(), vec![rows], keeping).await.unwrap();
    assert_eq!((info.retention, info.max_age), (5, None), "a retention of its own, as a whole");
    let versions = async |name: &str| {
        let versions = client.versions(name).await.unwrap();
        versions.iter().map(|version| version.info.version).collect::<Vec<_>>()
    };
    until("the first version is too old", async || (versions("a/b").await == [2]).then_some(())).await;
    assert_eq!((versions("a/own").await, versions("c").await), (vec![1, 2], vec![1, 2]));
    let info = client.stat("a/b").await.unwrap();
    assert_eq!((info.retention, info.max_age), (0, Some(second)));

    // An agent that starts goes on with it.
    client.retain_prefix("", Retention::all().max_age(second)).await.unwrap();
    agent.kill();
    let agent = region.agent();
    let client = agent.client().await;
    until("an old version goes", async || (client.versions("c").await.unwrap().len() == 1).then_some(()))
        .await;
}

/// It names a frame that the caller may drop, and none that it may not know of.
#[tokio::test]
async fn a_full_region_names_what_the_caller_may_free() {
    let region = Region::new("24MiB");
    let local = "[[rights]]\nwho = [\"local\"]\nnames = [\"\"]\nmay = [\"publish\"]\n\
                 [[rights]]\nwho = [\"local\"]\nnames = [\"read/\", \"mine/\"]\nmay = [\"read\"]\n\
                 [[rights]]\nwho = [\"local\"]\nnames = [\"drop/\", \"mine/\"]\nmay = [\"drop\"]\n";
    let agent = region.agent_with(&["--config", &config(&region, local)]);
    let (etl, client) = (connect(agent.socket(), Some(TOKEN)).await, connect(agent.socket(), None).await);
    let fill = async |client: &Client, name: &str, count: i64| -> Result<(), ClientError> {
        for _ in 0..count {
            let rows = batch(0, 20_000);
            client.put(name, rows.schema(), vec![rows]).await?;
        }
        Ok(())
    };
    for (name, count) in [("read/a", 3), ("drop/a", 3), ("hidden/a", 4)] {
        fill(&etl, name, count).await.unwrap();
    }
    let full = fill(&client, "single", 1000).await.unwrap_err();
    let told = full.to_string();
    assert_eq!(full.reason(), Some(Reason::RegionFull), "{told}");
    // Nothing that is dropped is held by a lease.
    assert!(told.contains("0 leases") && told.ends_with("Try: `farrow rm NAME`"), "{told}");
    assert!(fill(&etl, "x", 1).await.unwrap_err().to_string().contains("retain --last 1 single`"));

    etl.drop("single").await.unwrap();
    fill(&client, "mine/a", 3).await.unwrap();
    let told = fill(&client, "other", 1000).await.unwrap_err().to_string();
    assert!(told.contains("Try: `farrow retain --last 1 mine/a` (its 2 old versions hold"), "{told}");
    // Also of rows that the agent writes.
    let mut flight = flight(agent.socket()).await;
    let streamed = do_put_of(batch(0, 20_000), &mut flight, "big", &[], false).await.unwrap_err();
    assert!(streamed.message().contains("retain --last 1 mine/a`"), "{streamed}");
}
