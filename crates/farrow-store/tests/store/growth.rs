//! Pool files that are added while the store is used.

use std::sync::Arc;

use famfs_format::{FormatError, LOG_OFFSET};
use farrow_region::Media;
use farrow_store::{Extent, Store, StoreError, check};

use crate::region::{HOST, MIB, OWNER, PAGE, formatted_with_reserve, name, put, view};

#[test]
fn a_full_region_grows_while_space_lasts() {
    let media = Arc::new(formatted_with_reserve(2 * MIB, 6 * MIB));
    let store = Store::open(media.clone(), HOST).unwrap();
    put(&store, "a", 2 * MIB);
    assert!(matches!(store.reserve(OWNER, 1), Err(StoreError::RegionFull { .. })));

    let pool = store.add_pool(Some(MIB)).unwrap();
    assert_eq!((pool.index, pool.path.as_str(), pool.len), (1, "farrow/pool/0001", 2 * MIB));
    let usage = store.view().usage();
    assert_eq!((usage.pool_bytes, usage.free, usage.log_entries), (4 * MIB, 2 * MIB, 6));
    let version = put(&store, "b", 5000);
    assert_eq!(version.segments[0].extents, [Extent { pool: 1, offset: 0, len: 2 * PAGE }]);
    match store.add_pool(Some(4 * MIB + 1)) {
        Err(StoreError::NoSpaceToGrow { need, largest_free, free }) => {
            assert_eq!((need, largest_free, free), (6 * MIB, 4 * MIB, 4 * MIB));
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(store.add_pool(Some(u64::MAX)), Err(StoreError::NoSpaceToGrow { .. })));
    assert!(matches!(store.add_pool(Some(0)), Err(StoreError::NoLength)));
    assert_eq!(store.add_pool(None).unwrap().len, 4 * MIB);
    assert!(matches!(store.add_pool(None), Err(StoreError::NoSpaceToGrow { largest_free: 0, .. })));
    store.drop_frame(&name("a"), None).unwrap();
    store.lift_quarantine().unwrap();
    // There is room for it, but in no one pool file.
    assert!(store.view().usage().free >= 5 * MIB);
    assert!(matches!(store.reserve(OWNER, 5 * MIB), Err(StoreError::RegionFull { .. })));
    assert_eq!(put(&store, "c", 4 * MIB).segments[0].extents, [Extent { pool: 2, offset: 0, len: 4 * MIB }]);

    let seen = view(&store);
    seen.check(&store);
    drop(store);
    assert!(check(&*media).unwrap().is_clean());
    let store = Store::open(media, HOST).unwrap();
    assert_eq!(view(&store), seen);
    put(&store, "a", MIB);
}

#[test]
fn who_is_not_the_master_any_more_adds_none() {
    let media = Arc::new(formatted_with_reserve(2 * MIB, 2 * MIB));
    let first = Store::open(media.clone(), HOST).unwrap();
    let second = Store::open(media.clone(), HOST).unwrap();
    let image = media.image();
    assert!(matches!(first.add_pool(None), Err(StoreError::Fenced { .. })));
    assert!(media.image() == image, "it wrote");
    assert!(matches!(first.add_pool(None), Err(StoreError::Stopped)));
    second.add_pool(None).unwrap();
}

#[test]
fn a_damaged_log_gets_no_entry() {
    let media = Arc::new(formatted_with_reserve(2 * MIB, 2 * MIB));
    let store = Store::open(media.clone(), HOST).unwrap();
    let next = media.load_u64(LOG_OFFSET + 32).unwrap();
    media.store_u64(LOG_OFFSET + 32, next + 5).unwrap();
    let error = store.add_pool(None).unwrap_err();
    assert!(matches!(error, StoreError::Famfs(FormatError::Counters { .. })), "{error}");
    assert_eq!(store.view().pools().len(), 1);
    put(&store, "a", 1);
}
