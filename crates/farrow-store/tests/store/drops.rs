//! Many versions dropped at once: by prefix, by age.

use std::sync::Arc;

use farrow_region::MemMedia;
use farrow_store::{Dropped, MAX_NAME_LEN, NewVersion, Prefix, Store, StoreError};

use crate::region::{HOST, MIB, OWNER, PAGE, fill, formatted, name, new_version, opened, put};

pub(crate) fn put_at(store: &Store, frame: &str, time: i64) {
    let reservation = store.reserve(OWNER, 1).unwrap();
    fill(store, &reservation);
    let new = NewVersion { committed_at_micros: time, ..new_version(reservation.id, frame, 1) };
    store.commit(new).unwrap();
}

pub(crate) fn numbers(store: &Store, frame: &str) -> Vec<u64> {
    store
        .view()
        .versions(&name(frame))
        .map_or_else(|_| Vec::new(), |versions| versions.iter().map(|version| version.number).collect())
}

fn prefix(text: &str) -> Prefix {
    Prefix::pattern(text).unwrap()
}

#[test]
fn a_prefix_goes_all_at_once() {
    let store = opened(2 * MIB);
    for frame in ["sales/a", "sales/b", "sales/b", "sales", "salesman", "zoo"] {
        put(&store, frame, 1);
    }
    let held = store.view().acquire(&name("sales/b"), None).unwrap();
    let seq = store.view().seq();
    let dropped = store.drop_prefix(&prefix("sales/")).unwrap();
    assert_eq!(dropped, Dropped { frames: 2, versions: 3, bytes_freed: 2 * PAGE, bytes_held: PAGE });
    assert_eq!(store.view().seq(), seq + 2, "one record drops all, one frees their extents");
    let left: Vec<_> =
        store.view().list("", None, 9).iter().map(|version| version.name.to_string()).collect();
    assert_eq!(left, ["sales", "salesman", "zoo"]);
    store.release(&held).unwrap();

    for (text, told) in [
        ("sales/", "no frame below `sales/`"),
        ("zo", "no frame `zo`, and none below it. Names that only begin so: `farrow ls 'zo*'`"),
        ("x*", "no frame whose name begins with `x`"),
    ] {
        match store.drop_prefix(&prefix(text)) {
            Err(error @ StoreError::NoFrames { .. }) => {
                assert!(error.to_string().starts_with(told), "{error}");
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(store.drop_prefix(&Prefix::all()).unwrap().frames, 3);
    assert_eq!(store.view().usage().free, 2 * MIB);
}

/// A frame of the longest name is all of its prefix, live and in a catalog that is read again.
#[test]
fn a_prefix_is_of_whole_components() {
    let media: Arc<MemMedia> = Arc::new(formatted(2 * MIB));
    let store = Store::open(media.clone(), HOST).unwrap();
    let longest = "x".repeat(MAX_NAME_LEN);
    for frame in ["c", "c/y", "cc/y", "c-d", "sales/2024-01", "sales/2025-01", &longest] {
        put(&store, frame, 1);
    }
    for (text, frames) in [("c", 2), ("sales/2024*", 1), (&*longest, 1)] {
        assert_eq!(store.drop_prefix(&prefix(text)).unwrap().frames, frames, "{text}");
    }
    let left = |store: &Store| {
        store.view().list("", None, 9).iter().map(|version| version.name.to_string()).collect::<Vec<_>>()
    };
    let expected = ["c-d", "cc/y", "sales/2025-01"];
    assert_eq!(left(&store), expected);
    drop(store);
    assert_eq!(left(&Store::open(media, HOST).unwrap()), expected);
}

#[test]
fn old_versions_expire_and_the_latest_only_if_asked() {
    let store = opened(2 * MIB);
    for (frame, time) in [("a", 10), ("a", 20), ("a", 30), ("b", 10), ("b/c", 10), ("b/c", 5)] {
        put_at(&store, frame, time);
    }
    assert_eq!(store.expire(&Prefix::all(), 9, false).unwrap(), Dropped::default());
    assert_eq!(store.expire(&prefix("zoo"), i64::MAX, true).unwrap(), Dropped::default());
    // By the time that its committer gave, not by its place.
    let dropped = store.expire(&Prefix::all(), 20, false).unwrap();
    assert_eq!(dropped, Dropped { frames: 0, versions: 3, bytes_freed: 3 * PAGE, bytes_held: 0 });
    assert_eq!([numbers(&store, "a"), numbers(&store, "b"), numbers(&store, "b/c")], [[3], [1], [2]]);
    assert_eq!(store.expire(&prefix("b/"), 20, true).unwrap().frames, 1);
    assert_eq!(store.expire(&Prefix::all(), i64::MAX, true).unwrap().frames, 2);
    assert_eq!(store.view().usage().free, 2 * MIB);
}
