//! Media that fail, and calls at the wrong moment.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::time::Duration;

use farrow_region::{Media, MemMedia, RegionError};
use farrow_store::{Store, StoreError};

use crate::region::{HOST, MIB, OWNER, fill, formatted, name, new_version, open, put, view};

/// A medium on which something happens, or goes wrong, at a persist; its pages are as large as device-dax's.
struct Troubled {
    inner: Arc<MemMedia>,
    /// Persists that still succeed.
    persists_left: AtomicUsize,
    during_persist: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl Troubled {
    fn new(inner: Arc<MemMedia>) -> Arc<Self> {
        let persists_left = AtomicUsize::new(usize::MAX);
        Arc::new(Self { inner, persists_left, during_persist: OnceLock::new() })
    }
}

impl Media for Troubled {
    fn len(&self) -> u64 {
        self.inner.len()
    }

    fn unit(&self) -> u64 {
        2 * MIB
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<(), RegionError> {
        self.inner.read_at(offset, out)
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> Result<(), RegionError> {
        self.inner.write_at(offset, data)
    }

    fn load_u64(&self, offset: u64) -> Result<u64, RegionError> {
        self.inner.load_u64(offset)
    }

    fn store_u64(&self, offset: u64, value: u64) -> Result<(), RegionError> {
        self.inner.store_u64(offset, value)
    }

    fn persist(&self, offset: u64, len: u64) -> Result<(), RegionError> {
        if let Some(during) = self.during_persist.get() {
            during();
        }
        let left = self.persists_left.load(Ordering::Relaxed);
        if left == 0 {
            return Err(RegionError::ReadOnly { what: "a broken medium".to_owned() });
        }
        self.persists_left.store(left - 1, Ordering::Relaxed);
        self.inner.persist(offset, len)
    }

    fn refresh(&self, offset: u64, len: u64) -> Result<(), RegionError> {
        self.inner.refresh(offset, len)
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }
}

#[test]
fn a_failed_write_stops_the_store() {
    // A put is a record and a word for the reservation; data, record and word for the commit.
    for persists in 0..5 {
        let memory = Arc::new(formatted(2 * MIB));
        let media = Troubled::new(memory.clone());
        let store = Store::open(media.clone(), HOST).unwrap();
        put(&store, "before", 10);
        let before = view(&store);
        media.persists_left.store(persists, Ordering::Relaxed);

        let result = store.reserve(OWNER, 10).and_then(|reservation| {
            fill(&store, &reservation);
            store.commit(new_version(reservation.id, "during", 10))
        });
        assert!(matches!(result, Err(StoreError::Media(_))), "{persists}: {result:?}");
        if persists == 2 {
            // The data could not be persisted, which says nothing of the catalog: the commit can be tried again.
            media.persists_left.store(usize::MAX, Ordering::Relaxed);
            let [reservation] = &store.view().reservations()[..] else { panic!("it is still there") };
            store.commit(new_version(reservation.id, "during", 10)).unwrap();
            continue;
        }
        // It is open what the catalog says, so nothing that depends on it is answered …
        assert!(matches!(store.view().get(&name("before"), None), Err(StoreError::Stopped)));
        assert!(matches!(store.view().acquire(&name("before"), None), Err(StoreError::Stopped)));
        assert!(matches!(store.reserve(OWNER, 1), Err(StoreError::Stopped)));
        assert!(matches!(store.lift_quarantine(), Err(StoreError::Stopped)));
        // … but figures are, and nobody sees what may not have happened.
        assert_eq!(store.view().list("", None, 9).len(), 1);
        assert_eq!(store.view().usage().versions, 1);

        let reopened = open(MemMedia::from(memory.image()));
        let after = view(&reopened);
        after.check(&reopened);
        assert!(after.versions.len() >= before.versions.len());
    }
}

#[test]
fn a_reservation_is_committed_by_one_at_a_time() {
    let media = Troubled::new(Arc::new(formatted(2 * MIB)));
    let store = Arc::new(Store::open(media.clone(), HOST).unwrap());
    let reservation = store.reserve(OWNER, 10).unwrap();
    fill(&store, &reservation);

    // The first persist of a commit is that of the data, outside the lock.
    let seen = Arc::new(Mutex::new(None));
    let during = {
        let (store, seen, id) = (Arc::downgrade(&store), seen.clone(), reservation.id);
        move || {
            let mut seen = seen.lock().unwrap();
            if seen.is_none() {
                let store = store.upgrade().unwrap();
                let results =
                    (store.abort(id), store.commit(new_version(id, "b", 1)), store.view().usage().reserved);
                *seen = Some(results);
            }
        }
    };
    assert!(media.during_persist.set(Box::new(during)).is_ok());
    let version = store.commit(new_version(reservation.id, "a", 10)).unwrap();
    assert_eq!(version.name, name("a"));
    let seen = seen.lock().unwrap().take().unwrap();
    assert!(matches!(seen.0, Err(StoreError::ReservationBusy { .. })));
    assert!(matches!(seen.1, Err(StoreError::ReservationBusy { .. })));
    assert_eq!(seen.2, 4096);
}

/// A compaction under way holds up no reader: it is not done before a reader on another thread has had its answers.
#[test]
fn readers_get_through_while_the_catalog_is_compacted() {
    let media = Troubled::new(Arc::new(formatted(2 * MIB)));
    let store = Arc::new(Store::open(media.clone(), HOST).unwrap());
    put(&store, "a", 10);
    put(&store, "a", 10);
    let held = store.view().acquire(&name("a"), Some(1)).unwrap();
    drop(store.view().acquire(&name("a"), Some(1)).unwrap());
    store.drop_frame(&name("a"), Some(1)).unwrap();
    assert_eq!(store.view().usage().held, 4096);

    let answers = Arc::new(AtomicUsize::new(0));
    let during = {
        let (store, answers) = (Arc::downgrade(&store), answers.clone());
        move || {
            if answers.fetch_add(1, Ordering::Relaxed) > 0 {
                return;
            }
            let (store, held) = (store.upgrade().unwrap(), held.clone());
            let (told, answered) = mpsc::channel();
            std::thread::spawn(move || {
                assert_eq!(store.view().get(&name("a"), None).unwrap().number, 2);
                assert_eq!(
                    (store.view().list("", None, 9).len(), store.view().versions(&name("a")).unwrap().len()),
                    (1, 1)
                );
                let again = store.view().acquire(&name("a"), None).unwrap();
                store.release(&again).unwrap();
                // All holds on what was dropped: the extents are free once the compaction is done.
                store.release(&held).unwrap();
                store.release(&held).unwrap();
                told.send((store.view().usage().held, store.view().seq())).unwrap();
            });
            // Without an answer the test would hang in here; only then does the limit count.
            let (held, _) = answered.recv_timeout(Duration::from_secs(60)).unwrap();
            assert_eq!(held, 4096);
        }
    };
    assert!(media.during_persist.set(Box::new(during)).is_ok());
    store.compact().unwrap();
    assert!(answers.load(Ordering::Relaxed) > 0);
    assert_eq!(store.view().usage().held, 0, "what was released meanwhile");
    view(&store).check(&store);
}

#[test]
fn nobody_is_given_extents_that_cannot_be_mapped() {
    let media = Arc::new(formatted(8 * MIB));
    let store = Store::open(media.clone(), HOST).unwrap();
    // Every other MiB is free.
    let taken: Vec<_> = (0..8).map(|_| store.reserve(OWNER, MIB).unwrap()).collect();
    for reservation in taken.iter().step_by(2) {
        store.abort(reservation.id).unwrap();
    }
    assert_eq!(store.reserve(OWNER, MIB + 1).unwrap().extents.len(), 2);
    drop(store);

    let store = Store::open(Troubled::new(media), HOST).unwrap();
    assert_eq!(store.view().usage().free, 4 * MIB - (MIB + 4096));
    let refused = store.reserve(OWNER, MIB + 1);
    assert!(matches!(refused, Err(StoreError::RegionFull { largest_free: MIB, .. })), "{refused:?}");
    assert_eq!(store.reserve(OWNER, MIB).unwrap().extents.len(), 1);
}

#[test]
fn a_second_master_stops_the_first() {
    let media = Arc::new(formatted(2 * MIB));
    let first = Store::open(media.clone(), HOST).unwrap();
    put(&first, "a", 1);
    let second = Store::open(media, HOST).unwrap();
    assert_eq!((first.view().epoch(), second.view().epoch()), (1, 2));
    let error = first.reserve(OWNER, 1).unwrap_err();
    assert!(matches!(error, StoreError::Fenced { .. }));
    let (found, own) = ("(epoch 0x2 in its low 16 bits)", "(epoch 0x1)");
    assert!(error.to_string().contains(found) && error.to_string().contains(own), "{error}");
    assert!(matches!(first.view().get(&name("a"), None), Err(StoreError::Stopped)));
    put(&second, "a", 1);
}

#[test]
fn a_store_is_shared_by_threads() {
    let store = open(formatted(4 * MIB));
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let store = &store;
            scope.spawn(move || {
                let frame = format!("thread/{thread}");
                for number in 1..=20 {
                    assert_eq!(put(store, &frame, 100 + number).number, number);
                    let held = store.view().acquire(&name(&frame), None).unwrap();
                    // The latest stays.
                    if number > 1 {
                        store.drop_frame(&name(&frame), Some(number - 1)).unwrap();
                    }
                    store.release(&held).unwrap();
                }
            });
        }
    });
    let seen = view(&store);
    seen.check(&store);
    assert_eq!((seen.versions.len(), store.view().usage().held), (4, 0));
}

/// Versions that share segments, dropped and released by everybody at once, in a catalog that is compacted often.
#[test]
fn a_frame_is_shared_by_threads() {
    let store = open(formatted(4 * MIB));
    store.lift_quarantine().unwrap();
    put(&store, "a", 1);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let store = &store;
            scope.spawn(move || {
                for round in 0..40 {
                    let reservation = store.reserve(OWNER, 1).unwrap();
                    fill(store, &reservation);
                    let new = new_version(reservation.id, "a", 1);
                    // A new one now and then, so that the versions do not grow for ever.
                    let version = match (round + thread) % 5 {
                        0 => store.commit(new).unwrap(),
                        _ => store.append(new).unwrap(),
                    };
                    let held = store.view().acquire(&name("a"), None).unwrap();
                    store.drop_frame(&name("a"), Some(version.number)).unwrap();
                    assert!(held.segments.iter().all(|segment| segment.len == 1));
                    store.release(&held).unwrap();
                }
            });
        }
    });
    let seen = view(&store);
    seen.check(&store);
    assert_eq!((seen.versions.len(), store.view().usage().held), (1, 0));
    assert_eq!(store.drop_frame(&name("a"), None).unwrap().bytes_freed, 4096);
    assert_eq!(store.view().usage().free, 4 * MIB);
}
