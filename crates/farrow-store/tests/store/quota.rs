//! Quotas of one user and of one process.

use farrow_store::{Charge, Owner, Quota, Store, StoreError};

use crate::region::{HOST, MIB, OWNER, PAGE, append, fill, name, new_version, opened, put};

const OTHER: Owner = Owner { uid: OWNER.uid + 1, ..OWNER };

fn bytes(limit: u64) -> Quota {
    Quota { bytes_per_user: Some(limit), ..Quota::default() }
}

#[test]
fn versions_and_reservations_of_a_user_count() {
    let store = opened(4 * MIB);
    assert_eq!(store.view().charge(OWNER.uid).total(), 0);
    put(&store, "a", PAGE + 1);
    let reservation = store.reserve_within(OWNER, PAGE, &bytes(3 * PAGE)).unwrap();
    assert_eq!(store.view().charge(OWNER.uid).total(), 3 * PAGE);
    match store.reserve_within(OWNER, 1, &bytes(3 * PAGE)) {
        Err(StoreError::Quota { uid, charge, need, limit }) => {
            assert_eq!((uid, charge.total(), need, limit), (OWNER.uid, 3 * PAGE, PAGE, 3 * PAGE));
            assert_eq!((charge.published, charge.reserved), (2 * PAGE, PAGE));
        }
        other => panic!("{other:?}"),
    }
    // Another user has its own.
    let others = store.reserve_within(OTHER, PAGE, &bytes(PAGE)).unwrap();
    store.abort(others.id).unwrap();
    assert_eq!(store.view().charge(OTHER.uid).total(), 0);

    store.abort(reservation.id).unwrap();
    store.drop_frame(&name("a"), None).unwrap();
    assert_eq!(store.view().charge(OWNER.uid).total(), 0);
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
    let owned = || (store.view().charge(OWNER.uid).total(), store.view().charge(OTHER.uid).total());
    assert_eq!(owned(), (PAGE, 2 * PAGE));
    // A version in between changes nothing; without the first, its segment is the next one's owner's.
    store.drop_frame(&name("a"), Some(2)).unwrap();
    assert_eq!(owned(), (PAGE, 2 * PAGE));
    store.drop_frame(&name("a"), Some(1)).unwrap();
    assert_eq!(owned(), (0, 3 * PAGE));
    store.compact().unwrap();
    let media = store.view().media().clone();
    drop(store);
    let again = Store::open(media, HOST).unwrap();
    assert_eq!(
        (again.view().charge(OWNER.uid).total(), again.view().charge(OTHER.uid).total()),
        (0, 3 * PAGE)
    );
}

#[test]
fn what_one_drop_ends_counts_for_whoever_published_it() {
    let store = opened(4 * MIB);
    for owner in [OWNER, OTHER] {
        let reservation = store.reserve(owner, PAGE).unwrap();
        fill(&store, &reservation);
        store.append(new_version(reservation.id, "a", PAGE)).unwrap();
    }
    store.view().acquire(&name("a"), None).unwrap();
    store.drop_frame(&name("a"), None).unwrap();
    assert_eq!(charges(&store), [[0, 0, PAGE, 0]; 2]);
}

#[test]
fn a_reservation_that_is_handed_over_counts_for_its_new_process() {
    let store = opened(4 * MIB);
    let quota = Quota { reservations_per_process: Some(1), bytes_per_user: Some(2 * PAGE) };
    let cleaner = Owner { pid: OWNER.pid + 1, uid: OWNER.uid + 1, ..OWNER };
    let mut asked = Vec::new();
    let first = store.reserve_through(OWNER, PAGE, &quota, |extents| {
        asked = extents.to_vec();
        cleaner
    });
    let first = first.unwrap();
    assert_eq!(first.extents, asked);
    // Whoever has it at first, the bytes are the user's.
    assert_eq!(first.owner, Owner { uid: OWNER.uid, ..cleaner });
    assert_eq!(store.view().charge(OWNER.uid).total(), PAGE);
    let own = store.reserve_within(OWNER, PAGE, &quota).unwrap();
    let error = store.hand_over(first.id, OWNER, &quota).unwrap_err();
    assert!(matches!(error, StoreError::ManyReservations { limit: 1, .. }), "{error}");
    assert!(store.view().reservation(first.id).is_some());
    store.abort(own.id).unwrap();
    let handed = store.hand_over(first.id, OWNER, &quota).unwrap();
    assert_eq!((handed.owner, store.view().charge(OWNER.uid).total()), (OWNER, PAGE));
    assert!(matches!(store.hand_over(first.id, OWNER, &quota), Err(StoreError::NoReservation { .. })));
}

/// Returns what counts for both users: in versions, reserved, dropped, held.
fn charges(store: &Store) -> [[u64; 4]; 2] {
    [OWNER, OTHER].map(|owner| {
        let Charge { published, reserved, dropped, held } = store.view().charge(owner.uid);
        [published, reserved, dropped, held]
    })
}

#[test]
fn what_is_dropped_counts_for_who_holds_it() {
    let store = opened(4 * MIB);
    let mut held = Vec::new();
    for number in 1..=3 {
        put(&store, "a", PAGE);
        held.push(store.view().acquire_as(Some(OWNER.uid), &name("a"), None).unwrap());
        store.drop_frame(&name("a"), None).unwrap();
        assert_eq!(charges(&store), [[0, 0, number * PAGE, 0], [0; 4]]);
    }
    match store.reserve_within(OWNER, 1, &bytes(3 * PAGE)) {
        Err(error @ StoreError::Quota { .. }) => {
            let told = error.to_string();
            assert!(
                told.contains("12.0 KiB in versions that it has dropped and that are still held"),
                "{told}"
            );
        }
        other => panic!("{other:?}"),
    }
    store.view().check_holds(OWNER.uid, 3 * PAGE).unwrap();
    let error = store.view().check_holds(OWNER.uid, 3 * PAGE - 1).unwrap_err();
    assert!(matches!(error, StoreError::HoldsDropped { held, .. } if held == 3 * PAGE), "{error}");
    for (version, left) in held.iter().zip([2, 1, 0]) {
        store.release_as(Some(OWNER.uid), version).unwrap();
        assert_eq!(charges(&store), [[0, 0, left * PAGE, 0], [0; 4]]);
    }
    store.view().check_holds(OWNER.uid, 0).unwrap();
}

#[test]
fn what_only_others_hold_counts_for_them() {
    let store = opened(4 * MIB);
    put(&store, "a", PAGE);
    let hold = |user| store.view().acquire_as(user, &name("a"), None).unwrap();
    let (version, _) = (hold(Some(OTHER.uid)), hold(Some(OTHER.uid)));
    hold(Some(OWNER.uid));
    hold(None);
    assert_eq!(charges(&store), [[PAGE, 0, 0, 0], [0; 4]], "it is there for everybody");
    store.drop_frame(&name("a"), None).unwrap();
    assert_eq!(charges(&store), [[0, 0, PAGE, 0], [0, 0, 0, PAGE]]);
    let release = |user| store.release_as(user, &version).unwrap();
    release(Some(OWNER.uid));
    assert_eq!(charges(&store), [[0; 4], [0, 0, 0, PAGE]], "the publisher may go on");
    release(Some(OTHER.uid));
    assert_eq!(charges(&store), [[0; 4], [0, 0, 0, PAGE]]);
    release(Some(OTHER.uid));
    assert_eq!(charges(&store), [[0, 0, PAGE, 0], [0; 4]], "held by nobody who is known");
    release(None);
    assert_eq!((charges(&store), store.view().usage().held), ([[0; 4]; 2], 0));
    assert!(matches!(store.release_as(Some(OTHER.uid), &version), Err(StoreError::NotHeld { .. })));
}

#[test]
fn a_segment_that_another_version_has_counts_for_no_holder() {
    let store = opened(4 * MIB);
    put(&store, "a", PAGE);
    let first = store.view().acquire_as(Some(OTHER.uid), &name("a"), None).unwrap();
    append(&store, "a", PAGE);
    store.drop_frame(&name("a"), Some(1)).unwrap();
    assert_eq!(charges(&store), [[2 * PAGE, 0, 0, 0], [0; 4]]);
    store.drop_frame(&name("a"), None).unwrap();
    assert_eq!(charges(&store), [[0; 4], [0, 0, 0, PAGE]]);
    store.release_as(Some(OTHER.uid), &first).unwrap();
    assert_eq!((charges(&store), store.view().usage().held), ([[0; 4]; 2], 0));
}

#[test]
fn what_waits_for_the_quarantine_counts_for_its_publisher() {
    let mut store = opened(4 * MIB);
    put(&store, "a", 2 * PAGE);
    put(&store, "b", PAGE);
    store.view().acquire_as(Some(OWNER.uid), &name("a"), None).unwrap();
    store.drop_frame(&name("a"), None).unwrap();
    // From the log, then from a checkpoint.
    for _ in 0..2 {
        let media = store.view().media().clone();
        drop(store);
        store = Store::open(media, HOST).unwrap();
        assert_eq!(charges(&store), [[PAGE, 0, 2 * PAGE, 0], [0; 4]]);
        store.compact().unwrap();
    }
    store.lift_quarantine().unwrap();
    assert_eq!(charges(&store), [[PAGE, 0, 0, 0], [0; 4]]);
}
