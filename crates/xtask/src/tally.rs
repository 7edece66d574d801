//! Counts of what passed, failed and was skipped, read from the test runners' own lines.

#[cfg(test)]
mod tests;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use xshell::Cmd;

/// The number of long tests that are told.
pub(crate) const LONGEST: usize = 5;

/// Counts of one run, and why something was skipped.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
    /// One line for each test or group of tests that was skipped.
    pub(crate) reasons: Vec<String>,
    /// The counts that tests print: crash points, operations.
    pub(crate) counted: Vec<String>,
    /// Single tests and the seconds that each took, where the runner tells them.
    pub(crate) times: Vec<(f64, String)>,
    /// Stands before each line of tests that run beside others.
    pub(crate) label: Option<&'static str>,
}

impl Tally {
    /// For tests that run beside others: their lines say which they are.
    pub(crate) fn labelled(label: &'static str) -> Self {
        Self { label: Some(label), ..Self::default() }
    }

    /// Adds what another one has counted.
    pub(crate) fn add(&mut self, other: Self) {
        let label = other.label.map_or(String::new(), |label| format!("{label}: "));
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.reasons.extend(other.reasons.into_iter().map(|reason| format!("{label}{reason}")));
        self.counted.extend(other.counted);
        self.times.extend(other.times);
    }

    /// Runs a check that is no test and counts it as one.
    pub(crate) fn check(&mut self, command: &Cmd<'_>) -> anyhow::Result<()> {
        command.run()?;
        self.passed += 1;
        Ok(())
    }

    /// Counts something that this machine cannot do, and says why.
    pub(crate) fn skip(&mut self, why: String) {
        println!("skipped: {why}");
        self.skipped += 1;
        self.reasons.push(why);
    }

    /// Runs tests: passes their output through and counts what `read` finds in it, whether they succeed or not.
    pub(crate) fn tests(&mut self, command: Cmd<'_>, read: fn(&mut Self, &str)) -> anyhow::Result<()> {
        let shown = command.to_string();
        println!("$ {shown}");
        let mut child = Command::from(command)
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("start `{shown}`"))?;
        let output = child.stdout.take().context("the child's output was piped")?;
        for line in BufReader::new(output).split(b'\n') {
            let line = line.with_context(|| format!("read the output of `{shown}`"))?;
            let line = String::from_utf8_lossy(&line);
            match self.label {
                Some(label) => println!("{label}: {line}"),
                None => println!("{line}"),
            }
            read(self, line.trim());
        }
        let status = child.wait()?;
        if !status.success() {
            bail!("`{shown}`: {status}");
        }
        Ok(())
    }

    /// Reads a line of `cargo test`: a target's result, an ignored test, or what a test says that it cannot do here
    /// (a line `skipped: WHAT`; the test itself, which does the rest, counts as passed too), or how much it went
    /// through (a line `counted: WHAT`).
    pub(crate) fn read_cargo(&mut self, line: &str) {
        if let Some(result) = line.strip_prefix("test result: ") {
            for part in result.split(['.', ';']) {
                match count(part) {
                    Some((number, "passed")) => self.passed += number,
                    Some((number, "failed")) => self.failed += number,
                    Some((number, "ignored")) => self.skipped += number,
                    _ => {}
                }
            }
        } else if let Some((name, why)) = line
            .strip_prefix("test ")
            .and_then(|test| test.split_once(" ... ignored"))
            .filter(|(_, why)| why.is_empty() || why.starts_with(','))
        {
            let why = why.trim_start_matches(", ");
            self.reasons.push(format!("{name}: {}", if why.is_empty() { "no reason given" } else { why }));
        } else if let Some((_, why)) = line.split_once("skipped: ") {
            self.skipped += 1;
            self.reasons.push(why.to_owned());
        } else if let Some((_, what)) = line.split_once("counted: ") {
            self.counted.push(what.to_owned());
        } else if let Some((name, time)) = line
            .strip_prefix("test ")
            .and_then(|test| test.strip_suffix("s>")?.split_once(" ... ok <"))
            .and_then(|(name, time)| Some((name, time.parse().ok()?)))
        {
            self.times.push((time, name.to_owned()));
        }
    }

    /// Reads a line of pytest with `-rs --durations=N`: the run's closing line, a skipped test, or one that took long.
    pub(crate) fn read_pytest(&mut self, line: &str) {
        if let Some(skipped) = line.strip_prefix("SKIPPED ") {
            self.reasons.push(skipped.to_owned());
            return;
        }
        if let Some((time, test)) = line.split_once("s call ")
            && let Ok(time) = time.trim().parse()
        {
            self.times.push((time, test.trim().to_owned()));
            return;
        }
        let Some((counts, time)) = line.trim_matches(['=', ' ']).rsplit_once(" in ") else { return };
        if !time.starts_with(|first: char| first.is_ascii_digit()) {
            return;
        }
        for part in counts.split(',') {
            match count(part) {
                Some((number, "passed" | "xpassed")) => self.passed += number,
                Some((number, "failed" | "error" | "errors")) => self.failed += number,
                Some((number, "skipped" | "xfailed")) => self.skipped += number,
                _ => {}
            }
        }
    }

    /// Reads a line of the examples' runner.
    pub(crate) fn read_examples(&mut self, line: &str) {
        if line.starts_with("ok ") {
            self.passed += 1;
        } else if line.starts_with("FAILED ") {
            self.failed += 1;
        } else if let Some(why) = line.strip_prefix("skipped: ") {
            self.skipped += 1;
            self.reasons.push(why.to_owned());
        }
    }

    /// The single tests that took longest, and the seconds of each.
    pub(crate) fn longest(&self) -> Vec<&(f64, String)> {
        let mut times: Vec<_> = self.times.iter().collect();
        times.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        times.truncate(LONGEST);
        times
    }

    /// Prints the longest tests, what tests went through, what was skipped, and the closing line.
    pub(crate) fn print(&self) {
        for (time, test) in self.longest() {
            println!("longest: {time:.1} s {test}");
        }
        for what in &self.counted {
            println!("counted: {what}");
        }
        for reason in &self.reasons {
            println!("skipped: {reason}");
        }
        println!("{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped);
    }
}

/// `"12 passed"` as its two words.
fn count(part: &str) -> Option<(u64, &str)> {
    let (number, word) = part.trim().split_once(' ')?;
    Some((number.parse().ok()?, word))
}
