//! Readers beside the master: whatever it does, and wherever it is interrupted, they see old or new.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use farrow_region::{IncoherentMemory, Media, MemMedia};
use farrow_store::{Follower, FrameName, RetentionRule, Store, StoreError, Version, check};

use crate::counted::counted;
use crate::crash::{Step, every_operation, forgetting, growing};
use crate::hooked::{Call, Hooked, gone};
use crate::region::{
    HOST, MIB, OWNER, View, append, formatted, formatted_with_reserve, keeping, name, new_version, of_prefix,
    put, view,
};

/// Versions, and what frames keep.
type Seen = (BTreeMap<(FrameName, u64), Version>, Vec<RetentionRule>);

fn told(store: &Store) -> Seen {
    let View { versions, retentions, .. } = view(store);
    (versions, retentions)
}

fn seen(follower: &Follower) -> Seen {
    let mut versions = BTreeMap::new();
    for latest in follower.view().list("", None, usize::MAX) {
        for version in follower.view().versions(&latest.name).unwrap() {
            versions.insert((version.name.clone(), version.number), (*version).clone());
        }
    }
    (
        versions,
        [
            follower.view().prefix_retentions(None, usize::MAX),
            follower.view().name_retentions("", None, usize::MAX),
        ]
        .concat(),
    )
}

/// The `round`-th thing that a master does. The small catalog is compacted on the way as well.
fn act(store: &Store, round: u64) {
    let frame = format!("{}{}", "n".repeat(150), round % 3);
    match round % 9 {
        0..=2 => drop(put(store, &frame, round * 300 + 1)),
        3 => drop(append(store, &frame, 10)),
        4 => drop(store.reserve(OWNER, 5000).unwrap()),
        5 => store.abort(store.view().reservations()[0].id).unwrap(),
        6 => drop(store.drop_frame(&frame_of(store, round / 9), None).unwrap()),
        7 => store.compact().unwrap(),
        _ => {
            let prefix = of_prefix(if round.is_multiple_of(2) { "" } else { "nothing/" });
            store.retain(&prefix, Some(keeping(1 + round % 3, round)), OWNER.uid).unwrap();
        }
    }
}

fn frame_of(store: &Store, number: u64) -> FrameName {
    let frames = store.view().list("", None, usize::MAX);
    frames.into_iter().cycle().nth(usize::try_from(number).unwrap()).unwrap().name.clone()
}

#[test]
fn it_sees_what_was_committed_and_where() {
    let media = Arc::new(formatted(4 * MIB));
    let store = Store::open(media.clone(), HOST).unwrap();
    store.lift_quarantine().unwrap();
    let mut follower = Follower::open(media.clone()).unwrap();
    assert_eq!(follower.view().region_uuid(), store.view().region_uuid());
    assert_eq!(*follower.view().pools(), *store.view().pools());
    let mut lagging = Follower::open(media).unwrap();
    for round in 0..120 {
        act(&store, round);
        assert!(follower.poll().unwrap() || round % 9 == 7, "round {round}");
        assert!(!follower.poll().unwrap());
        assert_eq!(
            (follower.view().seq(), follower.view().epoch()),
            (store.view().seq(), store.view().epoch())
        );
        assert_eq!(seen(&follower), told(&store), "round {round}");
        // Another one looks so seldom that the catalog is compacted several times between.
        if round % 37 == 36 {
            assert!(lagging.poll().unwrap());
            assert_eq!(seen(&lagging), told(&store), "round {round}");
        }
    }
    let latest = store.view().list("", None, 1).remove(0);
    assert_eq!(follower.view().get(&latest.name, None).unwrap(), latest);
    assert!(matches!(follower.view().get(&latest.name, Some(999)), Err(StoreError::VersionGone { .. })));
    assert!(matches!(follower.view().get(&name("x"), None), Err(StoreError::FrameNotFound { .. })));
}

#[test]
fn nothing_new_costs_one_line() {
    let memory = Arc::new(formatted(2 * MIB));
    let store = Store::open(memory.clone(), HOST).unwrap();
    put(&store, "a", 1);
    let calls = Arc::new(Mutex::new(Vec::new()));
    let log = calls.clone();
    let media = Hooked::new(memory, move |call| {
        log.lock().unwrap().push(call);
        Ok(())
    });
    let mut follower = Follower::open(Arc::new(media)).unwrap();
    calls.lock().unwrap().clear();
    assert!(!follower.poll().unwrap());
    assert_eq!(*calls.lock().unwrap(), [Call::Refresh, Call::Load]);
}

/// Caches that nobody keeps in step, and a look before each of the master's writes, stores and persists.
#[test]
fn at_each_step_of_the_master_another_host_sees_old_or_new() {
    let (mut looks, mut operations) = (0, 0);
    for seed in 0..4 {
        let acts = (0..80).map(|round| -> Step { ("act", Box::new(move |store: &Store| act(store, round))) });
        for (image, steps) in [
            (formatted(4 * MIB), acts.collect()),
            (formatted(6 * MIB), every_operation()),
            (formatted_with_reserve(4 * MIB, 6 * MIB), growing()),
            (formatted(4 * MIB), forgetting()),
        ] {
            operations += steps.len();
            looks += look_at_each_step(image.image(), seed, steps);
        }
    }
    counted(&format!("a follower: {looks} looks between the steps of {operations} operations"));
}

/// Returns how often there was something to look at.
fn look_at_each_step(image: Vec<u8>, seed: u64, steps: Vec<Step>) -> usize {
    let memory = IncoherentMemory::with_image(image, seed);
    let follower = Arc::new(Mutex::new(Follower::open(Arc::new(memory.host())).unwrap()));
    let views = Arc::new(Mutex::new(Vec::new()));
    let (watcher, noted) = (follower.clone(), views.clone());
    let watched = Hooked::new(Arc::new(memory.host()), move |call| {
        if call.changes() {
            let mut follower = watcher.lock().unwrap();
            follower.poll().unwrap();
            noted.lock().unwrap().push((follower.view().seq(), seen(&follower)));
        }
        Ok(())
    });
    let store = Store::open(Arc::new(watched), HOST).unwrap();
    let mut before = told(&store);
    let mut looks = 0;
    for (what, step) in std::iter::once::<Step>(("lift", Box::new(lift))).chain(steps) {
        step(&store);
        let after = told(&store);
        let views = std::mem::take(&mut *views.lock().unwrap());
        assert!(views.is_sorted_by_key(|(seq, _)| *seq), "seed {seed}, {what}: back in time");
        for (_, found) in &views {
            assert!(*found == before || *found == after, "seed {seed}, {what}: neither old nor new");
        }
        looks += views.len();
        let mut follower = follower.lock().unwrap();
        follower.poll().unwrap();
        assert_eq!(seen(&follower), after, "seed {seed}, {what}: late");
        before = after;
    }
    assert_eq!(memory.overwrites(), [], "seed {seed}");
    looks
}

fn lift(store: &Store) {
    store.lift_quarantine().unwrap();
}

/// The master goes away after each of its steps in turn, and its cache with it; another one takes over.
#[test]
fn a_follower_outlives_the_master() {
    let image = formatted(4 * MIB).image();
    let mut crashes = 0;
    for limit in 0.. {
        let memory = IncoherentMemory::with_image(image.clone(), limit as u64);
        let mut follower = Follower::open(Arc::new(memory.host())).unwrap();
        let host = memory.host();
        let left = AtomicUsize::new(limit);
        let mortal = Hooked::new(Arc::new(host.clone()), move |call| {
            let alive = !call.changes()
                || left.try_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
            if alive { Ok(()) } else { Err(gone()) }
        });
        let survived = live_as_far_as_it_goes(Arc::new(mortal), &mut follower);
        host.reset();
        let store = Store::open(Arc::new(memory.host()), HOST).unwrap();
        follower.poll().unwrap();
        assert_eq!(seen(&follower), told(&store), "after {limit} steps");
        store.lift_quarantine().unwrap();
        put(&store, "after/the/crash", 1);
        assert!(follower.poll().unwrap());
        assert_eq!(seen(&follower), told(&store), "after {limit} steps");
        if survived {
            break;
        }
        crashes += 1;
    }
    assert!(crashes > 50, "{crashes}");
    counted(&format!("a follower: {crashes} masters lost, each at another step"));
}

/// Commits, retains, compacts and drops until a call fails, while the follower polls. True if none did.
fn live_as_far_as_it_goes(media: Arc<dyn Media>, follower: &mut Follower) -> bool {
    let Ok(store) = Store::open(media, HOST) else { return false };
    for round in 0..5 {
        let Ok(reservation) = store.reserve(OWNER, 100 + round) else { return false };
        let written = store.view().media_ranges(&reservation.extents).unwrap();
        let bytes = vec![crate::region::pattern(reservation.id); usize::try_from(reservation.len).unwrap()];
        if store.view().media().write_at(written[0].0, &bytes).is_err() {
            return false;
        }
        let new = new_version(reservation.id, "a", reservation.len);
        if store.commit(new).is_err() {
            return false;
        }
        if round == 1 && store.retain(&of_prefix("a"), Some(keeping(9, 0)), OWNER.uid).is_err() {
            return false;
        }
        if round == 2 && (store.compact().is_err() || store.drop_frame(&name("a"), Some(1)).is_err()) {
            return false;
        }
        if round % 2 == 0 {
            follower.poll().unwrap();
        }
    }
    true
}

/// While a follower reads, before each of its reads in turn, the master compacts the catalog twice, the second time
/// as far as each of its steps: the half that is being read is written over, in part or whole.
#[test]
fn what_is_written_over_while_it_is_read_is_not_believed() {
    let mut races = 0;
    for (steps, opening) in (0..6).flat_map(|steps| [(steps, false), (steps, true)]) {
        races += (0..).take_while(|at| race(steps, *at, opening)).count();
    }
    assert!(races > 100, "{races}");
    counted(&format!("a follower: {races} races against two compactions"));
}

/// True if the follower reads so often that there is a read `at`.
fn race(steps: usize, at: usize, opening: bool) -> bool {
    let memory = Arc::new(formatted(4 * MIB));
    let left = Arc::new(Mutex::new(None::<usize>));
    let allowed = left.clone();
    let mortal = Hooked::new(memory.clone(), move |call| {
        let mut left = allowed.lock().unwrap();
        match &mut *left {
            Some(0) if call.changes() => return Err(gone()),
            Some(left) if call.changes() => *left -= 1,
            _ => {}
        }
        Ok(())
    });
    let store = Arc::new(Store::open(Arc::new(mortal), HOST).unwrap());
    for round in 0..4 {
        put(&store, &format!("{}{round}", "n".repeat(200)), 1);
    }
    const IDLE: usize = usize::MAX / 2;
    let reads = Arc::new(AtomicUsize::new(IDLE));
    let (count, master) = (reads.clone(), store.clone());
    let media = Arc::new(Hooked::new(memory.clone(), move |_| {
        if count.fetch_add(1, Ordering::Relaxed) == at {
            // What was there first is gone, so that it shows where stale bytes are believed.
            master.drop_frame(&frame_of(&master, 0), None).unwrap();
            master.compact().unwrap();
            *left.lock().unwrap() = Some(steps);
            // As far as it goes.
            let _ = master.compact();
            *left.lock().unwrap() = None;
        }
        Ok(())
    }));
    let mut follower = Follower::open(media.clone()).unwrap();
    for round in 0..4 {
        append(&store, &format!("{}{round}", "n".repeat(200)), 1);
    }
    let before = told(&store);
    reads.store(0, Ordering::Relaxed);
    if opening {
        follower = Follower::open(media).unwrap();
    } else {
        follower.poll().unwrap();
    }
    let reached = reads.swap(IDLE, Ordering::Relaxed) > at;
    let found = seen(&follower);
    assert!(check(&*memory).unwrap().is_clean());
    let after = seen(&Follower::open(memory).unwrap());
    assert!(found == before || found == after, "{steps} steps before read {at}, opening: {opening}");
    follower.poll().unwrap();
    assert_eq!(seen(&follower), after, "{steps} steps before read {at}, opening: {opening}");
    reached
}

/// The record is the first that the follower hears of it.
#[test]
fn a_pool_file_that_was_added_is_found() {
    let media = Arc::new(formatted_with_reserve(2 * MIB, 4 * MIB));
    let store = Store::open(media.clone(), HOST).unwrap();
    let mut follower = Follower::open(media).unwrap();
    put(&store, "a", 2 * MIB);
    store.add_pool(None).unwrap();
    put(&store, "b", 4 * MIB);
    assert!(follower.poll().unwrap());
    assert_eq!(seen(&follower), told(&store));
    assert_eq!((follower.view().pools().len(), follower.view().seq()), (2, store.view().seq()));
}

#[test]
fn garbage_is_an_error_and_what_was_seen_stays() {
    let media = Arc::new(formatted(2 * MIB));
    let store = Store::open(media.clone(), HOST).unwrap();
    put(&store, "a", 1);
    let mut follower = Follower::open(media.clone()).unwrap();
    let known = seen(&follower);
    let word_at = commit_word(&media);
    let word = media.load_u64(word_at).unwrap();
    for bits in [0, u64::MAX, word ^ 1, word + 1, word ^ (1 << 32), word ^ (1 << 48), word | 0xffff_ffff] {
        media.store_u64(word_at, bits).unwrap();
        assert!(matches!(follower.poll(), Err(StoreError::Catalog(_))), "{bits:#x}");
        assert_eq!(seen(&follower), known);
    }
    media.store_u64(word_at, word).unwrap();
    assert!(!follower.poll().unwrap());
    // The next record, damaged.
    put(&store, "b", 1);
    let mut byte = [0];
    let catalog = word_at - 128 + 4096 + (word & 0xffff_ffff) * 8;
    media.read_at(catalog + 40, &mut byte).unwrap();
    media.write_at(catalog + 40, &[byte[0] ^ 1]).unwrap();
    assert!(matches!(follower.poll(), Err(StoreError::Catalog(_))));
    assert_eq!(seen(&follower), known);
    media.write_at(catalog + 40, &byte).unwrap();
    assert!(follower.poll().unwrap());
    assert_eq!(seen(&follower), told(&store));
}

/// The place of the commit word: 128 bytes behind the catalog's magic.
fn commit_word(media: &MemMedia) -> u64 {
    let image = media.image();
    let head = image.chunks(4096).position(|page| page.starts_with(b"farrowCT")).unwrap();
    head as u64 * 4096 + 128
}

/// Another file system was made in the same medium.
#[test]
fn another_region_is_not_followed() {
    let media = Arc::new(formatted(2 * MIB));
    let mut follower = Follower::open(media.clone()).unwrap();
    let other = formatted(2 * MIB);
    let store = Store::open(Arc::new(other), HOST).unwrap();
    put(&store, "a", 1);
    let mut image = vec![0; usize::try_from(store.view().media().len()).unwrap()];
    store.view().media().read_at(0, &mut image).unwrap();
    media.write_at(0, &image).unwrap();
    let error = follower.poll().unwrap_err();
    assert!(matches!(error, StoreError::Catalog(_)), "{error}");
    assert!(error.to_string().contains(&store.view().region_uuid().to_string()), "{error}");
}
