//! Many versions dropped at once: by prefix, by retention, by age.

use std::num::NonZeroU64;
use std::sync::Arc;

use farrow_region::MemMedia;
use farrow_store::{Dropped, NewVersion, Store, StoreError};

use crate::region::{HOST, MIB, OWNER, PAGE, fill, formatted, name, new_version, opened, put, view};

fn put_at(store: &Store, frame: &str, time: i64) {
    let reservation = store.reserve(OWNER, 1).unwrap();
    fill(store, &reservation);
    let new = NewVersion { committed_at_micros: time, ..new_version(reservation.id, frame, 1) };
    store.commit(new).unwrap();
}

fn numbers(store: &Store, frame: &str) -> Vec<u64> {
    store
        .versions(&name(frame))
        .map_or_else(|_| Vec::new(), |versions| versions.iter().map(|version| version.number).collect())
}

fn last(count: u64) -> Option<NonZeroU64> {
    NonZeroU64::new(count)
}

#[test]
fn a_prefix_goes_all_at_once() {
    let store = opened(2 * MIB);
    for frame in ["sales/a", "sales/b", "sales/b", "sales", "salesman", "zoo"] {
        put(&store, frame, 1);
    }
    let held = store.acquire(&name("sales/b"), None).unwrap();
    let seq = store.seq();
    let dropped = store.drop_prefix("sales/").unwrap();
    assert_eq!(dropped, Dropped { frames: 2, versions: 3, bytes_freed: 2 * PAGE, bytes_held: PAGE });
    assert_eq!(store.seq(), seq + 2, "one record drops all, one frees their extents");
    let left: Vec<_> = store.list("", None, 9).iter().map(|version| version.name.to_string()).collect();
    assert_eq!(left, ["sales", "salesman", "zoo"]);
    store.release(&held).unwrap();

    match store.drop_prefix("sales/") {
        Err(StoreError::NoFrames { prefix }) => assert_eq!(prefix, "sales/"),
        other => panic!("{other:?}"),
    }
    assert!(matches!(store.drop_prefix(&"x".repeat(1000)), Err(StoreError::NoFrames { .. })));
    assert_eq!(store.drop_prefix("").unwrap().frames, 3);
    assert_eq!(store.usage().free, 2 * MIB);
}

#[test]
fn a_frame_keeps_its_last_versions() {
    let media: Arc<MemMedia> = Arc::new(formatted(2 * MIB));
    let store = Store::open(media.clone(), HOST).unwrap();
    assert!(matches!(store.retain(&name("a"), last(2)), Err(StoreError::FrameNotFound { .. })));
    (0..4).for_each(|_| drop(put(&store, "a", 1)));
    assert_eq!(store.retention(&name("a")), None);
    let dropped = store.retain(&name("a"), last(2)).unwrap();
    assert_eq!(dropped, Dropped { frames: 0, versions: 2, bytes_freed: 2 * PAGE, bytes_held: 0 });
    assert_eq!((numbers(&store, "a"), store.retention(&name("a"))), (vec![3, 4], last(2)));
    let seq = store.seq();
    assert_eq!(store.retain(&name("a"), last(2)).unwrap(), Dropped::default());
    assert_eq!(store.seq(), seq, "nothing to write");

    // What is mapped stays, and is free when it is not.
    let held = store.acquire(&name("a"), Some(3)).unwrap();
    assert_eq!(put(&store, "a", 1).number, 5);
    assert_eq!((numbers(&store, "a"), store.usage().held), (vec![4, 5], PAGE));
    store.release(&held).unwrap();
    assert_eq!((store.usage().held, store.usage().used), (0, 2 * PAGE));

    // An appended version shares what the dropped one had.
    store.retain(&name("a"), last(1)).unwrap();
    let reservation = store.reserve(OWNER, 1).unwrap();
    fill(&store, &reservation);
    assert_eq!(store.append(new_version(reservation.id, "a", 1)).unwrap().segments.len(), 2);
    assert_eq!((numbers(&store, "a"), store.usage().used), (vec![6], 2 * PAGE));

    store.compact().unwrap();
    drop(store);
    let store = Store::open(media, HOST).unwrap();
    store.lift_quarantine().unwrap();
    assert_eq!(store.retention(&name("a")), last(1), "it is there after a start");
    put(&store, "a", 1);
    assert_eq!((numbers(&store, "a"), store.usage().used), (vec![7], PAGE));
    store.retain(&name("a"), None).unwrap();
    put(&store, "a", 1);
    assert_eq!(numbers(&store, "a"), [7, 8]);
    view(&store).check(&store);
}

#[test]
fn old_versions_expire_and_the_latest_only_if_asked() {
    let store = opened(2 * MIB);
    for (frame, time) in [("a", 10), ("a", 20), ("a", 30), ("b", 10), ("b/c", 10), ("b/c", 5)] {
        put_at(&store, frame, time);
    }
    assert_eq!(store.expire("", 9, false).unwrap(), Dropped::default());
    assert_eq!(store.expire("zoo", i64::MAX, true).unwrap(), Dropped::default());
    // By the time that its committer gave, not by its place.
    let dropped = store.expire("", 20, false).unwrap();
    assert_eq!(dropped, Dropped { frames: 0, versions: 3, bytes_freed: 3 * PAGE, bytes_held: 0 });
    assert_eq!([numbers(&store, "a"), numbers(&store, "b"), numbers(&store, "b/c")], [[3], [1], [2]]);
    assert_eq!(store.expire("b/", 20, true).unwrap().frames, 1);
    assert_eq!(store.expire("", i64::MAX, true).unwrap().frames, 2);
    assert_eq!(store.usage().free, 2 * MIB);
}
