//! Random calls, against a model that knows nothing of catalogs and extents.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;
use std::sync::Arc;

use farrow_region::MemMedia;
use farrow_store::{Extent, NewVersion, Reservation, Store, StoreError, Version, check};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::counted::counted;
use crate::region::{
    HOST, MIB, OWNER, PAGE, assert_disjoint, fill, formatted, name, new_segment, new_version, view,
};

const POOL: u64 = 8 * MIB;
const FRAMES: [&str; 4] = ["a", "b", "b/c", "ü"];
const PREFIXES: [&str; 4] = ["b", "b/", "ü", "none"];

#[derive(Clone, Debug)]
enum Op {
    Reserve {
        len: u64,
    },
    /// Of `count` reservations or as many as there are, from `which` on.
    Commit {
        which: usize,
        count: usize,
        frame: usize,
        shorter: u64,
        append: bool,
    },
    Abort {
        which: usize,
    },
    Acquire {
        frame: usize,
        version: Option<u64>,
    },
    Release {
        which: usize,
    },
    Drop {
        frame: usize,
        version: Option<u64>,
    },
    DropPrefix {
        prefix: usize,
    },
    Expire {
        prefix: usize,
        until: i64,
        latest: bool,
    },
    Retain {
        frame: usize,
        last: u64,
    },
    Compact,
    Lift,
    Reopen,
}

fn op() -> impl Strategy<Value = Op> {
    let len = prop_oneof![4 => 1..6 * PAGE, 1 => MIB..5 * MIB];
    let shorter = prop_oneof![2 => Just(0), 1 => 0..3 * PAGE];
    let version = || prop::option::of(1..6_u64);
    let frame = || 0..FRAMES.len();
    prop_oneof![
        6 => len.prop_map(|len| Op::Reserve { len }),
        6 => (any::<usize>(), 1..4_usize, frame(), shorter, any::<bool>())
            .prop_map(|(which, count, frame, shorter, append)| Op::Commit { which, count, frame, shorter, append }),
        1 => any::<usize>().prop_map(|which| Op::Abort { which }),
        3 => (frame(), version()).prop_map(|(frame, version)| Op::Acquire { frame, version }),
        2 => any::<usize>().prop_map(|which| Op::Release { which }),
        4 => (frame(), version()).prop_map(|(frame, version)| Op::Drop { frame, version }),
        1 => (0..PREFIXES.len()).prop_map(|prefix| Op::DropPrefix { prefix }),
        1 => (0..PREFIXES.len(), 0..100_i64, any::<bool>())
            .prop_map(|(prefix, until, latest)| Op::Expire { prefix, until, latest }),
        2 => (frame(), 0..4_u64).prop_map(|(frame, last)| Op::Retain { frame, last }),
        1 => Just(Op::Compact),
        1 => Just(Op::Lift),
        1 => Just(Op::Reopen),
    ]
}

/// What must be there, told from what was asked and nothing else.
#[derive(Default)]
struct Model {
    /// Versions by frame and number: ids of their segments.
    frames: BTreeMap<usize, BTreeMap<u64, Vec<u64>>>,
    last_numbers: BTreeMap<usize, u64>,
    retentions: BTreeMap<usize, u64>,
    /// When versions were committed: each one a tick after the one before.
    times: BTreeMap<(usize, u64), i64>,
    ticks: i64,
    /// Where segments lie, as long as their bytes must not be reused.
    segments: BTreeMap<u64, Vec<Extent>>,
    /// Segments that were given out before the last start, while that matters.
    quarantine: BTreeSet<u64>,
    reservations: Vec<Reservation>,
    holds: Vec<Arc<Version>>,
}

impl Model {
    fn live(&self) -> BTreeSet<u64> {
        self.frames.values().flat_map(BTreeMap::values).flatten().copied().collect()
    }

    /// Forgets frames without versions.
    fn forget(&mut self) {
        self.frames.retain(|_, versions| !versions.is_empty());
        self.last_numbers.retain(|frame, _| self.frames.contains_key(frame));
        self.retentions.retain(|frame, _| self.frames.contains_key(frame));
        self.reclaim();
    }

    /// Drops what the frame's retention does not keep. Returns how many.
    fn trim(&mut self, frame: usize) -> u64 {
        let (Some(versions), Some(&last)) = (self.frames.get_mut(&frame), self.retentions.get(&frame)) else {
            return 0;
        };
        let mut dropped = 0;
        while versions.len() as u64 > last {
            versions.pop_first();
            dropped += 1;
        }
        self.reclaim();
        dropped
    }

    /// Drops versions of frames with that prefix, committed until then. Returns how many.
    fn drop_many(&mut self, prefix: &str, until: i64, latest: bool) -> u64 {
        let mut dropped = 0;
        for (&frame, versions) in &mut self.frames {
            if !FRAMES[frame].starts_with(prefix) {
                continue;
            }
            let kept = versions.last_key_value().map(|(&number, _)| number).filter(|_| !latest);
            let before = versions.len();
            versions.retain(|&number, _| self.times[&(frame, number)] > until || Some(number) == kept);
            dropped += (before - versions.len()) as u64;
        }
        self.forget();
        dropped
    }

    /// Forgets segments that nobody can reach any more.
    fn reclaim(&mut self) {
        let mut kept = self.live();
        kept.extend(self.holds.iter().flat_map(|version| version.segments.iter().map(|segment| segment.id)));
        kept.extend(&self.quarantine);
        self.segments.retain(|id, _| kept.contains(id));
    }

    fn bytes(&self, ids: &BTreeSet<u64>) -> u64 {
        ids.iter().filter_map(|id| self.segments.get(id)).flatten().map(|extent| extent.len).sum()
    }

    fn compare(&self, store: &Store) {
        let seen = view(store);
        assert_eq!(seen.reservations, self.reservations);
        let retentions = seen.retentions.iter().map(|(name, last)| (name.clone(), last.get()));
        let expected = self.retentions.iter().map(|(&frame, &last)| (name(FRAMES[frame]), last));
        assert!(retentions.eq(expected), "{:?}", seen.retentions);
        let numbers = self.frames.iter().flat_map(|(&frame, versions)| {
            versions.iter().map(move |(&number, ids)| ((name(FRAMES[frame]), number), ids.clone()))
        });
        let found = seen.versions.iter().map(|(key, version)| {
            (key.clone(), version.segments.iter().map(|segment| segment.id).collect::<Vec<_>>())
        });
        assert_eq!(found.collect::<BTreeMap<_, _>>(), numbers.collect::<BTreeMap<_, _>>());
        seen.check(store);

        let live = self.live();
        let waiting = self.segments.keys().copied().filter(|id| !live.contains(id)).collect();
        let usage = store.usage();
        assert_eq!((usage.used, usage.held), (self.bytes(&live), self.bytes(&waiting)));
        let reserved: Vec<_> = self.reservations.iter().flat_map(|r| r.extents.clone()).collect();
        assert_eq!(usage.reserved, reserved.iter().map(|extent| extent.len).sum::<u64>());
        let all: Vec<_> = self.segments.values().flatten().copied().chain(reserved).collect();
        assert_disjoint(&all, &[POOL]);
    }
}

struct Run {
    media: Arc<MemMedia>,
    store: Store,
    model: Model,
}

impl Run {
    fn new() -> Self {
        let media = Arc::new(formatted(POOL));
        let store = Store::open(media.clone(), HOST).unwrap();
        Self { media, store, model: Model::default() }
    }

    fn step(&mut self, op: Op) {
        let Self { media, store, model } = self;
        match op {
            Op::Reserve { len } => match store.reserve(OWNER, len) {
                Ok(reservation) => {
                    let got: u64 = reservation.extents.iter().map(|extent| extent.len).sum();
                    assert_eq!((reservation.len, got), (len, len.next_multiple_of(PAGE)));
                    let aligned = reservation.extents.iter().all(|extent| extent.offset % (2 * MIB) == 0);
                    assert!(aligned || len < 2 * MIB);
                    model.reservations.push(reservation);
                }
                Err(StoreError::RegionFull { largest_free, .. }) => {
                    assert!(
                        largest_free < len.next_multiple_of(2 * MIB) + 2 * MIB,
                        "{largest_free} for {len}"
                    );
                }
                Err(StoreError::CatalogFull { .. }) => {}
                Err(error) => panic!("{error}"),
            },
            Op::Commit { which, count, frame, shorter, append } => {
                let Some(which) = which.checked_rem(model.reservations.len()) else { return };
                let end = (which + count).min(model.reservations.len());
                let written = &model.reservations[which..end];
                written.iter().for_each(|reservation| fill(store, reservation));
                let segments = written.iter().map(|reservation| {
                    new_segment(reservation.id, reservation.len.saturating_sub(shorter).max(1))
                });
                model.ticks += 1;
                let new = NewVersion {
                    committed_at_micros: model.ticks,
                    segments: segments.collect(),
                    ..new_version(0, FRAMES[frame], 1)
                };
                let result = if append { store.append(new) } else { store.commit(new) };
                let version = match result {
                    Ok(version) => version,
                    Err(StoreError::CatalogFull { .. }) => return,
                    Err(error) => panic!("{error}"),
                };
                let new: Vec<u64> = model.reservations.drain(which..end).map(|each| each.id).collect();
                let versions = model.frames.entry(frame).or_default();
                let mut ids = match versions.last_key_value() {
                    Some((_, latest)) if append => latest.clone(),
                    _ => Vec::new(),
                };
                ids.extend(&new);
                let last = model.last_numbers.entry(frame).or_default();
                *last += 1;
                assert_eq!(version.number, *last);
                versions.insert(version.number, ids);
                let segments = &version.segments[version.segments.len() - new.len()..];
                assert!(segments.iter().map(|segment| segment.id).eq(new));
                model.segments.extend(segments.iter().map(|segment| (segment.id, segment.extents.clone())));
                model.times.insert((frame, version.number), model.ticks);
                model.trim(frame);
            }
            Op::Abort { which } => {
                let Some(which) = which.checked_rem(model.reservations.len()) else { return };
                store.abort(model.reservations.remove(which).id).unwrap();
            }
            Op::Acquire { frame, version } => {
                let versions = model.frames.get(&frame);
                match (store.acquire(&name(FRAMES[frame]), version), versions) {
                    (Ok(found), Some(versions)) => {
                        let expected = version.or(versions.last_key_value().map(|(&number, _)| number));
                        assert_eq!(Some(found.number), expected);
                        model.holds.push(found);
                    }
                    (Err(StoreError::VersionGone { version, .. }), Some(versions)) => {
                        assert!(!versions.contains_key(&version));
                    }
                    (Err(StoreError::FrameNotFound { .. }), None) => {}
                    (other, _) => panic!("{other:?}"),
                }
            }
            Op::Release { which } => {
                let Some(which) = which.checked_rem(model.holds.len()) else { return };
                store.release(&model.holds.swap_remove(which)).unwrap();
                model.reclaim();
            }
            Op::Drop { frame, version } => {
                let before = store.usage();
                let expected = match (model.frames.get_mut(&frame), version) {
                    (None, _) => None,
                    (Some(versions), Some(number)) => versions.remove(&number).map(|_| 1),
                    (Some(versions), None) => Some(std::mem::take(versions).len() as u64),
                };
                model.forget();
                match store.drop_frame(&name(FRAMES[frame]), version) {
                    Ok(dropped) => {
                        assert_eq!(Some(dropped.versions), expected);
                        let after = store.usage();
                        assert_eq!(dropped.bytes_freed, after.free - before.free);
                        assert_eq!(dropped.bytes_held, after.held - before.held);
                    }
                    Err(StoreError::FrameNotFound { .. } | StoreError::VersionGone { .. }) => {
                        assert_eq!(expected, None);
                    }
                    Err(error) => panic!("{error}"),
                }
            }
            Op::DropPrefix { prefix } => {
                let frames = model.frames.len();
                let expected = model.drop_many(PREFIXES[prefix], i64::MAX, true);
                match store.drop_prefix(PREFIXES[prefix]) {
                    Ok(dropped) => {
                        assert_eq!(dropped.versions, expected);
                        assert_eq!(dropped.frames, (frames - model.frames.len()) as u64);
                    }
                    Err(StoreError::NoFrames { .. }) => assert_eq!(expected, 0),
                    Err(error) => panic!("{error}"),
                }
            }
            Op::Expire { prefix, until, latest } => {
                let expected = model.drop_many(PREFIXES[prefix], until, latest);
                assert_eq!(store.expire(PREFIXES[prefix], until, latest).unwrap().versions, expected);
            }
            Op::Retain { frame, last } => match store.retain(&name(FRAMES[frame]), NonZeroU64::new(last)) {
                Ok(dropped) => {
                    assert!(model.frames.contains_key(&frame));
                    model.retentions.remove(&frame);
                    model.retentions.extend((last > 0).then_some((frame, last)));
                    assert_eq!(dropped.versions, model.trim(frame));
                }
                Err(StoreError::FrameNotFound { .. }) => assert!(!model.frames.contains_key(&frame)),
                Err(StoreError::CatalogFull { .. }) => {}
                Err(error) => panic!("{error}"),
            },
            Op::Compact => store.compact().unwrap(),
            Op::Lift => {
                let before = store.usage().held;
                let freed = store.lift_quarantine().unwrap();
                model.quarantine.clear();
                model.reclaim();
                assert_eq!(store.usage().held, before - freed);
            }
            Op::Reopen => {
                assert!(check(&**media).unwrap().is_clean());
                *store = Store::open(media.clone(), HOST).unwrap();
                model.holds.clear();
                model.quarantine = model.segments.keys().copied().collect();
                model.quarantine.extend(model.reservations.iter().map(|reservation| reservation.id));
            }
        }
    }
}

/// Ordinarily a few thousand operations; `PROPTEST_CASES` says how many lives of 75 of them on average.
#[test]
fn the_store_does_what_the_model_does() {
    let mut config = ProptestConfig { source_file: Some(file!()), ..ProptestConfig::default() };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = 96;
    }
    let operations = Cell::new(0);
    let lives = TestRunner::new(config).run(&prop::collection::vec(op(), 1..150), |ops| {
        operations.set(operations.get() + ops.len());
        let mut run = Run::new();
        for op in ops {
            run.step(op);
            run.model.compare(&run.store);
        }
        run.step(Op::Reopen);
        run.model.compare(&run.store);
        Ok(())
    });
    if let Err(fault) = lives {
        panic!("{fault}");
    }
    counted(&format!("the store: {} operations like the model's", operations.get()));
}
