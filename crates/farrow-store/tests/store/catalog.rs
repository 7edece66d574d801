//! The share of the catalog that frames take.

use std::sync::Arc;

use farrow_region::MemMedia;
use farrow_store::{FormatOptions, Prefix, Store, StoreError, Version};

use crate::region::{HOST, MIB, OWNER, PAGE, append, name, new_version, open, opened, put, retain, view};

/// The region in which the catalog has the least for each page of the pool.
const LEAST: u64 = 30 * MIB;

/// A region of the usual catalog.
fn usual(len: u64) -> Store {
    let media = MemMedia::new(usize::try_from(len).unwrap());
    Store::format(&media, &FormatOptions::new(HOST)).unwrap();
    let store = open(media);
    store.lift_quarantine().unwrap();
    store
}

/// Commits pages until that is an error, and returns how many there were.
fn fill_up(
    store: &Store,
    commit: impl Fn(u64, u64) -> Result<Arc<Version>, StoreError>,
) -> (u64, StoreError) {
    for count in 0.. {
        let committed = store.reserve(OWNER, 1).and_then(|reservation| commit(count, reservation.id));
        if let Err(error) = committed {
            return (count, error);
        }
    }
    unreachable!("a region has an end")
}

#[test]
fn a_small_region_is_full_of_the_smallest_frames_before_its_catalog_is() {
    for appends in [false, true] {
        let store = usual(LEAST);
        let pages = store.view().usage().pool_bytes / PAGE;
        assert_eq!(pages, 4096);
        let (count, full) = fill_up(&store, |count, reservation| {
            // With two batches in each a name of 36 bytes is the longest for which that is promised.
            let new = new_version(reservation, &format!("{:036}", if appends { 0 } else { count }), 1);
            if appends { store.append(new) } else { store.commit(new) }
        });
        assert!(matches!(full, StoreError::RegionFull { free: 0, .. }), "{full}");
        assert_eq!((count, store.view().usage().versions), (pages, pages));
        // Numbers of dropped names have room of their own.
        store.drop_prefix(&Prefix::all()).unwrap();
        put(&store, "again", 1);
    }
}

#[test]
fn a_full_catalog_says_what_helps_and_that_helps() {
    let store = opened(64 * MIB);
    let (count, full) = fill_up(&store, |count, reservation| {
        store.commit(new_version(reservation, &format!("{}/{count:02}", count % 2), 1))
    });
    assert!(matches!(full, StoreError::CatalogFull { .. }), "{full}");
    let text = full.to_string();
    for help in ["farrow rm", "farrow retain", "farrow mkfs --catalog"] {
        assert!(text.contains(help), "{text}");
    }
    store.drop_prefix(&Prefix::parse("0/").unwrap()).unwrap();
    assert_eq!(store.view().usage().frames, count / 2);
    put(&store, "again", 1);

    let larger = MemMedia::new(usize::try_from(76 * MIB).unwrap());
    let options = FormatOptions { catalog_len: Some(64 * 1024), ..FormatOptions::new(HOST) };
    Store::format(&larger, &options).unwrap();
    let larger = open(larger);
    let (more, _) = fill_up(&larger, |count, reservation| {
        larger.commit(new_version(reservation, &format!("{}/{count:02}", count % 2), 1))
    });
    assert!(more > 2 * count, "{more} and {count}");
}

/// Live bytes of the catalog after each of some appends to one frame.
fn live_after_appends(store: &Store, appends: u64) -> Vec<u64> {
    let live = |_| {
        append(store, "a", 1);
        store.view().usage().catalog_live
    };
    (0..appends).map(live).collect()
}

#[test]
fn an_append_takes_as_much_as_a_put_however_long_the_frame_is() {
    let store = usual(LEAST);
    let live = live_after_appends(&store, 400);
    let each = live[1] - live[0];
    assert!(live.windows(2).all(|two| two[1] - two[0] == each), "{live:?}");
    put(&store, "b", 1);
    assert_eq!(store.view().usage().catalog_live - live[399], each, "a put of a name as long");

    // Also once it is written anew, and in every order in which versions go.
    let long = store.view().get(&name("a"), None).unwrap();
    for number in [1, 2, 7, 399, 398, 200] {
        store.drop_frame(&name("a"), Some(number)).unwrap();
    }
    store.compact().unwrap();
    let usage = store.view().usage();
    assert_eq!(usage.catalog_committed, usage.catalog_live);
    assert!(usage.catalog_live < live[399], "what is dropped takes nothing");
    retain(&store, "a", 2).unwrap();
    store.compact().unwrap();
    let before = view(&store);
    assert_eq!(*store.view().get(&name("a"), None).unwrap(), *long);
    let media = Arc::clone(store.view().media());
    drop(store);
    let store = Store::open(media, HOST).unwrap();
    assert_eq!(view(&store), before);
    before.check(&store);
    assert_eq!(append(&store, "a", 1).segments.len(), 401);
}
