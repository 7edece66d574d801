//! A life of a region, and a crash at every moment of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use famfs_format::FormatError;
use farrow_region::{CrashMedia, MemMedia};
use farrow_store::{
    AgeCursor, CommitOptions, FrameName, NewVersion, Owner, Prefix, Problem, Quota, Store, check,
};

use crate::counted::counted;
use crate::region::{
    HOST, MIB, OWNER, View, fill, formatted, formatted_with_reserve, keeping, name, new_segment, new_version,
    of_frame, of_prefix, open, put, retain, view,
};

/// One thing that an agent asks of the store, as a single change: before it or after it, nothing between.
pub(crate) type Step = (&'static str, Box<dyn Fn(&Store)>);

/// The highest number that each name has given.
type Given = BTreeMap<FrameName, u64>;

/// For each step the view after it, how many persists there had been, and which numbers had been given by then.
struct Life {
    media: Arc<CrashMedia>,
    steps: Vec<(&'static str, usize, View, Given)>,
}

fn live(pool: u64, steps: Vec<Step>) -> Life {
    live_on(formatted(pool).image(), steps)
}

fn live_on(image: Vec<u8>, steps: Vec<Step>) -> Life {
    let media = Arc::new(CrashMedia::from(image));
    let store = Store::open(media.clone(), HOST).unwrap();
    let mut given = Given::new();
    let mut seen = vec![("open", media.persists(), view(&store), given.clone())];
    for (what, step) in steps {
        step(&store);
        let now = view(&store);
        now.check(&store);
        for (name, number) in now.versions.keys() {
            let highest = given.entry(name.clone()).or_default();
            *highest = (*highest).max(*number);
        }
        seen.push((what, media.persists(), now, given.clone()));
    }
    Life { media, steps: seen }
}

impl Life {
    /// Crashes after each persist, and opens what is left. Returns the number of images opened.
    fn crash_everywhere(&self, torn: u64) -> usize {
        let mut images = 0;
        let mut step = 0;
        for k in 0..=self.media.persists() {
            // Steps 0..=step had returned when the k-th persist had.
            while self.steps.get(step + 1).is_some_and(|next| next.1 <= k) {
                step += 1;
            }
            let (_, done, before, given) = &self.steps[step];
            let (what, _, after, _) = self.steps.get(step + 1).unwrap_or(&self.steps[step]);
            let found = recover(self.media.image_after(k), given);
            assert!(found == *before || found == *after, "{what}: after persist {k} neither old nor new");
            if *done == k {
                assert!(found == *before, "{what}: what had returned by persist {k} is gone");
            }
            images += 1;
            for seed in 0..torn {
                let found = recover(self.media.torn_image_after(k, seed), given);
                assert!(found == *before || found == *after, "{what}: torn after persist {k}, seed {seed}");
                images += 1;
            }
        }
        images
    }
}

/// Opens what a crash left, checks it, and goes on working with it: with numbers that were not given before. Returns what
/// was there.
fn recover(image: Vec<u8>, given: &Given) -> View {
    let media = Arc::new(MemMedia::from(image));
    // Two counters of the famfs log may be one apart: the master mends them.
    let problems = check(&*media).unwrap().problems;
    let is_mended = |problem: &Problem| {
        matches!(problem, Problem::LogEntry { fault: FormatError::Counters { .. }, unread: 0, .. })
    };
    assert!(problems.iter().all(is_mended), "{problems:?}");
    let store = Store::open(media.clone(), HOST).unwrap();
    assert!(problems.is_empty() || check(&*media).unwrap().is_clean());
    let found = view(&store);
    found.check(&store);
    // Nothing is lost: once nobody holds anything, all that is not owned is free.
    store.lift_quarantine().unwrap();
    let usage = store.view().usage();
    let owned: u64 = found.owned().iter().map(|extent| extent.len).sum();
    assert_eq!((usage.held, usage.free), (0, usage.pool_bytes - owned));
    // And it goes on.
    let is_gone = |name: &FrameName| !found.versions.keys().any(|(there, _)| there == name);
    for (name, number) in given.iter().filter(|(name, _)| is_gone(name)) {
        if store.view().usage().free > 0 {
            assert!(put(&store, name.as_str(), 1).number > *number, "{name}@{number}");
        }
    }
    if store.view().usage().free > 0 {
        put(&store, "after/the/crash", 1);
    }
    let expected = view(&store);
    drop(store);
    let store = Store::open(media, HOST).unwrap();
    assert_eq!(view(&store), expected);
    found
}

fn step(what: &'static str, step: impl Fn(&Store) + 'static) -> Step {
    (what, Box::new(step))
}

fn commit_oldest(frame: &str, len: u64, append: bool) -> impl Fn(&Store) + use<> {
    let frame = frame.to_owned();
    move |store| {
        let reservation = store.view().reservations().remove(0);
        fill(store, &reservation);
        let new = new_version(reservation.id, &frame, len);
        let version = if append { store.append(new) } else { store.commit(new) };
        version.unwrap();
    }
}

/// All reservations in one version.
fn commit_all(frame: &str, append: bool) -> impl Fn(&Store) + use<> {
    let frame = frame.to_owned();
    move |store| {
        let reservations = store.view().reservations();
        assert!(reservations.len() > 1);
        reservations.iter().for_each(|reservation| fill(store, reservation));
        let segments = reservations.iter().map(|each| new_segment(each.id, each.len)).collect();
        let new = NewVersion { segments, ..new_version(0, &frame, 1) };
        if append { store.append(new) } else { store.commit(new) }.unwrap();
    }
}

fn commit_keeping(frame: &str, keep: Option<u64>) -> impl Fn(&Store) + use<> {
    let frame = frame.to_owned();
    move |store| {
        let reservation = store.view().reservations().remove(0);
        fill(store, &reservation);
        let new = new_version(reservation.id, &frame, reservation.len);
        store.commit_as(new, CommitOptions { keep, ..CommitOptions::default() }).unwrap();
    }
}

fn reserve(len: u64) -> impl Fn(&Store) {
    move |store| drop(store.reserve(OWNER, len).unwrap())
}

/// Every operation, in an order in which each meets bytes that were used before.
pub(crate) fn every_operation() -> Vec<Step> {
    vec![
        step("reserve", reserve(10_000)),
        step("commit shorter than reserved", commit_oldest("a", 5000, false)),
        step("reserve large", reserve(2 * MIB + 1)),
        step("commit large", commit_oldest("a", 2 * MIB + 1, false)),
        step("reserve", reserve(100)),
        step("append", commit_oldest("a", 100, true)),
        step("reserve", reserve(3000)),
        step("abort", |store| store.abort(store.view().reservations()[0].id).unwrap()),
        step("drop one of several", |store| {
            assert_eq!(store.drop_frame(&name("a"), Some(1)).unwrap().versions, 1);
        }),
        step("reserve", reserve(8192)),
        step("commit into what was freed", commit_oldest("b", 8192, false)),
        step("compact", |store| store.compact().unwrap()),
        step("acquire", |store| drop(store.view().acquire(&name("b"), None).unwrap())),
        step("drop what is held", |store| {
            let version = store.view().get(&name("b"), None).unwrap();
            assert_eq!(store.drop_frame(&name("b"), None).unwrap().bytes_held, 8192);
            store.compact().unwrap();
            store.release(&version).unwrap();
        }),
        step("reserve", reserve(1)),
        step("commit to a frame of the same name", |store| {
            commit_oldest("b", 1, false)(store);
            assert_eq!(store.view().get(&name("b"), None).unwrap().number, 2);
        }),
        step("drop all", |store| assert_eq!(store.drop_frame(&name("a"), None).unwrap().versions, 2)),
        step("lift the quarantine", |store| assert_eq!(store.lift_quarantine().unwrap(), 0)),
        step("reserve all that is free", |store| {
            let free = store.view().usage().largest_free / (2 * MIB) * (2 * MIB);
            store.reserve(OWNER, free).unwrap();
        }),
        step("compact with a reservation", |store| store.compact().unwrap()),
        step("abort", |store| store.abort(store.view().reservations()[0].id).unwrap()),
        step("reserve", reserve(1)),
        step("commit", commit_oldest("b", 1, false)),
        step("reserve", reserve(5000)),
        step("commit", commit_oldest("c/1", 5000, false)),
        step("retain the last one", |store| {
            assert_eq!(retain(store, "b", 1).unwrap().versions, 1);
        }),
        step("reserve", reserve(1)),
        step("commit what makes too many", commit_oldest("b", 1, false)),
        step("compact with a retention", |store| store.compact().unwrap()),
        step("reserve", reserve(1)),
        step("append what makes too many", commit_oldest("b", 1, true)),
        step("keep all again", |store| {
            assert_eq!(store.retain(&of_frame("b"), None, OWNER.uid).unwrap().versions, 0);
        }),
        step("reserve", reserve(1)),
        step("commit", commit_oldest("b", 1, false)),
        step("reserve", reserve(1)),
        step("commit", commit_oldest("c/2", 1, false)),
        step("expire", |store| {
            assert_eq!(store.expire(&Prefix::all(), i64::MAX, false).unwrap().versions, 1);
        }),
        step("drop a prefix", |store| {
            assert_eq!(store.drop_prefix(&Prefix::parse("c").unwrap()).unwrap().frames, 2);
        }),
        step("reserve", reserve(1)),
        step("commit a first version and what its frame keeps", commit_keeping("kept", Some(2))),
        step("reserve", reserve(1)),
        step("commit", commit_oldest("kept", 1, false)),
        step("reserve", reserve(1)),
        step("commit and keep fewer", commit_keeping("kept", Some(1))),
        step("reserve", reserve(1)),
        step("commit and keep all", commit_keeping("kept", Some(0))),
        step("reserve", reserve(5000)),
        step("reserve", reserve(2 * MIB - 1)),
        step("reserve", reserve(100)),
        step("commit three segments", commit_all("parts", false)),
        step("reserve", reserve(1)),
        step("reserve", reserve(4097)),
        step("append two segments", commit_all("parts", true)),
        step("compact with several segments", |store| store.compact().unwrap()),
        step("drop one of them", |store| {
            assert_eq!(store.drop_frame(&name("parts"), Some(1)).unwrap().versions, 1);
        }),
        step("drop everything", |store| assert_eq!(store.drop_prefix(&Prefix::all()).unwrap().frames, 3)),
        step("compact without a version", |store| store.compact().unwrap()),
        step("retain what is not there yet", |store| {
            assert_eq!(retain(store, "r/late", 1).unwrap().versions, 0);
        }),
        step("retain a prefix", |store| {
            store.retain(&of_prefix("r/"), Some(keeping(2, 3600)), OWNER.uid).unwrap();
        }),
        step("retain the whole region", |store| {
            store.retain(&of_prefix(""), Some(keeping(3, 0)), OWNER.uid).unwrap();
        }),
        step("compact with retentions alone", |store| store.compact().unwrap()),
        step("reserve", reserve(1)),
        step("commit what was waited for", commit_oldest("r/late", 1, false)),
        step("reserve", reserve(1)),
        step("commit what makes too many", commit_oldest("r/late", 1, false)),
        step("reserve", reserve(1)),
        step("commit", commit_oldest("r/a", 1, false)),
        step("reserve", reserve(5000)),
        step("append", commit_oldest("r/a", 5000, true)),
        step("reserve", reserve(1)),
        step("commit what a prefix makes too many", commit_oldest("r/a", 1, false)),
        step("drop what is too old", |store| {
            let now = new_version(0, "r/a", 1).committed_at_micros + 3600 * 1_000_000;
            assert_eq!(store.drop_aged(now - 1, &mut AgeCursor::default()).unwrap().versions, 0);
            assert_eq!(store.drop_aged(now, &mut AgeCursor::default()).unwrap().versions, 1);
        }),
        step("reserve", reserve(1)),
        step("commit", commit_oldest("r/a", 1, false)),
        step("keep fewer below the prefix", |store| {
            assert_eq!(store.retain(&of_prefix("r/"), Some(keeping(1, 0)), OWNER.uid).unwrap().versions, 1);
        }),
        step("take that back", |store| {
            store.retain(&of_prefix("r/"), None, OWNER.uid).unwrap();
        }),
        step("compact with a retention of its own", |store| store.compact().unwrap()),
        step("drop a frame with its retention", |store| {
            assert_eq!(store.drop_frame(&name("r/late"), None).unwrap().versions, 1);
        }),
        step("reserve", reserve(1)),
        step("commit what was dropped", |store| {
            commit_oldest("parts", 1, false)(store);
            assert_eq!(store.view().get(&name("parts"), None).unwrap().number, 3);
        }),
    ]
}

/// Names of which the small catalog cannot remember two: each drop forgets another, and with it all that gave as few
/// versions.
pub(crate) fn forgetting() -> Vec<Step> {
    let mut steps = Vec::new();
    for round in 0..12_u64 {
        let frame = format!("{}{}", "n".repeat(200), round % 3);
        for _ in 0..1 + round % 2 {
            steps.push(step("reserve", reserve(1)));
            steps.push(step("commit", commit_oldest(&frame, 1, false)));
        }
        steps.push(step("forget", move |store| {
            assert!(store.drop_frame(&name(&frame), None).unwrap().versions > 0);
        }));
        if round % 4 == 3 {
            steps.push(step("compact", |store| store.compact().unwrap()));
        }
    }
    steps
}

#[test]
fn a_number_that_was_given_is_not_given_again_after_a_crash() {
    let life = live(2 * MIB, forgetting());
    let images = life.crash_everywhere(0);
    counted(&format!("the store: {images} crash points of forgetting"));
}

#[test]
fn every_operation_is_old_or_new() {
    let life = live(6 * MIB, every_operation());
    let images = life.crash_everywhere(4);
    let (points, operations) = (life.media.persists() + 1, life.steps.len());
    counted(&format!("the store: {points} crash points, {images} images, of {operations} operations"));
    assert_eq!(life.media.unpersisted_lines(), 0, "nothing is left to chance");
    assert!(life.media.persists() > 40);
}

/// So many puts and drops that the small catalog is compacted on its own, several times.
#[test]
fn compaction_on_the_way_is_old_or_new() {
    let long = "n".repeat(200);
    let mut steps = Vec::new();
    for round in 0..50_u64 {
        let frame = format!("{long}{}", round % 3);
        let len = round * 700 + 1;
        steps.push(step("reserve", reserve(len)));
        steps.push(step("commit", commit_oldest(&frame, len, round % 5 == 4)));
        if round % 4 == 3 {
            steps.push(step("drop", move |store| {
                assert!(store.drop_frame(&name(&frame), None).unwrap().versions > 0);
            }));
        }
    }
    let life = live(2 * MIB, steps);
    let compactions = check(&*life.media).unwrap().catalog.unwrap().compactions;
    assert!(compactions >= 2, "{compactions}");
    let images = life.crash_everywhere(1);
    let points = life.media.persists() + 1;
    counted(&format!(
        "the store: {points} crash points, {images} images, {compactions} compactions on the way"
    ));
}

/// Pool files that are added to a region of 4 MiB with 6 MiB outside it.
pub(crate) fn growing() -> Vec<Step> {
    vec![
        step("reserve all", reserve(4 * MIB)),
        step("commit", commit_oldest("full", 4 * MIB, false)),
        step("add a pool file", |store| assert_eq!(store.add_pool(Some(1)).unwrap().index, 1)),
        step("reserve in it", reserve(2 * MIB - 5000)),
        step("commit", commit_oldest("a", 2 * MIB - 5000, false)),
        step("add what is left", |store| assert_eq!(store.add_pool(None).unwrap().len, 4 * MIB)),
        step("drop", |store| assert_eq!(store.drop_frame(&name("full"), None).unwrap().versions, 1)),
        step("reserve what was dropped", reserve(4 * MIB)),
        step("compact", |store| store.compact().unwrap()),
        step("commit", commit_oldest("b", 4 * MIB, false)),
    ]
}

#[test]
fn a_pool_file_is_there_or_not() {
    let life = live_on(formatted_with_reserve(4 * MIB, 6 * MIB).image(), growing());
    let images = life.crash_everywhere(2);
    counted(&format!("the store: {} crash points, {images} images, of growing", life.media.persists() + 1));
    assert_eq!(life.media.unpersisted_lines(), 0, "nothing is left to chance");
    assert_eq!(life.steps.last().unwrap().2.pools, [4 * MIB, 2 * MIB, 4 * MIB]);
}

/// What nobody was told of yet may be lost on the way.
#[test]
fn a_reservation_that_is_handed_over_is_the_old_one_the_new_one_or_none() {
    let image = {
        let memory = Arc::new(formatted(2 * MIB));
        let store = Store::open(memory.clone(), HOST).unwrap();
        put(&store, "a", 5000);
        store.reserve(OWNER, 5000).unwrap();
        memory.image()
    };
    let media = Arc::new(CrashMedia::from(image));
    let store = Store::open(media.clone(), HOST).unwrap();
    let (old, from) = (store.view().reservations(), media.persists());
    let next = Owner { pid: OWNER.pid + 1, ..OWNER };
    let new = vec![store.hand_over(old[0].id, next, &Quota::default()).unwrap()];
    assert_eq!((new[0].owner, new[0].len, &new[0].extents), (next, old[0].len, &old[0].extents));
    assert!(new[0].id > old[0].id && new[0].generation == new[0].id);
    assert_eq!(store.view().reservations(), new);
    let mut found: Vec<_> = (from..=media.persists())
        .map(|k| recover(media.image_after(k), &Given::new()).reservations)
        .collect();
    found.dedup();
    assert_eq!(found, [old, Vec::new(), new]);
}

#[test]
fn a_crash_of_the_start_itself() {
    let memory = Arc::new(formatted(2 * MIB));
    let store = Store::open(memory.clone(), HOST).unwrap();
    put(&store, "a", 5000);
    store.reserve(OWNER, 1).unwrap();
    let expected = view(&store);
    drop(store);
    let media = Arc::new(CrashMedia::from(memory.image()));
    drop(Store::open(media.clone(), HOST).unwrap());
    let mut epochs = Vec::new();
    for k in 0..=media.persists() {
        assert_eq!(recover(media.image_after(k), &Given::new()), expected);
        epochs.push(open(MemMedia::from(media.image_after(k))).view().epoch());
    }
    // The epoch counts starts that became visible; this is the start after the crash.
    assert_eq!(epochs, [2, 2, 3]);
}
