//! Random calls, against a model that knows nothing of catalogs and extents.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use farrow_region::MemMedia;
use farrow_store::{
    AgeCursor, Charge, CommitOptions, Extent, NewVersion, Prefix, Reservation, RetentionTarget, Store,
    StoreError, Version, check,
};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::counted::counted;
use crate::region::{
    HOST, MIB, OWNER, PAGE, assert_disjoint, fill, formatted, keeping, name, new_segment, new_version,
    of_frame, of_prefix, view,
};

/// A user who publishes nothing.
const OTHER: u32 = OWNER.uid + 1;
const POOL: u64 = 8 * MIB;
const FRAMES: [&str; 5] = ["a", "b", "b/c", "bb/c", "ü"];
const PREFIXES: [&str; 5] = ["b", "b/", "b*", "ü", "none"];
/// A frame by its name, or a prefix behind a `<`.
const TARGETS: [&str; 9] = ["a", "b", "b/c", "ü", "<", "<b", "<b/", "<b/c", "<none/"];
/// Commits are as far apart, in microseconds: ages are whole seconds.
const TICK: i64 = 1_000_000;

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
        keep: Option<u64>,
        if_version: Option<u64>,
    },
    Abort {
        which: usize,
    },
    Acquire {
        user: Option<u32>,
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
        target: usize,
        /// Versions and ticks, 0 for all; `None`: what was set is taken back.
        retention: Option<(u64, u64)>,
    },
    Age {
        ticks: i64,
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
    let options = (prop::option::weighted(0.2, 0..4_u64), prop::option::weighted(0.3, 0..4_u64));
    let user = prop::sample::select(vec![None, Some(OWNER.uid), Some(OTHER)]);
    prop_oneof![
        6 => len.prop_map(|len| Op::Reserve { len }),
        6 => (any::<usize>(), 1..4_usize, frame(), shorter, any::<bool>(), options).prop_map(
            |(which, count, frame, shorter, append, (keep, if_version))| {
                Op::Commit { which, count, frame, shorter, append, keep, if_version }
            }
        ),
        1 => any::<usize>().prop_map(|which| Op::Abort { which }),
        3 => (user, frame(), version()).prop_map(|(user, frame, version)| Op::Acquire { user, frame, version }),
        2 => any::<usize>().prop_map(|which| Op::Release { which }),
        4 => (frame(), version()).prop_map(|(frame, version)| Op::Drop { frame, version }),
        1 => (0..PREFIXES.len()).prop_map(|prefix| Op::DropPrefix { prefix }),
        1 => (0..PREFIXES.len(), 0..100_i64, any::<bool>())
            .prop_map(|(prefix, until, latest)| Op::Expire { prefix, until, latest }),
        3 => (0..TARGETS.len(), prop::option::weighted(0.7, (0..4_u64, 0..9_u64)))
            .prop_map(|(target, retention)| Op::Retain { target, retention }),
        2 => (0..12_i64).prop_map(|ticks| Op::Age { ticks }),
        1 => Just(Op::Compact),
        1 => Just(Op::Lift),
        1 => Just(Op::Reopen),
    ]
}

/// The state that the store must be in, derived from the operations and nothing else.
#[derive(Default)]
struct Model {
    /// Versions by frame and number: ids of their segments.
    frames: BTreeMap<usize, BTreeMap<u64, Vec<u64>>>,
    /// The highest number that each name ever gave.
    last_numbers: BTreeMap<usize, u64>,
    /// The retentions that were set: by `TARGETS`, and by `FRAMES` for those that a commit sets.
    retentions: BTreeMap<&'static str, (u64, u64)>,
    /// The times of commits: each one a tick after the one before.
    times: BTreeMap<(usize, u64), i64>,
    ticks: i64,
    /// The places of segments, as long as their bytes must not be reused.
    segments: BTreeMap<u64, Vec<Extent>>,
    /// Segments that were given out before the last start, while that matters.
    quarantine: BTreeSet<u64>,
    reservations: Vec<Reservation>,
    holds: Vec<(Option<u32>, Arc<Version>)>,
}

impl Model {
    fn live(&self) -> BTreeSet<u64> {
        self.frames.values().flat_map(BTreeMap::values).flatten().copied().collect()
    }

    /// Forgets frames without versions.
    fn forget(&mut self) {
        for (&frame, _) in self.frames.iter().filter(|(_, versions)| versions.is_empty()) {
            self.retentions.remove(FRAMES[frame]);
        }
        self.frames.retain(|_, versions| !versions.is_empty());
        self.reclaim();
    }

    /// Versions and ticks that a frame keeps: its own, or those of the longest prefix of whole components.
    fn retention(&self, frame: usize) -> (u64, u64) {
        let name = FRAMES[frame];
        let covers = |prefix: &str| match prefix {
            "" => true,
            prefix if prefix.ends_with('/') => name.starts_with(prefix),
            prefix => name == prefix || name.starts_with(&format!("{prefix}/")),
        };
        let by_prefix = self.retentions.iter().filter_map(|(text, kept)| {
            let prefix = text.strip_prefix('<').filter(|prefix| covers(prefix))?;
            Some((prefix.len(), *kept))
        });
        let own = self.retentions.get(name).copied();
        own.or(by_prefix.max_by_key(|(len, _)| *len).map(|(_, kept)| kept)).unwrap_or_default()
    }

    /// Drops what the retentions of frames do not keep. Returns how many.
    fn trim(&mut self) -> u64 {
        let mut dropped = 0;
        for frame in 0..FRAMES.len() {
            let (last, _) = self.retention(frame);
            let Some(versions) = self.frames.get_mut(&frame).filter(|_| last > 0) else { continue };
            while versions.len() as u64 > last {
                versions.pop_first();
                dropped += 1;
            }
        }
        self.reclaim();
        dropped
    }

    /// Drops what is older than the retentions of frames let it be. Returns how many.
    fn age(&mut self, now: i64) -> u64 {
        let mut dropped = 0;
        for frame in 0..FRAMES.len() {
            let (_, ticks) = self.retention(frame);
            let Some(versions) = self.frames.get_mut(&frame).filter(|_| ticks > 0) else { continue };
            let latest = versions.last_key_value().map(|(&number, _)| number);
            let before = versions.len();
            versions.retain(|&number, _| {
                Some(number) == latest || self.times[&(frame, number)] + ticks as i64 * TICK > now
            });
            dropped += (before - versions.len()) as u64;
        }
        self.reclaim();
        dropped
    }

    /// The most that versions before the latest of a frame have and the latest has not, in bytes.
    fn most_old(&self) -> u64 {
        let old = self.frames.values().map(|versions| {
            let latest: BTreeSet<u64> = versions.last_key_value().unwrap().1.iter().copied().collect();
            let old = versions.values().flatten().copied().filter(|id| !latest.contains(id)).collect();
            self.bytes(&old)
        });
        old.max().unwrap_or(0)
    }

    /// Drops versions of frames with that prefix, committed until then. Returns how many.
    fn drop_many(&mut self, prefix: &str, until: i64, latest: bool) -> u64 {
        let mut dropped = 0;
        for (&frame, versions) in &mut self.frames {
            let meant = match prefix {
                "b" => ["b", "b/c"].contains(&FRAMES[frame]),
                "b/" => FRAMES[frame] == "b/c",
                "b*" => FRAMES[frame].starts_with('b'),
                prefix => FRAMES[frame] == prefix,
            };
            if !meant {
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
        kept.extend(self.holds.iter().flat_map(|(_, version)| ids(version)));
        kept.extend(&self.quarantine);
        self.segments.retain(|id, _| kept.contains(id));
    }

    fn bytes(&self, ids: &BTreeSet<u64>) -> u64 {
        ids.iter().filter_map(|id| self.segments.get(id)).flatten().map(|extent| extent.len).sum()
    }

    /// Of those segments, the ones that the user holds.
    fn held_by(&self, user: u32, of: &BTreeSet<u64>) -> BTreeSet<u64> {
        let holds = self.holds.iter().filter(|(by, _)| *by == Some(user));
        holds.flat_map(|(_, version)| ids(version)).filter(|id| of.contains(id)).collect()
    }

    fn compare(&self, store: &Store) {
        let seen = view(store);
        assert_eq!(seen.reservations, self.reservations);
        let found = seen.retentions.iter().map(|rule| {
            let text = match &rule.target {
                RetentionTarget::Frame(name) => name.to_string(),
                RetentionTarget::Prefix(prefix) => format!("<{prefix}"),
            };
            (text, rule.retention)
        });
        let expected =
            self.retentions.iter().map(|(text, &(last, ticks))| ((*text).to_owned(), keeping(last, ticks)));
        assert_eq!(found.collect::<BTreeMap<_, _>>(), expected.collect::<BTreeMap<_, _>>());
        for (index, frame) in FRAMES.into_iter().enumerate() {
            let (last, ticks) = self.retention(index);
            assert_eq!(store.view().retention(&name(frame)), keeping(last, ticks), "{frame}");
        }
        assert_eq!(store.view().most_old(|_| true).map_or(0, |old| old.bytes), self.most_old());
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
        let usage = store.view().usage();
        assert_eq!((usage.used, usage.held), (self.bytes(&live), self.bytes(&waiting)));
        let (own, others) = (self.held_by(OWNER.uid, &waiting), self.held_by(OTHER, &waiting));
        let dropped = waiting.iter().copied().filter(|id| own.contains(id) || !others.contains(id)).collect();
        let (published, reserved) = (usage.used, usage.reserved);
        let expected = Charge { published, reserved, dropped: self.bytes(&dropped), held: 0 };
        assert_eq!(store.view().charge(OWNER.uid), expected);
        assert_eq!(store.view().charge(OTHER), Charge { held: self.bytes(&others), ..Charge::default() });
        let reserved: Vec<_> = self.reservations.iter().flat_map(|r| r.extents.clone()).collect();
        assert_eq!(usage.reserved, reserved.iter().map(|extent| extent.len).sum::<u64>());
        let all: Vec<_> = self.segments.values().flatten().copied().chain(reserved).collect();
        assert_disjoint(&all, &[POOL]);
    }
}

/// The segments of a version.
fn ids(version: &Version) -> impl Iterator<Item = u64> {
    version.segments.iter().map(|segment| segment.id)
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
            Op::Commit { which, count, frame, shorter, append, keep, if_version } => {
                let Some(which) = which.checked_rem(model.reservations.len()) else { return };
                let end = (which + count).min(model.reservations.len());
                let written = &model.reservations[which..end];
                written.iter().for_each(|reservation| fill(store, reservation));
                let segments = written.iter().map(|reservation| {
                    new_segment(reservation.id, reservation.len.saturating_sub(shorter).max(1))
                });
                model.ticks += TICK;
                let new = NewVersion {
                    committed_at_micros: model.ticks,
                    segments: segments.collect(),
                    ..new_version(0, FRAMES[frame], 1)
                };
                let there =
                    model.frames.get(&frame).and_then(BTreeMap::last_key_value).map_or(0, |(&last, _)| last);
                let version = match store.commit_as(new, CommitOptions { append, keep, if_version }) {
                    Ok(version) => version,
                    Err(StoreError::CatalogFull { .. }) => return,
                    Err(StoreError::VersionConflict { expected, latest, .. }) => {
                        assert_eq!((Some(expected), latest), (if_version, there));
                        assert_ne!(expected, latest);
                        return;
                    }
                    Err(error) => panic!("{error}"),
                };
                assert!(if_version.is_none_or(|number| number == there));
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
                let segments = version.segments.iter().skip(version.segments.len() - new.len());
                assert!(segments.clone().map(|segment| segment.id).eq(new));
                model.segments.extend(segments.map(|segment| (segment.id, segment.extents.clone())));
                model.times.insert((frame, version.number), model.ticks);
                if let Some(keep) = keep {
                    model.retentions.entry(FRAMES[frame]).or_default().0 = keep;
                }
                model.trim();
            }
            Op::Abort { which } => {
                let Some(which) = which.checked_rem(model.reservations.len()) else { return };
                store.abort(model.reservations.remove(which).id).unwrap();
            }
            Op::Acquire { user, frame, version } => {
                let versions = model.frames.get(&frame);
                match (store.view().acquire_as(user, &name(FRAMES[frame]), version), versions) {
                    (Ok(found), Some(versions)) => {
                        let expected = version.or(versions.last_key_value().map(|(&number, _)| number));
                        assert_eq!(Some(found.number), expected);
                        model.holds.push((user, found));
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
                let (user, version) = model.holds.swap_remove(which);
                store.release_as(user, &version).unwrap();
                model.reclaim();
            }
            Op::Drop { frame, version } => {
                let before = store.view().usage();
                let expected = match (model.frames.get_mut(&frame), version) {
                    (None, _) => None,
                    (Some(versions), Some(number)) => versions.remove(&number).map(|_| 1),
                    (Some(versions), None) => Some(std::mem::take(versions).len() as u64),
                };
                model.forget();
                match store.drop_frame(&name(FRAMES[frame]), version) {
                    Ok(dropped) => {
                        assert_eq!(Some(dropped.versions), expected);
                        let after = store.view().usage();
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
                match store.drop_prefix(&Prefix::pattern(PREFIXES[prefix]).unwrap()) {
                    Ok(dropped) => {
                        assert_eq!(dropped.versions, expected);
                        assert_eq!(dropped.frames, (frames - model.frames.len()) as u64);
                    }
                    Err(StoreError::NoFrames { .. }) => assert_eq!(expected, 0),
                    Err(error) => panic!("{error}"),
                }
            }
            Op::Expire { prefix, until, latest } => {
                let until = until * TICK;
                let expected = model.drop_many(PREFIXES[prefix], until, latest);
                let prefix = Prefix::pattern(PREFIXES[prefix]).unwrap();
                assert_eq!(store.expire(&prefix, until, latest).unwrap().versions, expected);
            }
            Op::Retain { target, retention } => {
                let text = TARGETS[target];
                let target = text.strip_prefix('<').map_or_else(|| of_frame(text), of_prefix);
                let kept = retention.map(|(last, ticks)| keeping(last, ticks));
                match store.retain(&target, kept, OWNER.uid) {
                    Ok(dropped) => {
                        model.retentions.remove(text);
                        model.retentions.extend(retention.map(|retention| (text, retention)));
                        assert_eq!(dropped.versions, model.trim());
                    }
                    Err(StoreError::CatalogFull { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            Op::Age { ticks } => {
                let now = model.ticks + ticks * TICK;
                let expected = model.age(now);
                assert_eq!(store.drop_aged(now, &mut AgeCursor::default()).unwrap().versions, expected);
            }
            Op::Compact => store.compact().unwrap(),
            Op::Lift => {
                let before = store.view().usage().held;
                let freed = store.lift_quarantine().unwrap();
                model.quarantine.clear();
                model.reclaim();
                assert_eq!(store.view().usage().held, before - freed);
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
