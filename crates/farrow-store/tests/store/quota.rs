//! What one user and one process may have.

use farrow_store::{Owner, Quota, Store, StoreError};

use crate::region::{HOST, MIB, OWNER, PAGE, fill, name, new_version, opened, put};

const OTHER: Owner = Owner { uid: OWNER.uid + 1, ..OWNER };

fn bytes(limit: u64) -> Quota {
    Quota { bytes_per_user: Some(limit), ..Quota::default() }
}

#[test]
fn versions_and_reservations_of_a_user_count() {
    let store = opened(4 * MIB);
    assert_eq!(store.owned_by(OWNER.uid), 0);
    put(&store, "a", PAGE + 1);
    let reservation = store.reserve_within(OWNER, PAGE, &bytes(3 * PAGE)).unwrap();
    assert_eq!(store.owned_by(OWNER.uid), 3 * PAGE);
    match store.reserve_within(OWNER, 1, &bytes(3 * PAGE)) {
        Err(StoreError::Quota { uid, used, need, limit }) => {
            assert_eq!((uid, used, need, limit), (OWNER.uid, 3 * PAGE, PAGE, 3 * PAGE));
        }
        other => panic!("{other:?}"),
    }
    // Another user has its own.
    let others = store.reserve_within(OTHER, PAGE, &bytes(PAGE)).unwrap();
    store.abort(others.id).unwrap();
    assert_eq!(store.owned_by(OTHER.uid), 0);

    store.abort(reservation.id).unwrap();
    store.drop_frame(&name("a"), None).unwrap();
    assert_eq!(store.owned_by(OWNER.uid), 0);
}

#[test]
fn a_process_has_so_many_reservations() {
    let store = opened(4 * MIB);
    let quota = Quota { reservations_per_process: Some(1), ..Quota::default() };
    let first = store.reserve_within(OWNER, 1, &quota).unwrap();
    let error = store.reserve_within(OWNER, 1, &quota).unwrap_err();
    assert!(matches!(error, StoreError::ManyReservations { limit: 1, .. }), "{error}");
    store.reserve_within(Owner { pid: OWNER.pid + 1, ..OWNER }, 1, &quota).unwrap();
    store.abort(first.id).unwrap();
    store.reserve_within(OWNER, 1, &quota).unwrap();
}

#[test]
fn a_shared_segment_counts_once_also_after_a_replay() {
    let store = opened(4 * MIB);
    let add = |owner: Owner| {
        let reservation = store.reserve(owner, PAGE).unwrap();
        fill(&store, &reservation);
        store.append(new_version(reservation.id, "a", PAGE)).unwrap();
    };
    add(OWNER);
    add(OTHER);
    add(OTHER);
    let owned = || (store.owned_by(OWNER.uid), store.owned_by(OTHER.uid));
    assert_eq!(owned(), (PAGE, 2 * PAGE));
    // A version in between changes nothing; without the first, its segment is the next one's owner's.
    store.drop_frame(&name("a"), Some(2)).unwrap();
    assert_eq!(owned(), (PAGE, 2 * PAGE));
    store.drop_frame(&name("a"), Some(1)).unwrap();
    assert_eq!(owned(), (0, 3 * PAGE));
    store.compact().unwrap();
    let media = store.media().clone();
    drop(store);
    let again = Store::open(media, HOST).unwrap();
    assert_eq!((again.owned_by(OWNER.uid), again.owned_by(OTHER.uid)), (0, 3 * PAGE));
}
