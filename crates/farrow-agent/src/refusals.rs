//! Refusals in the log, a few at a time: a peer that is refused must not be able to fill it.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const A_SECOND: u32 = 20;

/// Something that happens often, and is told now and then.
pub(crate) struct Seldom {
    every: Duration,
    /// The time at which it was told last, and how often it has happened since.
    told: Mutex<(Option<Instant>, u64)>,
}

impl Seldom {
    /// Told at once, then so often at most.
    pub(crate) fn new(every: Duration) -> Self {
        Self { every, told: Mutex::default() }
    }

    /// It has happened: `log` is given how often since it was told last, if it is time.
    pub(crate) fn report(&self, log: impl FnOnce(u64)) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.1 += 1;
        if told.0.is_none_or(|told| told.elapsed() >= self.every) {
            let (_, count) = std::mem::replace(&mut *told, (Some(Instant::now()), 0));
            log(count);
        }
    }
}

/// Logs a refusal by `log`, unless there were too many in this second; how many those were is said later.
pub(crate) fn report(log: impl FnOnce()) {
    static TOLD: Mutex<Second> = Mutex::new(Second(None));
    if let Some(more) = TOLD.lock().unwrap_or_else(PoisonError::into_inner).report(Instant::now(), log) {
        tracing::info!(more, "refusals that were not logged one by one");
    }
}

/// A second's beginning, and the number of refusals in it.
struct Second(Option<(Instant, u32)>);

impl Second {
    /// There is one more `now`; returns how many were not logged in the last second, if it is over.
    fn report(&mut self, now: Instant, log: impl FnOnce()) -> Option<u32> {
        let (since, count) = self.0.get_or_insert((now, 0));
        let mut missing = None;
        if now.duration_since(*since) >= Duration::from_secs(1) {
            missing = count.checked_sub(A_SECOND).filter(|more| *more > 0);
            (*since, *count) = (now, 0);
        }
        *count = count.saturating_add(1);
        if *count <= A_SECOND {
            log();
        }
        missing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_refusals_are_logged_in_a_second_and_the_others_counted() {
        let begin = Instant::now();
        let (mut second, mut logged) = (Second(None), 0);
        let mut refuse = |count: u32, milliseconds: u64| {
            let (now, before) = (begin + Duration::from_millis(milliseconds), logged);
            let missing: Vec<u32> = (0..count).filter_map(|_| second.report(now, || logged += 1)).collect();
            (logged - before, missing)
        };
        assert_eq!(refuse(15, 0), (15, vec![]));
        assert_eq!(refuse(1000, 999), (5, vec![]));
        assert_eq!(refuse(1, 1000), (1, vec![995]));
        assert_eq!(refuse(1, 5000), (1, vec![]));
    }

    #[test]
    fn what_happens_often_is_told_once_in_its_interval() {
        let seldom = Seldom::new(Duration::from_secs(3600));
        let mut told = Vec::new();
        for _ in 0..1000 {
            seldom.report(|count| told.push(count));
        }
        assert_eq!(told, [1]);
        seldom.told.lock().unwrap().0 = None;
        seldom.report(|count| told.push(count));
        assert_eq!(told, [1, 1000]);
    }
}
