use std::sync::Arc;

use uuid::Uuid;

use super::*;
use crate::catalog::Written;
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

fn version(frame: &str, number: u64, segments: &[u64], written: Option<Arc<Segment>>) -> VersionRecord {
    VersionRecord {
        name: name(frame),
        number,
        last_number: number,
        schema_fingerprint: 0,
        committed_at_micros: 0,
        owner: OWNER,
        segments: segments.to_vec(),
        written: written.map(|segment| Written { reservation: segment.id, segment }),
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
        record.written = Some(Written { reservation: 3, segment: Arc::new(segment) });
        log(&mut state, Body::VersionCommitted(record))
    };
    let other = Err(StateFault::NotAsReserved { id: 3 });
    assert_eq!(commit(&|_, segment| segment.extents = vec![extent(2, 1)]), other);
    assert_eq!(commit(&|_, segment| segment.len = 2 * PAGE), other);
    assert_eq!(commit(&|_, segment| segment.generation = 2), other);
    assert_eq!(commit(&|record, _| record.owner.pid = 9), other);
    assert_eq!(commit(&|record, _| record.segments = vec![3, 1]), other);
    let number = |number| Err(StateFault::Number { name: name("a"), number, highest: 1 });
    assert_eq!(commit(&|record, _| record.number = 1), number(1));
    assert_eq!(commit(&|record, _| record.last_number = 3), number(2));
    assert_eq!(commit(&|record, _| record.segments = vec![7, 3]), Err(StateFault::NoSegment { id: 7 }));
    assert_eq!(commit(&|record, _| record.segments = vec![3, 3]), Err(StateFault::Twice { id: 3 }));
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
    assert_eq!(
        commit(&|record, _| record.name = name("b")),
        Err(StateFault::Number { name: name("b"), number: 2, highest: 0 })
    );
    assert_eq!(state.frame(&name("a")).unwrap().versions.len(), 2);
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
    assert_eq!(at(7, Body::VersionCommitted(third)), number(5), "they disagree");
}

#[test]
fn a_checkpoint_is_the_state() {
    let mut state = state();
    log(&mut state, Body::VersionCommitted(version("a", 2, &[1, 3], Some(segment(3, 1))))).unwrap();
    log(&mut state, taken(2)).unwrap();
    log(&mut state, Body::VersionDropped { name: name("a"), number: Some(2) }).unwrap();
    assert_eq!((state.orphans().len(), state.totals().held, state.totals().used), (1, PAGE, PAGE));

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
