//! Bytes that earlier writers left in the memory of a region are published by nobody else.

use std::os::unix::fs::FileExt as _;

use arrow_flight::Action as Call;
use farrow_client::{Address, Client};
use farrow_integration_tests::{Agent, Region, batch, farrow};
use farrow_proto::{Action, v1};
use futures::TryStreamExt as _;
use prost::Message;
use tonic::{Code, Request, Status};

use crate::limits::flight;
use crate::rights::token_file;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// Asks as the tests' user, or as that user with a token.
pub(crate) async fn ask<M: Message + Default>(
    agent: &Agent,
    token: Option<&str>,
    action: Action,
    body: &impl Message,
) -> Result<M, Status> {
    let mut request = Request::new(Call::new(action.as_str(), body.encode_to_vec()));
    if let Some(token) = token {
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    }
    let results: Vec<_> =
        flight(agent.socket()).await.do_action(request).await?.into_inner().try_collect().await?;
    Ok(results.first().map_or_else(M::default, |result| M::decode(result.body.clone()).unwrap()))
}

pub(crate) async fn reserve(agent: &Agent, token: Option<&str>, len: u64) -> v1::Reservation {
    let request = v1::ReserveRequest { len, ..Default::default() };
    ask(agent, token, Action::Reserve, &request).await.unwrap()
}

/// Returns where the first extent of a reservation lies in the region's file, and all of its bytes.
fn memory(region: &Region, reservation: &v1::Reservation) -> (u64, Vec<u8>) {
    let [extent] = &reservation.extents[..] else { panic!("{reservation:?}") };
    let place = reservation.pools[0].ranges[0].offset + extent.offset;
    let mut bytes = vec![0; usize::try_from(extent.length).unwrap()];
    std::fs::File::open(&region.path).unwrap().read_exact_at(&mut bytes, place).unwrap();
    (place, bytes)
}

/// Reserves what a dropped frame had, and commits it without a byte written: it must be no frame, and show nothing.
async fn assert_nothing_is_left(region: &Region, agent: &Agent, token: Option<&str>, len: u64) {
    let reservation = reserve(agent, token, len).await;
    let (_, bytes) = memory(region, &reservation);
    assert!(bytes.iter().all(|&byte| byte == 0), "it shows what another one wrote");
    let request = v1::CommitRequest {
        reservation: reservation.id,
        len,
        name: "public".to_owned(),
        ..Default::default()
    };
    let refused = ask::<v1::FrameInfo>(agent, token, Action::Commit, &request).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
}

/// An agent of which two users may do everything: the tests' own, and the same one with a token.
fn of_two_users(region: &Region) -> Agent {
    let toml = format!(
        r#"
[tcp]
listen = "127.0.0.1:0"

[[tokens]]
name = "other"
file = "{}"

[[rights]]
who = ["local", "token:other", "anyone"]
names = [""]
may = ["read", "publish", "drop"]
"#,
        token_file(region, TOKEN)
    );
    region.agent_with(&["--config", &region.config(&toml)])
}

async fn publish_and_drop(client: &Client) -> u64 {
    let rows = batch(0, 300_000);
    let info = client.put("secret", rows.schema(), vec![rows]).await.unwrap();
    assert_eq!(client.drop("secret").await.unwrap().bytes_held, 0);
    info.bytes
}

#[tokio::test]
async fn dropped_rows_are_not_published_by_another_user() {
    let region = Region::new("64MiB");
    let agent = of_two_users(&region);
    let len = publish_and_drop(&agent.client().await).await;
    assert_nothing_is_left(&region, &agent, Some(TOKEN), len).await;
}

#[tokio::test]
async fn rows_of_a_client_without_a_name_are_given_to_nobody() {
    let region = Region::new("64MiB");
    let agent = of_two_users(&region);
    let client = Client::connect(agent.tcp().parse::<Address>().unwrap()).await.unwrap();
    let len = publish_and_drop(&client).await;
    assert_nothing_is_left(&region, &agent, None, len).await;
}

#[tokio::test]
async fn what_a_put_that_was_given_up_has_written_is_not_published_by_another_user() {
    let region = Region::new("64MiB");
    let agent = of_two_users(&region);
    let len = 3 << 20;
    let reservation = reserve(&agent, None, len).await;
    let (place, bytes) = memory(&region, &reservation);
    let file = std::fs::File::options().write(true).open(&region.path).unwrap();
    file.write_all_at(&vec![0xaa; bytes.len()], place).unwrap();
    let request = v1::AbortRequest { reservation: reservation.id };
    ask::<v1::ReleaseResult>(&agent, None, Action::Abort, &request).await.unwrap();
    assert_nothing_is_left(&region, &agent, Some(TOKEN), len).await;
}

#[tokio::test]
async fn what_the_medium_held_before_it_was_a_region_is_published_by_nobody() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let rows = batch(0, 300_000);
    let len = agent.client().await.put("secret", rows.schema(), vec![rows]).await.unwrap().bytes;
    agent.terminate();
    let made = farrow(&["mkfs", "--force", "--size", "64MiB", region.path.to_str().unwrap()]);
    assert!(made.status.success(), "{made:?}");
    let agent = region.agent();
    assert_nothing_is_left(&region, &agent, None, len).await;
}

#[tokio::test]
async fn what_was_dropped_before_the_agents_start_is_published_by_nobody() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let len = publish_and_drop(&agent.client().await).await;
    agent.terminate();
    let agent = region.agent();
    assert_nothing_is_left(&region, &agent, None, len).await;
}
