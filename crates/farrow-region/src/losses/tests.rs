use super::*;

const PAGE: usize = 4096;

/// A mapping of eight pages on record, without memory: only its addresses count.
fn recorded(start: usize) -> Recorded {
    Recorded::new(start..start + 8 * PAGE, PAGE, Access::ReadOnly)
}

/// Addresses that no test shares, and no mapping has: they are not canonical.
fn addresses(test: usize) -> usize {
    (1 << 60) + test * (1 << 30)
}

fn all() -> Range<usize> {
    0..8 * PAGE
}

#[test]
fn losses_are_found_where_they_are() {
    let start = addresses(1);
    let mapping = recorded(start);
    assert_eq!(mapping.lost(&all()), None);
    let pinned = Pinned::at(start + 3 * PAGE + 5).unwrap();
    assert_eq!(pinned.unit(start + 3 * PAGE + 5), start + 3 * PAGE..start + 4 * PAGE);
    assert_eq!(pinned.access(), Access::ReadOnly);
    pinned.record(start + 3 * PAGE, LossCause::Poisoned);
    drop(pinned);
    let loss = Loss { offset: 3 * PAGE, len: PAGE, cause: LossCause::Poisoned };
    for touched in [all(), 4 * PAGE - 1..4 * PAGE, 0..3 * PAGE + 1, 3 * PAGE + 8..3 * PAGE + 16] {
        assert_eq!(mapping.lost(&touched), Some(loss), "{touched:?}");
    }
    for untouched in [0..3 * PAGE, 4 * PAGE..8 * PAGE, 3 * PAGE..3 * PAGE] {
        assert_eq!(mapping.lost(&untouched), None, "{untouched:?}");
    }
    // An earlier one, and the same once more by another cause.
    mapping.record(PAGE + 100, LossCause::Gone);
    mapping.record(3 * PAGE, LossCause::Gone);
    assert_eq!(mapping.lost(&all()), Some(Loss { offset: PAGE, len: PAGE, cause: LossCause::Gone }));
    assert_eq!(mapping.lost(&(2 * PAGE..8 * PAGE)), Some(loss));
}

#[test]
fn what_is_not_on_record_is_not_found() {
    let start = addresses(2);
    let mapping = recorded(start);
    assert!(Pinned::at(start - 1).is_none());
    assert!(Pinned::at(start).is_some());
    assert!(Pinned::at(start + 8 * PAGE - 1).is_some());
    assert!(Pinned::at(start + 8 * PAGE).is_none());
    drop(mapping);
    assert!(Pinned::at(start).is_none());
    let next = recorded(start);
    assert_eq!(next.lost(&all()), None, "a slot is clean when it is used again");
}

#[test]
fn more_mappings_than_a_piece_has_slots() {
    let start = addresses(3);
    let mappings: Vec<_> = (0..3 * SLOTS).map(|i| recorded(start + i * 8 * PAGE)).collect();
    for (i, mapping) in mappings.iter().enumerate() {
        let address = start + i * 8 * PAGE;
        Pinned::at(address).unwrap().record(address, LossCause::Gone);
        assert_eq!(mappings.iter().filter(|mapping| mapping.lost(&all()).is_some()).count(), i + 1);
        assert!(mapping.lost(&(0..1)).is_some(), "the loss is its own");
    }
}

#[test]
fn losses_too_many_to_be_told_apart() {
    let start = addresses(4);
    let len = (TOLD_APART + 2) * PAGE;
    let mapping = Recorded::new(start..start + len, PAGE, Access::ReadWrite);
    for i in 0..TOLD_APART {
        mapping.record((i + 1) * PAGE, LossCause::Gone);
    }
    assert_eq!(mapping.lost(&(0..PAGE)), None);
    assert!(mapping.lost(&(0..PAGE + 1)).is_some());
    mapping.record(PAGE, LossCause::Gone);
    assert_eq!(mapping.lost(&(0..PAGE)), None, "that one was known");
    mapping.record((TOLD_APART + 1) * PAGE, LossCause::Gone);
    assert_eq!(mapping.lost(&(0..PAGE)), Some(Loss { offset: 0, len, cause: LossCause::Gone }));
}

#[test]
fn the_record_lasts_while_somebody_looks_at_it() {
    let start = addresses(5);
    let mapping = recorded(start);
    let pinned = Pinned::at(start).unwrap();
    thread::scope(|scope| {
        let dropping = scope.spawn(move || drop(mapping));
        // From then on nobody else can pin it.
        while Pinned::at(start).is_some() {
            thread::yield_now();
        }
        assert!(!dropping.is_finished());
        pinned.record(start, LossCause::Gone);
        drop(pinned);
        dropping.join().unwrap();
    });
}
