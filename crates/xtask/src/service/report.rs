//! The report of the checks.

use anyhow::bail;

use crate::tally::Tally;

/// Reads the lines of `checks.sh`; what else the console says is passed over.
pub(super) struct Report<'a> {
    tally: &'a mut Tally,
    booted: bool,
    done: bool,
    failed: Vec<String>,
}

impl<'a> Report<'a> {
    /// Nothing has been said yet; what the checks say is counted in `tally`.
    pub(super) fn new(tally: &'a mut Tally) -> Self {
        Self { tally, booted: false, done: false, failed: Vec::new() }
    }

    pub(super) fn read(&mut self, line: &str) {
        let Some(told) = line.strip_prefix("service: ") else { return };
        if told.starts_with("booted") {
            self.booted = true;
        } else if told == "done" {
            self.done = true;
        } else if told.starts_with("ok ") {
            self.tally.passed += 1;
        } else if let Some(what) = told.strip_prefix("FAILED ") {
            self.tally.failed += 1;
            self.failed.push(what.to_owned());
        } else if let Some(why) = told.strip_prefix("skipped: ") {
            self.tally.skipped += 1;
            self.tally.reasons.push(why.to_owned());
        }
    }

    /// True if the system has come as far as to say something.
    pub(super) fn booted(&self) -> bool {
        self.booted
    }

    /// Fails unless every check has been made, and has passed.
    pub(super) fn check(mut self) -> anyhow::Result<()> {
        if !self.done && self.failed.is_empty() {
            self.failed.push("it ended before its checks did".to_owned());
        }
        if self.failed.is_empty() { Ok(()) } else { bail!("{}", self.failed.join("; ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The result, and what passed, failed and was skipped, of a system that says `lines`.
    fn told(lines: &[&str]) -> (Result<(), String>, [u64; 3]) {
        let mut tally = Tally::default();
        let mut report = Report::new(&mut tally);
        for line in lines {
            report.read(line);
        }
        let result = report.check().map_err(|error| error.to_string());
        (result, [tally.passed, tally.failed, tally.skipped])
    }

    #[test]
    fn what_passes_and_what_is_left_out_is_counted() {
        let lines = ["service: booted", "[  OK  ] Reached", "service: ok starts", "service: ok stops"];
        let end = ["service: skipped: huge pages: none are free", "service: done"];
        assert_eq!(told(&[&lines[..], &end].concat()), (Ok(()), [2, 0, 1]));
    }

    #[test]
    fn a_system_that_dies_has_not_passed() {
        let (result, counts) = told(&["service: booted", "service: ok starts"]);
        assert_eq!((result, counts), (Err("it ended before its checks did".to_owned()), [1, 0, 0]));
    }

    #[test]
    fn a_check_that_fails_is_named() {
        let (result, counts) =
            told(&["service: booted", "service: FAILED stops: Result=signal", "service: done"]);
        assert_eq!((result, counts), (Err("stops: Result=signal".to_owned()), [0, 1, 0]));
    }
}
