use super::Tally;

fn read(lines: &[&str], read: fn(&mut Tally, &str)) -> Tally {
    let mut tally = Tally::default();
    for line in lines {
        read(&mut tally, line);
    }
    tally
}

#[test]
fn cargo_results_add_up() {
    let tally = read(
        &[
            "running 3 tests",
            "test names::rejects_dots ... ok",
            "test media::device_dax ... ignored, needs a device",
            "test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "test result: FAILED. 4 passed; 1 failed; 0 ignored; 0 measured; 7 filtered out; finished in 1.10s",
        ],
        Tally::read_cargo,
    );
    assert_eq!(
        tally,
        Tally {
            passed: 6,
            failed: 1,
            skipped: 1,
            reasons: vec!["media::device_dax: needs a device".to_owned()],
            ..Tally::default()
        }
    );
}

#[test]
fn what_a_test_cannot_do_here_is_counted_and_told() {
    let tally = read(
        &["skipped: a real PCI BAR: there is none", "test bar ... skipped: no device", "test bar ... ok"],
        Tally::read_cargo,
    );
    assert_eq!((tally.passed, tally.skipped), (0, 2));
    assert_eq!(tally.reasons, ["a real PCI BAR: there is none", "no device"]);
}

#[test]
fn what_a_test_went_through_is_told_again() {
    let tally = read(&["counted: 12 crash points", "test b ... counted: 3 races", "ok"], Tally::read_cargo);
    assert_eq!((tally.passed, tally.skipped), (0, 0));
    assert_eq!(tally.counted, ["12 crash points", "3 races"]);
}

#[test]
fn an_ignored_test_without_a_reason_is_named() {
    let tally = read(&["test slow ... ignored"], Tally::read_cargo);
    assert_eq!(tally.reasons, ["slow: no reason given"]);
}

#[test]
fn pytest_closing_line_is_counted_once() {
    let tally = read(
        &[
            "tests/test_types.py ....s.                                   [100%]",
            "=========================== short test summary info ============================",
            "SKIPPED [1] tests/test_types.py:7: polars is not installed",
            "========= 1 failed, 40 passed, 1 skipped, 2 warnings, 1 error in 3.21s =========",
        ],
        Tally::read_pytest,
    );
    assert_eq!(
        tally,
        Tally {
            passed: 40,
            failed: 2,
            skipped: 1,
            reasons: vec!["[1] tests/test_types.py:7: polars is not installed".to_owned()],
            ..Tally::default()
        }
    );
}

#[test]
fn pytest_without_a_frame_and_with_minutes_is_counted() {
    let tally = read(&["41 passed in 75.02s (0:01:15)"], Tally::read_pytest);
    assert_eq!(tally, Tally { passed: 41, ..Tally::default() });
}

#[test]
fn prose_is_not_counted() {
    let tally = read(
        &["E   3 passed in vain", "12 failed attempts in a row", "test result: unknown"],
        Tally::read_pytest,
    );
    assert_eq!(tally, Tally::default());
    assert_eq!(read(&["test result: unknown"], Tally::read_cargo), Tally::default());
}

#[test]
fn examples_are_counted_by_their_first_word() {
    let tally =
        read(&["ok publish 0.1 s", "  output", "FAILED get", "skipped: units: why"], Tally::read_examples);
    assert_eq!((tally.passed, tally.failed, tally.skipped), (1, 1, 1));
    assert_eq!(tally.reasons, ["units: why"]);
}

#[test]
fn the_longest_tests_are_told_in_their_order() {
    let mut tally = read(
        &[
            "test a::quick ... ok <0.001s>",
            "test b::slow ... ok <12.500s>",
            "test c::ignored ... ignored <0.000s>",
            "test d::skips ... ok",
        ],
        Tally::read_cargo,
    );
    let pytest =
        ["3.25s call     tests/test_types.py::test_all", "9.00s setup    tests/test_types.py::test_all"];
    tally.add(read(&pytest, Tally::read_pytest));
    let longest: Vec<_> = tally.longest().into_iter().map(|(time, name)| (*time, name.as_str())).collect();
    assert_eq!(longest, [(12.5, "b::slow"), (3.25, "tests/test_types.py::test_all"), (0.001, "a::quick")]);
}
