//! Steps in order, each with its number, its time and its share of the tally.

use std::time::{Duration, Instant};

use anyhow::Context;

use crate::tally::Tally;
use crate::tree::Tree;

/// One step of a task.
pub(crate) struct Step {
    pub(crate) title: &'static str,
    /// Does the step; the command that failed has printed its own output.
    pub(crate) run: fn(&Tree, &mut Tally) -> anyhow::Result<()>,
}

/// How a task went.
pub(crate) struct Run {
    steps: &'static [Step],
    /// One for each step that was begun, so that a failed step is the last.
    times: Vec<Duration>,
    tally: Tally,
    pub(crate) result: anyhow::Result<()>,
}

/// Runs steps until one fails.
pub(crate) fn run(steps: &'static [Step], tree: &Tree) -> Run {
    let mut run = Run { steps, times: Vec::new(), tally: Tally::default(), result: Ok(()) };
    for (index, step) in steps.iter().enumerate() {
        let place = format!("[{}/{}]", index + 1, steps.len());
        println!("\n{place} {} …", step.title);
        let start = Instant::now();
        let failed_before = run.tally.failed;
        let result = (step.run)(tree, &mut run.tally);
        run.times.push(start.elapsed());
        if result.is_err() {
            if run.tally.failed == failed_before {
                run.tally.failed += 1;
            }
            run.result = result.with_context(|| format!("step {place} failed: {}", step.title));
            break;
        }
    }
    run
}

impl Run {
    /// Prints the steps' times, what was skipped, and the counts.
    pub(crate) fn print_summary(&self) {
        println!("\n{:>8}  step", "seconds");
        for (index, (step, time)) in self.steps.iter().zip(&self.times).enumerate() {
            let failed = self.result.is_err() && index + 1 == self.times.len();
            let mark = if failed { "  FAILED" } else { "" };
            println!("{:>8.1}  {}{mark}", time.as_secs_f64(), step.title);
        }
        let total: Duration = self.times.iter().sum();
        println!("{:>8.1}  in all\n", total.as_secs_f64());
        self.tally.print();
    }
}
