//! Versions that retentions drop, and versions that have become old.

use super::*;

/// A checkpoint has what each prefix drops dropped, and longer prefixes before those that they begin with.
#[test]
fn retentions_have_their_place() {
    let mut fresh = fresh(1, 10);
    let mut at = |seq, body| fresh.apply(Place::Checkpoint, &Record { seq, epoch: 1, body });
    for (frame, number, page) in [("a/b", 1, 1), ("a/b", 2, 2), ("a/c", 1, 3)] {
        let version = version(frame, number, false, [segment(page, page)]);
        at(page, Body::VersionCommitted(version)).unwrap();
    }
    let unset = Body::RetentionSet(RetentionSet { target: target("a/b"), retention: None, uid: 0 });
    assert_eq!(at(9, unset.clone()), Err(StateFault::NoRetention { target: target("a/b") }));
    for target in ["a/b", "a/b/", "a/*", "a*", "*"] {
        let surplus = at(9, retain(target, keeping(1)));
        assert_eq!(surplus.is_ok(), target == "a/b/", "{target}: {surplus:?}");
    }
    at(9, retain("a/b*", keeping(2))).unwrap();
    assert_eq!(at(9, retain("a/b*", keeping(2))), Err(StateFault::Misplaced), "twice");
    at(9, retain("a*", keeping(1))).unwrap();
    at(9, retain("later", keeping(1))).unwrap();
    assert_eq!(at(9, unset), Err(StateFault::NoRetention { target: target("a/b") }));
    at(9, retain("a/b", keeping(2))).unwrap();
    let unset = Body::RetentionSet(RetentionSet { target: target("a/b"), retention: None, uid: 0 });
    assert_eq!(at(9, unset), Err(StateFault::Misplaced), "a checkpoint removes nothing");
    assert_eq!((fresh.retentions.len(), fresh.retentions.counted(7)), (5, (4, 4)));
}

/// One retention holds for a frame as a whole: its own, or that of the longest prefix that has one.
#[test]
fn the_longest_prefix_holds() {
    let mut state = state();
    let frames = ["a/b", "a/bc", "a", "b"];
    let mut page = 4;
    let mut change = |body: Option<Body>| {
        match body {
            Some(body) => log(&mut state, body).unwrap(),
            None => {
                for frame in frames {
                    committed_at(&mut state, frame, page, 0).unwrap();
                    page += 1;
                    // The bytes of what is dropped are used again.
                    let segments: Vec<u64> = state.orphans().keys().copied().collect();
                    if !segments.is_empty() {
                        log(&mut state, Body::ExtentsFreed { segments }).unwrap();
                    }
                }
            }
        }
        through_a_checkpoint(&state);
        frames.map(|frame| numbers(&state, frame).len())
    };
    assert_eq!([1, 2, 3, 4].map(|_| change(None)).last(), Some(&[4, 4, 5, 4]));
    assert_eq!(change(Some(retain("*", keeping(4)))), [4, 4, 4, 4], "the whole region");
    assert_eq!(change(Some(retain("a/*", keeping(3)))), [3, 3, 4, 4]);
    assert_eq!(change(Some(retain("a/b*", keeping(2)))), [2, 3, 4, 4], "of whole components");
    assert_eq!(change(Some(retain("a*", keeping(1)))), [2, 3, 1, 4], "that frame itself alone");
    assert_eq!(change(Some(retain("a/b", Retention::default()))), [2, 3, 1, 4], "its own: all");
    assert_eq!(change(None), [3, 3, 1, 4]);
    assert_eq!(change(Some(forget("a/*"))), [3, 1, 1, 4], "what it had kept back");
    assert_eq!(change(Some(forget("a/b"))), [2, 1, 1, 4]);
    assert_eq!(change(Some(forget("a/b*"))), [1, 1, 1, 4]);
    assert_eq!(change(Some(forget("a*"))), [1, 1, 1, 4]);
    assert_eq!(change(None), [2, 2, 2, 4]);
    assert_eq!(change(Some(retain("*", aging(9)))), [2, 2, 2, 4], "as a whole: no number is set any more");
    assert_eq!(change(None), [3, 3, 3, 5]);
    assert_eq!(change(Some(forget("*"))), [3, 3, 3, 5]);
    assert_eq!(state.retentions.len(), 0);
}

#[test]
fn a_retention_waits_for_its_frame() {
    let mut state = state();
    let kept =
        |state: &State| (state.retention(&name("b")), numbers(state, "b"), state.retentions.counted(7));
    log(&mut state, retain("b", Retention { last: NonZeroU64::new(2), ..aging(5) })).unwrap();
    log(&mut state, retain("b*", keeping(9))).unwrap();
    assert_eq!(kept(&state).2, (2, 2));
    through_a_checkpoint(&state);
    for page in 2..6 {
        committed_at(&mut state, "b", page, 0).unwrap();
    }
    assert_eq!(kept(&state), (Retention { last: NonZeroU64::new(2), ..aging(5) }, vec![3, 4], (1, 1)));
    // A commit sets the number alone, and leaves the age.
    let id = state.seq() + 1;
    log(&mut state, taken(6)).unwrap();
    let record = VersionRecord { keep: Some(1), ..version("b", 5, false, [segment(id, 6)]) };
    log(&mut state, Body::VersionCommitted(record)).unwrap();
    through_a_checkpoint(&state);
    assert_eq!(kept(&state), (Retention { last: NonZeroU64::new(1), ..aging(5) }, vec![5], (1, 1)));
    log(&mut state, Body::VersionDropped { name: name("b"), number: Some(5) }).unwrap();
    assert_eq!(kept(&state), (keeping(9), vec![], (1, 1)), "its own ends with the frame");
    log(&mut state, retain("b", keeping(1))).unwrap();
    log(&mut state, forget("b")).unwrap();
    log(&mut state, forget("b*")).unwrap();
    assert_eq!(kept(&state), (Retention::default(), vec![], (0, 0)));
    through_a_checkpoint(&state);
}

#[test]
fn versions_age_but_for_the_latest() {
    const SECOND: i64 = 1_000_000;
    let mut state = state();
    // A clock may go back.
    for (page, (frame, time)) in (2..).zip([("b", 5), ("b", 3), ("b", 9), ("c", 1), ("c", 2), ("d", 1)]) {
        committed_at(&mut state, frame, page, time * SECOND).unwrap();
    }
    let aged = |state: &State, now| {
        let (found, next) = state.aged(&None, now * SECOND);
        assert_eq!(next, None);
        let shown = found.iter().map(|(name, number)| format!("{name}@{number}"));
        shown.collect::<Vec<_>>()
    };
    assert_eq!(aged(&state, i64::MAX / SECOND), [""; 0]);
    log(&mut state, retain("b", aging(10))).unwrap();
    assert_eq!(aged(&state, 12), [""; 0]);
    assert_eq!(aged(&state, 13), ["b@2"]);
    assert_eq!(aged(&state, 99), ["b@1", "b@2"]);
    log(&mut state, retain("*", aging(u64::MAX))).unwrap();
    assert_eq!(aged(&state, 99), ["b@1", "b@2"], "and nothing overflows");
    log(&mut state, retain("*", aging(1))).unwrap();
    assert_eq!(aged(&state, 99), ["b@1", "b@2", "c@1"]);
    log(&mut state, retain("b", Retention::default())).unwrap();
    assert_eq!(aged(&state, 99), ["c@1"]);
    assert!(state.is_aged(&name("c"), 1, 2 * SECOND) && !state.is_aged(&name("c"), 1, 2 * SECOND - 1));
    assert!(!state.is_aged(&name("c"), 2, i64::MAX), "the latest");
    assert!(!state.is_aged(&name("none"), 1, i64::MAX));
}

/// However many there are, each turn is short, and all of them come in the end.
#[test]
fn what_is_looked_at_for_its_age_is_bounded() {
    let mut state = fresh(1, 0);
    for page in 0..20 {
        committed_at(&mut state, if page < 12 { "a" } else { "b" }, page, 0).unwrap();
        committed_at(&mut state, &format!("single/{page}"), 20 + page, 0).unwrap();
    }
    log(&mut state, retain("*", aging(1))).unwrap();
    let all = (1..12).map(|number| (name("a"), number)).chain((1..8).map(|number| (name("b"), number)));
    let all: Vec<_> = all.collect();
    for (looks, most) in [(1, 99), (3, 99), (99, 1), (99, 3), (4, 3), (99, 99)] {
        let (mut place, mut found, mut turns) = (None, Vec::new(), 0);
        while turns == 0 || place.is_some() {
            let (aged, next) = state.aged_within((looks, most), &place, i64::MAX);
            assert!(aged.len() <= most.min(looks), "{looks}, {most}: {}", aged.len());
            found.extend(aged);
            (place, turns) = (next, turns + 1);
        }
        assert_eq!(found, all, "{looks}, {most}");
        assert_eq!(turns == 1, looks.min(most) == 99, "{turns} of {looks}, {most}");
    }
    // A frame that is gone meanwhile ends nothing.
    let (_, next) = state.aged_within((99, 3), &None, i64::MAX);
    log(&mut state, Body::VersionDropped { name: name("a"), number: None }).unwrap();
    assert_eq!(state.aged(&next, i64::MAX).0, all[11..]);
}

/// Against what is counted anew, in every order in which versions go.
#[test]
fn old_bytes_are_those_that_the_latest_version_has_not() {
    let mut whole = fresh(1, 0);
    for (frame, pages) in [("a", 0..1), ("a", 1..3), ("a", 3..4), ("b", 4..9), ("b", 9..10)] {
        appended(&mut whole, frame, pages);
    }
    committed_at(&mut whole, "a", 10, 0).unwrap();
    appended(&mut whole, "a", 11..13);
    let counted = |state: &State| {
        let of = |frame: &Frame| {
            let lens = |version: &Arc<Version>| -> BTreeMap<u64, u64> {
                version.segments.iter().map(|segment| (segment.id, total_len(&segment.extents))).collect()
            };
            let all: BTreeMap<u64, u64> = frame.versions.values().flat_map(lens).collect();
            let latest = lens(frame.latest().unwrap());
            all.iter().filter(|(id, _)| !latest.contains_key(id)).map(|(_, len)| len).sum::<u64>()
        };
        let old = state.frames.iter().map(|(name, frame)| (of(frame), name.clone()));
        old.filter(|(bytes, _)| *bytes > 0).max()
    };
    let most = |state: &State| state.most_old(|_| true).map(|old| (old.bytes, old.name));
    assert_eq!(most(&whole), Some((4 * PAGE, name("a"))));
    assert_eq!(whole.most_old(|name| name.as_str() == "b"), None, "appends share all that came before");
    for choice in 0..32 {
        let dropped: Vec<u64> = (1..=5).filter(|number| (choice >> (number - 1)) & 1 == 1).collect();
        for backwards in [false, true] {
            let mut state = whole.clone();
            let order: Vec<u64> =
                if backwards { dropped.iter().rev().copied().collect() } else { dropped.clone() };
            for number in order {
                log(&mut state, Body::VersionDropped { name: name("a"), number: Some(number) }).unwrap();
                assert_eq!(most(&state), counted(&state), "{dropped:?}, {number}");
            }
            through_a_checkpoint(&state);
        }
    }
}
