//! Users have so many leases, and all of them so many, whichever way they ask.

use arrow_flight::{FlightData, FlightDescriptor};
use farrow_client::Reason;
use farrow_integration_tests::{Holder, Region, User, batch};
use farrow_proto::v1::map_result::Result as Mapped;
use farrow_proto::v1::session_answer::Answer;
use farrow_proto::{ANNOUNCE_HEADER, ANNOUNCE_VALUE, v1};
use futures::TryStreamExt;
use tonic::Request;

use crate::bad_input::reason;
use crate::leases::until;
use crate::limits::{flight, limited, stuck, ticket};
use crate::session::{Session, map};

fn announced<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert(ANNOUNCE_HEADER, ANNOUNCE_VALUE.parse().unwrap());
    request
}

#[tokio::test]
async fn a_user_with_its_share_of_the_leases_maps_no_more_by_any_verb() {
    let region = Region::new("64MiB");
    let agent = limited(&region, "leases = 6");
    let client = agent.client().await;
    let rows = batch(0, 10);
    client.put("a", rows.schema(), vec![rows.clone()]).await.unwrap();
    let mut frames = Vec::new();
    for _ in 0..3 {
        frames.push(client.get("a").await.unwrap());
        assert!(frames.iter().all(|frame| frame.zero_copy()));
    }
    assert_eq!(client.usage().await.unwrap().leases, 3);
    let error = client.get("a").await.unwrap_err();
    assert_eq!(error.reason(), Some(Reason::Quota), "{error}");
    for part in ["3 leases", "3 of 6", "limits.leases", "release frames", "farrow leases"] {
        assert!(error.to_string().contains(part), "{error}");
    }

    let mut flight = flight(agent.socket()).await;
    let path = FlightDescriptor::new_path(vec!["a".to_owned()]);
    let refused = flight.get_flight_info(announced(path)).await.unwrap_err();
    assert_eq!(reason(&refused), "quota", "{refused}");
    let ticket = ticket(&mut flight, "a").await;
    let refused = flight.do_get(announced(ticket.clone())).await.unwrap_err();
    assert_eq!(reason(&refused), "quota", "{refused}");
    // Rows take none.
    let messages: Vec<FlightData> =
        flight.do_get(ticket).await.unwrap().into_inner().try_collect().await.unwrap();
    assert!(messages.len() >= 2);

    frames.pop();
    until("one is released", async || (client.usage().await.unwrap().leases == 2).then_some(())).await;
    frames.push(client.get("a").await.unwrap());
    // The limit is raised without a restart.
    limited_again(&region, "leases = 8");
    agent.reload();
    frames.push(client.get("a").await.unwrap());
    client.get("a").await.unwrap_err();
}

fn limited_again(region: &Region, limits: &str) {
    std::fs::write(region.beside("agent.toml"), format!("[limits]\n{limits}\n")).unwrap();
}

#[tokio::test]
async fn of_many_names_those_are_mapped_that_fit() {
    let region = Region::new("64MiB");
    let agent = limited(&region, "leases = 4");
    let client = agent.client().await;
    for name in ["a", "b", "c"] {
        let rows = batch(0, 10);
        client.put(name, rows.schema(), vec![rows]).await.unwrap();
    }
    let mut session = Session::open(&agent).await;
    let (_, answer) = session.ask(map(&["missing", "a", "missing", "b", "c", "missing"])).await;
    let Answer::Mapped(v1::Mapped { results, .. }) = answer else { panic!("{answer:?}") };
    let reasons: Vec<String> = results
        .into_iter()
        .map(|result| match result.result.unwrap() {
            Mapped::Map(map) => map.name,
            Mapped::Refusal(refusal) => refusal.reason,
        })
        .collect();
    assert_eq!(reasons, ["not-found", "a", "not-found", "b", "quota", "not-found"]);
    // Nothing is held of what was refused.
    assert!(client.drop("c").await.unwrap().bytes_freed > 0);
    assert_eq!(client.usage().await.unwrap().leases, 2);
}

#[tokio::test]
async fn one_users_leases_are_not_anothers() {
    let Some(other) = User::new(4719, "leases of two users") else { return };
    let region = Region::new("64MiB");
    let agent = limited(&region, "leases = 4");
    region.let_everybody_in();
    let client = agent.client().await;
    let rows = batch(0, 10);
    client.put("a", rows.schema(), vec![rows]).await.unwrap();
    let greedy = [(); 2].map(|()| Holder::of_frame_as(&other, agent.socket(), "a"));
    let refused = other.command("hold").args([agent.socket(), "get", "a"]).output().unwrap();
    let told = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && told.contains("user 4719 have 2 leases"), "{told}");
    let frame = client.get("a").await.unwrap();
    assert!(frame.zero_copy());
    // They end with their processes.
    greedy.into_iter().for_each(Holder::kill);
    until("they are over", async || (client.usage().await.unwrap().leases == 1).then_some(())).await;
    drop(Holder::of_frame_as(&other, agent.socket(), "a"));
}

#[tokio::test]
async fn leases_are_listed_by_a_stream_like_any_other() {
    let region = Region::new("256MiB");
    let agent = limited(&region, "streams = 2");
    let client = agent.client().await;
    let rows = batch(0, 1_000_000);
    client.put("a", rows.schema(), vec![rows]).await.unwrap();
    let mut frames = Vec::new();
    for _ in 0..600 {
        frames.push(client.get("a").await.unwrap());
    }
    let listed = client.leases().await.unwrap();
    assert_eq!(listed.len(), 600);
    assert!(listed.is_sorted_by_key(|lease| lease.lease), "oldest first");
    // Where a user's streams are not read, it gets no further one: the answer takes the memory that streams have.
    let _stuck = stuck(&agent, "a").await;
    let error = client.leases().await.unwrap_err();
    assert_eq!(error.reason(), Some(Reason::Busy), "{error}");
    assert_eq!(client.usage().await.unwrap().leases, 600);
}
