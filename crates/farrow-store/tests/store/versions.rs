//! The versions of a frame: listed, with what each holds; onto which one is committed, and how many are kept.

use std::num::NonZeroU64;
use std::sync::Arc;

use farrow_region::MemMedia;
use farrow_store::{CommitOptions, Store, StoreError, Version};

use crate::region::{HOST, MIB, OWNER, PAGE, append, fill, formatted, name, new_version, opened, put};

fn put_as(store: &Store, frame: &str, options: CommitOptions) -> Result<Arc<Version>, StoreError> {
    let reservation = store.reserve(OWNER, 1).unwrap();
    fill(store, &reservation);
    let committed = store.commit_as(new_version(reservation.id, frame, 1), options);
    if committed.is_err() {
        // It stands, as after every refusal.
        store.abort(reservation.id).unwrap();
    }
    committed
}

fn numbers(store: &Store, frame: &str) -> Vec<u64> {
    store.view().versions(&name(frame)).unwrap().iter().map(|version| version.number).collect()
}

#[test]
fn versions_are_listed_with_what_each_has_for_itself() {
    let store = opened(4 * MIB);
    let listed = |after, limit| {
        let versions = store.view().versions_behind(&name("a"), after, limit).unwrap();
        versions.iter().map(|listed| (listed.version.number, listed.own_bytes / PAGE)).collect::<Vec<_>>()
    };
    assert!(matches!(store.view().versions_behind(&name("a"), 0, 9), Err(StoreError::FrameNotFound { .. })));
    put(&store, "a", 3 * PAGE);
    append(&store, "a", 1);
    append(&store, "a", 2 * PAGE);
    put(&store, "a", 5 * PAGE);
    put(&store, "b", 7 * PAGE);
    assert_eq!(listed(0, 9), [(1, 0), (2, 0), (3, 2), (4, 5)]);
    assert_eq!(listed(0, 2), [(1, 0), (2, 0)]);
    assert_eq!(listed(2, 1), [(3, 2)]);
    assert_eq!(listed(4, 9), []);

    let own = store.view().versions_behind(&name("a"), 2, 1).unwrap()[0].own_bytes;
    assert_eq!(store.drop_frame(&name("a"), Some(3)).unwrap().bytes_freed, own);
    assert_eq!(store.drop_frame(&name("a"), Some(1)).unwrap().bytes_freed, 0);
    assert_eq!(listed(0, 9), [(2, 4), (4, 5)], "what was shared is the last one's");
}

#[test]
fn a_commit_says_what_its_frame_keeps_by_one_record() {
    let media: Arc<MemMedia> = Arc::new(formatted(2 * MIB));
    let store = Store::open(media.clone(), HOST).unwrap();
    let keeping = |keep| CommitOptions { keep, ..CommitOptions::default() };
    let retention =
        |store: &Store, frame: &str| store.view().retention(&name(frame)).last.map_or(0, NonZeroU64::get);
    let reservation = store.reserve(OWNER, 1).unwrap();
    fill(&store, &reservation);
    let seq = store.view().seq();
    store.commit_as(new_version(reservation.id, "a", 1), keeping(Some(2))).unwrap();
    assert_eq!((store.view().seq(), retention(&store, "a")), (seq + 1, 2));
    for _ in 0..2 {
        put_as(&store, "a", keeping(None)).unwrap();
    }
    assert_eq!((numbers(&store, "a"), store.view().usage().used), (vec![2, 3], 2 * PAGE));
    put_as(&store, "a", keeping(Some(3))).unwrap();
    assert_eq!(numbers(&store, "a"), [2, 3, 4], "what the older retention would have dropped stays");
    put_as(&store, "a", CommitOptions { append: true, ..keeping(Some(1)) }).unwrap();
    assert_eq!((numbers(&store, "a"), store.view().usage().used), (vec![5], 2 * PAGE));
    drop(store);

    let store = Store::open(media, HOST).unwrap();
    assert_eq!(retention(&store, "a"), 1);
    put_as(&store, "a", keeping(Some(0))).unwrap();
    put(&store, "a", 1);
    assert_eq!((numbers(&store, "a"), retention(&store, "a")), (vec![5, 6, 7], 0));
}

#[test]
fn a_commit_onto_another_version_than_the_latest_is_refused() {
    let store = opened(2 * MIB);
    let onto = |number| CommitOptions { if_version: Some(number), ..CommitOptions::default() };
    let refused = |frame, number| put_as(&store, frame, onto(number)).unwrap_err().to_string();
    assert_eq!(
        refused("a", 7),
        "there is no frame `a`, and the rows were to be published onto @7. Nothing was published. Try: \
         publish it as a new frame, onto version 0"
    );
    assert_eq!(put_as(&store, "a", onto(0)).unwrap().number, 1);
    assert_eq!(
        refused("a", 0),
        "the latest version of `a` is @1, and the rows were to be a new frame. Nothing was published. \
         Try: get @1, change what is there, and publish that onto @1"
    );
    assert_eq!(put_as(&store, "a", onto(1)).unwrap().number, 2);
    let appends = CommitOptions { append: true, keep: Some(1), ..onto(1) };
    let error = put_as(&store, "a", appends).unwrap_err();
    assert!(matches!(error, StoreError::VersionConflict { expected: 1, latest: 2, .. }), "{error}");
    assert_eq!(
        (numbers(&store, "a"), store.view().name_retentions("", None, 9)),
        (vec![1, 2], vec![]),
        "all of it is refused"
    );
    // What is the latest again after a drop is what was read.
    store.drop_frame(&name("a"), Some(2)).unwrap();
    assert_eq!(put_as(&store, "a", appends).unwrap().segments.len(), 2);
    assert_eq!((numbers(&store, "a"), store.view().usage().reserved), (vec![3], 0));
}
