use std::sync::Arc;

use uuid::Uuid;

use super::*;
use crate::catalog::PrefixDropped;
use crate::frame::{Owner, Validation};

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
    segments: &[u64],
    written: impl IntoIterator<Item = Arc<Segment>>,
) -> VersionRecord {
    VersionRecord {
        name: name(frame),
        number,
        last_number: number,
        schema_fingerprint: 0,
        committed_at_micros: 0,
        owner: OWNER,
        segments: segments.to_vec(),
        written: written.into_iter().collect(),
    }
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
    let mut state = State::new(FreeSpace::new([(0, 16 * PAGE)]), 1, 0);
    log(&mut state, taken(0)).unwrap();
    log(&mut state, Body::VersionCommitted(version("a", 1, &[1], Some(segment(1, 0))))).unwrap();
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
    let outside = Body::ReservationTaken { owner: OWNER, len: PAGE, extents: vec![extent(16, 1)] };
    assert_eq!(log(&mut state, outside), Err(StateFault::NotFree { extent: extent(16, 1) }));
}

#[test]
fn a_commit_is_what_was_reserved() {
    let mut state = state();
    let mut commit = |change: &dyn Fn(&mut VersionRecord, &mut Segment)| {
        let mut segment = (*segment(3, 1)).clone();
        let mut record = version("a", 2, &[3], None);
        change(&mut record, &mut segment);
        record.written = vec![Arc::new(segment)];
        log(&mut state, Body::VersionCommitted(record))
    };
    let other = Err(StateFault::NotAsReserved { id: 3 });
    assert_eq!(commit(&|_, segment| segment.extents = vec![extent(2, 1)]), other);
    assert_eq!(commit(&|_, segment| segment.len = 2 * PAGE), other);
    assert_eq!(commit(&|_, segment| segment.generation = 2), other);
    assert_eq!(commit(&|record, _| record.owner.pid = 9), other);
    let number = |number| Err(StateFault::Number { name: name("a"), number, highest: 1 });
    assert_eq!(commit(&|record, _| record.number = 1), number(1));
    assert_eq!(commit(&|record, _| record.last_number = 3), number(2));
    assert_eq!(commit(&|record, _| record.segments = vec![7, 3]), Err(StateFault::NoSegment { id: 7 }));
    // The new one comes last, once.
    for segments in [vec![3, 1], vec![3, 3]] {
        let fault = commit(&|record, _| record.segments.clone_from(&segments));
        assert_eq!(fault, Err(StateFault::NoSegment { id: 3 }));
    }
    assert_eq!(commit(&|record, _| record.segments = vec![1]), Err(StateFault::NotAsReserved { id: 3 }));
    assert_eq!(commit(&|record, _| record.segments = vec![1, 1, 3]), Err(StateFault::Twice { id: 1 }));
    assert_eq!(
        commit(&|record, segment| {
            segment.id = 1;
            record.segments = vec![1];
        }),
        Err(StateFault::Twice { id: 1 })
    );
    assert_eq!(
        commit(&|record, segment| {
            segment.rows = u64::MAX;
            record.segments = vec![1, 3];
        }),
        Err(StateFault::Overflow)
    );
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
    let mut commit = |ids: &[u64], written: &[(u64, u64)]| {
        let written = written.iter().map(|&(id, page)| segment(id, page));
        log(&mut state, Body::VersionCommitted(version("a", 2, ids, written)))
    };
    let both = [(3, 1), (4, 2)];
    assert_eq!(commit(&[1, 4, 3], &both), Err(StateFault::NotAsReserved { id: 3 }), "in another order");
    assert_eq!(commit(&[3], &both), Err(StateFault::Misplaced), "more than there are");
    assert_eq!(commit(&[1], &[]), Err(StateFault::Misplaced), "none");
    assert_eq!(commit(&[3, 3], &[(3, 1), (3, 1)]), Err(StateFault::Twice { id: 3 }));
    assert_eq!(commit(&[3, 5], &[(3, 1), (5, 2)]), Err(StateFault::NoReservation { id: 5 }));
    assert_eq!(commit(&[3, 4], &[(3, 1), (4, 3)]), Err(StateFault::NotAsReserved { id: 4 }));
    assert_eq!(commit(&[1, 3, 4], &both), Ok(()));
    assert!(state.reservations().is_empty());
    assert_eq!((state.totals().used, state.totals().reserved), (3 * PAGE, 0));
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
    let again = version("a", 1, &[1, 3], Some(segment(3, 1)));
    assert_eq!(log(&mut state, Body::VersionCommitted(again)), Err(StateFault::NoSegment { id: 1 }));
    log(&mut state, freed(&[1])).unwrap();
    assert_eq!(log(&mut state, freed(&[1])), Err(StateFault::NotWaiting { id: 1 }), "once is enough");
}

#[test]
fn kinds_have_their_places() {
    let mut state = state();
    let kept = Body::SegmentKept(segment(9, 9));
    assert_eq!(log(&mut state, kept.clone()), Err(StateFault::Misplaced));
    let referring = version("a", 2, &[1], None);
    assert_eq!(log(&mut state, Body::VersionCommitted(referring)), Err(StateFault::Misplaced));

    let mut fresh = State::new(FreeSpace::new([(0, 16 * PAGE)]), 1, 10);
    let mut at = |seq, body| fresh.apply(Place::Checkpoint, &Record { seq, epoch: 1, body });
    for body in [
        Body::MasterStarted { host: Uuid::nil() },
        Body::ReservationEnded { id: 1 },
        Body::ExtentsFreed { segments: vec![1] },
        Body::VersionDropped { name: name("a"), number: None },
        Body::PrefixDropped(all("a")),
    ] {
        assert_eq!(at(5, body), Err(StateFault::Misplaced));
    }
    for seq in [0, 11] {
        assert_eq!(at(seq, kept.clone()), Err(StateFault::Seq { found: seq, expected: 10 }));
    }
    at(10, kept.clone()).unwrap();
    assert_eq!(at(10, kept), Err(StateFault::Twice { id: 9 }));
    at(4, taken(0)).unwrap();
    assert_eq!(at(4, taken(1)), Err(StateFault::Twice { id: 4 }));
    let written = version("a", 1, &[4], Some(segment(4, 0)));
    assert_eq!(at(5, Body::VersionCommitted(written)), Err(StateFault::Misplaced));

    let mut third = version("a", 3, &[9], None);
    third.last_number = 7;
    at(6, Body::VersionCommitted(third.clone())).unwrap();
    let number = |number| Err(StateFault::Number { name: name("a"), number, highest: 7 });
    assert_eq!(at(7, Body::VersionCommitted(third.clone())), number(3), "twice");
    third.number = 5;
    third.last_number = 8;
    assert_eq!(at(7, Body::VersionCommitted(third.clone())), number(5), "they disagree");

    let retention = |last| Body::RetentionSet { name: name("a"), last };
    assert_eq!(at(8, retention(0)), Err(StateFault::Misplaced), "it drops what is there");
    at(8, retention(1)).unwrap();
    assert_eq!(at(9, retention(1)), Err(StateFault::Misplaced), "twice");
    (third.number, third.last_number) = (5, 7);
    assert_eq!(at(9, Body::VersionCommitted(third)), number(5), "a version behind the retention");
}

fn all(prefix: &str) -> PrefixDropped {
    PrefixDropped { prefix: prefix.into(), until_micros: i64::MAX, latest: true }
}

/// Commits the next version of a frame, of one page, at a time.
fn committed_at(state: &mut State, frame: &str, page: u64, time: i64) -> Result<(), StateFault> {
    let id = state.seq() + 1;
    log(state, taken(page))?;
    let number = state.frame(&name(frame)).map_or(0, |frame| frame.last_number) + 1;
    let record = version(frame, number, &[id], Some(segment(id, page)));
    log(state, Body::VersionCommitted(VersionRecord { committed_at_micros: time, ..record }))
}

fn numbers(state: &State, frame: &str) -> Vec<u64> {
    let frame = state.frame(&name(frame));
    frame.map_or_else(Vec::new, |frame| frame.versions.keys().copied().collect())
}

#[test]
fn a_retention_drops_the_oldest() {
    let mut state = state();
    let retain = |frame: &str, last| Body::RetentionSet { name: name(frame), last };
    assert_eq!(log(&mut state, retain("b", 2)), Err(StateFault::NoFrame { name: name("b") }));
    for page in 2..5 {
        committed_at(&mut state, "a", page, 0).unwrap();
    }
    log(&mut state, retain("a", 2)).unwrap();
    assert_eq!(numbers(&state, "a"), [3, 4]);
    committed_at(&mut state, "a", 5, 0).unwrap();
    assert_eq!((numbers(&state, "a"), state.orphans().len()), (vec![4, 5], 3));
    log(&mut state, retain("a", 0)).unwrap();
    committed_at(&mut state, "a", 6, 0).unwrap();
    assert_eq!(numbers(&state, "a"), [4, 5, 6]);
    // It ends with the frame, and the checkpoint's length knows.
    log(&mut state, retain("a", 9)).unwrap();
    log(&mut state, Body::VersionDropped { name: name("a"), number: None }).unwrap();
    let len: u64 = state.checkpoint().map(|record| record.encode().unwrap().len() as u64).sum();
    assert_eq!(state.totals().checkpoint_len, len);
    committed_at(&mut state, "a", 7, 0).unwrap();
    assert_eq!(state.frame(&name("a")).unwrap().retention, 0);
}

#[test]
fn many_are_dropped_by_name_and_time() {
    let mut state = state();
    for (page, (frame, time)) in (2..).zip([("b/x", 5), ("b/x", 7), ("b/y", 5), ("b", 1), ("c", 1)]) {
        committed_at(&mut state, frame, page, time).unwrap();
    }
    let mut dropped = |prefix: &str, until_micros, latest| {
        let prefix = prefix.to_owned();
        log(&mut state, Body::PrefixDropped(PrefixDropped { prefix, until_micros, latest }))
            .map(|()| ["a", "b", "b/x", "b/y", "c"].map(|frame| numbers(&state, frame)))
    };
    let nothing = |prefix: &str| Err(StateFault::NothingMeant { prefix: prefix.into() });
    assert_eq!(dropped("b/", 4, true), nothing("b/"));
    assert_eq!(dropped("d", i64::MAX, true), nothing("d"));
    assert_eq!(dropped("b/", 5, false).unwrap(), [vec![1], vec![1], vec![2], vec![1], vec![1]]);
    assert_eq!(dropped("b/", i64::MAX, false), nothing("b/"));
    assert_eq!(dropped("b/", 5, true).unwrap(), [vec![1], vec![1], vec![2], vec![], vec![1]]);
    assert_eq!(dropped("b", i64::MAX, true).unwrap(), [vec![1], vec![], vec![], vec![], vec![1]]);
    assert_eq!(dropped("", i64::MAX, true).unwrap(), [const { Vec::new() }; 5]);
}

#[test]
fn a_checkpoint_is_the_state() {
    let mut state = state();
    log(&mut state, Body::VersionCommitted(version("a", 2, &[1, 3], Some(segment(3, 1))))).unwrap();
    log(&mut state, taken(2)).unwrap();
    log(&mut state, Body::VersionDropped { name: name("a"), number: Some(2) }).unwrap();
    assert_eq!((state.orphans().len(), state.totals().held, state.totals().used), (1, PAGE, PAGE));
    log(&mut state, Body::RetentionSet { name: name("a"), last: 7 }).unwrap();

    let mut again = State::new(FreeSpace::new([(0, 16 * PAGE)]), state.epoch(), state.seq());
    let mut len = 0;
    for record in state.checkpoint() {
        len += record.encode().unwrap().len() as u64;
        again.apply(Place::Checkpoint, &record).unwrap();
    }
    assert_eq!(again, state);
    assert_eq!(state.totals().checkpoint_len, len);
    assert_eq!(again.frame(&name("a")).unwrap().last_number, 2);
}
