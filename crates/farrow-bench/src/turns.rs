//! Operations that have their turns, so that what else the machine does meets all of them.

use std::time::{Duration, Instant};

use crate::latency::Latency;

#[derive(clap::Args, Debug, Clone, Copy)]
pub(crate) struct Turns {
    /// For how many seconds the operations of one size have their turns, each from Rust and from Python
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(0..=3600))]
    seconds: u64,
    /// The least number of rounds, however long they take
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    rounds: u64,
}

/// Rounds that are enough, however short they are.
const MOST: u64 = 5_000;

/// An operation: does it, and tells how long that took, without what had to be made ready or put away.
pub(crate) type Operation<'a> = Box<dyn FnMut() -> anyhow::Result<Duration> + 'a>;

impl Turns {
    /// Rounds in which each operation is done once; in the first one the clock does not count.
    pub(crate) fn take(self, operations: &mut [Operation<'_>]) -> anyhow::Result<Vec<Latency>> {
        let mut times: Vec<Vec<Duration>> = operations.iter().map(|_| Vec::new()).collect();
        for operation in operations.iter_mut() {
            operation()?;
        }
        let start = Instant::now();
        let mut round = 0;
        while round < self.rounds || (round < MOST && start.elapsed() < Duration::from_secs(self.seconds)) {
            for (operation, times) in operations.iter_mut().zip(&mut times) {
                times.push(operation()?);
            }
            round += 1;
        }
        times.into_iter().map(Latency::of_times).collect()
    }

    /// The same for a script: seconds, least and most rounds.
    pub(crate) fn arguments(self) -> [String; 3] {
        [self.seconds, self.rounds, MOST].map(|number| number.to_string())
    }
}

/// The time that `operation` takes. What it gives is dropped after the clock has stopped.
pub(crate) fn timed<T>(operation: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<Duration> {
    let start = Instant::now();
    let done = operation();
    let time = start.elapsed();
    drop(done?);
    Ok(time)
}

/// The time that `operation` takes once it has just been done: what other operations have left in the processor's caches
/// is not in it.
pub(crate) fn timed_again<T>(operation: impl Fn() -> anyhow::Result<T>) -> anyhow::Result<Duration> {
    drop(operation()?);
    timed(operation)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_operation_has_its_turn_in_each_round() {
        let order = std::cell::RefCell::new(Vec::new());
        let operation = |name: u64| -> Operation<'_> {
            let order = &order;
            Box::new(move || {
                order.borrow_mut().push(name);
                Ok(Duration::from_micros(name))
            })
        };
        let latencies = Turns { seconds: 0, rounds: 2 }.take(&mut [operation(5), operation(7)]).unwrap();
        assert_eq!(*order.borrow(), [5, 7, 5, 7, 5, 7]);
        assert_eq!(latencies[1].median().as_micros(), 7);
    }
}
