use std::num::NonZeroU64;
use std::sync::Arc;

use uuid::Uuid;

use super::*;
use crate::catalog::{Place, Record, VersionRecord};
use crate::frame::{Owner, Validation};

mod retention;

const PAGE: u64 = 4096;
const OWNER: Owner = Owner { host: Uuid::from_u128(1), uid: 2, pid: 3, start_time: 4 };

fn extent(page: u64, pages: u64) -> Extent {
    Extent { pool: 0, offset: page * PAGE, len: pages * PAGE }
}

fn segment(id: u64, page: u64) -> Arc<Segment> {
    Arc::new(Segment {
        id,
        len: PAGE,
        generation: id,
        extents: vec![extent(page, 1)],
        rows: 1,
        batches: 0,
        validation: Validation::None,
        metadata_digest: 0,
        checksums: vec![],
    })
}

fn name(name: &str) -> FrameName {
    FrameName::parse(name).unwrap()
}

fn version(
    frame: &str,
    number: u64,
    extends: bool,
    added: impl IntoIterator<Item = Arc<Segment>>,
) -> VersionRecord {
    VersionRecord {
        name: name(frame),
        number,
        extends,
        schema_fingerprint: 0,
        committed_at_micros: 0,
        owner: OWNER,
        added: added.into_iter().collect(),
        keep: None,
    }
}

/// Room for the numbers of six names of up to eight bytes.
const HALF_LEN: u64 = 12 * 1024;

fn fresh(epoch: u64, seq: u64) -> State {
    State::new(FreeSpace::new([(0, 64 * PAGE)]), epoch, seq, HALF_LEN)
}

fn taken(page: u64) -> Body {
    Body::ReservationTaken { owner: OWNER, len: PAGE, extents: vec![extent(page, 1)] }
}

/// Applies the next record of the log. A refusal must leave no trace.
fn log(state: &mut State, body: Body) -> Result<(), StateFault> {
    let before = state.clone();
    let result = state.apply(Place::Log, &Record { seq: state.seq() + 1, epoch: state.epoch(), body });
    assert!(result.is_ok() || *state == before);
    result
}

/// A frame `a@1` of segment 1 in page 0, and reservation 3 of page 1.
fn state() -> State {
    let mut state = fresh(1, 0);
    log(&mut state, taken(0)).unwrap();
    log(&mut state, Body::VersionCommitted(version("a", 1, false, [segment(1, 0)]))).unwrap();
    log(&mut state, taken(1)).unwrap();
    state
}

#[test]
fn numbers_and_epochs_must_follow() {
    let mut state = state();
    let at = |seq, epoch, body| state.clone().apply(Place::Log, &Record { seq, epoch, body });
    let end = || Body::ReservationEnded { id: 3 };
    assert_eq!(at(3, 1, end()), Err(StateFault::Seq { found: 3, expected: 4 }));
    assert_eq!(at(5, 1, end()), Err(StateFault::Seq { found: 5, expected: 4 }));
    for epoch in [0, 2] {
        assert_eq!(at(4, epoch, end()), Err(StateFault::Epoch { found: epoch, current: 1 }));
    }
    let start = || Body::MasterStarted { host: Uuid::nil() };
    assert_eq!(at(4, 1, start()), Err(StateFault::Epoch { found: 1, current: 1 }));
    assert_eq!(at(4, 9, start()), Ok(()));

    state.seq = u64::MAX;
    let last = state.apply(Place::Log, &Record { seq: 0, epoch: 1, body: end() });
    assert_eq!(last, Err(StateFault::Seq { found: 0, expected: u64::MAX }));
}

#[test]
fn nothing_is_given_twice() {
    let mut state = state();
    for page in [0, 1] {
        let fault = StateFault::NotFree { extent: extent(page, 1) };
        assert_eq!(log(&mut state, taken(page)), Err(fault));
    }
    let twice =
        Body::ReservationTaken { owner: OWNER, len: 3 * PAGE, extents: vec![extent(4, 2), extent(5, 1)] };
    assert_eq!(log(&mut state, twice), Err(StateFault::NotFree { extent: extent(5, 1) }));
    let outside = Body::ReservationTaken { owner: OWNER, len: PAGE, extents: vec![extent(64, 1)] };
    assert_eq!(log(&mut state, outside), Err(StateFault::NotFree { extent: extent(64, 1) }));
}

#[test]
fn a_commit_is_what_was_reserved() {
    let mut state = state();
    let mut commit = |change: &dyn Fn(&mut VersionRecord, &mut Segment)| {
        let mut segment = (*segment(3, 1)).clone();
        let mut record = version("a", 2, false, None);
        change(&mut record, &mut segment);
        record.added = vec![Arc::new(segment)];
        log(&mut state, Body::VersionCommitted(record))
    };
    let other = Err(StateFault::NotAsReserved { id: 3 });
    assert_eq!(commit(&|_, segment| segment.extents = vec![extent(2, 1)]), other);
    assert_eq!(commit(&|_, segment| segment.len = 2 * PAGE), other);
    assert_eq!(commit(&|_, segment| segment.generation = 2), other);
    assert_eq!(commit(&|record, _| record.owner.pid = 9), other);
    let number = |number| Err(StateFault::Number { name: name("a"), number, highest: 1 });
    assert_eq!(commit(&|record, _| record.number = 1), number(1));
    assert_eq!(commit(&|record, _| record.number = 3), number(3));
    assert_eq!(commit(&|_, segment| segment.id = 7), Err(StateFault::NoReservation { id: 7 }));
    assert_eq!(commit(&|_, segment| segment.id = 1), Err(StateFault::Twice { id: 1 }));
    let base = Err(StateFault::NoBase { name: name("b"), number: 1 });
    let onto_nothing = |record: &mut VersionRecord, _: &mut Segment| {
        (record.name, record.number, record.extends) = (name("b"), 1, true);
    };
    assert_eq!(commit(&onto_nothing), base);
    let long = |record: &mut VersionRecord, segment: &mut Segment| {
        (record.extends, segment.rows) = (true, u64::MAX);
    };
    assert_eq!(commit(&long), Err(StateFault::Overflow));
    assert_eq!(commit(&|_, _| {}), Ok(()));
    assert_eq!(commit(&|_, _| {}), Err(StateFault::Number { name: name("a"), number: 2, highest: 2 }));
    assert_eq!(
        commit(&|record, _| record.name = name("b")),
        Err(StateFault::Number { name: name("b"), number: 2, highest: 0 })
    );
    assert_eq!(state.frame(&name("a")).unwrap().versions.len(), 2);
}

#[test]
fn a_commit_may_bring_several_segments() {
    let mut state = state();
    log(&mut state, taken(2)).unwrap();
    let mut commit = |added: &[(u64, u64)]| {
        let added = added.iter().map(|&(id, page)| segment(id, page));
        log(&mut state, Body::VersionCommitted(version("a", 2, true, added)))
    };
    assert_eq!(commit(&[]), Err(StateFault::Misplaced), "none");
    assert_eq!(commit(&[(3, 1), (3, 1)]), Err(StateFault::Twice { id: 3 }));
    assert_eq!(commit(&[(3, 1), (5, 2)]), Err(StateFault::NoReservation { id: 5 }));
    assert_eq!(commit(&[(3, 1), (4, 3)]), Err(StateFault::NotAsReserved { id: 4 }));
    assert_eq!(commit(&[(4, 2), (3, 1)]), Ok(()));
    assert!(state.reservations().is_empty());
    assert_eq!((state.totals().used, state.totals().reserved), (3 * PAGE, 0));
    assert_eq!(ids(&state, "a", 2), [1, 4, 3]);
    let version = state.frame(&name("a")).unwrap().latest().unwrap();
    assert_eq!((version.rows, version.bytes), (3, 3 * PAGE));
}

fn ids(state: &State, frame: &str, number: u64) -> Vec<u64> {
    let version = &state.frame(&name(frame)).unwrap().versions[&number];
    version.segments.iter().map(|segment| segment.id).collect()
}

#[test]
fn only_what_is_there_ends() {
    let mut state = state();
    assert_eq!(log(&mut state, Body::ReservationEnded { id: 2 }), Err(StateFault::NoReservation { id: 2 }));
    let none = |name: &FrameName, number| Err(StateFault::NoVersion { name: name.clone(), number });
    for (frame, number) in [("a", Some(2)), ("b", Some(1)), ("b", None)] {
        let name = name(frame);
        let body = Body::VersionDropped { name: name.clone(), number };
        assert_eq!(log(&mut state, body), none(&name, number));
    }
    let freed = |ids: &[u64]| Body::ExtentsFreed { segments: ids.to_vec() };
    assert_eq!(log(&mut state, freed(&[1])), Err(StateFault::NotWaiting { id: 1 }), "a version has it");
    assert_eq!(log(&mut state, freed(&[2])), Err(StateFault::NotWaiting { id: 2 }), "never was");
    log(&mut state, Body::VersionDropped { name: name("a"), number: None }).unwrap();
    assert_eq!(log(&mut state, freed(&[1, 1])), Err(StateFault::NotWaiting { id: 1 }), "twice in one");
    // What waits cannot come back.
    let again = version("a", 2, true, [segment(3, 1)]);
    let base = Err(StateFault::NoBase { name: name("a"), number: 2 });
    assert_eq!(log(&mut state, Body::VersionCommitted(again)), base);
    log(&mut state, freed(&[1])).unwrap();
    assert_eq!(log(&mut state, freed(&[1])), Err(StateFault::NotWaiting { id: 1 }), "once is enough");
}

#[test]
fn kinds_have_their_places() {
    let mut state = state();
    let kept = Body::SegmentKept(segment(9, 9));
    let orphan = |id, page| Body::OrphanKept { uid: 7, segment: segment(id, page) };
    assert_eq!(log(&mut state, kept.clone()), Err(StateFault::Misplaced));
    assert_eq!(log(&mut state, orphan(9, 9)), Err(StateFault::Misplaced));
    let (number, floor) = (Body::NumberKept { name: name("b"), number: 1 }, Body::FloorKept { number: 1 });
    assert_eq!(log(&mut state, number), Err(StateFault::Misplaced));
    assert_eq!(log(&mut state, floor), Err(StateFault::Misplaced));

    let mut fresh = fresh(1, 10);
    let mut at = |seq, body| fresh.apply(Place::Checkpoint, &Record { seq, epoch: 1, body });
    for body in [
        Body::MasterStarted { host: Uuid::nil() },
        Body::ReservationEnded { id: 1 },
        Body::ExtentsFreed { segments: vec![1] },
        Body::VersionDropped { name: name("a"), number: None },
        Body::PrefixDropped(all("a")),
        kept.clone(),
    ] {
        assert_eq!(at(5, body), Err(StateFault::Misplaced));
    }
    for seq in [0, 11] {
        assert_eq!(at(seq, orphan(9, 9)), Err(StateFault::Seq { found: seq, expected: 10 }));
    }
    at(10, orphan(8, 8)).unwrap();
    assert_eq!(at(10, orphan(8, 7)), Err(StateFault::Twice { id: 8 }));
    assert_eq!(at(10, orphan(7, 8)), Err(StateFault::NotFree { extent: extent(8, 1) }));
    at(4, taken(0)).unwrap();
    assert_eq!(at(4, taken(1)), Err(StateFault::Twice { id: 4 }));
    let committed = |frame, number, added| Body::VersionCommitted(version(frame, number, false, added));
    assert_eq!(
        at(5, committed("a", 1, vec![segment(4, 0)])),
        Err(StateFault::NotFree { extent: extent(0, 1) })
    );
    assert_eq!(at(5, committed("a", 1, vec![segment(8, 1)])), Err(StateFault::Twice { id: 8 }));
    assert_eq!(at(5, committed("a", 1, vec![segment(1, 1), segment(2, 2)])), Err(StateFault::Misplaced));

    let record = VersionRecord { keep: Some(9), ..version("a", 3, false, [segment(1, 1)]) };
    assert_eq!(at(6, Body::VersionCommitted(record)), Err(StateFault::Misplaced), "a retention stands alone");

    at(6, committed("a", 3, vec![segment(1, 1)])).unwrap();
    let number = |number, highest| Err(StateFault::Number { name: name("a"), number, highest });
    assert_eq!(at(7, committed("a", 3, vec![segment(2, 2)])), number(3, 3), "twice");
    assert_eq!(at(7, kept.clone()), Err(StateFault::Misplaced), "another version's");
    at(6, kept.clone()).unwrap();
    assert_eq!(at(6, kept), Err(StateFault::Twice { id: 9 }));
    at(7, committed("b", 1, vec![segment(2, 2)])).unwrap();
    at(4, Body::ReservationTaken { owner: OWNER, len: 1, extents: vec![extent(3, 1)] }).unwrap_err();
    at(5, taken(3)).unwrap();
    assert_eq!(at(7, Body::SegmentKept(segment(10, 10))), Err(StateFault::Misplaced), "too late");

    let highest = |frame: &str, number| Body::NumberKept { name: name(frame), number };
    assert_eq!(at(10, highest("a", 3)), number(3, 3), "that is known");
    at(10, highest("a", 7)).unwrap();
    assert_eq!(at(10, highest("a", 8)), number(8, 7), "twice");
    assert_eq!(at(10, committed("a", 8, vec![segment(3, 4)])), number(8, 7), "a version behind the number");
    for floor in [0, 2, 3] {
        assert_eq!(at(10, Body::FloorKept { number: floor }).is_ok(), floor == 2, "one, and not 0");
    }
    assert!(at(10, highest("gone", 2)).is_err(), "not above the floor");
    at(10, highest("gone", 3)).unwrap();
    assert!(at(10, highest("gone", 4)).is_err(), "twice");
    assert!(at(10, committed("gone", 5, vec![segment(3, 4)])).is_err(), "it has no version");
    for more in 0..5 {
        at(10, highest(&format!("{more}"), 3)).unwrap();
    }
    assert!(at(10, highest("more", 3)).is_err(), "more than a half may have");

    assert_eq!(at(8, old_retain("b", 0)), Err(StateFault::Misplaced), "nothing is set");
    assert_eq!(at(8, old_retain("c", 1)), Err(StateFault::NoFrame { name: name("c") }));
    at(8, old_retain("b", 1)).unwrap();
    assert_eq!(at(9, old_retain("b", 1)), Err(StateFault::Misplaced), "twice");
    assert_eq!(at(9, retain("b", keeping(1))), Err(StateFault::Misplaced), "twice");
    assert_eq!(
        at(9, committed("b", 2, vec![segment(3, 4)])),
        Err(StateFault::Misplaced),
        "a version behind the retention"
    );
    assert_eq!(ids(&fresh, "a", 3), [1, 9]);
}

/// A frame, or with a `*` at the end a prefix of components: `a*` is `a` and all below it, `a/*` all below it.
fn target(text: &str) -> RetentionTarget {
    match text.strip_suffix('*') {
        Some(prefix) => RetentionTarget::Prefix(Prefix::parse(prefix).unwrap()),
        None => match text.strip_suffix('/') {
            Some(_) => RetentionTarget::Prefix(Prefix::parse(text).unwrap()),
            None => RetentionTarget::Frame(name(text)),
        },
    }
}

fn keeping(last: u64) -> Retention {
    Retention { last: NonZeroU64::new(last), max_age_seconds: None }
}

fn aging(seconds: u64) -> Retention {
    Retention { last: None, max_age_seconds: NonZeroU64::new(seconds) }
}

fn retain(text: &str, retention: Retention) -> Body {
    Body::RetentionSet(RetentionSet { target: target(text), retention: Some(retention), uid: 7 })
}

fn forget(text: &str) -> Body {
    Body::RetentionSet(RetentionSet { target: target(text), retention: None, uid: 8 })
}

fn old_retain(frame: &str, last: u64) -> Body {
    let retention = Some(keeping(last)).filter(|_| last > 0);
    Body::OldRetentionSet(RetentionSet { target: target(frame), retention, uid: 0 })
}

fn all(prefix: &str) -> PrefixDropped {
    PrefixDropped { prefix: Prefix::pattern(prefix).unwrap(), until_micros: i64::MAX, latest: true }
}

/// Commits the next version of a frame, of one page, at a time.
fn committed_at(state: &mut State, frame: &str, page: u64, time: i64) -> Result<(), StateFault> {
    let id = state.seq() + 1;
    log(state, taken(page))?;
    let number = state.highest_number(&name(frame)) + 1;
    let record = version(frame, number, false, [segment(id, page)]);
    log(state, Body::VersionCommitted(VersionRecord { committed_at_micros: time, ..record }))
}

fn numbers(state: &State, frame: &str) -> Vec<u64> {
    let frame = state.frame(&name(frame));
    frame.map_or_else(Vec::new, |frame| frame.versions.keys().copied().collect())
}

#[test]
fn a_retention_drops_the_oldest() {
    // By the record of today, and by the one that earlier catalogs have.
    for today in [true, false] {
        let retain_last = |last| match (today, last) {
            (true, 0) => forget("a"),
            (true, last) => retain("a", keeping(last)),
            (false, last) => old_retain("a", last),
        };
        let mut state = state();
        assert_eq!(log(&mut state, old_retain("b", 2)), Err(StateFault::NoFrame { name: name("b") }));
        assert_eq!(log(&mut state, retain_last(0)).is_err(), today, "there is none");
        for page in 2..5 {
            committed_at(&mut state, "a", page, 0).unwrap();
        }
        log(&mut state, retain_last(2)).unwrap();
        assert_eq!(numbers(&state, "a"), [3, 4]);
        committed_at(&mut state, "a", 5, 0).unwrap();
        assert_eq!((numbers(&state, "a"), state.orphans().len()), (vec![4, 5], 3));
        log(&mut state, retain_last(0)).unwrap();
        committed_at(&mut state, "a", 6, 0).unwrap();
        assert_eq!(numbers(&state, "a"), [4, 5, 6]);
        // It ends with the frame, and the checkpoint's length knows.
        log(&mut state, retain_last(9)).unwrap();
        log(&mut state, Body::VersionDropped { name: name("a"), number: None }).unwrap();
        through_a_checkpoint(&state);
        committed_at(&mut state, "a", 7, 0).unwrap();
        assert_eq!((state.retention(&name("a")), numbers(&state, "a")), (Retention::default(), vec![7]));
        assert_eq!(state.retentions.len(), 0);
    }
}

#[test]
fn a_commit_may_say_what_its_frame_keeps() {
    let mut state = state();
    let mut commit = |frame: &str, page, keep| {
        let id = state.seq() + 1;
        log(&mut state, taken(page)).unwrap();
        let number = state.highest_number(&name(frame)) + 1;
        let record = version(frame, number, false, [segment(id, page)]);
        let body = Body::VersionCommitted(VersionRecord { keep, ..record });
        let dropped: Vec<_> = state.dropped_by(&body).iter().map(|version| version.number).collect();
        log(&mut state, body).unwrap();
        through_a_checkpoint(&state);
        (dropped, numbers(&state, frame), state.retention(&name(frame)).last.map_or(0, NonZeroU64::get))
    };
    assert_eq!(commit("b", 2, Some(1)), (vec![], vec![1], 1), "also of a frame's first version");
    assert_eq!(commit("b", 3, None), (vec![1], vec![2], 1));
    assert_eq!(commit("b", 4, Some(3)), (vec![], vec![2, 3], 3), "the older one counts no more");
    assert_eq!(commit("b", 5, Some(0)), (vec![], vec![2, 3, 4], 0));
    assert_eq!(commit("b", 6, Some(2)), (vec![2, 3], vec![4, 5], 2));
    assert_eq!(commit("a", 7, Some(u64::MAX)), (vec![], vec![1, 2], u64::MAX));
}

#[test]
fn many_are_dropped_by_name_and_time() {
    let mut state = state();
    let frames = [("b/x", 5), ("b/x", 7), ("b/y", 5), ("b", 1), ("bb/x", 1)];
    for (page, (frame, time)) in (2..).zip(frames) {
        committed_at(&mut state, frame, page, time).unwrap();
    }
    let mut dropped = |prefix: &str, until_micros, latest| {
        let prefix = Prefix::pattern(prefix).unwrap();
        log(&mut state, Body::PrefixDropped(PrefixDropped { prefix, until_micros, latest }))
            .map(|()| ["a", "b", "b/x", "b/y", "bb/x"].map(|frame| numbers(&state, frame)))
    };
    let nothing = |prefix: &str| Err(StateFault::NothingMeant { prefix: Prefix::pattern(prefix).unwrap() });
    assert_eq!(dropped("b/", 4, true), nothing("b/"));
    assert_eq!(dropped("d", i64::MAX, true), nothing("d"));
    assert_eq!(dropped("b/", 5, false).unwrap(), [vec![1], vec![1], vec![2], vec![1], vec![1]]);
    assert_eq!(dropped("b/", i64::MAX, false), nothing("b/"));
    assert_eq!(dropped("b/", 5, true).unwrap(), [vec![1], vec![1], vec![2], vec![], vec![1]]);
    assert_eq!(dropped("b", i64::MAX, true).unwrap(), [vec![1], vec![], vec![], vec![], vec![1]]);
    assert_eq!(dropped("b", i64::MAX, true), nothing("b"));
    assert_eq!(dropped("b*", i64::MAX, true).unwrap(), [vec![1], vec![], vec![], vec![], vec![]]);
    assert_eq!(dropped("", i64::MAX, true).unwrap(), [const { Vec::new() }; 5]);
}

/// Reads the state back from a checkpoint of it, which has the length that was calculated.
fn through_a_checkpoint(state: &State) -> Vec<Record> {
    let mut again = fresh(state.epoch(), state.seq());
    let records: Vec<Record> = state.checkpoint().collect();
    for record in &records {
        again.apply(Place::Checkpoint, record).unwrap();
    }
    again.end_checkpoint();
    assert_eq!(again, *state);
    let len: u64 = records.iter().map(|record| record.encode().unwrap().len() as u64).sum();
    assert_eq!(state.checkpoint_len(), len);
    records
}

#[test]
fn a_checkpoint_is_the_state() {
    let mut state = state();
    log(&mut state, Body::VersionCommitted(version("a", 2, true, [segment(3, 1)]))).unwrap();
    log(&mut state, taken(2)).unwrap();
    log(&mut state, Body::VersionDropped { name: name("a"), number: Some(2) }).unwrap();
    assert_eq!((state.orphans().len(), state.totals().held, state.totals().used), (1, PAGE, PAGE));
    log(&mut state, retain("a", keeping(7))).unwrap();
    through_a_checkpoint(&state);
    assert_eq!(state.highest_number(&name("a")), 2);
}

/// Appends to a frame the next version, of pages that follow one another.
fn appended(state: &mut State, frame: &str, pages: std::ops::Range<u64>) {
    let added: Vec<_> = pages
        .map(|page| {
            log(state, taken(page)).unwrap();
            segment(state.seq(), page)
        })
        .collect();
    let number = state.highest_number(&name(frame)) + 1;
    let extends = state.frame(&name(frame)).is_some();
    log(state, Body::VersionCommitted(version(frame, number, extends, added))).unwrap();
}

/// Of a frame of five versions that share segments, every choice of versions is dropped, in two orders.
#[test]
fn what_a_dropped_version_shares_stays_with_the_others() {
    let mut whole = fresh(1, 0);
    let pages = [0..1, 1..2, 2..5, 5..6, 6..8];
    pages.iter().for_each(|pages| appended(&mut whole, "a", pages.clone()));
    through_a_checkpoint(&whole);
    for choice in 0..32 {
        let dropped: Vec<u64> = (1..=5).filter(|number| (choice >> (number - 1)) & 1 == 1).collect();
        for backwards in [false, true] {
            let mut state = whole.clone();
            let order: Vec<u64> =
                if backwards { dropped.iter().rev().copied().collect() } else { dropped.clone() };
            for number in order {
                log(&mut state, Body::VersionDropped { name: name("a"), number: Some(number) }).unwrap();
            }
            for kept in (1..=5).filter(|number| !dropped.contains(number)) {
                assert_eq!(ids(&state, "a", kept), ids(&whole, "a", kept), "{dropped:?}");
            }
            let last = (1..=5).rev().find(|number| !dropped.contains(number));
            let left = last.and_then(|last| (1..).zip(&pages).find(|(number, _)| *number == last));
            let left = left.map_or(0, |(_, pages)| pages.end);
            assert_eq!(
                (state.totals().used, state.totals().held),
                (left * PAGE, (8 - left) * PAGE),
                "{dropped:?}"
            );
            assert_eq!((state.orphans().len() as u64, state.highest_number(&name("a"))), (8 - left, 5));
            let records = through_a_checkpoint(&state);
            let written = records.iter().map(|record| match &record.body {
                Body::VersionCommitted(version) => version.added.len() as u64,
                Body::SegmentKept(_) | Body::OrphanKept { .. } => 1,
                _ => 0,
            });
            assert_eq!(written.sum::<u64>(), 8, "each segment once: {dropped:?}");
        }
    }
}

/// Names that are remembered, names that are not, and frames whose latest version is gone.
#[test]
fn numbers_go_on_whatever_was_dropped() {
    let mut state = state();
    let mut given = BTreeMap::from([(name("a"), 1)]);
    let mut floors = BTreeSet::new();
    for round in 0..200_u64 {
        let frame = name(&format!("{}", round * round % 23));
        for page in 2..3 + round % 3 {
            committed_at(&mut state, frame.as_str(), page, 0).unwrap();
            let latest = state.frame(&frame).unwrap().latest().unwrap().number;
            let before = given.insert(frame.clone(), latest);
            assert!(before.is_none_or(|before| latest > before), "round {round}: {latest} after {before:?}");
        }
        if round % 5 == 4 {
            let number = state.frame(&frame).unwrap().last_number;
            log(&mut state, Body::VersionDropped { name: frame.clone(), number: Some(number) }).unwrap();
            assert_eq!(state.highest_number(&frame), number);
        }
        through_a_checkpoint(&state);
        if state.frame(&frame).is_some() {
            log(&mut state, Body::VersionDropped { name: frame.clone(), number: None }).unwrap();
        }
        let segments = state.orphans().keys().copied().collect();
        log(&mut state, Body::ExtentsFreed { segments }).unwrap();
        through_a_checkpoint(&state);
        floors.insert(state.highest_number(&name("new")));
        assert!(state.checkpoint().map(|record| record.encode().unwrap().len()).sum::<usize>() < 900);
    }
    assert!(floors.len() > 3 && floors.last().unwrap() < given.values().max().unwrap(), "{floors:?}");
    // What has a version all the time is not concerned.
    assert_eq!((numbers(&state, "a"), state.highest_number(&name("a"))), (vec![1], 1));
}
