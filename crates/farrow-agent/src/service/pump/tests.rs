use std::num::NonZeroUsize;
use std::sync::mpsc::{Receiver, channel};

use arrow_flight::FlightData;
use futures::future::join_all;
use futures::{FutureExt as _, poll};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::*;

const ROOM: Room = Room { total: 1000, reserve: 0 };
const ALICE: User = User::Unix(1);
const BOB: User = User::Unix(2);

fn way(streams: &Streams, user: &User) -> Arc<OnTheWay> {
    let (place, _) = streams.places.enter(user, ROOM).unwrap();
    OnTheWay::of_stream(place).0
}

/// No messages, which takes until nobody has the other end of `go_on`.
fn blocked(begun: UnboundedSender<()>, go_on: Receiver<()>) -> Messages<FlightData> {
    Box::new(std::iter::from_fn(move || {
        begun.send(()).unwrap();
        go_on.recv().ok();
        None
    }))
}

#[tokio::test]
async fn users_share_the_threads_that_make_messages() {
    let streams = Streams::new(1 << 40);
    let half = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let (begun, mut begins) = unbounded_channel();
    let (mut hold, mut asked) = (Vec::new(), Vec::new());
    for _ in 0..2 * half + 1 {
        let (held, go_on) = channel();
        hold.push(held);
        let (way, messages) = (way(&streams, &ALICE), blocked(begun.clone(), go_on));
        let streams = &streams;
        asked.push(async move { streams.make(&ALICE, &way, true, messages).await.unwrap() });
    }
    let mut asked = join_all(asked);
    assert!(poll!(&mut asked).is_pending());
    for _ in 0..half {
        begins.recv().await.unwrap();
    }
    assert_eq!(streams.makers.has(&ALICE), half as u64, "a half of them");
    let none: Messages<FlightData> = Box::new(std::iter::empty());
    let (made, _share) = streams.make(&BOB, &way(&streams, &BOB), true, none).await.unwrap();
    assert!(made.rest.is_none(), "another user is served meanwhile");
    assert!(begins.try_recv().is_err(), "and no more of the first one's");
    drop(hold);
    assert_eq!(asked.await.len(), 2 * half + 1);
    assert_eq!(streams.makers.taken(), 0);
}

/// Bytes of a footer that takes as many of memory as these.
fn footer(memory: u64) -> u64 {
    memory / HEAP_PER_METADATA
}

#[tokio::test]
async fn a_stream_waits_for_memory_of_metadata_before_it_opens_anything() {
    let total = 1000 * HEAP_PER_METADATA;
    let streams = Streams::new(total);
    let mut mine = Vec::new();
    while let Some(metadata) = streams.metadata(&ALICE, footer(total / 10)).now_or_never() {
        mine.push(metadata);
    }
    assert_eq!(mine.len(), 5, "one user has a half");
    let other = streams.metadata(&BOB, footer(total / 10)).now_or_never();
    assert!(other.is_some(), "another one does not wait for it");
    let mut waiting = std::pin::pin!(streams.metadata(&ALICE, footer(total / 10)));
    assert!(poll!(&mut waiting).is_pending());
    mine.truncate(3);
    assert!(poll!(&mut waiting).is_ready());
}

#[tokio::test]
async fn a_stream_that_needs_more_metadata_ends_while_its_user_has_others() {
    let total = 1000 * HEAP_PER_METADATA;
    let streams = Streams::new(total);
    let mut first = streams.metadata(&ALICE, footer(total / 10)).await;
    // Alone it may have all it needs: another file in its place, and its dictionaries.
    first.holds((footer(total / 5), total / 5)).unwrap();
    first.holds((footer(2 * total), 0)).unwrap();
    drop(first);
    let first = streams.metadata(&ALICE, footer(total / 10)).await;
    let mut second = streams.metadata(&ALICE, footer(total / 10)).await;
    second.holds((footer(total / 5), total / 10)).unwrap();
    let refused = second.holds((footer(total / 5 * 4), 0)).unwrap_err();
    assert!(
        matches!(refused, AgentError::ManyOpen { needs, has } if needs == total / 5 * 4 && has == total / 5 * 2)
    );
    assert_eq!(crate::status::reason(&refused).as_str(), "busy");
    // What it had is enough for what it had open, and others have theirs.
    second.holds((footer(total / 10), 0)).unwrap();
    streams.metadata(&BOB, footer(total / 10)).await.holds((footer(total / 5), 0)).unwrap();
    // Once the other stream has ended, it may.
    drop(first);
    second.holds((footer(total / 5 * 4), 0)).unwrap();
}
