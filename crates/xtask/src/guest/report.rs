//! The guest's report on its tests.

use anyhow::bail;

use crate::tally::Tally;

/// Reads the lines of `init.sh` and, between them, those of the tests.
pub(super) struct Report<'a> {
    tally: &'a mut Tally,
    /// Tests that had passed before the run that is going on.
    passed_before: u64,
    booted: bool,
    done: bool,
    faults: Vec<String>,
}

impl<'a> Report<'a> {
    /// Nothing has been said yet; what the tests say is counted in `tally`.
    pub(super) fn new(tally: &'a mut Tally) -> Self {
        let passed_before = tally.passed;
        Self { tally, passed_before, booted: false, done: false, faults: Vec::new() }
    }

    pub(super) fn read(&mut self, line: &str) {
        let Some(told) = line.strip_prefix("guest: ") else {
            let skipped_before = self.tally.skipped;
            self.tally.read_cargo(line.trim());
            if self.tally.skipped > skipped_before {
                self.faults.push(format!("in the guest nothing may be left out: {line}"));
            }
            return;
        };
        if told.starts_with("booted") {
            self.booted = true;
        } else if told == "done" {
            self.done = true;
        } else if let Some((tests, status)) = told.split_once(" ended with ") {
            if status != "0" {
                self.faults.push(format!("{tests} ended with {status}"));
            } else if self.tally.passed == self.passed_before {
                self.faults.push(format!("{tests} had no test to run"));
            }
            self.passed_before = self.tally.passed;
        }
    }

    /// True if the guest has come as far as to say something.
    pub(super) fn booted(&self) -> bool {
        self.booted
    }

    /// Fails unless everything has been run, and has passed.
    pub(super) fn check(mut self) -> anyhow::Result<()> {
        if !self.done {
            self.faults.push("the guest ended before its tests did".to_owned());
        }
        if self.faults.is_empty() { Ok(()) } else { bail!("{}", self.faults.join("; ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: [&str; 6] = [
        "guest: booted in 2.9 s, Linux 6.1",
        "test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 9 filtered out; finished in 4.00s",
        "guest: integration-tests ended with 0",
        "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 9.00s",
        "guest: region-tests ended with 0",
        "guest: done",
    ];

    /// The result, and what was passed and skipped, of a guest that says `lines`.
    fn told(lines: &[&str]) -> (Result<(), String>, u64, u64) {
        let mut tally = Tally { passed: 7, ..Tally::default() };
        let mut report = Report::new(&mut tally);
        for line in lines {
            report.read(line);
        }
        let result = report.check().map_err(|error| error.to_string());
        (result, tally.passed, tally.skipped)
    }

    #[test]
    fn what_passes_is_counted() {
        assert_eq!(told(&GOOD), (Ok(()), 12, 0));
    }

    #[test]
    fn a_guest_that_dies_has_not_passed() {
        for end in 0..GOOD.len() {
            let (result, ..) = told(&GOOD[..end]);
            assert_eq!(result, Err("the guest ended before its tests did".to_owned()), "{end} lines");
        }
    }

    #[test]
    fn what_the_guest_skips_is_a_fault() {
        let mut lines = GOOD.to_vec();
        lines.insert(1, "skipped: a real device-dax node: FARROW_TEST_DAX names none");
        let (result, _, skipped) = told(&lines);
        assert!(result.is_err_and(|told| told.contains("FARROW_TEST_DAX")));
        assert_eq!(skipped, 1);
    }

    #[test]
    fn no_test_and_a_failed_test_are_faults() {
        let mut lines = GOOD;
        lines[1] = "test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 11 filtered out";
        assert_eq!(told(&lines).0, Err("integration-tests had no test to run".to_owned()));
        let mut lines = GOOD;
        lines[4] = "guest: region-tests ended with 101";
        assert_eq!(told(&lines).0, Err("region-tests ended with 101".to_owned()));
    }
}
