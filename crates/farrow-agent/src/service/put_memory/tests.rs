use futures::FutureExt as _;

use super::*;
use crate::places::Room;

const MIB: usize = 1 << 20;

fn place(places: &Arc<Places>, user: &User) -> Place {
    places.enter(user, Room { total: 16, reserve: 0 }).map(|(place, _)| place).expect("a place")
}

#[tokio::test]
async fn a_put_that_waits_has_nothing_and_those_that_have_something_go_on() {
    let (buffers, places) = (Buffers::new(48 << 20), Places::new(Duration::MAX));
    let user = User::Unix(1);
    let put = || PutMemory::new(user.clone(), buffers.clone(), places.clone());
    let (mut first, mut second) = (put(), put());
    let of_first = first.try_take(8 * MIB).expect("there is nobody else");
    let of_second = second.try_take(MIB).expect("it has less than is free");
    assert!(first.try_take(34 * MIB).is_none(), "the user would have more than a half");
    // What it gathered is written.
    drop(of_first);
    let seat = place(&places, &user);
    let mut waiting = Box::pin(first.take(34 * MIB, 0, &seat));
    assert!((&mut waiting).now_or_never().is_none());
    // Of what it has at its disposal the other one takes the rest.
    let rest: Vec<_> = (0..7).map_while(|_| second.try_take(MIB)).collect();
    assert_eq!(rest.len() as u64, CREDIT / charge(MIB) - 1);
    // Beyond that it waits as well, behind the first, with nothing.
    assert!(second.try_take(MIB).is_none());
    drop((of_second, rest));
    let taken = (&mut waiting).now_or_never().expect("the user has nothing").expect("nobody wants its place");
    assert_eq!(taken.amount(), charge(34 * MIB));
}

#[test]
fn one_message_that_is_longer_than_all_there_is_comes() {
    let (buffers, places) = (Buffers::new(4 << 20), Places::new(Duration::MAX));
    let mut put = PutMemory::new(User::Unix(1), buffers.clone(), places.clone());
    let long = put.try_take(100 * MIB).expect("the user has nothing");
    assert!(put.try_take(1).is_none());
    drop(long);
    assert!(put.try_take(1).is_some());
}

#[tokio::test]
async fn a_put_that_waits_with_dictionaries_gives_way_and_one_without_does_not() {
    for (kept, gives_way) in [(1, true), (0, false)] {
        let (buffers, places) = (Buffers::new(16 << 20), Places::new(Duration::ZERO));
        let user = User::Unix(1);
        let put = || PutMemory::new(user.clone(), buffers.clone(), places.clone());
        let (mut holder, mut waiter) = (put(), put());
        let held = holder.try_take(16 * MIB).expect("the user has nothing");
        let seat = place(&places, &user);
        seat.busy();
        let mut waiting = Box::pin(waiter.take(8 * MIB, kept, &seat));
        assert!((&mut waiting).now_or_never().is_none());
        assert_eq!(places.oust_of(&user), gives_way);
        if gives_way {
            assert!(matches!(waiting.await, Err(AgentError::GaveWay)));
        } else {
            drop(held);
            assert_eq!(waiting.await.expect("its share").amount(), charge(8 * MIB));
        }
    }
}

#[test]
fn what_the_metadata_did_not_need_is_there_for_the_next_message() {
    let (buffers, places) = (Buffers::new(48 << 20), Places::new(Duration::MAX));
    let user = User::Unix(1);
    let mut put = PutMemory::new(user.clone(), buffers.clone(), places);
    let mut share = put.try_take(MIB).expect("there is nobody else");
    assert_eq!(share.amount(), charge(MIB));
    assert_eq!(put.settle(&mut share, MIB, 1000), 0);
    assert_eq!(share.amount(), MIB as u64 + 8 * 1000);
    assert_eq!(buffers.shares().has(&user), CREDIT, "the rest is this put's still");
    // Of metadata that are longer than was thought the writer has to see to it.
    let mut share = put.try_take(MIB).expect("there is nobody else");
    assert_eq!(put.settle(&mut share, MIB, MIB), 8 * MIB as u64 - 8 * (64 << 10));
    assert_eq!(share.amount(), charge(MIB));
}
