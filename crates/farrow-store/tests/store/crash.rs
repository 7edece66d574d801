//! A life of a region, and a crash at every moment of it.

use std::num::NonZeroU64;
use std::sync::Arc;

use farrow_region::{CrashMedia, MemMedia};
use farrow_store::{NewVersion, Store, check};

use crate::counted::counted;
use crate::region::{
    HOST, MIB, OWNER, View, fill, formatted, formatted_with_reserve, name, new_segment, new_version, open,
    put, view,
};

/// One thing that an agent asks of the store, as a single change: before it or after it, nothing between.
pub(crate) type Step = (&'static str, Box<dyn Fn(&Store)>);

/// What was seen after each step, and how many persists there had been.
struct Life {
    media: Arc<CrashMedia>,
    steps: Vec<(&'static str, usize, View)>,
}

fn live(pool: u64, steps: Vec<Step>) -> Life {
    live_on(formatted(pool).image(), steps)
}

fn live_on(image: Vec<u8>, steps: Vec<Step>) -> Life {
    let media = Arc::new(CrashMedia::from(image));
    let store = Store::open(media.clone(), HOST).unwrap();
    let mut seen = vec![("open", media.persists(), view(&store))];
    for (what, step) in steps {
        step(&store);
        let now = view(&store);
        now.check(&store);
        seen.push((what, media.persists(), now));
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
            let (_, done, before) = &self.steps[step];
            let (what, _, after) = self.steps.get(step + 1).unwrap_or(&self.steps[step]);
            let found = recover(self.media.image_after(k));
            assert!(found == *before || found == *after, "{what}: after persist {k} neither old nor new");
            if *done == k {
                assert!(found == *before, "{what}: what had returned by persist {k} is gone");
            }
            images += 1;
            for seed in 0..torn {
                let found = recover(self.media.torn_image_after(k, seed));
                assert!(found == *before || found == *after, "{what}: torn after persist {k}, seed {seed}");
                images += 1;
            }
        }
        images
    }
}

/// Opens what a crash left, checks it, and goes on working with it. Returns what was there.
fn recover(image: Vec<u8>) -> View {
    let media = Arc::new(MemMedia::from(image));
    let report = check(&*media).unwrap();
    assert!(report.is_clean(), "{:?}", report.problems);
    let store = Store::open(media.clone(), HOST).unwrap();
    let found = view(&store);
    found.check(&store);
    // Nothing is lost: once nobody holds anything, all that is not owned is free.
    store.lift_quarantine().unwrap();
    let usage = store.usage();
    let owned: u64 = found.owned().iter().map(|extent| extent.len).sum();
    assert_eq!((usage.held, usage.free), (0, usage.pool_bytes - owned));
    // And it goes on.
    if usage.free > 0 {
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
        let reservation = store.reservations().remove(0);
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
        let reservations = store.reservations();
        assert!(reservations.len() > 1);
        reservations.iter().for_each(|reservation| fill(store, reservation));
        let segments = reservations.iter().map(|each| new_segment(each.id, each.len)).collect();
        let new = NewVersion { segments, ..new_version(0, &frame, 1) };
        if append { store.append(new) } else { store.commit(new) }.unwrap();
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
        step("abort", |store| store.abort(store.reservations()[0].id).unwrap()),
        step("drop one of several", |store| {
            assert_eq!(store.drop_frame(&name("a"), Some(1)).unwrap().versions, 1);
        }),
        step("reserve", reserve(8192)),
        step("commit into what was freed", commit_oldest("b", 8192, false)),
        step("compact", |store| store.compact().unwrap()),
        step("acquire", |store| drop(store.acquire(&name("b"), None).unwrap())),
        step("drop what is held", |store| {
            let version = store.get(&name("b"), None).unwrap();
            assert_eq!(store.drop_frame(&name("b"), None).unwrap().bytes_held, 8192);
            store.compact().unwrap();
            store.release(&version).unwrap();
        }),
        step("reserve", reserve(1)),
        step("commit to a frame of the same name", commit_oldest("b", 1, false)),
        step("drop all", |store| assert_eq!(store.drop_frame(&name("a"), None).unwrap().versions, 2)),
        step("lift the quarantine", |store| assert_eq!(store.lift_quarantine().unwrap(), 0)),
        step("reserve all that is free", |store| {
            let free = store.usage().largest_free / (2 * MIB) * (2 * MIB);
            store.reserve(OWNER, free).unwrap();
        }),
        step("compact with a reservation", |store| store.compact().unwrap()),
        step("abort", |store| store.abort(store.reservations()[0].id).unwrap()),
        step("reserve", reserve(1)),
        step("commit", commit_oldest("b", 1, false)),
        step("reserve", reserve(5000)),
        step("commit", commit_oldest("c/1", 5000, false)),
        step("retain the last one", |store| {
            assert_eq!(store.retain(&name("b"), NonZeroU64::new(1)).unwrap().versions, 1);
        }),
        step("reserve", reserve(1)),
        step("commit what makes too many", commit_oldest("b", 1, false)),
        step("compact with a retention", |store| store.compact().unwrap()),
        step("reserve", reserve(1)),
        step("append what makes too many", commit_oldest("b", 1, true)),
        step("keep all again", |store| {
            assert_eq!(store.retain(&name("b"), None).unwrap().versions, 0);
        }),
        step("reserve", reserve(1)),
        step("commit", commit_oldest("b", 1, false)),
        step("reserve", reserve(1)),
        step("commit", commit_oldest("c/2", 1, false)),
        step("expire", |store| {
            assert_eq!(store.expire("", i64::MAX, false).unwrap().versions, 1);
        }),
        step("drop a prefix", |store| {
            assert_eq!(store.drop_prefix("c/").unwrap().frames, 2);
        }),
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
        step("drop everything", |store| assert_eq!(store.drop_prefix("").unwrap().frames, 2)),
    ]
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
        assert_eq!(recover(media.image_after(k)), expected);
        epochs.push(open(MemMedia::from(media.image_after(k))).epoch());
    }
    // The epoch counts starts that became visible; this is the start after the crash.
    assert_eq!(epochs, [2, 2, 3]);
}
