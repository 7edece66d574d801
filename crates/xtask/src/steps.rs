//! Steps in order, or beside each other, each with its number, its time and its share of the tally.

use std::thread;
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

/// Lists of steps that are run at the same time: one list, or several that do not touch each other's files. A stage
/// begins when the one before has ended.
pub(crate) type Stage = &'static [&'static [Step]];

/// The outcome of a task.
pub(crate) struct Run {
    /// Of each step that was begun.
    ended: Vec<Ended>,
    time: Duration,
    tally: Tally,
    pub(crate) result: anyhow::Result<()>,
}

struct Ended {
    title: &'static str,
    time: Duration,
    failed: bool,
}

/// Runs stages until one fails. In each list the steps after one that failed are left out.
pub(crate) fn run(stages: &'static [Stage], tree: &Tree) -> Run {
    let (start, steps) = (Instant::now(), stages.iter().copied().flatten().map(|list| list.len()).sum());
    let mut run = Run { ended: Vec::new(), time: Duration::ZERO, tally: Tally::default(), result: Ok(()) };
    let mut number = 1;
    for stage in stages {
        let lists = thread::scope(|scope| {
            let mut running = Vec::new();
            for list in *stage {
                let (tree, first, beside) = (tree.clone(), number, stage.len() > 1);
                running.push(scope.spawn(move || run_list(list, &tree, first, steps, beside)));
                number += list.len();
            }
            running.into_iter().map(|list| list.join()).collect::<Vec<_>>()
        });
        for list in lists {
            match list {
                Ok(list) => run.add(list),
                Err(_) => run.result = Err(anyhow::anyhow!("a step panicked")),
            }
        }
        if run.result.is_err() {
            break;
        }
    }
    run.time = start.elapsed();
    run
}

/// Runs the steps of one list. Their tests' lines begin with the step's title where others run beside them.
fn run_list(list: &'static [Step], tree: &Tree, first: usize, steps: usize, beside: bool) -> Run {
    let start = Instant::now();
    let mut run = Run { ended: Vec::new(), time: Duration::ZERO, tally: Tally::default(), result: Ok(()) };
    for (number, &Step { title, run: do_step }) in (first..).zip(list) {
        let place = format!("[{number}/{steps}]");
        println!("\n{place} {title} …");
        let begun = Instant::now();
        let mut tally = Tally { label: beside.then_some(title), ..Tally::default() };
        let result = do_step(tree, &mut tally);
        if result.is_err() && tally.failed == 0 {
            tally.failed = 1;
        }
        tally.label = None;
        run.tally.add(tally);
        run.ended.push(Ended { title, time: begun.elapsed(), failed: result.is_err() });
        if let Err(error) = result {
            println!("\n{place} {title}: FAILED: {error:#}");
            run.result = Err(error).with_context(|| format!("step {place} failed: {title}"));
            break;
        }
        if beside {
            println!("\n{place} {title}: done");
        }
    }
    run.time = start.elapsed();
    run
}

impl Run {
    /// Adds what a list of steps did. Of several errors the first stays: each has been printed.
    fn add(&mut self, list: Self) {
        self.ended.extend(list.ended);
        self.tally.add(list.tally);
        if self.result.is_ok() {
            self.result = list.result;
        }
    }

    /// Prints the steps' times, what was skipped, and the counts.
    pub(crate) fn print_summary(&self) {
        println!("\n{:>8}  step", "seconds");
        for Ended { title, time, failed } in &self.ended {
            let mark = if *failed { "  FAILED" } else { "" };
            println!("{:>8.1}  {title}{mark}", time.as_secs_f64());
        }
        println!("{:>8.1}  in all\n", self.time.as_secs_f64());
        self.tally.print();
    }
}
