//! The promises to writers and readers of frames.

use std::collections::BTreeMap;
use std::sync::Arc;

use farrow_region::MemMedia;
use farrow_store::{Dropped, Extent, Follower, NewVersion, Owner, Prefix, Store, StoreError};

use crate::region::{
    HOST, MIB, OWNER, PAGE, append, fill, formatted, name, new_segment, new_version, open, opened, pattern,
    put, read, view,
};

#[test]
fn a_version_is_what_was_committed() {
    let store = opened(4 * MIB);
    let reservation = store.reserve(OWNER, 10_000).unwrap();
    assert_eq!((reservation.len, reservation.owner, reservation.id), (10_000, OWNER, reservation.generation));
    assert_eq!(reservation.extents, [Extent { pool: 0, offset: 0, len: 3 * PAGE }]);
    assert_eq!(store.view().reservations(), std::slice::from_ref(&reservation));
    assert_eq!(store.view().reservation(reservation.id), Some(reservation.clone()));
    assert_eq!(store.view().reservation(reservation.id + 1), None);
    fill(&store, &reservation);

    let new = new_version(reservation.id, "sales/orders", 5000);
    let version = store.commit(new.clone()).unwrap();
    let wrote = &new.segments[0];
    assert_eq!(
        (version.number, version.seq, version.bytes, version.rows),
        (1, store.view().seq(), 5000, wrote.rows)
    );
    assert_eq!((version.owner, version.committed_at_micros), (OWNER, new.committed_at_micros));
    let segment = &version.segments[0];
    assert_eq!((segment.id, segment.generation), (reservation.id, reservation.generation));
    assert_eq!((segment.len, segment.batches, segment.validation), (5000, wrote.batches, wrote.validation));
    assert_eq!((segment.metadata_digest, &segment.checksums), (wrote.metadata_digest, &wrote.checksums));

    // The page that was not needed is free; the rest of the last one shows nothing.
    assert_eq!(segment.extents, [Extent { pool: 0, offset: 0, len: 2 * PAGE }]);
    let bytes = read(&store, &segment.extents);
    assert!(bytes[..5000].iter().all(|&byte| byte == pattern(segment.id)));
    assert!(bytes[5000..].iter().all(|&byte| byte == 0));
    let usage = store.view().usage();
    assert_eq!((usage.used, usage.reserved, usage.free), (2 * PAGE, 0, 4 * MIB - 2 * PAGE));
    assert!(store.view().reservations().is_empty());
    view(&store).check(&store);
}

#[test]
fn versions_count_and_are_found() {
    let store = opened(2 * MIB);
    for number in 1..=3 {
        assert_eq!(put(&store, "a", number).number, number);
    }
    assert_eq!(store.view().get(&name("a"), None).unwrap().number, 3);
    assert_eq!(store.view().get(&name("a"), Some(2)).unwrap().bytes, 2);
    assert_eq!(store.view().versions(&name("a")).unwrap().len(), 3);
    // A number is not given twice, not even the latest one's.
    store.drop_frame(&name("a"), Some(3)).unwrap();
    match store.view().get(&name("a"), Some(3)) {
        Err(error) => {
            assert_eq!(error.to_string(), "version `a@3` is gone: it was dropped; there are 2 from @1 to @2");
        }
        Ok(version) => panic!("{version:?}"),
    }
    let error = store.view().get(&name("a"), Some(4)).unwrap_err();
    assert_eq!(error.to_string(), "version `a@4` is not committed yet; there are 2 from @1 to @2");
    store.compact().unwrap();
    assert_eq!(put(&store, "a", 4).number, 4);
    // Nor when all of them are gone.
    store.drop_frame(&name("a"), None).unwrap();
    assert!(matches!(store.view().get(&name("a"), Some(4)), Err(StoreError::FrameNotFound { .. })));
    store.compact().unwrap();
    assert_eq!(put(&store, "a", 5).number, 5);
    let error = store.view().get(&name("a"), Some(4)).unwrap_err();
    assert_eq!(error.to_string(), "version `a@4` is gone: it was dropped; the only one is @5");
}

/// So many names are dropped that not all of them can be remembered; restarts and compactions are among it.
#[test]
fn no_number_of_a_name_means_two_versions() {
    let media: Arc<MemMedia> = Arc::new(formatted(2 * MIB));
    let mut store = Store::open(media.clone(), HOST).unwrap();
    let mut follower = Follower::open(media.clone()).unwrap();
    let mut given = BTreeMap::new();
    for round in 0..120_u64 {
        let frame = name(&format!("{}", round * round % 41));
        for _ in 0..=round % 3 {
            let version = put(&store, frame.as_str(), 1);
            let before = given.insert(frame.clone(), version.number);
            assert!(before.is_none_or(|before| version.number > before), "{version:?} after {before:?}");
            follower.poll().unwrap();
            assert_eq!(follower.view().get(&frame, None).unwrap(), version);
        }
        match round % 4 {
            0 => drop(store.drop_prefix(&Prefix::parse(frame.as_str()).unwrap()).unwrap()),
            1 => drop(store.expire(&Prefix::all(), i64::MAX, true).unwrap()),
            _ => drop(store.drop_frame(&frame, None).unwrap()),
        }
        if round % 10 == 9 {
            drop(store);
            store = Store::open(media.clone(), HOST).unwrap();
            store.lift_quarantine().unwrap();
        }
        if round % 7 == 6 {
            store.compact().unwrap();
        }
    }
    // A name that never was begins behind what may have been forgotten, which is not more than it must be.
    let first = put(&store, "new", 1).number;
    assert!((2..*given.values().max().unwrap()).contains(&first), "{first} {given:?}");
}

#[test]
fn names_that_were_meant() {
    let store = opened(2 * MIB);
    for frame in ["sales/orders", "sales/orders_2024", "sales/returns", "zoo", "zo2/a"] {
        put(&store, frame, 1);
    }
    let error = store.view().get(&name("zo2"), None).unwrap_err();
    assert_eq!(error.to_string(), "no frame `zo2`; there is `zo2/a`");
    let error = store.view().get(&name("sales/order"), None).unwrap_err();
    let expected = "no frame `sales/order`; there is `sales/orders`, `sales/orders_2024`";
    assert_eq!(error.to_string(), expected);
    let error = store.view().get(&name("x"), None).unwrap_err();
    assert_eq!(error.to_string(), "no frame `x`");
}

#[test]
fn listing_in_pages() {
    let store = opened(2 * MIB);
    for frame in ["b/2", "a", "b/1", "b", "c", "b/3", "b/1"] {
        put(&store, frame, 1);
    }
    let list = |prefix, after: Option<&str>, limit| {
        let after = after.map(name);
        let page = store.view().list(prefix, after.as_ref(), limit);
        page.iter().map(|version| format!("{}@{}", version.name, version.number)).collect::<Vec<_>>()
    };
    assert_eq!(list("", None, 99), ["a@1", "b@1", "b/1@2", "b/2@1", "b/3@1", "c@1"]);
    assert_eq!(list("b/", None, 2), ["b/1@2", "b/2@1"]);
    assert_eq!(list("b/", Some("b/2"), 2), ["b/3@1"]);
    assert_eq!(list("b/", Some("a"), 99), ["b/1@2", "b/2@1", "b/3@1"]);
    assert_eq!(list("b", Some("b"), 99), ["b/1@2", "b/2@1", "b/3@1"]);
    assert!(list("b/", Some("c"), 99).is_empty());
    assert!(list("d", None, 99).is_empty());
    assert!(list("", None, 0).is_empty());
}

#[test]
fn appended_versions_share_segments() {
    let store = opened(2 * MIB);
    let first = append(&store, "a", 100);
    let second = append(&store, "a", 200);
    assert_eq!((first.segments.len(), second.segments.len(), second.bytes), (1, 2, 300));
    assert!(Arc::ptr_eq(&first.segments[0], &second.segments[0]), "shared, not copied");
    assert_eq!(store.view().usage().used, 2 * PAGE);

    let nothing = Dropped { frames: 0, versions: 1, bytes_freed: 0, bytes_held: 0 };
    assert_eq!(store.drop_frame(&name("a"), Some(1)).unwrap(), nothing);
    let third = append(&store, "a", 300);
    assert_eq!(third.bytes, 600);
    view(&store).check(&store);

    let reservation = store.reserve(OWNER, 1).unwrap();
    let other = NewVersion { schema_fingerprint: 2, ..new_version(reservation.id, "a", 1) };
    let error = store.append(other.clone()).unwrap_err();
    assert!(matches!(error, StoreError::SchemaMismatch { latest: 3, expected: 0xf1, found: 2, .. }));
    // What is committed anew may have another schema.
    assert_eq!(store.commit(other).unwrap().segments.len(), 1);
    let all = store.drop_frame(&name("a"), None).unwrap();
    assert_eq!(all, Dropped { frames: 1, versions: 3, bytes_freed: 4 * PAGE, bytes_held: 0 });
    assert_eq!(store.view().usage().free, 2 * MIB);
}

#[test]
fn held_bytes_are_not_reused() {
    let store = opened(2 * MIB);
    let version = put(&store, "a", MIB);
    let held = store.view().acquire(&name("a"), None).unwrap();
    let again = store.view().acquire(&name("a"), Some(1)).unwrap();
    let dropped = store.drop_frame(&name("a"), None).unwrap();
    assert_eq!(dropped, Dropped { frames: 1, versions: 1, bytes_freed: 0, bytes_held: MIB });
    assert!(matches!(store.view().acquire(&name("a"), None), Err(StoreError::FrameNotFound { .. })));

    let error = store.reserve(OWNER, 2 * MIB).unwrap_err();
    let expected = "region full: need 2.0 MiB, largest free extent 1.0 MiB of 1.0 MiB free; 0 B in versions, \
                    1.0 MiB held by 2 leases and by the quarantine after the agent's start, 0 B reserved. \
                    Try: `farrow leases`";
    assert_eq!(error.to_string(), expected);
    let error = store.reserve(OWNER, 2 * MIB + 1).unwrap_err().to_string();
    assert!(error.ends_with("All of the pool has 2.0 MiB. Try: `farrow mkfs --size SIZE PATH`"), "{error}");
    store.lift_quarantine().unwrap();
    let reserved = [100, 10_000].map(|len| store.reserve(OWNER, len).unwrap());
    let error = store.reserve(OWNER, 2 * MIB).unwrap_err();
    let expected =
        "1.0 MiB held by 2 leases, 16.0 KiB reserved by 2 reservations, the largest 12.0 KiB by pid 42";
    assert!(error.to_string().contains(expected), "{error}");
    store.abort(reserved[0].id).unwrap();
    let error = store.reserve(OWNER, 2 * MIB).unwrap_err();
    assert!(error.to_string().contains("12.0 KiB reserved by pid 42. Try"), "{error}");
    store.abort(reserved[1].id).unwrap();

    store.release(&held).unwrap();
    assert_eq!((store.view().usage().held, store.view().usage().used), (MIB, 0));
    let told = store.reserve(OWNER, 2 * MIB).unwrap_err().to_string();
    assert!(told.contains("1.0 MiB held by 1 lease, "), "{told}");
    store.release(&again).unwrap();
    assert_eq!((store.view().usage().held, store.view().usage().free), (0, 2 * MIB));
    assert!(matches!(store.release(&version), Err(StoreError::NotHeld { version: 1, .. })));

    let next = put(&store, "a", MIB);
    assert_eq!(next.segments[0].extents, version.segments[0].extents);
    assert!(next.segments[0].generation > version.segments[0].generation, "the same bytes, given out anew");
}

#[test]
fn a_release_of_what_is_still_there_frees_nothing() {
    let store = opened(2 * MIB);
    put(&store, "a", 100);
    let held = store.view().acquire(&name("a"), None).unwrap();
    store.release(&held).unwrap();
    assert_eq!((store.view().usage().used, store.view().usage().held), (PAGE, 0));
    assert!(matches!(store.release(&held), Err(StoreError::NotHeld { .. })));
    let freed = store.drop_frame(&name("a"), None).unwrap().bytes_freed;
    assert_eq!(freed, PAGE);
}

#[test]
fn what_was_there_before_the_start_waits() {
    let media = Arc::new(formatted(2 * MIB));
    let reopen = || Store::open(media.clone(), HOST).unwrap();
    let store = reopen();
    put(&store, "old", 100);
    put(&store, "gone", 100);
    let held = store.view().acquire(&name("gone"), None).unwrap();
    store.drop_frame(&name("gone"), None).unwrap();
    let reserved = store.reserve(OWNER, 100).unwrap();
    drop(held);
    drop(store);

    let store = reopen();
    assert_eq!(store.view().epoch(), 2);
    assert_eq!(store.view().usage().held, PAGE, "the holder may still be there");
    let dropped = store.drop_frame(&name("old"), None).unwrap();
    assert_eq!(dropped, Dropped { frames: 1, versions: 1, bytes_freed: 0, bytes_held: PAGE });
    // What was reserved before the start can be committed, and then waits as well.
    fill(&store, &reserved);
    store.commit(new_version(reserved.id, "late", 100)).unwrap();
    assert_eq!(store.drop_frame(&name("late"), None).unwrap().bytes_held, PAGE);
    // Nobody can have known of what came since.
    put(&store, "new", 100);
    assert_eq!(store.drop_frame(&name("new"), None).unwrap().bytes_freed, PAGE);
    store.compact().unwrap();
    drop(store);

    let store = reopen();
    assert_eq!(store.view().usage().held, 3 * PAGE, "another start, the same doubt");
    assert_eq!(store.lift_quarantine().unwrap(), 3 * PAGE);
    assert_eq!(store.lift_quarantine().unwrap(), 0);
    assert_eq!((store.view().usage().held, store.view().usage().free), (0, 2 * MIB));
}

#[test]
fn lifting_the_quarantine_leaves_what_is_held() {
    let media = Arc::new(formatted(2 * MIB));
    let store = Store::open(media.clone(), HOST).unwrap();
    put(&store, "a", 100);
    drop(store);
    let store = Store::open(media, HOST).unwrap();
    let held = store.view().acquire(&name("a"), None).unwrap();
    store.drop_frame(&name("a"), None).unwrap();
    assert_eq!(store.lift_quarantine().unwrap(), 0);
    assert_eq!(store.view().usage().held, PAGE);
    store.release(&held).unwrap();
    assert_eq!(store.view().usage().held, 0);
}

#[test]
fn several_segments_are_one_version() {
    let store = opened(8 * MIB);
    let reserved = [100, 3 * MIB, 5000].map(|len| store.reserve(OWNER, len).unwrap());
    reserved.iter().for_each(|reservation| fill(&store, reservation));
    let of = |segments: &[(u64, u64)]| {
        let segments = segments.iter().map(|&(id, len)| new_segment(id, len)).collect();
        NewVersion { segments, ..new_version(0, "a", 1) }
    };
    let [first, second, third] = [0, 1, 2].map(|index: usize| reserved[index].id);

    assert!(matches!(store.commit(of(&[])), Err(StoreError::NoLength)));
    let twice = store.commit(of(&[(first, 1), (first, 1)]));
    assert!(matches!(twice, Err(StoreError::ReservationBusy { id }) if id == first));
    let missing = store.commit(of(&[(first, 100), (99, 1)]));
    assert!(matches!(missing, Err(StoreError::NoReservation { id: 99 })));
    let long = store.commit(of(&[(first, 100), (third, 5001)]));
    assert!(matches!(long, Err(StoreError::TooLong { id, .. }) if id == third));
    let other = store.reserve(Owner { pid: 7, ..OWNER }, 1).unwrap().id;
    let error = store.commit(of(&[(first, 100), (other, 1)])).unwrap_err();
    assert!(matches!(error, StoreError::OtherOwner { .. }), "{error}");
    store.abort(other).unwrap();
    assert_eq!(store.view().reservations(), reserved, "a refusal leaves everything as it was");

    // The last reservation was for more than is committed.
    let version = store.commit(of(&[(second, 3 * MIB), (first, 100), (third, 4096)])).unwrap();
    let segments: Vec<_> = version.segments.iter().map(|segment| (segment.id, segment.len)).collect();
    assert_eq!(segments, [(second, 3 * MIB), (first, 100), (third, 4096)]);
    assert_eq!((version.bytes, version.rows), (3 * MIB + 4196, (3 * MIB) / 8 + 12 + 512));
    assert_eq!((store.view().usage().reserved, store.view().usage().used), (0, 3 * MIB + 2 * PAGE));
    for (segment, reservation) in version.segments.iter().zip([&reserved[1], &reserved[0], &reserved[2]]) {
        let bytes = read(&store, &segment.extents);
        let (data, rest) = bytes.split_at(usize::try_from(segment.len).unwrap());
        assert!(data.iter().all(|&byte| byte == pattern(reservation.id)));
        assert!(rest.iter().all(|&byte| byte == 0), "the rest of the last page is zeroed");
    }
    let appended = append(&store, "a", 10);
    assert_eq!(appended.segments.len(), 4);
}

#[test]
fn reservations_end_once() {
    let store = opened(2 * MIB);
    let reservation = store.reserve(OWNER, 100).unwrap();
    store.abort(reservation.id).unwrap();
    assert_eq!(store.view().usage().free, 2 * MIB);
    let gone = |result: Result<(), StoreError>| {
        assert!(matches!(result, Err(StoreError::NoReservation { id }) if id == reservation.id));
    };
    gone(store.abort(reservation.id));
    gone(store.commit(new_version(reservation.id, "a", 1)).map(|_| ()));

    let reservation = store.reserve(OWNER, 100).unwrap();
    assert!(matches!(store.commit(new_version(reservation.id, "a", 0)), Err(StoreError::NoLength)));
    let long = store.commit(new_version(reservation.id, "a", 101));
    assert!(matches!(long, Err(StoreError::TooLong { len: 101, reserved: 100, .. })));
    let mut odd = new_version(reservation.id, "a", 1);
    odd.segments[0].checksums = vec![1];
    let odd = store.commit(odd);
    assert!(matches!(odd, Err(StoreError::Checksums { checksums: 1, batches: 2 })));
    // After all these it can still be committed.
    store.commit(new_version(reservation.id, "a", 100)).unwrap();
    assert!(matches!(store.reserve(OWNER, 0), Err(StoreError::NoLength)));
}

#[test]
fn a_large_segment_in_pieces() {
    let store = opened(10 * MIB);
    let kept: Vec<_> = (0..5).map(|i| put(&store, &format!("{i}"), 2 * MIB)).collect();
    for i in [0, 2, 4] {
        store.drop_frame(&name(&format!("{i}")), None).unwrap();
    }
    let version = put(&store, "large", 5 * MIB + 1);
    let lens: Vec<_> = version.segments[0].extents.iter().map(|extent| extent.len).collect();
    assert_eq!(lens, [2 * MIB, 2 * MIB, MIB + PAGE]);
    assert_eq!(store.view().media_ranges(&version.segments[0].extents).unwrap().len(), 3);
    view(&store).check(&store);
    drop(kept);
    let error = store.reserve(OWNER, u64::MAX).unwrap_err();
    assert!(error.to_string().starts_with("region full: need 15.9 EiB"), "{error}");
}

#[test]
fn extents_that_are_not_in_a_pool() {
    let store = opened(2 * MIB);
    let ranges = store.view().media_ranges(&[
        Extent { pool: 0, offset: 0, len: PAGE },
        Extent { pool: 0, offset: PAGE, len: PAGE },
        Extent { pool: 0, offset: 4 * PAGE, len: PAGE },
    ]);
    assert_eq!(ranges.unwrap(), [(14 * MIB, 2 * PAGE), (14 * MIB + 4 * PAGE, PAGE)]);
    for (pool, offset, len) in [(1, 0, PAGE), (0, 2 * MIB, PAGE), (0, u64::MAX, PAGE), (0, PAGE, u64::MAX)] {
        let bad = Extent { pool, offset, len };
        let error = store.view().media_ranges(&[bad]).unwrap_err();
        assert!(matches!(error, StoreError::NoSuchExtent { extent } if extent == bad));
    }
}

#[test]
fn a_store_reads_back_what_it_wrote() {
    let media: Arc<MemMedia> = Arc::new(formatted(2 * MIB));
    let store = Store::open(media.clone(), HOST).unwrap();
    for i in 0..40 {
        put(&store, &format!("frame/{}", i % 7), i + 1);
        if i % 3 == 0 {
            store.drop_frame(&name(&format!("frame/{}", i % 7)), None).unwrap();
        }
    }
    store.reserve(OWNER, 5000).unwrap();
    let (before, usage) = (view(&store), store.view().usage());
    drop(store);
    let store = open(MemMedia::from(media.image()));
    assert_eq!(view(&store), before);
    assert_eq!(store.view().usage().free, usage.free);
    before.check(&store);
}

#[test]
fn space_in_too_many_pieces_is_called_that() {
    let store = opened(2 * MIB * 35);
    for i in 0..35 {
        put(&store, &format!("{i:02}"), 2 * MIB);
    }
    for i in (0..35).step_by(2) {
        store.drop_frame(&name(&format!("{i:02}")), None).unwrap();
    }
    let error = store.reserve(OWNER, 33 * MIB).unwrap_err();
    let expected = "region fragmented, and an allocation has at most 16 extents, of one pool file: need 33.0 MiB, largest free extent \
                    2.0 MiB of 36.0 MiB free; 34.0 MiB in versions, ";
    assert!(error.to_string().starts_with(expected), "{error}");
    assert_eq!(store.reserve(OWNER, 32 * MIB).unwrap().extents.len(), 16);
}
