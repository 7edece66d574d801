//! Retention: by number and by age, of a frame and of a prefix.

use std::sync::Arc;

use farrow_region::MemMedia;
use farrow_store::{
    AgeCursor, CommitOptions, Dropped, Follower, MAX_RETENTIONS, MAX_RETENTIONS_OF_USER, OldVersions, Prefix,
    RetentionRule, Store, StoreError,
};

use crate::drops::{numbers, put_at};
use crate::region::{
    HOST, MIB, OWNER, PAGE, append, fill, formatted, keeping, name, new_version, of_frame, of_prefix, opened,
    put, retain, view,
};

const SECOND: i64 = 1_000_000;

#[test]
fn a_frame_keeps_its_last_versions() {
    let media: Arc<MemMedia> = Arc::new(formatted(2 * MIB));
    let store = Store::open(media.clone(), HOST).unwrap();
    (0..4).for_each(|_| drop(put(&store, "a", 1)));
    assert_eq!(store.view().retention(&name("a")), keeping(0, 0));
    let dropped = retain(&store, "a", 2).unwrap();
    assert_eq!(dropped, Dropped { frames: 0, versions: 2, bytes_freed: 2 * PAGE, bytes_held: 0 });
    assert_eq!((numbers(&store, "a"), store.view().retention(&name("a"))), (vec![3, 4], keeping(2, 0)));
    let seq = store.view().seq();
    assert_eq!(retain(&store, "a", 2).unwrap(), Dropped::default());
    assert_eq!(store.view().seq(), seq, "nothing to write");

    // A mapped version keeps its space until it is released.
    let held = store.view().acquire(&name("a"), Some(3)).unwrap();
    assert_eq!(put(&store, "a", 1).number, 5);
    assert_eq!((numbers(&store, "a"), store.view().usage().held), (vec![4, 5], PAGE));
    store.release(&held).unwrap();
    assert_eq!((store.view().usage().held, store.view().usage().used), (0, 2 * PAGE));

    // An appended version shares what the dropped one had.
    retain(&store, "a", 1).unwrap();
    let reservation = store.reserve(OWNER, 1).unwrap();
    fill(&store, &reservation);
    assert_eq!(store.append(new_version(reservation.id, "a", 1)).unwrap().segments.len(), 2);
    assert_eq!((numbers(&store, "a"), store.view().usage().used), (vec![6], 2 * PAGE));

    store.compact().unwrap();
    drop(store);
    let store = Store::open(media, HOST).unwrap();
    store.lift_quarantine().unwrap();
    assert_eq!(store.view().retention(&name("a")), keeping(1, 0), "it is there after a start");
    put(&store, "a", 1);
    assert_eq!((numbers(&store, "a"), store.view().usage().used), (vec![7], PAGE));
    store.retain(&of_frame("a"), None, OWNER.uid).unwrap();
    put(&store, "a", 1);
    assert_eq!(numbers(&store, "a"), [7, 8]);
    view(&store).check(&store);
}

#[test]
fn prefixes_have_retentions_and_the_longest_holds() {
    let media: Arc<MemMedia> = Arc::new(formatted(2 * MIB));
    let store = Store::open(media.clone(), HOST).unwrap();
    let mut follower = Follower::open(media.clone()).unwrap();
    for frame in
        ["sales", "sales/a", "sales/a", "sales/b/c", "sales/b/c", "sales/b/c", "salesman", "salesman"]
    {
        put(&store, frame, 1);
    }
    let seq = store.view().seq();
    let dropped = store.retain(&of_prefix("sales/"), Some(keeping(1, 60)), 7).unwrap();
    assert_eq!(dropped, Dropped { frames: 0, versions: 3, bytes_freed: 3 * PAGE, bytes_held: 0 });
    assert_eq!(store.view().seq(), seq + 2, "one record drops all, one frees their extents");
    assert_eq!(numbers(&store, "salesman"), [1, 2], "whole components count");
    store.retain(&of_prefix("sales/b"), Some(keeping(2, 0)), 8).unwrap();
    store.retain(&of_frame("sales/a"), Some(keeping(0, 0)), 9).unwrap();
    for _ in 0..3 {
        for frame in ["sales", "sales/a", "sales/b/c", "sales/d"] {
            put(&store, frame, 1);
        }
    }
    let kept =
        |store: &Store| ["sales", "sales/a", "sales/b/c", "sales/d"].map(|frame| numbers(store, frame).len());
    assert_eq!(kept(&store), [4, 4, 2, 1]);

    let rule = |target, retention, uid| RetentionRule { target, retention, uid };
    let prefixes =
        [rule(of_prefix("sales/"), keeping(1, 60), 7), rule(of_prefix("sales/b"), keeping(2, 0), 8)];
    let own = [rule(of_frame("sales/a"), keeping(0, 0), 9)];
    follower.poll().unwrap();
    assert_eq!(
        (store.view().prefix_retentions(None, 9), store.view().name_retentions("", None, 9)),
        (prefixes.to_vec(), own.to_vec())
    );
    assert_eq!(
        (follower.view().prefix_retentions(None, 9), follower.view().name_retentions("sales/", None, 9)),
        (prefixes.to_vec(), own.to_vec())
    );
    assert_eq!(store.view().name_retentions("sales/", Some(&name("sales/a")), 9), []);
    let behind = |after: &str| store.view().prefix_retentions(Some(&Prefix::parse(after).unwrap()), 9);
    assert_eq!(store.view().prefix_retentions(None, 1), prefixes[..1]);
    for (after, left) in [("", 2), ("sales", 2), ("sales/", 1), ("sales/a", 1), ("sales/b", 0), ("z", 0)] {
        assert_eq!(behind(after), prefixes[2 - left..], "behind {after:?}");
    }
    assert_eq!(store.view().name_retentions("sales/b", None, 9), []);

    store.compact().unwrap();
    drop(store);
    let store = Store::open(media, HOST).unwrap();
    store.lift_quarantine().unwrap();
    assert_eq!(
        (store.view().prefix_retentions(None, 9), store.view().name_retentions("", None, 9)),
        (prefixes.to_vec(), own.to_vec())
    );
    // Without its own, the frame keeps what the longest prefix says.
    assert_eq!(store.retain(&of_frame("sales/a"), None, OWNER.uid).unwrap().versions, 3);
    assert_eq!(store.retain(&of_frame("sales/a"), None, OWNER.uid).unwrap(), Dropped::default());
    store.retain(&of_prefix("sales/"), None, OWNER.uid).unwrap();
    put(&store, "sales/a", 1);
    assert_eq!(kept(&store), [4, 2, 2, 1]);
    view(&store).check(&store);
}

#[test]
fn a_retention_is_for_whole_components_and_for_farrows_frames() {
    let store = opened(2 * MIB);
    for text in ["sales/2024*", "sales*"] {
        let error = store.retain(&of_prefix(text), Some(keeping(1, 0)), 7).unwrap_err();
        assert!(matches!(error, StoreError::RetentionWithin { .. }), "{error}");
        assert!(error.to_string().contains(&format!("{text:?} goes on within one")), "{error}");
    }
    for text in ["*", "sales/*"] {
        store.retain(&of_prefix(text), Some(keeping(1, 0)), 7).unwrap();
    }
    assert_eq!(store.view().prefix_retentions(None, 9).len(), 2);
}

#[test]
fn a_frame_that_is_not_there_yet_keeps_what_was_said() {
    let store = opened(2 * MIB);
    assert_eq!(retain(&store, "later", 2).unwrap(), Dropped::default());
    (0..3).for_each(|_| drop(put(&store, "later", 1)));
    assert_eq!(numbers(&store, "later"), [2, 3]);
    store.drop_frame(&name("later"), None).unwrap();
    (0..3).for_each(|_| drop(put(&store, "later", 1)));
    assert_eq!(numbers(&store, "later"), [4, 5, 6], "it ended with the frame");
}

#[test]
fn versions_go_when_they_are_too_old() {
    let store = opened(2 * MIB);
    store.retain(&of_prefix(""), Some(keeping(3, 60)), 7).unwrap();
    for second in 0..5 {
        put_at(&store, "a", second * SECOND);
        put_at(&store, "b/c", second * SECOND);
    }
    retain(&store, "b/c", 2).unwrap();
    let age = |now: i64| {
        let mut cursor = AgeCursor::default();
        let dropped = store.drop_aged(now * SECOND, &mut cursor).unwrap();
        (dropped.versions, dropped.bytes_freed / PAGE, numbers(&store, "a"), numbers(&store, "b/c"))
    };
    assert_eq!(age(61), (0, 0, vec![3, 4, 5], vec![4, 5]));
    let seq = store.view().seq();
    assert_eq!(age(62), (1, 1, vec![4, 5], vec![4, 5]));
    assert_eq!(store.view().seq(), seq + 2, "the ordinary record, and one that frees");
    let held = store.view().acquire(&name("a"), Some(4)).unwrap();
    assert_eq!(age(1_000_000), (1, 0, vec![5], vec![4, 5]), "the latest stays, and what is mapped is held");
    store.release(&held).unwrap();
    assert_eq!(store.view().usage().used, 3 * PAGE);
    assert_eq!(age(i64::MAX / SECOND), (0, 0, vec![5], vec![4, 5]));
}

/// Those of frames are not counted, which are as many as the frames.
#[test]
fn there_are_so_many_retentions_and_no_more() {
    let media = MemMedia::new(usize::try_from(48 * MIB).unwrap());
    let options = farrow_store::FormatOptions { catalog_len: Some(4 * MIB), ..crate::region::options() };
    Store::format(&media, &options).unwrap();
    let store = crate::region::open(media);
    let set = |text: String, uid| store.retain(&of_prefix(&text), Some(keeping(1, 0)), uid);
    for number in 0..MAX_RETENTIONS_OF_USER {
        set(format!("{number}/"), 1).unwrap();
    }
    let user = set("more".to_owned(), 1).unwrap_err();
    assert!(matches!(user, StoreError::ManyRetentions { uid: Some(1), .. }), "{user}");
    assert!(user.to_string().contains("user 1 has set 1024"), "{user}");
    assert!(retain(&store, "waits", 1).is_ok(), "another user");
    store.retain(&of_prefix("0/"), Some(keeping(2, 0)), 1).unwrap();
    let taken_over = store.retain(&of_prefix("1/"), Some(keeping(2, 0)), 2);
    taken_over.unwrap();
    set("more".to_owned(), 1).unwrap();
    put(&store, "there", 1);
    store.retain(&of_frame("there"), Some(keeping(1, 0)), 1).unwrap();
    for number in MAX_RETENTIONS_OF_USER + 2..MAX_RETENTIONS {
        let uid = u32::try_from(2 + number / (MAX_RETENTIONS_OF_USER - 1)).unwrap();
        set(format!("{number}/"), uid).unwrap();
    }
    let region = set("again".to_owned(), 99).unwrap_err();
    assert!(matches!(region, StoreError::ManyRetentions { uid: None, .. }), "{region}");
    assert!(region.to_string().contains("the region has 4096"), "{region}");
    assert!(matches!(retain(&store, "waits too", 1), Err(StoreError::ManyRetentions { .. })));
    store.retain(&of_prefix("0/"), None, 99).unwrap();
    assert!(retain(&store, "waits too", 1).is_ok());
    // It may wait no longer.
    put(&store, "waits", 1);
    set("again".to_owned(), 99).unwrap();
}

#[test]
fn a_full_region_knows_whose_old_versions_hold_most() {
    let store = opened(2 * MIB);
    let most = |may: fn(&str) -> bool| {
        let old = store.view().most_old(|name| may(name.as_str()))?;
        Some((old.name.to_string(), old.versions, old.bytes / PAGE))
    };
    put(&store, "single", 9 * PAGE);
    append(&store, "long", 1);
    append(&store, "long", 1);
    assert_eq!(most(|_| true), None, "appends share what came before");
    for pages in [5, 2, 1] {
        put(&store, "a b", pages * PAGE);
    }
    put(&store, "c", 6 * PAGE);
    put(&store, "c", 1);
    assert_eq!(most(|_| true), Some(("a b".to_owned(), 2, 7)));
    assert_eq!(most(|name| name != "a b"), Some(("c".to_owned(), 1, 6)));
    let keeping = CommitOptions { keep: Some(2), ..CommitOptions::default() };
    let reservation = store.reserve(OWNER, 1).unwrap();
    store.commit_as(new_version(reservation.id, "a b", 1), keeping).unwrap();
    assert_eq!(most(|_| true), Some(("c".to_owned(), 1, 6)));
    assert_eq!(most(|name| name == "a b"), Some(("a b".to_owned(), 1, 1)));

    let shown = |frame: &str| OldVersions { name: name(frame), versions: 2, bytes: 3 * MIB }.to_string();
    assert_eq!(shown("a/b"), "`farrow retain --last 1 a/b` (its 2 old versions hold 3.0 MiB)");
    assert!(shown("it's $5").starts_with(r#"`farrow retain --last 1 "it's "'$5'` "#), "{}", shown("it's $5"));
}
